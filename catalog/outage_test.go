package catalog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/assetmatrix/assetmatrix/asset"
)

// outages collects what Events.Outage is told.
type outages struct {
	mu   sync.Mutex // guards told
	told []error
}

func (o *outages) take(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = append(o.told, err)
}

// ended returns how many outages have ended.
func (o *outages) ended() (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, err := range o.told {
		if err == nil && i > 0 && o.told[i-1] != nil {
			n++
		}
	}
	return n
}

// last returns what was told last.
func (o *outages) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return fmt.Sprint(o.told[len(o.told)-1])
}

// smallDisk returns a directory on a file system of 24 MB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skip("cannot mount a small file system: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// fill takes all space that is left, and returns what gives it back.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "ballast")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// A disk fills, writes fail at once while views go on; there is space again and the same catalog writes again. Twice.
func TestDiskFull(t *testing.T) {
	dir := smallDisk(t)
	var told outages
	c, err := Open(t.Context(), config(dir), Events{Outage: told.take, Server: func(line string) { t.Log(line) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	var names []string
	update(t, c, putProduct("first"))
	stop := reading(t, c)
	for round := range 2 {
		free := fill(t, dir)
		names = append(names, writeUntilFull(t, c, round)...)
		refusedAtOnce(t, c)
		until(t, "an attempt on the full disk", func() bool { return strings.Contains(told.last(), "trial: no space left") })
		refusedAtOnce(t, c)
		free()
		until(t, "the end of the outage", func() bool { return told.ended() > round })
		start := time.Now()
		update(t, c, putProduct(fmt.Sprint("after", round)))
		if took := time.Since(start); took > 2*time.Second {
			t.Error("the first write took", took)
		}
		names = append(names, fmt.Sprint("after", round))
		if err := c.Healthy(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d views read, %d writes acknowledged", stop(), len(names))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	reopened := opened(t, dir)
	for _, name := range append(names, "first") {
		if _, ok := reopened.View().Product(name); !ok {
			t.Errorf("%s was acknowledged and is lost", name)
		}
	}
}

// reading reads views until it is stopped.
func reading(t *testing.T, c *Catalog) (stop func() int64) {
	var reads atomic.Int64
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for last := uint64(0); ; reads.Add(1) {
			select {
			case <-done:
				return
			case <-time.After(100 * time.Microsecond):
			}
			v := c.View()
			if _, ok := v.Product("first"); !ok || v.Revision() < last {
				t.Error("the view went back to", v.Revision())
				return
			}
			last = v.Revision()
		}
	})
	return func() int64 { close(done); wg.Wait(); return reads.Load() }
}

// writeUntilFull returns what was acknowledged before the first failure, which it checks.
func writeUntilFull(t *testing.T, c *Catalog, round int) (names []string) {
	t.Helper()
	for i := 0; ; i++ {
		name := fmt.Sprintf("p%d-%d", round, i)
		start := time.Now()
		err := try(c, putProduct(name))
		if err == nil {
			names = append(names, name)
			continue
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Error("the failure took", took)
		}
		checkFault(t, err)
		return names
	}
}

func checkFault(t *testing.T, err error) {
	t.Helper()
	var f *asset.Fault
	if !errors.Is(err, asset.ErrUnavailable) || !errors.As(err, &f) || f.Detail != "the matrix cannot be written: no space left" {
		t.Error("not the fault of a full disk:", err)
	}
}

// refusedAtOnce fails unless many writes are told about the full disk without waiting, and what needs no disk goes on.
func refusedAtOnce(t *testing.T, c *Catalog) {
	t.Helper()
	start := time.Now()
	var wg sync.WaitGroup
	for i := range 300 { // several groups
		wg.Go(func() { checkFault(t, try(c, putProduct(fmt.Sprint("refused", i)))) })
	}
	wg.Wait()
	if took := time.Since(start); took > time.Second {
		t.Error("300 refusals took", took)
	}
	checkFault(t, c.Healthy())
	if err := try(c); err != nil {
		t.Error("nothing to write:", err)
	}
	if err := try(c, putProduct("Bad Name")); !errors.Is(err, asset.ErrInvalid) {
		t.Error(err)
	}
}

// A log that is not there when the server is started again is waited for, and not made anew.
func TestOutageWithoutTheLog(t *testing.T) {
	dir := t.TempDir()
	var told outages
	c, err := Open(t.Context(), config(dir), Events{Outage: told.take})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	update(t, c, putProduct("shop"))
	jetstream, away := filepath.Join(dir, "jetstream"), filepath.Join(dir, "away")
	c.server.stop()
	if err := os.Rename(jetstream, away); err != nil {
		t.Fatal(err)
	}
	c.outage.explain("input/output error")
	c.outage.began <- struct{}{}
	until(t, "an attempt", func() bool { return strings.Contains(told.last(), "not found") })
	if err := try(c, putProduct("blog")); err == nil || !strings.HasSuffix(err.Error(), "the matrix cannot be written: its store fails") {
		t.Error(err)
	}
	until(t, "the log to be put back", func() bool { // the server makes the directory each time that it starts
		return os.RemoveAll(jetstream) == nil && os.Rename(away, jetstream) == nil
	})
	until(t, "the end of the outage", func() bool { return told.ended() == 1 })
	update(t, c, putProduct("blog"))
	if n := len(history(t, c)); n != 2 {
		t.Fatal(n)
	}
}

// An outage does not hinder Close.
func TestCloseInAnOutage(t *testing.T) {
	c := opened(t, t.TempDir())
	c.outage.explain("input/output error")
	c.outage.began <- struct{}{}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTryWriting(t *testing.T) {
	dir := t.TempDir()
	if err := tryWriting(dir); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Error(left)
	}
	if err := tryWriting(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	small := smallDisk(t)
	fill(t, small)
	if err := tryWriting(small); !errors.Is(err, unix.ENOSPC) {
		t.Error(err)
	}
}

// until waits for what happens in other goroutines.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !happened(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain for ", what)
		}
	}
}
