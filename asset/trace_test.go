package asset

import (
	"context"
	"testing"
	"time"
)

func TestTraceOf(t *testing.T) {
	type key struct{}
	parent := context.WithValue(t.Context(), key{}, "parent")
	tr := &Trace{Context: parent}
	if TraceOf(tr) != tr {
		t.Error("a trace is not its own")
	}
	child, cancel := context.WithTimeout(context.WithValue(tr, key{}, "child"), time.Hour)
	defer cancel()
	if TraceOf(child) != tr {
		t.Error("a derived context has lost its trace")
	}
	if tr.Value(key{}) != "parent" || child.Value(key{}) != "child" {
		t.Error("values do not pass through")
	}
	lone := TraceOf(parent)
	if lone == nil || lone == tr || lone.Value(key{}) != "parent" {
		t.Error("no trace where there is none")
	}
	lone.Spent[DiskTier] = 1 // nobody reads it
	if TraceOf(parent).Spent[DiskTier] != 0 {
		t.Error("two callers share a trace")
	}
}

func TestTraceJoin(t *testing.T) {
	fill := &Trace{Source: Transforming, Stored: true}
	fill.Spent[Transforming], fill.Spent[DiskTier] = 30, 5
	tr := &Trace{Collapsed: true}
	tr.Spent[MemoryTier], tr.Spent[DiskTier] = 2, 1
	tr.Join(fill, true)
	if tr.Source != Transforming || !tr.Stored || !tr.Collapsed {
		t.Errorf("%+v", tr)
	}
	if tr.Spent[MemoryTier] != 2 || tr.Spent[DiskTier] != 6 || tr.Spent[Transforming] != 30 {
		t.Errorf("spent %v", tr.Spent)
	}
	if tr.Join(fill, false); tr.Collapsed {
		t.Error("its own fill is another's")
	}
}

func TestTraceHit(t *testing.T) {
	f := func(source Room, name string, hit bool) {
		t.Helper()
		r, ok := (&Trace{Source: source}).Hit()
		if r != source || ok != hit || r.String() != name {
			t.Errorf("%v (%s): %v, %v", source, r, name, ok)
		}
	}
	f(Resolving, "resolve", false)
	f(MemoryTier, "memory", true)
	f(DiskTier, "disk", true)
	f(SharedTier, "shared", true)
	f(Transforming, "transform", false)
	f(Providing, "provider", false)
}

func TestTraceAsContextDoesNotAllocate(t *testing.T) {
	tr := &Trace{Context: t.Context()}
	if n := testing.AllocsPerRun(100, func() { TraceOf(tr).Spent[MemoryTier]++ }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
