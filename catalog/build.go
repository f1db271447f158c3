package catalog

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A builder writes a base file with a heap that hardly grows with it. The links come in the order of their names, each with
// its asset if that has not been yet, and are put aside with a note each. From the notes follow the perfect hash function
// and how large a cell is to be. Then the cells are written, part by part, and last comes, in the mapped file, what could
// not be known before: tables, and what leads from one record to another.
type builder struct {
	encoder
	baseHead
	records *spill   // links, each with its asset behind it, or with a reference
	notes   *spill   // of the links
	more    *spill   // what is in no cell
	entries *spill   // of keyed
	ends    []uint64 // the first entry of each part, and the end

	products map[string]bool
	waiting  *asset.Asset // written behind its link if that comes next, else by itself
	product  string       // of the last link, and its name
	name     string
	link     []byte // the records that are being made
	asset    []byte

	pilots  []byte
	fullest uint64          // how many keys the part with the most has
	twice   map[uint64]bool // keys that more than one link has
}

// A note is what is known about a link while the base is not laid out.
type note struct {
	key  uint64 // at first the hash
	at   uint64 // where the link is put aside
	link uint32 // bytes of its record, and of its asset's behind it, 0 for a reference
	own  uint32
}

const noteBytes = 24

func (n note) append(b []byte) []byte {
	return le.AppendUint32(le.AppendUint32(le.AppendUint64(le.AppendUint64(b, n.key), n.at), n.link), n.own)
}

// noteAt returns note i.
func noteAt(notes []byte, i uint64) note {
	n := notes[i*noteBytes:]
	return note{le.Uint64(n), le.Uint64(n[8:]), le.Uint32(n[16:]), le.Uint32(n[20:])}
}

// Import writes the base file of a matrix at m's Revision, Epoch and Hash into dir. The records come as mutations: all
// PutProduct first, then all PutLink in the order of (product, name), and each asset as PutAsset anywhere among them, best
// directly before the first of its links, where it comes to stand with it. It fails with [asset.ErrInvalid] for records in
// another order, or that refer to nothing. Its heap hardly grows with the matrix; in dir it needs room for all records once
// more, and for 40 bytes a link.
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
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-*.tmp")
	if err != nil {
		return fmt.Errorf("base: %w", err)
	}
	temporary := file.Name()
	defer func() {
		b.close()
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
		func() error { return faulting(func() error { return b.layOut(ctx) }) },
		func() error { return faulting(func() error { return b.place(ctx, file) }) },
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
	for _, s := range []**spill{&b.records, &b.notes, &b.more, &b.entries} {
		if *s, err = newSpill(dir); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) close() {
	for _, s := range []*spill{b.records, b.notes, b.more, b.entries} {
		s.close()
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

// writeLink puts the link aside, and behind it the asset that is waiting if it is the link's, or else a reference, which is
// the length of the asset's id and the id.
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
	n := note{key: hashLink(l.Product, l.Name), at: b.records.size, link: uint32(len(b.link))}
	if own {
		if err := b.makeAsset(); err != nil {
			return err
		}
		n.own = uint32(len(b.asset))
	} else if b.asset = append(append(b.asset[:0], byte(len(l.Asset))), l.Asset...); len(l.Asset) > maxIDBytes {
		return refused("an id of %d bytes", len(l.Asset))
	}
	return errors.Join(b.records.write(b.link), b.records.write(b.asset), b.notes.write(n.append(nil)))
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

// writeWaiting writes the asset that is waiting, whose link did not come next.
func (b *builder) writeWaiting() error {
	if b.waiting == nil {
		return nil
	}
	if err := b.makeAsset(); err != nil {
		return err
	}
	return b.more.write(b.asset)
}

// weave fills in the tables and what leads from record to record, and seals the file.
func (b *builder) weave(ctx context.Context, file *os.File) error {
	data, err := unix.Mmap(int(file.Fd()), 0, int(b.size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Munmap(data) }()
	w := &weaver{baseHead: b.baseHead, data: data, notes: b.notes.mapped, records: b.records.mapped}
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
