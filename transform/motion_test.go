package transform

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
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

// film makes a GIF of frames that cover part of the screen, with every disposal, clear places, and irregular delays.
func film(t testing.TB, loops int) []byte {
	t.Helper()
	palette := color.Palette{color.NRGBA{}, quarterColors[0], quarterColors[1], quarterColors[2], quarterColors[3], color.NRGBA{10, 10, 10, 255}}
	g := gif.GIF{LoopCount: loops, Config: image.Config{Width: 80, Height: 60, ColorModel: palette}}
	for i, f := range []struct {
		image.Rectangle
		disposal byte
		delay    int
	}{
		{image.Rect(0, 0, 80, 60), gif.DisposalNone, 10},
		{image.Rect(10, 10, 50, 30), gif.DisposalBackground, 0},
		{image.Rect(40, 20, 80, 60), gif.DisposalPrevious, 7},
		{image.Rect(0, 40, 30, 60), gif.DisposalNone, 133},
		{image.Rect(20, 0, 21, 60), gif.DisposalBackground, 2},
		{image.Rect(0, 0, 80, 60), gif.DisposalNone, 1},
	} {
		p := image.NewPaletted(f.Rectangle, palette)
		for y := f.Min.Y; y < f.Max.Y; y++ {
			for x := f.Min.X; x < f.Max.X; x++ {
				if (x/10+y/10+i)%4 != 0 || i == 0 && x < 60 { // else clear
					p.SetColorIndex(x, y, uint8(1+(x/20+y/20+i)%5))
				}
			}
		}
		g.Image, g.Delay, g.Disposal = append(g.Image, p), append(g.Delay, f.delay), append(g.Disposal, f.disposal)
	}
	return gifFrom(t, &g)
}

func gifFrom(t testing.TB, g *gif.GIF) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A movie is what an animation says of itself.
type movie struct {
	frames []*image.NRGBA
	delays []int // ms
	loops  int   // as Go's image/gif has them
}

// play renders an animation and reads it back, WebP by making a GIF of it.
func (b *bench) play(t testing.TB, original []byte, text string) movie {
	t.Helper()
	v := variantOf(t, text)
	out, err := b.render(t, original, v)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if v.Format == asset.WebP {
		m := movie{loops: webpLoops(out) - 1}
		if webpLoops(out) == 0 {
			m.loops = 0
		} else if m.loops == 0 {
			m.loops = -1
		}
		for i, d := range webpDelays(out) {
			m.frames, m.delays = append(m.frames, b.make(t, out, "pg="+itoa(i+1))), append(m.delays, d)
		}
		return m
	}
	g, err := gif.DecodeAll(bytes.NewReader(out))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	m := movie{frames: screens(t, out), loops: g.LoopCount}
	for _, d := range g.Delay {
		m.delays = append(m.delays, 10*d)
	}
	return m
}

// webpDelays reads the durations of ANMF chunks (RFC 9649 §2.7.1.1), webpLoops the count of ANIM.
func webpDelays(file []byte) (delays []int) {
	eachChunk(file, func(name string, b []byte) {
		if name == "ANMF" {
			delays = append(delays, int(b[12])|int(b[13])<<8|int(b[14])<<16)
		}
	})
	return delays
}

func webpLoops(file []byte) (loops int) {
	eachChunk(file, func(name string, b []byte) {
		if name == "ANIM" {
			loops = int(binary.LittleEndian.Uint16(b[4:]))
		}
	})
	return loops
}

func eachChunk(file []byte, do func(name string, b []byte)) {
	for rest := file[riffHeader:]; len(rest) >= chunkHeader; {
		size := int(binary.LittleEndian.Uint32(rest[4:]))
		do(string(rest[:4]), rest[chunkHeader:chunkHeader+size])
		rest = rest[min(len(rest), chunkHeader+size+size%2):]
	}
}

// unlikePixels counts the pixels of two pictures that differ by more than by.
func unlikePixels(a, b *image.NRGBA, by float64) (n int) {
	if a.Rect.Size() != b.Rect.Size() {
		return a.Rect.Dx()*a.Rect.Dy() + b.Rect.Dx()*b.Rect.Dy()
	}
	for i := 0; i < len(a.Pix); i += 4 {
		p, q := a.Pix[i:], b.Pix[i:]
		if !near(color.NRGBA{p[0], p[1], p[2], p[3]}, color.NRGBA{q[0], q[1], q[2], q[3]}, by) {
			n++
		}
	}
	return n
}

