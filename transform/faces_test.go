package transform

import (
	"bytes"
	"image"
	"image/color"
	"image/color/palette"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// drawFace draws what the classifier takes for a face: a shaded head with hair, eyes, brows, nose and mouth where a face has them,
// turned clockwise by so many degrees.
func drawFace(m draw.Image, f face, degrees float64) {
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	for y := int(f.y - f.side); y <= int(f.y+f.side); y++ {
		for x := int(f.x - f.side); x <= int(f.x+f.side); x++ {
			dx, dy := (float64(x)-f.x)/f.side, (float64(y)-f.y)/f.side
			if c, ok := faceAt(math.Abs(dx*cos+dy*sin), dy*cos-dx*sin); ok {
				m.Set(x, y, c)
			}
		}
	}
}

// faceAt is a face's colour at u of its sides beside its middle and v below.
func faceAt(u, v float64) (c color.NRGBA, ok bool) {
	spot := func(du, dv, ru, rv float64) float64 {
		return math.Exp(-math.Pow((u-du)/ru, 2) - math.Pow((v-dv)/rv, 2))
	}
	skull, hair := math.Hypot(u/0.42, (v-0.02)/0.6), math.Hypot(u/0.47, (v+0.17)/0.6)
	if skull > 1 || v < -0.45+0.8*u*u {
		dark := clamp(40 + 20*math.Sin(40*u))
		return color.NRGBA{dark, dark / 4 * 3, dark / 2, 255}, hair < 1 && v < 0
	}
	light := 1 - 0.25*skull*skull - 0.1*u
	light -= 0.55*spot(0.18, -0.07, 0.075, 0.035) + 0.45*spot(0.18, -0.17, 0.1, 0.025) // eyes, brows
	light -= 0.25 * spot(0.18, -0.09, 0.11, 0.08)                                      // their hollows
	light -= 0.25*spot(0.06, 0.16, 0.05, 0.03) + 0.5*spot(0, 0.32, 0.13, 0.025)        // nostrils, mouth
	light -= 0.15 * spot(0, 0.4, 0.1, 0.04)                                            // below the lip
	light += 0.08*spot(0, 0.05, 0.04, 0.12) + 0.05*spot(0.2, 0.12, 0.1, 0.1)           // nose, cheeks
	return color.NRGBA{clamp(225 * light), clamp(180 * light), clamp(155 * light), 255}, true
}

// drawn is where the pixels of a face drawn upright are, hair and chin included.
func (f face) drawn() image.Rectangle {
	return image.Rect(int(f.x-0.47*f.side), int(f.y-0.77*f.side), int(f.x+0.47*f.side)+1, int(f.y+0.62*f.side)+1)
}

func portrait(w, h int, faces ...face) *image.NRGBA {
	m := photo(w, h)
	for _, f := range faces {
		drawFace(m, f, 0)
	}
	return m
}

func find(t *testing.T, l look, m *image.NRGBA) []face {
	t.Helper()
	faces, err := l.find(m)
	if err != nil {
		t.Fatal(err)
	}
	return faces
}

// sees reports whether one of the faces is f, about.
func sees(faces []face, f face) bool {
	return slices.ContainsFunc(faces, func(g face) bool {
		return math.Hypot(f.x-g.x, f.y-g.y) < f.side/5 && math.Abs(f.side-g.side) < f.side/3
	})
}

func TestFindFaces(t *testing.T) {
	several := []face{{450, 303, 150}, {600, 100, 100}, {150, 75, 50}, {240, 225, 80}, {75, 335, 36}}
	m := portrait(700, 420, several...)
	for _, l := range []look{toKeep, toHide} {
		found := find(t, l, m)
		for _, f := range several {
			if !sees(found, f) {
				t.Errorf("of %.0f, %.0f is not found", found, f)
			}
		}
		if !slices.IsSortedFunc(found, func(a, b face) int { return int(b.side - a.side) }) {
			t.Errorf("%.0f do not begin with the largest", found)
		}
	}
	for _, side := range []float64{12, 17, 25, 50} { // in a small rendition
		if f := (face{60, 45, side}); !sees(find(t, toHide, portrait(120, 90, f)), f) {
			t.Errorf("a face of %.0f px is not found", side)
		}
	}
	for _, degrees := range []float64{-40, -20, 20, 40} {
		m, f := photo(120, 100), face{60, 50, 45}
		drawFace(m, f, degrees)
		if !sees(find(t, toHide, m), f) {
			t.Errorf("a face tilted by %.0f° is not found", degrees)
		}
	}
	tall := photo(80, 180)
	drawFace(tall, face{40, 135, 40}, 40)
	if !sees(find(t, toHide, tall), face{40, 135, 40}) {
		t.Error("a tilted face is not found below the square")
	}
}

func TestFindNoFaces(t *testing.T) {
	for _, s := range []image.Point{{1, 1}, {1, 300}, {300, 1}, {19, 21}, {40, 400}, {150, 100}} {
		for _, m := range []*image.NRGBA{photo(s.X, s.Y), quarters(s.X, s.Y), image.NewNRGBA(image.Rectangle{Max: s})} {
			for _, l := range []look{toKeep, toHide, toHide.among(1000)} {
				if found := find(t, l, m); len(found) > 0 {
					t.Errorf("%v has %.0f", s, found)
				}
			}
		}
	}
	if found := find(t, toKeep, scene(300, 400)); len(found) > 0 {
		t.Errorf("a drawing has %.0f", found)
	}
}

// windowOf returns where in m the picture out was cut from, or nothing.
func windowOf(m, out *image.NRGBA) image.Rectangle {
	size := out.Rect.Size()
	for top := 0; top+size.Y <= m.Rect.Dy(); top++ {
	next:
		for left := 0; left+size.X <= m.Rect.Dx(); left++ {
			for y := range size.Y {
				at := m.PixOffset(left, top+y)
				if !bytes.Equal(m.Pix[at:at+4*size.X], out.Pix[y*out.Stride:y*out.Stride+4*size.X]) {
					continue next
				}
			}
			return image.Rectangle{Max: size}.Add(image.Pt(left, top))
		}
	}
	return image.Rectangle{}
}

func nrgba(m image.Image) *image.NRGBA {
	out := image.NewNRGBA(image.Rectangle{Max: m.Bounds().Size()})
	draw.Draw(out, out.Rect, m, m.Bounds().Min, draw.Src)
	return out
}

func facing(w, h int) asset.Variant {
	return asset.Variant{Width: w, Height: h, Fit: asset.Cover, Gravity: asset.Gravity{Anchor: asset.AnchorFace}, Format: asset.PNG}
}

// TestFaceGravity: a crop keeps whole heads: all that have room, else the largest.
func TestFaceGravity(t *testing.T) {
	b := newBench(t, nil)
	f := func(m *image.NRGBA, w, h int, kept ...face) {
		t.Helper()
		window := windowOf(m, nrgba(b.picture(t, pngOf(t, m), facing(w, h))))
		for _, f := range kept {
			if !f.drawn().In(window) {
				t.Errorf("%d × %d of %v keeps %v, not %v", w, h, m.Rect.Max, window, f.drawn())
			}
		}
	}
	for _, x := range []float64{60, 150, 260, 390} {
		one := face{x, 160, 80}
		f(portrait(450, 300, one), 120, 300, one)
	}
	for _, y := range []float64{70, 160, 300, 395} {
		one := face{150, y, 80}
		f(portrait(300, 450, one), 300, 150, one)
	}
	upper := face{150, 100, 120} // a portrait
	f(portrait(300, 450, upper), 300, 300, upper)
	f(portrait(300, 450, upper), 300, 185, upper)
	large, beside, far := face{330, 150, 100}, face{220, 140, 70}, face{60, 200, 60}
	three := portrait(450, 300, large, beside, far)
	f(three, 400, 300, large, beside, far)
	f(three, 230, 300, large, beside)
	f(three, 110, 300, large)
	edge := face{20, 150, 90} // half of it is in the picture
	f(portrait(450, 300, edge, large), 200, 300, large)
}

// TestFaceGravityResized: what is found in the large picture is in the small crop, wherever it was.
func TestFaceGravityResized(t *testing.T) {
	b := newBench(t, nil)
	for x, at := range map[float64]float64{150: 22.5, 500: 30, 1050: 37.5} { // at the edges, it is not in the middle
		m := portrait(1200, 800, face{x, 300, 160})
		for kind, original := range map[string][]byte{"jpeg": jpegOf(t, m), "turned": oriented(jpegOf(t, turnedBack(m)), 6)} {
			out := nrgba(b.picture(t, original, facing(60, 120)))
			if found := find(t, toKeep, out); !sees(found, face{at, 45, 24}) {
				t.Errorf("%s: the crop of the face at %.0f has %.0f", kind, x, found)
			}
		}
	}
}

// turnedBack is m as a camera stores it that was held upright: EXIF orientation 6 shows it as it was.
func turnedBack(m *image.NRGBA) *image.NRGBA {
	out := image.NewNRGBA(image.Rect(0, 0, m.Rect.Dy(), m.Rect.Dx()))
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			out.SetNRGBA(y, m.Rect.Dx()-1-x, m.NRGBAAt(x, y))
		}
	}
	return out
}

