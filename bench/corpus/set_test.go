package corpus

import (
	"bytes"
	"image/gif"
	"math"
	"strings"
	"testing"

	"github.com/davidbyttow/govips/v2/vips"

	"github.com/assetmatrix/assetmatrix/transform"
)

func TestSetIsWhatItSays(t *testing.T) {
	last := 0
	files, err := Set(t.Context(), true, 7, func(done, total int) {
		if last++; done != last || total != len(small) {
			t.Errorf("progress %d of %d after %d", done, total, last-1)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if last != len(files) {
		t.Errorf("progress ended at %d of %d", last, len(files))
	}
	for _, f := range files {
		head, err := transform.Header(bytes.NewReader(f.Data), int64(len(f.Data)))
		if err != nil || head.MediaType != f.Type {
			t.Errorf("%s: header %+v, %v, want %s", f.Name, head, err, f.Type)
		}
		p := upright(t, f.Data)
		if f.Type != "application/pdf" && (p.Width() != f.Width || p.Height() != f.Height) {
			t.Errorf("%s: shows %d × %d, not %d × %d", f.Name, p.Width(), p.Height(), f.Width, f.Height)
		}
		if _, err := p.Average(); err != nil { // decodes it all
			t.Errorf("%s: %v", f.Name, Plain(err))
		}
	}
}

// TestSetsHaveEveryKind looks at the recipes, so that the full set need not be drawn.
func TestSetsHaveEveryKind(t *testing.T) {
	kinds := []string{
		"progressive.jpg", "p3.jpg", "turned.jpg", "mp.jpg", "mp.png", "drawing.png", "mp.webp", "mp.avif",
		"chart.gif", "animated.gif", ".pdf",
	}
	for _, recipes := range [][]recipe{small, full} {
		names := map[string]bool{}
		all := ""
		for _, r := range recipes {
			if names[r.name] {
				t.Errorf("two files are called %s", r.name)
			}
			names[r.name] = true
			all += r.name + "\n"
		}
		for _, kind := range kinds {
			if !strings.Contains(all, kind+"\n") {
				t.Errorf("no %s in\n%s", kind, all)
			}
		}
	}
	for _, r := range small {
		if r.width*r.height > 4_000_000 {
			t.Errorf("%s is too large for a quick run", r.name)
		}
	}
}

// TestSameSeedSameFile makes every kind of file, small ones for the tests' time.
func TestSameSeedSameFile(t *testing.T) {
	for _, r := range small {
		r.width, r.height = 72, 48
		file := func(seed uint64) []byte {
			f, err := r.file(seed)
			if err != nil {
				t.Fatal(err)
			}
			return f.Data
		}
		a := file(3)
		if !bytes.Equal(a, file(3)) {
			t.Errorf("%s: two drawings of a seed differ", r.name)
		}
		if bytes.Equal(a, file(4)) {
			t.Errorf("%s: seeds 3 and 4 share it", r.name)
		}
	}
}

func TestDrawingsDiffer(t *testing.T) {
	seen := map[string]uint64{}
	for seed := range uint64(100) {
		for _, pix := range [][]byte{newEmblem(seed).draw(16).Pix, chart(seed, 300, 200, 1).Pix} {
			if first, ok := seen[string(pix)]; ok {
				t.Errorf("seeds %d and %d draw the same", first, seed)
			}
			seen[string(pix)] = seed
		}
	}
}

func TestTurned(t *testing.T) {
	r := recipe{"turned.jpg", "image/jpeg", 120, 200, saved(saveTurned)}
	f, err := r.file(9)
	if err != nil {
		t.Fatal(err)
	}
	head, err := transform.Header(bytes.NewReader(f.Data), int64(len(f.Data)))
	if err != nil || head.Width != 200 || head.Height != 120 {
		t.Fatalf("stored as %d × %d, %v", head.Width, head.Height, err)
	}
	if got := opened(t, f.Data).Orientation(); got != 6 {
		t.Errorf("orientation %d", got)
	}
	if d := difference(pixels(t, upright(t, f.Data)), Landscape(9, 120, 200).Pix); d > 4 {
		t.Errorf("differs from its upright twin by %.1f levels", d)
	}
}

func TestP3(t *testing.T) {
	r := recipe{"p3.jpg", "image/jpeg", 200, 120, saved(saveP3)}
	f, err := r.file(9)
	if err != nil {
		t.Fatal(err)
	}
	p := opened(t, f.Data)
	if !bytes.Contains(p.GetICCProfile(), []byte("acsp")) {
		t.Error("no profile")
	}
	twin := Landscape(9, 200, 120).Pix
	unread := difference(pixels(t, p), twin)
	if err := p.TransformICCProfile("srgb"); err != nil {
		t.Fatal(Plain(err))
	}
	if read := difference(pixels(t, p), twin); read > 3 || unread < 1.5*read {
		t.Errorf("differs from its twin in sRGB by %.1f levels, and by %.1f without its profile", read, unread)
	}
}

func TestProgressive(t *testing.T) {
	r := recipe{"progressive.jpg", "image/jpeg", 200, 120, saved(saveProgressive)}
	f, err := r.file(9)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(f.Data, []byte{0xff, 0xc2}) {
		t.Error("no SOF2")
	}
}

func TestAnimated(t *testing.T) {
	b, err := animated(9, 90, 60)
	if err != nil {
		t.Fatal(err)
	}
	g, err := gif.DecodeAll(bytes.NewReader(b))
	if err != nil || len(g.Image) != 24 {
		t.Fatalf("%d frames, %v", len(g.Image), err)
	}
	for i := range g.Image[1:] {
		if bytes.Equal(g.Image[i].Pix, g.Image[i+1].Pix) {
			t.Errorf("frames %d and %d are the same", i, i+1)
		}
	}
}

func opened(t *testing.T, data []byte) *vips.ImageRef {
	t.Helper()
	if err := StartVips(); err != nil {
		t.Fatal(err)
	}
	p, err := vips.NewImageFromBuffer(data)
	if err != nil {
		t.Fatal(Plain(err))
	}
	t.Cleanup(p.Close)
	return p
}

// upright is a picture as a viewer shows it.
func upright(t *testing.T, data []byte) *vips.ImageRef {
	t.Helper()
	p := opened(t, data)
	if err := p.AutoRotate(); err != nil {
		t.Fatal(Plain(err))
	}
	return p
}

// pixels are those of a picture without transparency, as [image.RGBA] has them.
func pixels(t *testing.T, p *vips.ImageRef) []byte {
	t.Helper()
	b, err := p.ToBytes()
	if err != nil {
		t.Fatal(Plain(err))
	}
	var out []byte
	for ; len(b) >= 3; b = b[3:] {
		out = append(out, b[0], b[1], b[2], 255)
	}
	return out
}

// difference is the mean of levels.
func difference(a, b []byte) float64 {
	if len(a) != len(b) {
		return 255
	}
	sum := 0.0
	for i := range a {
		sum += math.Abs(float64(a[i]) - float64(b[i]))
	}
	return sum / float64(len(a))
}
