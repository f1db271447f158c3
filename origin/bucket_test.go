package origin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/asset/assettest"
)

// sizes lie on both sides of every limit there is.
var sizes = []int{0, 1, 512, maxMemoryBytes, maxMemoryBytes + 1, 3 << 20}

func TestBucketKeepsBytes(t *testing.T) {
	for _, url := range []string{"file://" + t.TempDir(), "mem://"} {
		b := openBucket(t, url)
		for _, size := range sizes {
			o := original(size)
			must(t, b.Put(t.Context(), o))
			got, err := b.Load(t.Context(), o.Key)
			must(t, err)
			if !bytes.Equal(content(t, got), content(t, o)) || got.Key != o.Key {
				t.Errorf("%s: %d bytes came back as %d others", url, size, got.Size)
			}
			if _, inMemory := got.Bytes(); inMemory != (size <= maxMemoryBytes) {
				t.Errorf("%s: %d bytes in memory: %t", url, size, inMemory)
			}
			if kept, err := os.ReadFile(got.Kept); (err == nil && bytes.Equal(kept, content(t, o))) != (url != "mem://") {
				t.Errorf("%s: %d bytes are kept at %q: %d, %v", url, size, got.Kept, len(kept), err)
			}
			got.Release()
			must(t, b.Delete(t.Context(), o.Key))
			wantError(t, loadError(t, b, o.Key), asset.ErrNotFound)
			must(t, b.Delete(t.Context(), o.Key))
		}
	}
}

func TestBucketConforms(t *testing.T) {
	options := assettest.Options{BytesOnly: true, Key: assettest.Original}
	t.Run("file", func(t *testing.T) {
		assettest.TestStore(t, func(t *testing.T) asset.Store { return openBucket(t, "file://"+t.TempDir()) }, options)
	})
	t.Run("mem", func(t *testing.T) {
		assettest.TestStore(t, func(t *testing.T) asset.Store { return openBucket(t, "mem://") }, options)
	})
}

func TestBucketLayout(t *testing.T) {
	dir := t.TempDir()
	b := openBucket(t, "file://"+dir)
	o := original(100)
	must(t, b.Put(t.Context(), o))
	digest := o.Key.Original.String()
	if got, want := files(t, dir), "sha256/"+digest[:2]+"/"+digest; len(got) != 1 || got[0] != want {
		t.Errorf("files are %q, want only %q", got, want)
	}
}

func TestBucketRefusesRenditions(t *testing.T) {
	b := openBucket(t, "mem://")
	k := asset.Key{Variant: asset.Variant{Width: 100, Format: asset.WebP}}
	wantError(t, loadError(t, b, k), asset.ErrInvalid)
	wantError(t, b.Put(t.Context(), asset.NewObject(k, "image/webp", []byte("x"))), asset.ErrInvalid)
	wantError(t, b.Delete(t.Context(), k), asset.ErrInvalid)
}

func TestBucketNoticesDamage(t *testing.T) {
	dir := t.TempDir()
	b := openBucket(t, "file://"+dir)
	for _, size := range sizes[1:] {
		o := original(size)
		must(t, b.Put(t.Context(), o))
		path := pathOf(dir, o.Key)
		whole := content(t, o)

		flipped := bytes.Clone(whole)
		flipped[rand.IntN(size)] ^= 1
		for _, damaged := range [][]byte{flipped, whole[:size-1], append(bytes.Clone(whole), 0), nil} {
			must(t, os.WriteFile(path, damaged, 0o644))
			wantError(t, loadError(t, b, o.Key), asset.ErrCorrupt)
		}

		must(t, os.WriteFile(path, flipped, 0o644))
		must(t, b.Put(t.Context(), o))
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, whole) {
			t.Errorf("a damaged original of %d bytes was not replaced", size)
		}
	}
}