// TestNoFaceGravity: without a face, it is attention.
func TestNoFaceGravity(t *testing.T) {
	b := newBench(t, nil)
	m := photo(450, 300)
	draw.Draw(m, image.Rect(350, 120, 400, 180), image.NewUniform(color.NRGBA{255, 0, 0, 255}), image.Point{}, draw.Src)
	attention := facing(100, 300)
	attention.Gravity.Anchor = asset.AnchorAttention
	got, want := nrgba(b.picture(t, pngOf(t, m), facing(100, 300))), nrgba(b.picture(t, pngOf(t, m), attention))
	if !bytes.Equal(got.Pix, want.Pix) {
		t.Errorf("keeps %v, attention %v", windowOf(m, got), windowOf(m, want))
	}
}

// slowly lets the race detector, on a machine that does other things too, look for faces.
func slowly(cfg *Config) { cfg.Timeout = 2 * time.Minute }

var faceless = asset.Variant{Blur: asset.BlurFaces, Format: asset.PNG}

// hides fails when one of the faces of m is still to be seen in out, or anything else differs.
func hides(t *testing.T, what string, m, out *image.NRGBA, faces ...face) {
	t.Helper()
	if out.Rect != m.Rect {
		t.Fatalf("%s: %v of %v", what, out.Rect, m.Rect)
	}
	if found := find(t, toHide, out); len(found) > 0 {
		t.Errorf("%s: still has %.0f", what, found)
	}
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			nearest := math.Inf(1)
			for _, f := range faces {
				nearest = min(nearest, math.Hypot((float64(x)-f.x)/f.side, (float64(y)-f.y)/f.side))
			}
			if before, after := m.NRGBAAt(x, y), out.NRGBAAt(x, y); nearest > 1.15 && after != before {
				t.Fatalf("%s: %d,%d was %v and is %v", what, x, y, before, after)
			}
		}
	}
	for _, f := range faces {
		eye := image.Pt(int(f.x-0.18*f.side), int(f.y-0.07*f.side))
		if c := out.NRGBAAt(eye.X, eye.Y); near(c, m.NRGBAAt(eye.X, eye.Y), 20) {
			t.Errorf("%s: an eye looks out at %v: %v", what, eye, c)
		}
	}
}

