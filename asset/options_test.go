package asset

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestVariantSpelling(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		v, err := ParseVariant(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		if got := v.String(); got != want {
			t.Errorf("%s spells %s, want %s", text, got, want)
		}
		again, err := ParseVariant(want)
		if err != nil || again != v {
			t.Errorf("%s is read as %+v (%v), not as %+v", want, again, err, v)
		}
	}
	f("original", "original")
	f("f=auto", "f=auto")
	f("format=auto,fit=scale-down,g=center,dpr=1,anim=1,metadata=none,rotate=0,blur=0,pad=0,radius=0", "f=auto")
	f("width=400,height=300", "h=300,w=400")
	f("w=400,f=jpg", "f=jpeg,w=400")
	f("w=1,h=8192,dpr=0.5", "dpr=0.5,h=8192,w=1")
	f("dpr=2.50,w=10", "dpr=2.5,w=10")
	f("fit=cover,gravity=north", "fit=cover,g=north")
	f("g=0.3x0.7", "g=0.3x0.7")
	f("g=0.300x1", "g=0.3x1")
	f("g=0x0", "g=0x0")
	f("g=face", "g=face")
	f("aspect=32:18", "ar=16:9")
	f("ar=16%3A9", "ar=16:9")
	f("rect=0:10p:50.5p:400", "rect=0:10p:50.5p:400")
	f("trim=1,q=auto,mb=20000,metadata=copyright", "mb=20000,metadata=copyright,q=auto,trim=1")
	f("bg=FFF", "bg=ffffff")
	f("bg=f008", "bg=ff000088")
	f("bg=ff0000ff", "bg=ff0000")
	f("bg=12345678", "bg=12345678")
	f("bg=RebeccaPurple,f=png", "bg=663399,f=png")
	f("bg=transparent", "bg=00000000")
	f("bg=black", "bg=000000")
	f("pad=10", "pad=10")
	f("pad=1:2:3:4", "pad=1:2:3:4")
	f("pad=5:5:5:5", "pad=5")
	f("radius=max", "radius=max")
	f("rotate=90,flip=hv", "flip=hv,rotate=90")
	f("blur=1.5,sharpen=0.5,pixelate=8", "blur=1.5,pixelate=8,sharpen=0.5")
	f("brightness=0,contrast=4,saturation=1,gamma=1.001", "brightness=0,contrast=4,gamma=1.001")
	f("wm=logos%2Fa.png,wm-g=southeast,wm-scale=0.2,wm-opacity=0.5,wm-x=3,wm-y=4", "wm=logos%2Fa.png,wm-g=southeast,wm-opacity=0.5,wm-scale=0.2,wm-x=3,wm-y=4")
	f("text=a%2Cb%3Bc%3Dd%2F%25%20é,text-size=9,text-color=f00,text-font=Inter,text-g=0.5x1", "text=a%2Cb%3Bc%3Dd%2F%25%20%C3%A9,text-color=ff0000,text-font=Inter,text-g=0.5x1,text-size=9")
	f("text=a=b", "text=a%3Db")
	f("anim=0,pg=3", "anim=0,pg=3")
	f("page=1", "pg=1")
	f("w=1200,ar=16:9,fit=cover;blur=8;wm=logo,wm-g=southeast", "ar=16:9,fit=cover,w=1200;blur=8;wm=logo,wm-g=southeast")
	f("w=1;fit=scale-down;blur=2,width=3", "w=1;blur=2,w=3")
	f("f=auto;w=3", "f=auto;w=3")
	f("w=1;w=2;w=3;w=4;w=5;w=6;w=7;w=8", "w=1;w=2;w=3;w=4;w=5;w=6;w=7;w=8")
}

