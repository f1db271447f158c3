package transform

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

// variantOf reads options as a URL has them. Without a format it is a PNG, which loses nothing.
func variantOf(t testing.TB, text string) asset.Variant {
	t.Helper()
	v, err := asset.ParseVariant(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if v.Format == asset.Auto {
		v.Format = asset.PNG
	}
	return v
}

// make renders what options ask for, to pixels.
func (b *bench) make(t testing.TB, original []byte, text string) *image.NRGBA {
	t.Helper()
	m := b.picture(t, original, variantOf(t, text))
	switch m.(type) {
	case *image.NRGBA64, *image.RGBA64, *image.Gray16:
		t.Errorf("%s makes a %T", text, m)
	}
	return straight(m)
}

func straight(m image.Image) *image.NRGBA {
	if n, ok := m.(*image.NRGBA); ok {
		return n
	}
	out := image.NewNRGBA(image.Rectangle{Max: m.Bounds().Size()})
	for y := range out.Rect.Max.Y {
		for x := range out.Rect.Max.X {
			out.Set(x, y, m.At(m.Bounds().Min.X+x, m.Bounds().Min.Y+y))
		}
	}
	return out
}

// refused renders what must be refused, and returns the fault.
func (b *bench) refused(t testing.TB, original []byte, text string, kind error, part string) *asset.Fault {
	t.Helper()
	_, err := b.render(t, original, variantOf(t, text))
	fault := (*asset.Fault)(nil)
	if !errors.As(err, &fault) || !errors.Is(err, kind) || fault.Part != part {
		t.Errorf("%s: %v, want %v of %q", text, err, kind, part)
		return &asset.Fault{}
	}
	return fault
}

func (b *bench) size(t testing.TB, original []byte, text string, w, h int) *image.NRGBA {
	t.Helper()
	v := variantOf(t, text)
	o, err := b.Load(t.Context(), asset.Key{Original: b.shelf.put(original), Variant: v})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer o.Release()
	if o.Width != w || o.Height != h {
		t.Errorf("%s: the answer says %d × %d, want %d × %d", text, o.Width, o.Height, w, h)
	}
	m := b.make(t, original, text)
	if m.Rect.Dx() != w || m.Rect.Dy() != h {
		t.Errorf("%s: %v, want %d × %d", text, m.Rect.Size(), w, h)
	}
	return m
}

// slopes draws a picture whose colour says where it is: red grows to the right, green to the bottom; blue is high in the top left
// quarter.
func slopes(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.NRGBA{uint8(20 + 215*x/w), uint8(20 + 215*y/h), 40, 255}
			if x < w/2 && y < h/2 {
				c.B = 200
			}
			m.SetNRGBA(x, y, c)
		}
	}
	return m
}

// whereIs reads the position off a colour of slopes, in shares of its sides.
func whereIs(c color.NRGBA) (x, y float64) {
	return (float64(c.R) - 20) / 215, (float64(c.G) - 20) / 215
}

// turnedPixels stores m so that an EXIF orientation shows it as it is.
func turnedPixels(m *image.NRGBA, orientation int) *image.NRGBA {
	d := fromEXIF(orientation)
	size := asset.Size{Width: m.Rect.Dx(), Height: m.Rect.Dy()}
	stored := d.inverse().size(size)
	out := image.NewNRGBA(image.Rect(0, 0, stored.Width, stored.Height))
	for y := range stored.Height {
		for x := range stored.Width {
			seen := d.area(asset.Area{Left: x, Top: y, Width: 1, Height: 1}, stored)
			out.SetNRGBA(x, y, m.NRGBAAt(seen.Left, seen.Top))
		}
	}
	return out
}