func TestBlurFaces(t *testing.T) {
	b := newBench(t, slowly)
	faces := []face{{40, 50, 45}, {150, 90, 25}}
	m := portrait(180, 120, faces...)
	hides(t, "colour", m, nrgba(b.picture(t, pngOf(t, m), faceless)), faces...)
	grey := image.NewGray(m.Rect)
	draw.Draw(grey, grey.Rect, m, image.Point{}, draw.Src)
	out := b.picture(t, pngOf(t, grey), faceless)
	if _, ok := out.(*image.Gray); !ok {
		t.Errorf("grey became %T", out)
	}
	hides(t, "grey", nrgba(grey), nrgba(out), faces...)
	cut := image.NewNRGBA(m.Rect) // heads on nothing
	for i, f := range faces {
		drawFace(cut, f, 0)
		for y := range cut.Rect.Dy() { // one shows through
			for x := 90 * i; x < 90*(i+1); x++ {
				cut.Pix[cut.PixOffset(x, y)+3] -= cut.Pix[cut.PixOffset(x, y)+3] / 4 * uint8(i)
			}
		}
	}
	clear := nrgba(b.picture(t, pngOf(t, cut), faceless))
	hides(t, "alpha", cut, clear, faces...)
	for i := 3; i < len(cut.Pix); i += 4 {
		if cut.Pix[i] != clear.Pix[i] {
			t.Fatalf("alpha %d became %d", cut.Pix[i], clear.Pix[i])
		}
	}
	none := photo(180, 120)
	if out := nrgba(b.picture(t, pngOf(t, none), faceless)); !bytes.Equal(out.Pix, none.Pix) {
		t.Error("a picture without faces is not as it was")
	}
}

