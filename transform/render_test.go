package transform

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

// near reports whether two colours are the same but for an encoder's doing.
func near(a color.Color, b color.Color, by float64) bool {
	r, g, bl, al := a.RGBA()
	r2, g2, b2, al2 := b.RGBA()
	far := func(x, y uint32) float64 { return math.Abs(float64(x)-float64(y)) / 257 }
	return max(far(r, r2), far(g, g2), far(bl, b2), far(al, al2)) <= by
}

func middle(m image.Image, x, y float64) color.Color {
	b := m.Bounds()
	return m.At(b.Min.X+int(x*float64(b.Dx())), b.Min.Y+int(y*float64(b.Dy())))
}

// whichQuarters names the colours of the four quarters of a picture, from the top left: r, g / b, y for the drawing
// as drawn, "?" for anything else.
func whichQuarters(m image.Image) string {
	var s strings.Builder
	for _, at := range [4][2]float64{{.25, .25}, {.75, .25}, {.25, .75}, {.75, .75}} {
		found := "?"
		for i, c := range quarterColors {
			if near(middle(m, at[0], at[1]), c, 16) {
				found = "rgby"[i : i+1]
			}
		}
		s.WriteString(found)
	}
	return s.String()
}

// TestExactSize: for every fit, a rendition has exactly the size that the layout promises, whatever the source.
func TestExactSize(t *testing.T) {
	b := newBench(t, nil)
	sizes := []asset.Size{{Width: 640, Height: 427}, {Width: 427, Height: 640}, {Width: 1, Height: 331}, {Width: 331, Height: 1}, {Width: 1, Height: 1}, {Width: 311, Height: 313}, {Width: 2003, Height: 1009}}
	boxes := []asset.Variant{
		{Width: 400, Height: 300}, {Width: 97, Height: 211}, {Width: 1, Height: 1}, {Width: 1000, Height: 10}, {Width: 300}, {Height: 7},
		{Width: 251, Height: 13, Rotate: 90}, {},
	}
	var all sync.WaitGroup
	for _, s := range sizes {
		all.Go(func() {
			jpg, pic := jpegOf(t, photo(s.Width, s.Height)), pngOf(t, photo(s.Width, s.Height))
			for _, box := range boxes {
				for fit := asset.ScaleDown; fit <= asset.Squeeze; fit++ {
					v := box
					v.Fit, v.Format = fit, asset.JPEG
					want := v.Layout(s).Canvas
					if want.Pixels() > 500_000 { // nothing but slow
						continue
					}
					for kind, original := range map[string][]byte{"jpeg": jpg, "png": pic} {
						out, err := b.render(t, original, v)
						if err != nil {
							t.Errorf("%s %v %+v → %v: %v", kind, s, v, want, err)
							continue
						}
						c, err := jpeg.DecodeConfig(bytes.NewReader(out))
						if err != nil || c.Width != want.Width || c.Height != want.Height {
							t.Errorf("%s %v %+v: %d × %d, want %v (%v)", kind, s, v, c.Width, c.Height, want, err)
						}
					}
				}
			}
		})
	}
	all.Wait()
}

// TestOrientation: every EXIF orientation comes out upright, and rotate and flip come after it.
func TestOrientation(t *testing.T) {
	b := newBench(t, nil)
	// What a viewer sees of the drawing stored as it is, by orientation.
	upright := map[int]string{1: "rgby", 2: "gryb", 3: "ybgr", 4: "byrg", 5: "rbgy", 6: "bryg", 7: "ygbr", 8: "gyrb"}
	original := jpegOf(t, quarters(160, 80))
	for o, want := range upright {
		turned := oriented(original, o)
		v := asset.Variant{Width: 64, Format: asset.PNG}
		if got := whichQuarters(b.picture(t, turned, v)); got != want {
			t.Errorf("orientation %d: %s, want %s", o, got, want)
		}
		for _, rotate := range []int{0, 90, 180, 270} {
			for flip := asset.Flip(0); flip <= asset.FlipH|asset.FlipV; flip++ {
				v.Rotate, v.Flip = rotate, flip
				m := b.picture(t, turned, v)
				if got, want := whichQuarters(m), flipped(rotated(want, rotate), flip); got != want {
					t.Errorf("orientation %d rotate %d flip %d: %s, want %s", o, rotate, flip, got, want)
				}
				stored := asset.Size{Width: 160, Height: 80}
				if o > 4 {
					stored = asset.Size{Width: 80, Height: 160}
				}
				if want := v.Layout(stored).Canvas; m.Bounds().Dx() != want.Width || m.Bounds().Dy() != want.Height {
					t.Errorf("orientation %d rotate %d: %v, want %v", o, rotate, m.Bounds(), want)
				}
			}
		}
		_, pic, err := b.probe(t, turned)
		if err != nil || pic.Orientation != o || (pic.Width == 160) != (o < 5) {
			t.Errorf("probe of orientation %d: %+v, %v", o, pic, err)
		}
	}
}

