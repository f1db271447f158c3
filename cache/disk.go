package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/assetmatrix/assetmatrix/asset"
)

// Disk keeps objects in a directory, one file each, verified whenever it is read. The files and
// directories never take more than MaxBytes, whatever is under way: room is made before anything is written. Entries
// survive a restart; renditions only under the same Epoch.
//
// The directory's trouble is not its callers': what cannot be read is a miss, what cannot be written is an
// [asset.ErrUnavailable], and a directory that was deleted is created again.
type Disk struct {
	cfg    DiskConfig
	units  int64 // the cap
	events Events

	mu    sync.Mutex // guards index, fixed and gone; never held during a system call
	index *sieve
	fixed int64               // units of the directories; in index.used, too
	gone  map[uint64]struct{} // dropped while the restoring was listing files; nil afterwards

	// names is held while an entry's file gets or loses its name, and while room is made: index and directory agree
	// whenever it is free. Taken before mu.
	names sync.Mutex
	lock  *os.File               // guarded by names, and by open in Close
	dirs  [directories]directory // units are guarded by names; paths do not change

	open    sync.RWMutex // held for reading by everything that writes to the directory; Close waits for them
	closed  atomic.Bool
	counted chan struct{} // closed when the index knows every file
	ready   chan struct{} // closed when the restoring is over
}

var _ asset.Store = (*Disk)(nil)

const (
	// restorePatience is how long NewDisk waits for the files to be counted: enough for some 100,000.
	restorePatience = 200 * time.Millisecond
	// refreshAge: an entry's mtime is its rank after a restart. A hit renews it when it is older than this.
	refreshAge = time.Hour
)

// NewDisk opens the cache in cfg.Dir, which is created when missing. It fails with [asset.ErrConflict] when another
// Disk uses the directory, and with [asset.ErrInvalid] for a bad configuration. Files that are not the cache's own are
// left alone.
//
// Hits work at once. In a large directory it takes a while until every file is counted; until then Put refuses with
// [asset.ErrUnavailable], because it could not keep the cap.
func NewDisk(cfg DiskConfig, ev Events) (*Disk, error) { return newDisk(cfg, ev, restorePatience) }

func newDisk(cfg DiskConfig, ev Events, patience time.Duration) (*Disk, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Dir == "" {
		return nil, asset.BadKey("disk.dir", "empty", "a directory")
	}
	d := unsettled(cfg, ev)
	if err := d.settle(); err != nil {
		return nil, fmt.Errorf("disk cache: %w", err)
	}
	d.sweepTemporary()
	go d.restore()
	select {
	case <-d.counted:
	case <-time.After(patience):
	}
	return d, nil
}

// unsettled returns a Disk that has not looked at its directory.
func unsettled(cfg DiskConfig, ev Events) *Disk {
	return &Disk{
		cfg: cfg, units: cfg.MaxBytes / unitBytes, events: ev, dirs: directoriesIn(cfg.Dir),
		index: newSieve(), gone: map[uint64]struct{}{},
		counted: make(chan struct{}), ready: make(chan struct{}),
	}
}

// Ready is closed when the restoring is over: every file is counted, and those with a bad trailer are removed.
func (d *Disk) Ready() <-chan struct{} { return d.ready }

// Bytes returns what the files and directories take, in units of 4096 bytes, what is being written included.
func (d *Disk) Bytes() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.index.used * unitBytes
}

// Len returns the number of entries.
func (d *Disk) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.index.nodes)
}

// Close waits for writes under way and lets go of the directory. Loaded objects stay readable; the cache is empty and
// refuses to be written.
func (d *Disk) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	<-d.ready
	d.open.Lock()
	defer d.open.Unlock()
	return d.lock.Close()
}

