package catalog

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A builder writes a base file, in two passes and with a heap that does not grow with it: the first writes the records
// as they come, the second goes through what was written, mapped, and fills in what the first could not know: the
// tables, and what leads from one record to another.
type builder struct {
	encoder
	baseHead
	file   *os.File
	out    *bufio.Writer
	off    uint64   // of the next record
	every  []uint64 // the sorted index
	record []byte   // the one that is being made

	products map[string]bool
	waiting  *asset.Asset // written behind its link if that comes next, else by itself
	product  string       // of the last link, and its name
	name     string

	// spill has the asset's id of each link whose asset has been written before it.
	spill     *os.File
	spilled   *bufio.Writer
	unwritten bool // no link was written yet
}

// Import writes the base file of a matrix at m's Revision, Epoch and Hash into dir. The records come as mutations: all
// PutProduct first, then all PutLink in the order of (product, name), each asset as PutAsset somewhere before the first
// of its links, best directly before it. It fails with [asset.ErrInvalid] for records in another order, or that refer to
// nothing. Its heap does not grow with the matrix.
func Import(ctx context.Context, dir string, m Manifest, records iter.Seq[Mutation]) error {
	at := baseHead{revision: m.Revision, epoch: m.Epoch, hash: m.Hash, committed: m.Created}
	return build(ctx, directory(dir).base(m.Revision), at, meta{}, records, func() error { return nil })
}

// build writes the records as a base file at path, all or nothing. Of rest it takes what is no record. When the records
// have ended, missing says why they are not all, if so.
func build(ctx context.Context, path string, at baseHead, rest meta, records iter.Seq[Mutation], missing func() error) (err error) {
	b := &builder{encoder: *newEncoder(), baseHead: at, off: headBytes, products: map[string]bool{}, unwritten: true}
	b.meta.Tags, b.meta.Orphans, b.meta.Retired = rest.Tags, rest.Orphans, rest.Retired
	if len(at.epoch) > maxEpochBytes {
		return fmt.Errorf("%w: base: an epoch of %d bytes", asset.ErrInvalid, len(at.epoch))
	}
	temporary := path + ".tmp"
	if err := b.open(temporary); err != nil {
		return fmt.Errorf("base: %w", err)
	}
	defer func() {
		b.close()
		if err != nil {
			_ = os.Remove(temporary)
			err = fmt.Errorf("base: %w", err)
		}
	}()
	for _, step := range []func() error{
		func() error { return b.writeRecords(ctx, records) },
		missing,
		b.writeSections,
		func() error { return b.weave(ctx) },
		b.file.Sync,
		func() error { return os.Rename(temporary, path) },
		directory(filepath.Dir(path)).sync,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) open(path string) (err error) {
	if b.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		return err
	}
	if b.spill, err = os.CreateTemp(filepath.Dir(path), "spill-*.tmp"); err != nil {
		b.close()
		return err
	}
	_ = os.Remove(b.spill.Name()) // it is there for as long as it is open
	b.out, b.spilled = bufio.NewWriterSize(b.file, writeBytes), bufio.NewWriterSize(b.spill, 1<<16)
	_, err = b.out.Write(make([]byte, headBytes))
	return err
}

func (b *builder) close() {
	_ = b.file.Close()
	if b.spill != nil {
		_ = b.spill.Close()
	}
}

// writeBytes is how much of a base is written at a time: the size of a huge page, because a file system that can (ext4 as
// of Linux 6.16) then keeps the file in pages of that size and maps them as such. A lookup among 10 million assets costs a
// third less for it, as it does not wait for the page tables.
const writeBytes = 2 << 20

// checkEvery is after how many records a builder looks whether it shall go on.
const checkEvery = 1 << 12

func (b *builder) writeRecords(ctx context.Context, records iter.Seq[Mutation]) error {
	n := 0
	for m := range records {
		if n++; n%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := b.write(&m); err != nil {
			return err
		}
	}
	return errors.Join(b.writeWaiting(), ctx.Err())
}

func (b *builder) write(m *Mutation) error {
	switch {
	case m.PutProduct != nil:
		return b.writeProduct(m.PutProduct)
	case m.PutAsset != nil:
		if err := b.writeWaiting(); err != nil {
			return err
		}
		b.waiting = m.PutAsset
		return b.known(m.PutAsset.Owner)
	case m.PutLink != nil:
		return b.writeLink(m.PutLink)
	}
	return refused("a mutation that puts no record")
}

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", asset.ErrInvalid, fmt.Sprintf(format, args...))
}

func (b *builder) known(product string) error {
	if !b.products[product] {
		return refused("there is no product %q", product)
	}
	return nil
}

func (b *builder) writeProduct(p *asset.Product) error {
	if b.products[p.Name] {
		return refused("product %q comes twice", p.Name)
	}
	b.products[p.Name] = true
	b.meta.Products = append(b.meta.Products, p)
	return nil
}