// rotated turns the names of four quarters clockwise.
func rotated(q string, degrees int) string {
	for range degrees / 90 {
		q = string([]byte{q[2], q[0], q[3], q[1]})
	}
	return q
}

func flipped(q string, f asset.Flip) string {
	if f&asset.FlipH != 0 {
		q = string([]byte{q[1], q[0], q[3], q[2]})
	}
	if f&asset.FlipV != 0 {
		q = string([]byte{q[2], q[3], q[0], q[1]})
	}
	return q
}

// TestGravity: a crop keeps the part that was asked for, in the picture as it was turned.
func TestGravity(t *testing.T) {
	b := newBench(t, nil)
	original := pngOf(t, quarters(400, 400))
	f := func(want string, g asset.Gravity, change func(*asset.Variant)) {
		t.Helper()
		v := asset.Variant{Width: 40, Height: 90, Fit: asset.Cover, Gravity: g, Format: asset.PNG}
		if change != nil {
			change(&v)
		}
		if got := whichQuarters(b.picture(t, original, v)); got != want {
			t.Errorf("gravity %v: %s, want %s", g, got, want)
		}
	}
	at := func(a asset.Anchor) asset.Gravity { return asset.Gravity{Anchor: a} }
	f("rgby", at(asset.AnchorCenter), nil)
	f("rrbb", at(asset.AnchorWest), nil)
	f("ggyy", at(asset.AnchorEast), nil)
	f("ggyy", at(asset.AnchorNorthEast), nil)
	f("rrbb", at(asset.AnchorSouthWest), nil)
	f("rrbb", asset.Gravity{Anchor: asset.AnchorPoint, X: 100, Y: 500}, nil)
	f("ggyy", asset.Gravity{Anchor: asset.AnchorPoint, X: 1000, Y: 0}, nil)
	f("rgby", asset.Gravity{Anchor: asset.AnchorPoint, X: 500, Y: 500}, nil)
	wide := func(v *asset.Variant) { v.Width, v.Height = 90, 40 }
	f("rgrg", at(asset.AnchorNorth), wide)
	f("byby", at(asset.AnchorSouth), wide)
	f("ggrr", at(asset.AnchorNorth), func(v *asset.Variant) {
		v.Rotate = 270
		v.Width, v.Height = 40, 90
		v.Gravity = at(asset.AnchorWest)
		v.Flip = asset.FlipH
		v.Gravity = at(asset.AnchorEast)
	})
	f("rrbb", at(asset.AnchorEast), func(v *asset.Variant) { v.Flip = asset.FlipH })
}

func TestPlace(t *testing.T) {
	f := func(g asset.Gravity, from, to asset.Size, left, top int) {
		t.Helper()
		if l, tp := place(g, from, to); l != left || tp != top {
			t.Errorf("%v %v in %v: %d,%d want %d,%d", g, to, from, l, tp, left, top)
		}
	}
	big, small := asset.Size{Width: 100, Height: 80}, asset.Size{Width: 20, Height: 10}
	f(asset.Gravity{}, big, small, 40, 35)
	f(asset.Gravity{Anchor: asset.AnchorNorthWest}, big, small, 0, 0)
	f(asset.Gravity{Anchor: asset.AnchorSouthEast}, big, small, 80, 70)
	f(asset.Gravity{Anchor: asset.AnchorPoint, X: 300, Y: 700}, big, small, 20, 51)
	f(asset.Gravity{Anchor: asset.AnchorPoint, X: 0, Y: 1000}, big, small, 0, 70)
	f(asset.Gravity{}, small, small, 0, 0)
}

// TestDihedral: composition is what doing one after the other is, for all 64 pairs.
func TestDihedral(t *testing.T) {
	apply := func(d dihedral, q string) string {
		if d.mirrored {
			q = flipped(q, asset.FlipH)
		}
		return rotated(q, 90*(d.quarters&3))
	}
	for i := 1; i <= 8; i++ {
		if got := fromEXIF(i).exif(); got != i {
			t.Errorf("exif %d → %d", i, got)
		}
		for j := 1; j <= 8; j++ {
			a, b := fromEXIF(i), fromEXIF(j)
			if got, want := apply(a.then(b), "rgby"), apply(b, apply(a, "rgby")); got != want {
				t.Errorf("%d then %d: %s, want %s", i, j, got, want)
			}
		}
	}
	if fromEXIF(0) != (dihedral{}) || fromEXIF(9) != (dihedral{}) {
		t.Error("an orientation that is none turns")
	}
}

