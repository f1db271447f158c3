package transform

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

// fuzzed are originals of different kinds, small ones.
func fuzzed(t testing.TB, b *bench) [][]byte {
	grey := image.NewGray(image.Rect(0, 0, 13, 40))
	for i := range grey.Pix {
		grey.Pix[i] = uint8(i)
	}
	webp, err := b.render(t, film(t, 2), asset.Variant{Format: asset.WebP, Width: 40})
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{
		oriented(jpegOf(t, photo(60, 40)), 6), pngOf(t, faded(photo(37, 53), 99)), film(t, 0), webp, jpegOf(t, grey), tiffOf(t, photo(1, 30)), pdfOf(50, 40, 2),
		pngOf(t, framed(photo(20, 20), color.NRGBA{}, 3, 3, 3, 3)), pngOf(t, canvas(30, 20, red)),
	}
}

// FuzzVariantRender: whatever options the grammar allows make a picture of the size that the layout promises, or a fault. No worker
// is lost, and none panics; the canonical spelling makes the same picture.
func FuzzVariantRender(f *testing.F) {
	b := newBench(f, one)
	originals := fuzzed(f, b)
	overlay := b.shelf.put(pngOf(f, faded(quarters(9, 7), 200))).String()
	for i, text := range []string{
		"w=20,h=10,fit=cover,g=attention,f=jpeg", "rect=10p:10p:50p:50p,rotate=90,flip=h,f=png", "trim=10,pad=1:2:3:4,bg=f008,radius=max,f=webp",
		"wm=a,wm-tile=1,wm-x=3,wm-opacity=0.3,wm-scale=0.5,f=gif", "blur=3,sharpen=0.7,pixelate=4,f=png;w=10,dpr=2;rotate=270,ar=16:9",
		"w=10,f=gif;blur=1;rect=1:1:3:3;radius=2;wm=b;saturation=0;gamma=0.3;h=20,fit=contain", "brightness=2,contrast=0.5,metadata=keep,f=tiff", "f=avif,w=8,metadata=copyright",
		"pg=2,f=jpeg,w=30,fit=contain", "anim=0,f=webp", "f=png,ar=1:3,g=0.1x0.9", "f=jpeg,mb=2000,w=16", "f=png,w=7,h=9,fit=squeeze,dpr=1.7,radius=3,pad=2",
		"wm=a,wm-g=southeast,wm-y=70,f=png;wm=b,wm-g=north", "f=jpeg,radius=9;blur=2", "f=jpeg,bg=0f0;radius=9", "f=png,sharpen=10;blur=0.001", "f=png,trim=100,w=4",
	} {
		f.Add(uint8(i), text)
	}
	f.Fuzz(func(t *testing.T, kind uint8, text string) {
		v, err := asset.ParseVariant(text)
		if err != nil || v.Format == asset.AsIs || v.Format == asset.ThumbHash {
			return
		}
		if v.Format == asset.Auto {
			v.Format = asset.PNG
		}
		groups := v.Groups()
		for i := range groups {
			if groups[i].Watermark.Name != "" {
				groups[i].Watermark.Name = overlay
			}
		}
		v = asset.Chain(groups)
		original := originals[int(kind)%len(originals)]
		_, pic, err := b.probe(t, original)
		if err != nil || tooSlow(groups, pic.Size()) {
			return
		}
		size, out, err := b.answer(t, original, v)
		if fault := (*asset.Fault)(nil); err != nil && !errors.As(err, &fault) && !errors.Is(err, asset.ErrTimeout) {
			t.Errorf("%s of %d: %v", v, kind, err)
		}
		if want := v.Result(pic.Size()); err == nil && !v.Trims() && size != want {
			t.Errorf("%s of %d: %v, want %v", v, kind, size, want)
		}
		if c := v.Canonical(pic); c != v {
			size2, out2, err2 := b.answer(t, original, c)
			if (err == nil) != (err2 == nil) || err == nil && (size != size2 || !bytes.Equal(out, out2)) {
				t.Errorf("%s of %d is not as %s: %v, %v; %v, %v", v, kind, c, size, err, size2, err2)
			}
		}
		b.log.mu.Lock()
		defer b.log.mu.Unlock()
		for _, said := range b.log.library {
			if strings.Contains(said, "panic:") || strings.Contains(said, "damaged") {
				t.Errorf("%s of %d: %s", v, kind, said)
			}
		}
		b.log.library = nil
		for _, reason := range b.log.lost {
			if reason != reasonRecycled && reason != reasonTimeout {
				t.Errorf("%s of %d: a worker was lost: %s", v, kind, reason)
			}
		}
		b.log.lost = nil
	})
}

// answer renders to a size and bytes.
func (b *bench) answer(t *testing.T, original []byte, v asset.Variant) (asset.Size, []byte, error) {
	o, err := b.Load(t.Context(), asset.Key{Original: b.shelf.put(original), Variant: v})
	if err != nil {
		return asset.Size{}, nil, err
	}
	defer o.Release()
	out := make([]byte, o.Size)
	if _, err := o.ReadAt(out, 0); err != nil {
		t.Fatal(err)
	}
	return asset.Size{Width: o.Width, Height: o.Height}, out, nil
}

// tooSlow reports whether pictures between the groups are larger than a fuzzer has time for.
func tooSlow(groups []asset.Variant, size asset.Size) bool {
	for _, g := range groups {
		l := g.Layout(size)
		if l.Resize.Pixels() > 100_000 || l.Canvas.Pixels() > 100_000 {
			return true
		}
		size = l.Canvas
	}
	return false
}
