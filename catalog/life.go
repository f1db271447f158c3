package catalog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

const (
	// tailRetryWait is the pause before a tail that broke off is taken up again.
	tailRetryWait = 100 * time.Millisecond
	// stallTimeout is how long a replay waits for the next message before it asks whether there is one.
	stallTimeout = 2 * time.Second
	// reachTimeout is how long a writer that starts waits for a log in other processes.
	reachTimeout = 30 * time.Second
	// scrubWait is the pause before a base is read as a whole: starting comes first, and what requests touch is verified
	// anyway.
	scrubWait = 5 * time.Second
	// recoverWait is the first pause before a frozen view is tried again, maxRecoverWait the longest.
	recoverWait    = 200 * time.Millisecond
	maxRecoverWait = 10 * time.Second
)

// A ground is the base that a view stands on.
type ground struct {
	base  *base // nil: none, the view is all there is
	at    position
	leave func() // ends the watch over the base
	// records is how many it has.
	records int
}

// openReplica returns the replica as it was left in the directory. It needs nothing but that. A base that cannot be read
// is reported and left out, with what the journal says behind it.
func openReplica(cfg Config, log matrixLog, ev Events) (*replica, error) {
	r := &replica{
		log: log, dir: directory(cfg.Dir), events: ev, own: cfg.NATS.URL == "", limit: cfg.foldLimit.orDefault(),
		wanted: make(chan struct{}, 1), changed: make(chan struct{}), work: newView(nil),
	}
	if !r.own {
		r.source = cfg.Source
	}
	r.life, r.end = context.WithCancel(context.Background())
	if err := r.dir.sweep(); err != nil {
		return nil, err
	}
	if err := r.openGround(); err != nil {
		return nil, err
	}
	if err := r.openJournal(); err != nil {
		r.close() // what watches the base
		return nil, err
	}
	r.work.waiting = cfg.Role == roleEdge && r.work.position() == position{}
	r.current.Store(r.work)
	r.foldWhenDue(true)
	return r, nil
}

// openGround takes the newest base that can be opened.
func (r *replica) openGround() error {
	revisions, err := r.dir.bases()
	if err != nil {
		return err
	}
	for _, revision := range revisions {
		path := r.dir.base(revision)
		b, v, err := openView(path)
		if err == nil && v.revision != revision {
			err = fmt.Errorf("%w: it is the base of revision %d", asset.ErrCorrupt, v.revision)
		}
		if err == nil {
			r.work = v
			r.stand(b, v.position())
			return nil
		}
		r.report(fmt.Errorf("%s cannot be used: %w", path, err))
		r.useless = append(r.useless, revision)
	}
	return nil
}

// openView opens the base at path and returns the view of it.
func openView(path string) (*base, *View, error) {
	b, err := openBase(path)
	if err != nil {
		return nil, nil, err
	}
	return b, newView(b), nil
}

// openJournal applies the journal to r.work if it goes on from there. One that says nothing more than the base gives way
// to a new one. One that begins later stays as it is, until there is a base that it can begin from: it still says how far
// the log was applied.
func (r *replica) openJournal() error {
	v := r.work
	j, err := openJournal(string(r.dir), v.base.find, func(before position, seq uint64, m *message) {
		if seq == v.revision+1 && before == v.position() {
			v.advance(seq, m)
		}
	})
	if err != nil {
		return err
	}
	r.applied = v.position()
	switch {
	case j != nil && v.Err() != nil: // a record to change was not found: the change must not be shown half
		j.close()
		r.work = newView(v.base)
		r.applied = r.work.position()
		if v.epoch == "" || j.last.epoch == v.epoch {
			r.applied = j.last
		}
	case j == nil:
		if r.trouble == "" { // else a new base is needed
			r.journal = r.newJournal(r.applied)
		}
	case j.last == r.applied:
		r.journal = j
	default:
		j.close()
		if j.last.revision <= v.revision {
			r.journal = r.newJournal(r.applied)
		} else if v.epoch == "" || j.last.epoch == v.epoch {
			r.applied = j.last
		}
	}
	return nil
}