func TestPadAndFlatten(t *testing.T) {
	b := newBench(t, nil)
	red := asset.Color{R: 200, G: 10, B: 20, A: 255, Set: true}
	clear := image.NewNRGBA(image.Rect(0, 0, 100, 100)) // all transparent
	grey := image.NewGray(image.Rect(0, 0, 100, 50))
	corner := func(original []byte, v asset.Variant) color.Color {
		t.Helper()
		v.Width, v.Height, v.Fit = 100, 100, asset.Pad
		return b.picture(t, original, v).At(2, 2)
	}
	for _, f := range []asset.Format{asset.JPEG, asset.PNG} {
		for _, original := range [][]byte{pngOf(t, photo(100, 50)), pngOf(t, grey), jpegOf(t, photo(100, 50))} {
			if c := corner(original, asset.Variant{Format: f}); !near(c, color.White, 3) {
				t.Errorf("%s padded with %v, want white", f, c)
			}
			if c := corner(original, asset.Variant{Format: f, Background: red}); !near(c, color.NRGBA{200, 10, 20, 255}, 6) {
				t.Errorf("%s padded with %v, want red", f, c)
			}
		}
	}
	half := asset.Color{R: 0, G: 0, B: 255, A: 0, Set: true}
	if c := corner(pngOf(t, photo(100, 50)), asset.Variant{Format: asset.PNG, Background: half}); !near(c, color.Transparent, 0) {
		t.Errorf("padded with %v, want nothing", c)
	}
	if m := b.picture(t, pngOf(t, clear), asset.Variant{Width: 50, Format: asset.JPEG}); !near(middle(m, .5, .5), color.White, 2) {
		t.Errorf("flattened on %v, want white", middle(m, .5, .5))
	}
	if m := b.picture(t, pngOf(t, clear), asset.Variant{Width: 50, Format: asset.JPEG, Background: red}); !near(middle(m, .5, .5), color.NRGBA{200, 10, 20, 255}, 6) {
		t.Errorf("flattened on %v, want red", middle(m, .5, .5))
	}
	if m := b.picture(t, pngOf(t, clear), asset.Variant{Width: 50, Format: asset.PNG}); !near(middle(m, .5, .5), color.Transparent, 0) {
		t.Errorf("alpha became %v", middle(m, .5, .5))
	}
}

// TestAlphaEdge: transparent pixels have no colour, so none may bleed into the edge when they are averaged.
func TestAlphaEdge(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 101, 101))
	for y := range 101 {
		for x := range 101 {
			m.SetNRGBA(x, y, color.NRGBA{0, 0, 255, 0}) // invisible blue
			if x > 50 {
				m.SetNRGBA(x, y, color.NRGBA{255, 255, 0, 255})
			}
		}
	}
	b := newBench(t, nil)
	out := b.picture(t, pngOf(t, m), asset.Variant{Width: 10, Format: asset.PNG})
	for x := range 10 {
		if c := color.NRGBAModel.Convert(out.At(x, 5)).(color.NRGBA); c.A > 8 && (c.B > 40 || c.R < 200) {
			t.Errorf("x %d is %v: the invisible blue shows", x, c)
		}
	}
}

// TestKinds: every kind of pixels comes out as what it looks like.
func TestKinds(t *testing.T) {
	b := newBench(t, nil)
	q := quarters(120, 80)
	deep := image.NewNRGBA64(q.Rect)
	palette := image.NewPaletted(q.Rect, color.Palette{quarterColors[0], quarterColors[1], quarterColors[2], quarterColors[3]})
	cmyk := image.NewCMYK(q.Rect)
	for y := range 80 {
		for x := range 120 {
			deep.Set(x, y, q.At(x, y))
			palette.Set(x, y, q.At(x, y))
			cmyk.Set(x, y, q.At(x, y))
		}
	}
	f := func(name string, original []byte) {
		t.Helper()
		for _, format := range []asset.Format{asset.JPEG, asset.PNG, asset.WebP} {
			m := b.picture(t, original, asset.Variant{Width: 60, Format: format})
			if got := whichQuarters(m); got != "rgby" {
				t.Errorf("%s as %s: %s, %v", name, format, got, middle(m, .25, .25))
			}
		}
	}
	f("16 bit png", pngOf(t, deep))
	f("palette", pngOf(t, palette))
	f("tiff", tiffOf(t, q))
	f("16 bit tiff", tiffOf(t, deep))
	for _, format := range []asset.Format{asset.WebP, asset.AVIF} {
		out, err := b.render(t, pngOf(t, q), asset.Variant{Format: format, Quality: 95})
		if err != nil {
			t.Fatal(err)
		}
		f(format.String(), out)
	}
	g := image.NewGray16(image.Rect(0, 0, 50, 50))
	for i := range 2500 {
		g.SetGray16(i%50, i/50, color.Gray16{0x8080})
	}
	if c := middle(b.picture(t, pngOf(t, g), asset.Variant{Width: 20, Format: asset.JPEG}), .5, .5); !near(c, color.Gray{0x80}, 2) {
		t.Errorf("16 bit grey is %v", c)
	}
}

