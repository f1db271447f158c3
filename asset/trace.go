package asset

import (
	"context"
	"time"
)

// A Room is a part of the way that a request takes; Server-Timing has an entry for each that was visited.
type Room uint8

// The rooms that report their time.
const (
	Resolving Room = iota
	MemoryTier
	DiskTier
	SharedTier
	Transforming
	Providing
	roomCount
)

var roomNames = [roomCount]string{"resolve", "memory", "disk", "shared", "transform", "provider"}

// String returns the room's name in Server-Timing and in Cache-Status' detail.
func (r Room) String() string { return roomNames[r] }

// Rooms is the number of rooms, for arrays indexed by Room.
const Rooms = int(roomCount)

// A Trace records how one request was answered: it becomes Cache-Status (RFC 9211) and Server-Timing. It is itself the
// context that the request's loads run on, so that a hit allocates nothing for it. It is not safe for concurrent use;
// a fill that outlives its request runs on a trace of its own, merged into every waiter's by [Trace.Join].
type Trace struct {
	context.Context
	// Source is the room that had, or made, the object.
	Source Room
	// Collapsed: another request's fill answered this one.
	Collapsed bool
	// Stored: the filled object was given to at least one cache.
	Stored bool
	// Spent is the time spent in each room, zero where the request did not go. A tier's is that of its own store, while
	// that of Transforming has the loading of the original in it.
	Spent [Rooms]time.Duration
}

type traceKey struct{}

// Value returns the trace itself for the package's own key and asks the parent for every other.
func (t *Trace) Value(key any) any {
	if key == (traceKey{}) {
		return t
	}
	return t.Context.Value(key)
}

// TraceOf returns the trace that ctx carries; one that nobody reads when it carries none.
func TraceOf(ctx context.Context) *Trace {
	if t, ok := ctx.(*Trace); ok {
		return t
	}
	if t, ok := ctx.Value(traceKey{}).(*Trace); ok {
		return t
	}
	return &Trace{Context: ctx}
}

// Join takes over what the fill found. collapsed says that the fill was started for another request.
func (t *Trace) Join(fill *Trace, collapsed bool) {
	t.Source, t.Stored, t.Collapsed = fill.Source, fill.Stored, collapsed
	for r, d := range fill.Spent {
		t.Spent[r] += d
	}
}

// Hit says which cache had the object, and whether any had.
func (t *Trace) Hit() (Room, bool) {
	return t.Source, t.Source == MemoryTier || t.Source == DiskTier || t.Source == SharedTier
}