// Load returns the object, verified, or the bare [asset.ErrNotFound]; or ctx's error. Objects up to InlineBytes are in
// memory, larger ones are read from their file.
func (d *Disk) Load(ctx context.Context, k asset.Key) (*asset.Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("disk load %s: %w", k, err)
	}
	if d.closed.Load() {
		return nil, asset.ErrNotFound
	}
	hash := k.Hash()
	f, err := os.Open(d.path(hash))
	if err != nil {
		d.unopened(hash, err)
		return nil, asset.ErrNotFound
	}
	info, err := f.Stat()
	var o *asset.Object
	if err == nil {
		o, err = d.read(f, info, k, hash)
	}
	if err == nil {
		return o, nil
	}
	switch {
	case errors.Is(err, asset.ErrCorrupt):
		d.discard(info, hash, err)
	case errors.Is(err, errOtherEpoch), errors.Is(err, errNotKept):
		d.removeNamed(info, hash)
	case !errors.Is(err, errOtherKey):
		d.fail("load", err)
	}
	_ = f.Close()
	return nil, asset.ErrNotFound
}

var (
	// errOtherKey: the file is that of another key with the same hash.
	errOtherKey = errors.New("other key")
	// errOtherEpoch: the file is what another renderer made for the key.
	errOtherEpoch = errors.New("other epoch")
	// errNotKept: the file that kept the bytes is gone, or cannot be read. The provider is asked, and says what it is.
	errNotKept = errors.New("not kept any more")
)

// epoch returns the epoch of what may be served for k. An original has none: it is not rendered.
func (d *Disk) epoch(k asset.Key) int {
	if k.IsOriginal() {
		return 0
	}
	return d.cfg.Epoch
}

// wanted checks that the entry is what may be served for k.
func (d *Disk) wanted(e *entry, k asset.Key) error {
	switch {
	case !e.is(k):
		return errOtherKey
	case e.epoch != d.epoch(k):
		return errOtherEpoch
	}
	return nil
}

// read makes the object out of the open file. On success the file is the object's, or closed.
func (d *Disk) read(f *os.File, info os.FileInfo, k asset.Key, hash uint64) (*asset.Object, error) {
	read := d.readFile
	if info.Size() <= d.cfg.InlineBytes {
		read = d.readSmall
	}
	o, err := read(f, info, k)
	if err != nil {
		return nil, err
	}
	d.use(hash, info.ModTime())
	return o, nil
}

// readSmall reads the whole file in one go.
func (d *Disk) readSmall(f *os.File, info os.FileInfo, k asset.Key) (*asset.Object, error) {
	fileBytes := info.Size()
	b := make([]byte, fileBytes)
	if err := readFull(f, b, 0); err != nil {
		return nil, err
	}
	foot, err := footerOf(b, fileBytes)
	if err != nil {
		return nil, err
	}
	e, err := parseTrailer(b[foot.trailer:], foot)
	switch {
	case err != nil:
		return nil, err
	case foot.kept:
		return d.readKept(f, info, e, k)
	}
	return d.inline(e, f, k, b[:foot.size:foot.size])
}

// readKept makes an object of bytes that are kept in another file than f, the entry's. On success f is closed.
func (d *Disk) readKept(f *os.File, info os.FileInfo, e *entry, k asset.Key) (*asset.Object, error) {
	if err := d.wanted(e, k); err != nil {
		return nil, err
	}
	kept, err := e.openKept()
	if err != nil {
		return nil, err
	}
	o, err := d.readBodyIn(kept, info, e, k)
	if err == nil {
		_ = f.Close()
		return o, nil
	}
	_ = kept.Close()
	if !errors.Is(err, asset.ErrCorrupt) {
		err = fmt.Errorf("%w: %w", errNotKept, err)
	}
	return nil, err
}

// openKept opens the file that keeps the body. Whatever stands there now, it does not wait: a pipe would.
func (e *entry) openKept() (*os.File, error) {
	f, err := os.OpenFile(e.kept, os.O_RDONLY|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return nil, err // which says nothing about the file
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errNotKept, err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		err = fmt.Errorf("%w: %w", errNotKept, err)
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%w: it is no file", errNotKept)
	case info.Size() != e.size: // noticed before an answer has begun, however large it is
		err = fmt.Errorf("%w: what is kept has %d bytes, not %d", asset.ErrCorrupt, info.Size(), e.size)
	default:
		return f, nil
	}
	_ = f.Close()
	return nil, err
}

