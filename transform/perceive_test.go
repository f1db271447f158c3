package transform

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"slices"
	"strings"
	"testing"

	"github.com/davidbyttow/govips/v2/vips"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/transform/ssim"
)

// lossy are the formats with a quality that this libvips writes.
func lossy(b *bench) (formats []asset.Format) {
	for _, f := range []asset.Format{asset.JPEG, asset.WebP, asset.AVIF, asset.JXL} {
		if slices.Contains(b.formats, f.String()) {
			formats = append(formats, f)
		}
	}
	return formats
}

// chosen renders, and returns the quality that was chosen.
func (b *bench) chosen(t *testing.T, original []byte, v asset.Variant) (rendition []byte, quality int) {
	t.Helper()
	o, err := b.Load(t.Context(), asset.Key{Original: b.shelf.put(original), Variant: v})
	if err != nil {
		t.Fatalf("%+v: %v", v, err)
	}
	defer o.Release()
	rendition = make([]byte, o.Size)
	if _, err := o.ReadAt(rendition, 0); err != nil {
		t.Fatal(err)
	}
	return rendition, o.Quality
}

// flat draws a few shapes of one colour each.
func flat(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.Draw(m, m.Rect, image.NewUniform(color.NRGBA{250, 248, 240, 255}), image.Point{}, draw.Src)
	for i, c := range quarterColors {
		r := image.Rect(w/8, h/8, w*3/8, h*3/8).Add(image.Pt(i%2*w/2, i/2*h/2))
		draw.Draw(m, r, image.NewUniform(c), image.Point{}, draw.Src)
	}
	return m
}

func auto(f asset.Format) asset.Variant { return asset.Variant{Format: f, Quality: asset.QualityAuto} }

// TestAutoQuality: what is easy gets less than the default, what is hard gets more, in every format, and the same again.
func TestAutoQuality(t *testing.T) {
	b := newBench(t, nil)
	easy, hard := pngOf(t, flat(700, 500)), pngOf(t, waves(700, 500, 14))
	for _, f := range lossy(b) {
		least, most := encoders[f].quality+leastRung, encoders[f].quality+leastRung+rungStep*(rungs-1)
		small, low := b.chosen(t, easy, auto(f))
		large, high := b.chosen(t, hard, auto(f))
		if low >= encoders[f].quality || high <= encoders[f].quality || low < least || high > most {
			t.Errorf("%s: quality %d of what is flat, %d of what is noise; of %d to %d", f, low, high, least, most)
		}
		if len(small) >= len(large)/2 {
			t.Errorf("%s: %d bytes of what is flat, %d of what is noise", f, len(small), len(large))
		}
		again, quality := b.chosen(t, hard, auto(f))
		if quality != high || !bytes.Equal(again, large) {
			t.Errorf("%s: quality %d, then %d", f, high, quality)
		}
		asked, number := b.chosen(t, hard, asset.Variant{Format: f, Quality: high})
		if number != 0 || !bytes.Equal(asked, large) {
			t.Errorf("%s: asked for %d it has %d bytes and says %d was chosen; auto has %d bytes", f, high, len(asked), number, len(large))
		}
	}
}

// TestAutoLook: the whole picture looks as good as its sample promised.
func TestAutoLook(t *testing.T) {
	b := newBench(t, nil)
	drawn := waves(1100, 800, 4)
	for _, f := range lossy(b) {
		file, quality := b.chosen(t, pngOf(t, drawn), auto(f))
		s, err := ssim.Luma(drawn, b.seen(t, f, file))
		if err != nil || s < goodLook-0.01 || s > goodLook+0.012 {
			t.Errorf("%s: quality %d looks like %.4f, not %.2f (%v)", f, quality, s, goodLook, err)
		}
	}
}

