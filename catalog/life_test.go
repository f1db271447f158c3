package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// within fails unless ok becomes true.
func within(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within 30 s: ", what)
		}
	}
}

// told collects what the events of a replica say.
type told struct {
	mu             sync.Mutex // guards the rest
	frozen, copied []error
	folded         []uint64
	verified       []uint64
	adopted        [][2]uint64
}

func (o *told) events() Events {
	take := func(f func()) {
		o.mu.Lock()
		defer o.mu.Unlock()
		f()
	}
	return Events{
		Frozen:   func(err error) { take(func() { o.frozen = append(o.frozen, err) }) },
		Copy:     func(err error) { take(func() { o.copied = append(o.copied, err) }) },
		Folded:   func(revision uint64, _ time.Duration) { take(func() { o.folded = append(o.folded, revision) }) },
		Verified: func(revision uint64, _ time.Duration) { take(func() { o.verified = append(o.verified, revision) }) },
		Adopted:  func(from, to uint64) { take(func() { o.adopted = append(o.adopted, [2]uint64{from, to}) }) },
	}
}

// folds returns how often it was folded.
func (o *told) folds() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.folded)
}

// copy returns how often something was told of the copy on the disk, and what was last.
func (o *told) copy() (n int, last error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n = len(o.copied); n > 0 {
		last = o.copied[n-1]
	}
	return n, last
}

// thawed reports whether the view was frozen and is not any more.
func (o *told) thawed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.frozen)
	return n > 1 && o.frozen[n-1] == nil
}

// openWith returns a catalog with that configuration, which is closed at the end.
func openWith(t testing.TB, cfg Config, o *told) *Catalog {
	t.Helper()
	c, err := Open(t.Context(), cfg, o.events())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// foldEvery makes the replica fold every so many records.
func foldEvery(cfg Config, changes int) Config {
	cfg.foldLimit = foldLimit{changes: changes, journal: 64 << 20}
	return cfg
}

// fill the matrix with uploads.
func uploads(t testing.TB, c *Catalog, from, to int) {
	t.Helper()
	if from == 0 {
		update(t, c, putProduct("shop"))
	}
	for i := from; i < to; i++ {
		update(t, c, upload(i)...)
	}
}

// sameMatrix fails unless both views show the same.
func sameMatrix(t testing.TB, got, want *View) {
	t.Helper()
	if a, b := dump(got), dump(want); !reflect.DeepEqual(a, b) {
		for key := range b {
			if !reflect.DeepEqual(a[key], b[key]) {
				t.Errorf("%s: got %+v, want %+v", key, a[key], b[key])
			}
		}
		t.Fatalf("%d records, want %d", len(a), len(b))
	}
}

// files returns the names in dir that match.
func files(t testing.TB, dir, pattern string) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		names = append(names, filepath.Base(path))
	}
	return names
}

// nowhere is a log that cannot be reached.
const nowhere = "nats://127.0.0.1:1"

func TestFold(t *testing.T) {
	dir, o := t.TempDir(), new(told)
	c := openWith(t, foldEvery(config(dir), 50), o)
	uploads(t, c, 0, 100)
	within(t, "a fold", func() bool { return o.folds() > 0 && c.View().changes() <= 50 })
	if names := files(t, dir, "base-*"); len(names) != 1 || names[0] != fmt.Sprintf(baseFormat, o.folded[len(o.folded)-1]) {
		t.Fatal(names)
	}
	uploads(t, c, 100, 110)
	want := c.View()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if names := files(t, dir, "*.tmp"); len(names) > 0 {
		t.Fatal(names)
	}
	sameMatrix(t, openWith(t, config(dir), new(told)).View(), want)
}

// A journal that is too long is a reason as well, also at the start.
func TestFoldOfALongJournal(t *testing.T) {
	dir, o := t.TempDir(), new(told)
	c := openWith(t, config(dir), o)
	uploads(t, c, 0, 10)
	c.Close()
	cfg := config(dir)
	cfg.foldLimit = foldLimit{changes: 1 << 40, journal: 1000}
	openWith(t, cfg, o)
	within(t, "a fold", func() bool { return o.folds() > 0 })
	within(t, "a short journal", func() bool {
		info, err := os.Stat(filepath.Join(dir, journalName))
		return err == nil && info.Size() < 1000
	})
}

