package control

import (
	"image/color"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control/client"
	"github.com/assetmatrix/assetmatrix/resolve"
)

// gallery is a shop with a picture of 300 × 200 px in two versions and a text.
func (h *house) gallery() *house {
	h.t.Helper()
	ctx := h.t.Context()
	_, err := h.client.PutProduct(ctx, "shop", client.ProductSpec{Presets: map[string]string{"thumb": "w=30,h=30,fit=cover"}})
	must(h.t, err)
	for _, c := range []color.Color{color.Black, color.White} {
		_, err = h.client.PutAsset(ctx, "shop", "ü/hero 1.png", strings.NewReader(string(picture(h.t, 300, 200, c))), -1, client.PutOptions{})
		must(h.t, err)
	}
	_, err = h.client.PutAsset(ctx, "shop", "a.txt", strings.NewReader("hello"), -1, client.PutOptions{})
	must(h.t, err)
	return h
}

func TestResolve(t *testing.T) {
	h := open(t).gallery()
	a := h.catalog.View()
	link, _ := a.Link("shop", "ü/hero 1.png")
	const name = "/%C3%BC/hero%201.png"
	for _, c := range []struct {
		options, accept, url, unpinned, mediaType string
		version, width, height                    int
	}{
		{"original", "", "original,v=2", "original", "image/png", 2, 300, 200},
		{"original,v=1", "", "original,v=1", "original", "image/png", 1, 300, 200},
		{"width=150", "", "v=2,w=150", "w=150", "image/jpeg", 2, 150, 100},
		{"w=150", "image/avif,image/webp,*/*", "v=2,w=150", "w=150", "image/avif", 2, 150, 100},
		{"w=150,f=webp,dpr=2", "image/avif", "v=2,dpr=2,f=webp,w=150", "dpr=2,f=webp,w=150", "image/webp", 2, 300, 200},
		{"thumb", "image/webp", "v=2,fit=cover,h=30,w=30", "thumb", "image/webp", 2, 30, 30},
		{"thumb,v=1,rotate=90", "", "v=1,fit=cover,h=30,rotate=90,w=30", "thumb,rotate=90", "image/jpeg", 1, 30, 30},
	} {
		got, err := h.client.Resolve(t.Context(), "shop", c.options, "ü/hero 1.png", client.ResolveOptions{Accept: c.accept})
		must(t, err)
		found, _ := a.Asset(link.Asset)
		want := client.Resolution{
			URL: "/shop/" + c.url + name, Unpinned: "/shop/" + c.unpinned + name, ID: link.Asset, Version: c.version, Digest: found.Version(c.version).Digest,
			MediaType: c.mediaType, Width: c.width, Height: c.height, Revision: a.Revision(),
			ThumbHash: "3OcRJYB4d3h/iIeHeEh3eIhw+j2w", Dominant: "#336699",
		}
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", c.options, got, want)
		}
		h.pinned(got, c.accept)
	}
	text, err := h.client.Resolve(t.Context(), "shop", "original", "a.txt", client.ResolveOptions{})
	if err != nil || text.URL != "/shop/original,v=1/a.txt" || text.Width != 0 || !strings.HasPrefix(text.MediaType, "text/plain") {
		t.Errorf("%+v %v", text, err)
	}
}

// pinned holds the front door's reading of a resolution's URL against the resolution.
func (h *house) pinned(r client.Resolution, accept string) {
	h.t.Helper()
	target, err := resolve.Parse(r.URL, "")
	must(h.t, err)
	front, err := h.server.deps.Resolver.Resolve(target, resolve.Client{Accept: accept})
	must(h.t, err)
	if !front.Pinned || front.Entry.Number != r.Version || front.Key.Original != r.Digest {
		h.t.Errorf("%s: %+v", r.URL, front)
	}
	if !front.Key.IsOriginal() && front.Key.Variant.Format.MediaType() != r.MediaType {
		h.t.Errorf("%s is delivered as %s, not as %s", r.URL, front.Key.Variant.Format, r.MediaType)
	}
}