// newJournal returns an empty journal in its place; nil, and a report, when there can be none.
func (r *replica) newJournal(start position) *journal {
	j, err := createJournal(string(r.dir), start)
	if err == nil {
		if err = j.place(); err == nil {
			return j
		}
		j.close()
	}
	r.report(fmt.Errorf("the journal cannot be written: %w", err))
	return nil
}

// close ends what runs beside following, which has ended before, and the fold that somebody waits for.
func (r *replica) close() {
	r.end()
	r.folds.Lock() // no other begins
	defer r.folds.Unlock()
	r.background.Wait()
	r.applying.Lock()
	defer r.applying.Unlock()
	if r.journal != nil {
		_ = r.journal.flush() // the next start reads what is missing from the log
		r.journal.close()
		r.journal = nil
	}
}

// stand makes b, which at is the position of, the ground from now on, reads all of it a little later, and looks out for
// damage to it. r.applying is held.
func (r *replica) stand(b *base, at position) {
	if r.ground.leave != nil {
		r.ground.leave()
	}
	ctx, leave := context.WithCancel(r.life)
	r.ground = ground{base: b, at: at, leave: leave}
	r.mu.Lock()
	r.hurt = false
	r.mu.Unlock()
	if b == nil {
		return
	}
	r.ground.records = int(b.nLinks + b.nAssets)
	r.background.Go(func() {
		select {
		case <-time.After(scrubWait):
			r.scrub(ctx, b)
		case <-b.damaged():
		case <-ctx.Done():
		}
		select {
		case <-b.damaged():
			r.damage(ctx)
		case <-ctx.Done():
		}
	})
}

// scrub reads all of b. What it finds wrong damages b.
func (r *replica) scrub(ctx context.Context, b *base) {
	start := time.Now()
	if b.verify(ctx) == nil && r.events.Verified != nil {
		r.events.Verified(b.revision, time.Since(start))
	}
}

// damage ends the session that runs: the view has to be made anew. ctx has ended when it stands on another base already.
func (r *replica) damage(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() == nil {
		r.hurt = true
		r.interrupt(errDamaged)
	}
}

// errDamaged ends a session whose view stands on a damaged base.
var errDamaged = fmt.Errorf("%w: a block of the base file is damaged; the view is being made anew", asset.ErrCorrupt)

// replay reads what is in the log now, for a writer.
func (r *replica) replay(ctx context.Context) error {
	last, err := r.reach(ctx)
	if err == nil && r.own {
		err = r.log.whole(ctx)
	}
	if err != nil || r.work.revision >= last {
		return err
	}
	r.head = last
	for {
		from := r.work.revision
		err := r.replayTo(ctx, last)
		switch {
		case errors.Is(err, errReplayed):
			return nil
		case errors.Is(err, errDamaged) && ctx.Err() == nil: // it cannot be so a second time: then there is no base
			r.rebuild(ctx)
			r.head = last
			continue
		}
		// What breaks off is taken up again, as long as it gets on: the client drops messages that come faster than they
		// are applied, which the tail notices.
		var frozen *FrozenError
		if errors.As(err, &frozen) || ctx.Err() != nil || r.work.revision == from {
			return r.explain(ctx, err)
		}
	}
}

// replayTo reads the log until last, which is errReplayed, or until it breaks off.
func (r *replica) replayTo(ctx context.Context, last uint64) error {
	following, cancel := context.WithCancel(ctx)
	defer cancel()
	stall := time.AfterFunc(stallTimeout, cancel)
	defer stall.Stop()
	return r.log.tail(following, r.work.revision, func(seq uint64, data []byte) error {
		defer stall.Reset(stallTimeout) // behind a fold, too
		if err := r.take(seq, data); err != nil || seq < last {
			return err
		}
		return errReplayed
	})
}

// errReplayed ends a replay that has reached the head.
var errReplayed = errors.New("replayed")