// writeLink writes the link, and behind it the asset that is waiting if it is the link's.
func (b *builder) writeLink(l *asset.Link) error {
	if err := b.known(l.Product); err != nil {
		return err
	}
	if !b.unwritten && (l.Product < b.product || l.Product == b.product && l.Name <= b.name) {
		return refused("link %q of %q comes after %q of %q", l.Name, l.Product, b.name, b.product)
	}
	b.unwritten, b.product, b.name = false, l.Product, l.Name
	own := b.waiting != nil && b.waiting.ID == l.Asset
	if !own {
		if err := errors.Join(b.writeWaiting(), b.spillID(l.Asset)); err != nil {
			return err
		}
	}
	return b.writePlaced(l, own)
}

func (b *builder) writePlaced(l *asset.Link, own bool) (err error) {
	if b.nLinks%indexStep == 0 {
		b.every = append(b.every, b.off)
	}
	n := &b.meta.Names[b.encoder.name(l.Product)]
	if n.Links == 0 {
		n.First = b.nLinks
	}
	n.Links++
	if b.record, err = b.appendLink(b.record[:0], l, uint32(b.nLinks), 0); err != nil {
		return err
	}
	b.nLinks++
	at := b.off
	if !own {
		return b.flush()
	}
	le.PutUint64(b.record[16:], at+uint64(len(b.record)))
	if err := b.flush(); err != nil {
		return err
	}
	return b.writeAsset(at)
}

// writeWaiting writes the asset that is waiting, whose link did not come next.
func (b *builder) writeWaiting() error {
	if b.waiting == nil {
		return nil
	}
	return b.writeAsset(0)
}

func (b *builder) writeAsset(link uint64) (err error) {
	a := b.waiting
	b.waiting = nil
	if b.record, err = b.appendAsset(b.record[:0], a, uint32(b.nAssets), link); err != nil {
		return err
	}
	b.nAssets++
	b.nVersions += uint64(len(a.Versions))
	b.meta.Names[b.encoder.name(a.Owner)].Owned++
	return b.flush()
}

func (b *builder) flush() error {
	_, err := b.out.Write(b.record)
	b.off += uint64(len(b.record))
	if b.off > maxOffset || b.nLinks >= 1<<32 || b.nAssets >= 1<<32 {
		return refused("the matrix does not fit into a base")
	}
	return err
}

func (b *builder) spillID(id string) error {
	if len(id) > 255 {
		return refused("an id of %d bytes", len(id))
	}
	_, err := b.spilled.Write(append([]byte{byte(len(id))}, id...))
	return err
}

// writeSections writes what is behind the records, the tables and the checksums still empty. They are written all the
// same: a hole in the file could not be filled through the mapping when the disk is full.
func (b *builder) writeSections() error {
	b.recordsEnd = b.off
	b.linkBuckets, b.assetBuckets, b.originalBuckets = bucketsFor(b.nLinks), bucketsFor(b.nAssets), bucketsFor(b.nVersions)
	encoded, err := json.Marshal(&b.meta)
	if err != nil {
		return err
	}
	b.metaBytes = uint64(len(encoded))
	index := make([]byte, 0, 8*len(b.every))
	for _, off := range b.every {
		index = le.AppendUint64(index, off)
	}
	for _, s := range []struct {
		at uint64
		b  []byte
	}{{b.everyAt(), index}, {b.metaAt(), encoded}, {b.size(), nil}} {
		if err := b.pad(s.at); err != nil {
			return err
		}
		if _, err := b.out.Write(s.b); err != nil {
			return err
		}
		b.off += uint64(len(s.b))
	}
	return errors.Join(b.out.Flush(), b.spilled.Flush())
}

// pad writes zeros up to an offset.
func (b *builder) pad(to uint64) error {
	var zeros [headBytes]byte
	for b.off < to {
		n, err := b.out.Write(zeros[:min(to-b.off, headBytes)])
		b.off += uint64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// weave is the second pass.
func (b *builder) weave(ctx context.Context) error {
	data, err := unix.Mmap(int(b.file.Fd()), 0, int(b.size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Munmap(data) }()
	if _, err := b.spill.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return faulting(func() error {
		w := &weaver{baseHead: b.baseHead, names: b.meta.Names, data: data, spilled: bufio.NewReader(b.spill)}
		if err := w.weave(ctx); err != nil {
			return err
		}
		b.seal(data)
		return nil
	})
}

// seal writes the checksums and the header.
func (b *builder) seal(data []byte) {
	sums := data[b.sumsAt():]
	for i := range b.blocks() {
		from, to := max(headBytes, i*blockBytes), min(b.sumsAt(), (i+1)*blockBytes)
		le.PutUint32(sums[4*i:], crc32.Checksum(data[from:to], castagnoli))
	}
	b.sum = crc32.Checksum(sums, castagnoli)
	copy(data, b.baseHead.encode())
}