// TestRectShows: a rectangle of the picture as it is seen comes out, whatever the orientation that it is stored in, how far its
// decoder shrinks it, and how it is turned afterwards.
func TestRectShows(t *testing.T) {
	b := newBench(t, nil)
	const w, h = 800, 600
	seen := slopes(w, h)
	rect := image.Rect(120, 210, 120+400, 210+200)
	for orientation := 1; orientation <= 8; orientation++ {
		original := oriented(jpegOf(t, turnedPixels(seen, orientation)), orientation)
		for _, size := range []string{"", ",w=200", ",w=60", ",w=31"} {
			for _, turn := range []string{"", ",rotate=90", ",rotate=180,flip=h", ",rotate=270,flip=v"} {
				if orientation%3 != 0 && turn != "" && size != ",w=60" { // a sample of what is the same code
					continue
				}
				text := "rect=120:210:400:200" + size + turn
				m := b.make(t, original, text)
				v := variantOf(t, text)
				turned := dihedral{quarters: v.Rotate / 90}
				if v.Flip == asset.FlipH {
					turned = turned.then(dihedral{mirrored: true})
				} else if v.Flip == asset.FlipV {
					turned = turned.then(dihedral{mirrored: true, quarters: 2})
				}
				wantPlaces(t, fmt.Sprintf("orientation %d, %s", orientation, text), m, rect, seen.Rect.Size(), turned)
			}
		}
	}
}

// wantPlaces holds the colours of m, a turned cut of slopes of size whole, to where they come from: within a pixel of m and what
// the colours can tell.
func wantPlaces(t *testing.T, name string, m *image.NRGBA, rect image.Rectangle, whole image.Point, turned dihedral) {
	t.Helper()
	size := asset.Size{Width: m.Rect.Dx(), Height: m.Rect.Dy()}
	flat := turned.inverse().size(size)
	dx, dy := float64(rect.Dx())/float64(flat.Width), float64(rect.Dy())/float64(flat.Height)
	for _, at := range []asset.Area{{Left: 2, Top: 2}, {Left: flat.Width - 3, Top: 2}, {Left: 2, Top: flat.Height - 3}, {Left: flat.Width - 3, Top: flat.Height - 3}, {Left: flat.Width / 2, Top: flat.Height / 2}} {
		at.Width, at.Height = 1, 1
		there := turned.area(at, flat)
		x, y := whereIs(m.NRGBAAt(there.Left, there.Top))
		wantX, wantY := float64(rect.Min.X)+(float64(at.Left)+.5)*dx, float64(rect.Min.Y)+(float64(at.Top)+.5)*dy
		if offX, offY := math.Abs(x*float64(whole.X)-wantX), math.Abs(y*float64(whole.Y)-wantY); offX > dx+float64(whole.X)/80 || offY > dy+float64(whole.Y)/80 {
			t.Errorf("%s: at %v is (%.0f, %.0f), want (%.0f, %.0f)", name, at, x*float64(whole.X), y*float64(whole.Y), wantX, wantY)
		}
	}
}

// TestRectPlace: a box in a cut lies where it should, to a fraction of a pixel of the rendition, whichever the decoder's shrink.
func TestRectPlace(t *testing.T) {
	b := newBench(t, nil)
	const w, h = 1603, 1201 // prime: no shrink goes in
	seen := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.Draw(seen, seen.Rect, image.NewUniform(color.NRGBA{0, 0, 0, 255}), image.Point{}, draw.Src)
	box := image.Rect(391, 533, 391+300, 533+212)
	draw.Draw(seen, box, image.White, image.Point{}, draw.Src)
	originals := map[string][]byte{"png": pngOf(t, seen)}
	for o := 1; o <= 8; o++ {
		originals["jpeg "+itoa(o)] = oriented(jpegOf(t, turnedPixels(seen, o)), o)
	}
	var err error
	if originals["webp"], err = b.render(t, originals["png"], asset.Variant{Format: asset.WebP, Quality: 90}); err != nil {
		t.Fatal(err)
	}
	for kind, original := range originals {
		for _, width := range []int{803, 400, 123, 57, 1200} {
			m := b.make(t, original, "rect=281:411:803:411,fit=contain,w="+itoa(width))
			k := float64(width) / 803
			x, y, area := centroid(m)
			wantX, wantY := float64(391+150-281)*k, float64(533+106-411)*k
			most := .5
			if k > 1 { // vips_resize of 8.14 enlarges with half a pixel to the right and down
				most = .8
			}
			if math.Abs(x-wantX) > most || math.Abs(y-wantY) > most || math.Abs(math.Sqrt(area)-math.Sqrt(300*212)*k) > .7 {
				t.Errorf("%s at %d: the box is at (%.2f, %.2f), %.0f px, want (%.2f, %.2f), %.0f px", kind, width, x, y, area, wantX, wantY, 300*212*k*k)
			}
		}
	}
}