// reach returns the last sequence of a log that continues the view. Other processes may have to be waited for.
func (r *replica) reach(ctx context.Context) (last uint64, err error) {
	if r.work.revision == 0 {
		r.bootstrap(ctx)
	}
	deadline := time.Now().Add(reachTimeout)
	for {
		last, err = r.verifyEnd(ctx)
		var frozen *FrozenError
		if err == nil || r.own || ctx.Err() != nil || errors.As(err, &frozen) || time.Now().After(deadline) {
			return last, err
		}
		pause(ctx, tailRetryWait)
	}
}

// explain says why a replay ended early: a server that has lost a message at the end of its log delivers nothing.
func (r *replica) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil || !errors.Is(err, context.Canceled) {
		return err
	}
	missing := r.position().revision + 1
	if _, err := r.log.read(ctx, missing); errors.Is(err, errNothing) {
		return lost(missing)
	}
	return fmt.Errorf("%w: the log does not deliver sequence %d", asset.ErrUnavailable, missing)
}

// verifyEnd fails with a [FrozenError] when the log cannot be the one that was applied here: it is shorter, begins too
// late, or has another message where the view ends. It returns the log's last sequence.
func (r *replica) verifyEnd(ctx context.Context) (last uint64, err error) {
	first, last, err := r.log.bounds(ctx)
	if err != nil {
		return 0, err
	}
	r.applying.Lock()
	at, applied := r.work.position(), r.applied
	r.applying.Unlock()
	switch begins := last >= first; {
	case last < max(at.revision, applied.revision):
		return last, r.shorter(last, max(at.revision, applied.revision))
	case first > at.revision+1 && (begins || last > at.revision):
		return last, &FrozenError{first, fmt.Errorf("%w: the log begins here, what was before is gone", errChain)}
	case begins && at.revision >= max(first, 1):
		return last, r.verifyAt(ctx, at)
	}
	return last, nil
}

func (r *replica) shorter(last, applied uint64) error {
	advice := "it goes on by itself when the log, or another server's, has them again"
	if r.own {
		advice = "restore a backup into an empty directory"
	}
	return &FrozenError{last + 1, fmt.Errorf(
		"%w: the log ends before it, but %d messages were applied here; %s; or remove %s and %s from %s to go on without what is lost",
		asset.ErrCorrupt, applied, advice, "base-*", journalName, r.dir)}
}

// verifyAt looks whether the log has the message that the view ends with. One that is damaged in the log was applied while
// it was whole, so it only matters where there is no other log.
func (r *replica) verifyAt(ctx context.Context, at position) error {
	data, err := r.log.read(ctx, at.revision)
	if errors.Is(err, errNothing) {
		err = lost(at.revision)
	} else if err == nil {
		var hash asset.Digest
		if hash, err = checkHash(data); err == nil && hash != at.hash {
			return &FrozenError{at.revision, otherHash(at.hash, hash)}
		}
		if err != nil {
			err = &FrozenError{at.revision, err}
		}
	}
	var frozen *FrozenError
	if errors.As(err, &frozen) && !r.own {
		return nil
	}
	return err
}

// follow applies what is appended to the log until ctx ends. What breaks off is taken up again; a view that was frozen
// goes on when the log, read from another server, or a snapshot allows it.
func (r *replica) follow(ctx context.Context) {
	for attempt := 0; ctx.Err() == nil; {
		err := r.session(ctx)
		if _, broken := r.state(); broken == nil {
			attempt = 0
		}
		var frozen *FrozenError
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, errDamaged):
			r.rebuild(ctx)
		case errors.As(err, &frozen):
			r.freeze(frozen)
			if r.own {
				<-ctx.Done() // there is no other history to believe
				return
			}
			r.recover(ctx, attempt)
			attempt++
		default: // a consumer that is gone, a connection
			pause(ctx, tailRetryWait)
		}
	}
}

// session follows the log once, until something ends that.
func (r *replica) session(ctx context.Context) error {
	running, end := context.WithCancelCause(ctx)
	defer end(nil)
	r.mu.Lock()
	r.stop = end
	if r.hurt {
		r.interrupt(errDamaged)
	}
	r.mu.Unlock()
	err := r.catchUp(running)
	if cause := context.Cause(running); cause != nil && ctx.Err() == nil {
		return cause
	}
	return err
}

