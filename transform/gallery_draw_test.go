package transform

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"math"
	"testing"

	"github.com/assetmatrix/assetmatrix/bench/corpus"
)

// What docs/transform.md shows is made of these pictures, which are nobody else's.

// lake draws a landscape that lies mirrored in a lake, with a balloon that catches the eye and is not in the middle.
func lake(seed uint64, w, h int) *image.NRGBA {
	m := nrgba(corpus.Landscape(seed, w, h))
	shore := h * 7 / 10
	for y := shore; y < h; y++ {
		deep := float64(y-shore) / float64(h-shore)
		for x := range w {
			ripple := math.Sin(float64(y)*0.9+3*math.Sin(float64(x)*0.013)) * (2 + 10*deep)
			from := m.NRGBAAt(min(max(x+int(ripple), 0), w-1), max(2*shore-y-1-(y-shore)/2, 0))
			m.SetNRGBA(x, y, mixed(from, color.NRGBA{24, 62, 92, 255}, 0.25+0.35*deep))
		}
	}
	balloon(m, float64(w)*0.76, float64(h)*0.27, float64(h)*0.15)
	return m
}

// balloon draws a striped ball with a basket, lit from the upper left; x, y is the middle of the ball, in px like its radius.
func balloon(m draw.Image, x, y, radius float64) {
	stripes := [...]color.NRGBA{{214, 38, 30, 255}, {250, 240, 225, 255}, {240, 150, 20, 255}}
	for dy := -1.0; dy < 1.75; dy += 0.5 / radius {
		for dx := -1.0; dx < 1; dx += 0.5 / radius {
			wide := math.Sqrt(max(0, 1-dy*dy))
			if dy > 0.4 { // narrows to the basket
				wide = 0.9165 - (dy-0.4)*0.75
			}
			c, at := color.NRGBA{}, image.Pt(int(x+dx*radius), int(y+dy*radius))
			switch {
			case dy < 1.3 && math.Abs(dx) < wide:
				meridian := math.Asin(dx/wide) * 4.5 / math.Pi
				light := 0.62 + 0.38*math.Sqrt(max(0, 1-dx*dx-dy*dy)) - 0.25*(dx+dy)
				c = mixed(stripes[(int(math.Floor(meridian+9)))%3], color.NRGBA{20, 10, 20, 255}, 1-min(light, 1))
			case dy >= 1.48 && dy < 1.72 && math.Abs(dx) < 0.15:
				c = color.NRGBA{92, 58, 30, 255}
			case dy >= 1.3 && dy < 1.48 && math.Abs(math.Abs(dx)-0.13) < 0.02:
				c = color.NRGBA{60, 45, 40, 255}
			default:
				continue
			}
			m.Set(at.X, at.Y, c)
		}
	}
}

// sitter draws somebody at the left of a landscape, whose face is found.
func sitter(seed uint64, w, h int) *image.NRGBA {
	m := lake(seed, w, h)
	f := face{float64(w) * 0.28, float64(h) * 0.5, float64(h) * 0.3}
	for y := int(f.y); y < h; y++ {
		for x := range w {
			dx, dy := (float64(x)-f.x)/f.side, (float64(y)-f.y)/f.side
			neck := math.Abs(dx) < 0.2+0.1*math.Pow(max(0, dy-0.5), 2) && dy < 0.85
			shoulders := dy > 0.68 && math.Abs(dx) < 0.85*math.Sqrt(min(1, (dy-0.68)*2.2))+0.12
			collar := shoulders && math.Abs(dx) < 0.34-0.5*(dy-0.68)
			switch {
			case collar || neck && !shoulders:
				m.SetNRGBA(x, y, mixed(color.NRGBA{196, 150, 126, 255}, color.NRGBA{90, 60, 50, 255}, min(1, max(0, 0.9-dy)*1.6)))
			case shoulders:
				m.SetNRGBA(x, y, mixed(color.NRGBA{38, 92, 110, 255}, color.NRGBA{12, 30, 44, 255}, min(1, math.Abs(dx)*0.8)))
			}
		}
	}
	drawFace(m, f, 0)
	return m
}

// mixed is a with so much of b, 0–1, in it.
func mixed(a, b color.NRGBA, share float64) color.NRGBA {
	mix := func(a, b uint8) uint8 { return clamp(float64(a)*(1-share) + float64(b)*share) }
	return color.NRGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 255}
}

// stamped is a drawing on paper that is so much larger on all sides.
func stamped(m image.Image, border int) *image.NRGBA {
	out := image.NewNRGBA(image.Rectangle{Max: m.Bounds().Size().Add(image.Pt(2*border, 2*border))})
	draw.Draw(out, out.Rect, image.NewUniform(color.NRGBA{236, 226, 205, 255}), image.Point{}, draw.Src)
	draw.Draw(out, out.Rect.Inset(border), m, m.Bounds().Min, draw.Over)
	return out
}

// flight is an animation: a balloon that rises over hills.
func flight(t testing.TB, w, h, frames int) []byte {
	t.Helper()
	sky, hill, near := color.NRGBA{150, 200, 235, 255}, color.NRGBA{96, 140, 100, 255}, color.NRGBA{50, 92, 62, 255}
	palette := color.Palette{sky, hill, near, color.NRGBA{92, 58, 30, 255}}
	for _, c := range []color.NRGBA{{214, 38, 30, 255}, {250, 240, 225, 255}, {240, 150, 20, 255}} {
		palette = append(palette, c, mixed(c, color.NRGBA{20, 10, 20, 255}, 0.25), mixed(c, color.NRGBA{20, 10, 20, 255}, 0.5))
	}
	g := gif.GIF{}
	for i := range frames {
		m := image.NewPaletted(image.Rect(0, 0, w, h), palette)
		for x := range w {
			u := float64(x) / float64(w)
			for y := int(float64(h) * (0.72 + 0.08*math.Sin(7*u+1))); y < h; y++ {
				m.SetColorIndex(x, y, 1)
			}
			for y := int(float64(h) * (0.86 + 0.07*math.Sin(5*u+4))); y < h; y++ {
				m.SetColorIndex(x, y, 2)
			}
		}
		part := float64(i) / float64(frames-1)
		balloon(m, float64(w)*(0.2+0.6*part), float64(h)*(0.68-0.42*part), float64(h)*0.17)
		g.Image, g.Delay = append(g.Image, m), append(g.Delay, 25)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
