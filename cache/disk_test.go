package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/asset/assettest"
)

// openDisk opens a cache and waits until it is restored.
func openDisk(t testing.TB, dir string, maxBytes int64, ev Events) *Disk {
	t.Helper()
	cfg := DefaultConfig().Disk
	cfg.Dir, cfg.MaxBytes = dir, maxBytes
	return openDiskConfig(t, cfg, ev)
}

func openDiskConfig(t testing.TB, cfg DiskConfig, ev Events) *Disk {
	t.Helper()
	d, err := NewDisk(cfg, ev)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	<-d.Ready()
	return d
}

// kill leaves the directory as a process that was killed does.
func kill(t *testing.T, d *Disk) {
	t.Helper()
	if err := d.lock.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustMiss(t testing.TB, s asset.Store, k asset.Key) {
	t.Helper()
	if _, err := s.Load(context.Background(), k); !errors.Is(err, asset.ErrNotFound) {
		t.Errorf("load: %v, wanted ErrNotFound", err)
	}
}

func checkSame(t testing.TB, s asset.Store, want *asset.Object) {
	t.Helper()
	got := load(t, s, context.Background(), want.Key)
	defer got.Release()
	b, err := io.ReadAll(io.NewSectionReader(got, 0, got.Size))
	wanted, _ := want.Bytes()
	if err != nil || string(b) != string(wanted) || got.MediaType != want.MediaType {
		t.Errorf("loaded %d bytes of %s that differ, or %v", len(b), got.MediaType, err)
	}
}

// usage is what the files and directories in dir take on disk: `du -sB1`.
func usage(t testing.TB, dir string) (bytes int64, files int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil {
			bytes += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		if !e.IsDir() {
			files++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes, files - 1 // the lock
}

func TestDiskConforms(t *testing.T) {
	for name, limits := range map[string][2]int64{
		"Default":    {1 << 20, 64 << 20},
		"Inline":     {64 << 20, 64 << 20},
		"Verified":   {0, 64 << 20},
		"Unverified": {0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assettest.TestStore(t, func(t *testing.T) asset.Store {
				return openDiskConfig(t, DiskConfig{Dir: t.TempDir(), MaxBytes: 256 << 20, InlineBytes: limits[0], VerifyBytes: limits[1]}, Events{})
			}, assettest.Options{})
		})
	}
}

// Objects up to InlineBytes are in memory, larger ones in their file.
func TestDiskInlines(t *testing.T) {
	cfg := DiskConfig{Dir: t.TempDir(), MaxBytes: 1 << 20, InlineBytes: 5000}
	d := openDiskConfig(t, cfg, Events{})
	for _, size := range []int{4500, 5000, 5001} {
		mustPut(t, d, testObject(size, size))
		o := load(t, d, t.Context(), testKey(size))
		if _, inline := o.Bytes(); inline != (size <= 5000) {
			t.Errorf("%d bytes: in memory %v", size, inline)
		}
		o.Release()
	}
}

// damage calls f with every way in which one byte or the length of a file can be wrong.
func damage(good []byte, f func(what string, b []byte)) {
	for i := range good {
		b := append([]byte(nil), good...)
		b[i] ^= 1 << (i % 8)
		f(fmt.Sprint("flipped at ", i), b)
	}
	for n := range good {
		f(fmt.Sprint("cut at ", n), good[:n])
	}
	f("a byte more", append(append([]byte(nil), good...), 0))
	f("twice", append(append([]byte(nil), good...), good...))
	f("zeros", make([]byte, len(good)))
}

// A file that is wrong anywhere is not served: it is removed, reported, and made again through a tier.
func TestDiskNoticesDamage(t *testing.T) {
	for name, inline := range map[string]int64{"Inline": 1 << 20, "Body": 0} {
		t.Run(name, func(t *testing.T) {
			var corrupt atomic.Int32
			d := openDiskConfig(t, DiskConfig{Dir: t.TempDir(), MaxBytes: 1 << 20, InlineBytes: inline, VerifyBytes: 1 << 20},
				Events{Corrupt: func(error) { corrupt.Add(1) }})
			made := int32(0)
			tier := NewTier(asset.DiskTier, d, asset.LoaderFunc(func(_ context.Context, k asset.Key) (*asset.Object, error) {
				made++
				return asset.NewObject(k, "image/avif", wantBytes[:300]), nil
			}), Events{})
			load(t, tier, t.Context(), testKey(1)).Release()
			path := d.path(testKey(1).Hash())
			good, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want := asset.NewObject(testKey(1), "image/avif", wantBytes[:300])
			damage(good, func(what string, b []byte) {
				before := made
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
				o := load(t, tier, t.Context(), testKey(1))
				if o.Release(); made != before+1 {
					t.Errorf("%s: not made again", what)
				}
				checkSame(t, d, want)
			})
			if corrupt.Load() != made-1 {
				t.Errorf("%d reports of %d damaged files", corrupt.Load(), made-1)
			}
			closeTier(t, tier)
			checkAccounts(t, d)
		})
	}
}

// Without verification at Load, damage shows when its block is read, and in File; the file is removed.
func TestDiskNoticesDamageInBody(t *testing.T) {
	var corrupt atomic.Int32
	d := openDiskConfig(t, DiskConfig{Dir: t.TempDir(), MaxBytes: 1 << 20}, Events{Corrupt: func(error) { corrupt.Add(1) }})
	const size = 3*blockBytes + 100
	for i, off := range []int64{0, blockBytes - 1, blockBytes, 2*blockBytes + 5, 3 * blockBytes, size - 1} {
		mustPut(t, d, testObject(1, size))
		flip(t, d.path(testKey(1).Hash()), off)
		o := load(t, d, t.Context(), testKey(1))
		if off >= blockBytes {
			if n, err := o.ReadAt(make([]byte, blockBytes), 0); n != blockBytes || err != nil {
				t.Errorf("reading before the damage: %d, %v", n, err)
			}
		}
		p := make([]byte, size)
		if n, err := o.ReadAt(p, 0); !errors.Is(err, asset.ErrCorrupt) || int64(n) != off/blockBytes*blockBytes {
			t.Errorf("damage at %d: %d bytes, %v", off, n, err)
		}
		if n, err := o.ReadAt(p[:1], off); n != 0 || !errors.Is(err, asset.ErrCorrupt) {
			t.Errorf("damage at %d, read one byte: %d, %v", off, n, err)
		}
		if _, err := o.File(); !errors.Is(err, asset.ErrCorrupt) {
			t.Errorf("damage at %d: File: %v", off, err)
		}
		o.Release()
		mustMiss(t, d, testKey(1))
		if corrupt.Load() != int32(3*i+3) {
			t.Errorf("%d reports after %d reads", corrupt.Load(), 3*i+3)
		}
	}
	checkAccounts(t, d)
}

func flip(t *testing.T, path string, off int64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[off] ^= 0x10
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteAt(b[off:off+1], off); err != nil {
		t.Fatal(err)
	}
}

// A reader that finds damage does not remove what a Put has put in its place meanwhile.
func TestDiskDiscardsOnlyWhatItRead(t *testing.T) {
	d := openDiskConfig(t, DiskConfig{Dir: t.TempDir(), MaxBytes: 1 << 20}, Events{})
	mustPut(t, d, testObject(1, 5000))
	flip(t, d.path(testKey(1).Hash()), 10)
	o := load(t, d, t.Context(), testKey(1))
	mustPut(t, d, testObject(1, 5000))
	if _, err := o.File(); !errors.Is(err, asset.ErrCorrupt) {
		t.Errorf("File: %v", err)
	}
	o.Release()
	checkSame(t, d, testObject(1, 5000))
}

// checkAccounts: what is counted is what is there.
func checkAccounts(t testing.TB, d *Disk) {
	t.Helper()
	bytes, files := usage(t, d.cfg.Dir)
	if d.Bytes() != bytes || d.Len() != files {
		t.Errorf("%d bytes in %d entries are counted, %d bytes in %d files are there", d.Bytes(), d.Len(), bytes, files)
	}
}

func TestDiskSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	d := openDisk(t, dir, 4<<20, Events{})
	for n := range 50 {
		mustPut(t, d, testObject(n, 1000*n))
	}
	bytes := d.Bytes()
	kill(t, d)
	d = openDisk(t, dir, 4<<20, Events{})
	if d.Len() != 50 || d.Bytes() != bytes {
		t.Errorf("%d entries of %d bytes after the restart, %d bytes before", d.Len(), d.Bytes(), bytes)
	}
	for n := range 50 {
		checkSame(t, d, testObject(n, 1000*n))
	}
	checkAccounts(t, d)
}

// Before every file is counted there are hits, and no writes. What is dropped then is not counted after.
func TestDiskWhileRestoring(t *testing.T) {
	dir := t.TempDir()
	d := openDisk(t, dir, 1<<20, Events{})
	for n := range 3 {
		mustPut(t, d, testObject(n, 1000))
	}
	kill(t, d)
	cfg := d.cfg
	d = unsettled(cfg, Events{})
	if err := d.settle(); err != nil {
		t.Fatal(err)
	}
	files := d.list()
	checkSame(t, d, testObject(0, 1000))
	if err := d.Put(t.Context(), testObject(3, 1000)); !errors.Is(err, asset.ErrUnavailable) {
		t.Errorf("put: %v, wanted ErrUnavailable", err)
	}
	if err := d.Delete(t.Context(), testKey(1)); err != nil {
		t.Error(err)
	}
	d.adopt(files)
	checkAccounts(t, d)
	mustMiss(t, d, testKey(1))
	checkSame(t, d, testObject(2, 1000))
}

// A restart removes what was half written and nothing that is not the cache's.
func TestDiskRestoreCleans(t *testing.T) {
	dir := t.TempDir()
	d := openDisk(t, dir, 1<<20, Events{})
	for n := range 3 {
		mustPut(t, d, testObject(n, 1000))
	}
	good := d.path(testKey(0).Hash())
	if err := os.Truncate(d.path(testKey(1).Hash()), 700); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.path(testKey(2).Hash()), 0); err != nil {
		t.Fatal(err)
	}
	kill(t, d)
	foreign := []string{
		"README", "tmp/mine", "a/b", "0/00/readme", filepath.Dir(good)[len(dir)+1:] + "/" + filepath.Base(good) + ".bak",
		"f/0000000000000000", "0/00/0000000000000000", // the name of an entry, in the wrong place
	}
	stray := filepath.Join(dir, "tmp/put-123")
	for _, name := range append(foreign, "tmp/put-123") {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("something"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var corrupt atomic.Int32
	d = openDisk(t, dir, 1<<20, Events{Corrupt: func(error) { corrupt.Add(1) }, Failed: func(_ asset.Room, err error) { t.Log(err) }})
	for _, name := range foreign {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Errorf("a foreign file is gone: %v", err)
		}
	}
	if _, err := os.Stat(stray); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a temporary file is left: %v", err)
	}
	if corrupt.Load() != 2 || d.Len() != 1 {
		t.Errorf("%d reports, %d entries", corrupt.Load(), d.Len())
	}
	checkSame(t, d, testObject(0, 1000))
}

