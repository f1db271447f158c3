package transform

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

// canvas is a picture of one colour with boxes of others on it.
func canvas(w, h int, c color.Color, boxes ...box) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.Draw(m, m.Rect, image.NewUniform(c), image.Point{}, draw.Src)
	for _, b := range boxes {
		draw.Draw(m, b.Rectangle, image.NewUniform(b.c), image.Point{}, draw.Src)
	}
	return m
}

type box struct {
	image.Rectangle
	c color.Color
}

var (
	red   = color.NRGBA{220, 30, 30, 255}
	green = color.NRGBA{30, 180, 40, 255}
	blue  = color.NRGBA{30, 50, 220, 255}
	gold  = color.NRGBA{240, 220, 40, 255}
	white = color.NRGBA{255, 255, 255, 255}
	grey  = color.NRGBA{128, 128, 128, 255}
	none  = color.NRGBA{}
)

// wantAt holds pixels to colours.
func wantAt(t *testing.T, name string, m *image.NRGBA, by float64, at map[image.Point]color.NRGBA) {
	t.Helper()
	for p, want := range at {
		if got := m.NRGBAAt(p.X, p.Y); !near(got, want, by) {
			t.Errorf("%s: at %v is %v, want %v", name, p, got, want)
		}
	}
}

// TestPadding: four different sides, in CSS px, in a colour with or without alpha.
func TestPadding(t *testing.T) {
	b := newBench(t, nil)
	original := pngOf(t, quarters(40, 20))
	sides := func(name string, m *image.NRGBA, k int, c color.NRGBA) {
		t.Helper()
		w, h := m.Rect.Dx(), m.Rect.Dy()
		wantAt(t, name, m, 1, map[image.Point]color.NRGBA{
			{X: w / 2, Y: 0}: c, {X: w / 2, Y: 3*k - 1}: c, {X: 11*k + 2, Y: 3*k + 2}: red, {X: 11*k - 1, Y: h / 2}: c,
			{X: w - 1, Y: h / 2}: c, {X: w - 5*k, Y: h / 2}: c, {X: w - 5*k - 3, Y: 3*k + 2}: green, {X: w / 2, Y: h - 7*k}: c, {X: 11*k + 2, Y: h - 7*k - 3}: blue,
		})
	}
	sides("white", b.size(t, original, "pad=3:5:7:11", 40+16, 20+10), 1, white)
	sides("colour", b.size(t, original, "pad=3:5:7:11,bg=336699", 56, 30), 1, color.NRGBA{0x33, 0x66, 0x99, 255})
	sides("clear", b.size(t, original, "pad=3:5:7:11,bg=transparent", 56, 30), 1, none)
	sides("half", b.size(t, original, "pad=3:5:7:11,bg=ff000080", 56, 30), 1, color.NRGBA{255, 0, 0, 128})
	sides("dpr", b.size(t, original, "pad=3:5:7:11,dpr=2,w=40,fit=contain", 80+32, 40+20), 2, white)
	wantAt(t, "half on white", b.make(t, original, "pad=8,bg=ff000080,f=jpeg,q=95"), 4, map[image.Point]color.NRGBA{{X: 3, Y: 3}: {255, 127, 127, 255}, {X: 50, Y: 30}: {255, 127, 127, 255}})
	b.size(t, original, "pad=2,rotate=90", 24, 44)
	b.size(t, original, "w=20,h=20,fit=pad,pad=1:2:3:4", 26, 24)

	// What its fit leaves free goes where the gravity does not point.
	for g, left := range map[string]int{"west": 0, "center": 15, "east": 30, "northeast": 30, "0.1x0.5": 0, "attention": 15} {
		m := b.size(t, original, "w=50,h=10,fit=pad,bg=000,g="+g, 50, 10)
		wantAt(t, g, m, 3, map[image.Point]color.NRGBA{{X: left + 2, Y: 2}: red, {X: left + 17, Y: 7}: gold, {X: (left + 25) % 50, Y: 5}: {0, 0, 0, 255}})
	}
	for _, kind := range []image.Image{image.NewGray(image.Rect(0, 0, 9, 9)), image.NewPaletted(image.Rect(0, 0, 9, 9), color.Palette{color.Black})} {
		wantAt(t, "grey", b.make(t, pngOf(t, kind), "pad=4,bg=f00"), 0, map[image.Point]color.NRGBA{{X: 1, Y: 1}: {255, 0, 0, 255}, {X: 8, Y: 8}: {0, 0, 0, 255}})
	}
}

