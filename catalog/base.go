package catalog

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A base is the matrix at one revision as a file: immutable, mapped into memory, and verified block by block where it
// is touched for the first time, so that opening it costs little whatever its size, and a bit that was flipped before is
// never believed. A block that was read once and cannot be read again, of a file that somebody cut off or a disk that fails
// later, is a SIGBUS. It is unmapped when nothing in the program reaches it any more; for that nothing that a view returns may
// point into the mapping.
//
// The file, little-endian:
//
//	header     4 KiB, see baseHead; its own CRC-32C at its end
//	pilots     of the perfect hash function that leads to the cells, a byte each
//	cells      a link each, with its asset behind it if that fits and has not been with a link before
//	more       records that are in no cell
//	order      the cells of the links in the order of (product, name), uint32
//	assets     table by id
//	originals  table by digest: the newest of a chain of versions
//	meta       JSON, see meta
//	sums       the CRC-32C of each block of 4 KiB of what is between header and sums
//
// What can be wrong with it beyond its checksums is a fault like any other: every offset in it is checked before it is
// followed, and every chain has an end.
type base struct {
	baseHead
	meta    meta
	data    []byte      // the mapping
	source  io.ReaderAt // the same bytes
	path    string
	mapping *mapping

	begin             uint64 // cellsAt, where records begin
	pilots            []byte // on the heap
	assets, originals table

	verified []atomic.Uint64 // a bit for each block
	spare    sync.Pool       // of *[blockBytes]byte
	fault    atomic.Pointer[error]
	failed   chan struct{} // closed when fault is set
}

const (
	baseMagic   = "ASMATRIX"
	baseVersion = 2
	headBytes   = 4096
	blockBytes  = 4 << 10
	// maxEpochBytes is the longest epoch that the header has room for.
	maxEpochBytes = 1024
)

var le = binary.LittleEndian

// A baseHead is the header of a base file.
type baseHead struct {
	revision  uint64
	epoch     string
	hash      asset.Digest
	committed time.Time // of the message at revision

	nLinks, nAssets, nVersions uint64
	perfect
	cellBytes                     uint64
	recordsEnd                    uint64 // where cells and more end
	assetBuckets, originalBuckets uint64
	metaBytes                     uint64
	sum                           uint32 // the CRC-32C of sums
}

// The places of the sections follow from the counts.
func (h *baseHead) pilotsLen() uint64   { return h.parts * h.groups }
func (h *baseHead) cellsAt() uint64     { return align(headBytes + h.pilotsLen()) }
func (h *baseHead) cellsLen() uint64    { return h.parts * h.cells }
func (h *baseHead) moreAt() uint64      { return h.cellsAt() + h.cellBytes*h.cellsLen() }
func (h *baseHead) orderAt() uint64     { return align(h.recordsEnd) }
func (h *baseHead) assetsAt() uint64    { return align(h.orderAt() + orderBytes*h.nLinks) }
func (h *baseHead) originalsAt() uint64 { return h.assetsAt() + bucketBytes*h.assetBuckets }
func (h *baseHead) metaAt() uint64      { return h.originalsAt() + bucketBytes*h.originalBuckets }
func (h *baseHead) sumsAt() uint64      { return align(h.metaAt() + h.metaBytes) }
func (h *baseHead) blocks() uint64      { return (h.sumsAt() + blockBytes - 1) / blockBytes }
func (h *baseHead) size() uint64        { return h.sumsAt() + 4*h.blocks() }

// align returns the next multiple of a cache line, so that no bucket lies in two of them, or in two blocks.
func align(n uint64) uint64 { return (n + bucketBytes - 1) &^ (bucketBytes - 1) }

// numbers are the header's numbers in the order in which they stand.
func (h *baseHead) numbers() []*uint64 {
	return []*uint64{
		&h.revision, &h.seed, &h.nLinks, &h.nAssets, &h.nVersions, &h.parts, &h.groups, &h.cells, &h.cellBytes, &h.recordsEnd, &h.assetBuckets,
		&h.originalBuckets, &h.metaBytes,
	}
}