// After a restart with a smaller cap the youngest entries are left.
func TestDiskRestoreEvicts(t *testing.T) {
	dir := t.TempDir()
	const size = 240_000 // four fit in 1 MiB
	d := openDisk(t, dir, 4<<20, Events{})
	now := time.Now()
	for n := range 10 {
		mustPut(t, d, testObject(n, size))
		age := now.Add(-time.Duration((n*7)%10) * 24 * time.Hour)
		if err := os.Chtimes(d.path(testKey(n).Hash()), age, age); err != nil {
			t.Fatal(err)
		}
	}
	load(t, d, t.Context(), testKey(7)).Release() // 9 days old, and used: it is the youngest now
	kill(t, d)
	d = openDisk(t, dir, 1<<20, Events{})
	for n := range 10 {
		if days := (n * 7) % 10; days < 3 || n == 7 {
			checkSame(t, d, testObject(n, size))
		} else {
			mustMiss(t, d, testKey(n))
		}
	}
	checkAccounts(t, d)
}

// openSmall opens a cache with room for so many units of files.
func openSmall(t *testing.T, units int64, ev Events) *Disk {
	t.Helper()
	d := openDiskConfig(t, DiskConfig{Dir: t.TempDir(), MaxBytes: minDiskBytes}, ev)
	d.units = d.fixed + units + growthUnits
	return d
}