// TestContentGravity: what draws the eye stays, wherever it is.
func TestContentGravity(t *testing.T) {
	b := newBench(t, nil)
	for name, at := range map[string]image.Point{"left": {X: 30, Y: 60}, "right": {X: 520, Y: 60}, "middle": {X: 300, Y: 60}} {
		m := canvas(600, 160, color.NRGBA{90, 100, 95, 255})
		for y := range 44 {
			for x := range 44 { // a saturated blob with edges
				c := color.NRGBA{230, 40, 20, 255}
				if (x/5+y/5)%2 == 0 {
					c = color.NRGBA{250, 220, 30, 255}
				}
				m.SetNRGBA(at.X+x, at.Y+y, c)
			}
		}
		for _, format := range [][]byte{pngOf(t, m), jpegOf(t, m)} {
			for _, g := range []string{"attention", "entropy", "auto"} {
				got := b.make(t, format, "w=60,h=60,fit=cover,g="+g)
				found := 0
				for i := 0; i < len(got.Pix); i += 4 {
					if got.Pix[i] > 180 && got.Pix[i+2] < 110 {
						found++
					}
				}
				if want := 44 * 44 * 60 * 60 / (160 * 160); found < want*85/100 {
					t.Errorf("%s, %s: %d px of the blob stay, want %d", name, g, found, want)
				}
			}
		}
		wide := "left"
		if got := b.make(t, pngOf(t, m), "w=160,h=160,fit=crop,g=center"); name == wide && near(got.NRGBAAt(30, 80), gold, 60) {
			t.Error("the centre has the blob: the test shows nothing")
		}
	}
	clear := canvas(600, 160, none, box{image.Rect(500, 40, 560, 100), red})
	if m := b.make(t, pngOf(t, clear), "w=80,h=80,fit=cover,g=attention"); !strings.Contains(fmt.Sprint(m.Pix), "220 30 30 255") {
		t.Error("a blob on nothing was cut off")
	}
	b.size(t, pngOf(t, canvas(50, 50, grey)), "w=10,h=40,fit=cover,g=entropy", 10, 40)
}

// css computes what the CSS filters brightness, contrast and saturate make of a colour (Filter Effects Module 1), then gamma.
func css(c color.NRGBA, brightness, contrast, saturate, gamma float64) color.NRGBA {
	one := func(f float64) float64 { return math.Min(1, math.Max(0, f)) }
	v := [3]float64{float64(c.R) / 255, float64(c.G) / 255, float64(c.B) / 255}
	for i := range v {
		v[i] = one(v[i] * brightness)
		v[i] = one(v[i]*contrast - 0.5*contrast + 0.5)
	}
	s, w := saturate, v
	matrix := [3][3]float64{
		{0.213 + 0.787*s, 0.715 - 0.715*s, 0.072 - 0.072*s},
		{0.213 - 0.213*s, 0.715 + 0.285*s, 0.072 - 0.072*s},
		{0.213 - 0.213*s, 0.715 - 0.715*s, 0.072 + 0.928*s},
	}
	var out [3]uint8
	for i, row := range matrix {
		out[i] = uint8(math.Round(255 * math.Pow(one(row[0]*w[0]+row[1]*w[1]+row[2]*w[2]), 1/gamma)))
	}
	return color.NRGBA{out[0], out[1], out[2], c.A}
}