// A restart needs the directory and nothing else: what was shown is shown again, with the log gone for good.
func TestRestartWithNothingElse(t *testing.T) {
	for name, changes := range map[string]int{"journal": 1 << 40, "base and journal": 30} {
		t.Run(name, func(t *testing.T) {
			c, url := accepting(t, t.TempDir(), nil)
			uploads(t, c, 0, 40)
			dir, o := t.TempDir(), new(told)
			e := openWith(t, foldEvery(edgeConfig(dir, url), changes), o)
			reaches(t, e, c.View().Revision())
			if changes < 100 {
				within(t, "a fold", func() bool { return o.folds() > 0 })
			}
			uploads(t, c, 40, 44)
			reaches(t, e, c.View().Revision())
			want := e.View()
			e.Close()
			c.Close()
			for range 2 {
				e := openWith(t, edgeConfig(dir, nowhere), new(told))
				sameMatrix(t, e.View(), want)
				e.Close()
			}
		})
	}
}

// An edge that has never had anything says that it has nothing, not that there is nothing.
func TestEdgeThatHasNothing(t *testing.T) {
	e := openWith(t, edgeConfig(t.TempDir(), nowhere), new(told))
	if err := e.Healthy(); !errors.Is(err, asset.ErrUnavailable) {
		t.Error(err)
	}
	if err := e.View().Err(); !errors.Is(err, asset.ErrUnavailable) {
		t.Error(err)
	}
	c, url := accepting(t, t.TempDir(), nil)
	e = openWith(t, edgeConfig(t.TempDir(), url), new(told))
	within(t, "an empty matrix is one", func() bool { return e.View().Err() == nil && e.Healthy() == nil })
	reaches(t, e, update(t, c, putProduct("shop")))
}

// What is moved in one transaction is never seen half moved, folds or not; and every write survives the next start.
func TestFoldUnderWriters(t *testing.T) {
	dir, o := t.TempDir(), new(told)
	c := openWith(t, foldEvery(config(dir), 20), o)
	update(t, c, putProduct("shop"), putAsset("a", 1, 2))
	const names = 10
	move := func(pin int) {
		var all []Mutation
		for i := range names {
			m := putLink("shop", fmt.Sprint("n", i), "a")
			m.PutLink.Pin = pin
			all = append(all, m)
		}
		update(t, c, all...)
	}
	move(1)
	var seen atomic.Int64
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for last := uint64(0); ; seen.Add(1) {
				select {
				case <-stop:
					return
				default:
				}
				v := c.View()
				first, _ := v.Link("shop", "n0")
				for i := range names {
					if l, ok := v.Link("shop", fmt.Sprint("n", i)); !ok || l.Pin != first.Pin || v.Revision() < last {
						t.Errorf("revision %d after %d: n%d has another version", v.Revision(), last, i)
						return
					}
				}
				last = v.Revision()
			}
		})
	}
	var stored atomic.Int64
	for w := range 3 {
		writers.Go(func() {
			for i := 0; o.folds() < 25; i++ {
				id := fmt.Sprintf("w%d-%d", w, i)
				update(t, c, putAsset(id, byte(i)), putLink("shop", id, id))
				stored.Add(1)
			}
		})
	}
	writers.Go(func() {
		for i := 0; o.folds() < 25; i++ {
			move(1 + i%2)
		}
	})
	writers.Wait()
	close(stop)
	readers.Wait()
	t.Logf("%d folds, %d views read, %d writes", o.folds(), seen.Load(), stored.Load())
	want := c.View()
	if n := len(want.Links("shop", "w", "", 1<<20)); n != int(stored.Load()) {
		t.Fatalf("%d links of %d", n, stored.Load())
	}
	c.Close()
	sameMatrix(t, openWith(t, config(dir), new(told)).View(), want)
}

