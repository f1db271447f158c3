package catalog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

const (
	// tailRetryWait is the pause before a tail that broke off is taken up again.
	tailRetryWait = 100 * time.Millisecond
	// stallTimeout is how long a replay waits for the next message before it asks whether there is one.
	stallTimeout = 2 * time.Second
)

// A replica is the view that follows the log. Only the log advances it, our own writes included.
type replica struct {
	log    matrixLog
	mark   *mark
	events Events
	work   *View // the view that the next message goes into; owned by the goroutine that follows the log
	head   uint64

	current atomic.Pointer[View]
	mu      sync.Mutex    // guards changed and broken
	changed chan struct{} // closed when current or broken changes
	broken  error
}

func newReplica(log matrixLog, m *mark, ev Events) *replica {
	r := &replica{log: log, mark: m, events: ev, work: new(View), changed: make(chan struct{})}
	r.current.Store(r.work)
	return r
}

// errReplayed ends a replay that has reached the head.
var errReplayed = errors.New("replayed")

// replay reads the log from its beginning to what is its end now.
func (r *replica) replay(ctx context.Context) error {
	first, last, err := r.log.bounds(ctx)
	if err != nil {
		return err
	}
	if err := r.mark.checkEnd(last); err != nil || last == 0 {
		return err
	}
	if first != 1 {
		return &FrozenError{first, fmt.Errorf("%w: the log begins here, what was before is gone", errChain)}
	}
	r.head = last
	following, cancel := context.WithCancel(ctx)
	defer cancel()
	stall := time.AfterFunc(stallTimeout, cancel)
	defer stall.Stop()
	err = r.log.tail(following, 0, func(seq uint64, data []byte) error {
		stall.Reset(stallTimeout)
		if err := r.take(seq, data); err != nil || seq < last {
			return err
		}
		return errReplayed
	})
	if errors.Is(err, errReplayed) {
		return nil
	}
	return r.explain(ctx, err)
}

// explain says why a replay ended early: a server that has lost a message at the end of its log delivers nothing.
func (r *replica) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil || !errors.Is(err, context.Canceled) {
		return err
	}
	missing := r.work.revision + 1
	if _, err := r.log.read(ctx, missing); errors.Is(err, errNothing) {
		return &FrozenError{missing, fmt.Errorf("%w: sequence %d is missing", errChain, missing)}
	}
	return fmt.Errorf("%w: the log does not deliver sequence %d", asset.ErrUnavailable, missing)
}

// follow applies what is appended to the log until ctx ends or a message does not fit.
func (r *replica) follow(ctx context.Context) {
	for ctx.Err() == nil {
		err := r.log.tail(ctx, r.work.revision, r.take)
		var frozen *FrozenError
		if errors.As(err, &frozen) {
			r.freeze(frozen)
			return
		}
		select { // the ordered consumer heals itself; what ends up here is rare
		case <-ctx.Done():
		case <-time.After(tailRetryWait):
		}
	}
}

// take applies one message. A view that was shown is forked first; while the history is being replayed nobody has seen
// r.work, and it is changed in place.
func (r *replica) take(seq uint64, data []byte) error {
	if seq <= r.work.revision {
		return nil // delivered again
	}
	m, err := decodeMessage(data)
	if err == nil {
		err = r.admit(seq, m)
	}
	if err != nil {
		return &FrozenError{seq, err}
	}
	if r.work == r.view() {
		r.work = r.work.fork()
	}
	r.work.advance(seq, m)
	if seq >= r.head {
		r.show()
	}
	return nil
}

// admit fails unless m is the next message, and the one that was there before.
func (r *replica) admit(seq uint64, m *message) error {
	if err := r.work.admit(seq, m); err != nil {
		return err
	}
	return r.mark.checkHash(seq, m.hash)
}

func (r *replica) view() *View { return r.current.Load() }

// show publishes r.work, which from now on nobody changes.
func (r *replica) show() {
	r.mark.set(r.work)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current.Store(r.work)
	r.wake()
}

// freeze keeps the view where it is.
func (r *replica) freeze(err error) {
	r.mu.Lock()
	first := r.broken == nil
	if first {
		r.broken = err
		r.wake()
	}
	r.mu.Unlock()
	if first && r.events.Frozen != nil {
		r.events.Frozen(err)
	}
}

// wake wakes those that await; r.mu is held.
func (r *replica) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// await returns when the view has the revision; or with an error when it never will, or ctx ends.
func (r *replica) await(ctx context.Context, revision uint64) error {
	for {
		// In this order: what changes after state has returned closes the channel that it returned.
		changed, err := r.state()
		if r.view().revision >= revision {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *replica) state() (changed <-chan struct{}, broken error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed, r.broken
}

// A FrozenError says why a view does not follow the log: a message is damaged, missing, of another history, or for
// newer programs. It is an [asset.ErrUnavailable].
type FrozenError struct {
	// Sequence is where the log cannot be followed any further; everything before it is in the view.
	Sequence uint64
	err      error
}

// Error names the sequence.
func (e *FrozenError) Error() string {
	return fmt.Sprintf("message %d of the log cannot be applied: %v", e.Sequence, e.err)
}

// Unwrap returns [asset.ErrUnavailable] and the cause, which is [asset.ErrCorrupt] when the message is damaged.
func (e *FrozenError) Unwrap() []error { return []error{asset.ErrUnavailable, e.err} }
