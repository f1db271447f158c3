package transform

import (
	"bytes"
	"errors"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

// TestCut: what was cut anywhere is refused with a clean fault.
func TestCut(t *testing.T) {
	b := newBench(t, nil)
	m := photo(300, 200)
	remade := func(f asset.Format) []byte {
		out, err := b.render(t, pngOf(t, m), asset.Variant{Format: f})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for kind, whole := range map[string][]byte{
		"png":         pngOf(t, m),
		"jpeg":        jpegOf(t, m),
		"progressive": remade(asset.JPEG),
		"webp":        remade(asset.WebP),
		"avif":        remade(asset.AVIF),
		"gif":         gifOf(t, 200, 100, 5),
		"tiff":        tiffOf(t, m),
		"pdf":         pdfOf(300, 200, 2),
	} {
		if _, pic, err := b.probe(t, whole); err != nil || pic == nil {
			t.Errorf("%s whole: %v", kind, err)
		}
		for percent := 2; percent < 100; percent += 2 {
			wantCut(t, b, kind, whole[:len(whole)*percent/100])
		}
		if kind != "tiff" && kind != "pdf" { // the last bytes are a resolution, or a line's end
			for _, n := range []int{1, 2, 3} {
				wantCut(t, b, kind, whole[:len(whole)-n])
			}
		}
	}
}

// TestCutPixels: a cut that the header does not show, because the end was put back, is found by decoding.
func TestCutPixels(t *testing.T) {
	b := newBench(t, nil)
	whole := jpegOf(t, photo(300, 200))
	wantCut(t, b, "jpeg with its end put back", append(bytes.Clone(whole[:len(whole)/2]), 0xff, 0xd9))
	middle := bytes.Clone(pngOf(t, photo(300, 200)))
	copy(middle[len(middle)/2:], make([]byte, 64))
	wantCut(t, b, "png with zeros in the middle", middle)
	film := gifOf(t, 200, 100, 5)
	for i := len(film) - 60; i < len(film)-40; i++ {
		film[i] ^= 0x55
	}
	wantCut(t, b, "gif with a damaged last frame", film)
}

func wantCut(t *testing.T, b *bench, kind string, cut []byte) {
	t.Helper()
	_, pic, err := b.probe(t, cut)
	fault := (*asset.Fault)(nil)
	if !errors.As(err, &fault) || !errors.Is(err, asset.ErrUndecodable) {
		t.Errorf("%s cut to %d bytes: %+v, %v", kind, len(cut), pic, err)
	}
}
