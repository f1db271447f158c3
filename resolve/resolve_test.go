package resolve

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

const chrome = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"

// A reader resolves delivery URLs, written as a user would write them.
type reader struct {
	t *testing.T
	r *Resolver
	s *snapshot
}

func newReader(t *testing.T) reader {
	s := newSnapshot()
	return reader{t, newResolver(t, s), s}
}

func (x reader) resolve(target, accept string) (Resolution, error) {
	x.t.Helper()
	path, query, _ := strings.Cut(target, "?")
	t, err := Parse(path, query)
	if err != nil {
		x.t.Fatalf("%s: %v", target, err)
	}
	return x.r.Resolve(t, Client{Accept: accept})
}

func (x reader) must(target, accept string) Resolution {
	x.t.Helper()
	res, err := x.resolve(target, accept)
	if err != nil {
		x.t.Fatalf("%s: %v", target, err)
	}
	return res
}

func TestResolveVariant(t *testing.T) {
	x := newReader(t)
	f := func(target, accept, want string) {
		t.Helper()
		if got := x.must(target, accept).Key.Variant.String(); got != want {
			t.Errorf("%s for %q: %s, want %s", target, accept, got, want)
		}
	}
	f("/shop/original/photo.jpg", chrome, "original")
	f("/shop/info/photo.jpg", chrome, "original")
	f("/shop/w=400,h=400,fit=cover/photo.jpg", chrome, "f=avif,fit=cover,h=400,w=400")
	f("/shop/w=400/photo.jpg", "image/webp,*/*", "f=webp,w=400")
	f("/shop/w=400/photo.jpg", "", "f=jpeg,w=400")
	f("/shop/w=400/banners/%C3%BCnder%20%C3%BCber.jpg", "", "f=jpeg,w=400")
	f("/shop/w=200/logo.png", "", "f=png,w=200")
	f("/shop/w=200/chart.png", "*/*", "f=png,w=200")
	f("/shop/w=200/chart.png", "image/webp", "f=webp,w=200")
	f("/shop/w=400,h=400,fit=pad,bg=fff8/photo.jpg", "", "bg=ffffff88,f=png,fit=pad,h=400,w=400")
	f("/shop/w=400,h=400,fit=pad,bg=fff/photo.jpg", "", "bg=ffffff,f=jpeg,fit=pad,h=400,w=400")
	f("/shop/w=400,dpr=2,f=png,q=3/photo.jpg", chrome, "f=png,w=800")
	f("/shop/f=webp,w=400/photo.jpg", "image/webp;q=0", "f=webp,w=400") // what is asked for by name is given
	// A preset, and options over it.
	f("/shop/thumb/photo.jpg", chrome, "f=webp,fit=cover,h=200,q=80,w=200")
	f("/shop/thumb,q=60/photo.jpg", chrome, "f=webp,fit=cover,h=200,q=60,w=200")
	f("/shop/thumb,fit=scale-down/photo.jpg", chrome, "f=webp,q=80,w=200")
	f("/shop/thumb,f=auto/photo.jpg", "", "f=jpeg,fit=cover,h=200,q=80,w=200")
	f("/shop/card/photo.jpg", "", "f=jpeg,w=600")
	// Stills and pages.
	f("/shop/anim=0/film.gif", "", "f=jpeg")
	f("/shop/page=12/film.gif", "", "f=jpeg,pg=12")
	f("/shop/page=3/scan.tiff", "", "f=jpeg,pg=3")
	f("/shop/page=1,anim=0/photo.jpg", "", "f=jpeg")
	// AVIF within its budget, WebP within its sides.
	f("/shop/w=1000,h=1000,fit=cover/photo.jpg", chrome, "f=avif,fit=cover,h=1000,w=1000")
	f("/shop/w=1001,h=1000,fit=cover/photo.jpg", chrome, "f=webp,fit=cover,h=1000,w=1001")
	f("/shop/w=4000,f=avif/photo.jpg", "", "f=avif")
	f("/shop/f=auto/strip.png", chrome, "f=jpeg")
	f("/shop/w=8192/strip.png", chrome, "f=avif,w=8192")
	f("/shop/f=auto/strip.png", "image/webp", "f=jpeg")
}

