package transform

import (
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

// What was asked for lately is remembered, and no more than there is room for.
func TestHeadMemory(t *testing.T) {
	var m headMemory
	digest := func(i int) (d asset.Digest) {
		d[0], d[1], d[2] = byte(i), byte(i>>8), byte(i>>16)
		return d
	}
	for i := range 3 * maxHeads {
		m.put(digest(i), known{Head{Width: i}, int64(i)})
		if h, ok := m.get(digest(0)); !ok || h.Width != 0 {
			t.Fatalf("what is asked for all the time is forgotten after %d", i)
		}
	}
	last := 3*maxHeads - 1
	if h, ok := m.get(digest(last)); !ok || h.Width != last || h.size != int64(last) {
		t.Errorf("%+v %v", h, ok)
	}
	if _, ok := m.get(digest(1)); ok {
		t.Error("what nobody has asked for is remembered")
	}
	if n := len(m.young) + len(m.aged); n > maxHeads {
		t.Errorf("%d heads", n)
	}
}

// A rendition that is made of a reduction does not load the original.
func TestReductionNeedsNoOriginal(t *testing.T) {
	b := newBench(t, nil)
	original := b.dearJPEG(t, photo(1400, 1000))
	if _, err := b.render(t, original, asset.Variant{Width: 300, Format: asset.WebP}); err != nil {
		t.Fatal(err)
	}
	loads := b.shelf.loads
	if _, err := b.render(t, original, asset.Variant{Width: 200, Format: asset.WebP}); err != nil {
		t.Fatal(err)
	}
	if b.shelf.loads != loads {
		t.Errorf("%d loads of the original", b.shelf.loads-loads)
	}
}
