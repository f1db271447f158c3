package origin

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A Breaker stands before a store that may be slow, failing or hung, so that it costs its own requests only:
//
//   - At most MaxConcurrent operations are under way. More wait, and are refused with [asset.ErrOverloaded] after Timeout.
//   - An operation that makes no progress for Timeout is given up with [asset.ErrUnavailable]. The caller is let go even
//     when the store does not return (a hung NFS mount cannot be interrupted); until it does, the operation keeps its
//     place among the MaxConcurrent, so that what is stuck stays bounded.
//   - When reads fail again and again, the store is left alone for OpenFor and everything is refused at once with
//     [asset.ErrUnavailable]. Then one read is let through to try.
//
// No failures are: a missing object, a corrupt one (it says nothing about the others), a caller who left or whose
// deadline passed. Writes obey the breaker and do not feed it: a full disk must not stop reads.
type Breaker struct {
	inner   asset.Store
	reads   *gobreaker.CircuitBreaker[*asset.Object]
	slots   chan struct{} // one element for each operation under way
	stuck   atomic.Int32  // operations under way that made no progress for timeout
	timeout time.Duration
}

var _ asset.Store = (*Breaker)(nil)

// A State is what a breaker does with requests.
type State uint8

// Closed lets everything through, half-open one read, open nothing. The numbers are those of the metric.
const (
	StateClosed State = iota
	StateHalfOpen
	StateOpen
)

// String returns "closed", "half-open" or "open".
func (s State) String() string { return gobreaker.State(s).String() }

// What the breaker and the providers must tell apart and callers need not.
var (
	errRefused = errors.New("the breaker is open")
	errGivenUp = errors.New("given up by the caller")
	errStalled = errors.New("no progress")
	errBusy    = errors.New("all places are taken")
	// errSource is wrapped when a write failed because the object could not be read: not the provider's doing.
	errSource = errors.New("reading the object")
	// errScratch is wrapped when a read failed because there was nowhere to put the bytes: not the provider's either.
	errScratch = errors.New("scratch file")
)

// NewBreaker returns a breaker before inner. changed is called with every new state, under the breaker's lock.
func NewBreaker(cfg Config, inner asset.Store, changed func(State)) *Breaker {
	cfg = cfg.filled()
	b := &Breaker{inner: inner, slots: make(chan struct{}, cfg.MaxConcurrent), timeout: cfg.Timeout}
	b.reads = gobreaker.NewCircuitBreaker[*asset.Object](gobreaker.Settings{
		Name:          cfg.Name,
		MaxRequests:   1,
		Interval:      cfg.Breaker.Window,
		Timeout:       cfg.Breaker.OpenFor,
		ReadyToTrip:   func(c gobreaker.Counts) bool { return tripped(c, uint32(cfg.Breaker.Failures)) },
		OnStateChange: func(_ string, _, to gobreaker.State) { changed(State(to)) },
		IsSuccessful:  func(err error) bool { return err == nil || errors.Is(err, asset.ErrNotFound) },
		IsExcluded:    excluded,
	})
	return b
}

// tripped: so many failures in a row, or twice as many that are half of all.
func tripped(c gobreaker.Counts, failures uint32) bool {
	return c.ConsecutiveFailures >= failures || c.TotalFailures >= 2*failures && c.TotalFailures >= c.TotalSuccesses
}

