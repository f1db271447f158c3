package transform

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image/png"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A store is where the disk tier would be: each load of the original has bytes of its own.
type store struct {
	original []byte
	loads    atomic.Int64
	gone     atomic.Bool
}

func (s *store) Load(_ context.Context, k asset.Key) (*asset.Object, error) {
	s.loads.Add(1)
	if s.gone.Load() {
		return nil, fmt.Errorf("store %s: %w", k, asset.ErrUnavailable)
	}
	return asset.NewObject(k, pngType, bytes.Clone(s.original)), nil
}

// stopped is a pool whose only worker has stopped, and the store that it loads from.
func stopped(t *testing.T, change func(*Config)) (*bench, *store) {
	t.Helper()
	b := newBench(t, func(c *Config) {
		c.Workers, c.Timeout = 1, time.Minute
		if change != nil {
			change(c)
		}
	})
	var original bytes.Buffer
	quick := png.Encoder{CompressionLevel: png.NoCompression} // quick to decode
	if err := quick.Encode(&original, photo(550, 550)); err != nil || original.Len() < 800<<10 || original.Len() > inMemory {
		t.Fatal(original.Len(), err)
	}
	s := &store{original: original.Bytes()}
	b.originals = s
	b.signal(t, syscall.SIGSTOP)
	return b, s
}

func (b *bench) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(b.log.lastPID(), s); err != nil {
		t.Fatal(err)
	}
}

// asked is how many originals were asked for.
var asked atomic.Uint32

// ask asks for variants of n originals at once, which nobody has looked at before. The channel has an error or nil for each.
func (b *bench) ask(ctx context.Context, n int) <-chan error {
	answers := make(chan error, n)
	for i := range n {
		var digest asset.Digest
		binary.BigEndian.PutUint32(digest[:], asked.Add(1))
		go func() {
			o, err := b.Load(ctx, asset.Key{Original: digest, Variant: asset.Variant{Width: i + 1, Format: asset.JPEG}})
			if err == nil {
				o.Release()
			}
			answers <- err
		}()
	}
	return answers
}

// TestQueueHoldsNothing: what waits for a worker has neither bytes nor descriptors, however much waits.
func TestQueueHoldsNothing(t *testing.T) {
	const n = 300
	defer debug.SetGCPercent(debug.SetGCPercent(10)) // what counts is what is held, not the garbage of a busy machine
	b, s := stopped(t, nil)
	held := watch(t)
	answers := b.ask(t.Context(), n)
	eventually(t, "all wait but the one on the worker", func() bool { return b.Queued() == n-1 && s.loads.Load() >= n })
	b.signal(t, syscall.SIGCONT)
	for range n {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	heap, descriptors := held()
	t.Logf("at most %d KiB of heap and %d descriptors more, for %d KiB of original", heap>>10, descriptors, len(s.original)>>10)
	if staged := b.cfg.staged(); descriptors > 2*staged+4 {
		t.Errorf("%d descriptors for %d staged renders", descriptors, staged)
	}
	if limit := int64(8 * maxLooks * len(s.original)); heap > limit { // with some garbage
		t.Errorf("%d MiB of heap", heap>>20)
	}
	if loads := s.loads.Load(); loads > 2*n {
		t.Errorf("%d loads", loads)
	}
}

// watch samples the heap in use and the open descriptors until asked for how far they grew.
func watch(t *testing.T) (grown func() (heap int64, descriptors int)) {
	t.Helper()
	runtime.GC()
	heap0, open0 := usage(t)
	var heap int64
	var open int
	var sampler sync.WaitGroup
	done := make(chan struct{})
	sampler.Go(func() {
		for {
			h, o := usage(t)
			heap, open = max(heap, h), max(open, o)
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	})
	return func() (int64, int) {
		close(done)
		sampler.Wait()
		return heap - heap0, open - open0
	}
}

func usage(t *testing.T) (heap int64, descriptors int) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Error(err)
	}
	return int64(m.HeapAlloc), len(fds)
}

