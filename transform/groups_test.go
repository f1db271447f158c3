package transform

import (
	"image"
	"image/color"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

// TestGroupsOrder: groups run one after the other, each on what the one before has made.
func TestGroupsOrder(t *testing.T) {
	b := newBench(t, nil)
	split := pngOf(t, canvas(100, 60, color.NRGBA{0, 0, 0, 255}, box{image.Rect(50, 0, 100, 60), white}))
	// A blur before the cut brings in what is then cut off; after it there is nothing to bring.
	before := b.size(t, split, "blur=10;rect=50:0:50:60", 50, 60)
	after := b.size(t, split, "rect=50:0:50:60;blur=10", 50, 60)
	if c := before.NRGBAAt(0, 30); c.R > 180 || c.R < 90 {
		t.Errorf("blurred and then cut: %v", c)
	}
	wantAt(t, "cut and then blurred", after, 1, map[image.Point]color.NRGBA{{X: 0, Y: 30}: white, {X: 49, Y: 30}: white})

	q := pngOf(t, quarters(80, 40))
	f := func(text string, w, h int, want string) {
		t.Helper()
		if got := whichQuarters(b.size(t, q, text, w, h)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	f("rect=0:0:40:40;rotate=90", 40, 40, "brbr")
	f("rotate=90;rect=0:0:40:40", 40, 40, "brbr")
	f("rotate=90;rect=0:40:40:40", 40, 40, "ygyg")
	f("rotate=90,rect=0:0:40:40", 40, 40, "brbr") // within a group the cut is first
	f("flip=h;rotate=90", 40, 80, "yg"+"br")
	f("rotate=90;flip=h", 40, 80, "rb"+"gy")
	f("w=40;w=80", 40, 20, "rgby") // scale-down never enlarges
	f("w=40;w=80,fit=contain", 80, 40, "rgby")
	f("w=20,dpr=2;w=10,dpr=3;pad=1,dpr=4", 38, 23, "rgby")
	f("rotate=90;rotate=90;rotate=90;rotate=90;rotate=90;rotate=90;rotate=90;rotate=90", 80, 40, "rgby")
	f("w=70;w=64;w=60;w=50;w=40;w=32;w=24;w=16", 16, 8, "rgby")
	f("rotate=90,rect=40:0:40:40;rotate=270,w=20", 20, 20, "ggyy")
	f("w=80;rotate=270,rect=0:0:40:20", 20, 40, "rrrr")
	f("flip=hv;w=40,h=40,fit=cover,g=east", 40, 40, "bbrr")
	f("w=40,h=40,fit=squeeze;ar=2:1,g=south", 40, 20, "byby")
	if _, err := asset.ParseVariant(strings.Repeat("rotate=90;", 8) + "rotate=90"); err == nil {
		t.Error("nine groups are taken")
	}
	photo := oriented(jpegOf(t, turnedPixels(quarters(80, 40), 8)), 8)
	if got := whichQuarters(b.size(t, photo, "w=40;rotate=90;rect=0:0:20:20", 20, 20)); got != "brbr" {
		t.Errorf("of an oriented original: %s", got)
	}
}

// TestGroupsGround: what is transparent at the end lies on the colour that was asked for last.
func TestGroupsGround(t *testing.T) {
	b := newBench(t, nil)
	original := pngOf(t, canvas(60, 60, red))
	f := func(text string, want color.NRGBA) {
		t.Helper()
		v := variantOf(t, text)
		for _, v := range []asset.Variant{v, v.Canonical(&asset.Picture{Width: 60, Height: 60, Pages: 1})} {
			m := straight(b.picture(t, original, v))
			wantAt(t, v.String(), m, 20, map[image.Point]color.NRGBA{{X: 1, Y: 1}: want, {X: m.Rect.Dx() / 2, Y: 30}: red})
		}
	}
	f("radius=max,f=jpeg", white)
	f("radius=max,f=jpeg,bg=00f", azure)
	f("radius=max,f=jpeg,bg=00f;blur=0.5", azure)
	f("f=jpeg;radius=max,bg=00f", azure)
	f("f=jpeg;radius=max,bg=00f;saturation=1.01", azure)
	f("f=jpeg,bg=00f;radius=max", azure)
	f("f=jpeg,bg=0f0;radius=max,bg=00f", azure)
	f("f=jpeg,pad=5,bg=00f;blur=0.5", azure)
	f("f=png,pad=5,bg=00f;w=60", azure)
	f("f=jpeg;pad=5", white)
}

var azure = color.NRGBA{0, 0, 255, 255}