func TestDiskEvictionOrder(t *testing.T) {
	var evicted atomic.Int64
	d := openSmall(t, 4, Events{Evicted: func(n int64) { evicted.Add(n) }})
	put := func(n, size int) { mustPut(t, d, testObject(n, size)) }
	has := func(want ...int) {
		t.Helper()
		for n := range 10 {
			_, err := os.Stat(d.path(testKey(n).Hash()))
			wanted := false
			for _, w := range want {
				wanted = wanted || w == n
			}
			if wanted != (err == nil) {
				t.Errorf("entry %d is there: %v", n, !wanted)
			}
		}
		checkAccounts(t, d)
	}
	for n := range 4 {
		put(n, 1000)
	}
	has(0, 1, 2, 3)
	load(t, d, t.Context(), testKey(0)).Release()
	load(t, d, t.Context(), testKey(2)).Release()
	put(4, 1000) // 0 was used and is spared, 1 goes
	has(0, 2, 3, 4)
	put(5, 1000) // 2 was used and is spared, 3 goes
	has(0, 2, 4, 5)
	put(6, 5000) // two units: 4 and 5, the hand is past 0 and 2
	has(0, 2, 6)
	put(6, 1000) // in place of itself: for a moment both are there, so 0 goes or there is no room
	if evicted.Load() != 5*unitBytes {
		t.Errorf("%d bytes evicted", evicted.Load())
	}
	put(7, 4*unitBytes) // larger than the cap with its trailer
	mustMiss(t, d, testKey(7))
	put(8, 4*unitBytes-300)
	has(8)
}

