package cache

import (
	"context"
	"errors"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"

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

// A file that was cut or has grown is noticed before anything of it is read, even when it is not verified as a whole.
func TestDiskNoticesTheLengthOfWhatIsKept(t *testing.T) {
	for _, size := range []int64{0, 3*blockBytes - 1, 3*blockBytes + 1} {
		d := openDiskConfig(t, DiskConfig{Dir: t.TempDir(), MaxBytes: 1 << 20}, Events{})
		o := keptObject(t, 1, 3*blockBytes, filepath.Join(t.TempDir(), "original"))
		mustPut(t, d, o)
		if err := os.Truncate(o.Kept, size); err != nil {
			t.Fatal(err)
		}
		mustMiss(t, d, o.Key)
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

// forge returns other bytes with good's xxhash64: those of other, but for the last one or two stripes of 32 bytes.
func forge(good, other []byte) []byte {
	prime1, prime2, inverse2 := uint64(11400714785074694791), uint64(14029467366897019727), uint64(0x0ba79078168d4baf)
	end := len(good)/32*32 - 32
	forged := append(append([]byte(nil), other[:end]...), good[end:]...)
	for lane, state := range [4]uint64{prime1 + prime2, prime2, 0, -prime1} {
		a, b := state, state
		for at := lane * 8; at < end; at += 32 {
			a = bits.RotateLeft64(a+le.Uint64(good[at:])*prime2, 31) * prime1
			b = bits.RotateLeft64(b+le.Uint64(forged[at:])*prime2, 31) * prime1
		}
		last := forged[end+lane*8:]
		le.PutUint64(last, le.Uint64(last)+(a-b)*inverse2)
	}
	return forged
}

// Others may write to what is kept elsewhere, and bytes that were made to have the same xxhash64 are not served.
func TestDiskNoticesForgedBytes(t *testing.T) {
	var corrupt atomic.Int32
	d := openDisk(t, t.TempDir(), 1<<20, Events{Corrupt: func(error) { corrupt.Add(1) }})
	o := keptObject(t, 1, 5000, filepath.Join(t.TempDir(), "original"))
	mustPut(t, d, o)
	good, _ := o.Bytes()
	forged := forge(good, make([]byte, len(good)))
	if xxhash.Sum64(forged) != xxhash.Sum64(good) || string(forged) == string(good) {
		t.Fatal("not forged")
	}
	if err := os.WriteFile(o.Kept, forged, 0o600); err != nil {
		t.Fatal(err)
	}
	mustMiss(t, d, o.Key)
	if corrupt.Load() != 1 || d.Len() != 0 {
		t.Errorf("%d reports, %d entries", corrupt.Load(), d.Len())
	}
}

// Whatever stands where the bytes were kept and is no file: there is no entry, nobody waits, and no descriptor is left open.
func TestDiskKeptFileIsNone(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"pipe":      func(path string) error { return unix.Mkfifo(path, 0o600) },
		"loop":      func(path string) error { return os.Symlink(path, path) },
		"device":    func(path string) error { return os.Symlink("/dev/zero", path) },
	} {
		for limits, verify := range map[string]int64{"Verified": 1 << 20, "Unverified": 0} {
			t.Run(name+limits, func(t *testing.T) {
				d := openDiskConfig(t, DiskConfig{Dir: t.TempDir(), MaxBytes: 1 << 20, VerifyBytes: verify},
					Events{Corrupt: func(err error) { t.Error(err) }, Failed: func(_ asset.Room, err error) { t.Error(err) }})
				o := keptObject(t, 1, 5000, filepath.Join(t.TempDir(), "original"))
				mustPut(t, d, o)
				if err := errors.Join(os.Remove(o.Kept), make(o.Kept)); err != nil {
					t.Fatal(err)
				}
				before := descriptors(t)
				mustMiss(t, d, o.Key)
				if d.Len() != 0 {
					t.Errorf("%d entries", d.Len())
				}
				if after := descriptors(t); after != before {
					t.Errorf("%d descriptors, then %d", before, after)
				}
				checkAccounts(t, d)
			})
		}
	}
}

// What cannot be read any more is not tried again: the provider is asked next.
func TestDiskKeptFileCannotBeRead(t *testing.T) {
	d := openDiskConfig(t, DiskConfig{Dir: t.TempDir(), MaxBytes: 1 << 20}, Events{Corrupt: func(err error) { t.Error(err) }})
	o := keptObject(t, 1, 5000, filepath.Join(t.TempDir(), "original"))
	mustPut(t, d, o)
	got := load(t, d, t.Context(), o.Key)
	f, err := got.File()
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close() // as good as a bad disk
	if n, err := got.ReadAt([]byte{0}, 0); n != 0 || !errors.Is(err, asset.ErrUnavailable) {
		t.Errorf("read %d, %v", n, err)
	}
	mustMiss(t, d, o.Key)
	checkAccounts(t, d)
}

func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// An object over a file holds one descriptor, wherever its bytes are; and no lack of them costs an entry.
func TestDiskKeptDescriptors(t *testing.T) {
	d := openDiskConfig(t, DiskConfig{Dir: t.TempDir(), MaxBytes: 1 << 20}, Events{})
	o := keptObject(t, 1, 5000, filepath.Join(t.TempDir(), "original"))
	mustPut(t, d, o)
	before := descriptors(t)
	got := load(t, d, t.Context(), o.Key)
	if n := descriptors(t) - before; n != 1 {
		t.Errorf("%d descriptors", n)
	}
	got.Release()

	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	free, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	tight := limit
	tight.Cur = uint64(free.Fd()) + 1 // enough for the entry
	_ = free.Close()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &tight); err != nil {
		t.Fatal(err)
	}
	_, err = d.Load(t.Context(), o.Key)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, asset.ErrNotFound) || d.Len() != 1 {
		t.Errorf("%v, %d entries", err, d.Len())
	}
	checkSame(t, d, o)
}

// What others write to the file while somebody works with it shows when File is called once more.
func TestDiskKeptFileIsVerifiedAgain(t *testing.T) {
	d := openDiskConfig(t, DiskConfig{Dir: t.TempDir(), MaxBytes: 1 << 20, VerifyBytes: 1 << 20}, Events{})
	o := keptObject(t, 1, 5000, filepath.Join(t.TempDir(), "original"))
	mustPut(t, d, o)
	got := load(t, d, t.Context(), o.Key)
	defer got.Release()
	if _, err := got.File(); err != nil {
		t.Fatal(err)
	}
	flip(t, o.Kept, 4000)
	if _, err := got.File(); !errors.Is(err, asset.ErrCorrupt) {
		t.Error(err)
	}
	mustMiss(t, d, o.Key)
}