// TestMovies: every frame of an animation is what Go's decoder shows of the original's, in GIF and WebP, with its delay, and as
// often.
func TestMovies(t *testing.T) {
	b := newBench(t, nil)
	for _, loops := range []int{-1, 0, 1, 3} { // once, for ever, twice, four times
		original := film(t, loops)
		want := screens(t, original)
		webp, err := b.render(t, original, variantOf(t, "f=webp,q=100"))
		if err != nil {
			t.Fatal(err)
		}
		for name, m := range map[string]movie{
			"gif to gif": b.play(t, original, "f=gif"), "gif to webp": b.play(t, original, "f=webp,q=100"),
			"webp to gif": b.play(t, webp, "f=gif"), "webp to webp": b.play(t, webp, "f=webp,q=100"),
		} {
			if m.loops != loops {
				t.Errorf("%s: loops %d, want %d", name, m.loops, loops)
			}
			checkDelays(t, name, m.delays)
			if len(m.frames) != len(want) {
				t.Errorf("%s: %d frames, want %d", name, len(m.frames), len(want))
				continue
			}
			for i := range want {
				got, want := m.frames[i], want[i]
				if name != "gif to gif" { // lossy: the edges are soft
					got, want = middles(got), middles(want)
				}
				if n := unlikePixels(got, want, 24); n > 0 {
					t.Errorf("%s: frame %d differs in %d px", name, i, n)
				}
			}
		}
	}
}

// middles has the middle of each block of film.
func middles(m *image.NRGBA) *image.NRGBA {
	out := image.NewNRGBA(image.Rect(0, 0, m.Rect.Dx()/10, m.Rect.Dy()/10))
	for y := range out.Rect.Max.Y {
		for x := range out.Rect.Max.X {
			out.SetNRGBA(x, y, m.NRGBAAt(10*x+4, 10*y+4))
		}
	}
	return out
}

// checkDelays holds them to those of film. Browsers show what is to be shown for up to 10 ms for 100 ms, and so does what
// vips_webpsave makes of it.
func checkDelays(t *testing.T, name string, got []int) {
	t.Helper()
	want := []int{100, 0, 70, 1330, 20, 10}
	if name != "gif to gif" {
		want[1], want[5] = 100, 100
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("%s: delays %v, want %v", name, got, want)
			return
		}
	}
}

// TestMoviesChanged: what is asked for is done to each frame.
func TestMoviesChanged(t *testing.T) {
	b := newBench(t, nil)
	g := gif.GIF{}
	for i := range 4 { // the same drawing, turned
		q := turnedPixels(quarters(80, 80), []int{1, 6, 3, 8}[i])
		p := image.NewPaletted(q.Rect, color.Palette{quarterColors[0], quarterColors[1], quarterColors[2], quarterColors[3]})
		draw.Draw(p, p.Rect, q, image.Point{}, draw.Src)
		g.Image, g.Delay = append(g.Image, p), append(g.Delay, 5+i)
	}
	original := gifFrom(t, &g)
	asDrawn := []string{"rgby", "gyrb", "ybgr", "bryg"}
	webp, err := b.render(t, original, variantOf(t, "f=webp,q=100"))
	if err != nil {
		t.Fatal(err)
	}
	f := func(text string, w, h int, change func(string) string, at map[image.Point]color.NRGBA) {
		t.Helper()
		for kind, from := range map[string][]byte{"gif": original, "webp": webp} {
			for _, to := range []string{"gif", "webp"} {
				m := b.play(t, from, "f="+to+","+text)
				if len(m.frames) != 4 || m.delays[0] != 50 || m.delays[3] != 80 {
					t.Errorf("%s, %s to %s: %d frames, %v", text, kind, to, len(m.frames), m.delays)
					continue
				}
				for i, p := range m.frames {
					if got, want := whichQuarters(p), change(asDrawn[i]); got != want || p.Rect.Dx() != w || p.Rect.Dy() != h {
						t.Errorf("%s, %s to %s: frame %d is %s of %v, want %s of %d × %d", text, kind, to, i, got, p.Rect.Size(), want, w, h)
					}
					wantAt(t, text, p, 24, at)
				}
			}
		}
	}
	same := func(q string) string { return q }
	f("w=40", 40, 40, same, nil)
	f("w=160,fit=contain", 160, 160, same, nil)
	f("w=30,h=90,fit=squeeze", 30, 90, same, nil)
	f("rotate=90", 80, 80, func(q string) string { return rotated(q, 90) }, nil)
	f("flip=h,w=20", 20, 20, func(q string) string { return flipped(q, asset.FlipH) }, nil)
	f("w=80,h=40,fit=cover,g=north", 80, 40, func(q string) string { return q[:2] + q[:2] }, nil)
	f("rect=0:0:40:80,w=20", 20, 40, func(q string) string { return q[:1] + q[:1] + q[2:3] + q[2:3] }, nil)
	f("pad=0:0:4:4,bg=ff00ff", 84, 84, same, map[image.Point]color.NRGBA{{X: 1, Y: 40}: {255, 0, 255, 255}, {X: 40, Y: 83}: {255, 0, 255, 255}})
	f("blur=1", 80, 80, same, nil)
	f("pixelate=4;w=40", 40, 40, same, nil)
	f("radius=max", 80, 80, same, map[image.Point]color.NRGBA{{X: 1, Y: 1}: none, {X: 78, Y: 78}: none})
	f("wm="+b.shelf.put(pngOf(t, canvas(10, 10, color.NRGBA{255, 0, 255, 255}))).String()+",wm-g=northwest", 80, 80, same, map[image.Point]color.NRGBA{{X: 4, Y: 4}: {255, 0, 255, 255}})
	for i, p := range b.play(t, original, "f=gif,saturation=1.01;w=80,h=40,fit=cover,g=attention").frames { // all keep what the first does
		if got := whichQuarters(p); i > 0 && (got[0] == got[1]) != (got[0] != asDrawn[i][0] && got[0] != asDrawn[i][2]) {
			t.Errorf("frame %d is %s", i, got)
		}
	}
}

