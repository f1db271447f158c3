package origin

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

var errDisk = errors.New("input/output error")

// A scripted store answers by a function, which counts as its Load, Put and Delete.
type scripted struct {
	do    func(ctx context.Context, o *asset.Object) (*asset.Object, error)
	calls atomic.Int32
}

func (s *scripted) Load(ctx context.Context, _ asset.Key) (*asset.Object, error) {
	s.calls.Add(1)
	return s.do(ctx, nil)
}

func (s *scripted) Put(ctx context.Context, o *asset.Object) error {
	s.calls.Add(1)
	_, err := s.do(ctx, o)
	return err
}

func (s *scripted) Delete(ctx context.Context, _ asset.Key) error {
	s.calls.Add(1)
	_, err := s.do(ctx, nil)
	return err
}

func always(err error) *scripted {
	return &scripted{do: func(context.Context, *asset.Object) (*asset.Object, error) { return nil, err }}
}

func newBreaker(inner asset.Store) *Breaker {
	return NewBreaker(Config{Name: "p", MaxConcurrent: 4}, inner, func(State) {})
}

var key = asset.Key{Original: asset.Digest{1}}

func TestBreakerOpensOnRealErrorsAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		bucket := openBucket(t, "file://"+dir)
		o := original(100)
		must(t, bucket.Put(t.Context(), o))
		var states []State
		b := NewBreaker(Config{Name: "p"}, bucket, func(s State) { states = append(states, s) })
		must(t, loadError(t, b, o.Key))

		shards := filepath.Join(dir, "sha256")
		must(t, os.Rename(shards, shards+".away"))
		must(t, os.WriteFile(shards, nil, 0o644))
		for range DefaultConfig().Breaker.Failures {
			wantError(t, loadError(t, b, o.Key), asset.ErrUnavailable)
		}
		must(t, os.Remove(shards))
		must(t, os.Rename(shards+".away", shards))
		err := loadError(t, b, o.Key)
		wantError(t, err, asset.ErrUnavailable)
		wantError(t, err, errRefused)

		time.Sleep(DefaultConfig().Breaker.OpenFor + 1)
		must(t, loadError(t, b, o.Key))
		if want := []State{StateOpen, StateHalfOpen, StateClosed}; len(states) != 3 || states[0] != want[0] || states[1] != want[1] || states[2] != want[2] {
			t.Errorf("states were %v, want %v", states, want)
		}
	})
}

func TestBreakerHalfOpenTriesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan error)
		inner := &scripted{do: func(context.Context, *asset.Object) (*asset.Object, error) { return nil, <-gate }}
		b := newBreaker(inner)
		for range DefaultConfig().Breaker.Failures {
			go func() { gate <- errDisk }()
			wantError(t, loadError(t, b, key), errDisk)
		}
		for round := range 3 {
			time.Sleep(DefaultConfig().Breaker.OpenFor + 1)
			before := inner.calls.Load()
			var clients sync.WaitGroup
			for range 100 {
				clients.Go(func() { wantError(t, loadError(t, b, key), asset.ErrUnavailable) })
			}
			synctest.Wait()
			if probes := inner.calls.Load() - before; probes != 1 {
				t.Errorf("round %d: %d reads went through", round, probes)
			}
			gate <- errors.Join(asset.ErrUnavailable, errDisk)
			clients.Wait()
			if b.State() != StateOpen {
				t.Errorf("round %d: the breaker is %s", round, b.State())
			}
		}
	})
}

func TestBreakerStaysClosed(t *testing.T) {
	for _, err := range []error{asset.ErrNotFound, asset.ErrCorrupt, asset.ErrInvalid, errScratch} {
		b := newBreaker(always(err))
		for range 1000 {
			wantError(t, loadError(t, b, key), err)
		}
		if b.State() != StateClosed {
			t.Errorf("1,000 × %v: the breaker is %s", err, b.State())
		}
	}
}

func TestBreakerIgnoresCancelledCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(&scripted{do: func(ctx context.Context, _ *asset.Object) (*asset.Object, error) {
			<-ctx.Done()
			return nil, errors.New("connection reset") // what libraries make of a cancellation
		}})
		var clients sync.WaitGroup
		for i := range 1000 {
			clients.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i)*time.Millisecond)
				defer cancel()
				_, err := b.Load(ctx, key)
				wantError(t, err, context.DeadlineExceeded)
			})
		}
		clients.Wait()
		if b.State() != StateClosed {
			t.Errorf("the breaker is %s", b.State())
		}
	})
}

func TestBreakerForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(always(errDisk))
		for range 10 {
			for range DefaultConfig().Breaker.Failures - 1 {
				wantError(t, loadError(t, b, key), errDisk)
			}
			time.Sleep(DefaultConfig().Breaker.Window + 1)
		}
		if b.State() != StateClosed {
			t.Errorf("the breaker is %s", b.State())
		}
	})
}

