package cache

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/asset/assettest"
)

func neverLoads(t testing.TB) asset.Loader {
	return asset.LoaderFunc(func(_ context.Context, k asset.Key) (*asset.Object, error) {
		t.Errorf("%s was asked of the next loader", k)
		return nil, asset.ErrNotFound
	})
}

func load(t testing.TB, l asset.Loader, ctx context.Context, k asset.Key) *asset.Object {
	t.Helper()
	o, err := l.Load(ctx, k)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// A mapStore keeps everything and can be told to fail.
type mapStore struct {
	mu      sync.Mutex
	objects map[asset.Key]*asset.Object
	puts    int
	putErr  error
	loadErr error
	loads   atomic.Int32
	onLoad  func(n int32) // called after the n-th load has looked, before it returns
}

func newMapStore() *mapStore { return &mapStore{objects: map[asset.Key]*asset.Object{}} }

func (s *mapStore) Load(_ context.Context, k asset.Key) (*asset.Object, error) {
	s.mu.Lock()
	o, err := s.objects[k], s.loadErr
	s.mu.Unlock()
	if n := s.loads.Add(1); s.onLoad != nil {
		s.onLoad(n)
	}
	switch {
	case err != nil:
		return nil, err
	case o == nil:
		return nil, asset.ErrNotFound
	}
	return o, nil
}

func (s *mapStore) Put(_ context.Context, o *asset.Object) error {
	b, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts++
	if s.putErr == nil {
		s.objects[o.Key] = asset.NewObject(o.Key, o.MediaType, b)
	}
	return s.putErr
}

func (s *mapStore) Delete(_ context.Context, k asset.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, k)
	return nil
}

// A maker makes body objects, counts, and can be held back. It is what a renderer looks like from a tier.
type maker struct {
	t      *testing.T
	took   time.Duration // in the bubble's time
	err    error
	panics any
	calls  atomic.Int32
	mu     sync.Mutex
	bodies []*assettest.Body
	ctxErr error // of the last call's context, at its end
}

func (m *maker) Load(ctx context.Context, k asset.Key) (*asset.Object, error) {
	m.calls.Add(1)
	trace := asset.TraceOf(ctx)
	select {
	case <-time.After(m.took):
	case <-ctx.Done():
	}
	trace.Source = asset.Transforming
	trace.Spent[asset.Transforming] += m.took
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ctxErr = ctx.Err()
	switch {
	case m.panics != nil:
		panic(m.panics)
	case m.err != nil:
		return nil, m.err
	case m.ctxErr != nil:
		return nil, m.ctxErr
	}
	body := assettest.NewBody(m.t, wantBytes)
	m.bodies = append(m.bodies, body)
	return asset.NewBodyObject(k, "image/avif", int64(len(wantBytes)), body), nil
}

var wantBytes = assettest.Bytes(5000, 42)

// checkClosed: at rest every body that was made is closed, once.
func (m *maker) checkClosed() {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.bodies {
		if b.Closed() != 1 {
			m.t.Errorf("a body was closed %d times at rest, wanted once", b.Closed())
		}
	}
}

func checkObject(t *testing.T, o *asset.Object) {
	t.Helper()
	got, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size))
	if err != nil || string(got) != string(wantBytes) {
		t.Errorf("the object has %d other bytes, or error %v", len(got), err)
	}
}