func TestResolveRecord(t *testing.T) {
	x := newReader(t)
	res := x.must("/shop/w=400/photo.jpg", chrome)
	a := x.s.assets["id-photo.jpg"]
	if res.Product.Name != "shop" || res.Name != "photo.jpg" || res.Entry.Record.Asset(res.Entry.At) != a || res.Entry.Number != 3 || res.Revision != 42 {
		t.Errorf("%+v", res)
	}
	if res.Key.Original != a.Versions[2].Digest || res.Key.Generation != 7 || !res.Negotiated || res.Pinned {
		t.Errorf("%+v", res)
	}
	if got := res.LastModified(); !got.Equal(created.Truncate(time.Second)) || got.Location() != time.UTC {
		t.Errorf("last modified %v", got)
	}
	original := x.must("/shop/original/photo.jpg", chrome)
	if !original.Key.IsOriginal() || original.Key.Generation != 0 || original.Negotiated {
		t.Errorf("%+v", original)
	}
	if x.must("/shop/w=400,f=webp/photo.jpg", chrome).Negotiated {
		t.Error("an explicit format is negotiated")
	}
}

// TestLastModified: it is the last time at which the URL came to mean something else.
func TestLastModified(t *testing.T) {
	x := newReader(t)
	a, link, product := x.s.assets["id-photo.jpg"], x.s.links[[2]string{"shop", "photo.jpg"}], x.s.products["shop"]
	f := func(target string, want time.Time) {
		t.Helper()
		if got := x.must(target, "").LastModified(); !got.Equal(want.Truncate(time.Second)) {
			t.Errorf("%s: %v, want %v", target, got, want)
		}
	}
	a.Updated = created.Add(1 * time.Hour)
	link.Updated = created.Add(2 * time.Hour)
	product.Updated = created.Add(3 * time.Hour)
	f("/shop/w=1/photo.jpg", link.Updated)
	f("/shop/thumb/photo.jpg", product.Updated)
	f("/shop/v=3,w=1/photo.jpg", created)
	link.Updated = time.Time{}
	f("/shop/original/photo.jpg", a.Updated)
}

func TestResolveVersion(t *testing.T) {
	x := newReader(t)
	f := func(target string, version int, pinned bool) {
		t.Helper()
		res := x.must(target, "")
		if res.Entry.Number != version || res.Pinned != pinned || res.Key.Original != res.Entry.Digest {
			t.Errorf("%s: version %d, pinned %v", target, res.Entry.Number, res.Pinned)
		}
	}
	f("/shop/original/photo.jpg", 3, false)
	f("/shop/original,v=1/photo.jpg", 1, true)
	f("/shop/w=3,v=2/photo.jpg", 2, true)
	f("/shop/v=3/photo.jpg", 3, true)
	f("/shop/info,v=2/photo.jpg", 2, false)  // what it says of presets changes
	f("/shop/thumb,v=2/photo.jpg", 2, false) // the preset can be redefined
	f("/shop/original/pinned.jpg", 2, false) // the link can be moved
	f("/shop/original,v=2/pinned.jpg", 2, true)
	x.s.assets["id-photo.jpg"].Current = 1 // a roll back
	f("/shop/original/photo.jpg", 1, false)
}

