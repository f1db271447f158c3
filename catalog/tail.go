package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A replica is the view that follows the log, and its copy on the disk. Only the log advances it, our own writes included.
type replica struct {
	log    matrixLog
	dir    directory
	events Events
	// source is where snapshots come from; nil: from nowhere. own is true of a log in this process: there is no other
	// one to believe.
	source Source
	own    bool
	limit  foldLimit

	life       context.Context // of what runs beside following
	end        context.CancelFunc
	background sync.WaitGroup
	folds      sync.Mutex    // held while folding: one at a time
	wanted     chan struct{} // has room for one: it is time to fold
	sums       sums
	useless    []uint64 // revisions of bases that could not be used at start

	applying sync.Mutex // guards the next block
	work     *View      // the view that the next message goes into
	ground   ground     // what work stands on
	journal  *journal   // nil: there is none that goes on from ground
	head     uint64     // before it, nothing is shown
	applied  position   // how far the log was applied here once; nothing else may be there
	era      int        // raised when work is replaced by what is not made of it
	folding  bool
	since    []*message // applied since folding began
	expected expectation

	current atomic.Pointer[View]
	mu      sync.Mutex    // guards the rest
	changed chan struct{} // closed when current or broken changes
	broken  error
	hurt    bool                    // the base under the view is damaged
	stop    context.CancelCauseFunc // ends the session that runs
	trouble string                  // what Events.Copy was told last
}

// An expectation is what the log is about to deliver, as the committer has made it: the message is not decoded and
// applied a second time. It holds if the view that it was made on is still the newest.
type expectation struct {
	base, made *View
	message    *message
	data       []byte
}

// expect announces a message that is going to be appended behind base, and the view that it makes.
func (r *replica) expect(base, made *View, m *message, data []byte) {
	r.applying.Lock()
	defer r.applying.Unlock()
	r.expected = expectation{base, made, m, data}
}

// take applies one message. A view that was shown is forked first; while the history is being replayed nobody has seen
// r.work, and it is changed in place.
func (r *replica) take(seq uint64, data []byte) error {
	r.applying.Lock()
	defer r.applying.Unlock()
	if seq <= r.work.revision {
		return nil // delivered again
	}
	m, err := r.advance(seq, data)
	if errors.Is(err, errDamaged) {
		return err // not the message's fault; the view is being made anew
	}
	if err != nil {
		return &FrozenError{seq, err}
	}
	shown := seq >= r.head
	if shown {
		r.show()
		r.thaw(seq)
		r.tell(m)
	}
	r.record(seq, m, shown)
	r.foldWhenDue(shown)
	return nil
}

// tell tells what m has changed.
func (r *replica) tell(m *message) {
	if r.events.Changed == nil {
		return
	}
	for i := range m.Transactions {
		r.events.Changed(m.Transactions[i].Mutations)
	}
}

// advance gives the message its effect on r.work, or leaves that as it is.
func (r *replica) advance(seq uint64, data []byte) (*message, error) {
	e := r.expected
	r.expected = expectation{}
	if e.base == r.work && e.made != nil && seq == e.made.revision && bytes.Equal(data, e.data) {
		r.work = e.made
		r.work.applied = time.Now()
		return e.message, nil
	}
	m, err := decodeMessage(data)
	if err == nil {
		err = r.admit(seq, m)
	}
	if err != nil {
		return nil, err
	}
	before := r.work
	if r.work == r.view() {
		r.work = r.work.fork()
	}
	r.work.waiting = false
	r.work.advance(seq, m)
	if r.work.Err() != nil { // a record to change was not found: the change must not be shown half
		r.work = before
		return nil, errDamaged
	}
	return m, nil
}

// admit fails unless m is the next message, and the one that was there before.
func (r *replica) admit(seq uint64, m *message) error {
	if err := r.work.admit(seq, m); err != nil {
		return err
	}
	if seq == r.applied.revision && m.hash != r.applied.hash {
		return otherHash(r.applied.hash, m.hash)
	}
	return nil
}

func otherHash(applied, found asset.Digest) error {
	return fmt.Errorf("%w: a message with hash %s was applied here before, this one has %s", errChain, applied, found)
}

// record keeps m for the next start, and for the fold that is under way.
func (r *replica) record(seq uint64, m *message, shown bool) {
	if r.folding {
		r.since = append(r.since, m)
	}
	if r.journal == nil || r.journal.err != nil {
		return
	}
	r.journal.add(seq, m)
	if shown {
		_ = r.journal.flush() // which is remembered
	}
	if err := r.journal.err; err != nil {
		r.report(fmt.Errorf("the journal cannot be written: %w", err))
	}
}

func (r *replica) view() *View { return r.current.Load() }

// position returns what the next message has to follow.
func (r *replica) position() position {
	r.applying.Lock()
	defer r.applying.Unlock()
	return r.work.position()
}

// show publishes r.work, which from now on nobody changes.
func (r *replica) show() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current.Store(r.work)
	r.wake()
}

// freeze keeps the view where it is, and says so to whoever follows the log.
func (r *replica) freeze(err error) {
	r.mu.Lock()
	first := r.broken == nil
	if first {
		r.broken = err
		r.wake()
	}
	r.interrupt(err)
	r.mu.Unlock()
	if first && r.events.Frozen != nil {
		r.events.Frozen(err)
	}
}

// thaw ends being frozen by the message at seq or one before.
func (r *replica) thaw(seq uint64) {
	r.mu.Lock()
	frozen, ok := errors.AsType[*FrozenError](r.broken)
	if ok = ok && frozen.Sequence <= seq; ok {
		r.broken = nil
		r.wake()
	}
	r.mu.Unlock()
	if ok && r.events.Frozen != nil {
		r.events.Frozen(nil)
	}
}

// interrupt ends the session that runs, for that reason; r.mu is held.
func (r *replica) interrupt(why error) {
	if r.stop != nil {
		r.stop(why)
	}
}

// report tells what is wrong with the copy on the disk, nil when nothing is any more. What was told is not repeated.
func (r *replica) report(err error) {
	if r.life.Err() != nil {
		return // it is the end that broke something off
	}
	said := ""
	if err != nil {
		said = err.Error()
	}
	r.mu.Lock()
	known := r.trouble == said
	r.trouble = said
	r.mu.Unlock()
	if !known && r.events.Copy != nil {
		r.events.Copy(err)
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