// TestQueueEnds: what waits for a place is refused in time or leaves when its caller does; what has lost its original
// meanwhile gets the loader's error. Nothing is left behind.
func TestQueueEnds(t *testing.T) {
	const n = 8 // of which one is on the worker and one staged
	f := func(name string, change func(*Config), end func(*bench, *store, context.CancelFunc), want error, wantFailed int) {
		t.Run(name, func(t *testing.T) {
			b, s := stopped(t, change)
			_, open := usage(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			answers := b.ask(ctx, n)
			eventually(t, "all wait but the one on the worker", func() bool { return b.Queued() == n-1 && s.loads.Load() >= n })
			end(b, s, cancel)
			b.signal(t, syscall.SIGCONT)
			failed := 0
			for range n {
				if err := <-answers; errors.Is(err, want) {
					failed++
				} else if err != nil {
					t.Error(err)
				}
			}
			if failed != wantFailed || b.Queued() != 0 {
				t.Error(failed, b.Queued())
			}
			if !b.places.TryAcquire(int64(b.cfg.staged())) || !b.memory.TryAcquire(b.cfg.MaxMemoryBytes) || !b.looks.TryAcquire(maxLooks) {
				t.Error("a place, memory or a look was not given back")
			}
			eventually(t, "all descriptors are closed", func() bool { _, now := usage(t); return now <= open })
		})
	}
	f("Timeout", func(c *Config) { c.QueueTimeout = 2 * time.Second }, func(b *bench, _ *store, _ context.CancelFunc) {
		eventually(t, "all were refused", func() bool { return b.log.count(&b.log.shed, "wait") == n-1 })
	}, asset.ErrOverloaded, n-1)
	f("Caller", nil, func(_ *bench, _ *store, leave context.CancelFunc) { leave() }, context.Canceled, n)
	f("Original", nil, func(_ *bench, s *store, _ context.CancelFunc) { s.gone.Store(true) }, asset.ErrUnavailable, n-2)
}

// TestSlowOriginals: those who wait for a slow provider keep neither a look nor a place from others.
func TestSlowOriginals(t *testing.T) {
	b := newBench(t, one)
	gate, quick := make(chan struct{}), b.shelf
	slow := &shelf{bytes: quick.bytes, gate: gate}
	lost := asset.Digest{1}
	b.originals = asset.LoaderFunc(func(ctx context.Context, k asset.Key) (*asset.Object, error) {
		if k.Original == lost {
			return slow.Load(ctx, k)
		}
		return quick.Load(ctx, k)
	})
	var waiting sync.WaitGroup
	for i := range 3 * maxLooks {
		waiting.Go(func() {
			key := asset.Key{Original: lost, Variant: asset.Variant{Width: i + 1, Format: asset.JPEG}}
			if _, err := b.Load(t.Context(), key); !errors.Is(err, asset.ErrNotFound) {
				t.Error(err)
			}
		})
	}
	eventually(t, "all wait", func() bool { return b.Queued() == 3*maxLooks })
	b.mustRender(t)
	close(gate)
	waiting.Wait()
	if !b.looks.TryAcquire(maxLooks) {
		t.Error("a look was not given back")
	}
}

// TestQueueTooLong: when what is waiting will keep the workers busy for longer than a render may wait, one more is
// refused at once, before its original is asked for.
func TestQueueTooLong(t *testing.T) {
	b, s := stopped(t, func(c *Config) { c.QueueTimeout = 20 * time.Second })
	for range 100 {
		b.learn(9 * time.Second)
	}
	running := b.ask(t.Context(), 1)
	eventually(t, "one is on the worker", func() bool { return b.Queued() == 0 && s.loads.Load() == 1 })
	waiting := b.ask(t.Context(), 3) // which take 27 s
	eventually(t, "three wait", func() bool { return b.Queued() == 3 && s.loads.Load() == 4 })
	loads := s.loads.Load()
	if err := <-b.ask(t.Context(), 1); !errors.Is(err, asset.ErrOverloaded) || s.loads.Load() != loads {
		t.Error(err, s.loads.Load(), loads)
	}
	if b.log.count(&b.log.shed, "wait") != 1 {
		t.Error(b.log.shed)
	}
	b.signal(t, syscall.SIGCONT)
	for _, answer := range []<-chan error{running, waiting, waiting, waiting} {
		if err := <-answer; err != nil {
			t.Error(err)
		}
	}
	if err := <-b.ask(t.Context(), 1); err != nil {
		t.Errorf("with nothing waiting: %v", err)
	}
}

// A changing body is a file that others write to once it was asked for.
type changing struct {
	fileBody
	asked *atomic.Int32
	open  *atomic.Int32
}

func (c changing) File() (*os.File, error) {
	if c.asked.Add(1) > 1 {
		return nil, asset.ErrCorrupt
	}
	return c.f, nil
}

func (c changing) Close() error {
	c.open.Add(-1)
	return nil
}

// TestOriginalIsChanged: of an original that others wrote to while a worker had it, there is no rendition.
func TestOriginalIsChanged(t *testing.T) {
	b := newBench(t, one)
	original := pngOf(t, photo(30, 20))
	f, err := os.CreateTemp(t.TempDir(), "original")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := writeAll(f, original); err != nil {
		t.Fatal(err)
	}
	var asked, open atomic.Int32
	b.originals = asset.LoaderFunc(func(_ context.Context, k asset.Key) (*asset.Object, error) {
		open.Add(1)
		return asset.NewBodyObject(k, pngType, int64(len(original)), changing{fileBody{f}, &asked, &open}), nil
	})
	if _, err := b.Load(t.Context(), asset.Key{Variant: asset.Variant{Width: 10, Format: asset.JPEG}}); !errors.Is(err, asset.ErrCorrupt) {
		t.Error(err)
	}
	if n := open.Load(); n != 0 {
		t.Errorf("%d originals are held", n)
	}
}

// TestIdleWaits: what waits for its original has need of a worker soon.
func TestIdleWaits(t *testing.T) {
	b := newBench(t, nil)
	b.shelf.gate = make(chan struct{})
	eventually(t, "it is idle", b.Idle)
	answers := b.ask(t.Context(), 1)
	eventually(t, "one waits", func() bool { return b.Queued() == 1 })
	if b.Idle() {
		t.Error("it is idle though one waits for its original")
	}
	close(b.shelf.gate)
	<-answers // there is no such original
}

// TestIdle: a pool is idle while a worker has nothing to do and nothing waits, and at no moment of a render.
func TestIdle(t *testing.T) {
	b, _ := stopped(t, nil)
	if !b.Idle() {
		t.Fatal("it has nothing to do and is not idle")
	}
	answers := b.ask(t.Context(), 1)
	eventually(t, "the worker has the one", func() bool { return b.Queued() == 0 && !b.Idle() })
	more := b.ask(t.Context(), 3)
	eventually(t, "the others wait", func() bool { return b.Queued() == 3 })
	if b.Idle() {
		t.Error("it is idle though three wait")
	}
	b.signal(t, syscall.SIGCONT)
	for range 3 {
		if err := <-more; err != nil {
			t.Error(err)
		}
	}
	if err := <-answers; err != nil {
		t.Error(err)
	}
	eventually(t, "it is idle again", b.Idle)
	_ = b.Close()
	if b.Idle() {
		t.Error("it is idle though it is closed")
	}
}