func TestBreakerOpensWhenHalfFail(t *testing.T) {
	n := 0
	b := newBreaker(&scripted{do: func(context.Context, *asset.Object) (*asset.Object, error) {
		if n++; n%2 == 0 {
			return nil, errDisk
		}
		return original(1), nil
	}})
	for range 4 * DefaultConfig().Breaker.Failures {
		_ = loadError(t, b, key)
	}
	if b.State() != StateOpen {
		t.Errorf("the breaker is %s", b.State())
	}
}

func TestBreakerLetsGoOfAHungStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang, closed := make(chan struct{}), make(chan struct{})
		late := asset.NewBodyObject(key, "", 1, closing{closed: closed})
		inner := &scripted{do: func(context.Context, *asset.Object) (*asset.Object, error) {
			<-hang
			return late, nil
		}}
		b := newBreaker(inner)
		start := time.Now()
		err := loadError(t, b, key)
		wantError(t, err, asset.ErrUnavailable)
		wantError(t, err, errStalled)
		if waited := time.Since(start); waited != DefaultConfig().Timeout {
			t.Errorf("waited %s", waited)
		}
		for range 100 { // no more than 4 ever hang
			wantError(t, loadError(t, b, key), asset.ErrUnavailable)
			if b.State() == StateOpen {
				time.Sleep(DefaultConfig().Breaker.OpenFor + 1)
			}
		}
		if n := inner.calls.Load(); n != 4 {
			t.Errorf("%d calls hang", n)
		}
		wantError(t, loadError(t, b, key), asset.ErrUnavailable) // the one that is let through to try
		if b.State() != StateOpen {
			t.Errorf("the breaker is %s", b.State())
		}
		late.Retain()
		late.Retain()
		late.Retain() // one reference for each of the calls
		close(hang)
		<-closed
		synctest.Wait()
		if n := b.stuck.Load(); n != 0 || len(b.slots) != 0 {
			t.Errorf("%d are counted as stuck, %d places are taken", n, len(b.slots))
		}
	})
}

func TestBreakerGivesTimeForProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(&scripted{do: func(ctx context.Context, _ *asset.Object) (*asset.Object, error) {
			for range 100 {
				time.Sleep(DefaultConfig().Timeout / 2)
				beatOf(ctx)()
			}
			return original(1), ctx.Err()
		}})
		must(t, loadError(t, b, key))
	})
}

func TestBreakerLimitsConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, peak atomic.Int32
		b := newBreaker(&scripted{do: func(context.Context, *asset.Object) (*asset.Object, error) {
			peak.Store(max(peak.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(time.Second)
			return original(1), nil
		}})
		var clients sync.WaitGroup
		for range 20 {
			clients.Go(func() { must(t, loadError(t, b, key)) })
		}
		clients.Wait()
		if peak.Load() != 4 {
			t.Errorf("%d at once", peak.Load())
		}
	})
}

// TestBreakerBusyIsNoFailure: four long transfers make progress, and whoever waits in vain does not blame the store.
func TestBreakerBusyIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(&scripted{do: func(ctx context.Context, _ *asset.Object) (*asset.Object, error) {
			for range 60 {
				time.Sleep(time.Second)
				beatOf(ctx)()
			}
			return original(1), nil
		}})
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() { must(t, loadError(t, b, key)) })
		}
		synctest.Wait()
		for range 20 {
			clients.Go(func() { wantError(t, loadError(t, b, key), asset.ErrOverloaded) })
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := b.Load(ctx, key)
		wantError(t, err, context.DeadlineExceeded)
		clients.Wait()
		if b.State() != StateClosed {
			t.Errorf("the breaker is %s", b.State())
		}
	})
}

func TestBreakerWritesDoNotFeedIt(t *testing.T) {
	inner := always(errDisk)
	b := newBreaker(inner)
	for range 100 {
		wantError(t, b.Put(t.Context(), original(1)), errDisk)
		wantError(t, b.Delete(t.Context(), key), errDisk)
	}
	if b.State() != StateClosed {
		t.Errorf("the breaker is %s", b.State())
	}
	for range DefaultConfig().Breaker.Failures {
		_ = loadError(t, b, key)
	}
	before := inner.calls.Load()
	wantError(t, b.Put(t.Context(), original(1)), errRefused)
	wantError(t, b.Delete(t.Context(), key), errRefused)
	if inner.calls.Load() != before {
		t.Error("a write went through an open breaker")
	}
}

// TestBreakerPutHoldsTheObject: the caller is gone and has released the object, and the store still reads it.
func TestBreakerPutHoldsTheObject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := make(chan struct{})
		b := newBreaker(&scripted{do: func(ctx context.Context, o *asset.Object) (*asset.Object, error) {
			<-ctx.Done()
			time.Sleep(time.Minute)
			select {
			case <-closed:
				t.Error("the object was closed under the store")
			default:
			}
			return nil, ctx.Err()
		}})
		o := asset.NewBodyObject(key, "", 1, closing{closed: closed})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantError(t, b.Put(ctx, o), context.DeadlineExceeded)
		o.Release()
		<-closed
	})
}

// A closing body says when it is closed.
type closing struct {
	memory
	closed chan struct{}
}

func (c closing) Close() error {
	close(c.closed)
	return nil
}
