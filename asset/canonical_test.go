package asset

import "testing"

var (
	photo = &Picture{Width: 4000, Height: 3000, Pages: 1, Orientation: 1}
	logo  = &Picture{Width: 400, Height: 300, Pages: 1, Orientation: 1, Alpha: true}
	film  = &Picture{Width: 400, Height: 300, Pages: 12, Orientation: 1, Animated: true}
	scan  = &Picture{Width: 400, Height: 300, Pages: 3, Orientation: 1}
	dot   = &Picture{Width: 1, Height: 1, Pages: 1, Orientation: 1}
	strip = &Picture{Width: 3, Height: 20000, Pages: 1, Orientation: 1}

	testPictures = []*Picture{photo, logo, film, scan, dot, strip, {Width: 1999, Height: 777, Pages: 1, Alpha: true}}
)

func TestCanonical(t *testing.T) {
	f := func(pic *Picture, text, want string) {
		t.Helper()
		v, err := ParseVariant(text)
		if err != nil {
			t.Fatal(err)
		}
		c := v.Canonical(pic)
		if got := c.String(); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
		if pic == nil {
			return
		}
		if c.Layout(pic.Size()) != v.Layout(pic.Size()) {
			t.Errorf("%s: the layout is %v, not %v", text, c.Layout(pic.Size()), v.Layout(pic.Size()))
		}
		if c.Canonical(pic) != c {
			t.Errorf("%s: %s is not canonical yet", text, c)
		}
	}
	// Lossless formats have no quality; a background that a later group may need stays.
	f(photo, "q=40,f=tiff,w=400", "f=tiff,w=400")
	f(photo, "f=jpeg,bg=0f0,w=400;radius=9", "bg=00ff00,f=jpeg,w=400;radius=9")
	f(photo, "f=png,bg=0f0,w=400;radius=9", "f=png,w=400;radius=9")
	// DPR is folded.
	f(photo, "w=400,dpr=2,f=webp", "f=webp,w=800")
	f(photo, "dpr=2,f=webp", "f=webp")
	f(photo, "w=333,dpr=1.5,f=webp", "f=webp,w=500")
	f(photo, "w=1,dpr=0.1,f=webp", "f=webp,w=1")
	f(photo, "w=400,dpr=2,pad=1:2:3:0,radius=4,f=png", "f=png,pad=2:4:6:0,radius=8,w=800")
	f(photo, "dpr=2,radius=max,f=png", "f=png,radius=max")
	f(nil, "w=400,dpr=2,page=1,g=north", "g=north,pg=1,w=800")
	// The fit matters only with both sides, and only when it cuts, fills or enlarges.
	f(photo, "w=400,fit=cover,g=north,f=webp", "f=webp,w=400")
	f(photo, "w=400,h=300,fit=cover,g=north,f=webp", "f=webp,w=400")
	f(photo, "w=400,h=8000,f=webp", "f=webp,w=400")
	f(photo, "h=300,f=webp", "f=webp,w=400")
	f(photo, "w=400,h=300,fit=pad,bg=fff,f=webp", "f=webp,w=400")
	f(photo, "w=400,h=300,fit=squeeze,f=webp", "f=webp,w=400")
	f(photo, "w=400,h=301,fit=squeeze,f=webp", "f=webp,fit=squeeze,h=301,w=400")
	f(photo, "w=8000,f=webp", "f=webp")
	f(photo, "w=8000,h=8000,fit=crop,g=west,f=webp", "f=webp")
	f(photo, "w=8000,fit=contain,f=webp", "f=webp,fit=contain,w=8000")
	f(photo, "w=8000,h=6000,fit=cover,f=webp", "f=webp,fit=contain,w=8000")
	f(photo, "w=400,h=400,fit=crop,f=webp", "f=webp,fit=cover,h=400,w=400")
	f(photo, "w=5000,h=400,fit=crop,f=webp", "f=webp,fit=cover,h=400,w=4000")
	f(photo, "w=5000,h=400,fit=cover,f=webp", "f=webp,fit=cover,h=400,w=5000")
	f(photo, "rotate=90,w=300,h=400,f=webp", "f=webp,rotate=90,w=300")
	// Gravity along an axis that is not cut.
	f(photo, "w=400,h=200,fit=cover,g=northwest,f=webp", "f=webp,fit=cover,g=north,h=200,w=400")
	f(photo, "w=400,h=200,fit=cover,g=east,f=webp", "f=webp,fit=cover,h=200,w=400")
	f(photo, "w=200,h=400,fit=cover,g=southeast,f=webp", "f=webp,fit=cover,g=east,h=400,w=200")
	f(photo, "w=400,h=200,fit=cover,g=0.1x0.2,f=webp", "f=webp,fit=cover,g=0.5x0.2,h=200,w=400")
	f(photo, "w=200,h=400,fit=cover,g=0.1x0.2,f=webp", "f=webp,fit=cover,g=0.1x0.5,h=400,w=200")
	f(photo, "w=200,h=400,fit=cover,g=face,f=webp", "f=webp,fit=cover,g=face,h=400,w=200")
	f(photo, "w=400,h=400,fit=pad,g=northeast,f=webp", "f=webp,fit=pad,g=north,h=400,w=400")
	f(photo, "w=400,h=400,fit=pad,g=west,f=webp", "f=webp,fit=pad,h=400,w=400")
	// Background.
	f(photo, "w=400,bg=fff,f=jpeg", "f=jpeg,w=400")
	f(photo, "w=400,h=400,fit=pad,bg=fff,f=jpeg", "bg=ffffff,f=jpeg,fit=pad,h=400,w=400")
	f(logo, "w=200,bg=fff,f=jpeg", "bg=ffffff,f=jpeg,w=200")
	f(logo, "w=200,bg=fff,f=png", "f=png,w=200")
	f(logo, "w=200,bg=fff", "bg=ffffff,w=200")
	f(scan, "w=200,bg=fff,f=jpeg", "bg=ffffff,f=jpeg,w=200")
	f(photo, "bg=fff,pad=3,f=jpeg", "bg=ffffff,f=jpeg,pad=3")
	f(photo, "bg=fff,radius=3,f=jpeg", "bg=ffffff,f=jpeg,radius=3")
	// Pages and frames.
	f(photo, "anim=0,page=1,f=png", "f=png")
	f(scan, "page=1,f=png", "f=png")
	f(scan, "page=2,anim=0,f=png", "f=png,pg=2")
	f(film, "f=png", "f=png")
	f(film, "page=1,f=png", "f=png")
	f(film, "anim=0,f=avif", "f=avif")
	f(film, "page=1,f=gif", "anim=0,f=gif")
	f(film, "anim=0,f=webp", "anim=0,f=webp")
	f(film, "f=webp", "f=webp")
	f(film, "anim=0,w=40", "anim=0,w=40")
	f(photo, "anim=0,f=webp", "f=webp")
	f(film, "page=3,f=png", "f=png,pg=3")
	f(film, "page=3,f=gif", "anim=0,f=gif,pg=3")
	// Quality, and what belongs to nothing.
	f(photo, "q=60,f=png", "f=png")
	f(photo, "q=60,f=webp", "f=webp,q=60")
	f(photo, "wm-g=north,text-size=3,f=webp", "f=webp")
	// What changes the picture before the layout keeps everything.
	f(photo, "rect=0:0:9:9,w=400,h=300,fit=cover,g=north,bg=fff,f=webp", "bg=ffffff,f=webp,fit=cover,g=north,h=300,rect=0:0:9:9,w=400")
	f(photo, "trim=3,w=400,h=300,fit=cover,f=webp", "f=webp,fit=cover,h=300,trim=3,w=400")
	f(photo, "w=400,h=300,fit=cover,f=webp;blur=2", "f=webp,w=400;blur=2")
	// The aspect is folded into the sides.
	f(photo, "ar=4:3,w=400,fit=cover,f=webp", "f=webp,w=400")
	f(photo, "ar=16:9,w=1600,fit=cover,f=webp", "f=webp,fit=cover,h=900,w=1600")
	f(photo, "ar=16:9,h=450,dpr=2,fit=cover,f=webp", "f=webp,fit=cover,h=900,w=1600")
	f(photo, "ar=16:9,w=1600,f=webp", "f=webp,w=1200")
	f(photo, "ar=16:9,f=webp", "f=webp,fit=cover,h=2250,w=4000")
	f(photo, "ar=1:2,g=northeast,f=webp", "f=webp,fit=cover,g=east,h=3000,w=1500")
	f(photo, "ar=4:3,f=webp", "f=webp")
	f(strip, "ar=1:5000,f=webp", "ar=1:5000,f=webp") // a side that cannot be asked for
	f(photo, "rect=0:0:9:9,ar=1:2,w=3,f=webp", "f=webp,h=6,rect=0:0:9:9,w=3")
	// Padding is around all of it.
	f(photo, "w=400,h=300,fit=cover,pad=5,f=webp", "f=webp,pad=5,w=400")
	f(photo, "w=400,h=400,fit=pad,pad=5,g=west,bg=red,f=webp", "bg=ff0000,f=webp,fit=pad,h=400,pad=5,w=400")
	// Later groups: DPR is folded, and what belongs to nothing is dropped.
	f(photo, "f=webp;w=100,dpr=2", "f=webp;w=200")
	f(photo, "f=webp;ar=2:1,w=100", "f=webp;h=50,w=100")
	f(photo, "f=webp;wm-g=north", "f=webp")
	f(photo, "f=webp;wm-g=north;blur=1", "f=webp;blur=1")
}
