package asset

import (
	"errors"
	"fmt"
	"testing"
)

// The geometry reads "resize", with "crop" and "canvas" where they differ from what is before them.
func TestLayout(t *testing.T) {
	f := func(src Size, text, want string) {
		t.Helper()
		v, err := ParseVariant(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Layout(src).transcript(); got != want {
			t.Errorf("%v %s: %s, want %s", src, text, got, want)
		}
	}
	land, port := Size{4000, 3000}, Size{300, 400}

	f(land, "f=auto", "4000x3000")
	f(land, "rotate=90", "3000x4000")
	f(land, "rotate=180", "4000x3000")

	// One side: the other follows.
	f(land, "w=400", "400x300")
	f(land, "h=300", "400x300")
	f(land, "w=401", "401x301")
	f(land, "w=400,dpr=2", "800x600")
	f(land, "w=8000", "4000x3000")
	f(land, "w=8000,fit=crop", "4000x3000")
	f(land, "w=8000,fit=contain", "8000x6000")
	f(land, "w=8000,fit=cover", "8000x6000")
	f(land, "w=300,rotate=270", "300x400")
	f(Size{10000, 1}, "w=10", "10x1")
	f(Size{3, 2}, "w=8192,fit=contain", "8192x5461")

	// Both sides, all six fits, from above and from below.
	f(land, "w=400,h=400", "400x300")
	f(land, "w=400,h=400,fit=contain", "400x300")
	f(land, "w=400,h=400,fit=cover", "533x400 crop 400x400")
	f(land, "w=400,h=400,fit=crop", "533x400 crop 400x400")
	f(land, "w=400,h=400,fit=pad", "400x300 canvas 400x400")
	f(land, "w=400,h=400,fit=squeeze", "400x400")
	f(port, "w=600,h=600", "300x400")
	f(port, "w=600,h=600,fit=contain", "450x600")
	f(port, "w=600,h=600,fit=cover", "600x800 crop 600x600")
	f(port, "w=600,h=600,fit=crop", "300x400")
	f(port, "w=600,h=200,fit=crop", "300x400 crop 300x200")
	f(port, "w=600,h=600,fit=pad", "450x600 canvas 600x600")
	f(port, "w=600,h=600,fit=squeeze", "600x600")
	f(port, "w=300,h=400,fit=cover", "300x400")

	// Rounding never leaves a box unfilled or overfull.
	f(Size{1999, 777}, "w=333,h=129,fit=cover", "333x129")
	f(Size{1999, 777}, "w=333,h=129", "332x129")
	f(Size{3, 20000}, "w=100,h=100", "1x100")
	f(Size{3, 20000}, "w=100,h=100,fit=cover", "100x666667 crop 100x100")
	f(Size{1, 1}, "w=7,h=5,fit=cover", "7x7 crop 7x5")
}

// TestAspect: with one side the other follows; with neither the largest such part is cut; with both it contradicts.
func TestAspect(t *testing.T) {
	f := func(src Size, text, want string) {
		t.Helper()
		v, err := ParseVariant(text)
		if err != nil {
			t.Fatal(text, err)
		}
		if got := v.Layout(src).transcript(); got != want {
			t.Errorf("%v %s: %s, want %s", src, text, got, want)
		}
	}
	land := Size{4000, 3000}
	f(land, "ar=1:1", "4000x3000 crop 3000x3000")
	f(land, "ar=16:9", "4000x3000 crop 4000x2250")
	f(land, "ar=4:3", "4000x3000")
	f(land, "ar=1:3,rotate=90", "3000x4000 crop 1333x4000")
	f(land, "ar=1:1,fit=pad", "4000x3000 crop 3000x3000") // nothing to be put into
	f(land, "ar=1:1,w=300,fit=cover", "400x300 crop 300x300")
	f(land, "ar=1:1,h=300,fit=cover", "400x300 crop 300x300")
	f(land, "ar=2:1,w=300,fit=squeeze", "300x150")
	f(land, "ar=2:1,h=300,fit=pad", "400x300 canvas 600x300")
	f(land, "ar=2:1,w=300", "200x150")
	f(land, "ar=2:1,w=300,dpr=2,fit=cover", "600x450 crop 600x300")
	f(land, "ar=3:1,w=100,fit=cover", "100x75 crop 100x33")
	f(land, "ar=10000:1,w=100,fit=cover", "100x75 crop 100x1")
	f(land, "rect=0:0:1000:3000,ar=1:1", "1000x3000 crop 1000x1000")
	f(land, "ar=1:1,pad=10", "4000x3000 crop 3000x3000 canvas 3020x3020")
	f(Size{1, 1}, "ar=7:3", "1x1")
	f(Size{3, 1}, "ar=1:1", "3x1 crop 1x1")
	for text, part := range map[string]string{
		"w=100,h=50,ar=2:1": "aspect", "w=100,h=50,ar=16:9": "aspect", "ar=1:3,w=8000": "aspect", "ar=3:1,h=8000": "aspect", "ar=0:1": "aspect", "ar=1": "aspect",
		"w=10;w=100,h=50,ar=2:1": "aspect",
	} {
		_, err := ParseVariant(text)
		if fault, ok := errors.AsType[*Fault](err); !ok || fault.Part != part || fault.Kind != ErrInvalid || fault.Allowed == "" {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestCut: px and percent, and what stands over.
func TestCut(t *testing.T) {
	f := func(text string, want Area) {
		t.Helper()
		v, err := ParseVariant(text)
		if err != nil {
			t.Fatal(text, err)
		}
		if got := v.Cut(Size{400, 300}); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	f("w=1", Area{0, 0, 400, 300})
	f("rect=0:0:400:300", Area{0, 0, 400, 300})
	f("rect=10:20:30:40", Area{10, 20, 30, 40})
	f("rect=10p:20p:25p:50p", Area{40, 60, 100, 150})
	f("rect=10:20p:25p:40", Area{10, 60, 100, 40})
	f("rect=390:290:100:100", Area{390, 290, 10, 10})
	f("rect=99.9p:0:10p:100p", Area{}) // 399.6 px are 400
	f("rect=0:0:0.001p:0.1p", Area{0, 0, 1, 1})
	f("rect=400:0:1:1", Area{})
	f("rect=0:300:1:1", Area{})
	f("rect=100p:100p:1:1", Area{})
	f("rect=1000000:1000000:1000000:1000000", Area{})
}

// TestPaddingLayout: padding goes around whatever the fit makes, in CSS px.
func TestPaddingLayout(t *testing.T) {
	f := func(text string, want Size) {
		t.Helper()
		v, err := ParseVariant(text)
		if err != nil {
			t.Fatal(text, err)
		}
		if got := v.Result(Size{400, 300}); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
		if c := v.Canonical(&Picture{Width: 400, Height: 300, Pages: 1}); c.Result(Size{400, 300}) != want {
			t.Errorf("%s as %s: %v, want %v", text, c, c.Result(Size{400, 300}), want)
		}
	}
	f("pad=10", Size{420, 320})
	f("pad=1:2:3:4", Size{406, 304})
	f("pad=1:2:3:4,dpr=2", Size{412, 308})
	f("pad=1:2:3:4,dpr=2,w=100", Size{212, 158})
	f("pad=1:2:3:4,w=50,h=50,fit=pad", Size{56, 54})
	f("pad=3,dpr=0.1", Size{402, 302}) // at least 1
	f("pad=10,rotate=90", Size{320, 420})
	f("pad=10;pad=10", Size{440, 340})
	f("w=200;h=100,fit=contain;rotate=90;pad=1,dpr=3", Size{106, 139})
	f("rect=50p:50p:50p:50p;rect=50p:50p:50p:50p;rect=50p:50p:50p:50p", Size{50, 37})
}

// transcript spells a layout.
func (l Layout) transcript() string {
	text := fmt.Sprintf("%dx%d", l.Resize.Width, l.Resize.Height)
	if l.Crop != l.Resize {
		text += fmt.Sprintf(" crop %dx%d", l.Crop.Width, l.Crop.Height)
	}
	if l.Canvas != l.Crop {
		text += fmt.Sprintf(" canvas %dx%d", l.Canvas.Width, l.Canvas.Height)
	}
	return text
}

// What holds for every layout, on awkward sizes.
func TestLayoutHolds(t *testing.T) {
	sides := []int{1, 2, 3, 7, 99, 100, 333, 1999, 8192}
	for _, fit := range []Fit{ScaleDown, Contain, Cover, Crop, Pad, Squeeze} {
		for _, sw := range sides {
			for _, sh := range sides {
				for _, w := range append(sides, 0) {
					for _, h := range append(sides, 0) {
						v := Variant{Width: w, Height: h, Fit: fit}
						checkLayout(t, v, v.Layout(Size{sw, sh}))
					}
				}
			}
		}
	}
}

func checkLayout(t *testing.T, v Variant, l Layout) {
	t.Helper()
	bad := func(what string) { t.Fatalf("%+v on %v: %s: %s", v, l.Source, l.transcript(), what) }
	if min(l.Resize.Width, l.Resize.Height, l.Crop.Width, l.Crop.Height) < 1 {
		bad("an empty picture")
	}
	if l.Crop.Width > l.Resize.Width || l.Crop.Height > l.Resize.Height {
		bad("more is cut out than there is")
	}
	if l.Canvas.Width < l.Crop.Width || l.Canvas.Height < l.Crop.Height {
		bad("the canvas is too small")
	}
	if (v.Fit == ScaleDown || v.Fit == Crop) && (l.Resize.Width > l.Source.Width || l.Resize.Height > l.Source.Height) {
		bad("enlarged")
	}
	if v.Width == 0 || v.Height == 0 {
		return
	}
	if l.Canvas.Width > v.Width || l.Canvas.Height > v.Height {
		bad("outside the box")
	}
	if exact := v.Fit == Cover || v.Fit == Pad || v.Fit == Squeeze; exact && l.Canvas != (Size{v.Width, v.Height}) {
		bad("not the box")
	}
}

func TestLayoutDoesNotAllocate(t *testing.T) {
	v := Variant{Width: 400, Height: 300, Fit: Cover}
	if n := testing.AllocsPerRun(100, func() { _ = v.Layout(Size{4000, 3000}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
