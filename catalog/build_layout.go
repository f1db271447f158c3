package catalog

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	"slices"
)

// layOut finds the perfect hash function, and how large cells are to be. In the notes it replaces hashes by keys.
func (b *builder) layOut(ctx context.Context, dir string) error {
	notes, err := b.notes.mapAll()
	if err != nil {
		return err
	}
	var seed [8]byte
	_, _ = rand.Read(seed[:]) // it always succeeds
	b.perfect = perfectFor(le.Uint64(seed[:]), b.nLinks)
	keys, err := newSpill(dir)
	if err != nil {
		return err
	}
	defer keys.close()
	if err := keys.grow(8 * int(b.nLinks)); err != nil {
		return err
	}
	if err := b.findAllPilots(ctx, b.keysByPart(notes, keys.mapped)); err != nil {
		return err
	}
	b.chooseCell(notes)
	return nil
}

// noteAt returns note i.
func noteAt(notes []byte, i int) note {
	n := notes[i*noteBytes:]
	return note{le.Uint64(n), le.Uint32(n[8:]), le.Uint32(n[12:])}
}

// keysByPart sets keys, which has room for all of them, to the keys of each part, in order, and returns a part's section
// each. A key that is there twice is left out the second time, and known from then on.
func (b *builder) keysByPart(notes, keys []byte) [][]byte {
	ends := make([]int, b.parts+1)
	for i := range int(b.nLinks) {
		key := b.key(noteAt(notes, i).key)
		le.PutUint64(notes[i*noteBytes:], key)
		part, _ := b.part(key)
		ends[part+1]++
	}
	for i := range b.parts {
		ends[i+1] += ends[i]
	}
	next := slices.Clone(ends)
	for i := range int(b.nLinks) {
		key := noteAt(notes, i).key
		part, _ := b.part(key)
		le.PutUint64(keys[8*next[part]:], key)
		next[part]++
	}
	parts := make([][]byte, b.parts)
	for i := range parts {
		section := keys[8*ends[i] : 8*ends[i+1]]
		sorted := decodeKeys(nil, section)
		slices.Sort(sorted)
		parts[i] = section[:0]
		for k, key := range sorted {
			if k > 0 && key == sorted[k-1] {
				b.twice[key] = true
				continue
			}
			parts[i] = le.AppendUint64(parts[i], key)
		}
	}
	return parts
}

func decodeKeys(keys []uint64, b []byte) []uint64 {
	for ; len(b) > 0; b = b[8:] {
		keys = append(keys, le.Uint64(b))
	}
	return keys
}

// findAllPilots sets b's pilots, and b's number of cells.
func (b *builder) findAllPilots(ctx context.Context, parts [][]byte) error {
	most := 0
	for _, keys := range parts {
		most = max(most, len(keys)/8)
	}
	b.pilots = make([]byte, b.pilotsLen())
	for b.cells = uint64(float64(most)/maxLoad) + 1; ; b.cells += b.cells/64 + 1 {
		switch found, err := b.findPilotsOf(ctx, parts); {
		case err != nil || found:
			return err
		case b.cells > 2*uint64(most)+maxCell:
			return fmt.Errorf("no perfect hash function was found with %d cells for %d links", b.cells, most)
		}
	}
}

func (b *builder) findPilotsOf(ctx context.Context, parts [][]byte) (found bool, err error) {
	var keys []uint64
	for i := range parts {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		keys = decodeKeys(keys[:0], parts[i])
		if !b.findPilots(b.pilots[uint64(i)*b.groups:][:b.groups], keys) {
			return false, nil
		}
	}
	return true, nil
}

// chooseCell sets the size of a cell, and with it where the records end: what makes the file smallest, where a byte that is
// in no cell counts for one and a half, as it takes one more load from memory.
func (b *builder) chooseCell(notes []byte) {
	more, outside := b.alone, uint64(0)
	var needs [maxCell/cellStep + 2]uint64 // bytes that need a cell of so many steps
	for i := range int(b.nLinks) {
		n := noteAt(notes, i)
		link, own := uint64(n.link), uint64(n.own)
		if b.twice[n.key] {
			more += link + own + farBytes
			continue
		}
		needs[min((link+cellStep-1)/cellStep, maxCell/cellStep+1)] += link
		needs[min((link+own+cellStep-1)/cellStep, maxCell/cellStep+1)] += own
		outside += link + own
	}
	lowest := uint64(math.MaxUint64)
	for steps := uint64(1); steps <= maxCell/cellStep; steps++ {
		outside -= needs[steps]
		if cost := steps*cellStep*b.cellsLen() + outside*3/2; cost < lowest {
			lowest, b.cellBytes, b.recordsEnd = cost, steps*cellStep, more+outside
		}
	}
	b.recordsEnd += b.moreAt()
	b.assetBuckets, b.originalBuckets = bucketsFor(b.nAssets), bucketsFor(b.nVersions)
}