// What a journal says is only believed behind the base that it goes on from: of the same history, and the same message.
func TestJournalOfAnotherHistory(t *testing.T) {
	c := openWith(t, config(t.TempDir()), new(told))
	uploads(t, c, 0, 5)
	v := c.View()
	for name, other := range map[string]func(*View){
		"epoch":   func(v *View) { v.epoch = "other" },
		"hash":    func(v *View) { v.hash[0]++ },
		"earlier": func(v *View) { v.revision-- },
	} {
		dir := directory(t.TempDir())
		j, err := createJournal(string(dir), v.position())
		if err != nil {
			t.Fatal(err)
		}
		for seq := v.revision + 1; seq < v.revision+4; seq++ {
			j.add(seq, nth(seq, v.epoch, putProduct("unseen")))
		}
		if err := errors.Join(j.flush(), j.place()); err != nil {
			t.Fatal(err)
		}
		j.close()
		changed := v.fork()
		other(changed)
		if err := writeBase(t.Context(), dir.base(changed.revision), changed, ""); err != nil {
			t.Fatal(err)
		}
		cfg := edgeConfig(string(dir), nowhere)
		r, err := openReplica(cfg, nil, Events{})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := r.view().Product("unseen"); ok || r.view().position() != changed.position() {
			t.Errorf("%s: the journal was applied", name)
		}
		if ahead := r.applied.revision == v.revision+3; ahead != (name != "epoch") {
			t.Errorf("%s: applied up to %d", name, r.applied.revision)
		}
		r.close()
	}
}