func TestResolveFaults(t *testing.T) {
	x := newReader(t)
	f := func(target string, kind error, part string, words ...string) {
		t.Helper()
		res, err := x.resolve(target, chrome)
		wantFault(t, target, err, kind, part, words...)
		if res.Key != (asset.Key{}) && !res.Key.IsOriginal() {
			t.Errorf("%s: a rendition's key beside the fault", target)
		}
	}
	f("/nope/original/photo.jpg", asset.ErrNotFound, "product", `"nope"`)
	f("/shop/original/nope.jpg", asset.ErrNotFound, "name", `"nope.jpg"`, `"shop"`)
	f("/bare/original/logo.png", asset.ErrNotFound, "name")
	f("/shop/original/gone.jpg", asset.ErrGone, "name", "2026-03-04")
	f("/shop/original/soon.jpg", asset.ErrNotFound, "name", "not published")
	f("/shop/original,v=4/photo.jpg", asset.ErrNotFound, "version", "no version 4", "1–3")
	f("/shop/original,v=2/logo.png", asset.ErrNotFound, "version", "allowed: 1")
	f("/shop/original,v=3/pinned.jpg", asset.ErrNotFound, "version", "allowed: 2")
	x.s.assets["id-gone.jpg"].ArchivedAt = time.Time{} // nobody wrote it down
	f("/shop/original/gone.jpg", asset.ErrGone, "name", `"gone.jpg" was archived`)
	x.s.add("void.jpg")
	f("/shop/original/void.jpg", asset.ErrNotFound, "version", "allowed: none")
	f("/shop/original/photo.jpg?min_revision=43", ErrBehind, "min_revision", "43", "42")
	f("/shop/original/photo.jpg?min_revision=43", asset.ErrUnavailable, "min_revision", "43", "42")
	if _, err := x.resolve("/shop/original/photo.jpg?min_revision=42", ""); err != nil {
		t.Error(err)
	}
	f("/shop/small/photo.jpg", asset.ErrInvalid, "options", `no preset "small"`, "broken, card, deep, thumb, wide")
	f("/bare/small/photo.jpg", asset.ErrInvalid, "options", "no presets")
	f("/shop/broken/photo.jpg", asset.ErrInvalid, "width", "preset broken", "1–8192")
	f("/shop/wide,dpr=4/photo.jpg", asset.ErrInvalid, "dpr", "width 4000 times dpr 4")
}

// TestDamagedSnapshot: what is not found in a snapshot that is not whole may be there.
func TestDamagedSnapshot(t *testing.T) {
	x := newReader(t)
	x.s.broken = fmt.Errorf("%w: block 7: %w", asset.ErrUnavailable, asset.ErrCorrupt)
	for _, target := range []string{"/shop/original/nope.jpg", "/nope/original/photo.jpg", "/shop/original,v=4/photo.jpg", "/shop/w=3/nope.jpg"} {
		res, err := x.resolve(target, chrome)
		if !errors.Is(err, asset.ErrUnavailable) || !errors.Is(err, asset.ErrCorrupt) || errors.Is(err, asset.ErrNotFound) || asset.Classify(err, nil).Status != 503 {
			t.Errorf("%s: %v", target, err)
		}
		if f, ok := errors.AsType[*asset.Fault](err); ok || res.Revision != 42 {
			t.Errorf("%s: revision %d, %v is for clients", target, res.Revision, f)
		}
	}
	x.must("/shop/w=3/photo.jpg", chrome) // what is found is believed
	if _, err := x.resolve("/shop/original/gone.jpg", ""); !errors.Is(err, asset.ErrGone) {
		t.Error(err)
	}
	res := x.must("/shop/info/photo.jpg", "")
	res.Entry.Record = unreadable{}
	if _, err := Info(res); !errors.Is(err, asset.ErrUnavailable) {
		t.Errorf("a description of what cannot be read: %v", err)
	}
}

// An unreadable record stands in a block that is damaged.
type unreadable struct{}

func (unreadable) AppendID(b []byte, _ uint64) []byte             { return b }
func (unreadable) AppendTags(b []byte, _ uint64, _ string) []byte { return b }
func (unreadable) Asset(uint64) *asset.Asset                      { return nil }