// excluded reports errors that say nothing about the provider.
func excluded(err error) bool {
	for _, kind := range []error{errGivenUp, errBusy, errScratch, asset.ErrCorrupt, asset.ErrInvalid} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// State returns the breaker's state.
func (b *Breaker) State() State { return State(b.reads.State()) }

// Load loads from the store behind the breaker.
func (b *Breaker) Load(ctx context.Context, k asset.Key) (*asset.Object, error) {
	o, err := b.reads.Execute(func() (*asset.Object, error) {
		if err := b.enter(ctx); err != nil {
			return nil, err
		}
		return b.run(ctx, func(ctx context.Context) (*asset.Object, error) { return b.inner.Load(ctx, k) })
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		err = errOpen()
	}
	return o, err
}

// Put writes to the store behind the breaker.
func (b *Breaker) Put(ctx context.Context, o *asset.Object) error {
	if err := b.admitWrite(ctx); err != nil {
		return err
	}
	o.Retain() // the caller may be let go, and release o, before the store has read it
	_, err := b.run(ctx, func(ctx context.Context) (*asset.Object, error) {
		defer o.Release()
		return nil, b.inner.Put(ctx, o)
	})
	return err
}

// Delete deletes from the store behind the breaker.
func (b *Breaker) Delete(ctx context.Context, k asset.Key) error {
	return b.do(ctx, func(ctx context.Context) error { return b.inner.Delete(ctx, k) })
}

// do runs what is no read of an object as writes are run: it obeys the breaker and does not feed it. When op is given up
// it goes on by itself, so what it fills in must not be looked at after an error.
func (b *Breaker) do(ctx context.Context, op func(context.Context) error) error {
	if err := b.admitWrite(ctx); err != nil {
		return err
	}
	_, err := b.run(ctx, func(ctx context.Context) (*asset.Object, error) { return nil, op(ctx) })
	return err
}

// admitWrite refuses only while open. When half-open it does not: were there no reads, nothing would ever close it.
func (b *Breaker) admitWrite(ctx context.Context) error {
	if b.State() == StateOpen {
		return errOpen()
	}
	return b.enter(ctx)
}

func errOpen() error { return fmt.Errorf("%w: %w", asset.ErrUnavailable, errRefused) }

// enter takes a place among the operations under way. When none becomes free in time, it is for the stuck ones that
// hold them, if there are any, to say whose fault that is.
func (b *Breaker) enter(ctx context.Context) error {
	timer := time.NewTimer(b.timeout)
	defer timer.Stop()
	select {
	case b.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return givenUp(ctx)
	case <-timer.C:
	}
	if b.stuck.Load() > 0 {
		return fmt.Errorf("%w: operations are stuck: %w for %s", asset.ErrUnavailable, errStalled, b.timeout)
	}
	return fmt.Errorf("%w: %w for %s", asset.ErrOverloaded, errBusy, b.timeout)
}

// An answer is what came of an operation.
type answer struct {
	object *asset.Object
	err    error
}

// run does op in a goroutine of its own and returns its answer, or leaves when op stalls or ctx ends. The place taken
// by enter is given back when op returns.
func (b *Breaker) run(ctx context.Context, op func(context.Context) (*asset.Object, error)) (*asset.Object, error) {
	watched, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	answers := make(chan answer) // unbuffered: what is not received is not delivered, and is released
	go func() {
		defer func() { <-b.slots }()
		w := b.watch(cancel)
		defer w.end()
		o, err := op(context.WithValue(watched, beatKey{}, w.beat))
		select {
		case answers <- answer{o, err}:
		case <-watched.Done():
			release(o)
		}
	}()
	select {
	case a := <-answers:
		return b.judge(ctx, watched, a)
	case <-watched.Done():
		return b.judge(ctx, watched, answer{err: watched.Err()})
	}
}

func release(o *asset.Object) {
	if o != nil {
		o.Release()
	}
}

// judge names an error by whose doing it was.
func (b *Breaker) judge(ctx, watched context.Context, a answer) (*asset.Object, error) {
	switch {
	case a.err == nil:
		return a.object, nil
	case ctx.Err() != nil:
		return nil, givenUp(ctx)
	case errors.Is(context.Cause(watched), errStalled):
		return nil, fmt.Errorf("%w: %w for %s", asset.ErrUnavailable, errStalled, b.timeout)
	}
	return nil, a.err
}

func givenUp(ctx context.Context) error { return fmt.Errorf("%w: %w", errGivenUp, ctx.Err()) }

// A watchdog cancels an operation that makes no progress. It goes on watching when the caller has left, because what
// is stuck then is stuck for the next one too.
type watchdog struct {
	breaker *Breaker
	timer   *time.Timer
	over    atomic.Bool // the operation stalled or ended
}

func (b *Breaker) watch(cancel context.CancelCauseFunc) *watchdog {
	w := &watchdog{breaker: b}
	w.timer = time.AfterFunc(b.timeout, func() {
		if w.over.CompareAndSwap(false, true) {
			b.stuck.Add(1)
			cancel(errStalled)
		}
	})
	return w
}

// beat says that the operation moved on.
func (w *watchdog) beat() {
	if !w.over.Load() {
		w.timer.Reset(w.breaker.timeout)
	}
}

// end says that the operation is over; one that had stalled is stuck no longer.
func (w *watchdog) end() {
	w.timer.Stop()
	if w.over.Swap(true) {
		w.breaker.stuck.Add(-1)
	}
}

type beatKey struct{}

// beatOf returns the function by which a store says that its operation moved on. A store that never does so has
// Timeout for the whole.
func beatOf(ctx context.Context) func() {
	if beat, ok := ctx.Value(beatKey{}).(func()); ok {
		return beat
	}
	return func() {}
}