// TestBlurFacesAtEdges: what of a head is in the picture is blurred, and nothing is written beside it.
func TestBlurFacesAtEdges(t *testing.T) {
	for _, f := range []face{{0, 0, 100}, {99, 0, 80}, {99, 79, 60}, {-90, 40, 100}, {50, 40, 300}, {50, 40, 1}, {1000, 1000, 50}} {
		m := photo(100, 80)
		hide(m, f)
		was, changed := photo(100, 80), 0
		for i := range m.Pix {
			if m.Pix[i] != was.Pix[i] {
				changed++
			}
		}
		if inside := (image.Point{int(f.x), int(f.y)}).In(m.Rect); f.side > 1 && inside != (changed > 0) {
			t.Errorf("%.0f changes %d bytes", f, changed)
		}
	}
}

// TestBlurFacesSoftly: the blur goes over into the picture.
func TestBlurFacesSoftly(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 400, 400))
	for i := range m.Pix {
		m.Pix[i] = uint8(max(255*(i/4+i/4/400)%510, i%4/3*255)) // a chessboard of 1 px, whose mean is 128
	}
	hide(m, face{200, 200, 200})
	for x, want := range map[int]float64{200: 128, 300: 128, 326: 191, 338: 245, 342: 255} {
		if white := max(m.NRGBAAt(x, 200).R, m.NRGBAAt(x, 201).R); math.Abs(float64(white)-want) > 5 {
			t.Errorf("at %d, white became %d, want %.0f", x, white, want)
		}
	}
}

// TestBlurFacesOfFrames: in an animation, each frame is looked at.
func TestBlurFacesOfFrames(t *testing.T) {
	b := newBench(t, slowly)
	animation := gif.GIF{}
	for i := range 3 {
		p := image.NewPaletted(image.Rect(0, 0, 120, 80), palette.Plan9)
		draw.Draw(p, p.Rect, portrait(120, 80, face{25 + 35*float64(i), 40, 35}), image.Point{}, draw.Src)
		animation.Image, animation.Delay = append(animation.Image, p), append(animation.Delay, 10)
		if len(find(t, toHide.among(3), nrgba(p))) == 0 {
			t.Fatalf("frame %d has no face to hide", i)
		}
	}
	var original bytes.Buffer
	if err := gif.EncodeAll(&original, &animation); err != nil {
		t.Fatal(err)
	}
	v := faceless
	v.Format = asset.GIF
	out, err := b.render(t, original.Bytes(), v)
	if err != nil {
		t.Fatal(err)
	}
	got, err := gif.DecodeAll(bytes.NewReader(out))
	if err != nil || len(got.Image) != 3 {
		t.Fatal(len(got.Image), err)
	}
	shown := image.NewNRGBA(image.Rect(0, 0, 120, 80))
	for i, p := range got.Image {
		draw.Draw(shown, p.Rect, p, p.Rect.Min, draw.Over)
		if found := find(t, toHide, shown); len(found) > 0 {
			t.Errorf("frame %d still has %.0f", i, found)
		}
	}
}

// TestBlurFacesMissed: a face that is missed in one frame is blurred where the frames beside it have it, and no further.
func TestBlurFacesMissed(t *testing.T) {
	with, without := portrait(160, 120, face{80, 60, 60}), photo(160, 120)
	frames, x := []*image.NRGBA{without, without, with, without, without}, &rendering{}
	for _, m := range frames {
		x.frames = append(x.frames, &frame{pix: nrgba(m)})
	}
	if err := x.blurFaces(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true, true, true, false} {
		if blurred := !bytes.Equal(x.frames[i].pix.Pix, frames[i].Pix); blurred != want {
			t.Errorf("frame %d is blurred: %v", i, blurred)
		}
	}
}

// TestFacesOfPhotograph: what is true of drawings is true of the photograph that pigo has for its own tests, where it is there.
func TestFacesOfPhotograph(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/esimov/pigo").Output()
	if err != nil {
		t.Skip("no go command: ", err)
	}
	f, err := os.Open(filepath.Join(strings.TrimSpace(string(dir)), "testdata/sample.jpg"))
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = f.Close() }()
	decoded, err := jpeg.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	m, who := nrgba(decoded), face{154, 202, 242}
	for _, l := range []look{toKeep, toHide} {
		if found := find(t, l, m); !sees(found, who) {
			t.Errorf("of %.0f, %.0f is not found", found, who)
		}
	}
	b := newBench(t, slowly)
	hides(t, "a photograph", m, nrgba(b.picture(t, pngOf(t, m), faceless)), who)
}