// An object that is too large takes the place of what was under its key all the same.
func TestDiskTooLargeReplaces(t *testing.T) {
	d := openSmall(t, 4, Events{})
	mustPut(t, d, testObject(1, 1000))
	mustPut(t, d, testObject(1, 1<<20))
	mustMiss(t, d, testKey(1))
	checkAccounts(t, d)
}

// A workload is of objects whose size follows from their number.
type workload struct {
	maxBytes        int64
	objects, rounds int
	size            func(n int) int
}

// Files and directories never take more than the cap, while many write, load and delete.
func TestDiskKeepsItsCap(t *testing.T) {
	for name, w := range map[string]workload{
		"Minimum": {minDiskBytes, 200, 300, func(n int) int { return n * n * 3 }},
		"Large":   {8 << 20, 200, 300, func(n int) int { return n * n * 8 }},
		"Many":    {16 << 20, 12000, 2000, func(n int) int { return n % 3000 }},
	} {
		t.Run(name, func(t *testing.T) { w.run(t) })
	}
}

func (w workload) run(t *testing.T) {
	d := openDisk(t, t.TempDir(), w.maxBytes, Events{Failed: func(_ asset.Room, err error) { t.Error(err) }, Corrupt: func(err error) { t.Error(err) }})
	var all sync.WaitGroup
	sample := make(chan struct{})
	for g := range 6 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for i := range w.rounds {
				if w.churn(t, d, r); i%100 == g {
					sample <- struct{}{} // while the others go on
				}
			}
		})
	}
	go func() { all.Wait(); close(sample) }()
	samples, peak := 0, int64(0)
	for range sample {
		d.names.Lock() // else a file that is renamed meanwhile is seen twice
		bytes, _ := usage(t, d.cfg.Dir)
		counted := d.Bytes()
		d.names.Unlock()
		if bytes > w.maxBytes || counted > w.maxBytes || counted < bytes {
			t.Errorf("%d bytes on disk, %d counted, the cap is %d", bytes, counted, w.maxBytes)
		}
		samples, peak = samples+1, max(peak, bytes)
	}
	checkAccounts(t, d)
	if peak < w.maxBytes/2 {
		t.Errorf("the test used only %d bytes", peak)
	}
	t.Logf("%d samples, peak %d of %d bytes, %d of them directories of %d entries", samples, peak, w.maxBytes, d.fixed*unitBytes, d.Len())
}

