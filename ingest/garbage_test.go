package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
)

func (h *house) collector() *Collector { return NewCollector(h.Ingester, h.providers, GarbageEvents{}) }

// collected returns the texts of what a collection finds, sorted; it must delete what it finds unless it runs dry.
func (h *house) collected(t *testing.T, grace time.Duration, dryRun bool, texts ...string) {
	t.Helper()
	found, err := h.collector().Collect(t.Context(), grace, dryRun)
	must(t, err)
	var got, want []string
	for _, g := range found {
		if g.Deleted == dryRun || !slices.Equal(g.Providers, []string{"local"}) || g.Size == 0 || g.Since.IsZero() {
			t.Errorf("found is %+v", g)
		}
		got = append(got, g.Digest.String())
	}
	for _, text := range texts {
		want = append(want, digestOf(text).String())
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("collected %d, want %q", len(got), texts)
	}
}

func digestOf(text string) asset.Digest { return sha256.Sum256([]byte(text)) }

// stored wants the originals to be exactly these texts.
func (h *house) stored(t *testing.T, texts ...string) {
	t.Helper()
	var got, want []string
	for _, name := range h.originals(t) {
		got = append(got, filepath.Base(name))
	}
	for _, text := range texts {
		want = append(want, digestOf(text).String())
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d are stored, want %q", len(got), texts)
	}
}

func (h *house) path(text string) string {
	digest := digestOf(text).String()
	return filepath.Join(h.dir, "originals", "sha256", digest[:2], digest)
}

// age makes an original one that was stored long ago.
func age(t *testing.T, path string) {
	t.Helper()
	old := time.Now().Add(-48 * time.Hour)
	must(t, os.Chtimes(path, old, old))
}

// unlink takes a name away, and the asset with its last link, as the management API does.
func (h *house) unlink(ctx context.Context, product, name string) error {
	_, err := h.catalog.Update(ctx, func(v *catalog.View) ([]catalog.Mutation, error) {
		_, a, ok := v.Lookup(product, name)
		if !ok {
			return nil, nil
		}
		mutations := []catalog.Mutation{{DeleteLink: &catalog.LinkRef{Product: product, Name: name}}}
		if len(v.LinksOf(a.ID)) == 1 {
			mutations = append(mutations, catalog.Mutation{DeleteAsset: a.ID})
		}
		return mutations, nil
	})
	return err
}

func (h *house) orphans() (n int) {
	for range h.catalog.View().Orphans() {
		n++
	}
	return n
}

func text(name, body string) asset.Upload { return upload(name, []byte(body)) }

func TestCollectOrphans(t *testing.T) {
	h := newHouse(t)
	h.put(t, text("one", "1"))
	one := h.put(t, text("one", "2"))
	h.put(t, text("two", "2"))
	h.put(t, text("three", "3"))
	h.update(t, catalog.Mutation{PutLink: &asset.Link{Product: "blog", Name: "uno", Asset: one.ID}})
	h.collected(t, 0, false)

	must(t, h.unlink(t.Context(), "shop", "one")) // blog shows it still
	h.collected(t, 0, false)
	h.stored(t, "1", "2", "3")
	must(t, h.unlink(t.Context(), "blog", "uno"))
	if _, ok := h.catalog.View().Asset(one.ID); ok {
		t.Error("the asset outlives its last link")
	}
	h.collected(t, time.Hour, false)
	h.collected(t, 0, true, "1") // the other is two's
	h.stored(t, "1", "2", "3")
	h.collected(t, 0, false, "1")
	h.stored(t, "2", "3")
	h.collected(t, 0, false)
	must(t, h.unlink(t.Context(), "shop", "two"))
	h.collected(t, 0, false, "2")
	h.stored(t, "3")
	if n := h.orphans(); n > 0 {
		t.Errorf("%d orphans are not forgotten", n)
	}
	h.put(t, text("one", "1")) // and back
	h.stored(t, "1", "3")
	h.collected(t, 0, false)
}

func TestCollectWhatIsUsedAgain(t *testing.T) {
	h := newHouse(t)
	h.put(t, text("one", "1"))
	must(t, h.unlink(t.Context(), "shop", "one"))
	h.put(t, text("two", "1"))
	h.collected(t, 0, false)
	h.stored(t, "1")
}