func TestBucketPutIsIdempotent(t *testing.T) {
	dir := t.TempDir()
	b := openBucket(t, "file://"+dir)
	o := original(2 << 20)
	must(t, b.Put(t.Context(), o))
	before, err := os.Stat(pathOf(dir, o.Key))
	must(t, err)
	must(t, b.Put(t.Context(), o))
	if after, err := os.Stat(pathOf(dir, o.Key)); err != nil || !os.SameFile(before, after) {
		t.Error("the second Put wrote the file again")
	}
}

func TestBucketRefusesWrongBytes(t *testing.T) {
	for _, size := range sizes[1:] {
		o := original(size)
		wrong := asset.NewObject(asset.Key{Original: asset.Digest{1}}, "", content(t, o))
		wantNotPut(t, wrong, asset.ErrCorrupt)
		wantNotPut(t, asset.NewBodyObject(o.Key, "", o.Size+1, memory{content(t, o)}), asset.ErrCorrupt)
		wantNotPut(t, asset.NewBodyObject(o.Key, "", o.Size, broken{}), errSource)
	}
}

// wantNotPut puts o into fresh buckets and finds nothing of it there.
func wantNotPut(t *testing.T, o *asset.Object, want error) {
	t.Helper()
	dir := t.TempDir()
	for _, url := range []string{"file://" + dir, "mem://"} {
		b := openBucket(t, url)
		wantError(t, b.Put(t.Context(), o), want)
		wantError(t, loadError(t, b, o.Key), asset.ErrNotFound)
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestBucketPutCancelled(t *testing.T) {
	dir := t.TempDir()
	b := openBucket(t, "file://"+dir)
	o := original(2 << 20)
	ctx, cancel := context.WithCancel(t.Context())
	leaving := asset.NewBodyObject(o.Key, "", o.Size, hook{memory{content(t, o)}, cancel})
	wantError(t, b.Put(ctx, leaving), context.Canceled)
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestBucketRootGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	b := openBucket(t, "file://"+dir)
	o := original(100)
	must(t, b.Put(t.Context(), o))

	must(t, os.Rename(dir, dir+".away"))
	wantError(t, loadError(t, b, o.Key), asset.ErrUnavailable)
	wantError(t, b.Put(t.Context(), original(10)), asset.ErrUnavailable)
	wantError(t, b.Delete(t.Context(), o.Key), asset.ErrUnavailable)
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the root was made again")
	}

	must(t, os.WriteFile(dir, nil, 0o644)) // a file in its place
	wantError(t, loadError(t, b, o.Key), asset.ErrUnavailable)
	wantError(t, b.Put(t.Context(), original(10)), asset.ErrUnavailable)
	must(t, os.Remove(dir))

	must(t, os.Rename(dir+".away", dir))
	must(t, loadError(t, b, o.Key))
}

func TestBucketScratchFails(t *testing.T) {
	scratch := filepath.Join(t.TempDir(), "a", "scratch")
	b, err := OpenBucket(t.Context(), Config{Name: "p", URL: "mem://", ScratchDir: scratch})
	must(t, err)
	defer b.Close()
	must(t, os.Remove(scratch))
	o := original(2 << 20)
	must(t, b.Put(t.Context(), o))
	err = loadError(t, b, o.Key)
	wantError(t, err, asset.ErrUnavailable)
	wantError(t, err, errScratch)
	if !excluded(err) {
		t.Error("the provider is blamed for the scratch directory")
	}
}

// TestBucketKeepsLargeOffHeap moves 40 MiB through a bucket and looks at what was allocated for it.
func TestBucketKeepsLargeOffHeap(t *testing.T) {
	const size = 40 << 20 // more than maxUnsyncedBytes
	b := openBucket(t, "file://"+t.TempDir())
	o := endless(size)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	must(t, b.Put(t.Context(), o))
	must(t, loadError(t, b, o.Key))
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 1<<20 {
		t.Errorf("%d bytes were allocated to move %d", allocated, size)
	}
}

func BenchmarkBucketLoad(b *testing.B) {
	for name, size := range map[string]int{"1MiB": 1 << 20, "16MiB": 16 << 20} {
		b.Run(name, func(b *testing.B) {
			bucket := openBucket(b, "file://"+b.TempDir())
			o := original(size)
			must(b, bucket.Put(b.Context(), o))
			b.SetBytes(o.Size)
			b.ReportAllocs()
			for b.Loop() {
				must(b, loadError(b, bucket, o.Key))
			}
		})
	}
}

func openBucket(t testing.TB, url string) *Bucket {
	t.Helper()
	b, err := OpenBucket(t.Context(), Config{Name: "p", URL: url, ScratchDir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// original returns an original of so many random bytes.
func original(size int) *asset.Object {
	p := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(rand.Int()), byte(rand.Int()), byte(rand.Int())}).Read(p)
	return asset.NewObject(asset.Key{Original: sha256.Sum256(p)}, "", p)
}

func pathOf(dir string, k asset.Key) string {
	name, _ := objectName(k)
	return filepath.Join(dir, name)
}

func content(t testing.TB, o *asset.Object) []byte {
	t.Helper()
	p, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size))
	must(t, err)
	return p
}

