package transform

import (
	"bytes"
	"image"
	"image/color"
	"sync"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/transform/ssim"
)

// directly renders of the original itself, whatever its size.
func (b *bench) directly(t *testing.T, original []byte, v asset.Variant) []byte {
	t.Helper()
	k := asset.Key{Original: b.shelf.put(original), Variant: v}
	h, err := Header(bytes.NewReader(original), int64(len(original)))
	if err != nil {
		t.Fatal(err)
	}
	r := request{MediaType: h.MediaType, Size: int64(len(original)), MaxPixels: b.cfg.MaxPixels, Variant: v}
	o, err := b.Pool.render(t.Context(), k, b.original(k.OriginalKey()), nil, &job{request: r, bytes: 1 << 20, leave: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Release()
	out := make([]byte, o.Size)
	if _, err := o.ReadAt(out, 0); err != nil {
		t.Fatal(err)
	}
	return out
}

// dearJPEG is a progressive JPEG that is worth a reduction.
func (b *bench) dearJPEG(t *testing.T, m image.Image) []byte {
	t.Helper()
	out, err := b.render(t, pngOf(t, m), asset.Variant{Format: asset.JPEG, Quality: 95})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Of a JPEG or WebP a rendition is the same, byte for byte, whether it is made of a reduction or of the original.
func TestReductionOfJPEG(t *testing.T) {
	b := newBench(t, nil)
	b.reducesTo(t, b.dearJPEG(t, photo(1403, 1001)), 3)
}

func TestReductionOfWebP(t *testing.T) {
	b := newBench(t, nil)
	original, err := b.render(t, pngOf(t, photo(1403, 1001)), asset.Variant{Format: asset.WebP, Quality: 95})
	if err != nil {
		t.Fatal(err)
	}
	b.reducesTo(t, original, 3)
}

// reducesTo renders several sizes of an original, which takes so many reductions.
func (b *bench) reducesTo(t *testing.T, original []byte, reductions int) {
	t.Helper()
	for _, v := range []asset.Variant{
		{Width: 350, Format: asset.JPEG}, // by 4
		{Width: 87, Format: asset.WebP},  // by 8
		{Width: 175, Height: 175, Fit: asset.Cover, Gravity: asset.Gravity{Anchor: asset.AnchorEast}, Format: asset.PNG},
		{Width: 200, Height: 100, Fit: asset.Squeeze, Rotate: 90, Flip: asset.FlipH, Format: asset.JPEG},
		{Width: 100, Rect: asset.Rect{X: asset.Length{Value: 700_000}, Y: asset.Length{Value: 300_000}, W: asset.Length{Value: 600_000}, H: asset.Length{Value: 500_000}}, Format: asset.PNG},
		{Width: 100, Format: asset.JPEG, Then: "w=50,blur=2"},
	} {
		out, err := b.render(t, original, v)
		if err != nil {
			t.Fatal(v, err)
		}
		if !bytes.Equal(out, b.directly(t, original, v)) {
			t.Errorf("%s differs from what is made of the original", v)
		}
	}
	if n := b.log.count(&b.log.rendered, "reduced ok"); n != reductions { // by 2, 4 and 8
		t.Errorf("%d reductions", n)
	}
	if b.log.reduced.Load() != 6 {
		t.Errorf("%d renders of reductions", b.log.reduced.Load())
	}
}

// Of other formats it looks the same, transparent or not, and with 16 bits.
func TestReductionOfOthers(t *testing.T) {
	b := newBench(t, nil)
	soft := waves(1400, 1000, 0)
	for y := range 1000 {
		for x := range 1400 {
			c := soft.NRGBAAt(x, y)
			c.A = clamp(255 * float64(x) / 1400)
			soft.SetNRGBA(x, y, c)
		}
	}
	deep := image.NewNRGBA64(image.Rect(0, 0, 1400, 1000))
	for y := range 1000 {
		for x := range 1400 {
			deep.SetNRGBA64(x, y, color.NRGBA64{uint16(46 * x), uint16(65 * y), uint16(20 * (x + y)), 0xffff})
		}
	}
	webp, err := b.render(t, pngOf(t, photo(1400, 1000)), asset.Variant{Format: asset.WebP, Quality: 95})
	if err != nil {
		t.Fatal(err)
	}
	for name, original := range map[string][]byte{
		"png": pngOf(t, photo(1400, 1000)), "scene": pngOf(t, scene(1400, 1000)), "alpha": pngOf(t, soft), "16 bit": pngOf(t, deep), "webp": webp, "tiff": tiffOf(t, photo(1400, 1000)),
	} {
		for _, width := range []int{60, 170, 340, 500} {
			v := asset.Variant{Width: width, Format: asset.PNG}
			before := b.log.reduced.Load()
			out, err := b.render(t, original, v)
			if err != nil {
				t.Fatal(name, err)
			}
			if b.log.reduced.Load() == before {
				t.Fatalf("%s at %d px was made of the original", name, width)
			}
			got, want := decode(t, out), decode(t, b.directly(t, original, v))
			if like, err := ssim.Luma(got, want); err != nil || like < 0.99 {
				t.Errorf("%s at %d px: an SSIM of %.4f to what is made of the original, %v", name, width, like, err)
			}
			if d := meanDifference(got, want); d > 1.5 {
				t.Errorf("%s at %d px differs by %.2f of 255 from what is made of the original", name, width, d)
			}
		}
	}
}

// meanDifference is that of all channels, in 255ths.
func meanDifference(a, b image.Image) (mean float64) {
	if a.Bounds() != b.Bounds() {
		return 255
	}
	n := 0
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			p, q := color.NRGBAModel.Convert(a.At(x, y)).(color.NRGBA), color.NRGBAModel.Convert(b.At(x, y)).(color.NRGBA)
			for _, d := range []int{int(p.R)*int(p.A)/255 - int(q.R)*int(q.A)/255, int(p.G)*int(p.A)/255 - int(q.G)*int(q.A)/255, int(p.B)*int(p.A)/255 - int(q.B)*int(q.A)/255, int(p.A) - int(q.A)} {
				mean += float64(max(d, -d))
				n++
			}
		}
	}
	return mean / float64(n)
}

func decode(t *testing.T, b []byte) image.Image {
	t.Helper()
	m, _, err := image.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A picture that EXIF turns is turned behind its reduction, whichever way round it is stored.
func TestReductionIsTurned(t *testing.T) {
	b := newBench(t, nil)
	stored := b.dearJPEG(t, quarters(1400, 1000))
	for code := 1; code <= 8; code++ {
		original := oriented(stored, code)
		v := asset.Variant{Width: 120, Format: asset.PNG}
		before := b.log.reduced.Load()
		got := b.picture(t, original, v)
		if b.log.reduced.Load() == before {
			t.Errorf("EXIF %d: made of the original", code)
		}
		want := decode(t, b.directly(t, original, v))
		if got.Bounds() != want.Bounds() || whichQuarters(got) != whichQuarters(want) || meanDifference(got, want) > 0 {
			t.Errorf("EXIF %d: %v %s, want %v %s", code, got.Bounds(), whichQuarters(got), want.Bounds(), whichQuarters(want))
		}
	}
}

// However many ask for sizes and formats of one original at a time, it is decoded once.
func TestSiblingsShareADecode(t *testing.T) {
	b := newBench(t, nil)
	original := b.dearJPEG(t, photo(1400, 1000))
	loads := b.shelf.loads
	var asking sync.WaitGroup
	for _, width := range []int{200, 250, 300, 340} {
		for _, format := range []asset.Format{asset.JPEG, asset.WebP, asset.AVIF} {
			asking.Go(func() {
				if _, err := b.render(t, original, asset.Variant{Width: width, Format: format}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	asking.Wait()
	if n := b.log.count(&b.log.rendered, "reduced ok"); n != 1 {
		t.Errorf("it was decoded %d times", n)
	}
	if b.shelf.loads == loads {
		t.Error("the original was not loaded")
	}
}

// What needs all of the original is made of it: small pictures, what is trimmed, what keeps its metadata, pages, and what is not made
// smaller.
func TestReductionWhereNone(t *testing.T) {
	large := Head{MediaType: pngType, Width: 4000, Height: 3000, Frames: 1}
	f := func(h Head, v asset.Variant, want int) {
		t.Helper()
		if got := reduction(h, v); got != want {
			t.Errorf("%+v %s: by %d, want %d", h, v, got, want)
		}
	}
	small := asset.Variant{Width: 400, Format: asset.WebP}
	f(large, small, 6)
	f(large, asset.Variant{Width: 1000, Format: asset.WebP}, 3)
	f(large, asset.Variant{Width: 1600, Format: asset.WebP}, 2)
	f(large, asset.Variant{Width: 1601, Format: asset.WebP}, 1)
	f(large, asset.Variant{Width: 400, Format: asset.WebP, Trim: 10}, 1)
	f(large, asset.Variant{Width: 400, Format: asset.WebP, Metadata: asset.MetadataCopyright}, 1)
	f(large, asset.Variant{Width: 400, Format: asset.WebP, Page: 2}, 1)
	f(large, asset.Variant{Width: 400, Format: asset.Reduced}, 1)
	f(large, asset.Variant{Width: 400, Height: 3000, Fit: asset.Squeeze, Format: asset.WebP}, 1)
	f(large, asset.Variant{Width: 100, Rect: asset.Rect{W: asset.Length{Value: 500_000}, H: asset.Length{Value: 500_000}}, Format: asset.WebP}, 3)
	f(Head{MediaType: pngType, Width: 900, Height: 900, Frames: 1}, small, 1)
	f(Head{MediaType: pdfType, Frames: 1}, small, 1)
	f(Head{MediaType: gifType, Width: 4000, Height: 3000, Frames: 3, Animated: true}, small, 1)
	f(Head{MediaType: tiffType, Width: 4000, Height: 3000, Frames: 3}, small, 1)
	f(Head{MediaType: webpType, Width: 4000, Height: 3000, Frames: 1}, small, 8)
	jpeg := Head{MediaType: jpegType, Width: 4000, Height: 3000, Frames: 1}
	f(jpeg, small, 4)
	f(jpeg, asset.Variant{Width: 1001, Format: asset.WebP}, 1)
	jpeg.orientation = 6 // 3000 wide when it is upright
	f(jpeg, small, 2)
	jpeg.Width, jpeg.Height, jpeg.orientation = 2000, 1500, 0
	f(jpeg, small, 1) // baseline
	jpeg.held = 6
	f(jpeg, small, 2)
}

// A reduction takes no place in the queue beside the rendition that waits for it.
func TestReductionIsNotQueuedTwice(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Queue, c.Workers = 1, 1 })
	if _, err := b.render(t, b.dearJPEG(t, photo(1400, 1000)), asset.Variant{Width: 300, Format: asset.WebP}); err != nil {
		t.Error(err)
	}
}
