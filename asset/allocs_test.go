//go:build !race

package asset

import "testing"

// Under -race a sync.Pool forgets on purpose.
func TestHotPathsDoNotAllocate(t *testing.T) {
	v, err := ParseVariant("w=400,h=300,fit=cover,g=0.3x0.7,bg=fff,q=60,f=webp")
	if err != nil {
		t.Fatal(err)
	}
	k, buf, pic := Key{Variant: v, Generation: 7}, make([]byte, 0, 512), &Picture{Width: 4000, Height: 3000, Pages: 1}
	f := func(what string, run func()) {
		t.Helper()
		if n := testing.AllocsPerRun(1000, run); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	f("append", func() { buf = v.append(buf[:0]) })
	f("hash", func() { _ = k.Hash() })
	f("parse", func() { _, _ = ParseVariant("w=400,h=300,fit=cover") })
	f("overlay", func() { _, _ = v.Overlay("q=60,w=3") })
	f("canonical", func() { _ = v.Canonical(pic) })
}
