// Package assettest holds the conformance suite that every [asset.Store] runs, and what tests of stores and loaders
// need: keys, bodies that fail half-way, two keys with one hash, a full disk.
//
// Its one invariant: a store that passes returns exactly what was put under a key, or an error.
//
//	func TestDisk(t *testing.T) {
//		assettest.TestStore(t, func(t *testing.T) asset.Store {
//			d, err := cache.NewDisk(cache.DiskConfig{Dir: t.TempDir(), …}, cache.Events{})
//			…
//			return d
//		}, assettest.Options{})
//	}
package assettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

// Options say what the suite may expect of a store.
type Options struct {
	// Lossy: the store may not have what was put into it. It must then say so, and it must keep something.
	Lossy bool
	// BytesOnly: the store keeps no media type, no pixel size and no quality; loaded objects have none.
	BytesOnly bool
	// Key makes the key for an object of the suite: different names must give different keys unless the key depends on
	// the bytes alone. Nil is [Rendition]. A store that keeps originals only, and verifies them, takes [Original].
	Key func(name string, b []byte) asset.Key
	// MaxObjectBytes leaves out larger objects; 0 leaves out none. The largest has about 5 MiB.
	MaxObjectBytes int
}

// TestStore runs the suite as subtests of t. open returns an empty store that is closed by t's cleanup.
func TestStore(t *testing.T, open func(t *testing.T) asset.Store, opts Options) {
	if opts.Key == nil {
		opts.Key = Rendition
	}
	tests := []struct {
		name string
		run  func(*suite)
	}{
		{"RoundTrip", (*suite).roundTrip},
		{"NotFound", (*suite).notFound},
		{"Overwrite", (*suite).overwrite},
		{"Delete", (*suite).delete},
		{"Neighbours", (*suite).neighbours},
		{"Collision", (*suite).collision},
		{"ReadAt", (*suite).readAt},
		{"FailingSource", (*suite).failingSource},
		{"Cancelled", (*suite).cancelled},
		{"Outlives", (*suite).outlives},
		{"Concurrent", (*suite).concurrent},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(&suite{T: t, opts: opts, store: open(t)}) })
	}
}

// A suite is one test on one store.
type suite struct {
	*testing.T
	opts  Options
	store asset.Store
}

// sizes are around the blocks and limits that stores like to have.
var sizes = []int{0, 1, 100, 4095, 4096, 4097, 64<<10 - 1, 64 << 10, 64<<10 + 1, 1<<20 - 1, 1 << 20, 1<<20 + 1, 5<<20 + 12345}

func (s *suite) roundTrip() {
	kept := 0
	for i, size := range s.sizes() {
		for j, onDisk := range []bool{false, true} {
			x := s.sample(fmt.Sprint("roundtrip", size, onDisk), Bytes(size, uint64(2*i+j)))
			x.onDisk = onDisk
			s.mustPut(x)
			if s.check(x) {
				kept++
			}
		}
	}
	if kept == 0 {
		s.Error("the store kept nothing at all")
	}
}

func (s *suite) notFound() {
	missing := s.sample("missing", Bytes(10, 1))
	s.mustMiss(missing.key)
	s.mustPut(s.sample("present", Bytes(10, 2)))
	s.mustMiss(missing.key)
}

// overwrite puts again under the same key: other bytes where the key allows it, a shorter object and a longer one.
func (s *suite) overwrite() {
	first := s.sample("overwritten", Bytes(9000, 1))
	for i, size := range []int{9000, 9000, 10, 70000} {
		x := s.sample("overwritten", Bytes(size, uint64(i)))
		if x.key != first.key {
			x = first
		}
		x.onDisk = i%2 == 0
		s.mustPut(x)
		s.check(x)
	}
}

func (s *suite) delete() {
	gone, stays := s.sample("gone", Bytes(5000, 1)), s.sample("stays", Bytes(5000, 2))
	s.mustPut(gone)
	s.mustPut(stays)
	for range 2 {
		s.mustDelete(gone.key)
		s.mustMiss(gone.key)
	}
	s.check(stays)
	s.mustPut(gone)
	s.check(gone)
}

// neighbours are keys that differ in one part only.
func (s *suite) neighbours() {
	k := s.opts.Key("neighbours", nil)
	if k.IsOriginal() {
		s.Skip("the store keeps originals only")
	}
	wider, webp, purged, other := k, k, k, k
	wider.Variant.Width++
	webp.Variant.Format = asset.WebP
	purged.Generation++
	other.Original[31]++
	var samples []sample
	for i, key := range []asset.Key{k, wider, webp, purged, other} {
		samples = append(samples, sample{key: key, bytes: Bytes(1000, uint64(i))})
		s.mustPut(samples[i])
	}
	for _, x := range samples {
		s.check(x)
	}
}