// TestAdjust: colours are those of the formulas, alpha is as it was, grey stays grey.
func TestAdjust(t *testing.T) {
	b := newBench(t, nil)
	colors := []color.NRGBA{red, green, blue, gold, white, grey, {0, 0, 0, 255}, {200, 100, 50, 128}, {12, 250, 130, 7}, {77, 77, 77, 200}, {1, 2, 3, 255}, {254, 128, 0, 255}}
	m := image.NewNRGBA(image.Rect(0, 0, len(colors), 1))
	for i, c := range colors {
		m.SetNRGBA(i, 0, c)
	}
	original := pngOf(t, m)
	for _, f := range [][4]float64{{1, 1, 1, 2}, {0.5, 1, 1, 1}, {2, 1, 1, 1}, {4, 1, 1, 1}, {0, 1, 1, 1}, {1, 0, 1, 1}, {1, 1.5, 1, 1}, {1, 4, 1, 1}, {1, 1, 0, 1}, {1, 1, 2.5, 1}, {1, 1, 1, 0.5}, {1.2, 0.8, 1.3, 1.1}, {1.001, 1, 1, 1}} {
		text := fmt.Sprintf("brightness=%g,contrast=%g,saturation=%g,gamma=%g", f[0], f[1], f[2], f[3])
		got := b.make(t, original, text)
		for i, c := range colors {
			if have, want := got.NRGBAAt(i, 0), css(c, f[0], f[1], f[2], f[3]); !near(opaque(have), opaque(want), 2) || have.A != c.A {
				t.Errorf("%s: %v becomes %v, want %v", text, c, have, want)
			}
			if have := got.NRGBAAt(i, 0); c.R == c.G && c.G == c.B && (have.R != have.G || have.G != have.B) {
				t.Errorf("%s: grey %v becomes %v", text, c, have)
			}
		}
	}
	if m := b.make(t, original, "gamma=0"); m.NRGBAAt(0, 0) != (color.NRGBA{0, 0, 0, 255}) || m.NRGBAAt(4, 0) != white {
		t.Errorf("gamma 0: %v %v", m.NRGBAAt(0, 0), m.NRGBAAt(4, 0))
	}
}

func opaque(c color.NRGBA) color.NRGBA {
	c.A = 255
	return c
}

// TestGreyStays: a grey picture is a JPEG with one component after whatever leaves it grey.
func TestGreyStays(t *testing.T) {
	b := newBench(t, nil)
	g := image.NewGray(image.Rect(0, 0, 60, 40))
	for i := range g.Pix {
		g.Pix[i] = uint8(i % 60 * 4)
	}
	var grey bytes.Buffer
	if err := jpeg.Encode(&grey, g, nil); err != nil {
		t.Fatal(err)
	}
	for _, original := range [][]byte{grey.Bytes(), pngOf(t, g)} {
		for _, text := range []string{"w=30", "blur=3", "brightness=1.5", "blur=2,brightness=0.5", "sharpen=1", "pixelate=7", "trim=1", "w=10,h=30,fit=cover,g=attention", "w=30;w=20;rotate=90", "saturation=3,contrast=2", "rotate=90", "rect=0:0:20:20,sharpen=2"} {
			out, err := b.render(t, original, variantOf(t, "f=jpeg,"+text))
			if err != nil {
				t.Fatal(text, err)
			}
			m, err := jpeg.Decode(bytes.NewReader(out))
			if _, ok := m.(*image.Gray); !ok || err != nil {
				t.Errorf("%s: %T %v, want a grey picture", text, m, err)
			}
		}
	}
}

// TestBlur: flat colour stays as it is up to the edge, and what is transparent has no colour to give.
func TestBlur(t *testing.T) {
	b := newBench(t, nil)
	for _, c := range []color.NRGBA{red, white, {1, 2, 3, 255}, {200, 100, 50, 128}, {201, 99, 51, 77}} {
		for _, text := range []string{"blur=0.3", "blur=1", "blur=5", "blur=40", "blur=250", "sharpen=1", "sharpen=10", "pixelate=6"} {
			m := b.make(t, pngOf(t, canvas(31, 17, c)), text)
			by := 0.0
			if strings.Contains(text, "sharpen") && c.A < 255 { // vips_sharpen works on 8 bits of premultiplied colour
				by = 1.5
			}
			wantAt(t, text, m, by, map[image.Point]color.NRGBA{{X: 0, Y: 0}: c, {X: 30, Y: 16}: c, {X: 15, Y: 0}: c, {X: 15, Y: 8}: c})
			if m.NRGBAAt(15, 8).A != c.A {
				t.Errorf("%s: alpha %d becomes %d", text, c.A, m.NRGBAAt(15, 8).A)
			}
		}
	}
	blob := pngOf(t, canvas(80, 80, color.NRGBA{0, 0, 0, 0}, box{image.Rect(30, 30, 50, 50), gold}))
	for _, text := range []string{"blur=2", "blur=8", "sharpen=2", "pixelate=7", "w=33,blur=2", "rotate=90,w=33", "w=200,fit=contain"} {
		m := b.make(t, blob, text)
		seen := 0
		for i := 0; i < len(m.Pix); i += 4 {
			if p := m.Pix[i:]; p[3] > 16 {
				seen++
				if !near(color.NRGBA{p[0], p[1], p[2], 255}, gold, 16) && !strings.Contains(text, "sharpen") || p[0] < 200 {
					t.Errorf("%s: %v is on the blob's edge", text, p[:4])
					break
				}
			}
		}
		if seen == 0 || m.NRGBAAt(0, 0).A > 8 {
			t.Errorf("%s: %d px of the blob are seen, the corner is %v", text, seen, m.NRGBAAt(0, 0))
		}
	}
	// A step is the integral of a bell: 16 % at one sigma from it.
	step := b.make(t, pngOf(t, canvas(100, 9, color.NRGBA{0, 0, 0, 255}, box{image.Rect(50, 0, 100, 9), white})), "blur=10")
	for x, want := range map[int]float64{39: .147, 49: .48, 59: .829, 29: .02} {
		if got := float64(step.NRGBAAt(x, 4).R) / 255; math.Abs(got-want) > .045 { // vips_gaussblur leaves the bell's ends away
			t.Errorf("blur at %d: %.3f, want %.3f", x, got, want)
		}
	}
}

