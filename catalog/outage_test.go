package catalog

import (
	"errors"
	"fmt"
	"io"
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

// last returns what was told last, "" when nothing was.
func (o *outages) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.told) == 0 {
		return ""
	}
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

// fill takes all space but so many bytes, and returns what gives it back.
func fill(t *testing.T, dir string, leave int64) (free func()) {
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
	if size, err := f.Seek(-leave, io.SeekCurrent); err != nil || f.Truncate(size) != nil {
		t.Fatal(size, err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// A disk fills, writes fail at once while views go on; there is space again and the same catalog writes again. Twice,
// with messages within what is allocated, and with such as are cut off in the middle; also when the log is empty yet.
func TestDiskFull(t *testing.T) {
	for name, d := range map[string]*fullDisk{
		"empty":     {},
		"not empty": {stored: []string{"first"}},
		"new block": {size: 990_000, begin: 8, blocks: 2},
		"large":     {stored: []string{"first"}, size: 300_000, leave: 2 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d.open(t)
			stop := reading(t, d.cat)
			for round := range 2 {
				d.breakAndMend(t, round)
			}
			t.Logf("%d views read, %d writes acknowledged", stop(), len(d.stored))
			d.reopen(t)
		})
	}
}

// The process ends in an outage, of its own will, and the next one starts when there is space again.
func TestRestartInAnOutage(t *testing.T) {
	for name, d := range map[string]*fullDisk{"empty": {}, "new block": {size: 990_000, begin: 8, blocks: 2}} {
		for _, freedBefore := range []bool{true, false} {
			t.Run(fmt.Sprint(name, freedBefore), func(t *testing.T) {
				d := *d
				d.open(t)
				free := fill(t, d.dir, 0)
				d.writeUntilFull(t, 0)
				if freedBefore {
					free()
				}
				if err := d.cat.Close(); err != nil {
					t.Fatal(err)
				}
				if !freedBefore {
					free()
				}
				update(t, d.reopen(t), putProduct("after"))
			})
		}
	}
}

// A fullDisk is a catalog on a disk that fills.
type fullDisk struct {
	stored []string // the products that were acknowledged
	size   int      // of a product, bytes
	leave  int64    // free space when the writes begin, bytes
	begin  int      // the products of that size that are stored before
	blocks int      // of the log when the first write fails; 0 is any number

	dir  string
	told *outages
	cat  *Catalog
}

func (d *fullDisk) open(t *testing.T) {
	d.dir, d.told = smallDisk(t), new(outages)
	var err error
	if d.cat, err = Open(t.Context(), config(d.dir), Events{Outage: d.told.take}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.cat.Close() })
	for _, name := range d.stored {
		update(t, d.cat, putProduct(name))
	}
	for i := range d.begin {
		update(t, d.cat, d.product(fmt.Sprint("begin", i)))
		d.stored = append(d.stored, fmt.Sprint("begin", i))
	}
}

func (d *fullDisk) breakAndMend(t *testing.T, round int) {
	free := fill(t, d.dir, d.leave)
	d.writeUntilFull(t, round)
	if n := blocks(d.dir); round == 0 && d.blocks > 0 && n != d.blocks {
		t.Errorf("it failed in block %d, not %d", n, d.blocks)
	}
	refusedAtOnce(t, d.cat)
	until(t, "an attempt on the full disk", func() bool { return strings.Contains(d.told.last(), "trial: no space left") })
	refusedAtOnce(t, d.cat)
	free()
	until(t, "the end of the outage", func() bool { return d.told.ended() > round })
	start := time.Now()
	name := fmt.Sprint("after", round)
	update(t, d.cat, putProduct(name))
	if took := time.Since(start); took > 2*time.Second {
		t.Error("the first write took", took)
	}
	d.stored = append(d.stored, name)
	if err := d.cat.Healthy(); err != nil {
		t.Error(err)
	}
}

// blocks counts the files that the log's messages are in.
func blocks(dir string) int {
	files, _ := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", streamName, "msgs", "*.blk"))
	return len(files)
}

// reopen returns another catalog on the disk; it fails unless all that was acknowledged is there.
func (d *fullDisk) reopen(t *testing.T) *Catalog {
	if err := d.cat.Close(); err != nil {
		t.Fatal(err)
	}
	c := opened(t, d.dir)
	for _, name := range d.stored {
		if _, ok := c.View().Product(name); !ok {
			t.Errorf("%s was acknowledged and is lost", name)
		}
	}
	return c
}

func (d *fullDisk) product(name string) Mutation {
	m := putProduct(name)
	m.PutProduct.Presets = map[string]string{"large": strings.Repeat("x", d.size)}
	return m
}

// writeUntilFull writes, four at once, until each has failed.
func (d *fullDisk) writeUntilFull(t *testing.T, round int) {
	t.Helper()
	var mu sync.Mutex // guards d.stored
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				m := d.product(fmt.Sprintf("p%d-%d-%d", round, w, i))
				start := time.Now()
				if err := try(d.cat, m); err != nil {
					checkFault(t, err)
					if took := time.Since(start); took > 5*time.Second {
						t.Error("the failure took", took)
					}
					return
				}
				mu.Lock()
				d.stored = append(d.stored, m.PutProduct.Name)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
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
			if v.Revision() < last || v.products.Len() < int(v.Revision()) {
				t.Error("the view went back to", v.Revision())
				return
			}
			last = v.Revision()
		}
	})
	return func() int64 { close(done); wg.Wait(); return reads.Load() }
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
	fill(t, small, 0)
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

// An index that cannot be removed would be believed.
func TestIndexThatStays(t *testing.T) {
	dir := t.TempDir()
	c := opened(t, dir)
	update(t, c, putProduct("shop"))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	index := filepath.Join(dir, "jetstream", "$G", "streams", streamName, "msgs", "index.db")
	if err := os.Remove(index); err != nil {
		t.Fatal(err) // it is where the server keeps it
	}
	if err := os.MkdirAll(filepath.Join(index, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), config(dir), Events{}); !errors.Is(err, unix.ENOTEMPTY) {
		t.Fatal(err)
	}
}