// collision: of two keys with one hash the store may keep either or both, and must not take one for the other.
func (s *suite) collision() {
	k := s.opts.Key("collision", nil)
	if k.IsOriginal() {
		s.Skip("the store keeps originals only: nobody can arrange a digest")
	}
	a, b := Collide(k.Variant)
	first, second := sample{key: a, bytes: Bytes(3000, 1)}, sample{key: b, bytes: Bytes(3000, 2)}
	s.mustPut(first)
	s.mustMiss(b)
	s.check(first)
	s.mustPut(second)
	if one, other := s.maybe(first), s.maybe(second); !one && !other && !s.opts.Lossy {
		s.Error("neither of two keys with one hash is there")
	}
	s.mustDelete(b)
	s.mustMiss(b)
	s.maybe(first)
}

func (s *suite) readAt() {
	for i, size := range s.sizes() {
		x := s.sample(fmt.Sprint("readat", size), Bytes(size, uint64(i)))
		s.mustPut(x)
		o, ok := s.load(x.key)
		if !ok {
			continue
		}
		for _, off := range []int{0, 1, size / 2, 64<<10 - 1, 64 << 10, 64<<10 + 1, 1 << 20, max(0, size-1), size, size + 1} {
			for _, n := range []int{1, 513, 64 << 10, 64<<10 + 3} {
				checkReadAt(s.T, o, x.bytes, off, n)
			}
		}
		o.Release()
	}
}

// checkReadAt holds o to the contract of io.ReaderAt.
func checkReadAt(t *testing.T, o *asset.Object, want []byte, off, n int) {
	t.Helper()
	expected := want[min(off, len(want)):min(off+n, len(want))]
	p := make([]byte, n)
	got, err := o.ReadAt(p, int64(off))
	if !bytes.Equal(p[:got], expected) {
		t.Errorf("ReadAt(%d bytes, %d) of %d: %d bytes, wanted %d, or they differ", n, off, len(want), got, len(expected))
	}
	if got < n && err != io.EOF || got == n && err != nil && err != io.EOF {
		t.Errorf("ReadAt(%d bytes, %d) of %d: %d bytes and error %v", n, off, len(want), got, err)
	}
}

var errBroken = errors.New("assettest: broken half-way")

// failingSource: an object that cannot be read to its end leaves nothing, and what was there stays.
func (s *suite) failingSource() {
	for i, size := range []int{10, 200_000, 3 << 20} {
		if s.tooLarge(size) {
			continue
		}
		x := s.sample(fmt.Sprint("failing", size), Bytes(size, uint64(i)))
		for _, broken := range []sample{x.breaks(0, errBroken), x.breaks(size/2, errBroken), x.breaks(size/2, io.EOF)} {
			if err := s.put(broken); err == nil && !s.opts.Lossy {
				s.Errorf("put of %s: no error", broken)
			}
			s.mustMiss(x.key)
		}
		s.mustPut(x)
		_ = s.put(x.breaks(size/2, errBroken)) // a store may see that it has the object, and not read it
		s.check(x)
	}
}

// cancelled: a store may answer or say that it was cancelled, and nothing else.
func (s *suite) cancelled() {
	ctx, cancel := context.WithCancel(s.Context())
	there, later := s.sample("there", Bytes(100_000, 1)), s.sample("later", Bytes(100_000, 2))
	s.mustPut(there)
	cancel()
	switch o, err := s.store.Load(ctx, there.key); {
	case err == nil:
		s.compare(o, there)
	case !errors.Is(err, context.Canceled) && !(s.opts.Lossy && errors.Is(err, asset.ErrNotFound)):
		s.Errorf("load with a cancelled context: %v", err)
	}
	switch err := s.putOn(ctx, later); {
	case err == nil:
		s.check(later)
	case !errors.Is(err, context.Canceled):
		s.Errorf("put with a cancelled context: %v", err)
	default:
		s.mustMiss(later.key)
	}
	s.check(there)
}

// outlives: a loaded object can be read until its last reference is released, whatever the store does.
func (s *suite) outlives() {
	for i, size := range s.sizes() {
		x := s.sample(fmt.Sprint("outlives", size), Bytes(size, uint64(i)))
		s.mustPut(x)
		held, ok := s.load(x.key)
		if !ok {
			continue
		}
		s.mustDelete(x.key)
		s.mustMiss(x.key)
		s.compare(held.Retain(), x)
		s.compare(held, x)
	}
}

// concurrent: many goroutines on few keys; what is found is right.
func (s *suite) concurrent() {
	const goroutines, rounds, keys = 16, 40, 7
	var samples []sample
	for i := range keys {
		size := 20_000*i + i
		if s.tooLarge(size) {
			size = s.opts.MaxObjectBytes
		}
		x := s.sample(fmt.Sprint("concurrent", i), Bytes(size, uint64(i)))
		x.onDisk = i%2 == 1
		samples = append(samples, x)
	}
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for r := range rounds {
				s.act(g+r, samples[(g*7+r)%keys])
			}
		})
	}
	all.Wait()
}