func loadError(t testing.TB, l asset.Loader, k asset.Key) error {
	t.Helper()
	o, err := l.Load(t.Context(), k)
	if err == nil {
		o.Release()
	}
	return err
}

// files lists the regular files under dir.
func files(t testing.TB, dir string) (found []string) {
	t.Helper()
	must(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, path)
		}
		return err
	}))
	return found
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
}

// A memory is a body in memory.
type memory struct{ p []byte }

func (m memory) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(m.p).ReadAt(p, off) }
func (m memory) File() (*os.File, error)                 { return nil, errors.ErrUnsupported }
func (m memory) Close() error                            { return nil }

// A hook is a body that calls do when it is read.
type hook struct {
	memory
	do func()
}

func (h hook) ReadAt(p []byte, off int64) (int, error) {
	h.do()
	return h.memory.ReadAt(p, off)
}

// A broken body cannot be read.
type broken struct{ memory }

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errors.New("broken") }

// A pattern is bytes that take no memory.
type pattern struct{ memory }

func (pattern) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		p[i] = byte((off + int64(i)) * 7 >> 3)
	}
	return len(p), nil
}

func endless(size int64) *asset.Object {
	sum := sha256.New()
	_, _ = io.Copy(sum, io.NewSectionReader(pattern{}, 0, size))
	return asset.NewBodyObject(asset.Key{Original: asset.Digest(sum.Sum(nil))}, "", size, pattern{})
}

func TestBucketDiskFull(t *testing.T) {
	if !assettest.Alone(t) {
		return
	}
	dir := t.TempDir()
	b := openBucket(t, "file://"+dir)
	inMemory := openBucket(t, "mem://")
	o := original(2 << 20)
	must(t, inMemory.Put(t.Context(), o))

	assettest.LimitFiles(t, 1<<20)
	err := b.Put(t.Context(), o)
	wantError(t, err, asset.ErrUnavailable)
	wantError(t, err, syscall.EFBIG)
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	err = loadError(t, inMemory, o.Key)
	wantError(t, err, asset.ErrUnavailable)
	wantError(t, err, errScratch)
}

func TestFetchFails(t *testing.T) {
	for _, size := range []int64{10, 2 << 20} {
		_, err := fetch(t.Context(), t.TempDir(), key, iotest.ErrReader(errDisk), size)
		wantError(t, err, errDisk)
		if excluded(err) {
			t.Errorf("%v is no failure of the provider", err)
		}
	}
}

// Only what is on a disk of this machine is said to be kept: anything else may hang, and nothing would bound that.
func TestBucketKeepsNothingElsewhere(t *testing.T) {
	if path := t.TempDir(); keptAt(path) != path {
		t.Error("a temporary directory is on no disk")
	}
	if keptAt("/proc/self/status") != "" || keptAt("/nowhere/at/all") != "" {
		t.Error("kept elsewhere")
	}
}