// TestPages: page takes a page of a PDF or TIFF or a frame of an animation, and names the pages there are.
func TestPages(t *testing.T) {
	b := newBench(t, nil)
	animation := gifOf(t, 60, 40, 4)
	for page, want := range map[int]color.NRGBA{0: quarterColors[0], 1: quarterColors[0], 3: quarterColors[2], 4: quarterColors[3]} {
		m := b.picture(t, animation, asset.Variant{Width: 30, Page: page, Still: true, Format: asset.PNG})
		if c := middle(m, .5, .5); !near(c, want, 4) || m.Bounds().Dx() != 30 || m.Bounds().Dy() != 20 {
			t.Errorf("frame %d is %v of %v, want %v", page, c, m.Bounds(), want)
		}
	}
	doc := pdfOf(200, 100, 3)
	for page, x := range map[int]float64{1: .125, 2: .325, 3: .525} {
		m := b.picture(t, doc, asset.Variant{Width: 800, Fit: asset.Contain, Page: page, Format: asset.PNG})
		if m.Bounds().Dx() != 800 || m.Bounds().Dy() != 400 {
			t.Errorf("page %d is %v", page, m.Bounds())
		}
		if c := middle(m, x, .75); !near(c, color.NRGBA{255, 0, 0, 255}, 4) {
			t.Errorf("page %d: %v where it is red", page, c)
		}
		if c := middle(m, .9, .1); !near(c, color.White, 0) {
			t.Errorf("page %d: the paper is %v", page, c)
		}
	}
	for kind, original := range map[string][]byte{"gif": animation, "pdf": doc, "jpeg": jpegOf(t, photo(9, 9))} {
		_, err := b.render(t, original, asset.Variant{Page: 9, Format: asset.PNG})
		fault := (*asset.Fault)(nil)
		if !errors.As(err, &fault) || !errors.Is(err, asset.ErrInvalid) || fault.Part != "page" || !strings.HasPrefix(fault.Allowed, "1 to ") {
			t.Errorf("%s page 9: %v", kind, err)
		}
	}
	if _, pic, err := b.probe(t, animation); err != nil || !pic.Animated || pic.Pages != 4 {
		t.Errorf("gif: %+v %v", pic, err)
	}
	if mt, pic, err := b.probe(t, undrawable()); err != nil || pic != nil || mt != pdfType {
		t.Errorf("a PDF that cannot be drawn is a file: %q %+v %v", mt, pic, err)
	}
	if mt, pic, err := b.probe(t, doc); err != nil || pic.Animated || pic.Pages != 3 || mt != pdfType || pic.Width != 200 || pic.Alpha {
		t.Errorf("pdf: %+v %v", pic, err)
	}
}

// TestTooLargeToMake: what the options ask for is refused with the option and what is allowed.
func TestTooLargeToMake(t *testing.T) {
	b := newBench(t, nil)
	tall := pngOf(t, image.NewGray(image.Rect(0, 0, 1, 300)))
	f := func(kind error, part string, v asset.Variant) {
		t.Helper()
		_, err := b.render(t, tall, v)
		fault := (*asset.Fault)(nil)
		if !errors.As(err, &fault) || !errors.Is(err, kind) || fault.Part != part || fault.Allowed == "" {
			t.Errorf("%+v: %v", v, err)
		}
	}
	f(asset.ErrInvalid, "format", asset.Variant{Width: 60, Fit: asset.Contain, Format: asset.WebP})  // 60 × 18000
	f(asset.ErrInvalid, "format", asset.Variant{Width: 220, Fit: asset.Contain, Format: asset.JPEG}) // 220 × 66000
}