// TestSharpen: light gets lighter and dark darker at an edge, and nothing changes where there is none.
func TestSharpen(t *testing.T) {
	b := newBench(t, nil)
	soft := image.NewNRGBA(image.Rect(0, 0, 60, 20))
	for x := range 60 {
		v := clamp(100 + 20*float64(x-30+2))
		if v > 180 {
			v = 180
		}
		v = max(v, 90)
		for y := range 20 {
			soft.SetNRGBA(x, y, color.NRGBA{v, v, v, 255})
		}
	}
	for _, original := range [][]byte{pngOf(t, soft), pngOf(t, faded(soft, 128))} {
		m := b.make(t, original, "sharpen=2")
		before, after := 0, 0
		for x := 1; x < 60; x++ {
			before = max(before, int(soft.NRGBAAt(x, 9).R)-int(soft.NRGBAAt(x-1, 9).R))
			after = max(after, int(m.NRGBAAt(x, 9).R)-int(m.NRGBAAt(x-1, 9).R))
		}
		if after < before+3 {
			t.Errorf("the steepest step is %d, was %d", after, before)
		}
		if c := m.NRGBAAt(3, 9); !near(opaque(c), color.NRGBA{90, 90, 90, 255}, 2) {
			t.Errorf("flat %v", c)
		}
	}
}

func faded(m *image.NRGBA, a uint8) *image.NRGBA {
	out := image.NewNRGBA(m.Rect)
	copy(out.Pix, m.Pix)
	for i := 3; i < len(out.Pix); i += 4 {
		out.Pix[i] = uint8(int(out.Pix[i]) * int(a) / 255)
	}
	return out
}

// TestPixelate: blocks have the mean of their pixels, those at the right and bottom of what is left there.
func TestPixelate(t *testing.T) {
	b := newBench(t, nil)
	m := photo(53, 37)
	m.SetNRGBA(52, 36, none)
	got := b.make(t, pngOf(t, m), "pixelate=10")
	for y := range 37 {
		for x := range 53 {
			r := image.Rect(x/10*10, y/10*10, x/10*10+10, y/10*10+10).Intersect(m.Rect)
			if got.NRGBAAt(x, y) != got.NRGBAAt(r.Min.X, r.Min.Y) {
				t.Fatalf("%d,%d differs from its block", x, y)
			}
			var sum, n float64
			for v := r.Min.Y; v < r.Max.Y; v++ {
				for u := r.Min.X; u < r.Max.X; u++ {
					if c := m.NRGBAAt(u, v); c.A > 0 {
						sum, n = sum+float64(c.G), n+1
					}
				}
			}
			if math.Abs(float64(got.NRGBAAt(x, y).G)-sum/n) > 1 {
				t.Fatalf("%d,%d is %v, want a mean of %.1f", x, y, got.NRGBAAt(x, y), sum/n)
			}
		}
	}
	same := b.make(t, pngOf(t, m), "pixelate=1")
	if !bytes.Equal(same.Pix, m.Pix) {
		t.Error("blocks of one pixel change the picture")
	}
	b.size(t, pngOf(t, m), "pixelate=1000", 53, 37)
}

