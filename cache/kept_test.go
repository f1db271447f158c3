package cache

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

// keptObject is an object whose bytes are kept in a file at path.
func keptObject(t testing.TB, n, size int, path string) *asset.Object {
	t.Helper()
	o := testObject(n, size)
	b, _ := o.Bytes()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	o.MediaType, o.Kept = "", path
	return o
}

// Bytes that are kept in a file of this machine are not kept a second time, and come out as if they were.
func TestDiskKeepsOnce(t *testing.T) {
	for name, limits := range map[string][2]int64{"Inline": {1 << 20, 1 << 20}, "Body": {100, 1 << 20}, "Unverified": {100, 100}} {
		t.Run(name, func(t *testing.T) {
			cfg := DiskConfig{Dir: t.TempDir(), MaxBytes: 1 << 20, InlineBytes: limits[0], VerifyBytes: limits[1]}
			d := openDiskConfig(t, cfg, Events{Corrupt: func(err error) { t.Error(err) }})
			before := d.Bytes()
			const size = 3*blockBytes + 100
			o := keptObject(t, 1, size, filepath.Join(t.TempDir(), "original"))
			mustPut(t, d, o)
			if took := d.Bytes() - before; took != unitBytes {
				t.Errorf("it takes %d bytes", took)
			}
			checkSame(t, d, o)
			got := load(t, d, t.Context(), o.Key)
			if f, err := got.File(); err != nil || f == nil != (limits[0] > 100) {
				t.Error(f, err)
			} else if f != nil {
				b, err := io.ReadAll(io.NewSectionReader(f, 0, size))
				if want, _ := o.Bytes(); string(b) != string(want) || err != nil {
					t.Errorf("%d other bytes, %v", len(b), err)
				}
			}
			got.Release()
			kill(t, d)
			d = openDiskConfig(t, cfg, Events{Corrupt: func(err error) { t.Error(err) }})
			checkSame(t, d, o)
			checkAccounts(t, d)
			mustPut(t, d, testObject(1, size)) // which is kept nowhere, in its place
			checkSame(t, d, testObject(1, size))
			checkAccounts(t, d)
		})
	}
}

// What is described by a media type is kept with it.
func TestDiskKeepsTypes(t *testing.T) {
	d := openDisk(t, t.TempDir(), 1<<20, Events{})
	o := keptObject(t, 1, 5000, filepath.Join(t.TempDir(), "rendition"))
	o.MediaType = "image/avif"
	mustPut(t, d, o)
	if err := os.Remove(o.Kept); err != nil {
		t.Fatal(err)
	}
	checkSame(t, d, o)
}

// Without the file that kept the bytes there is no entry, and nothing is damaged.
func TestDiskKeptFileGone(t *testing.T) {
	d := openDisk(t, t.TempDir(), 1<<20, Events{Corrupt: func(err error) { t.Error(err) }, Failed: func(_ asset.Room, err error) { t.Error(err) }})
	o := keptObject(t, 1, 5000, filepath.Join(t.TempDir(), "original"))
	mustPut(t, d, o)
	if err := os.Remove(o.Kept); err != nil {
		t.Fatal(err)
	}
	mustMiss(t, d, o.Key)
	if d.Len() != 0 {
		t.Errorf("%d entries", d.Len())
	}
	checkAccounts(t, d)
}

// Every damage to the entry, and to the file that keeps the bytes, is noticed, reported, and mended through a tier.
func TestDiskNoticesDamageToWhatIsKept(t *testing.T) {
	for name, inline := range map[string]int64{"Inline": 1 << 20, "Body": 0} {
		t.Run(name, func(t *testing.T) {
			var corrupt, made atomic.Int32
			d := openDiskConfig(t, DiskConfig{Dir: t.TempDir(), MaxBytes: 1 << 20, InlineBytes: inline, VerifyBytes: 1 << 20},
				Events{Corrupt: func(error) { corrupt.Add(1) }})
			kept := filepath.Join(t.TempDir(), "original")
			want := keptObject(t, 1, 300, kept)
			tier := NewTier(asset.DiskTier, d, asset.LoaderFunc(func(context.Context, asset.Key) (*asset.Object, error) {
				made.Add(1)
				return keptObject(t, 1, 300, kept), nil
			}), Events{})
			load(t, tier, t.Context(), want.Key).Release()
			for _, path := range []string{d.path(want.Key.Hash()), kept} {
				good, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				damage(good, func(what string, b []byte) {
					if path == kept && len(b) > len(good) {
						return // the object is its first bytes
					}
					before := made.Load()
					if err := os.WriteFile(path, b, 0o600); err != nil {
						t.Fatal(err)
					}
					o := load(t, tier, t.Context(), want.Key)
					if o.Release(); made.Load() != before+1 {
						t.Errorf("%s: %s: not made again", filepath.Base(path), what)
					}
					checkSame(t, d, want)
				})
			}
			if corrupt.Load() != made.Load()-1 {
				t.Errorf("%d reports of %d damaged files", corrupt.Load(), made.Load()-1)
			}
			closeTier(t, tier)
			checkAccounts(t, d)
		})
	}
}

// Damage that comes after the object was loaded shows when its block is read, and the entry is gone.
func TestDiskNoticesDamageInWhatIsKept(t *testing.T) {
	d := openDiskConfig(t, DiskConfig{Dir: t.TempDir(), MaxBytes: 1 << 20}, Events{})
	o := keptObject(t, 1, 3*blockBytes, filepath.Join(t.TempDir(), "original"))
	mustPut(t, d, o)
	got := load(t, d, t.Context(), o.Key)
	defer got.Release()
	flip(t, o.Kept, 2*blockBytes)
	p := make([]byte, 3*blockBytes)
	if n, err := got.ReadAt(p, 0); n != 2*blockBytes || !errors.Is(err, asset.ErrCorrupt) {
		t.Errorf("%d bytes, %v", n, err)
	}
	mustMiss(t, d, o.Key)
	if d.Len() != 0 {
		t.Errorf("%d entries", d.Len())
	}
}