// churn does something with one of the objects.
func (w workload) churn(t *testing.T, d *Disk, r *rand.Rand) {
	n := r.IntN(w.objects)
	size := w.size(n)
	switch r.IntN(10) {
	case 0:
		if err := d.Delete(context.Background(), testKey(n)); err != nil {
			t.Error(err)
		}
	case 1, 2, 3, 4, 5, 6:
		if err := d.Put(context.Background(), testObject(n, size)); err != nil {
			t.Error(err)
		}
	default:
		o, err := d.Load(context.Background(), testKey(n))
		if err != nil {
			if !errors.Is(err, asset.ErrNotFound) {
				t.Error(err)
			}
			return
		}
		got, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size))
		if err != nil || string(got) != string(assettest.Bytes(size, uint64(n))) {
			t.Errorf("%d bytes differ, or %v", len(got), err)
		}
		o.Release()
	}
}

// Directories that have grown stay counted when their entries make room, and a restart with a lower cap makes them
// small again.
func TestDiskDirectoriesShrinkAtRestart(t *testing.T) {
	dir := t.TempDir()
	d := openDisk(t, dir, 64<<20, Events{})
	empty := d.fixed
	for n := range 10_000 {
		mustPut(t, d, testObject(n, 10))
	}
	grown := d.fixed
	if grown <= empty {
		t.Skip("names take no room on this file system")
	}
	for n := range 3 {
		mustPut(t, d, testObject(-n-1, 20<<20))
	}
	checkAccounts(t, d)
	if d.Len() > 2000 || d.fixed != grown {
		t.Errorf("%d entries are left, directories of %d units, %d when they were full", d.Len(), d.fixed, grown)
	}
	kill(t, d)
	d = openDisk(t, dir, minDiskBytes, Events{})
	mustPut(t, d, testObject(1, 500_000))
	checkSame(t, d, testObject(1, 500_000))
	if bytes, _ := usage(t, dir); bytes > minDiskBytes {
		t.Errorf("%d bytes on disk, the cap is %d", bytes, minDiskBytes)
	}
	checkAccounts(t, d)
}

// What another renderer made is a miss and goes, silently. Originals are not rendered, and stay.
func TestDiskEpoch(t *testing.T) {
	for name, inline := range map[string]int64{"Inline": 1 << 20, "Body": 0} {
		t.Run(name, func(t *testing.T) {
			ev := Events{Corrupt: func(err error) { t.Error(err) }, Failed: func(_ asset.Room, err error) { t.Error(err) }}
			cfg := DiskConfig{Dir: t.TempDir(), MaxBytes: 1 << 20, InlineBytes: inline, Epoch: 1}
			d := openDiskConfig(t, cfg, ev)
			original := asset.NewObject(assettest.Original("", wantBytes[:300]), "image/png", wantBytes[:300])
			for _, o := range []*asset.Object{original, testObject(1, 1000), testObject(2, 1000)} {
				mustPut(t, d, o)
				checkSame(t, d, o)
			}
			kill(t, d)
			cfg.Epoch = 2
			d = openDiskConfig(t, cfg, ev)
			checkSame(t, d, original)
			mustMiss(t, d, testKey(1))
			if d.Len() != 2 {
				t.Errorf("%d entries after the miss", d.Len())
			}
			mustPut(t, d, testObject(1, 1000))
			mustPut(t, d, testObject(2, 1000)) // in place of one that nobody asked for
			checkSame(t, d, testObject(1, 1000))
			checkSame(t, d, testObject(2, 1000))
			checkAccounts(t, d)
		})
	}
}

// What is loaded stays readable when it is evicted, and when the cache is closed.
func TestDiskEvictedIsReadable(t *testing.T) {
	d := openSmall(t, 4, Events{})
	mustPut(t, d, testObject(1, 5000))
	o := load(t, d, t.Context(), testKey(1))
	mustPut(t, d, testObject(2, 13000))
	mustMiss(t, d, testKey(1))
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	p := make([]byte, 5000)
	if _, err := o.ReadAt(p, 0); err != nil || string(p) != string(assettest.Bytes(5000, 1)) {
		t.Errorf("read after eviction: %v", err)
	}
	if f, err := o.File(); err != nil || f == nil {
		t.Errorf("file after eviction: %v", err)
	}
	o.Release()
}

