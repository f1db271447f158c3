package assetmatrix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/control/client"
)

// soak returns short, or what ASSETMATRIX_SOAK=1 has instead: `make soak` runs the long forms.
func soak(short, long int) int {
	if os.Getenv("ASSETMATRIX_SOAK") == "1" {
		return long
	}
	return short
}

// acknowledged are the writes that a server has answered with 200 or 201.
type acknowledged struct {
	mu    sync.Mutex
	files map[string][]byte // name → content
	links map[string]bool
	dark  bool // the power is gone, and nobody hears an answer any more
}

// add reports whether answers are still heard.
func (a *acknowledged) add(name string, content []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.dark:
		return false
	case content == nil:
		a.links[name] = true
	default:
		a.files[name] = content
	}
	return true
}

func (a *acknowledged) setDark(dark bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dark = dark
}

func (a *acknowledged) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.files) + len(a.links)
}

// write uploads and links with several writers until the server stops answering.
func (a *acknowledged) write(s *site, round int) *sync.WaitGroup {
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("r%d/w%d/%d.txt", round, w, i)
				content := fmt.Appendf(nil, "%s %d", name, rand.Uint64())
				r, err := s.PutAsset(context.Background(), "shop", name, bytes.NewReader(content), int64(len(content)), client.PutOptions{})
				if err != nil || !a.add(name, content) {
					return
				}
				if _, err := s.PutLink(context.Background(), "app", name, client.LinkSpec{Asset: r.ID}); err != nil || !a.add(name, nil) {
					return
				}
			}
		})
	}
	return &writers
}

// check asks for everything; what a crash has left must be whole.
func (a *acknowledged) check(s *site) {
	s.t.Helper()
	for name, content := range a.files {
		if got := s.get("/shop/original/"+name).is(s.t, 200).body; !bytes.Equal(got, content) {
			s.t.Fatalf("%s is %q, %q was acknowledged", name, got, content)
		}
	}
	for name := range a.links {
		s.get("/app/info/"+name).is(s.t, 200)
	}
}

// The whole process is killed at random moments while it takes uploads and links, and started again on what is left.
func TestKillLosesNothing(t *testing.T) {
	dir, all := t.TempDir(), &acknowledged{files: map[string][]byte{}, links: map[string]bool{}}
	rounds := soak(6, 200)
	for round := range rounds {
		s := start(t, dir)
		s.product("shop")
		s.product("app")
		all.check(s)
		all.files, all.links = map[string][]byte{}, map[string]bool{} // once seen after a crash, the next one need not prove it again
		writers := all.write(s, round)
		time.Sleep(time.Duration(20+rand.IntN(400)) * time.Millisecond)
		s.kill()
		writers.Wait()
		if all.count() == 0 && round == 0 {
			t.Fatal("nothing was acknowledged: too little to prove anything")
		}
	}
	s := start(t, dir)
	all.check(s)
}

// A bit of the base that has flipped while the server was stopped is found when it starts, which it does all the same: the
// log has everything.
func TestStartsOnADamagedBase(t *testing.T) {
	dir, all := t.TempDir(), &acknowledged{files: map[string][]byte{}, links: map[string]bool{}}
	s := start(t, dir)
	s.product("shop")
	put := func(i int, text string) {
		name := fmt.Sprintf("a%d.txt", i)
		s.put("shop", name, []byte(text+name))
		all.add(name, []byte(text+name))
	}
	for i := range 100 {
		put(i, "one ")
	}
	if _, err := s.Backup(t.Context(), io.Discard); err != nil { // which folds
		t.Fatal(err)
	}
	for i := range 50 {
		put(i, "two ")
	}
	s.kill()
	bases, err := filepath.Glob(filepath.Join(dir, "catalog", "base-*"))
	if err != nil || len(bases) != 1 {
		t.Fatal(bases, err)
	}
	data, err := os.ReadFile(bases[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{5000, 12_000, len(data) / 2} {
		data[at] ^= 8
	}
	if err := os.WriteFile(bases[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	s = start(t, dir)
	eventually(t, "all is there", func() bool { return s.get("/shop/original/a99.txt").StatusCode == 200 })
	all.check(s)
	s.product("app") // and it takes writes
}

// The power goes while the server takes writes: its file system is shut down without what was not flushed yet. The server
// outlives that for a moment, which it would not, and what it answers then does not count: while an ext4 is being shut down,
// fsync may return 0 for a transaction that another one began to commit and that was then dropped
// (jbd2_complete_transaction does not ask whether the journal was aborted).
func TestPowerLossLosesNothing(t *testing.T) {
	disk := newDisk(t)
	all := &acknowledged{files: map[string][]byte{}, links: map[string]bool{}}
	for round := range soak(2, 25) {
		disk.mount()
		s := start(t, filepath.Join(disk.dir, "data"))
		s.product("shop")
		s.product("app")
		all.check(s)
		writers := all.write(s, round)
		time.Sleep(time.Duration(100+rand.IntN(900)) * time.Millisecond)
		eventually(t, "enough writes on a busy machine", func() bool { return all.count() >= 25*(round+1) })
		all.setDark(true)
		disk.cut()
		s.kill()
		writers.Wait()
		all.setDark(false)
		disk.unmount()
	}
	if all.count() < 50 {
		t.Fatalf("%d writes were acknowledged: too few to prove anything", all.count())
	}
	disk.mount()
	s := start(t, filepath.Join(disk.dir, "data"))
	all.check(s)
	s.kill()
	t.Logf("%d acknowledged writes, none lost", all.count())
}

// A disk is an ext4 file system in a file.
type disk struct {
	t          *testing.T
	image, dir string
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	d := &disk{t, filepath.Join(t.TempDir(), "image"), t.TempDir()}
	for _, command := range [][]string{{"truncate", "-s", "512M", d.image}, {"mkfs.ext4", "-q", d.image}} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("%v: %v: %s", command, err, out)
		}
	}
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.dir).CombinedOutput(); err != nil {
		t.Skipf("this machine mounts no loop device: %s", out)
	}
	d.unmount()
	t.Cleanup(func() { _ = exec.Command("umount", "-l", d.dir).Run() })
	return d
}

func (d *disk) run(name string, args ...string) {
	d.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		d.t.Fatalf("%s: %v: %s", name, err, out)
	}
}

func (d *disk) mount() { d.t.Helper(); d.run("mount", "-o", "loop", d.image, d.dir) }

// unmount waits for those who still hold a file.
func (d *disk) unmount() {
	d.t.Helper()
	eventually(d.t, "unmounted", func() bool { return exec.Command("umount", d.dir).Run() == nil })
}

// cut shuts the file system down; what it has not written to the image by now never gets there (ext4's
// EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: neither data nor journal are flushed).
func (d *disk) cut() {
	d.t.Helper()
	root, err := os.Open(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	const shutdown = 0x8004587d
	noLogFlush := [4]byte{2}
	if err := ioctl(root.Fd(), shutdown, &noLogFlush); err != nil && !errors.Is(err, syscall.EIO) {
		d.t.Fatal("shutdown of the file system:", err)
	}
}