// TestStills: one frame is a still, and what cannot move shows the first one.
func TestStills(t *testing.T) {
	b := newBench(t, nil)
	original := film(t, 0)
	all := screens(t, original)
	for _, text := range []string{"f=gif,anim=0", "f=webp,anim=0,q=100"} {
		out, err := b.render(t, original, variantOf(t, text))
		if err != nil {
			t.Fatal(err)
		}
		if _, pic, err := b.probe(t, out); err != nil || pic.Animated || pic.Pages != 1 {
			t.Errorf("%s: %+v %v", text, pic, err)
		}
		if n := unlikePixels(middles(b.make(t, out, "f=png")), middles(all[0]), 12); n > 0 {
			t.Errorf("%s: %d px differ", text, n)
		}
	}
	for i := range all {
		for _, text := range []string{"f=png,pg=", "f=gif,pg="} {
			out, err := b.render(t, original, variantOf(t, text+itoa(i+1)))
			if err != nil {
				t.Fatal(err)
			}
			if n := unlikePixels(b.make(t, out, "f=png"), all[i], 2); n > 0 {
				t.Errorf("%s%d: %d px differ", text, i+1, n)
			}
		}
	}
	onWhite := b.make(t, original, "f=jpeg,q=95")
	png := b.make(t, original, "f=png")
	avif := b.make(t, original, "f=avif,q=90")
	if n := unlikePixels(png, all[0], 0); n > 0 {
		t.Errorf("png: %d px differ from the first frame", n)
	}
	if n := unlikePixels(middles(avif), middles(all[0]), 16); n > 0 {
		t.Errorf("avif: %d px differ from the first frame", n)
	}
	wantAt(t, "jpeg", onWhite, 12, map[image.Point]color.NRGBA{{X: 65, Y: 25}: white, {X: 5, Y: 5}: all[0].NRGBAAt(5, 5)})
	b.refused(t, original, "f=gif,pg=7", asset.ErrInvalid, "page")
	for _, text := range []string{"f=jpeg", "f=tiff", "f=jxl"} {
		if _, err := b.render(t, original, variantOf(t, text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestManyFrames: hundreds of frames are made; what would take too much is refused, and no worker is lost for it.
func TestManyFrames(t *testing.T) {
	b := newBench(t, one)
	if m := b.play(t, gifOf(t, 8, 8, 300), "f=gif,w=4"); len(m.frames) != 300 {
		t.Errorf("%d frames", len(m.frames))
	}
	dot := func() *image.Paletted {
		return image.NewPaletted(image.Rect(0, 0, 1, 1), color.Palette{color.Black, color.White})
	}
	many := func(w, h, frames int) []byte {
		g := gif.GIF{Config: image.Config{Width: w, Height: h, ColorModel: dot().Palette}}
		for range frames {
			g.Image, g.Delay = append(g.Image, dot()), append(g.Delay, 10)
		}
		return gifFrom(t, &g)
	}
	for name, original := range map[string][]byte{"tiny": many(8, 8, 6000), "huge": many(5000, 5000, 30)} {
		for _, text := range []string{"f=gif", "f=webp,w=4", "f=gif,w=4,blur=2;w=2"} {
			if fault := b.refused(t, original, text, asset.ErrTooLarge, ""); !strings.Contains(fault.Allowed, "MiB") {
				t.Errorf("%s, %s: %q", name, text, fault.Allowed)
			}
		}
	}
	b.size(t, many(8, 8, 6000), "f=png", 8, 8) // its first frame is a picture like any other
	b.size(t, many(8, 8, 6000), "f=gif,anim=0", 8, 8)
	if n := len(b.log.lost); n != 0 {
		t.Error(b.log.lost)
	}
}