// encode returns the header's page.
func (h *baseHead) encode() []byte {
	b := make([]byte, 0, headBytes)
	b = le.AppendUint64(append(b, baseMagic...), baseVersion)
	for _, n := range h.numbers() {
		b = le.AppendUint64(b, *n)
	}
	b = le.AppendUint32(append(b, h.hash[:]...), h.sum)
	b = le.AppendUint64(b, uint64(h.committed.Unix()))
	b = le.AppendUint32(b, uint32(h.committed.Nanosecond()))
	b = append(le.AppendUint32(b, uint32(len(h.epoch))), h.epoch...)
	b = append(b, make([]byte, headBytes-4-len(b))...)
	return le.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeHead reads a header's page. What it returns without an error has sections that lie inside a file of that size.
func decodeHead(b []byte, size uint64) (baseHead, error) {
	var h baseHead
	switch {
	case size < headBytes || len(b) < headBytes || string(b[:8]) != baseMagic:
		return h, errors.New("it is no base file")
	case crc32.Checksum(b[:headBytes-4], castagnoli) != le.Uint32(b[headBytes-4:]):
		return h, errors.New("the header's checksum does not hold")
	case le.Uint64(b[8:]) != baseVersion:
		return h, fmt.Errorf("it is of format %d, this program reads format %d", le.Uint64(b[8:]), baseVersion)
	}
	b = b[16:]
	for _, n := range h.numbers() {
		*n, b = le.Uint64(b), b[8:]
	}
	h.hash, b = asset.Digest(b[:len(h.hash)]), b[len(h.hash):]
	h.sum = le.Uint32(b)
	h.committed = time.Unix(int64(le.Uint64(b[4:])), int64(le.Uint32(b[12:]))).UTC()
	n, b := le.Uint32(b[16:]), b[20:]
	if n > maxEpochBytes {
		return h, errors.New("the epoch is too long")
	}
	h.epoch = string(b[:n])
	return h, h.check(size)
}

// check fails unless the counts go with each other and with the file's size.
func (h *baseHead) check(size uint64) error {
	if size > maxOffset {
		return fmt.Errorf("it has %d bytes", size)
	}
	for _, n := range h.numbers()[2:] {
		if *n > size { // so no sum of them can overflow
			return errors.New("it is shorter than its header says")
		}
	}
	switch {
	case h.parts == 0, h.groups == 0, h.cells == 0, h.assetBuckets == 0, h.originalBuckets == 0:
		return errors.New("it has a table without a place")
	case h.cellBytes < minCell, h.cellBytes > maxCell, h.cellBytes%cellStep != 0:
		return fmt.Errorf("it has cells of %d bytes", h.cellBytes)
	case h.groups > size/h.parts, h.cells > size/h.parts/h.cellBytes, h.recordsEnd < h.moreAt(), h.size() != size:
		return fmt.Errorf("it has %d bytes, its header speaks of others", size)
	}
	records := h.recordsEnd - h.cellsAt()
	if h.nLinks > records/linkHead || h.nAssets > records/assetHead || h.nVersions > records/versionHead {
		return errors.New("it has not room for as many records as its header says")
	}
	return nil
}

// A meta is what a base holds decoded while it is open. Records name products, media types, and the like by their
// places in its lists.
type meta struct {
	Names     []nameCount      `json:"names"`
	Products  []*asset.Product `json:"products"`
	Media     []string         `json:"media"`
	Providers [][]string       `json:"providers"`
	// Times are those that nanoseconds from 1970 in 64 bits cannot say.
	Times   []time.Time `json:"times,omitempty"`
	Tags    []tagPurge  `json:"tags,omitempty"`
	Orphans []Orphan    `json:"orphans,omitempty"`
	Retired uint64      `json:"retired,omitempty"`
}

// A nameCount is a product as records know it.
type nameCount struct {
	Name  string `json:"name"`
	Owned int    `json:"owned,omitempty"` // assets
	Links int    `json:"links,omitempty"`
	First uint64 `json:"first,omitempty"` // the ordinal of its first link
}

// A mapping is what a base takes of the system. It outlives the base by one garbage collection.
type mapping struct {
	data     []byte
	file     *os.File
	unmapped func() // called when the mapping has ended; nil: nobody wants to know
}

func (m *mapping) end() {
	_ = unix.Munmap(m.data)
	_ = m.file.Close()
	if m.unmapped != nil {
		m.unmapped()
	}
}

// openBase maps the base at path and checks its header and its meta section. It fails with [asset.ErrCorrupt] when that
// is no base, or a damaged one.
func openBase(path string) (*base, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	m, err := mapFile(f)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	b, err := newBase(path, m.data, f)
	if err != nil {
		m.end()
		return nil, err
	}
	b.mapping = m
	runtime.AddCleanup(b, (*mapping).end, m)
	return b, nil
}

func mapFile(f *os.File) (*mapping, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < headBytes {
		return nil, fmt.Errorf("%w: base %s: it is no base file", asset.ErrCorrupt, f.Name())
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", f.Name(), err)
	}
	_ = unix.Madvise(data, unix.MADV_RANDOM) // what is read around a record would only push others out
	return &mapping{data: data, file: f}, nil
}

// newBase returns the base in data; source has the same bytes.
func newBase(path string, data []byte, source io.ReaderAt) (*base, error) {
	b := &base{path: path, data: data, source: source, failed: make(chan struct{})}
	if err := b.load(); err != nil {
		return nil, fmt.Errorf("%w: base %s: %w", asset.ErrCorrupt, path, err)
	}
	return b, nil
}

func (b *base) load() (err error) {
	first := make([]byte, headBytes)
	if _, err := b.source.ReadAt(first, 0); err != nil {
		return err
	}
	if b.baseHead, err = decodeHead(first, uint64(len(b.data))); err != nil {
		return err
	}
	sums := make([]byte, 4*b.blocks())
	if _, err := b.source.ReadAt(sums, int64(b.sumsAt())); err != nil {
		return err
	}
	if crc32.Checksum(sums, castagnoli) != b.sum {
		return errors.New("the checksum of the checksums does not hold")
	}
	b.verified = make([]atomic.Uint64, (b.blocks()+63)/64)
	b.begin = b.cellsAt()
	if err := b.loadPilots(); err != nil {
		return err
	}
	b.assets = table{b.assetsAt(), b.assetBuckets}
	b.originals = table{b.originalsAt(), b.originalBuckets}
	return b.loadMeta()
}

// loadPilots copies the pilots, which are the part of a base that every lookup reads, to the heap.
func (b *base) loadPilots() error {
	if !b.touch(headBytes, b.pilotsLen()) {
		return errors.New("its pilots are damaged")
	}
	return faulting(func() error {
		b.pilots = bytes.Clone(b.data[headBytes:][:b.pilotsLen()])
		return nil
	})
}

func (b *base) loadMeta() error {
	at, end := b.metaAt(), b.metaAt()+b.metaBytes
	if b.metaBytes == 0 || !b.touch(at, b.metaBytes) {
		return errors.New("its meta section is damaged")
	}
	if err := json.Unmarshal(b.data[at:end], &b.meta); err != nil {
		return fmt.Errorf("meta section: %w", err)
	}
	for _, n := range b.meta.Names {
		if n.Links < 0 || n.Owned < 0 || uint64(n.Links) > b.nLinks || n.First > b.nLinks-uint64(n.Links) {
			return fmt.Errorf("product %q cannot have links %d to %d of %d", n.Name, n.First, n.First+uint64(n.Links), b.nLinks)
		}
	}
	for _, p := range b.meta.Products {
		if p == nil {
			return errors.New("meta section: a product is null")
		}
	}
	return nil
}

// touch reports whether the n bytes at off, n > 0, may be read: they lie in the file, and their blocks are verified or
// are so now.
func (b *base) touch(off, n uint64) bool {
	block := off / blockBytes
	if block == (off+n-1)/blockBytes && block/64 < uint64(len(b.verified)) && b.verified[block/64].Load()>>(block%64)&1 != 0 {
		return true
	}
	return b.touchSlowly(off, n)
}

func (b *base) touchSlowly(off, n uint64) bool {
	if off < headBytes || n > b.sumsAt() || off > b.sumsAt()-n {
		return b.malformed(off)
	}
	for block := off / blockBytes; block <= (off+n-1)/blockBytes; block++ {
		if b.verified[block/64].Load()>>(block%64)&1 == 0 && !b.verifyBlock(block) {
			return false
		}
	}
	return true
}

// verifyBlock verifies a block that is about to be read where it is mapped.
func (b *base) verifyBlock(block uint64) bool {
	from, to := b.blockRange(block)
	var holds bool
	err := faulting(func() error {
		holds = crc32.Checksum(b.data[from:to], castagnoli) == le.Uint32(b.data[b.sumsAt()+4*block:])
		return nil
	})
	if err != nil {
		return b.damage(fmt.Errorf("block %d: %w", block, err))
	}
	return b.verifiedBlock(block, holds)
}

// faulting calls do, which reads or writes a mapping. Where the disk fails or the file has become shorter, that is an error
// and not the end of the process.
func faulting(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch p := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }: // runtime.Error of a bad address
			err = fmt.Errorf("%w: the file cannot be reached through its mapping: %v", asset.ErrUnavailable, p)
		default:
			panic(p)
		}
	}()
	return do()
}