func (r *replica) catchUp(ctx context.Context) error {
	if r.view().revision == 0 && r.position().revision == 0 {
		r.bootstrap(ctx)
	}
	last, err := r.verifyEnd(ctx)
	if err != nil {
		return err
	}
	at := r.reached(last)
	return r.log.tail(ctx, at, r.take)
}

// reached prepares for a log that ends with last, and returns the view's revision. The first history that an edge ever
// reads is shown once it is complete; one without a message is.
func (r *replica) reached(last uint64) uint64 {
	r.applying.Lock()
	defer r.applying.Unlock()
	if r.work.revision == 0 {
		r.head = max(r.head, last)
	}
	if r.work.waiting && last == 0 {
		r.work = r.work.fork()
		r.work.waiting = false
		r.show()
	}
	if r.work == r.view() {
		r.thaw(r.work.revision)
	}
	return r.work.revision
}

// recover waits, the longer the more often it was tried, and prepares the next attempt: with another server, and when that
// was no help or there is none, with a snapshot.
func (r *replica) recover(ctx context.Context, attempt int) {
	wait := min(maxRecoverWait, recoverWait<<min(attempt, 10))
	pause(ctx, wait/2+rand.N(wait))
	if r.log.elsewhere(ctx) == nil && attempt == 0 || r.source == nil {
		return
	}
	at := r.view().position()
	if s := r.obtain(ctx, func(m *Manifest) bool { return m.Epoch != at.epoch || m.Revision > at.revision }); s != nil {
		r.adopt(s)
	}
}

func anySnapshot(m *Manifest) bool { return m.Revision > 0 }

// obtain is fetch for those who have another way: nil when there is no snapshot that is wanted. That one cannot be
// received is reported: the other way may be none.
func (r *replica) obtain(ctx context.Context, wanted func(*Manifest) bool) *snapshot {
	s, err := r.fetch(ctx, wanted)
	switch {
	case err == nil:
		return s
	case ctx.Err() == nil && !errors.Is(err, asset.ErrNotFound):
		r.report(fmt.Errorf("the newest snapshot cannot be received: %w", err))
	}
	return nil
}

// bootstrap takes a snapshot where there is nothing yet. Without one, the whole log is read.
func (r *replica) bootstrap(ctx context.Context) {
	if s := r.obtain(ctx, anySnapshot); s != nil {
		r.adopt(s)
	}
}

// rebuild makes the view anew when the base under it is damaged: on a snapshot, or on nothing, with what the log has
// behind that. Until it has caught up, the old view answers what verifies.
func (r *replica) rebuild(ctx context.Context) {
	r.report(errDamaged)
	shown := r.view().position()
	s := r.obtain(ctx, anySnapshot)
	if s != nil && (s.view.epoch != shown.epoch || s.view.revision >= shown.revision) {
		r.adopt(s)
		return
	}
	r.applying.Lock()
	defer r.applying.Unlock()
	r.restart(s)
	r.head = shown.revision
	if r.applied.revision < shown.revision {
		r.applied = shown
	}
}

// adopt shows the snapshot at once, and keeps it in place of what was there before.
func (r *replica) adopt(s *snapshot) {
	was := r.view().position()
	r.applying.Lock()
	r.restart(s)
	r.head, r.applied = 0, s.view.position()
	r.journal = r.newJournal(r.applied)
	r.show()
	r.applying.Unlock()
	r.dir.drop(func(revision uint64) bool { return revision != s.view.revision })
	r.report(nil)
	if was.revision > 0 && r.events.Adopted != nil {
		r.events.Adopted(was.revision, s.view.revision)
	}
	r.thaw(^uint64(0))
}

// restart makes the snapshot, or nothing when it is nil, what the next message goes into. r.applying is held.
func (r *replica) restart(s *snapshot) {
	r.era++
	if r.journal != nil {
		r.journal.close()
		r.journal = nil
	}
	if s == nil {
		r.work = newView(nil)
		r.stand(nil, position{})
		return
	}
	r.work = s.view
	r.stand(s.base, s.view.position())
}

// pause returns true after d, false when ctx ends before.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
