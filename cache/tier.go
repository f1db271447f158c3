package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A Tier is a store in front of a slower loader. What the store does not have is loaded from the next loader, once
// however many ask for it at a time, and put into the store.
//
// A fill belongs to no caller: it runs on a context of its own, without the values of any caller's, bounded by the next
// loader's own deadlines and cancelled only by [Tier.Close]. A caller who leaves changes nothing.
type Tier struct {
	room    asset.Room
	store   asset.Store
	next    asset.Loader
	events  Events
	flights flights
	ctx     context.Context // what fills run on
	cancel  context.CancelFunc
}

var _ asset.Loader = (*Tier)(nil)

// errUnwound is what callers get when the next loader neither returned nor panicked ([runtime.Goexit]).
var errUnwound = errors.New("the fill ended without an answer")

// NewTier returns a tier that keeps in store what it loads from next, and accounts for itself as room.
func NewTier(room asset.Room, store asset.Store, next asset.Loader, ev Events) *Tier {
	t := &Tier{room: room, store: store, next: next, events: ev}
	t.flights.byKey = map[asset.Key]*flight{}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// Load returns the object from the store, else from the next loader. A hit allocates nothing when ctx is an
// [*asset.Trace] and the store's hit does not.
//
// The errors are the next loader's, shared by all who waited for that fill and not remembered. A caller whose ctx ends
// while it waits gets [asset.ErrTimeout] or [context.Canceled]. After Close what the store does not have is
// [asset.ErrUnavailable].
//
// The trace that ctx carries gets the time spent in the store under the tier's room, and what the fill found.
func (t *Tier) Load(ctx context.Context, k asset.Key) (*asset.Object, error) {
	trace := asset.TraceOf(ctx)
	if o := t.look(ctx, trace, k); o != nil {
		return o, nil
	}
	return t.wait(ctx, trace, k)
}

// look returns the object if the store has it, else nil. A store that fails does not have it.
func (t *Tier) look(ctx context.Context, trace *asset.Trace, k asset.Key) *asset.Object {
	start := time.Now()
	o, err := t.store.Load(ctx, k)
	trace.Spent[t.room] += time.Since(start)
	if err == nil {
		trace.Source = t.room
		t.events.hit(t.room)
		return o
	}
	if !errors.Is(err, asset.ErrNotFound) && ctx.Err() == nil {
		t.events.failed(t.room, err)
	}
	return nil
}

// wait joins the flight for k, starting it when there is none, and waits for it or for the end of ctx.
func (t *Tier) wait(ctx context.Context, trace *asset.Trace, k asset.Key) (*asset.Object, error) {
	if ctx.Err() != nil {
		return nil, t.left(ctx, k)
	}
	f, start := t.flights.join(k)
	if f == nil {
		return nil, fmt.Errorf("%s load %s: closed: %w", t.room, k, asset.ErrUnavailable)
	}
	if start {
		go t.fly(f, k)
	} else {
		t.events.joined(t.room)
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		if t.flights.leave(f) {
			return nil, t.left(ctx, k)
		}
		<-f.done
	}
	// The starter's fill may itself have waited, one tier down, for a fill that was another's.
	trace.Join(&f.trace, !start || f.trace.Collapsed)
	return f.object, f.err
}

// left is the error of a caller whose ctx ended.
func (t *Tier) left(ctx context.Context, k asset.Key) error {
	kind := context.Canceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		kind = asset.ErrTimeout
	}
	return fmt.Errorf("%s load %s: the caller left: %w", t.room, k, kind)
}

// fly is the flight's goroutine. Whatever next does, the flight lands.
func (t *Tier) fly(f *flight, k asset.Key) {
	f.trace.Context = t.ctx
	f.err = errUnwound
	defer func() {
		if v := recover(); v != nil {
			f.err = fmt.Errorf("%s fill %s: panic: %v", t.room, k, v)
			t.events.panicked(t.room, k, v, debug.Stack())
		}
		t.flights.land(k, f)
	}()
	f.err = t.fill(f, k)
}

// fill gets the flight's object from next into the store. It looks into the store again first:
//
//	A: looks, misses                            B: flies for the same key
//	                                            B: puts the object, lands
//	A: joins: no flight, so A starts one
//
// Here the object is in the store, and next must not be asked for it a second time.
func (t *Tier) fill(f *flight, k asset.Key) error {
	if f.object = t.look(&f.trace, &f.trace, k); f.object != nil {
		return nil
	}
	t.events.miss(t.room)
	var err error
	if f.object, err = t.next.Load(&f.trace, k); err != nil {
		return err
	}
	t.keep(f)
	return nil
}

// keep puts the flight's object into the store. That it cannot be kept is no error for those who wait for it.
func (t *Tier) keep(f *flight) {
	start := time.Now()
	err := t.store.Put(&f.trace, f.object)
	f.trace.Spent[t.room] += time.Since(start)
	if err != nil {
		t.events.failed(t.room, err)
		return
	}
	f.trace.Stored = true
}

// Close lets no further fill start and waits for those under way. When ctx ends first they are cancelled and Close
// returns ctx's error. The store is left open and still answers.
func (t *Tier) Close(ctx context.Context) error {
	defer t.cancel()
	t.flights.close()
	landed := make(chan struct{})
	go func() {
		t.flights.flying.Wait()
		close(landed)
	}()
	select {
	case <-landed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s close: fills are under way: %w", t.room, ctx.Err())
	}
}