func TestResolvePictureFaults(t *testing.T) {
	x := newReader(t)
	f := func(target string, kind error, part string, words ...string) {
		t.Helper()
		_, err := x.resolve(target, chrome)
		wantFault(t, target, err, kind, part, words...)
	}
	f("/shop/w=3/paper.pdf", asset.ErrMediaType, "options", "application/pdf", "/shop/original/")
	f("/shop/thumb/paper.pdf", asset.ErrMediaType, "options")
	f("/shop/page=4/scan.tiff", asset.ErrInvalid, "page", "1–3")
	f("/shop/page=2/photo.jpg", asset.ErrInvalid, "page", "no page 2", "1–1")
	f("/shop/f=auto/huge.tiff", asset.ErrInvalid, "width", "10000 × 9000", "50000000")
	f("/shop/w=8192,h=8192,fit=cover/photo.jpg", asset.ErrInvalid, "width")
	f("/shop/rotate=90,w=4000,h=4000,fit=cover/strip.png", asset.ErrInvalid, "fit", "4000 × 2000000 px", "40:20000")
	f("/shop/f=webp/strip.png", asset.ErrInvalid, "format", "webp cannot hold 20000 × 40", "16383")
	f("/shop/f=avif/strip.png", asset.ErrInvalid, "format", "16384")
	f("/shop/rect=5000:0:10:10/photo.jpg", asset.ErrInvalid, "rect", "outside the picture of", "some of the picture")
	f("/shop/rect=0:100p:10:10/photo.jpg", asset.ErrInvalid, "rect", "outside")
	f("/shop/w=100;rect=200:0:10:10/photo.jpg", asset.ErrInvalid, "rect", "outside the picture of 100 ×")
	x.must("/shop/w=7000/huge.tiff", "")
}

// A watermark is known by the bytes of its original, in every group, so that a new version of it makes new keys.
func TestResolveWatermark(t *testing.T) {
	x := newReader(t)
	logo := x.s.assets["id-logo.png"]
	digest := logo.Versions[0].Digest.String()
	res := x.must("/shop/f=webp,wm=logo.png,wm-g=southeast,v=3;wm=logo.png/photo.jpg", "")
	if got, want := res.Key.Variant.String(), "f=webp,wm="+digest+",wm-g=southeast;wm="+digest; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if res.Pinned {
		t.Error("a watermark can change, and the URL is immutable")
	}
	logo.Generation = 99
	if after := x.must("/shop/f=webp,wm=logo.png/photo.jpg", ""); after.Key.Generation != 99 {
		t.Errorf("a purge of the watermark left the generation %d", after.Key.Generation)
	}
	logo.Updated = res.LastModified().Add(time.Hour)
	if after := x.must("/shop/f=webp,wm=logo.png/photo.jpg", ""); !after.LastModified().Equal(logo.Updated) {
		t.Errorf("modified at %v, its watermark at %v", after.LastModified(), logo.Updated)
	}
	f := func(name string, kind error, words ...string) {
		t.Helper()
		for _, options := range []string{"wm=" + name, "w=3;wm=" + name} {
			_, err := x.resolve("/shop/"+options+"/photo.jpg", chrome)
			wantFault(t, options, err, kind, "watermark", words...)
		}
	}
	f("nope.png", asset.ErrNotFound, `product "shop" has no "nope.png"`)
	f("gone.jpg", asset.ErrGone, "the watermark", "was archived")
	f("paper.pdf", asset.ErrMediaType, "application/pdf", "the name of a picture")
}

// The focal point of an asset becomes the point that a crop keeps, in the picture as the options have turned it.
func TestResolveFocalPoint(t *testing.T) {
	x := newReader(t)
	f := func(options, want string) {
		t.Helper()
		if got := x.must("/shop/f=webp,w=400,fit=cover,"+options+"/photo.jpg", "").Key.Variant; got.Gravity != gravityOf(t, want) {
			t.Errorf("%s: %s, want %s", options, got, want)
		}
	}
	f("h=400,g=auto", "attention")
	x.s.assets["id-photo.jpg"].Focal = &asset.Point{X: 0.1, Y: 0.8}
	f("h=400,g=auto", "0.1x0.5") // all of its height is kept
	f("g=auto,h=200", "0.5x0.8")
	f("h=400,g=auto,flip=h", "0.9x0.5")
	f("g=auto,h=200,flip=v", "0.5x0.2")
	f("h=400,g=auto,rotate=180", "0.9x0.5")
	f("h=400,g=auto,rotate=90", "0.5x0.1") // a portrait by then
	f("h=400,g=auto,rect=0p:50p:50p:50p", "0.2x0.6")
	f("h=400,g=auto,rect=50p:0p:50p:50p", "attention") // it was cut off
	f("h=400,g=auto,trim=1", "attention")
	if got := x.must("/shop/f=webp;w=9,h=9,fit=cover,g=auto/photo.jpg", "").Key.Variant.Then; !strings.Contains(got, "g=attention") {
		t.Errorf("a later group has %s", got)
	}
}