// seen decodes a rendition. The pool reads no JPEG XL; the tests' own libvips does.
func (b *bench) seen(t *testing.T, f asset.Format, file []byte) image.Image {
	t.Helper()
	if f == asset.JXL {
		p, err := vips.NewImageFromBuffer(file)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		m, err := pixels(p)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	return b.picture(t, file, asset.Variant{Format: asset.PNG})
}

// TestAutoTiny: pictures smaller than a window, narrower than a tile, or with nothing in them.
func TestAutoTiny(t *testing.T) {
	b := newBench(t, nil)
	for _, size := range []image.Point{{1, 1}, {1, 700}, {9, 7}, {5, 30000}, {30000, 5}} {
		original := pngOf(t, waves(size.X, size.Y, 10))
		for _, f := range lossy(b) {
			if max(size.X, size.Y) > encoders[f].maxSide {
				continue
			}
			if file, quality := b.chosen(t, original, auto(f)); quality == 0 || len(file) == 0 {
				t.Errorf("%v as %s: quality %d, %d bytes", size, f, quality, len(file))
			}
		}
	}
}

// TestAutoAlpha: alpha counts, and what is clear does not. Of formats without alpha, what it was laid on is looked at.
func TestAutoAlpha(t *testing.T) {
	b := newBench(t, nil)
	hidden, veiled := waves(400, 300, 60), flat(400, 300)
	noise := waves(400, 300, 200)
	for i := 3; i < len(hidden.Pix); i += 4 {
		hidden.Pix[i] = 0              // noise that nobody sees
		veiled.Pix[i] = noise.Pix[i-2] // and noise in the alpha alone
	}
	for _, f := range lossy(b) {
		_, unseen := b.chosen(t, pngOf(t, hidden), auto(f))
		_, plain := b.chosen(t, pngOf(t, flat(400, 300)), auto(f))
		_, veil := b.chosen(t, pngOf(t, veiled), auto(f))
		if unseen > plain {
			t.Errorf("%s: quality %d for what is clear, %d for what is flat", f, unseen, plain)
		}
		if veil < plain {
			t.Errorf("%s: quality %d for a flat picture with noise in its alpha, %d without", f, veil, plain)
		}
	}
}

// TestAutoElsewhere: what has no quality has none that was chosen.
func TestAutoElsewhere(t *testing.T) {
	b := newBench(t, nil)
	for _, v := range []asset.Variant{auto(asset.PNG), auto(asset.GIF), auto(asset.TIFF)} {
		if file, quality := b.chosen(t, pngOf(t, photo(60, 40)), v); quality != 0 || len(file) == 0 {
			t.Errorf("%s: quality %d, %d bytes", v.Format, quality, len(file))
		}
	}
}

// TestAutoKeepsNotes: what is kept of the metadata stays through all trials.
func TestAutoKeepsNotes(t *testing.T) {
	b := newBench(t, nil)
	original := by("SOMEBODY", jpegOf(t, photo(640, 480)))
	_, bare := b.chosen(t, original, auto(asset.JPEG))
	v := auto(asset.JPEG)
	v.Metadata = asset.MetadataCopyright
	file, quality := b.chosen(t, original, v)
	if quality != bare || !bytes.Contains(file, []byte("SOMEBODY")) {
		t.Errorf("quality %d and %d without, name kept: %v", quality, bare, bytes.Contains(file, []byte("SOMEBODY")))
	}
	v.MaxBytes = len(file) * 3 / 4
	if file, _ = b.chosen(t, original, v); len(file) > v.MaxBytes || !bytes.Contains(file, []byte("SOMEBODY")) {
		t.Errorf("of at most %d bytes: %d, name kept: %v", v.MaxBytes, len(file), bytes.Contains(file, []byte("SOMEBODY")))
	}
}

// by puts EXIF with the name of an artist (tag 315) behind the SOI of a JPEG.
func by(artist string, jpg []byte) []byte {
	tiff := append([]byte("MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x3b\x00\x02\x00\x00\x00"), byte(len(artist)+1), 0, 0, 0, 26, 0, 0, 0, 0)
	body := "Exif\x00\x00" + string(tiff) + artist + "\x00"
	out := append(bytes.Clone(jpg[:2]), 0xff, 0xe1, 0, byte(len(body)+2))
	return append(append(out, body...), jpg[2:]...)
}

// TestGreyAuto: a grey picture stays one.
func TestGreyAuto(t *testing.T) {
	b := newBench(t, nil)
	grey := image.NewGray(image.Rect(0, 0, 600, 400))
	draw.Draw(grey, grey.Rect, waves(600, 400, 20), image.Point{}, draw.Src)
	file, quality := b.chosen(t, pngOf(t, grey), auto(asset.JPEG))
	asked, _ := b.chosen(t, pngOf(t, grey), asset.Variant{Format: asset.JPEG, Quality: quality})
	if quality == 0 || !bytes.Equal(file, asked) {
		t.Errorf("quality %d: %d bytes, asked for %d", quality, len(file), len(asked))
	}
}

func TestTiling(t *testing.T) {
	f := func(w, h, wide, high, across, down int) {
		t.Helper()
		if tile, a, d := tiling(image.Pt(w, h)); tile != image.Pt(wide, high) || a != across || d != down {
			t.Errorf("%d × %d: %d × %d tiles of %v, want %d × %d of %d × %d", w, h, a, d, tile, across, down, wide, high)
		}
	}
	f(1200, 800, 64, 64, 6, 4)
	f(800, 1200, 64, 64, 4, 6)
	f(8000, 64, 64, 64, 24, 1)
	f(5, 30000, 5, 64, 1, 24)
	f(30000, 1, 64, 1, 24, 1)
	for _, x := range []struct{ i, n, at int }{{0, 1, 68}, {0, 2, 18}, {1, 2, 118}} {
		if got := middleOf(x.i, x.n, 64, 200); got != x.at {
			t.Errorf("tile %d of %d begins at %d, want %d", x.i, x.n, got, x.at)
		}
	}
}

// TestMaxBytes: what fits is the best that fits, never better than asked for, in every format with a quality.
func TestMaxBytes(t *testing.T) {
	b := newBench(t, nil)
	original := pngOf(t, photo(160, 120))
	for _, f := range lossy(b) {
		size := func(quality int) int {
			out, _ := b.chosen(t, original, asset.Variant{Format: f, Quality: quality})
			return len(out)
		}
		_, look := b.chosen(t, original, auto(f))
		for asked, upper := range map[int]int{0: encoders[f].quality, 70: 70, asset.QualityAuto: look} {
			whole := size(upper)
			for _, limit := range []int{size(1), size(upper * 3 / 4), size(upper - 2), whole - 1, whole} {
				v := asset.Variant{Format: f, Quality: asked, MaxBytes: limit}
				out, quality := b.chosen(t, original, v)
				switch {
				case len(out) > limit || quality < 1 || quality > upper:
					t.Errorf("%s q=%d of at most %d: %d bytes of quality %d", f, asked, limit, len(out), quality)
				case quality < upper && size(quality+1) <= limit:
					t.Errorf("%s q=%d of at most %d: quality %d, though %d fits", f, asked, limit, quality, quality+1)
				case len(out) != size(quality):
					t.Errorf("%s q=%d of at most %d: %d bytes are not of quality %d", f, asked, limit, len(out), quality)
				}
			}
		}
	}
}

// TestMaxBytesImpossible: what cannot fit is refused with the smallest that there is.
func TestMaxBytesImpossible(t *testing.T) {
	b := newBench(t, nil)
	original := pngOf(t, photo(160, 120))
	f := func(v asset.Variant, smallest int) {
		t.Helper()
		_, err := b.render(t, original, v)
		fault := (*asset.Fault)(nil)
		if !errors.As(err, &fault) || !errors.Is(err, asset.ErrInvalid) || fault.Part != "max-bytes" || fault.Allowed == "" ||
			!strings.Contains(fault.Detail, " "+itoa(smallest)+" bytes") {
			t.Errorf("%+v: %v, want the %d bytes that it takes", v, err, smallest)
		}
	}
	for _, format := range lossy(b) {
		least, _ := b.chosen(t, original, asset.Variant{Format: format, Quality: 1})
		for _, quality := range []int{0, 1, 2, 70, asset.QualityAuto} {
			f(asset.Variant{Format: format, Quality: quality, MaxBytes: len(least) - 1}, len(least))
		}
	}
	for _, format := range []asset.Format{asset.PNG, asset.GIF, asset.TIFF} {
		whole, _ := b.chosen(t, original, asset.Variant{Format: format})
		f(asset.Variant{Format: format, MaxBytes: len(whole) - 1}, len(whole))
		if out, quality := b.chosen(t, original, asset.Variant{Format: format, MaxBytes: len(whole)}); len(out) != len(whole) || quality != 0 {
			t.Errorf("%s of at most what it has: %d bytes of quality %d", format, len(out), quality)
		}
	}
}

// TestJXLDistance: a quality changes what comes out, and stands for what libjxl says.
func TestJXLDistance(t *testing.T) {
	for quality, want := range map[int]float64{100: 0, 99: 0.19, 90: 1, 82: 1.72, 30: 6.4, 20: 25 - 23 + 53.0/7.5, 1: 15} {
		if got := jxlDistance(quality); got < want-1e-9 || got > want+1e-9 {
			t.Errorf("quality %d is distance %v, want %v", quality, got, want)
		}
	}
	b := newBench(t, nil)
	if !slices.Contains(lossy(b), asset.JXL) {
		t.Skip("this libvips writes no JPEG XL")
	}
	last := 0
	for _, quality := range []int{1, 20, 50, 82, 95, 100} {
		out, _ := b.chosen(t, pngOf(t, photo(300, 200)), asset.Variant{Format: asset.JXL, Quality: quality})
		if len(out) <= last {
			t.Errorf("quality %d has %d bytes, the one before %d", quality, len(out), last)
		}
		last = len(out)
	}
}