// TestCollectUnknown: what a process stored and did not live to record, and what it was writing.
func TestCollectUnknown(t *testing.T) {
	h := newHouse(t)
	h.put(t, text("one", "known"))
	in := h.ingester(t, doubtful{h.catalog, false})
	_, err := in.Put(t.Context(), text("two", "unknown"))
	wantUnavailable(t, err)
	stray := h.path("torn") + ".18ab.tmp"
	must(t, os.MkdirAll(filepath.Dir(stray), 0o755))
	must(t, os.WriteFile(stray, []byte("to"), 0o644))
	h.collected(t, time.Hour, false)
	age(t, h.path("known"))
	age(t, h.path("unknown"))
	age(t, stray)
	h.collected(t, time.Hour, true, "torn", "unknown")

	_, err = in.Put(t.Context(), text("two", "unknown")) // the grace period begins anew
	wantUnavailable(t, err)
	h.collected(t, time.Hour, false, "torn")
	h.stored(t, "known", "unknown")
	age(t, h.path("unknown"))
	h.collected(t, time.Hour, false, "unknown")
	h.stored(t, "known")
	if n := h.orphans(); n > 0 {
		t.Errorf("%d orphans are not forgotten", n)
	}
}

// A faulty part fails from its nth call on, before or after it does what it is asked for.
type faultyMatrix struct {
	Matrix
	calls, fails int
	after        bool
}

var errBroken = errors.New("broken")

func (m *faultyMatrix) Update(ctx context.Context, f func(*catalog.View) ([]catalog.Mutation, error)) (uint64, error) {
	m.calls++
	if m.calls < m.fails {
		return m.Matrix.Update(ctx, f)
	}
	if m.after {
		_, _ = m.Matrix.Update(ctx, f)
	}
	return 0, errBroken
}

type faultyOriginals struct {
	Originals
	after bool
}

func (o faultyOriginals) Delete(ctx context.Context, k asset.Key, names []string) error {
	if o.after {
		_ = o.Originals.Delete(ctx, k, names)
	}
	return errBroken
}

// TestCollectBreaksOff: at every step, before and after it; the next collection ends it, whatever its grace period.
func TestCollectBreaksOff(t *testing.T) {
	f := func(what string, condemned bool, broken func(h *house) *Ingester) {
		t.Helper()
		h := newHouse(t)
		h.put(t, text("one", "1"))
		must(t, h.unlink(t.Context(), "shop", "one"))
		if found, err := NewCollector(broken(h), h.providers, GarbageEvents{}).Collect(t.Context(), 0, false); !errors.Is(err, errBroken) || len(found) > 0 {
			t.Errorf("%s: %+v, %v", what, found, err)
		}
		found, err := h.collector().Collect(t.Context(), time.Hour, false)
		must(t, err)
		if done := len(found) == 1; done != condemned {
			t.Errorf("%s: the next one found %+v", what, found)
		}
		_, err = h.collector().Collect(t.Context(), 0, false)
		must(t, err)
		h.stored(t)
		if n := h.orphans(); n > 0 {
			t.Errorf("%s: %d orphans are not forgotten", what, n)
		}
	}
	for _, after := range []bool{false, true} {
		f(fmt.Sprint("condemn ", after), after, func(h *house) *Ingester {
			return h.ingester(t, &faultyMatrix{Matrix: h.catalog, fails: 1, after: after})
		})
		f(fmt.Sprint("delete ", after), true, func(h *house) *Ingester {
			in := h.ingester(t, h.catalog)
			in.originals = faultyOriginals{h.providers, after}
			return in
		})
	}
	f("forget", true, func(h *house) *Ingester { return h.ingester(t, &faultyMatrix{Matrix: h.catalog, fails: 2}) })
}

func TestCollectWithoutProvider(t *testing.T) {
	h := newHouse(t)
	for i := range 2 * maxFailures {
		name := fmt.Sprint(i)
		h.put(t, text(name, name))
		must(t, h.unlink(t.Context(), "shop", name))
	}
	originals, revision := filepath.Join(h.dir, "originals"), h.catalog.View().Revision()
	must(t, os.Rename(originals, originals+".away"))
	found, err := h.collector().Collect(t.Context(), 0, false)
	if !errors.Is(err, asset.ErrUnavailable) || !errors.Is(err, errGivenUp) || len(found) > 0 || h.catalog.View().Revision() != revision {
		t.Errorf("%+v, %v", found, err)
	}
	must(t, os.Rename(originals+".away", originals))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.collector().Collect(ctx, 0, false); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	found, err = h.collector().Collect(t.Context(), 0, false)
	if must(t, err); len(found) != 2*maxFailures {
		t.Errorf("%d were found", len(found))
	}
	_, err = h.collector().Collect(t.Context(), -1, false)
	wantFault(t, err, asset.ErrInvalid, "grace", "0s or more")
}