// centroid returns the middle of what is light, and how much of it there is, in px.
func centroid(m *image.NRGBA) (x, y, area float64) {
	for i := 0; i < len(m.Pix); i += 4 {
		light := float64(m.Pix[i+1]) / 255
		x, y, area = x+light*(float64(i%m.Stride/4)+.5), y+light*(float64(i/m.Stride)+.5), area+light
	}
	return x / area, y / area, area
}

// TestRectExact: without a scale a cut has exactly the pixels of the rectangle; what stands over is left out; percent are of
// the picture.
func TestRectExact(t *testing.T) {
	b := newBench(t, nil)
	m := photo(101, 67)
	original := pngOf(t, m)
	f := func(text string, r image.Rectangle) {
		t.Helper()
		got := b.size(t, original, text, r.Dx(), r.Dy())
		for y := range r.Dy() {
			for x := range r.Dx() {
				if got.NRGBAAt(x, y) != m.NRGBAAt(r.Min.X+x, r.Min.Y+y) {
					t.Errorf("%s: at %d,%d is %v, want %v", text, x, y, got.NRGBAAt(x, y), m.NRGBAAt(r.Min.X+x, r.Min.Y+y))
					return
				}
			}
		}
	}
	f("rect=0:0:101:67", m.Rect)
	f("rect=7:9:31:5", image.Rect(7, 9, 38, 14))
	f("rect=100:66:1:1", image.Rect(100, 66, 101, 67))
	f("rect=90:60:500:500", image.Rect(90, 60, 101, 67))
	f("rect=10p:20p:50p:0.1p", image.Rect(10, 13, 61, 14))
	f("rect=10p:3:20:100p", image.Rect(10, 3, 30, 67))
	for _, outside := range []string{"rect=101:0:5:5", "rect=0:67:5:5", "rect=1000:1000:1:1", "rect=100p:0:5:5"} {
		if fault := b.refused(t, original, outside, asset.ErrInvalid, "rect"); !strings.Contains(fault.Detail, "101 × 67") {
			t.Errorf("%s: %q", outside, fault.Detail)
		}
	}
	b.refused(t, original, "w=50;rect=60:0:5:5", asset.ErrInvalid, "rect") // of what the group before has made
}

