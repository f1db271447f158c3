package bench

import (
	"errors"
	"testing"

	"github.com/davidbyttow/govips/v2/vips"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/bench/corpus"
)

// A number is read off every rendition that the scenarios ask for, and off nothing else.
func TestMark(t *testing.T) {
	if err := corpus.StartVips(); err != nil {
		t.Fatal(err)
	}
	for n, size := range map[int][2]int{0: {900, 600}, 1: {600, 900}, 77: {547, 364}, 4095: {365, 548}, 2048: {1733, 1155}} {
		img := corpus.Landscape(uint64(n+1), size[0], size[1])
		mark(img, n)
		original, err := corpus.JPEG(img, 88)
		if err != nil {
			t.Fatal(err)
		}
		reads := func(what string, body []byte, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := markOf(body); err != nil || got.number != n {
				t.Errorf("%s of %d (%v) shows %v, %v", what, n, size, got, err)
			}
		}
		reads("the original", original, nil)
		for _, width := range []int{120, 320, 800} {
			body, err := thumbnail(original, want{width: width, format: asset.WebP, quality: 30})
			reads("a WebP", body, err)
		}
		for _, box := range [][2]int{{160, 160}, {480, 320}} {
			p, err := vips.NewThumbnailFromBuffer(original, box[0], box[1], vips.InterestingCentre)
			if err != nil {
				t.Fatal(err)
			}
			body, err := exportAs(p, want{format: asset.WebP, quality: 80})
			reads("a crop", body, err)
			p.Close()
		}
	}
	bare, err := corpus.JPEG(corpus.Landscape(1, 300, 200), 88)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range [][]byte{bare, nil} {
		if n, err := markOf(body); !errors.Is(err, errNoMark) {
			t.Errorf("%d bytes without a mark show %v, %v", len(body), n, err)
		}
	}
	if _, err := markOf([]byte("<html>")); err == nil {
		t.Error("a page shows a mark")
	}
}

func TestWidthOf(t *testing.T) {
	for _, c := range []struct {
		options        string
		original, want int
	}{
		{"thumb", 900, 160}, {"thumb", 100, 160}, {"tile", 300, 480}, {"card", 900, 320}, {"card", 300, 300}, {"large", 474, 474},
		{"w=120", 900, 120}, {"q=20,w=499", 408, 408}, {"q=20,w=100", 408, 100},
	} {
		if got := widthOf(c.options, c.original); got != c.want {
			t.Errorf("%s of %d px is %d px wide, want %d", c.options, c.original, got, c.want)
		}
	}
}