// TestRadius: corners are round, soft and alike, and on the background where the format has no alpha.
func TestRadius(t *testing.T) {
	b := newBench(t, nil)
	for _, size := range []image.Point{{X: 100, Y: 100}, {X: 101, Y: 67}, {X: 7, Y: 200}, {X: 1, Y: 1}, {X: 2, Y: 3}, {X: 33, Y: 33}} {
		original := pngOf(t, canvas(size.X, size.Y, red))
		for text, r := range map[string]float64{"radius=max": 0, "radius=10": 10, "radius=31": 31, "radius=5,dpr=2": 10, "radius=8000": 8000} {
			m := b.size(t, original, text, size.X, size.Y)
			rx := math.Min(r, math.Min(float64(size.X), float64(size.Y))/2)
			ry := rx
			if r == 0 {
				rx, ry = float64(size.X)/2, float64(size.Y)/2
			}
			wantRound(t, fmt.Sprint(text, size), m, rx, ry)
		}
	}
	big := pngOf(t, quarters(100, 60))
	wantAt(t, "jpeg", b.make(t, big, "radius=max,f=jpeg,q=95"), 8, map[image.Point]color.NRGBA{{X: 1, Y: 1}: white, {X: 98, Y: 58}: white, {X: 40, Y: 20}: red})
	wantAt(t, "jpeg on blue", b.make(t, big, "radius=20,bg=00f,f=jpeg,q=95"), 12, map[image.Point]color.NRGBA{{X: 1, Y: 1}: {0, 0, 255, 255}, {X: 98, Y: 1}: {0, 0, 255, 255}, {X: 40, Y: 20}: red})
	wantAt(t, "padded", b.make(t, big, "radius=20,pad=5,bg=00f"), 1, map[image.Point]color.NRGBA{{X: 1, Y: 1}: {0, 0, 255, 255}, {X: 6, Y: 6}: none, {X: 60, Y: 6}: green})
	half := b.make(t, pngOf(t, canvas(40, 40, color.NRGBA{220, 30, 30, 128})), "radius=max")
	if half.NRGBAAt(20, 20).A != 128 || half.NRGBAAt(0, 0).A != 0 {
		t.Errorf("%v %v", half.NRGBAAt(20, 20), half.NRGBAAt(0, 0))
	}
	wantAt(t, "grey", b.make(t, pngOf(t, image.NewGray(image.Rect(0, 0, 30, 30))), "radius=max"), 0, map[image.Point]color.NRGBA{{X: 0, Y: 0}: none, {X: 15, Y: 15}: {0, 0, 0, 255}})
	for _, f := range []string{"webp", "avif"} {
		if m := b.make(t, big, "radius=max,f="+f); m.NRGBAAt(0, 0).A > 4 || m.NRGBAAt(50, 30).A != 255 {
			t.Errorf("%s: %v %v", f, m.NRGBAAt(0, 0), m.NRGBAAt(50, 30))
		}
	}
}

// wantRound holds the alpha of an opaque picture to the share of each pixel that lies inside, and all four corners to each other.
func wantRound(t *testing.T, name string, m *image.NRGBA, rx, ry float64) {
	t.Helper()
	w, h := m.Rect.Dx(), m.Rect.Dy()
	sum, want := 0.0, float64(w*h)-(4-math.Pi)*rx*ry
	for y := range h {
		for x := range w {
			a := m.NRGBAAt(x, y).A
			if a != m.NRGBAAt(w-1-x, y).A || a != m.NRGBAAt(x, h-1-y).A {
				t.Errorf("%s: the corners differ at %d,%d", name, x, y)
				return
			}
			dx, dy := math.Max(0, rx-float64(x)-.5), math.Max(0, ry-float64(y)-.5)
			d := math.Hypot(dx/rx, dy/ry)
			if far := 1.5 / math.Min(rx, ry); x < w/2 && y < h/2 && (d > 1+far && a != 0 || d < 1-far && a != 255) {
				t.Errorf("%s: at %d,%d alpha is %d, %.2f radii from the middle", name, x, y, a, d)
				return
			}
			sum += float64(a) / 255
		}
	}
	if math.Abs(sum-want) > 0.02*want+1 {
		t.Errorf("%s: %.1f px are seen, want %.1f", name, sum, want)
	}
}

