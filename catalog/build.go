package catalog

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A builder writes a base file with a heap that hardly grows with it. The records come in the order of their names and are
// put aside as they come, with a note about each link. From the notes follow the perfect hash function and how large a cell
// is to be; with that the file is laid out, and the records are placed in it.
type builder struct {
	encoder
	baseHead
	records *spill
	notes   *spill // of links

	products map[string]bool
	waiting  *asset.Asset // written behind its link if that comes next, else by itself
	product  string       // of the last link, and its name
	name     string
	link     []byte // the records that are being made
	asset    []byte
	alone    uint64 // bytes of assets that did not come directly before their first link

	pilots []byte
	twice  map[uint64]bool // keys that more than one link has
}

// A note is what is known about a link while the base is not laid out.
type note struct {
	key  uint64 // at first the hash
	link uint32 // bytes of its record, and of its asset's, 0 when that stands elsewhere
	own  uint32
}

const noteBytes = 16

// kindID is what stands, among the records that are put aside, behind a link to an asset that came before: the id's length
// and the id.
const kindID = 'I'

// Import writes the base file of a matrix at m's Revision, Epoch and Hash into dir. The records come as mutations: all
// PutProduct first, then all PutLink in the order of (product, name), each asset as PutAsset somewhere before the first
// of its links, best directly before it. It fails with [asset.ErrInvalid] for records in another order, or that refer to
// nothing. Its heap does not grow with the matrix; on the disk it needs room for all records once more.
func Import(ctx context.Context, dir string, m Manifest, records iter.Seq[Mutation]) error {
	at := baseHead{revision: m.Revision, epoch: m.Epoch, hash: m.Hash, committed: m.Created}
	return build(ctx, directory(dir).base(m.Revision), at, meta{}, records, func() error { return nil })
}