func gravityOf(t *testing.T, spelled string) asset.Gravity {
	t.Helper()
	v, err := asset.ParseVariant("g=" + spelled)
	if err != nil {
		t.Fatal(err)
	}
	return v.Gravity
}

// A thumbhash is no rendition: nothing is negotiated, and any picture has one.
func TestResolveThumbHash(t *testing.T) {
	x := newReader(t)
	res := x.must("/shop/f=thumbhash/photo.jpg", chrome)
	if res.Key.Variant != (asset.Variant{Format: asset.ThumbHash}) || res.Negotiated {
		t.Errorf("%+v", res.Key)
	}
	_, err := x.resolve("/shop/f=thumbhash/paper.pdf", chrome)
	wantFault(t, "paper", err, asset.ErrMediaType, "options")
	_, err = x.resolve("/shop/thumb,f=thumbhash/photo.jpg", chrome)
	wantFault(t, "over a preset", err, asset.ErrInvalid, "format", "without other options")
}

// An animation stays one where the client takes what moves.
func TestResolveAnimation(t *testing.T) {
	x := newReader(t)
	f := func(options, accept, want string) {
		t.Helper()
		if got := x.must("/shop/"+options+"/film.gif", accept).Key.Variant.String(); got != want {
			t.Errorf("%s for %q: %s, want %s", options, accept, got, want)
		}
	}
	f("w=100", chrome, "f=webp,w=100")
	f("w=100", "", "f=gif,w=100")
	f("w=100", "image/gif,*/*;q=0.5", "f=gif,w=100")
	f("w=100", "image/webp,image/gif;q=0", "f=webp,w=100")
	f("w=100,anim=0", chrome, "f=avif,w=100")
	f("w=100,page=2", "image/webp", "anim=0,f=webp,pg=2,w=100")
	f("w=100,f=jpeg", "", "f=jpeg,w=100")
}

// On an error the front door still needs the product: whose origins may read the answer.
func TestResolveErrorKeepsTheProduct(t *testing.T) {
	x := newReader(t)
	if res, err := x.resolve("/shop/original/nope", ""); err == nil || res.Product == nil {
		t.Errorf("%+v, %v", res, err)
	}
	if res, err := x.resolve("/nope/original/nope", ""); err == nil || res.Product != nil {
		t.Errorf("%+v, %v", res, err)
	}
}

// Spellings of the same pixels have one key; what differs in pixels or in generation has another.
func TestOneKeyForOneMeaning(t *testing.T) {
	x := newReader(t)
	const base = "/shop/w=800,h=600,fit=cover,f=webp/photo.jpg"
	key := x.must(base, "").Key
	for _, target := range []string{
		"/shop/f=webp,fit=cover,h=600,w=800/photo.jpg",
		"/shop/width=400,height=300,dpr=2,fit=crop,format=webp/photo.jpg",
		"/shop/w=800,f=webp,g=north,bg=red,anim=0,page=1,v=3/photo.jpg",
		"/shop/f=auto,w=800/photo.jpg?x=y&dl=a.jpg",
	} {
		if got := x.must(target, "image/webp").Key; got != key {
			t.Errorf("%s has the key %s, not %s", target, got, key)
		}
	}
	for _, target := range []string{
		"/shop/w=801,f=webp/photo.jpg", "/shop/w=800,f=avif/photo.jpg", "/shop/w=800,f=webp,q=50/photo.jpg",
		"/shop/w=800,f=webp,flip=h/photo.jpg", "/shop/w=800,f=webp,v=2/photo.jpg",
	} {
		if got := x.must(target, "").Key; got == key {
			t.Errorf("%s has the key %s too", target, got)
		}
	}
	x.s.assets["id-photo.jpg"].Generation++
	if got := x.must(base, "").Key; got == key {
		t.Error("a purge left the key")
	}
}

