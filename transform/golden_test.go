package transform

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/corona10/goimagehash"

	"github.com/assetmatrix/assetmatrix/asset"
)

var update = flag.Bool("update", false, "rewrite the goldens and the pictures of docs")

// sameLook fails when two pictures differ by more than an encoder's drift: in size, or in more than 8 of the 64 bits
// of their perceptual hash (a mirrored or misplaced picture differs in about 30).
func sameLook(t *testing.T, name string, got, want image.Image) {
	t.Helper()
	if got.Bounds().Size() != want.Bounds().Size() {
		t.Errorf("%s is %v, the golden %v", name, got.Bounds().Size(), want.Bounds().Size())
		return
	}
	a, err := goimagehash.PerceptionHash(got)
	if err != nil {
		t.Fatal(err)
	}
	b, err := goimagehash.PerceptionHash(want)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := a.Distance(b); err != nil || d > 8 {
		t.Errorf("%s differs from its golden in %d of 64 bits (%v)", name, d, err)
	}
}

// committed returns the file that was committed, or rewrites it.
func committed(t *testing.T, path string, got []byte) []byte {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// golden compares with testdata, or rewrites it.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	want := committed(t, path, got)
	decode := func(b []byte) image.Image {
		m, _, err := image.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	sameLook(t, path, decode(got), decode(want))
}

// TestGolden: renditions look as they did when somebody looked at them.
func TestGolden(t *testing.T) {
	b := newBench(t, nil)
	original := jpegOf(t, scene(900, 600))
	for name, v := range map[string]asset.Variant{
		"cover-northwest":  {Width: 120, Height: 160, Fit: asset.Cover, Gravity: asset.Gravity{Anchor: asset.AnchorNorthWest}},
		"cover-point":      {Width: 160, Height: 60, Fit: asset.Cover, Gravity: asset.Gravity{Anchor: asset.AnchorPoint, X: 900, Y: 900}},
		"pad-rotate-flip":  {Width: 160, Height: 160, Fit: asset.Pad, Rotate: 90, Flip: asset.FlipH, Background: asset.Color{R: 20, G: 90, B: 40, A: 255, Set: true}},
		"squeeze":          {Width: 100, Height: 160, Fit: asset.Squeeze},
		"low-quality-webp": {Width: 160, Format: asset.WebP, Quality: 5},
		"avif":             {Width: 160, Format: asset.AVIF},
	} {
		if v.Format == asset.AsIs {
			v.Format = asset.JPEG
		}
		b.goldenOf(t, name, original, v)
	}
	stamp := b.shelf.put(pngOf(t, canvas(60, 30, color.NRGBA{255, 255, 255, 160}, box{image.Rect(5, 5, 55, 25), color.NRGBA{20, 60, 200, 220}}))).String()
	for name, text := range map[string]string{
		"rect-rotate":     "rect=0:0:50p:50p,rotate=90,w=160",
		"aspect-entropy":  "ar=1:1,w=120,fit=cover,g=entropy",
		"padding":         "w=140,pad=4:20:12:8,bg=ffcc00",
		"blur":            "w=160,blur=4",
		"sharpen":         "w=160,sharpen=2",
		"pixelate":        "w=160,pixelate=9",
		"adjust":          "w=160,brightness=1.2,contrast=1.4,saturation=0.3,gamma=1.2",
		"radius-max":      "w=160,radius=max,bg=222",
		"radius":          "w=160,radius=30",
		"watermark":       "w=160,wm=" + stamp + ",wm-g=southeast,wm-x=6,wm-y=4,wm-scale=0.3",
		"watermark-tiled": "w=160,wm=" + stamp + ",wm-tile=1,wm-x=10,wm-y=10,wm-scale=0.15,wm-opacity=0.7",
		"chain":           "w=160,blur=3;rect=25p:25p:50p:50p,w=100,fit=contain;rotate=90,pad=6,bg=336699;radius=20",
	} {
		v := variantOf(t, text)
		v.Format = asset.JPEG
		b.goldenOf(t, name, original, v)
	}
}

// goldenOf compares one rendition with its golden, as a JPEG.
func (b *bench) goldenOf(t *testing.T, name string, original []byte, v asset.Variant) {
	t.Helper()
	out, err := b.render(t, original, v)
	if err != nil {
		t.Fatal(name, err)
	}
	if v.Format != asset.JPEG {
		if out, err = b.render(t, out, asset.Variant{Format: asset.JPEG}); err != nil {
			t.Fatal(name, err)
		}
	}
	golden(t, "testdata/"+name+".jpeg", out)
}

// TestFitsSheet: docs/fits.png is what the program makes of one picture and one box, in all six fits.
func TestFitsSheet(t *testing.T) {
	b := newBench(t, nil)
	original := jpegOf(t, scene(600, 900))
	small := jpegOf(t, scene(100, 150))
	const box, high, gap, text = 200, 160, 16, 18
	sheet := image.NewNRGBA(image.Rect(0, 0, 6*(box+gap)+gap, 2*(high+gap+2*text)+gap))
	draw.Draw(sheet, sheet.Rect, image.NewUniform(color.NRGBA{244, 244, 246, 255}), image.Point{}, draw.Src)
	for row, source := range []struct {
		name     string
		original []byte
	}{{"600x900", original}, {"100x150", small}} {
		for i, name := range []string{"scale-down", "contain", "cover", "crop", "pad", "squeeze"} {
			m := b.picture(t, source.original, asset.Variant{
				Width: box, Height: high, Fit: asset.Fit(i), Background: asset.Color{R: 255, G: 215, B: 120, A: 255, Set: true}, Format: asset.PNG,
			})
			at := image.Pt(gap+i*(box+gap), gap+row*(high+gap+2*text)+text)
			label(sheet, source.name+" "+name, at.X, at.Y-5, color.Black)
			outline(sheet, image.Rect(0, 0, box, high).Add(at).Inset(-1))
			draw.Draw(sheet, m.Bounds().Add(at), m, image.Point{}, draw.Src)
			label(sheet, itoa(m.Bounds().Dx())+" x "+itoa(m.Bounds().Dy()), at.X, at.Y+high+14, color.NRGBA{90, 90, 100, 255})
		}
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, sheet); err != nil {
		t.Fatal(err)
	}
	if out.Len() > 300<<10 {
		t.Errorf("docs/fits.png has %d bytes", out.Len())
	}
	golden(t, "../docs/fits.png", out.Bytes())
}

// outline draws the box that was asked for.
func outline(m *image.NRGBA, r image.Rectangle) {
	for x := r.Min.X; x < r.Max.X; x++ {
		m.Set(x, r.Min.Y, color.Gray{150})
		m.Set(x, r.Max.Y-1, color.Gray{150})
	}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		m.Set(r.Min.X, y, color.Gray{150})
		m.Set(r.Max.X-1, y, color.Gray{150})
	}
}