// fault reads an error that must be a Fault of kind ErrInvalid about part, saying all of words.
func wantFault(t *testing.T, what string, err error, part string, words ...string) {
	t.Helper()
	var f *Fault
	switch {
	case !errors.As(err, &f) || !errors.Is(err, ErrInvalid):
		t.Errorf("%s: %v, want a fault", what, err)
	case f.Part != part:
		t.Errorf("%s: part %q, want %q (%v)", what, f.Part, part, f)
	case f.Allowed == "" || f.Detail == "":
		t.Errorf("%s: says too little: %+v", what, f)
	}
	for _, w := range words {
		if err != nil && !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q does not say %q", what, err, w)
		}
	}
}

func TestVariantFaults(t *testing.T) {
	f := func(text, part string, words ...string) {
		t.Helper()
		v, err := ParseVariant(text)
		wantFault(t, text, err, part, words...)
		if v != (Variant{}) {
			t.Errorf("%s: a variant beside the fault", text)
		}
	}
	f("", "options", "empty")
	f("w=1,", "options")
	f(",w=1", "options")
	f("w=1,,h=2", "options")
	f(";w=1", "options")
	f("w=1;", "options")
	f("w=1;;h=1", "options")
	f("w=1,width=2", "width", "twice")
	f("h=1,w=1,h=1", "height", "twice")
	f("w", "width", "no value", "1–8192 px")
	f("w=", "width", "no value")
	f("original,w=1", "original", "no option")
	f("widht=3", "widht", "nearest is width", "width (w), watermark (wm)", "version (v)", "wm-y")
	f("Width=3", "Width", "nearest is width")
	f("=3", "options", "empty")
	f("W=3", "W", "no option")
	f("xyzzy=3", "xyzzy", `no option "xyzzy";`)
	f(strings.Repeat("x", 5000)+"=3", strings.Repeat("x", 48)+"…")
	f("%77=3", "%77")
	for _, n := range []string{"0", "-1", "+1", "1.0", "1e3", "8193", "0400", "99999999999999999999", " 1", "1%20", "１", "0x10", "auto"} {
		f("w="+n, "width", "cannot be", "1–8192 px")
	}
	for _, n := range []string{"0", "0.09", "4.001", "1.", ".5", "1.2345", "-1", "1,5", "1.2.3", "1.x", "NaN"} {
		f("dpr="+strings.ReplaceAll(n, ",", "%2C"), "dpr", "0.1–4")
	}
	f("w=%zz", "width", "malformed")
	f("w=%4", "width", "malformed")
	f("fit=fill", "fit", "scale-down, contain, cover, crop, pad, squeeze")
	f("fit=Cover", "fit")
	f("g=up", "gravity", "center, north", "0.3x0.7")
	f("g=1.1x0", "gravity")
	f("g=0.5", "gravity")
	f("g=0.5x0.5x0.5", "gravity")
	f("ar=16", "aspect")
	f("ar=0:9", "aspect")
	f("ar=1:2:3", "aspect")
	f("rect=1:2:3", "rect")
	f("rect=1:2:3:4:5", "rect")
	f("rect=0:0:0:10", "rect")
	f("rect=0:0:101p:10", "rect")
	f("rect=0.5:0:10:10", "rect")
	f("trim=0", "trim", "1–100")
	f("q=0", "quality", "1–100 or auto")
	f("q=101", "quality")
	f("mb=0", "max-bytes")
	f("f=bmp", "format", "auto, jpeg, png, webp, avif")
	f("bg=%23fff", "background", "without #")
	f("bg=ff", "background")
	f("bg=fffff", "background")
	f("bg=fffffff", "background")
	f("bg=ffffffffff", "background")
	f("bg=ggg", "background")
	f("bg=blurple", "background")
	f("pad=1:2", "pad")
	f("pad=-1", "pad")
	f("radius=min", "radius", "or max")
	f("rotate=45", "rotate", "0, 90, 180, 270")
	f("rotate=360", "rotate")
	f("flip=vh", "flip", "h, v, hv")
	f("flip=", "flip")
	f("brightness=5", "brightness", "0–4")
	f("wm=%2Fabs", "watermark")
	f("wm=a%2F..%2Fb", "watermark")
	f("wm-g=face", "wm-g")
	f("wm-opacity=1.1", "wm-opacity", "0–1")
	f("wm-x=-3", "wm-x")
	f("text=%00", "text", "control")
	f("text=%FF", "text")
	f("text="+strings.Repeat("x", 257), "text", "256")
	f("anim=2", "animated", "1 or 0")
	f("pg=0", "page")
	f("metadata=all", "metadata", "none, copyright, keep")
	f("v=2", "version", "URL")
	f("w=4097,dpr=2", "dpr", "width 4097 times dpr 2 is 8194 px", "8192")
	f("dpr=4,h=3000", "dpr", "height 3000 times dpr 4 is 12000 px")
	f("w=1;w=5000,dpr=2", "dpr")
	f("w=1;h=0", "height")
	f("w=1;f=png", "format", "first group")
	f("w=1;q=3", "quality", "first group")
	f("w=1;pg=3", "page", "first group")
	f("w=1;v=3", "version")
	f("w=1;w=2;w=3;w=4;w=5;w=6;w=7;w=8;w=9", "options", "up to 8")
}