func TestETag(t *testing.T) {
	x := newReader(t)
	original := x.must("/shop/original/photo.jpg", "")
	if got, want := original.ETag(), `"`+original.Entry.Digest.String()[:32]+`"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	small := x.must("/shop/w=400,f=webp/photo.jpg", "")
	if got := small.ETag(); len(got) != 20 || !strings.HasSuffix(got, `-3"`) || got != x.must("/shop/f=webp,w=400/photo.jpg", "").ETag() {
		t.Errorf("%s", got)
	}
	if small.ETag() == x.must("/shop/w=401,f=webp/photo.jpg", "").ETag() {
		t.Error("two renditions have one ETag")
	}
	older := small
	older.epoch = 2
	if older.ETag() == small.ETag() {
		t.Error("two epochs have one ETag")
	}
}

func TestInfo(t *testing.T) {
	x := newReader(t)
	x.s.assets["id-photo.jpg"].Versions[2].Picture.ThumbHash = "3OcRJYB4d3h"
	x.s.assets["id-photo.jpg"].Versions[2].Picture.Dominant = "#aabbcc"
	f := func(target string, want string) {
		t.Helper()
		res := x.must(target, "")
		text, err := Info(res)
		if got := strings.Replace(string(text), res.Entry.Digest.String(), "DIGEST", 1); err != nil || got != want {
			t.Errorf("%s: %s (%v), want %s", target, got, err, want)
		}
		if !json.Valid(text) {
			t.Errorf("%s is no JSON", text)
		}
	}
	f("/shop/info/photo.jpg", `{"id":"id-photo.jpg","version":3,"digest":"DIGEST","size":1234,"type":"image/jpeg","width":4000,"height":3000,"pages":1,"orientation":6,"thumbhash":"3OcRJYB4d3h","dominant":"#aabbcc","presets":["broken","card","deep","thumb","wide"]}`)
	f("/shop/info,v=1/paper.pdf", `{"id":"id-paper.pdf","version":1,"digest":"DIGEST","size":1234,"type":"application/pdf","presets":["broken","card","deep","thumb","wide"]}`)
	x.s.products["shop"].Presets = nil
	f("/shop/info/scan.tiff", `{"id":"id-scan.tiff","version":1,"digest":"DIGEST","size":1234,"type":"image/jpeg","width":400,"height":300,"pages":3,"orientation":1,"presets":[]}`)
}

func TestConfig(t *testing.T) {
	f := func(change func(*Config), key string) {
		t.Helper()
		cfg := DefaultConfig()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "allowed") {
			t.Errorf("%+v: %v", cfg, err)
		}
		if _, err := New(cfg, func() View { return newSnapshot() }); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
	f(func(c *Config) { c.AVIFMaxPixels = -1 }, "avif_max_pixels")
	f(func(c *Config) { c.MaxOutputPixels = 0 }, "max_output_pixels")
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	if _, err := New(DefaultConfig(), nil); err == nil {
		t.Error("a resolver without a view")
	}
}

// A request is answered from one snapshot, even when another comes in the middle of it.
func TestResolveTakesOneView(t *testing.T) {
	s, taken := newSnapshot(), 0
	r, err := New(DefaultConfig(), func() View { taken++; return s })
	if err != nil {
		t.Fatal(err)
	}
	target, err := Parse("/shop/thumb,q=3/photo.jpg", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Resolve(target, Client{Accept: chrome}); err != nil || taken != 1 {
		t.Errorf("%d views, %v", taken, err)
	}
	if _, err := r.Resolve(Target{Product: "nope"}, Client{}); !errors.Is(err, asset.ErrNotFound) || taken != 2 {
		t.Errorf("%d views, %v", taken, err)
	}
}