func closeTier(t *testing.T, tier *Tier) {
	t.Helper()
	if err := tier.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// counts are how often each event was reported.
type counts struct{ hit, miss, joined, failed, panicked atomic.Int32 }

func (c *counts) events() Events {
	return Events{
		Hit:      func(asset.Room) { c.hit.Add(1) },
		Miss:     func(asset.Room) { c.miss.Add(1) },
		Joined:   func(asset.Room) { c.joined.Add(1) },
		Failed:   func(asset.Room, error) { c.failed.Add(1) },
		Panicked: func(asset.Room, asset.Key, any, []byte) { c.panicked.Add(1) },
	}
}

func (c *counts) check(t *testing.T, hit, miss, joined int32) {
	t.Helper()
	if h, m, j := c.hit.Load(), c.miss.Load(), c.joined.Load(); h != hit || m != miss || j != joined {
		t.Errorf("%d hits, %d misses, %d joined; wanted %d, %d, %d", h, m, j, hit, miss, joined)
	}
}

func TestTierFillsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers = 1000
		next, store, seen := &maker{t: t, took: time.Second}, newMapStore(), &counts{}
		tier := NewTier(asset.DiskTier, store, next, seen.events())
		var collapsed atomic.Int32
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				trace := &asset.Trace{Context: context.Background()}
				o := load(t, tier, trace, testKey(1))
				defer o.Release()
				checkObject(t, o)
				if trace.Collapsed {
					collapsed.Add(1)
				}
				if trace.Source != asset.Transforming || !trace.Stored || trace.Spent[asset.Transforming] != time.Second {
					t.Errorf("trace: %+v", trace)
				}
			})
		}
		all.Wait()
		if next.calls.Load() != 1 || store.puts != 1 || collapsed.Load() != callers-1 {
			t.Errorf("%d calls, %d puts, %d collapsed", next.calls.Load(), store.puts, collapsed.Load())
		}
		seen.check(t, 0, 1, callers-1)
		next.checkClosed()
		load(t, tier, t.Context(), testKey(1)).Release()
		seen.check(t, 1, 1, callers-1)
		closeTier(t, tier)
	})
}

// The one who started the fill leaves: nobody else notices, and the object is stored.
func TestTierLeaderLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next, store := &maker{t: t, took: time.Second}, newMapStore()
		tier := NewTier(asset.DiskTier, store, next, Events{})
		ctx, cancel := context.WithCancel(context.Background())
		left := make(chan error)
		go func() {
			_, err := tier.Load(ctx, testKey(1))
			left <- err
		}()
		synctest.Wait()
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				o := load(t, tier, context.Background(), testKey(1))
				defer o.Release()
				checkObject(t, o)
			})
		}
		synctest.Wait()
		start := time.Now()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) || time.Since(start) != 0 {
			t.Errorf("the leader got %v after %v", err, time.Since(start))
		}
		all.Wait()
		if next.calls.Load() != 1 || store.puts != 1 {
			t.Errorf("%d calls, %d puts", next.calls.Load(), store.puts)
		}
		next.checkClosed()
		closeTier(t, tier)
	})
}

// Everybody leaves: the fill goes on, its object is stored and nothing is left open.
func TestTierEverybodyLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next, store := &maker{t: t, took: time.Second}, newMapStore()
		tier := NewTier(asset.DiskTier, store, next, Events{})
		ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), testKey(0), 1), time.Millisecond)
		defer cancel()
		if _, err := tier.Load(ctx, testKey(1)); !errors.Is(err, asset.ErrTimeout) {
			t.Errorf("the caller got %v, wanted ErrTimeout", err)
		}
		closeTier(t, tier)
		if next.ctxErr != nil || store.puts != 1 {
			t.Errorf("the fill's context: %v, %d puts", next.ctxErr, store.puts)
		}
		next.checkClosed()
		if _, err := tier.Load(ctx, testKey(2)); !errors.Is(err, asset.ErrTimeout) || next.calls.Load() != 1 {
			t.Errorf("a caller who had left before: %v, %d calls", err, next.calls.Load())
		}
	})
}

// Callers come and leave at the very moment that the fill lands: no reference leaks, none is given back twice.
func TestTierReferences(t *testing.T) {
	next, store := &maker{t: t}, newMapStore()
	store.putErr = errors.New("full") // so that every load fills
	tier := NewTier(asset.DiskTier, store, next, Events{})
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for n := range 200 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration((g*n)%300)*time.Microsecond)
				if o, err := tier.Load(ctx, testKey(n%3)); err == nil {
					checkObject(t, o)
					o.Release()
				}
				cancel()
			}
		})
	}
	all.Wait()
	closeTier(t, tier)
	next.checkClosed()
}