func TestDiskLocksItsDirectory(t *testing.T) {
	dir := t.TempDir()
	d := openDisk(t, dir, 1<<20, Events{})
	cfg := d.cfg
	if _, err := NewDisk(cfg, Events{}); !errors.Is(err, asset.ErrConflict) {
		t.Errorf("second cache in one directory: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	openDisk(t, dir, 1<<20, Events{})
}

func TestDiskClosed(t *testing.T) {
	d := openDisk(t, t.TempDir(), 1<<20, Events{})
	mustPut(t, d, testObject(1, 10))
	for range 2 {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	mustMiss(t, d, testKey(1))
	if err := d.Put(t.Context(), testObject(2, 10)); !errors.Is(err, asset.ErrUnavailable) {
		t.Errorf("put: %v", err)
	}
	if err := d.Delete(t.Context(), testKey(1)); err != nil {
		t.Errorf("delete: %v", err)
	}
}

func TestDiskConfigIsChecked(t *testing.T) {
	good := DefaultConfig()
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Config){
		"memory.max_bytes":        func(c *Config) { c.Memory.MaxBytes = 0 },
		"memory.max_object_bytes": func(c *Config) { c.Memory.MaxObjectBytes = -1 },
		"disk.max_bytes":          func(c *Config) { c.Disk.MaxBytes = minDiskBytes - 1 },
		"disk.inline_bytes":       func(c *Config) { c.Disk.InlineBytes = -1 },
		"disk.verify_bytes":       func(c *Config) { c.Disk.VerifyBytes = -1 },
	} {
		c := good
		spoil(&c)
		if err := c.Validate(); !errors.Is(err, asset.ErrInvalid) || !strings.Contains(fmt.Sprint(err), name) {
			t.Errorf("%s: %v", name, err)
		}
		_, memoryErr := NewMemory(c.Memory)
		_, diskErr := NewDisk(c.Disk, Events{}) // without a directory
		if (memoryErr == nil) == (c.Memory.Validate() != nil) || !errors.Is(diskErr, asset.ErrInvalid) {
			t.Errorf("%s: memory %v, disk %v", name, memoryErr, diskErr)
		}
	}
}

// The directory is deleted under the cache: loads miss, the next Put makes it again, and the lock is held again.
func TestDiskDirectoryDeleted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	d := openDisk(t, dir, 1<<20, Events{})
	for n := range 3 {
		mustPut(t, d, testObject(n, 1000))
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	mustMiss(t, d, testKey(0))
	if d.Len() != 0 || d.Bytes() != 0 {
		t.Errorf("%d entries, %d bytes are counted of a directory that is gone", d.Len(), d.Bytes())
	}
	mustPut(t, d, testObject(1, 1000))
	checkSame(t, d, testObject(1, 1000))
	checkAccounts(t, d)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	mustPut(t, d, testObject(2, 1000)) // notices it as well
	checkSame(t, d, testObject(2, 1000))
	checkAccounts(t, d)
	if _, err := NewDisk(d.cfg, Events{}); !errors.Is(err, asset.ErrConflict) {
		t.Errorf("second cache in the directory: %v", err)
	}
}

// What is in the way of the cache's own directories and files costs writes and not reads.
func TestDiskCannotWrite(t *testing.T) {
	dir := t.TempDir()
	var failed atomic.Int32
	d := openDisk(t, dir, 1<<20, Events{Failed: func(asset.Room, error) { failed.Add(1) }})
	mustPut(t, d, testObject(1, 1000))
	used := d.Bytes()
	refused := func(n int) {
		t.Helper()
		if err := d.Put(t.Context(), testObject(n, 1000)); !errors.Is(err, asset.ErrUnavailable) {
			t.Errorf("put: %v, wanted ErrUnavailable", err)
		}
		if d.Bytes() != used {
			t.Errorf("%d bytes counted after a failed put, %d before", d.Bytes(), used)
		}
		checkSame(t, d, testObject(1, 1000))
	}
	replaceByFile(t, filepath.Join(dir, "tmp"), func() { refused(2) })
	path := d.path(testKey(2).Hash())
	if err := os.MkdirAll(filepath.Join(path, "x"), 0o755); err != nil { // a directory has the entry's name
		t.Fatal(err)
	}
	refused(2)
	mustMiss(t, d, testKey(2))
	if failed.Load() != 1 {
		t.Errorf("%d failures reported, wanted that of the load", failed.Load())
	}
	if err := d.Delete(t.Context(), testKey(2)); !errors.Is(err, asset.ErrUnavailable) {
		t.Errorf("delete: %v", err)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	mustPut(t, d, testObject(2, 1000))
	checkSame(t, d, testObject(2, 1000))
	checkAccounts(t, d)
}

// replaceByFile calls f while a file is where the directory was.
func replaceByFile(t *testing.T, dir string, f func()) {
	t.Helper()
	for _, step := range []func() error{
		func() error { return os.Rename(dir, dir+".away") },
		func() error { return os.WriteFile(dir, nil, 0o600) },
		func() error { f(); return nil },
		func() error { return os.Remove(dir) },
		func() error { return os.Rename(dir+".away", dir) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

// On a file system that is full, Put fails and leaves nothing; what is there is served.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skip("cannot mount a small file system: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	d := openDisk(t, dir, 10<<20, Events{})
	mustPut(t, d, testObject(1, 50_000))
	for _, size := range []int{300_000, 1 << 20} {
		o := testObject(2, size)
		if err := d.Put(t.Context(), o); !errors.Is(err, asset.ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("put of %d bytes: %v", size, err)
		}
	}
	checkSame(t, d, testObject(1, 50_000))
	if bytes, files := usage(t, dir); files != 1 || d.Bytes() != bytes {
		t.Errorf("%d files of %d bytes are left, %d counted", files, bytes, d.Bytes())
	}
	mustPut(t, d, testObject(3, 50_000))
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skip("cannot remount: ", err)
	}
	if err := d.Put(t.Context(), testObject(4, 10)); !errors.Is(err, asset.ErrUnavailable) {
		t.Errorf("put, read-only: %v", err)
	}
	checkSame(t, d, testObject(3, 50_000))
}

func BenchmarkDiskLoad(b *testing.B) {
	for _, size := range []int{2 << 10, 37 << 10, 1 << 20, 4 << 20} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			d := openDisk(b, b.TempDir(), 64<<20, Events{})
			mustPut(b, d, testObject(1, size))
			k := testKey(1)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				o, err := d.Load(context.Background(), k)
				if err != nil {
					b.Fatal(err)
				}
				o.Release()
			}
		})
	}
}

