package transform

import (
	"bytes"
	"image"
	"image/draw"
	"image/gif"
	"testing"
)

// screens plays a GIF with Go's decoder and returns what is to be seen at each frame.
func screens(t testing.TB, b []byte) (all []*image.NRGBA) {
	t.Helper()
	g, err := gif.DecodeAll(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	screen := image.NewNRGBA(image.Rect(0, 0, g.Config.Width, g.Config.Height))
	for i, frame := range g.Image {
		before := image.NewNRGBA(screen.Rect)
		copy(before.Pix, screen.Pix)
		draw.Draw(screen, frame.Rect, frame, frame.Rect.Min, draw.Over)
		shown := image.NewNRGBA(screen.Rect)
		copy(shown.Pix, screen.Pix)
		all = append(all, shown)
		switch g.Disposal[i] {
		case gif.DisposalBackground:
			draw.Draw(screen, frame.Rect, image.Transparent, image.Point{}, draw.Src)
		case gif.DisposalPrevious:
			screen = before
		}
	}
	return all
}