// TestRectKinds: a cut is of the same place whatever the original is, and however its decoder shrinks.
func TestRectKinds(t *testing.T) {
	b := newBench(t, nil)
	const w, h = 600, 400
	m := slopes(w, h)
	made := func(f asset.Format) []byte {
		out, err := b.render(t, pngOf(t, m), asset.Variant{Format: f, Quality: 95})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for kind, original := range map[string][]byte{
		"png": pngOf(t, m), "jpeg": jpegOf(t, m), "tiff": tiffOf(t, m), "webp": made(asset.WebP), "avif": made(asset.AVIF),
	} {
		for _, size := range []string{"", ",w=300", ",w=61", ",w=900,fit=contain"} {
			r := image.Rect(60, 40, 60+300, 40+160)
			wantPlaces(t, kind+size, b.make(t, original, "rect=10p:10p:50p:40p"+size), r, m.Rect.Size(), dihedral{})
		}
	}
	// The second page's rectangle is 50–80 points from the left and 60–90 from the top, of 200 × 100.
	doc := pdfOf(200, 100, 3)
	page := b.size(t, doc, "pg=2,rect=50:60:30:30,w=300,fit=contain", 300, 300)
	if c := page.NRGBAAt(3, 3); !near(c, color.NRGBA{255, 0, 0, 255}, 4) || !near(page.NRGBAAt(296, 296), color.NRGBA{255, 0, 0, 255}, 4) {
		t.Errorf("pdf: %v", c)
	}
	page = b.make(t, doc, "pg=2,rect=20p:50p:50p:50p,w=400,fit=contain") // 40–140, 50–100
	for x, want := range map[int]color.NRGBA{35: {255, 255, 255, 255}, 45: {255, 0, 0, 255}, 155: {255, 0, 0, 255}, 165: {255, 255, 255, 255}} {
		if c := page.NRGBAAt(x, 100); !near(c, want, 4) {
			t.Errorf("pdf at %d: %v, want %v", x, c, want)
		}
	}
	pages := twoPages(t, slopes(300, 200), slopes(200, 300))
	wantPlaces(t, "page 2 of a tiff", b.make(t, pages, "pg=2,rect=50:100:100:150,w=50"), image.Rect(50, 100, 150, 250), image.Pt(200, 300), dihedral{})
	b.refused(t, pages, "pg=2,rect=250:0:10:10", asset.ErrInvalid, "rect")
}

// twoPages makes a TIFF of two pages: the second file goes behind the first, its offsets moved.
func twoPages(t *testing.T, a, second *image.NRGBA) []byte {
	t.Helper()
	first, next := tiffOf(t, a), tiffOf(t, second)
	if len(first)%2 == 1 {
		first = append(first, 0)
	}
	le := binary.LittleEndian
	moved := uint32(len(first))
	directory := le.Uint32(next[4:])
	for i := range uint32(le.Uint16(next[directory:])) {
		e := next[directory+2+12*i:]
		size := map[uint16]uint32{1: 1, 2: 1, 3: 2, 4: 4, 5: 8}[le.Uint16(e[2:])] * le.Uint32(e[4:])
		if tag := le.Uint16(e); size > 4 || tag == 273 { // an offset, or the strips'
			le.PutUint32(e[8:], le.Uint32(e[8:])+moved)
		}
	}
	last := le.Uint32(first[4:])
	le.PutUint32(first[last+2+12*uint32(le.Uint16(first[last:])):], directory+moved)
	return append(first, next...)
}

// framed lays m on a border of one colour with its left, top, right and bottom so wide.
func framed(m *image.NRGBA, c color.NRGBA, left, top, right, bottom int) *image.NRGBA {
	out := image.NewNRGBA(image.Rect(0, 0, left+m.Rect.Dx()+right, top+m.Rect.Dy()+bottom))
	draw.Draw(out, out.Rect, image.NewUniform(c), image.Point{}, draw.Src)
	draw.Draw(out, m.Rect.Add(image.Pt(left, top)), m, image.Point{}, draw.Src)
	return out
}

// TestTrim: border goes, and nothing else.
func TestTrim(t *testing.T) {
	b := newBench(t, nil)
	inner := quarters(80, 40)
	white := pngOf(t, framed(inner, color.NRGBA{255, 255, 255, 255}, 11, 7, 5, 23))
	f := func(original []byte, text string, w, h int, want string) {
		t.Helper()
		if got := whichQuarters(b.size(t, original, text, w, h)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	f(white, "trim=1", 80, 40, "rgby")
	f(white, "trim=1,w=40", 40, 20, "rgby")
	f(white, "trim=1,rotate=90", 40, 80, "bryg")
	f(white, "trim=1,flip=h", 80, 40, "gryb")
	f(white, "trim=1,pad=10", 100, 60, "rgby")
	f(white, "trim=1,rect=1:2:90:66", 80, 40, "rgby")  // cut first: more border goes than was left
	f(white, "trim=1,rect=51:3:45:66", 40, 40, "ggyy") // nothing but the right half is left
	f(white, "trim=100", 80, 40, "rgby")
	f(white, "trim=1,ar=1:1", 40, 40, "rgby")
	f(white, "trim=1;rect=0:0:40:20", 40, 20, "rrrr")
	f(white, "rotate=180;trim=1", 80, 40, "ybgr")
	f(jpegOf(t, framed(inner, color.NRGBA{255, 255, 255, 255}, 16, 8, 16, 24)), "trim=75", 80, 40, "rgby")
	f(pngOf(t, framed(inner, color.NRGBA{}, 3, 30, 9, 1)), "trim=1", 80, 40, "rgby")
	f(oriented(jpegOf(t, turnedPixels(framed(inner, color.NRGBA{0, 0, 0, 255}, 8, 16, 24, 32), 6)), 6), "trim=75", 80, 40, "rgby")
	f(jpegOf(t, framed(quarters(800, 400), color.NRGBA{0, 0, 0, 255}, 80, 160, 240, 320)), "trim=30,w=40", 40, 20, "rgby") // found before it shrinks
	hidden := framed(inner, color.NRGBA{}, 9, 9, 9, 9)
	for x := range hidden.Rect.Max.X {
		hidden.SetNRGBA(x, 3, color.NRGBA{200, 100, uint8(x), 0}) // has a colour that nobody sees
	}
	f(pngOf(t, hidden), "trim=1", 80, 40, "rgby")

	plain := image.NewNRGBA(image.Rect(0, 0, 30, 20))
	draw.Draw(plain, plain.Rect, image.NewUniform(color.NRGBA{9, 99, 200, 255}), image.Point{}, draw.Src)
	b.size(t, pngOf(t, plain), "trim=1", 30, 20) // all border: stays
	b.size(t, pngOf(t, plain), "trim=100,w=15", 15, 10)
	b.size(t, pngOf(t, image.NewNRGBA(image.Rect(0, 0, 30, 20))), "trim=1", 30, 20)
	b.size(t, pngOf(t, photo(30, 20)), "trim=1", 30, 20)

	noisy := framed(inner, color.NRGBA{128, 128, 128, 255}, 20, 20, 20, 20)
	r := rand.New(rand.NewPCG(3, 4))
	for y := range noisy.Rect.Max.Y {
		for x := range noisy.Rect.Max.X {
			if !image.Pt(x, y).In(image.Rect(20, 20, 100, 60)) {
				v := uint8(124 + r.IntN(9))
				noisy.SetNRGBA(x, y, color.NRGBA{v, v, v, 255})
			}
		}
	}
	f(pngOf(t, noisy), "trim=9", 80, 40, "rgby")
	f(jpegOf(t, noisy), "trim=75", 80, 40, "rgby")
	if m := b.make(t, pngOf(t, noisy), "trim=1"); m.Rect.Dx() < 115 {
		t.Errorf("noise over the tolerance was trimmed to %v", m.Rect)
	}
}

// TestTrimWide: what is too long for a format is no fault as long as the rendition is not.
func TestTrimWide(t *testing.T) {
	b := newBench(t, nil)
	wide := pngOf(t, framed(quarters(80, 40), color.NRGBA{0, 0, 0, 255}, 17000, 0, 0, 0))
	if got := whichQuarters(b.size(t, wide, "trim=1,f=webp", 80, 40)); got != "rgby" {
		t.Error(got)
	}
	b.size(t, wide, "rect=16900:0:180:40,f=webp;pad=1", 182, 42)
	b.refused(t, wide, "f=webp", asset.ErrInvalid, "format")
	b.refused(t, wide, "f=webp;blur=1", asset.ErrInvalid, "format")
}

// TestTrimMoves: of an animation stays what any frame has.
func TestTrimMoves(t *testing.T) {
	b := newBench(t, nil)
	g := gif.GIF{}
	for i := range 3 {
		p := image.NewPaletted(image.Rect(0, 0, 60, 40), color.Palette{color.White, quarterColors[i]})
		draw.Draw(p, image.Rect(10+10*i, 5+5*i, 20+10*i, 10+5*i), image.NewUniform(quarterColors[i]), image.Point{}, draw.Src)
		g.Image, g.Delay = append(g.Image, p), append(g.Delay, 10)
	}
	var film bytes.Buffer
	if err := gif.EncodeAll(&film, &g); err != nil {
		t.Fatal(err)
	}
	v := variantOf(t, "trim=1,f=gif")
	out, err := b.render(t, film.Bytes(), v)
	if err != nil {
		t.Fatal(err)
	}
	got, err := gif.DecodeAll(bytes.NewReader(out))
	if err != nil || got.Config.Width != 30 || got.Config.Height != 15 || len(got.Image) != 3 {
		t.Fatalf("%+v %v", got.Config, err)
	}
	for i, m := range screens(t, out) {
		if c := m.NRGBAAt(5+10*i, 2+5*i); !near(c, quarterColors[i], 3) {
			t.Errorf("frame %d: %v", i, c)
		}
	}
	b.size(t, film.Bytes(), "trim=1,anim=0", 10, 5)
}