func BenchmarkDiskPut(b *testing.B) {
	d := openDisk(b, b.TempDir(), 64<<20, Events{})
	o := testObject(1, 37<<10)
	b.ReportAllocs()
	b.SetBytes(o.Size)
	for n := range uint64(b.N) {
		o.Key.Generation = n
		mustPut(b, d, o)
	}
}

// Entries of the version before, which had no quality, are read and have none.
func TestDiskReadsOldEntries(t *testing.T) {
	for name, kept := range map[string]bool{"Own": false, "Kept": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := openDisk(t, dir, 1<<20, Events{})
			want := testObject(1, 200_000)
			if kept {
				want = keptObject(t, 1, 200_000, filepath.Join(t.TempDir(), "elsewhere"))
			}
			want.Width, want.Height, want.Quality = 40, 30, 63
			mustPut(t, d, want)
			path := d.path(want.Key.Hash())
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, asVersion1(t, b), 0o600); err != nil {
				t.Fatal(err)
			}
			kill(t, d)
			d = openDisk(t, dir, 1<<20, Events{Corrupt: func(err error) { t.Error(err) }})
			o := load(t, d, t.Context(), want.Key)
			defer o.Release()
			if o.Width != 40 || o.Height != 30 || o.Quality != 0 || o.MediaType != want.MediaType {
				t.Errorf("%q of %d × %d px and quality %d", o.MediaType, o.Width, o.Height, o.Quality)
			}
			checkSame(t, d, want)
			checkAccounts(t, d)
		})
	}
}

// asVersion1 takes the quality out of an entry's file.
func asVersion1(t *testing.T, file []byte) []byte {
	t.Helper()
	f, err := footerOf(file, int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	body, trailer := file[:f.trailer], file[f.trailer:]
	trailer = append(append([]byte{}, trailer[:oldHeadBytes]...), trailer[metaHeadBytes:]...)
	foot := trailer[len(trailer)-footerBytes:]
	le.PutUint32(foot[8:], oldVersion)
	le.PutUint32(foot[12:], le.Uint32(foot[12:])-(metaHeadBytes-oldHeadBytes))
	le.PutUint64(trailer[len(trailer)-sumBytes:], xxhash.Sum64(trailer[:len(trailer)-sumBytes]))
	return append(append([]byte{}, body...), trailer...)
}