// A fold that is under way when the catalog is closed breaks off, and one that is asked for later does not begin.
func TestCloseWhileFolding(t *testing.T) {
	dir := t.TempDir()
	c := openWith(t, config(dir), new(told))
	uploads(t, c, 0, 30)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				if _, err := c.Backup(t.Context(), io.Discard); err != nil {
					if !errors.Is(err, asset.ErrUnavailable) && !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	within(t, "a base", func() bool { return len(files(t, dir, "base-*")) > 0 })
	want := c.View()
	c.Close()
	wg.Wait()
	if left := files(t, dir, "*.tmp"); len(left) > 0 {
		t.Error(left)
	}
	sameMatrix(t, openWith(t, config(dir), new(told)).View(), want)
}

// A history is read without holding all of it: it is folded on the way.
func TestReplayFolds(t *testing.T) {
	dir := t.TempDir()
	c := openWith(t, config(dir), new(told))
	uploads(t, c, 0, 100)
	want := c.View()
	c.Close()
	if err := os.Remove(filepath.Join(dir, journalName)); err != nil {
		t.Fatal(err)
	}
	c = openWith(t, foldEvery(config(dir), 60), new(told))
	if c.View().changes() > 60 || len(files(t, dir, "base-*")) != 1 {
		t.Error(c.View().changes(), files(t, dir, "base-*"))
	}
	sameMatrix(t, c.View(), want)
	c.Close()
	sameMatrix(t, openWith(t, config(dir), new(told)).View(), want)
}

// Files that say nothing, or too little, hinder nobody: the log has what is missing.
func TestSpoiledCopies(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"no journal":    func(t *testing.T, dir string) { remove(t, dir, journalName) },
		"empty journal": func(t *testing.T, dir string) { overwrite(t, dir, journalName, nil) },
		"garbage":       func(t *testing.T, dir string) { overwrite(t, dir, journalName, []byte(strings.Repeat("x", 1000))) },
		"half a journal": func(t *testing.T, dir string) {
			data, err := os.ReadFile(filepath.Join(dir, journalName))
			if err != nil {
				t.Fatal(err)
			}
			overwrite(t, dir, journalName, data[:len(data)/2])
		},
		"no base":      func(t *testing.T, dir string) { remove(t, dir, files(t, dir, "base-*")[0]) },
		"garbage base": func(t *testing.T, dir string) { overwrite(t, dir, files(t, dir, "base-*")[0], []byte("garbage")) },
		"neither": func(t *testing.T, dir string) {
			remove(t, dir, journalName)
			remove(t, dir, files(t, dir, "base-*")[0])
		},
		"half a fold": func(t *testing.T, dir string) { overwrite(t, dir, "base-00000000000000000099.tmp", []byte("half")) },
		"another name": func(t *testing.T, dir string) {
			if err := os.Rename(filepath.Join(dir, files(t, dir, "base-*")[0]), filepath.Join(dir, fmt.Sprintf(baseFormat, 99))); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, o := t.TempDir(), new(told)
			c := openWith(t, foldEvery(config(dir), 20), o)
			uploads(t, c, 0, 16)
			within(t, "a fold", func() bool { return o.folds() > 0 })
			want := c.View()
			c.Close()
			spoil(t, dir)
			o = new(told)
			c = openWith(t, config(dir), o)
			sameMatrix(t, c.View(), want)
			within(t, "a whole copy", func() bool { _, last := o.copy(); return last == nil })
			uploads(t, c, 16, 18)
			want = c.View()
			c.Close()
			c = openWith(t, config(dir), new(told))
			sameMatrix(t, c.View(), want)
			if len(files(t, dir, "*.tmp")) > 0 || len(files(t, dir, "base-*")) > 1 {
				t.Error(files(t, dir, "*"))
			}
		})
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// overwrite makes another file under the name: one that is mapped must not become shorter.
func overwrite(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	_ = os.Remove(filepath.Join(dir, name))
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A journal that cannot be written is reported, serving and following go on, and a fold mends it.
func TestJournalFails(t *testing.T) {
	dir, o := t.TempDir(), new(told)
	c := openWith(t, config(dir), o)
	uploads(t, c, 0, 3)
	c.replica.applying.Lock()
	c.replica.journal.close()
	c.replica.applying.Unlock()
	uploads(t, c, 3, 5)
	within(t, "a report", func() bool { n, _ := o.copy(); return n > 0 })
	within(t, "a mended journal", func() bool { n, last := o.copy(); return n > 1 && last == nil })
	uploads(t, c, 5, 7)
	want := c.View()
	c.Close()
	r, err := openReplica(config(dir), nil, Events{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	sameMatrix(t, r.view(), want)
}

// The disk of an edge is full: it follows all the same, says so, and its copy is whole once there is space again.
func TestEdgeWithAFullDisk(t *testing.T) {
	c, url := accepting(t, t.TempDir(), nil)
	uploads(t, c, 0, 10)
	dir, o := smallDisk(t), new(told)
	e := openWith(t, foldEvery(edgeConfig(dir, url), 20), o)
	reaches(t, e, c.View().Revision())
	free := fill(t, dir, 0)
	uploads(t, c, 10, 60)
	reaches(t, e, c.View().Revision())
	within(t, "a report", func() bool { n, last := o.copy(); return n > 0 && last != nil })
	free()
	within(t, "a whole copy", func() bool { n, last := o.copy(); return n > 1 && last == nil })
	want := e.View()
	e.Close()
	sameMatrix(t, openWith(t, edgeConfig(dir, nowhere), new(told)).View(), want)
}

// spoilBase flips a byte in the middle of the base in dir.
func spoilBase(t testing.TB, dir string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, files(t, dir, "base-*")[0]), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	at := info.Size() - info.Size()/4
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// sourceOf is the newest snapshot of another catalog.
type sourceOf struct{ c *Catalog }

// Newest is what the control listener answers.
func (s sourceOf) Newest(ctx context.Context) (Manifest, io.ReadCloser, error) {
	m, f, err := s.c.Snapshot(ctx)
	return m, f, err
}

// A base that is damaged while it is served is noticed, and the view made anew: of the log, or of a snapshot and the log.
func TestDamagedBase(t *testing.T) {
	for name, source := range map[string]bool{"log": false, "snapshot": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			control := new(told)
			cfg := foldEvery(config(t.TempDir()), 20)
			cfg.Role, cfg.NATS.Listen = roleControl, "127.0.0.1:0"
			c := openWith(t, cfg, control)
			uploads(t, c, 0, 50)
			dir, o := t.TempDir(), new(told)
			edge := foldEvery(edgeConfig(dir, fmt.Sprintf("nats://127.0.0.1:%d", c.server.port)), 40)
			if source {
				edge.Source = sourceOf{c}
			}
			e := openWith(t, edge, o)
			reaches(t, e, c.View().Revision())
			within(t, "a fold", func() bool { return o.folds() > 0 || len(files(t, dir, "base-*")) > 0 })
			e.Close()
			spoilBase(t, dir)
			o = new(told)
			e = openWith(t, edge, o)
			within(t, "a view made anew", func() bool {
				n, last := o.copy()
				return n > 1 && last == nil && e.View().Err() == nil && e.View().Revision() == c.View().Revision()
			})
			uploads(t, c, 50, 52)
			reaches(t, e, c.View().Revision())
			sameMatrix(t, e.View(), c.View())
			e.Close()
			sameMatrix(t, openWith(t, edgeConfig(dir, nowhere), new(told)).View(), c.View())
		})
	}
}

// The same with the log in this process, under load.
func TestDamagedBaseOfAWriter(t *testing.T) {
	dir, o := t.TempDir(), new(told)
	c := openWith(t, foldEvery(config(dir), 40), o)
	uploads(t, c, 0, 50)
	within(t, "a fold", func() bool { return o.folds() > 0 })
	c.Close()
	spoilBase(t, dir)
	o = new(told)
	c = openWith(t, config(dir), o)
	within(t, "a view made anew", func() bool {
		n, last := o.copy()
		return n > 1 && last == nil && c.View().Err() == nil
	})
	uploads(t, c, 50, 60)
	want := c.View()
	c.Close()
	c = openWith(t, config(dir), new(told))
	sameMatrix(t, c.View(), want)
	if n := len(want.Links("shop", "", "", 100)); n != 45 {
		t.Error(n)
	}
}

// A base is read as a whole, one that is new and one that was there at start, and that is told once it is done.
func TestVerified(t *testing.T) {
	t.Parallel()
	dir, o := t.TempDir(), new(told)
	verified := func() bool {
		revisions, err := directory(dir).bases()
		o.mu.Lock()
		defer o.mu.Unlock()
		return err == nil && len(revisions) == 1 && slices.Contains(o.verified, revisions[0])
	}
	c := openWith(t, foldEvery(config(dir), 40), o)
	uploads(t, c, 0, 50)
	within(t, "the new base to be verified", verified)
	c.Close()
	o = new(told)
	openWith(t, config(dir), o)
	within(t, "the base to be verified", verified)
}

// A frozen edge goes on from a snapshot that is past the place where the log cannot be followed.
func TestFrozenEdgeTakesASnapshot(t *testing.T) {
	c, url := accepting(t, t.TempDir(), nil)
	uploads(t, c, 0, 10)
	log, o := &holeyLog{hole: 15}, new(told)
	source := new(laterSource)
	cfg := edgeConfig(t.TempDir(), url)
	cfg.Source = source
	e := followingOver(t, cfg, o, log)
	reaches(t, e, 11)
	uploads(t, c, 10, 20)
	within(t, "a frozen view", func() bool { return e.Healthy() != nil && e.View().Revision() == 14 })
	checkFrozen(t, e.Healthy(), 16, "sequence 15 is missing", errChain)
	source.set(sourceOf{c})
	within(t, "an adopted snapshot", func() bool { return o.thawed() && e.View().Revision() == c.View().Revision() })
	sameMatrix(t, e.View(), c.View())
	reaches(t, e, update(t, c, putProduct("blog")))
	if len(o.adopted) != 1 || o.adopted[0] != [2]uint64{14, 21} {
		t.Error(o.adopted)
	}
}

// A laterSource has nothing until it is set.
type laterSource struct {
	mu   sync.Mutex // guards from
	from Source
}

func (s *laterSource) set(from Source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from = from
}

// Newest returns what it was set to.
func (s *laterSource) Newest(ctx context.Context) (Manifest, io.ReadCloser, error) {
	s.mu.Lock()
	from := s.from
	s.mu.Unlock()
	if from == nil {
		return Manifest{}, nil, asset.ErrNotFound
	}
	return from.Newest(ctx)
}

// A holeyLog leaves out a message until it is read from elsewhere.
type holeyLog struct {
	matrixLog
	hole    uint64
	healing bool
	asked   atomic.Int64
}

func (l *holeyLog) tail(ctx context.Context, after uint64, take func(uint64, []byte) error) error {
	return l.matrixLog.tail(ctx, after, func(seq uint64, data []byte) error {
		if seq == l.hole && !(l.healing && l.asked.Load() > 0) {
			return nil
		}
		return take(seq, data)
	})
}

func (l *holeyLog) elsewhere(context.Context) error {
	l.asked.Add(1)
	return nil
}

// followingOver returns an edge that reads its log through another one.
func followingOver(t *testing.T, cfg Config, o *told, log *holeyLog) *Catalog {
	t.Helper()
	s, err := startServer(cfg, Events{})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := newStream(s, cfg)
	if err != nil {
		t.Fatal(err)
	}
	log.matrixLog = inner
	r, err := openReplica(cfg, log, o.events())
	if err != nil {
		t.Fatal(err)
	}
	f, err := newFleet(cfg, s, r)
	if err != nil {
		t.Fatal(err)
	}
	c := start(r, s, f, cfg)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// A frozen edge goes on when another server has what is missing, and shows nothing in between.
func TestFrozenEdgeReadsElsewhere(t *testing.T) {
	c, url := accepting(t, t.TempDir(), nil)
	uploads(t, c, 0, 10)
	o, log := new(told), &holeyLog{hole: 8, healing: true}
	e := followingOver(t, edgeConfig(t.TempDir(), url), o, log)
	within(t, "a view that follows again", func() bool { return o.thawed() && e.View().Revision() == c.View().Revision() })
	sameMatrix(t, e.View(), c.View())
	if err := e.Healthy(); err != nil || log.asked.Load() == 0 {
		t.Error(err)
	}
}

// A change of a record that cannot be read, because the block that leads to it is damaged, is not lost from the view that
// shows its revision: nothing shows the revision until the view is made anew.
func TestChangeBehindADamagedBlock(t *testing.T) {
	const assets = 3000
	dirs := []string{t.TempDir(), t.TempDir()}
	for _, dir := range dirs {
		if err := Import(t.Context(), dir, Manifest{}, func(yield func(Mutation) bool) {
			more := yield(putProduct("shop"))
			for i := 0; i < assets && more; i++ {
				id := fmt.Sprintf("0190c5a8-0000-7000-8000-%012x", i)
				more = yield(putAsset(id, byte(i), byte(i/256))) && yield(putLink("shop", fmt.Sprintf("%06d.jpg", i), id))
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	control := config(dirs[0])
	control.Role, control.NATS.Listen = roleControl, "127.0.0.1:0"
	c := openWith(t, control, new(told))
	update(t, c, putProduct("app"))
	if err := c.replica.fold(t.Context()); err != nil { // what was imported is in no log
		t.Fatal(err)
	}
	spoilAssetTable(t, dirs[1])
	edge := edgeConfig(dirs[1], fmt.Sprintf("nats://127.0.0.1:%d", c.server.port))
	edge.Source = sourceOf{c}
	e := openWith(t, edge, new(told))
	for i := range 20 {
		id := fmt.Sprintf("0190c5a8-0000-7000-8000-%012x", i*100)
		update(t, c, Mutation{ChangeAsset: &AssetChange{Asset: id, Status: asset.Archived, At: time.Now().UTC()}})
		reaches(t, e, c.View().Revision())
		found, ok := e.View().Find("shop", fmt.Sprintf("%06d.jpg", i*100), 0)
		if !ok || found.Status != asset.Archived {
			t.Fatalf("revision %d is shown without its change: %v %s, %v", e.View().Revision(), ok, found.Status, e.View().Err())
		}
	}
}

// spoilAssetTable flips a bit in each block that holds nothing but a part of the table of assets.
func spoilAssetTable(t testing.TB, dir string) {
	t.Helper()
	path := filepath.Join(dir, files(t, dir, "base-*")[0])
	b, err := openBase(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	spoiled := 0
	for block := b.assetsAt()/blockBytes + 1; (block+1)*blockBytes <= b.originalsAt(); block++ {
		at := int64(block * blockBytes)
		if _, err := f.WriteAt([]byte{b.data[at] ^ 1}, at); err != nil {
			t.Fatal(err)
		}
		spoiled++
	}
	if spoiled < 3 {
		t.Fatal("too small a table to prove anything")
	}
}

// A brittleLog breaks off behind every third message.
type brittleLog struct{ matrixLog }

func (l brittleLog) tail(ctx context.Context, after uint64, take func(uint64, []byte) error) error {
	return l.matrixLog.tail(ctx, after, func(seq uint64, data []byte) error {
		if seq > after+3 {
			return errors.New("the consumer's message 4 is missing")
		}
		return take(seq, data)
	})
}

// A writer that has nothing but its log starts, however often reading that breaks off.
func TestReplayGoesOn(t *testing.T) {
	dir := t.TempDir()
	c := opened(t, dir)
	uploads(t, c, 0, 10)
	want := c.View()
	if err := errors.Join(c.Close(), os.Remove(filepath.Join(dir, journalName))); err != nil {
		t.Fatal(err)
	}
	s, err := startServer(config(dir), Events{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	log, err := newStream(s, config(dir))
	if err != nil {
		t.Fatal(err)
	}
	r, err := openReplica(config(dir), brittleLog{log}, Events{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	if err := r.replay(t.Context()); err != nil {
		t.Fatal(err)
	}
	sameMatrix(t, r.view(), want)
}

// A restart over a base with a damaged block shows all of a transaction in the journal, or nothing of it.
func TestJournalOverDamagedTable(t *testing.T) {
	const assets = 3000
	id := func(i int) string { return fmt.Sprintf("0190c5a8-0000-7000-8000-%012x", i) }
	name := func(i int) string { return fmt.Sprintf("%06d.jpg", i) }
	dir := t.TempDir()
	if err := Import(t.Context(), dir, Manifest{}, func(yield func(Mutation) bool) {
		more := yield(putProduct("shop"))
		for i := 0; i < assets && more; i++ {
			more = yield(putAsset(id(i), byte(i), byte(i/256))) && yield(putLink("shop", name(i), id(i)))
		}
	}); err != nil {
		t.Fatal(err)
	}
	c := openWith(t, config(dir), new(told))
	var all []Mutation
	for i := range 100 {
		all = append(all, Mutation{ChangeAsset: &AssetChange{Asset: id(i * 20), Status: asset.Archived, At: time.Now().UTC()}})
	}
	revision := update(t, c, all...)
	c.Close()
	spoilAssetTable(t, dir)
	e := openWith(t, edgeConfig(dir, nowhere), new(told))
	archived := 0
	for i := range 100 {
		if found, ok := e.View().Find("shop", name(i*20), 0); ok && found.Status == asset.Archived {
			archived++
		}
	}
	if archived != 0 || e.View().Revision() == revision {
		t.Errorf("revision %d shows %d of 100 changes", e.View().Revision(), archived)
	}
	if len(files(t, dir, journalName)) != 1 || e.replica.applied.revision != revision {
		t.Errorf("what was applied is forgotten: %d", e.replica.applied.revision)
	}
}

// A fold that is given up, as a snapshot of another history is adopted meanwhile, leaves no base; nor does the end of one take
// away what is being adopted.
func TestFoldLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	c := openWith(t, config(dir), new(told))
	uploads(t, c, 0, 20)
	r := c.replica
	f, err := r.beginFold()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.applying.Lock()
	r.era++
	r.applying.Unlock()
	if err := errors.Join(f.begin(t.Context()), f.catchUp(t.Context())); !errors.Is(err, errBusy) {
		t.Fatal(err)
	}
	if f.end(); len(files(t, dir, "base-*")) != 0 {
		t.Error(files(t, dir, "base-*"))
	}
	later := r.dir.base(1 << 40)
	if err := os.WriteFile(later, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(later); err != nil {
		t.Error(err)
	}
}

// An opening that fails at the journal leaves nothing that watches the base, and so holds its mapping.
func TestFailedOpenEnds(t *testing.T) {
	dir := t.TempDir()
	c := openWith(t, config(dir), new(told))
	uploads(t, c, 0, 20)
	if _, err := c.Backup(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	c.Close()
	newer := appendFrame(nil, func(b []byte) []byte { return append(b, strings.Replace(journalMagic, "1", "2", 1)...) })
	if err := os.WriteFile(filepath.Join(dir, journalName), newer, 0o600); err != nil {
		t.Fatal(err)
	}
	mapped := func() int {
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(maps), filepath.Join(dir, "base-"))
	}
	before := mapped() // what c had, which the test still reaches
	for range 3 {
		if _, err := openReplica(config(dir), nil, Events{}); err == nil {
			t.Fatal("a journal of a newer program was opened")
		}
	}
	within(t, "the bases to be unmapped", func() bool { runtime.GC(); return mapped() <= before })
}