// readBodyIn makes an object of the body in a file; named says which is the entry's own. On success in is the object's, or
// closed.
func (d *Disk) readBodyIn(in *os.File, named os.FileInfo, e *entry, k asset.Key) (*asset.Object, error) {
	if e.size > d.cfg.InlineBytes {
		return d.readBody(in, named, e, k)
	}
	b := make([]byte, e.size)
	if err := readFull(in, b, 0); err != nil {
		return nil, err
	}
	return d.inline(e, in, k, b)
}

// readFile reads the trailer, and the body if it is to be in memory.
func (d *Disk) readFile(f *os.File, info os.FileInfo, k asset.Key) (*asset.Object, error) {
	e, err := readTrailer(f, info.Size())
	if err != nil {
		return nil, err
	}
	if e.kept != "" {
		return d.readKept(f, info, e, k)
	}
	return d.readBodyIn(f, info, e, k)
}

// inline makes the object of b, verified, and closes the file.
func (d *Disk) inline(e *entry, f *os.File, k asset.Key, b []byte) (*asset.Object, error) {
	if err := d.wanted(e, k); err != nil {
		return nil, err
	}
	for i := range e.blocks() {
		if err := e.verify(i, b[i*blockBytes:min(e.size, (i+1)*blockBytes)]); err != nil {
			return nil, err
		}
	}
	_ = f.Close()
	return e.describe(asset.NewObject(k, e.mediaType, b)), nil
}

// readBody makes an object over a file; named says which is the entry's own.
func (d *Disk) readBody(f *os.File, named os.FileInfo, e *entry, k asset.Key) (*asset.Object, error) {
	if err := d.wanted(e, k); err != nil {
		return nil, err
	}
	b := &body{disk: d, hash: k.Hash(), file: f, named: named, entry: e}
	if e.size <= d.cfg.VerifyBytes {
		if err := e.verifyWhole(f); err != nil {
			return nil, err
		}
		b.verified.Store(true)
	}
	return e.describe(asset.NewBodyObject(k, e.mediaType, e.size, b)), nil
}

// is reports whether the entry is that of k.
func (e *entry) is(k asset.Key) bool {
	var buf [512]byte
	spelling, _ := k.AppendText(buf[:0])
	return string(spelling) == string(e.key)
}

func (e *entry) describe(o *asset.Object) *asset.Object {
	o.Width, o.Height, o.Quality = e.width, e.height, e.quality
	return o
}

// use notes a hit.
func (d *Disk) use(hash uint64, modified time.Time) {
	d.mu.Lock()
	d.index.touch(hash)
	d.mu.Unlock()
	if now := time.Now(); now.Sub(modified) > refreshAge {
		_ = os.Chtimes(d.path(hash), now, now) // at worst the entry's rank is that of its making
	}
}

// unopened handles a file that cannot be opened. One that is not there although it should be is forgotten, with all of
// its directory when that is gone, and of the others that are.
func (d *Disk) unopened(hash uint64, err error) {
	if !errors.Is(err, fs.ErrNotExist) {
		d.fail("load", err)
		return
	}
	d.mu.Lock()
	expected := d.index.nodes[hash] != nil
	d.mu.Unlock()
	if !expected {
		return
	}
	d.names.Lock()
	defer d.names.Unlock()
	if _, err := os.Lstat(d.path(hash)); !errors.Is(err, fs.ErrNotExist) {
		return // a Put was quicker
	}
	d.drop(hash)
	if _, err := os.Lstat(d.dirs[directoryOf(hash)].path); errors.Is(err, fs.ErrNotExist) {
		d.measureAll()
	}
}

// discard reports a corrupt file and removes it.
func (d *Disk) discard(named os.FileInfo, hash uint64, why error) {
	d.events.corrupt(fmt.Errorf("disk load %016x: %w", hash, why))
	d.removeNamed(named, hash)
}