func TestOverlay(t *testing.T) {
	f := func(base, over, want string) {
		t.Helper()
		v, err := ParseVariant(base)
		if err != nil {
			t.Fatal(err)
		}
		got, err := v.Overlay(over)
		if err != nil {
			t.Errorf("%s over %s: %v", over, base, err)
		} else if got.String() != want {
			t.Errorf("%s over %s is %s, want %s", over, base, got, want)
		}
	}
	f("w=200,h=200,fit=cover,q=80", "q=60", "fit=cover,h=200,q=60,w=200")
	f("w=200,fit=cover,dpr=2,anim=0,f=webp", "fit=scale-down,dpr=1,anim=1,f=auto", "w=200")
	f("bg=fff,g=north,rotate=90,blur=3,pad=3", "g=center,rotate=0,blur=0,pad=0", "bg=ffffff")
	f("w=200;blur=8", "q=60", "q=60,w=200;blur=8")
	f("w=200;blur=8", "q=60;w=3", "q=60,w=200;blur=8;w=3")
	f("w=200", ";w=3", "w=200;w=3")
	f("w=200", "", "w=200")
	f("original", "", "f=auto")

	v, _ := ParseVariant("w=4000")
	_, err := v.Overlay("dpr=4")
	wantFault(t, "dpr over w", err, "dpr", "16000")
	v, _ = ParseVariant("w=1;w=2;w=3;w=4;w=5")
	_, err = v.Overlay(";w=6;w=7;w=8;w=9")
	wantFault(t, "4 groups over 5", err, "options", "up to 8")
}