// condemn is what a collector of another process does first; forget is what it does last.
func (h *house) condemn(t *testing.T, text string) {
	t.Helper()
	d := digestOf(text)
	h.update(t, catalog.Mutation{CondemnOriginal: &d})
}

func (h *house) forget(t *testing.T, text string) {
	t.Helper()
	d := digestOf(text)
	h.update(t, catalog.Mutation{ForgetOriginal: &d})
}

func TestPutWaitsForADeletion(t *testing.T) {
	h := newHouse(t)
	h.put(t, text("one", "1"))
	must(t, h.unlink(t.Context(), "shop", "one"))
	h.condemn(t, "1")

	h.patience = time.Millisecond
	_, err := h.Put(t.Context(), text("two", "1"))
	wantFault(t, err, asset.ErrUnavailable, "being deleted")
	h.patience = time.Minute
	done := make(chan error, 1)
	go func() {
		_, err := h.Put(t.Context(), text("two", "1"))
		done <- err
	}()
	for range 3 { // other commits do not end it
		h.define(t, "news")
	}
	select {
	case err := <-done:
		t.Fatal("it did not wait:", err)
	case <-time.After(20 * time.Millisecond):
	}
	h.collected(t, time.Hour, false, "1")
	must(t, <-done)
	h.stored(t, "1")
	h.wantBytes(t)
}

// An interloper does something before the first update.
type interloper struct {
	Matrix
	once sync.Once
	do   func()
}

func (m *interloper) Update(ctx context.Context, f func(*catalog.View) ([]catalog.Mutation, error)) (uint64, error) {
	m.once.Do(m.do)
	return m.Matrix.Update(ctx, f)
}

// TestPutAgainstAnotherProcess: whose collector comes between storing and recording.
func TestPutAgainstAnotherProcess(t *testing.T) {
	h := newHouse(t)
	var rest sync.WaitGroup
	begun := h.ingester(t, &interloper{Matrix: h.catalog, do: func() {
		h.condemn(t, "1")
		rest.Go(func() {
			time.Sleep(5 * time.Millisecond)
			must(t, os.Remove(h.path("1")))
			h.forget(t, "1")
		})
	}})
	r, err := begun.Put(t.Context(), text("one", "1"))
	must(t, err)
	rest.Wait()
	if r.Version != 1 || !r.Created {
		t.Errorf("receipt is %+v", r)
	}
	h.wantBytes(t)

	ended := h.ingester(t, &interloper{Matrix: h.catalog, do: func() {
		h.condemn(t, "2")
		must(t, os.Remove(h.path("2")))
		h.forget(t, "2")
	}})
	_, err = ended.Put(t.Context(), text("two", "2"))
	must(t, err)
	h.wantBytes(t)

	stuck := h.ingester(t, &interloper{Matrix: h.catalog, do: func() { h.condemn(t, "3") }})
	stuck.patience = time.Millisecond
	_, err = stuck.Put(t.Context(), text("three", "3"))
	wantFault(t, err, asset.ErrUnavailable, "being deleted")
	if len(stuck.digests.held) > 0 {
		t.Error("the lock was not given back")
	}
	h.collected(t, time.Hour, false, "3")
}

// wantBytes wants every version in the view to have its original, byte for byte (a load verifies it).
func (h *house) wantBytes(t *testing.T) (versions int) {
	t.Helper()
	v := h.catalog.View()
	for p := range v.Products() {
		for _, l := range v.Links(p.Name, "", "", 1<<20) {
			a, ok := v.Asset(l.Asset)
			if !ok {
				t.Fatalf("%s leads nowhere", l.Name)
			}
			for _, each := range a.Versions {
				o, err := h.providers.Load(t.Context(), asset.Key{Original: each.Digest})
				if err != nil {
					t.Fatalf("version %d of %s: %v", each.Number, l.Name, err)
				}
				o.Release()
				versions++
			}
		}
	}
	return versions
}

// A seldom catalog refuses what is not a collector's, now and then.
type seldom struct{ Matrix }