// removeNamed removes the entry that was read from that file, unless a Put has replaced it meanwhile.
func (d *Disk) removeNamed(named os.FileInfo, hash uint64) {
	d.open.RLock()
	defer d.open.RUnlock()
	d.names.Lock()
	defer d.names.Unlock()
	if d.closed.Load() || !isAt(named, d.path(hash)) {
		return
	}
	if err := d.unlink(hash); err != nil {
		d.fail("discard", err)
	}
}

// isNamed reports whether path is the name of the open file.
func isNamed(f *os.File, path string) bool {
	info, err := f.Stat()
	return err == nil && isAt(info, path)
}

// isAt reports whether path is a name of that file.
func isAt(file os.FileInfo, path string) bool {
	info, err := os.Lstat(path)
	return err == nil && os.SameFile(file, info)
}

// unlink removes the entry's file, then the entry: what is counted is never less than what is there. names is held.
func (d *Disk) unlink(hash uint64) error {
	if err := os.Remove(d.path(hash)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.drop(hash)
	return nil
}

func (d *Disk) drop(hash uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dropLocked(hash)
}

// dropLocked is drop with mu held.
func (d *Disk) dropLocked(hash uint64) {
	d.index.drop(hash)
	if d.gone != nil {
		d.gone[hash] = struct{}{}
	}
}

func (d *Disk) fail(verb string, err error) {
	d.events.failed(asset.DiskTier, fmt.Errorf("disk %s: %w: %w", verb, asset.ErrUnavailable, err))
}

// A body is the bytes of an object in a file of the cache. The file may have lost its name since.
type body struct {
	disk     *Disk
	hash     uint64
	file     *os.File
	named    os.FileInfo // the entry's own, which file may be
	entry    *entry
	verified atomic.Bool // as a whole
}

var _ asset.Body = (*body)(nil)

var blockBuffers = sync.Pool{New: func() any { return new([blockBytes]byte) }}

// ReadAt reads whole blocks and verifies each.
func (b *body) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= b.entry.size {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && off < b.entry.size {
		m, err := b.readIn(p[n:], off)
		if err != nil {
			return n, b.failed(err)
		}
		n, off = n+m, off+int64(m)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readIn reads from the block that off is in: straight into p when that holds all of it.
func (b *body) readIn(p []byte, off int64) (int, error) {
	i, skip := off/blockBytes, off%blockBytes
	if n := min(blockBytes, b.entry.size-off); skip == 0 && int64(len(p)) >= n {
		return int(n), b.entry.readBlock(b.file, i, p[:n])
	}
	buf := blockBuffers.Get().(*[blockBytes]byte)
	defer blockBuffers.Put(buf)
	block := b.entry.block(buf, i)
	if err := b.entry.readBlock(b.file, i, block); err != nil {
		return 0, err
	}
	return copy(p, block[skip:]), nil
}

// kept reports whether the bytes are in a file that others may write to.
func (b *body) kept() bool { return b.entry.kept != "" }

// File verifies the whole body, if Load has not; one that others may have written to since, every time.
func (b *body) File() (*os.File, error) {
	if b.kept() || !b.verified.Load() {
		if err := b.entry.verifyWhole(b.file); err != nil {
			return nil, b.failed(err)
		}
		b.verified.Store(true)
	}
	return b.file, nil
}

// Close closes the file.
func (b *body) Close() error { return b.file.Close() }

func (b *body) failed(err error) error {
	if errors.Is(err, asset.ErrCorrupt) {
		b.disk.discard(b.named, b.hash, err)
		return fmt.Errorf("disk read %016x: %w", b.hash, err)
	}
	if b.kept() {
		b.disk.removeNamed(b.named, b.hash) // the provider is asked next, and another one if that cannot read it either
	}
	return fmt.Errorf("disk read %016x: %w: %w", b.hash, asset.ErrUnavailable, err)
}
