package catalog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A fold makes a new base of a view, and brings a view on that base to where the replica has come meanwhile. Readers and
// writers go on; they only notice that the same revision stands on another base.
type fold struct {
	replica *replica
	from    *View
	era     int
	base    *base
	view    *View
	journal *journal
	fresh   bool // the base was not there before
}

// A foldLimit says when it is time to fold.
type foldLimit struct {
	changes int   // records that the delta holds; more when the base is large
	journal int64 // bytes of the journal
}

const (
	// maxChanges is the most records that a delta holds before it is folded, however large the base is: some 200 MB.
	maxChanges = 400_000
	// fewMessages are applied while the log waits.
	fewMessages = 64
	// foldRetryWait is the pause after a fold that failed.
	foldRetryWait = 5 * time.Second
)

func (l foldLimit) orDefault() foldLimit {
	if l == (foldLimit{}) {
		return foldLimit{changes: 200_000, journal: 128 << 20}
	}
	return l
}

// errBusy says that the replica is making its view anew, which comes first.
var errBusy = fmt.Errorf("%w: the view is being made anew", asset.ErrUnavailable)

// foldWhenDue asks for a fold when there is reason to. While nothing is shown, nobody reads r.work, and it is folded at
// once: a whole history does not have to fit into memory. r.applying is held.
func (r *replica) foldWhenDue(shown bool) {
	large := r.work.changes() > max(r.limit.changes, min(r.ground.records/8, maxChanges))
	if !shown {
		if large {
			r.foldInPlace()
		}
		return
	}
	if large || r.journal == nil || r.journal.err != nil || r.journal.size > r.limit.journal {
		r.want()
	}
}

// want asks for a fold.
func (r *replica) want() {
	select {
	case r.wanted <- struct{}{}:
	default:
	}
}

// foldAlways folds when it is asked for, until ctx ends. What fails is reported and tried again.
func (r *replica) foldAlways(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wanted:
		}
		err := r.fold(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errBusy) {
			continue // whoever shows the new view asks again
		}
		r.report(err)
		if err != nil {
			pause(ctx, foldRetryWait)
			r.want()
		}
	}
}

// fold folds the view that is shown now.
func (r *replica) fold(ctx context.Context) error {
	r.folds.Lock()
	defer r.folds.Unlock()
	if r.life.Err() != nil {
		return fmt.Errorf("%w: the catalog is closed", asset.ErrUnavailable)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.life, cancel)()
	start := time.Now()
	f, err := r.beginFold()
	if err != nil {
		return err
	}
	defer f.end()
	for _, step := range []func(context.Context) error{f.write, f.begin, f.catchUp} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	r.dir.drop(func(revision uint64) bool { // a later one may be a snapshot that is being adopted
		return revision < f.from.revision || revision != f.from.revision && slices.Contains(r.useless, revision)
	})
	r.folded(f.from.revision, start)
	return nil
}

func (r *replica) folded(revision uint64, start time.Time) {
	if r.events.Folded != nil {
		r.events.Folded(revision, time.Since(start))
	}
}

// beginFold takes the view that is shown, and from now on remembers what is applied behind it.
func (r *replica) beginFold() (*fold, error) {
	r.applying.Lock()
	defer r.applying.Unlock()
	if r.work != r.view() || r.work.revision < r.head || r.work.Err() != nil {
		return nil, errBusy
	}
	r.folding, r.since = true, nil
	return &fold{replica: r, from: r.work, era: r.era}, nil
}

// end leaves nothing of a fold that was given up: a base of another history than the one that goes on here would be taken for
// the newest at the next start.
func (f *fold) end() {
	r := f.replica
	r.applying.Lock()
	defer r.applying.Unlock()
	r.folding, r.since = false, nil
	if f.journal != nil {
		f.journal.discard()
	}
	if f.fresh && r.ground.base != f.base && r.ground.at.revision != f.from.revision {
		_ = os.Remove(r.dir.base(f.from.revision))
	}
}

// write makes the base, unless the view is one.
func (f *fold) write(ctx context.Context) (err error) {
	r := f.replica
	r.applying.Lock()
	g := r.ground
	r.applying.Unlock()
	if g.base != nil && g.at == f.from.position() {
		f.base, f.view = g.base, newView(g.base)
		return nil
	}
	f.fresh = true
	path := r.dir.base(f.from.revision)
	if err := writeBase(ctx, path, f.from, ""); err != nil {
		return fmt.Errorf("the base file cannot be written: %w", err)
	}
	if f.base, f.view, err = openView(path); err != nil {
		return fmt.Errorf("the base file cannot be used: %w", err)
	}
	return nil
}

// begin makes the journal that goes on from the base.
func (f *fold) begin(context.Context) (err error) {
	if f.journal, err = createJournal(string(f.replica.dir), f.from.position()); err != nil {
		return fmt.Errorf("the journal cannot be written: %w", err)
	}
	return nil
}

// catchUp applies what came meanwhile, and then lets the view take the place of the replica's.
func (f *fold) catchUp(context.Context) error {
	r := f.replica
	for {
		r.applying.Lock()
		since := r.since
		r.since = nil
		if len(since) <= fewMessages {
			defer r.applying.Unlock()
			f.apply(since)
			return f.swap()
		}
		r.applying.Unlock()
		f.apply(since)
	}
}

func (f *fold) apply(since []*message) {
	for _, m := range since {
		seq := f.view.revision + 1
		f.view.advance(seq, m)
		f.journal.add(seq, m)
	}
}

// swap shows the same revision on the new base. The journal that was there before stays when its successor fails; it says
// no less. r.applying is held.
func (f *fold) swap() error {
	r := f.replica
	if r.era != f.era || r.work.revision < r.head {
		return errBusy
	}
	if err := f.view.Err(); err != nil { // what came meanwhile may be in it half
		return err
	}
	if f.view.position() != r.work.position() {
		return fmt.Errorf("%w: the fold has come to revision %d, the view to %d", asset.ErrCorrupt, f.view.revision, r.work.revision)
	}
	f.view.applied = r.work.applied
	r.work = f.view
	if f.fresh {
		r.stand(f.base, f.from.position())
	}
	r.show()
	err := f.journal.flush()
	if err == nil {
		err = f.journal.place()
	}
	if err != nil {
		return fmt.Errorf("the journal cannot be written: %w", err)
	}
	if r.journal != nil {
		r.journal.close()
	}
	r.journal, f.journal = f.journal, nil
	return nil
}

// foldInPlace makes a base of r.work, which nobody reads. When it fails the history goes on in memory, and the next
// attempt comes when it has grown by as much again. r.applying is held.
func (r *replica) foldInPlace() {
	r.era++
	start := time.Now()
	at, path := r.work.position(), r.dir.base(r.work.revision)
	err := writeBase(r.life, path, r.work, "")
	if err == nil {
		var b *base
		var v *View
		if b, v, err = openView(path); err == nil {
			r.work = v
			r.stand(b, at)
		}
	}
	if err != nil {
		r.report(fmt.Errorf("the base file cannot be written: %w", err))
		r.limit.changes = 2 * r.work.changes()
		return
	}
	r.dir.drop(func(revision uint64) bool { return revision < at.revision })
	r.folded(at.revision, start)
	if r.journal != nil {
		r.journal.close()
		r.journal = r.newJournal(at)
	}
}