// stamped renders with a watermark, whose name in a key is its digest.
func (b *bench) stamped(t testing.TB, original, over []byte, text string) *image.NRGBA {
	t.Helper()
	return b.make(t, original, strings.ReplaceAll(text, "@", b.shelf.put(over).String()))
}

// TestWatermark: an overlay lies where it was asked for, as large and as strong.
func TestWatermark(t *testing.T) {
	b := newBench(t, nil)
	base, over := pngOf(t, canvas(100, 60, grey)), pngOf(t, canvas(20, 10, red))
	lies := func(text string, x0, y0, x1, y1 int) {
		t.Helper()
		m := b.stamped(t, base, over, text)
		if got, want := unlike(m, grey), image.Rect(x0, y0, x1, y1); got != want {
			t.Errorf("%s: at %v, want %v", text, got, want)
		}
	}
	lies("wm=@", 40, 25, 60, 35)
	lies("wm=@,wm-g=northwest", 0, 0, 20, 10)
	lies("wm=@,wm-g=north", 40, 0, 60, 10)
	lies("wm=@,wm-g=southeast", 80, 50, 100, 60)
	lies("wm=@,wm-g=northwest,wm-x=3,wm-y=5", 3, 5, 23, 15)
	lies("wm=@,wm-g=southeast,wm-x=3,wm-y=5", 77, 45, 97, 55)
	lies("wm=@,wm-g=northeast,wm-x=3,wm-y=5", 77, 5, 97, 15)
	lies("wm=@,wm-g=southwest,wm-x=3,wm-y=5", 3, 45, 23, 55)
	lies("wm=@,wm-g=east,wm-x=3,wm-y=5", 77, 30, 97, 40)
	lies("wm=@,wm-g=south,wm-x=3,wm-y=5", 43, 45, 63, 55)
	lies("wm=@,wm-x=3,wm-y=5", 43, 30, 63, 40)
	lies("wm=@,wm-g=0.2x0.5", 10, 25, 30, 35)
	lies("wm=@,wm-g=1x1", 80, 50, 100, 60)
	lies("wm=@,wm-g=southeast,wm-x=90", 0, 50, 10, 60) // half outside
	lies("wm=@,wm-g=northwest,wm-scale=0.4", 0, 0, 40, 20)
	lies("wm=@,wm-g=northwest,wm-scale=0.1", 0, 0, 10, 5)
	lies("wm=@,wm-g=northwest,wm-scale=1", 0, 0, 100, 50)
	lies("wm=@,wm-g=northwest,w=50", 0, 0, 20, 10)
	lies("wm=@,wm-g=southeast,w=50,pad=20,bg=808080", 70, 60, 90, 70)
	lies("wm=@,wm-g=southeast,rotate=90", 40, 90, 60, 100)
	if m := b.stamped(t, base, over, "wm=@,wm-x=8000,wm-y=8000"); !unlike(m, grey).Empty() {
		t.Error("an overlay outside shows")
	}
	if m := b.stamped(t, base, over, "wm=@,wm-opacity=0"); !unlike(m, grey).Empty() {
		t.Error("an overlay without opacity shows")
	}
	half := color.NRGBA{174, 79, 79, 255}
	wantAt(t, "half", b.stamped(t, base, over, "wm=@,wm-opacity=0.5"), 2, map[image.Point]color.NRGBA{{X: 50, Y: 30}: half, {X: 10, Y: 10}: grey})
	soft := pngOf(t, canvas(20, 10, color.NRGBA{220, 30, 30, 128}))
	wantAt(t, "soft", b.stamped(t, base, soft, "wm=@"), 2, map[image.Point]color.NRGBA{{X: 50, Y: 30}: half, {X: 10, Y: 10}: grey})
	wantAt(t, "soft half", b.stamped(t, base, soft, "wm=@,wm-opacity=0.5"), 2, map[image.Point]color.NRGBA{{X: 50, Y: 30}: {151, 103, 103, 255}})

	// Larger than the picture: it is made to fit into it.
	large := pngOf(t, quarters(400, 100))
	m := b.stamped(t, base, large, "wm=@,wm-g=northwest")
	wantAt(t, "large", m, 4, map[image.Point]color.NRGBA{{X: 10, Y: 5}: red, {X: 90, Y: 20}: gold, {X: 10, Y: 28}: grey})
	tall := b.stamped(t, base, pngOf(t, quarters(10, 400)), "wm=@,wm-scale=1")
	wantAt(t, "tall", tall, 30, map[image.Point]color.NRGBA{{X: 10, Y: 30}: grey, {X: 90, Y: 30}: grey})

	// As it is seen.
	wantAt(t, "oriented", b.stamped(t, base, oriented(jpegOf(t, quarters(20, 40)), 6), "wm=@,wm-g=northwest"), 40, map[image.Point]color.NRGBA{{X: 8, Y: 4}: blue, {X: 32, Y: 16}: green, {X: 50, Y: 4}: grey})
}