// readBlock verifies a block by reading it from the file, which leaves the page tables of this process as they are.
func (b *base) readBlock(block uint64, sum uint32) bool {
	space, _ := b.spare.Get().(*[blockBytes]byte)
	if space == nil {
		space = new([blockBytes]byte)
	}
	defer b.spare.Put(space)
	from, to := b.blockRange(block)
	bytes := space[:to-from]
	if _, err := b.source.ReadAt(bytes, int64(from)); err != nil {
		return b.damage(fmt.Errorf("block %d cannot be read: %w", block, err))
	}
	return b.verifiedBlock(block, crc32.Checksum(bytes, castagnoli) == sum)
}

// blockRange returns where a block begins and ends; the header is not in the first.
func (b *base) blockRange(block uint64) (from, to uint64) {
	return max(headBytes, block*blockBytes), min(b.sumsAt(), (block+1)*blockBytes)
}

func (b *base) verifiedBlock(block uint64, holds bool) bool {
	if !holds {
		return b.damage(fmt.Errorf("the checksum of block %d does not hold", block))
	}
	b.verified[block/64].Or(1 << (block % 64))
	return true
}

// damage makes the base damaged for good. It returns false, as there is nothing to be had from it.
func (b *base) damage(cause error) bool {
	err := fmt.Errorf("%w: %w: base %s: %w", asset.ErrUnavailable, asset.ErrCorrupt, b.path, cause)
	if b.fault.CompareAndSwap(nil, &err) {
		close(b.failed)
	}
	return false
}