// A caller misses; before it joins, another's fill lands. It must not ask the next loader again.
func TestTierRechecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next, store, seen := &maker{t: t, took: time.Second}, newMapStore(), &counts{}
		tier := NewTier(asset.DiskTier, store, next, seen.events())
		held := make(chan struct{})
		store.onLoad = func(n int32) {
			if n == 1 {
				<-held // the first caller has missed, and is slow
			}
		}
		var all sync.WaitGroup
		all.Go(func() {
			trace := &asset.Trace{Context: context.Background()}
			o := load(t, tier, trace, testKey(1))
			checkObject(t, o)
			if trace.Source != asset.DiskTier || trace.Collapsed {
				t.Errorf("trace: %+v", trace)
			}
		})
		synctest.Wait()
		load(t, tier, context.Background(), testKey(1)).Release()
		close(held)
		all.Wait()
		if next.calls.Load() != 1 {
			t.Errorf("the next loader was asked %d times", next.calls.Load())
		}
		seen.check(t, 1, 1, 0)
		next.checkClosed()
		closeTier(t, tier)
	})
}

func TestTierStoreFails(t *testing.T) {
	next, store, seen := &maker{t: t}, newMapStore(), &counts{}
	store.putErr, store.loadErr = errors.New("full"), errors.New("broken")
	tier := NewTier(asset.DiskTier, store, next, seen.events())
	trace := &asset.Trace{Context: t.Context()}
	o := load(t, tier, trace, testKey(1))
	checkObject(t, o)
	o.Release()
	if trace.Stored || seen.failed.Load() != 3 { // look, look again, put
		t.Errorf("stored: %v, %d failures reported", trace.Stored, seen.failed.Load())
	}
	seen.check(t, 0, 1, 0)
	next.checkClosed()
	closeTier(t, tier)
}

// An error goes to all who waited, and is not remembered.
func TestTierSharesErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := &maker{t: t, took: time.Second, err: asset.ErrUndecodable}
		tier := NewTier(asset.DiskTier, newMapStore(), next, Events{})
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if _, err := tier.Load(context.Background(), testKey(1)); !errors.Is(err, asset.ErrUndecodable) {
					t.Errorf("error: %v", err)
				}
			})
		}
		all.Wait()
		if next.calls.Load() != 1 {
			t.Errorf("%d calls", next.calls.Load())
		}
		next.err = nil
		load(t, tier, t.Context(), testKey(1)).Release()
		closeTier(t, tier)
	})
}

func TestTierPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next, seen := &maker{t: t, took: time.Second, panics: "boom"}, &counts{}
		tier := NewTier(asset.DiskTier, newMapStore(), next, seen.events())
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if _, err := tier.Load(context.Background(), testKey(1)); err == nil || !strings.Contains(err.Error(), "boom") {
					t.Errorf("error: %v", err)
				}
			})
		}
		all.Wait()
		if seen.panicked.Load() != 1 {
			t.Errorf("%d panics reported", seen.panicked.Load())
		}
		next.panics = nil
		load(t, tier, t.Context(), testKey(1)).Release()
		closeTier(t, tier)
	})
}

// A panicking store costs the answer and leaks nothing.
func TestTierPutPanics(t *testing.T) {
	next, store := &maker{t: t}, &panickyStore{mapStore: newMapStore()}
	tier := NewTier(asset.DiskTier, store, next, Events{})
	if o, err := tier.Load(t.Context(), testKey(1)); err == nil || o != nil {
		t.Errorf("%v, %v", o, err)
	}
	closeTier(t, tier)
	next.checkClosed()
}

type panickyStore struct{ *mapStore }

func (*panickyStore) Put(context.Context, *asset.Object) error { panic("put") }

func TestTierGoexit(t *testing.T) {
	tier := NewTier(asset.DiskTier, newMapStore(), asset.LoaderFunc(func(context.Context, asset.Key) (*asset.Object, error) {
		runtime.Goexit()
		return nil, nil
	}), Events{})
	if _, err := tier.Load(t.Context(), testKey(1)); !errors.Is(err, errUnwound) {
		t.Errorf("error: %v", err)
	}
	closeTier(t, tier)
}

// Fills have none of their caller's values, and a trace of their own.
func TestTierFillIsDetached(t *testing.T) {
	type private struct{}
	trace := &asset.Trace{Context: context.WithValue(t.Context(), private{}, 1)}
	tier := NewTier(asset.DiskTier, newMapStore(), asset.LoaderFunc(func(ctx context.Context, k asset.Key) (*asset.Object, error) {
		if _, has := ctx.Deadline(); ctx.Value(private{}) != nil || has || asset.TraceOf(ctx) == trace {
			t.Error("the fill runs on its caller's context")
		}
		return asset.NewObject(k, "", nil), nil
	}), Events{})
	load(t, tier, trace, testKey(1))
	closeTier(t, tier)
}