func (m *seldom) Update(ctx context.Context, f func(*catalog.View) ([]catalog.Mutation, error)) (uint64, error) {
	return m.Matrix.Update(ctx, func(v *catalog.View) ([]catalog.Mutation, error) {
		mutations, err := f(v)
		if len(mutations) > 0 && mutations[0].CondemnOriginal == nil && mutations[0].ForgetOriginal == nil && rand.IntN(5) == 0 {
			return nil, fault(asset.ErrConflict, "name", "not today")
		}
		return mutations, err
	})
}

// TestCollectAmongUploads: uploads of the same bytes, deletions, and collections without grace, all at once.
func TestCollectAmongUploads(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var work sync.WaitGroup
	var puts, deletions, collected, refused atomic.Int64
	again := func(do func()) {
		work.Go(func() {
			for ctx.Err() == nil {
				do()
			}
		})
	}
	h.matrix = &seldom{Matrix: h.catalog} // some are refused, and clean up
	for range 4 {
		again(func() {
			body := bytes.Repeat([]byte{byte('a' + rand.IntN(4))}, 1000)
			if _, err := h.Put(t.Context(), upload(fmt.Sprint(rand.IntN(6)), body)); errors.Is(err, asset.ErrConflict) {
				refused.Add(1)
			} else if err != nil {
				t.Error("put:", err)
			}
			puts.Add(1)
		})
		again(func() {
			if err := h.unlink(t.Context(), "shop", fmt.Sprint(rand.IntN(6))); err != nil && !errors.Is(err, asset.ErrNotFound) {
				t.Error("unlink:", err)
			}
			deletions.Add(1)
		})
	}
	for range 2 {
		again(func() {
			found, err := h.collector().Collect(t.Context(), 0, false)
			if err != nil {
				t.Error("collect:", err)
			}
			collected.Add(int64(len(found)))
		})
	}
	work.Wait()
	if collected.Load() == 0 {
		t.Error("nothing was collected")
	}
	versions := h.wantBytes(t)
	t.Logf("%d puts (%d refused), %d deletions, %d collected; %d versions are whole", puts.Load(), refused.Load(), deletions.Load(), collected.Load(), versions)
	_, err := h.collector().Collect(t.Context(), 0, false)
	must(t, err)
	h.wantBytes(t)
	if h.orphans() > 0 || len(h.digests.held) > 0 {
		t.Errorf("%d orphans, %d locks are left", h.orphans(), len(h.digests.held))
	}
	for name := range 6 {
		must(t, h.unlink(t.Context(), "shop", fmt.Sprint(name)))
	}
	_, err = h.collector().Collect(t.Context(), 0, false)
	must(t, err)
	h.stored(t)
}

func TestRun(t *testing.T) {
	h := newHouse(t)
	h.put(t, text("one", "1"))
	must(t, h.unlink(t.Context(), "shop", "one"))
	h.put(t, text("two", "2"))
	must(t, h.unlink(t.Context(), "shop", "two"))
	h.condemn(t, "1")
	h.cfg.Garbage = GarbageConfig{Grace: 0, Interval: time.Second}
	swept := make(chan []asset.Garbage, 10)
	c := NewCollector(h.Ingester, h.providers, GarbageEvents{Swept: func(deleted []asset.Garbage, took time.Duration, err error) {
		if err != nil || took <= 0 {
			t.Error(took, err)
		}
		swept <- deleted
	}})
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { c.Run(ctx); close(over) }()
	for _, want := range []string{"1", "2"} { // what broke off at once, the rest at the interval
		select {
		case deleted := <-swept:
			if len(deleted) != 1 || deleted[0].Digest != digestOf(want) {
				t.Errorf("deleted are %+v", deleted)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("nothing was swept")
		}
	}
	cancel()
	<-over
	h.stored(t)
	h.cfg.Garbage.Interval = 0
	c.Run(t.Context()) // never
}

func TestGarbageConfig(t *testing.T) {
	must(t, Config{SpoolDir: "x", MaxBytes: 1, Garbage: defaultGarbage()}.Validate())
	must(t, Config{SpoolDir: "x", MaxBytes: 1}.Validate())
	for key, c := range map[string]GarbageConfig{"garbage.grace": {Grace: -1}, "garbage.interval": {Interval: 1}} {
		wantFault(t, Config{SpoolDir: "x", MaxBytes: 1, Garbage: c}.Validate(), asset.ErrInvalid, key)
	}
}
