package asset

import (
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
