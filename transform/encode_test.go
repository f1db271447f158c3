package transform

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"testing"

	"golang.org/x/image/tiff"

	"github.com/assetmatrix/assetmatrix/asset"
)

// manyColors draws a picture with n colours, some of them transparent to a degree.
func manyColors(w, h, n int, alpha bool) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		k := (i*7 + i/w*13) % n
		if i < n {
			k = i
		}
		c := color.NRGBA{uint8(k * 3), uint8(k / 2), uint8(k * 11), 255}
		if alpha {
			c.A = uint8(255 - k%5*60)
		}
		m.SetNRGBA(i%w, i/w, c)
	}
	return m
}

// truecolor is a PNG without a palette, as small as Go makes it.
func truecolor(t *testing.T, m image.Image) int {
	t.Helper()
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Len()
}

// TestPalette: few colours make a palette, which loses nothing and is smaller; many make none.
func TestPalette(t *testing.T) {
	b := newBench(t, nil)
	f := func(name string, m *image.NRGBA, palette bool) {
		t.Helper()
		out, err := b.render(t, pngOf(t, m), asset.Variant{Format: asset.PNG})
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := png.Decode(bytes.NewReader(out))
		if err != nil {
			t.Fatal(name, err)
		}
		if _, is := got.(*image.Paletted); is != palette {
			t.Errorf("%s is a %T", name, got)
		}
		if n := unlikePixels(straight(got), m, 0); n > 0 {
			t.Errorf("%s: %d px are not what they were", name, n)
		}
		if most := truecolor(t, m); palette && len(out) > most {
			t.Errorf("%s has %d bytes, without a palette %d", name, len(out), most)
		}
	}
	f("two colours", manyColors(300, 300, 2, false), true)
	f("256 colours", manyColors(300, 300, 256, false), true)
	f("257 colours", manyColors(300, 300, 257, false), false)
	f("256 colours with alpha", manyColors(300, 300, 256, true), true)
	f("257 colours with alpha", manyColors(300, 300, 257, true), false)
	f("a photograph", photo(200, 150), false)
	f("quarters", quarters(600, 400), true)
	clear := canvas(300, 200, color.NRGBA{}, box{image.Rect(50, 50, 100, 100), red})
	f("clear and red", clear, true)
	f("one pixel", canvas(1, 1, color.NRGBA{1, 2, 3, 4}), false)
	for side := 1; side < 40; side += 3 { // never larger than without a palette
		for _, n := range []int{1, 3, 17, 200} {
			m := manyColors(side, side, n, side%2 == 0)
			out, err := b.render(t, pngOf(t, m), asset.Variant{Format: asset.PNG})
			if err != nil {
				t.Fatal(err)
			}
			if most := truecolor(t, m); len(out) > most+40 { // a resolution, and zlib's own doing
				t.Errorf("%d px of %d colours have %d bytes, without a palette %d", side, n, len(out), most)
			}
			if got, err := png.Decode(bytes.NewReader(out)); err != nil || unlikePixels(straight(got), m, 0) > 0 {
				t.Errorf("%d px of %d colours are not what they were: %v", side, n, err)
			}
		}
	}
}

// TestGreyPNG: grey stays grey, and is a palette only where that is smaller.
func TestGreyPNG(t *testing.T) {
	b := newBench(t, nil)
	for levels, palette := range map[int]bool{2: true, 16: true, 17: false, 256: false} {
		g := image.NewGray(image.Rect(0, 0, 300, 200))
		for i := range g.Pix {
			g.Pix[i] = uint8((i*7 + i/300*13) % levels * 255 / (levels - 1))
		}
		out, err := b.render(t, pngOf(t, g), asset.Variant{Format: asset.PNG})
		if err != nil {
			t.Fatal(err)
		}
		got, err := png.Decode(bytes.NewReader(out))
		if err != nil {
			t.Fatal(err)
		}
		_, grey := got.(*image.Gray)
		if _, is := got.(*image.Paletted); is != palette || grey == palette {
			t.Errorf("%d levels make a %T", levels, got)
		}
		if unlikePixels(straight(got), straight(g), 0) > 0 {
			t.Errorf("%d levels are not what they were", levels)
		}
	}
	deep := image.NewGray16(image.Rect(0, 0, 300, 200))
	for i := range deep.Pix {
		deep.Pix[i] = uint8(i * 31)
	}
	out, err := b.render(t, pngOf(t, deep), asset.Variant{Format: asset.PNG})
	if got, err2 := png.Decode(bytes.NewReader(out)); err != nil || err2 != nil {
		t.Error(err, err2)
	} else if _, ok := got.(*image.Gray); !ok {
		t.Errorf("16-bit grey makes a %T", got)
	}
}

// TestLossless: a TIFF has exactly the pixels, and a GIF those of a picture with few colours.
func TestLossless(t *testing.T) {
	b := newBench(t, nil)
	for name, m := range map[string]*image.NRGBA{"photo": photo(90, 60), "alpha": faded(photo(90, 60), 100), "flat": canvas(30, 30, red)} {
		out, err := b.render(t, pngOf(t, m), asset.Variant{Format: asset.TIFF})
		if err != nil {
			t.Fatal(err)
		}
		got, err := tiff.Decode(bytes.NewReader(out))
		if err != nil || unlikePixels(straight(got), m, 1) > 0 {
			t.Errorf("%s: %v, %d px differ", name, err, unlikePixels(straight(got), m, 1))
		}
	}
	m := canvas(60, 40, none, box{image.Rect(0, 0, 30, 20), red}, box{image.Rect(30, 20, 60, 40), blue})
	out, err := b.render(t, pngOf(t, m), asset.Variant{Format: asset.GIF})
	if err != nil || unlikePixels(screens(t, out)[0], m, 3) > 0 {
		t.Errorf("gif: %v, %d px differ", err, unlikePixels(screens(t, out)[0], m, 3))
	}
	out, err = b.render(t, pngOf(t, photo(200, 150)), asset.Variant{Format: asset.GIF})
	if err != nil || unlikePixels(screens(t, out)[0], photo(200, 150), 60) > 300 {
		t.Errorf("gif of a photo: %v, %d px differ", err, unlikePixels(screens(t, out)[0], photo(200, 150), 60))
	}
	out, err = b.render(t, pngOf(t, photo(200, 150)), asset.Variant{Format: asset.JXL})
	if err != nil || !bytes.HasPrefix(out, []byte{0xff, 0x0a}) && !bytes.Contains(out[:32], []byte("JXL ")) || len(out) > 60_000 {
		t.Errorf("jxl: %v, %d bytes %x", err, len(out), out[:min(len(out), 12)])
	}
	small, err := b.render(t, pngOf(t, photo(200, 150)), asset.Variant{Format: asset.JXL, Quality: 20})
	if err != nil || len(small) >= len(out) {
		t.Errorf("jxl of quality 20 has %d bytes, of the default %d: %v", len(small), len(out), err)
	}
}

// TestMaxBytesNotMet: a limit that nothing comes near changes nothing.
func TestMaxBytesNotMet(t *testing.T) {
	b := newBench(t, nil)
	original := pngOf(t, photo(160, 120))
	same, err := b.render(t, original, asset.Variant{Format: asset.JPEG, MaxBytes: 1 << 20})
	if whole, _ := b.render(t, original, asset.Variant{Format: asset.JPEG}); err != nil || !bytes.Equal(same, whole) {
		t.Errorf("a limit that is not met changes the picture: %v", err)
	}
	if _, err := jpeg.Decode(bytes.NewReader(same)); err != nil {
		t.Error(err)
	}
}
