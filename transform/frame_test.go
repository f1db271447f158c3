package transform

import (
	"image"
	"image/draw"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

// TestGreyStaysGrey: a grey picture whose pixels Go has changed goes back as one.
func TestGreyStaysGrey(t *testing.T) {
	b := newBench(t, nil)
	grey := image.NewGray(image.Rect(0, 0, 50, 50))
	draw.Draw(grey, grey.Rect, photo(50, 50), image.Point{}, draw.Src)
	m := b.picture(t, pngOf(t, grey), asset.Variant{Pixelate: 5, Format: asset.PNG})
	if _, ok := m.(*image.Gray); !ok {
		t.Errorf("is %T", m)
	}
}