// build writes the records as a base file at path, all or nothing. Of rest it takes what is no record. When the records
// have ended, missing says why they are not all, if so.
func build(ctx context.Context, path string, at baseHead, rest meta, records iter.Seq[Mutation], missing func() error) (err error) {
	b := &builder{encoder: *newEncoder(), baseHead: at, products: map[string]bool{}, twice: map[uint64]bool{}}
	b.meta.Tags, b.meta.Orphans, b.meta.Retired = rest.Tags, rest.Orphans, rest.Retired
	if len(at.epoch) > maxEpochBytes {
		return fmt.Errorf("%w: base: an epoch of %d bytes", asset.ErrInvalid, len(at.epoch))
	}
	temporary := path + ".tmp"
	file, err := os.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("base: %w", err)
	}
	defer func() {
		b.records.close()
		b.notes.close()
		_ = file.Close()
		if err != nil {
			_ = os.Remove(temporary)
			err = fmt.Errorf("base: %w", err)
		}
	}()
	for _, step := range []func() error{
		func() error { return b.open(filepath.Dir(path)) },
		func() error { return b.writeRecords(ctx, records) },
		missing,
		func() error { return faulting(func() error { return b.layOut(ctx, filepath.Dir(path)) }) },
		func() error { return b.writeSections(file) },
		func() error { return faulting(func() error { return b.weave(ctx, file) }) },
		file.Sync,
		func() error { return os.Rename(temporary, path) },
		directory(filepath.Dir(path)).sync,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) open(dir string) (err error) {
	if b.records, err = newSpill(dir); err != nil {
		return err
	}
	b.notes, err = newSpill(dir)
	return err
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

// writeLink puts the link aside, and behind it the asset that is waiting if it is the link's, or else the id.
func (b *builder) writeLink(l *asset.Link) error {
	if err := b.known(l.Product); err != nil {
		return err
	}
	if b.nLinks > 0 && !linkBefore(b.product, b.name, l.Product, l.Name) {
		return refused("link %q of %q comes after %q of %q", l.Name, l.Product, b.name, b.product)
	}
	b.product, b.name = l.Product, l.Name
	own := b.waiting != nil && b.waiting.ID == l.Asset
	if !own {
		if err := b.writeWaiting(); err != nil {
			return err
		}
	}
	if err := b.makeLink(l); err != nil {
		return err
	}
	n := note{key: hashLink(l.Product, l.Name), link: uint32(len(b.link))}
	if own {
		if err := b.makeAsset(); err != nil {
			return err
		}
		n.own = uint32(len(b.asset))
	} else if b.asset = append(append(b.asset[:0], kindID, byte(len(l.Asset))), l.Asset...); len(l.Asset) > maxIDBytes {
		return refused("an id of %d bytes", len(l.Asset))
	}
	return errors.Join(b.records.write(b.link), b.records.write(b.asset), b.notes.write(n.append(nil)))
}

func (n note) append(b []byte) []byte {
	return le.AppendUint32(le.AppendUint32(le.AppendUint64(b, n.key), n.link), n.own)
}

// makeLink sets b.link.
func (b *builder) makeLink(l *asset.Link) (err error) {
	n := &b.meta.Names[b.encoder.name(l.Product)]
	if n.Links == 0 {
		n.First = b.nLinks
	}
	n.Links++
	b.link, err = b.appendLink(b.link[:0], l, uint32(b.nLinks), 0)
	if b.nLinks++; b.nLinks >= 1<<31 {
		return errTooLarge
	}
	return err
}

var errTooLarge = refused("the matrix does not fit into a base")

// makeAsset sets b.asset to the one that is waiting.
func (b *builder) makeAsset() (err error) {
	a := b.waiting
	b.waiting = nil
	b.asset, err = b.appendAsset(b.asset[:0], a, uint32(b.nAssets), 0)
	b.nVersions += uint64(len(a.Versions))
	b.meta.Names[b.encoder.name(a.Owner)].Owned++
	if b.nAssets++; b.nAssets >= 1<<32 {
		return errTooLarge
	}
	return err
}

// writeWaiting puts the asset aside that is waiting, whose link did not come next.
func (b *builder) writeWaiting() error {
	if b.waiting == nil {
		return nil
	}
	if err := b.makeAsset(); err != nil {
		return err
	}
	b.alone += uint64(len(b.asset))
	return b.records.write(b.asset)
}

// writeSections writes the file, with cells, tables and checksums still empty. They are written all the same: a hole in the
// file could not be filled through the mapping when the disk is full.
func (b *builder) writeSections(file *os.File) error {
	encoded, err := json.Marshal(&b.meta)
	if err != nil {
		return err
	}
	b.metaBytes = uint64(len(encoded))
	if b.size() > maxOffset {
		return errTooLarge
	}
	out, off := bufio.NewWriterSize(file, writeBytes), uint64(0)
	for _, s := range []struct {
		at uint64
		b  []byte
	}{{headBytes, b.pilots}, {b.metaAt(), encoded}, {b.size(), nil}} {
		if err := pad(out, s.at-off); err != nil {
			return err
		}
		if _, err := out.Write(s.b); err != nil {
			return err
		}
		off = s.at + uint64(len(s.b))
	}
	return out.Flush()
}

// pad writes so many zeros.
func pad(out *bufio.Writer, n uint64) error {
	var zeros [headBytes]byte
	for n > 0 {
		written, err := out.Write(zeros[:min(n, headBytes)])
		if err != nil {
			return err
		}
		n -= uint64(written)
	}
	return nil
}

// weave places the records in the file.
func (b *builder) weave(ctx context.Context, file *os.File) error {
	data, err := unix.Mmap(int(file.Fd()), 0, int(b.size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Munmap(data) }()
	w := &weaver{baseHead: b.baseHead, data: data, pilots: b.pilots, twice: b.twice, notes: b.notes.mapped, more: b.moreAt()}
	if w.records, err = b.records.mapAll(); err != nil {
		return err
	}
	if err := w.weave(ctx); err != nil {
		return err
	}
	b.seal(data)
	return nil
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