// Memory over disk over a maker: the trace names the deepest room that was needed, and the time of each.
func TestTwoTiers(t *testing.T) {
	next := asset.LoaderFunc(func(ctx context.Context, k asset.Key) (*asset.Object, error) {
		trace := asset.TraceOf(ctx)
		trace.Source = asset.Transforming
		trace.Spent[asset.Transforming] += time.Minute
		return asset.NewObject(k, "image/avif", wantBytes), nil
	})
	memory, disk := newMemory(t, 1<<20), openDisk(t, t.TempDir(), 1<<20, Events{})
	back := NewTier(asset.DiskTier, disk, next, Events{})
	front := NewTier(asset.MemoryTier, memory, back, Events{})
	check := func(source asset.Room, rooms ...asset.Room) {
		t.Helper()
		trace := &asset.Trace{Context: t.Context()}
		o := load(t, front, trace, testKey(1))
		checkObject(t, o)
		if trace.Source != source || trace.Collapsed {
			t.Errorf("source %v, wanted %v; collapsed %v", trace.Source, source, trace.Collapsed)
		}
		for r, spent := range trace.Spent {
			visited := false
			for _, room := range rooms {
				visited = visited || room == asset.Room(r)
			}
			if visited != (spent > 0) {
				t.Errorf("%v in room %v, wanted some: %v", spent, asset.Room(r), visited)
			}
		}
	}
	check(asset.Transforming, asset.MemoryTier, asset.DiskTier, asset.Transforming)
	check(asset.MemoryTier, asset.MemoryTier)
	if err := memory.Delete(t.Context(), testKey(1)); err != nil {
		t.Fatal(err)
	}
	check(asset.DiskTier, asset.MemoryTier, asset.DiskTier)
	check(asset.MemoryTier, asset.MemoryTier)
	closeTier(t, front)
	closeTier(t, back)
}

// One caller of the upper tier whose fill meets another's in the lower tier was collapsed too.
func TestTwoTiersCollapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := &maker{t: t, took: time.Second}
		back := NewTier(asset.DiskTier, newMapStore(), next, Events{})
		front := NewTier(asset.MemoryTier, newMapStore(), back, Events{})
		var all sync.WaitGroup
		all.Go(func() { load(t, back, context.Background(), testKey(1)).Release() })
		synctest.Wait()
		trace := &asset.Trace{Context: context.Background()}
		load(t, front, trace, testKey(1)).Release()
		all.Wait()
		if !trace.Collapsed || next.calls.Load() != 1 {
			t.Errorf("collapsed %v, %d calls", trace.Collapsed, next.calls.Load())
		}
		next.checkClosed()
		closeTier(t, front)
		closeTier(t, back)
	})
}

func TestTierClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next, store := &maker{t: t, took: time.Hour}, newMapStore()
		tier := NewTier(asset.DiskTier, store, next, Events{})
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := tier.Load(context.Background(), testKey(1)); !errors.Is(err, context.Canceled) {
				t.Errorf("the waiter got %v", err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := tier.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close while a fill is under way: %v", err)
		}
		all.Wait()
		closeTier(t, tier)
		if _, err := tier.Load(context.Background(), testKey(1)); !errors.Is(err, asset.ErrUnavailable) {
			t.Errorf("a miss after Close: %v", err)
		}
		mustPut(t, store, asset.NewObject(testKey(1), "image/avif", wantBytes))
		checkObject(t, load(t, tier, context.Background(), testKey(1)))
	})
}

func BenchmarkTierMemoryHit(b *testing.B) {
	m := newMemory(b, 1<<20)
	mustPut(b, m, testObject(1, 2048))
	tier := NewTier(asset.MemoryTier, m, neverLoads(b), Events{})
	trace, k := &asset.Trace{Context: context.Background()}, testKey(1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tier.Load(trace, k); err != nil {
			b.Fatal(err)
		}
	}
}
