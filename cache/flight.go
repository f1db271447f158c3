package cache

import (
	"sync"

	"github.com/assetmatrix/assetmatrix/asset"
)

// flights are the fills under way, at most one for a key.
type flights struct {
	mu     sync.Mutex // guards the fields below and every flight's waiters and landed
	byKey  map[asset.Key]*flight
	closed bool
	flying sync.WaitGroup
}

// A flight is one fill, with those who wait for it.
//
// References: the fill's own is given back when it lands. For every waiter who is still there a reference is taken
// under mu at that moment; who leaves before is not counted any more, who wants to leave after takes what is his.
type flight struct {
	waiters int
	landed  bool
	done    chan struct{} // closed after landing; what follows is not written after that
	trace   asset.Trace
	object  *asset.Object
	err     error
}

// join returns the flight for k with the caller among its waiters, and whether the caller has to start it. It returns
// nil after close.
func (g *flights) join(k asset.Key) (f *flight, start bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f := g.byKey[k]; f != nil {
		f.waiters++
		return f, false
	}
	if g.closed {
		return nil, false
	}
	f = &flight{waiters: 1, done: make(chan struct{})}
	g.byKey[k] = f
	g.flying.Add(1)
	return f, true
}

// leave takes a waiter off the flight. It returns false when the flight has landed: the waiter has a reference.
func (g *flights) leave(f *flight) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.landed {
		return false
	}
	f.waiters--
	return true
}

// land ends the flight for k: each waiter gets a reference, the fill's own is given back.
func (g *flights) land(k asset.Key, f *flight) {
	g.mu.Lock()
	delete(g.byKey, k)
	f.landed = true
	waiters := f.waiters
	g.mu.Unlock()
	own := f.object
	if f.err != nil {
		f.object = nil
	}
	if f.object != nil {
		for range waiters {
			f.object.Retain()
		}
	}
	if own != nil { // before anybody wakes, so that the last waiter to release is the last of all
		own.Release()
	}
	close(f.done)
	g.flying.Done()
}

// close lets no further flight start.
func (g *flights) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}