// unlike returns the box around all that has another colour.
func unlike(m *image.NRGBA, c color.NRGBA) (r image.Rectangle) {
	for y := range m.Rect.Max.Y {
		for x := range m.Rect.Max.X {
			if !near(m.NRGBAAt(x, y), c, 20) {
				r = r.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return r
}

// TestWatermarkBases: an overlay has its colours on grey, and what is under it keeps its alpha.
func TestWatermarkBases(t *testing.T) {
	b := newBench(t, nil)
	over := pngOf(t, canvas(20, 10, red))
	g := image.NewGray(image.Rect(0, 0, 60, 40))
	for i := range g.Pix {
		g.Pix[i] = 128
	}
	at := func(c color.NRGBA) map[image.Point]color.NRGBA {
		return map[image.Point]color.NRGBA{{X: 30, Y: 20}: red, {X: 5, Y: 5}: c}
	}
	wantAt(t, "grey png", b.stamped(t, pngOf(t, g), over, "wm=@"), 2, at(grey))
	wantAt(t, "grey jpeg", b.stamped(t, jpegOf(t, g), over, "wm=@"), 2, at(grey))
	wantAt(t, "jpeg out", b.stamped(t, jpegOf(t, g), over, "wm=@,f=jpeg,q=95"), 8, at(grey))
	wantAt(t, "clear", b.stamped(t, pngOf(t, canvas(60, 40, none)), over, "wm=@"), 2, at(none))
	wantAt(t, "clear to jpeg", b.stamped(t, pngOf(t, canvas(60, 40, none)), over, "wm=@,f=jpeg,q=95"), 8, at(white))
	thin := color.NRGBA{30, 180, 40, 64}
	wantAt(t, "thin", b.stamped(t, pngOf(t, canvas(60, 40, thin)), over, "wm=@"), 2, at(thin))
	wantAt(t, "soft on clear", b.stamped(t, pngOf(t, canvas(60, 40, none)), pngOf(t, canvas(20, 10, color.NRGBA{220, 30, 30, 128})), "wm=@"), 3, map[image.Point]color.NRGBA{{X: 30, Y: 20}: {220, 30, 30, 128}})
	grayOver := image.NewGray(image.Rect(0, 0, 20, 10))
	wantAt(t, "grey over colour", b.stamped(t, pngOf(t, canvas(60, 40, gold)), pngOf(t, grayOver), "wm=@"), 2, map[image.Point]color.NRGBA{{X: 30, Y: 20}: {0, 0, 0, 255}, {X: 5, Y: 5}: gold})
	m := b.stamped(t, pngOf(t, canvas(60, 40, gold)), over, "wm=@")
	if !m.Opaque() {
		t.Error("an opaque picture has alpha behind a watermark")
	}
}

// TestWatermarkTiles: copies lie beside each other with gaps, over the whole picture.
func TestWatermarkTiles(t *testing.T) {
	b := newBench(t, nil)
	base, over := pngOf(t, canvas(97, 61, grey)), pngOf(t, canvas(20, 10, red))
	m := b.stamped(t, base, over, "wm=@,wm-tile=1,wm-x=5,wm-y=7")
	for y := range 61 {
		for x := range 97 {
			want := grey
			if x%25 < 20 && y%17 < 10 {
				want = red
			}
			if !near(m.NRGBAAt(x, y), want, 1) {
				t.Fatalf("%d,%d is %v, want %v", x, y, m.NRGBAAt(x, y), want)
			}
		}
	}
	m = b.stamped(t, base, over, "wm=@,wm-tile=1")
	if !near(m.NRGBAAt(96, 60), red, 1) || !near(m.NRGBAAt(50, 30), red, 1) {
		t.Errorf("%v", m.NRGBAAt(96, 60))
	}
	m = b.stamped(t, base, over, "wm=@,wm-tile=1,wm-x=8192,wm-y=8192,wm-opacity=0.5")
	if !near(m.NRGBAAt(10, 5), color.NRGBA{174, 79, 79, 255}, 2) || !near(m.NRGBAAt(60, 5), grey, 1) {
		t.Errorf("%v", m.NRGBAAt(10, 5))
	}
	m = b.stamped(t, base, pngOf(t, canvas(1, 1, red)), "wm=@,wm-tile=1,wm-x=1,wm-y=1")
	if !near(m.NRGBAAt(96, 60), red, 1) || !near(m.NRGBAAt(95, 60), grey, 1) {
		t.Errorf("%v %v", m.NRGBAAt(96, 60), m.NRGBAAt(95, 60))
	}
}

// TestWatermarkGroups: each group has its own overlay, in their order.
func TestWatermarkGroups(t *testing.T) {
	b := newBench(t, nil)
	base := pngOf(t, canvas(60, 60, grey))
	digest := func(c color.NRGBA) string { return b.shelf.put(pngOf(t, canvas(12, 12, c))).String() }
	a, c, e := digest(red), digest(green), digest(blue)
	m := b.make(t, base, "wm="+a+",wm-g=northwest;w=60;wm="+c+",wm-g=north;wm="+e+",wm-g=northeast;wm="+a+",wm-g=south")
	wantAt(t, "groups", m, 2, map[image.Point]color.NRGBA{{X: 5, Y: 5}: red, {X: 30, Y: 5}: green, {X: 55, Y: 5}: blue, {X: 30, Y: 55}: red, {X: 30, Y: 30}: grey})
	m = b.make(t, base, "wm="+a+";wm="+c)
	wantAt(t, "the later above", m, 2, map[image.Point]color.NRGBA{{X: 30, Y: 30}: green})
	m = b.make(t, base, "trim=1;wm="+c) // a group is put before the first
	wantAt(t, "with trim", m, 2, map[image.Point]color.NRGBA{{X: 30, Y: 30}: green})
	m = b.make(t, pngOf(t, framed(canvas(60, 60, grey), white, 9, 9, 9, 9)), "trim=1,wm="+a+";wm="+c+",wm-g=north")
	wantAt(t, "on what is trimmed", m, 2, map[image.Point]color.NRGBA{{X: 30, Y: 30}: red, {X: 30, Y: 5}: green})
}

// TestWatermarkFaults: what is wrong with the overlay is said of it and not of the picture.
func TestWatermarkFaults(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxPixels = 50_000; c.Workers = 1 })
	base := pngOf(t, photo(100, 60))
	f := func(over []byte, kind error) {
		t.Helper()
		fault := b.refused(t, base, "wm="+b.shelf.put(over).String(), kind, "watermark")
		if !strings.Contains(fault.Detail, "watermark") {
			t.Errorf("%q does not name the watermark", fault.Detail)
		}
	}
	whole := pngOf(t, photo(80, 60))
	f(whole[:len(whole)/2], asset.ErrUndecodable)
	damaged := bytes.Clone(whole)
	copy(damaged[len(damaged)/2:], make([]byte, 64))
	f(damaged, asset.ErrUndecodable)
	f(pngOf(t, photo(300, 200)), asset.ErrTooLarge)
	f([]byte("no picture"), asset.ErrMediaType)
	f(undrawable(), asset.ErrUndecodable)
	missing := asset.Digest{1}
	if _, err := b.render(t, base, variantOf(t, "wm="+missing.String())); !errors.Is(err, asset.ErrNotFound) {
		t.Errorf("a missing overlay: %v", err)
	}
	b.refused(t, base[:len(base)/2], "wm="+b.shelf.put(pngOf(t, photo(8, 6))).String(), asset.ErrUndecodable, "")
	if n := len(b.log.lost); n != 0 {
		t.Error(b.log.lost)
	}
}