func TestOptionsNamesWhatIsAsked(t *testing.T) {
	v, err := ParseVariant("q=auto,w=3,blur=2,anim=0,fit=scale-down;w=3")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := v.Options(), []string{"animated", "blur", "quality", "width"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := (Variant{}).Options(); len(got) != 0 {
		t.Errorf("%v for the original", got)
	}
}

// The table is the order of canonical spelling, no name means two rows, and a bit stands for each of them.
func TestOptionTable(t *testing.T) {
	if !slices.IsSortedFunc(options[:], func(a, b option) int { return strings.Compare(a.short, b.short) }) {
		t.Error("the short names are not sorted")
	}
	if len(options) > 64 {
		t.Errorf("%d options are too many for a bit each", len(options))
	}
	names := map[string]int{}
	for i, o := range options {
		names[o.name], names[o.short] = i, i
		if o.allowed == "" || o.set == nil || o.append == nil {
			t.Errorf("%s is not whole", o.name)
		}
	}
	for i, o := range options {
		if names[o.name] != i || names[o.short] != i {
			t.Errorf("%s or %s stands for two options", o.name, o.short)
		}
		if !IsOption(o.name) || !IsOption(o.short) {
			t.Errorf("%s is not known", o.name)
		}
	}
	if IsOption("thumb") {
		t.Error("thumb is an option")
	}
}

// seeds has values of every option, at and beyond the ends of what is allowed, for the fuzzers to begin with.
var seeds = map[string][]string{
	"animated":   {"0", "1", "2", "01"},
	"aspect":     {"16:9", "1:1", "10000:1", "10001:1", "0:9", "32:18", "16:", ":", "16:9:1", "1.5:1"},
	"background": {"fff", "F008", "ff0000", "12345678", "RebeccaPurple", "transparent", "black", "#fff", "ff", "blurple", "ffffff00"},
	"blur":       {"0", "0.001", "250", "250.001", "faces", "Faces", "1.5", "1.", ".5", "1.2345", "-1"},
	"brightness": {"0", "1", "1.000", "4", "4.001", "0.999"},
	"contrast":   {"0", "1", "4", "1e3"},
	"dpr":        {"0.1", "1", "4", "2.50", "0.09", "4.001"},
	"fit":        {"scale-down", "contain", "cover", "crop", "pad", "squeeze", "Cover", "fill"},
	"flip":       {"h", "v", "hv", "vh"},
	"format":     {"auto", "jpeg", "jpg", "png", "webp", "avif", "jxl", "gif", "tiff", "thumbhash", "reduced", "bmp", ""},
	"gamma":      {"0", "1", "4", "0.5", "x"},
	"gravity":    {"center", "north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest", "auto", "attention", "entropy", "face", "0.3x0.7", "0x1", "1.1x0", "0.5", "0.500x0.5"},
	"height":     {"1", "8192", "8193", "0", "0400"},
	"max-bytes":  {"1", "1000000000", "1000000001", "0"},
	"metadata":   {"none", "copyright", "keep", "all"},
	"pad":        {"0", "10", "1:2:3:4", "5:5:5:5", "0:0:0:8192", "8193", "1:2"},
	"page":       {"1", "2", "1000000", "0"},
	"pixelate":   {"0", "1", "1000", "1001"},
	"quality":    {"1", "100", "auto", "0", "101"},
	"radius":     {"0", "8192", "max", "min"},
	"rect":       {"0:0:1:1", "0:10p:50.5p:400", "0:0:100p:100p", "0:0:101p:10", "0:0:0:10", "0p:0:0.001p:1", "1000000:0:1:1", "1:2:3", "1:2:3:4:5", "0.5:0:1:1"},
	"rotate":     {"0", "90", "180", "270", "45", "360"},
	"saturation": {"0", "1", "4", "0.001", "0.0001"},
	"sharpen":    {"0", "0.5", "10", "10.001"},
	"text":       {"a", "a,b;c=d/%#? \u2028é", "a=b", "\x00", "\xff", strings.Repeat("é", 128), strings.Repeat("x", 257)},
	"text-color": {"fff", "0000", "white", "transparent", "none"},
	"text-font":  {"sans", "Brand Sans", strings.Repeat("x", 65)},
	"text-g":     {"center", "southwest", "0.3x0.7", "face"},
	"text-size":  {"1", "1000", "1001"},
	"trim":       {"1", "100", "0", "101"},
	"version":    {"1", "0"},
	"watermark":  {"logo.png", "a/b.png", "/abs", "a/../b", "é"},
	"width":      {"1", "8192", "8193", "99999999999999999999", "１", "+1"},
	"wm-g":       {"center", "northeast", "1x1", "auto"},
	"wm-opacity": {"0", "0.5", "1", "1.001"},
	"wm-scale":   {"0.001", "0.5", "1", "0", "1.1"},
	"wm-tile":    {"0", "1", "2"},
	"wm-x":       {"0", "8192", "8193", "-3"},
	"wm-y":       {"0", "8192", "8193"},
}

// TestSeeds: every option has seeds, and all but the version, which is read elsewhere, some that are allowed and some that are not.
func TestSeeds(t *testing.T) {
	if len(seeds) != len(options) {
		t.Errorf("seeds of %d options, there are %d", len(seeds), len(options))
	}
	for _, o := range options {
		good, bad := 0, 0
		for _, value := range seeds[o.name] {
			if o.set(new(Variant), value) {
				good++
			} else {
				bad++
			}
		}
		if bad == 0 || good == 0 && o.name != "version" {
			t.Errorf("%s has %d seeds that are allowed and %d that are not", o.name, good, bad)
		}
	}
}

func FuzzParseVariant(f *testing.F) {
	for name, values := range seeds {
		for _, value := range values {
			f.Add(name + "=" + string(appendEscaped(nil, value)))
			f.Add("w=9,ar=3:1;" + name + "=" + value) // as it is, and in a later group
		}
	}
	for _, text := range []string{
		"original", "w=400,h=300,fit=cover", "f=auto;blur=8;wm=a%2Fb", "g=0.3x0.7,bg=f008,ar=16:9", "rect=0:10p:50p:3,pad=1:2:3:4",
		"text=a%2Cb%25%3B,text-g=north", "q=auto,radius=max,dpr=0.1,w=1", "w=1;fit=contain;h=3", "brightness=0.001,gamma=4", "%", "=", ";", ",",
	} {
		f.Add(text)
	}
	f.Fuzz(wantRoundTrip)
}

// FuzzOption gives any value to each option by itself, under both names: it is allowed, and then it is spelled so that it is read again,
// or a fault names the option and what is allowed.
func FuzzOption(f *testing.F) {
	for i, o := range options {
		for _, value := range seeds[o.name] {
			f.Add(uint8(i), value)
		}
	}
	f.Fuzz(func(t *testing.T, row uint8, value string) {
		o := options[int(row)%len(options)]
		escaped := string(appendEscaped(nil, value))
		long, err := ParseVariant(o.name + "=" + escaped)
		short, errShort := ParseVariant(o.short + "=" + escaped)
		if long != short || (err == nil) != (errShort == nil) {
			t.Fatalf("%s is read as %+v (%v) and %s as %+v (%v)", o.name, long, err, o.short, short, errShort)
		}
		if err != nil {
			wantFault(t, o.name+"="+value, err, o.name)
			return
		}
		wantRoundTrip(t, o.name+"="+escaped)
		if changes := long.Options(); len(changes) > 1 || len(changes) == 1 && changes[0] != o.name {
			t.Fatalf("%s=%q changes %v", o.name, value, changes)
		}
	})
}

// wantRoundTrip fails when a text is read and not spelled so that it is read again, or refused in a way that does not help.
func wantRoundTrip(t *testing.T, text string) {
	v, err := ParseVariant(text)
	if err != nil {
		var fault *Fault
		if !errors.As(err, &fault) || fault.Allowed == "" || len(fault.Error()) > 4000 {
			t.Fatalf("%q: %v", text, err)
		}
		return
	}
	if v.Format == AsIs && v != (Variant{}) {
		t.Fatalf("%q has no format", text)
	}
	spelled := v.String()
	again, err := ParseVariant(spelled)
	if err != nil || again != v {
		t.Fatalf("%q spells %q, which is %+v (%v), not %+v", text, spelled, again, err, v)
	}
	if twice := again.String(); twice != spelled {
		t.Fatalf("%q spells %q and then %q", text, spelled, twice)
	}
	if strings.ContainsAny(spelled, "/@# ?") {
		t.Fatalf("%q spells %q, which no URL and no key can hold", text, spelled)
	}
	for _, pic := range testPictures {
		c := v.Canonical(pic)
		if c.Canonical(pic) != c {
			t.Fatalf("%q: %s is canonical, and then %s", text, c, c.Canonical(pic))
		}
		if c.Layout(pic.Size()) != v.Layout(pic.Size()) {
			t.Fatalf("%q on %v: %s has the layout %v, not %v", text, pic.Size(), c, c.Layout(pic.Size()), v.Layout(pic.Size()))
		}
	}
}
