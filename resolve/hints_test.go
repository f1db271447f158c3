package resolve

import (
	"fmt"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

func TestHints(t *testing.T) {
	f := func(headers string, want Hints) {
		t.Helper()
		h := hintHeaders(headers)
		if got := h.Hints(); got != want {
			t.Errorf("%s: %+v, want %+v", headers, got, want)
		}
	}
	dpr := func(thousandths asset.Factor) Hints { return Hints{DPR: thousandths - 1000} }
	width := func(px int) Hints { return Hints{Width: px} }
	f("", Hints{})
	// Densities are rounded to the nearest quarter.
	f("Sec-CH-DPR: 2", dpr(2000))
	f("DPR: 2", dpr(2000))
	f("Sec-CH-DPR: 1.0", Hints{})
	f("Sec-CH-DPR: 2.625", dpr(2750))
	f("Sec-CH-DPR: 2.624", dpr(2500))
	f("Sec-CH-DPR: 1.33333", dpr(1250)) // a zoom of 133 %
	f("Sec-CH-DPR: 1.1249999999", dpr(1000))
	f("Sec-CH-DPR: 0.5", dpr(500))
	f("Sec-CH-DPR: 0.001", dpr(250))
	f("Sec-CH-DPR: 4.2", dpr(4000))
	f("Sec-CH-DPR: 999999999999", dpr(4000))
	f("Sec-CH-DPR: 3;a=1", dpr(3000))
	// Widths are rounded up to 64 px.
	f("Sec-CH-Width: 1", width(64))
	f("Width: 64", width(64))
	f("Sec-CH-Width: 64.001", width(128))
	f("Sec-CH-Width: 600", width(640))
	f("Sec-CH-Width: 8192", width(8192))
	f("Sec-CH-Width: 8193", width(8192))
	f("Sec-CH-Width: 999999999999", width(8192))
	// The newer names beat the older.
	f("Sec-CH-DPR: 2, DPR: 3, Sec-CH-Width: 64, Width: 128", Hints{Width: 64, DPR: 1000})
	f("Sec-CH-DPR: x, DPR: 3", Hints{})
	// Who saves data has at most one px for a CSS px.
	f("Save-Data: on", Hints{SaveData: true})
	f("Save-Data: On;x", Hints{SaveData: true})
	f("Save-Data: off; on", Hints{SaveData: true})
	f("Save-Data: off", Hints{})
	f("Save-Data: one", Hints{})
	f("Save-Data: ?1", Hints{})
	f("Save-Data: on, Sec-CH-DPR: 2", Hints{SaveData: true})
	f("Save-Data: on, Sec-CH-DPR: 0.5", Hints{SaveData: true, DPR: -500})
	f("Save-Data: on, Sec-CH-DPR: 2, Sec-CH-Width: 600", Hints{SaveData: true, Width: 320})
	f("Save-Data: on, Sec-CH-DPR: 0.5, Sec-CH-Width: 600", Hints{SaveData: true, DPR: -500, Width: 640})
	// What is malformed is not there.
	for _, s := range []string{"", " ", "0", "0.0", "-1", "+1", ".5", "1.", "1e1", "1,5", "2 2", "NaN", "Inf", "0x2", "\"2\"", "1.5.5", "٣", "9999999999999", "1." + strings.Repeat("1", 21), "\x00", "2x"} {
		for _, name := range []string{"Sec-CH-DPR", "Sec-CH-Width", "DPR", "Width"} {
			h := HintHeaders{}
			*header(&h, name) = []byte(s)
			if got := h.Hints(); got != (Hints{}) {
				t.Errorf("%s: %q: %+v", name, s, got)
			}
		}
	}
}

// hintHeaders reads "Name: value" pairs joined by commas.
func hintHeaders(pairs string) (h HintHeaders) {
	for pair := range strings.SplitSeq(pairs, ", ") {
		if name, value, ok := strings.Cut(pair, ": "); ok {
			*header(&h, name) = []byte(value)
		}
	}
	return h
}

func header(h *HintHeaders, name string) *[]byte {
	return map[string]*[]byte{
		"Sec-CH-DPR": &h.SecDPR, "Sec-CH-Width": &h.SecWidth, "DPR": &h.DPR, "Width": &h.Width, "Save-Data": &h.SaveData,
	}[name]
}

// Whatever is sent, the steps are kept.
func FuzzHints(f *testing.F) {
	f.Add([]byte("2.625"), []byte("600"), []byte("on"))
	f.Add([]byte("1.33333333333;q"), []byte("8193"), []byte("a;on,"))
	f.Fuzz(func(t *testing.T, dpr, width, saveData []byte) {
		h := HintHeaders{SecDPR: dpr, SecWidth: width, SaveData: saveData}
		got := h.Hints()
		if got.Width%WidthStep != 0 || got.Width < 0 || got.Width > asset.MaxSide {
			t.Errorf("width %q: %d", width, got.Width)
		}
		if n := got.DPR + 1000; n%250 != 0 || n < 250 || n > 4000 || got.SaveData && n > 1000 {
			t.Errorf("dpr %q: %d", dpr, n)
		}
	})
}

func TestResolveHints(t *testing.T) {
	x := newReader(t)
	f := func(target, headers, want string, heeds Heed) {
		t.Helper()
		h := hintHeaders(headers)
		path, err := Parse(target, "")
		if err != nil {
			t.Fatal(err)
		}
		res, err := x.r.Resolve(path, Client{Hints: h.Hints()})
		if got := res.Key.Variant.String(); err != nil || got != want || res.Heeds != heeds {
			t.Errorf("%s for %q: %s, %d, %v, want %s, %d", target, headers, got, res.Heeds, err, want, heeds)
		}
	}
	const all = "Sec-CH-DPR: 2, Sec-CH-Width: 600, Save-Data: on"
	// Who has not asked for hints is not touched by them.
	f("/shop/w=400/photo.jpg", all, "f=jpeg,w=400", HeedNone)
	f("/shop/f=auto/photo.jpg", all, "f=jpeg", HeedNone)
	f("/keen/original/photo.jpg", all, "original", HeedNone)
	f("/keen/info/photo.jpg", all, "original", HeedNone)
	f("/keen/f=thumbhash/photo.jpg", all, "f=thumbhash", HeedNone)
	// A width sets the width of a URL that says nothing of the size.
	f("/keen/f=auto/photo.jpg", "", "f=jpeg", HeedWidth)
	f("/keen/f=auto/photo.jpg", "Sec-CH-Width: 600", "f=jpeg,w=640", HeedWidth)
	f("/keen/f=auto/photo.jpg", "Width: 600, DPR: 2", "f=jpeg,w=640", HeedWidth)
	f("/keen/q=50,f=webp,rotate=90/photo.jpg", "Sec-CH-Width: 600", "f=webp,q=50,rotate=90,w=640", HeedWidth)
	f("/keen/v=2,f=webp/photo.jpg", "Sec-CH-Width: 600", "f=webp,w=640", HeedWidth)
	f("/keen/whole/photo.jpg", "Sec-CH-Width: 600", "f=jpeg,q=70,w=640", HeedWidth)
	f("/keen/fit=cover,f=webp/photo.jpg", "Sec-CH-Width: 600", "f=webp,w=640", HeedWidth)
	f("/keen/f=auto/photo.jpg", "Sec-CH-DPR: 2", "f=jpeg", HeedWidth)
	f("/keen/radius=10,f=webp/photo.jpg", "Sec-CH-DPR: 2", "f=webp,radius=20", HeedWidth)
	f("/keen/radius=10,f=webp/photo.jpg", "Sec-CH-DPR: 2, Sec-CH-Width: 600", "f=webp,radius=10,w=640", HeedWidth)
	// It never enlarges, whatever the fit, and it refuses nothing.
	f("/keen/fit=contain/logo.png", "Sec-CH-Width: 380", "f=png,w=384", HeedWidth)
	f("/keen/fit=contain/logo.png", "Sec-CH-Width: 600", "f=png", HeedWidth)
	f("/keen/rotate=90,f=png/logo.png", "Sec-CH-Width: 350", "f=png,rotate=90", HeedWidth)
	f("/keen/rect=0:0:200:100,f=png/logo.png", "Sec-CH-Width: 250", "f=png,rect=0:0:200:100", HeedWidth)
	f("/keen/f=webp/huge.tiff", "Sec-CH-Width: 600", "f=webp,w=640", HeedWidth)
	// A size that the URL has stays, a URL with a width says its width in CSS px.
	f("/keen/w=400/photo.jpg", "Sec-CH-Width: 600", "f=jpeg,w=400", HeedDPR)
	f("/keen/h=300/photo.jpg", "Sec-CH-Width: 600", "f=jpeg,w=400", HeedDPR)
	f("/keen/ar=1:1/photo.jpg", "Sec-CH-Width: 600, Sec-CH-DPR: 2", "f=jpeg,fit=cover,h=3000,w=3000", HeedSaveData)
	f("/keen/dpr=2/photo.jpg", "Sec-CH-Width: 600, Sec-CH-DPR: 2", "f=jpeg", HeedSaveData)
	f("/keen/f=png;blur=2/photo.jpg", "Sec-CH-Width: 600, Sec-CH-DPR: 2", "f=png;blur=2", HeedNone)
	f("/keen/w=400/photo.jpg", "Sec-CH-DPR: 2", "f=jpeg,w=800", HeedDPR)
	f("/keen/w=400/photo.jpg", "DPR: 1.6", "f=jpeg,w=600", HeedDPR)
	f("/keen/w=400/photo.jpg", "DPR: 0.5", "f=jpeg,w=200", HeedDPR)
	f("/keen/thumb/photo.jpg", "Sec-CH-DPR: 3", "f=webp,fit=cover,h=600,w=600", HeedDPR)
	f("/keen/w=400,dpr=1.5/photo.jpg", "Sec-CH-DPR: 3", "f=jpeg,w=600", HeedSaveData)
	f("/keen/w=400,dpr=1.5,q=50/photo.jpg", all, "f=jpeg,q=50,w=600", HeedNone)
	f("/keen/w=100,f=webp;pad=10,bg=red/photo.jpg", "Sec-CH-DPR: 2", "f=webp,w=200;bg=ff0000,pad=20", HeedDPR)
	f("/keen/w=100,f=webp;pad=10,bg=red,dpr=3/photo.jpg", "Sec-CH-DPR: 2", "f=webp,w=100;bg=ff0000,pad=30", HeedSaveData)
	// What may be asked for bounds it.
	f("/keen/w=4000,fit=contain,f=webp/photo.jpg", "Sec-CH-DPR: 3", "f=webp,fit=contain,w=8000", HeedDPR)
	f("/keen/w=5000,h=5000,fit=squeeze,f=png/photo.jpg", "Sec-CH-DPR: 4", "f=png,fit=squeeze,h=6250,w=6250", HeedDPR)
	f("/keen/w=7000,fit=contain,f=png/logo.png", "Sec-CH-DPR: 2", "f=png,fit=contain,w=7000", HeedDPR)
	f("/keen/w=1,pad=8000:0:0:0,bg=red,f=webp/photo.jpg", "Sec-CH-DPR: 3", "bg=ff0000,f=webp,pad=16000:0:0:0,w=2", HeedDPR)
	f("/keen/w=100,f=png;w=5000,fit=contain/photo.jpg", "Sec-CH-DPR: 4", "f=png,w=150;fit=contain,w=7500", HeedDPR)
	// Who saves data has another default for the quality, and the px of a plain screen.
	f("/keen/w=400/photo.jpg", "Save-Data: on", "f=jpeg,q=60,w=400", HeedDPR)
	f("/keen/w=400,f=webp/photo.jpg", all, "f=webp,q=60,w=400", HeedDPR)
	f("/keen/w=400,f=avif/photo.jpg", all, "f=avif,q=40,w=400", HeedDPR)
	f("/keen/w=400,f=png/photo.jpg", all, "f=png,w=400", HeedDPR)
	f("/keen/w=400,q=90/photo.jpg", all, "f=jpeg,q=90,w=400", HeedDPR)
	f("/keen/w=400,q=auto/photo.jpg", all, "f=jpeg,q=auto,w=400", HeedDPR)
	f("/keen/f=auto/photo.jpg", all, "f=jpeg,q=60,w=320", HeedWidth)
	f("/keen/f=auto/logo.png", "Save-Data: on", "f=png", HeedWidth)
}

// Vary can be the same on all answers of a URL because what is heeded is of the URL alone, and a refusal says it, too.
func TestHeedsIsOfTheURL(t *testing.T) {
	x := newReader(t)
	path, err := Parse("/keen/f=webp/huge.tiff", "")
	if err != nil {
		t.Fatal(err)
	}
	if res, err := x.r.Resolve(path, Client{}); err == nil || res.Heeds != HeedWidth {
		t.Errorf("%v, %d", err, res.Heeds)
	}
}

// All widths and densities that there are make few keys.
func TestHintsMakeFewKeys(t *testing.T) {
	x := newReader(t)
	keys := map[asset.Key]bool{}
	path, err := Parse("/keen/f=webp/photo.jpg", "")
	if err != nil {
		t.Fatal(err)
	}
	for px := range 10_000 {
		h := HintHeaders{SecWidth: fmt.Append(nil, px)}
		res, err := x.r.Resolve(path, Client{Hints: h.Hints()})
		if err != nil {
			t.Fatal(err)
		}
		keys[res.Key] = true
	}
	if len(keys) != (4000+WidthStep-1)/WidthStep {
		t.Errorf("%d keys", len(keys))
	}
}

// The URL that is pinned leaves open what the other does.
func TestPinnedURLHeedsHints(t *testing.T) {
	x := newReader(t)
	for _, segment := range []string{"f=auto", "thumb", "w=400"} {
		target, err := Parse("/keen/"+segment+"/photo.jpg", "")
		if err != nil {
			t.Fatal(err)
		}
		client := Client{Hints: Hints{Width: 640, DPR: 1000}}
		res, err := x.r.Resolve(target, client)
		if err != nil {
			t.Fatal(err)
		}
		spelled, err := target.SpellPinned(&res)
		if err != nil {
			t.Fatal(err)
		}
		pinned, err := Parse("/keen/"+spelled+"/photo.jpg", "")
		if err != nil {
			t.Fatal(err)
		}
		again, err := x.r.Resolve(pinned, client)
		if err != nil || again.Key != res.Key || again.Heeds != res.Heeds || !again.Pinned {
			t.Errorf("%s: %+v, %v; %+v", spelled, again.Key, err, res.Key)
		}
	}
}