// A URL that was pinned means the same when all that led to it means something else.
func TestPinnedURLOutlivesChanges(t *testing.T) {
	h := open(t).gallery()
	before, err := h.client.Resolve(t.Context(), "shop", "thumb", "ü/hero 1.png", client.ResolveOptions{Accept: "image/webp"})
	must(t, err)
	key := h.keyOf(before.URL)
	_, err = h.client.PutProduct(t.Context(), "shop", client.ProductSpec{Presets: map[string]string{"thumb": "w=99"}})
	must(t, err)
	_, err = h.client.PutAsset(t.Context(), "shop", "ü/hero 1.png", strings.NewReader(string(picture(t, 10, 10, color.White))), -1, client.PutOptions{})
	must(t, err)
	if h.keyOf(before.URL) != key || h.keyOf(before.Unpinned) == key {
		t.Error("the pinned URL has changed, or the other has not")
	}
}

func (h *house) keyOf(path string) asset.Key {
	h.t.Helper()
	target, err := resolve.Parse(path, "")
	must(h.t, err)
	res, err := h.server.deps.Resolver.Resolve(target, resolve.Client{Accept: "image/webp"})
	must(h.t, err)
	return res.Key
}

func TestResolveHeaders(t *testing.T) {
	h := open(t).gallery()
	a := h.ask("GET", "/v1/resolve/shop/w=10/%C3%BC/hero%201.png", "", "Accept", "image/webp")
	if r := decode[client.Resolution](t, a, 200); r.MediaType != "image/webp" || !strings.Contains(string(a.body), `"expiry":null`) {
		t.Errorf("%s", a.body)
	}
	a = h.ask("GET", "/v1/resolve/shop/w=10/%C3%BC/hero%201.png?accept=image%2Favif", "", "Accept", "image/webp")
	if r := decode[client.Resolution](t, a, 200); r.MediaType != "image/avif" {
		t.Errorf("%s", a.body)
	}
	if got := a.Header.Get("Asset-Revision"); got != "4" {
		t.Error(got)
	}
}

// What the front door refuses is refused in the same words.
func TestResolveRefusals(t *testing.T) {
	h := open(t).gallery()
	const hero = "/%C3%BC/hero%201.png"
	for _, c := range []struct {
		path, kind, part, allowed string
		status                    int
	}{
		{"/shop/wdth=1" + hero, "invalid-request", "wdth", "", 400},
		{"/shop/w=0" + hero, "invalid-request", "width", "1–8192", 400},
		{"/shop/banner" + hero, "invalid-request", "options", "the presets thumb", 400},
		{"/shop/info" + hero, "invalid-request", "options", "original", 400},
		{"/Shop/original" + hero, "invalid-request", "product", "a-z", 400},
		{"/shop/original/a%2Fb", "invalid-request", "name", "slashes as they are", 400},
		{"/shop/original/b", "not-found", "name", "", 404},
		{"/blog/original" + hero, "not-found", "product", "", 404},
		{"/shop/original,v=3" + hero, "not-found", "version", "1–2", 404},
		{"/shop/w=1/a.txt", "unsupported-media-type", "options", "/shop/original/", 415},
		{"/shop/rect=9000:0:9:9" + hero, "invalid-request", "rect", "some of the picture", 400},
		{"/shop/wm=b" + hero, "not-found", "watermark", "", 404},
		{"/shop/original" + hero + "?dl=x", "invalid-request", "dl", "accept, min_revision", 400},
	} {
		a := h.ask("GET", "/v1/resolve"+c.path, "")
		refused(t, a, c.status, c.kind, c.part, c.allowed)
		if c.status == 404 && a.Header.Get("Asset-Revision") != "4" {
			t.Errorf("%s does not say which revision has it not: %v", c.path, a.Header)
		}
	}
	refused(t, h.ask("PUT", "/v1/resolve/shop/original/a", ""), 405, "method-not-allowed", "method", "GET")
	link, _ := h.catalog.View().Link("shop", "a.txt")
	_, err := h.catalog.Update(t.Context(), func(v *catalog.View) ([]catalog.Mutation, error) {
		return []catalog.Mutation{{ChangeAsset: &catalog.AssetChange{Asset: link.Asset, Status: asset.Archived}}}, nil
	})
	must(t, err)
	refused(t, h.ask("GET", "/v1/resolve/shop/original/a.txt", ""), 410, "gone", "name", "")
}