// malformed damages the base because of what is said at an offset.
func (b *base) malformed(off uint64) bool {
	return b.damage(fmt.Errorf("what is at %d cannot be", off))
}

// err returns why the base may not have what was looked for, nil when it is whole.
func (b *base) err() error {
	if err := b.fault.Load(); err != nil {
		return *err
	}
	return nil
}

// damaged is closed at the first block that does not verify, or that says what cannot be.
func (b *base) damaged() <-chan struct{} { return b.failed }

// verify reads and checks all of the file; what it finds wrong also damages b.
func (b *base) verify(ctx context.Context) error {
	first := make([]byte, headBytes)
	sums := make([]byte, 4*b.blocks())
	_, err1 := b.source.ReadAt(first, 0)
	_, err2 := b.source.ReadAt(sums, int64(b.sumsAt()))
	switch {
	case errors.Join(err1, err2) != nil:
		b.damage(errors.Join(err1, err2))
	case !bytes.Equal(first, b.baseHead.encode()):
		b.damage(errors.New("the header has changed"))
	case crc32.Checksum(sums, castagnoli) != b.sum:
		b.damage(errors.New("the checksum of the checksums does not hold"))
	}
	for block := range b.blocks() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !b.readBlock(block, le.Uint32(sums[4*block:])) {
			break
		}
	}
	runtime.KeepAlive(b)
	return b.err()
}