// act does one of the three things with x that can be done with a store.
func (s *suite) act(n int, x sample) {
	switch n % 5 {
	case 0:
		if err := s.put(x); err != nil {
			s.Errorf("put: %v", err)
		}
	case 1:
		if err := s.store.Delete(s.Context(), x.key); err != nil {
			s.Errorf("delete: %v", err)
		}
	default:
		s.maybe(x)
	}
}

func (s *suite) sizes() []int {
	return slices.DeleteFunc(slices.Clone(sizes), s.tooLarge)
}

func (s *suite) tooLarge(size int) bool {
	return s.opts.MaxObjectBytes > 0 && size > s.opts.MaxObjectBytes
}

func (s *suite) sample(name string, b []byte) sample {
	return sample{key: s.opts.Key(name, b), bytes: b}
}

func (s *suite) mustPut(x sample) {
	s.Helper()
	if err := s.put(x); err != nil {
		s.Fatalf("put %s: %v", x, err)
	}
}

func (s *suite) put(x sample) error {
	s.Helper()
	return s.putOn(s.Context(), x)
}

// putOn puts x and releases it. A store keeps a copy, so the body must be closed then.
func (s *suite) putOn(ctx context.Context, x sample) error {
	s.Helper()
	o, body := x.object(s.T)
	err := s.store.Put(ctx, o)
	o.Release()
	if body != nil && body.Closed() != 1 {
		s.Errorf("put %s: the body was closed %d times after the caller released it, wanted once", x, body.Closed())
	}
	return err
}

func (s *suite) mustDelete(k asset.Key) {
	s.Helper()
	if err := s.store.Delete(s.Context(), k); err != nil {
		s.Fatalf("delete: %v", err)
	}
}

// load returns the object; false when a lossy store does not have it.
func (s *suite) load(k asset.Key) (*asset.Object, bool) {
	s.Helper()
	o, err := s.store.Load(s.Context(), k)
	if err != nil && !(s.opts.Lossy && errors.Is(err, asset.ErrNotFound)) {
		s.Errorf("load: %v", err)
	}
	return o, err == nil
}

// check loads what was put as x and compares. It reports whether it was there.
func (s *suite) check(x sample) bool {
	s.Helper()
	o, ok := s.load(x.key)
	if ok {
		s.compare(o, x)
	}
	return ok
}

// maybe is check for what may not be there whatever the store promises.
func (s *suite) maybe(x sample) bool {
	s.Helper()
	o, err := s.store.Load(s.Context(), x.key)
	switch {
	case err == nil:
		s.compare(o, x)
	case !errors.Is(err, asset.ErrNotFound):
		s.Errorf("load: %v", err)
	}
	return err == nil
}

// compare holds a loaded object, which it releases, to what was put.
func (s *suite) compare(o *asset.Object, x sample) {
	s.Helper()
	defer o.Release()
	if o.Key != x.key {
		s.Errorf("loaded %s, wanted %s", o.Key, x.key)
	}
	if !s.opts.BytesOnly && (o.MediaType != mediaType || o.Width != width || o.Height != height || o.Quality != quality) {
		s.Errorf("loaded %q of %d×%d px and quality %d, put was %q of %d×%d and %d",
			o.MediaType, o.Width, o.Height, o.Quality, mediaType, width, height, quality)
	}
	checkBytes(s.T, o, x.bytes)
}

func (s *suite) mustMiss(k asset.Key) {
	s.Helper()
	o, err := s.store.Load(s.Context(), k)
	if err == nil {
		s.Errorf("%s is there: %d bytes", k, o.Size)
		o.Release()
	} else if !errors.Is(err, asset.ErrNotFound) {
		s.Errorf("load of what is not there: %v, wanted ErrNotFound", err)
	}
}

// checkBytes reads o in every way it offers.
func checkBytes(t *testing.T, o *asset.Object, want []byte) {
	t.Helper()
	if o.Size != int64(len(want)) {
		t.Errorf("%d bytes, wanted %d", o.Size, len(want))
		return
	}
	b, ok := o.Bytes()
	if ok && !bytes.Equal(b, want) {
		t.Errorf("Bytes of %d differ", len(want))
	}
	got, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("reading %d bytes: %d that differ, or error %v", len(want), len(got), err)
	}
	f, err := o.File()
	if err != nil || (f == nil) != ok {
		t.Errorf("File: %v, %v; in memory: %v", f, err, ok)
		return
	}
	if f != nil {
		checkFile(t, f, want)
	}
}

func checkFile(t *testing.T, f *os.File, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := f.ReadAt(got, 0); err != nil && len(want) > 0 || !bytes.Equal(got, want) {
		t.Errorf("File's first %d bytes differ, or error %v", len(want), err)
	}
}
