package catalog

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
)

// A placing writes a base from front to back, its tables and checksums still empty.
type placing struct {
	*builder
	out    *bufio.Writer
	off    uint64
	buffer []byte // the cells of a part
}

func (b *builder) place(ctx context.Context, file *os.File) error {
	p := &placing{builder: b, out: bufio.NewWriterSize(file, writeBytes)}
	if _, err := b.records.mapAll(); err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return p.pad(headBytes) },
		func() error { return p.write(b.pilots) },
		func() error { return p.pad(b.cellsAt()) },
		func() error { return p.writeCells(ctx) },
		p.writeMore,
		p.writeRest,
		p.out.Flush,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// write writes b so that the file is written in blocks of writeBytes, however long b is: of more than it can buffer, a
// bufio.Writer makes one write that ends anywhere.
func (p *placing) write(b []byte) error {
	for piece := range slices.Chunk(b, headBytes) {
		n, err := p.out.Write(piece)
		if p.off += uint64(n); err != nil {
			return err
		}
	}
	return nil
}

// pad writes zeros up to an offset.
func (p *placing) pad(to uint64) error {
	var zeros [headBytes]byte
	for p.off < to {
		if err := p.write(zeros[:min(to-p.off, headBytes)]); err != nil {
			return err
		}
	}
	return nil
}

func (p *placing) writeCells(ctx context.Context) error {
	p.buffer = make([]byte, p.cells*p.cellBytes)
	for part := range p.parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		clear(p.buffer)
		for _, e := range p.entriesOf(part) {
			if err := p.placeLink(part, e); err != nil {
				return err
			}
		}
		if err := p.write(p.buffer); err != nil {
			return err
		}
	}
	return nil
}

// placeLink places a link, and its asset if that was put aside with it.
func (p *placing) placeLink(part uint64, e keyed) error {
	n := noteAt(p.notes.mapped, e.link)
	p.link = append(p.link[:0], p.records.mapped[n.at:][:n.link]...)
	p.asset = append(p.asset[:0], p.records.mapped[n.at+uint64(n.link):][:n.own]...)
	_, rest := p.part(e.key)
	number := p.cell(e.key, p.pilotsOf(part)[p.group(rest)])
	cell, at := p.buffer[number*p.cellBytes:][:p.cellBytes], p.off+number*p.cellBytes
	alone, room := p.twice[e.key] || len(p.link) > len(cell), len(cell)-len(p.link)
	if alone {
		at, room = p.moreEnd(), math.MaxInt
	}
	own := at + uint64(len(p.link))
	if len(p.asset) > room {
		own = p.moreEnd()
	}
	if n.own > 0 {
		le.PutUint64(p.link[16:], own)
		le.PutUint64(p.asset[24:], at)
	}
	switch {
	case alone:
		return p.placeFar(cell, at)
	case len(p.asset) > room:
		copy(cell, p.link)
		return p.more.write(p.asset)
	}
	copy(cell[copy(cell, p.link):], p.asset)
	return nil
}

// placeFar writes link and asset at an offset where they are in no cell, and puts them in front of the chain of a cell.
func (p *placing) placeFar(cell []byte, at uint64) error {
	err := errors.Join(p.more.write(p.link), p.more.write(p.asset))
	next := uint64(0)
	if cell[0] == kindFar {
		next = p.moreEnd()
		err = errors.Join(err, p.more.write(cell[:farBytes]))
	}
	copy(cell, appendFar(nil, at, next))
	return err
}

// moreEnd returns the offset of the next record that is in no cell.
func (p *placing) moreEnd() uint64 { return p.moreAt() + p.more.size }

func (p *placing) writeMore() error {
	p.recordsEnd = p.moreEnd()
	more, err := p.more.mapAll()
	if err != nil {
		return err
	}
	return p.write(more)
}

// writeRest writes what is behind the records. What is still to be filled in is written all the same: a hole in the file
// could not be filled through its mapping when the disk is full.
func (p *placing) writeRest() error {
	p.assetBuckets, p.originalBuckets = bucketsFor(p.nAssets), bucketsFor(p.nVersions)
	encoded, err := json.Marshal(&p.meta)
	if err != nil {
		return err
	}
	if p.metaBytes = uint64(len(encoded)); p.size() > maxOffset || p.cellsLen() > math.MaxUint32 {
		return errTooLarge
	}
	return errors.Join(p.pad(p.metaAt()), p.write(encoded), p.pad(p.size()))
}
