package assetmatrix

import (
	"bytes"
	"context"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/gif"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/bench/chromium"
	"github.com/assetmatrix/assetmatrix/control/client"
)

// A page of another origin shows pictures in every way that HTML has: an img with srcset and sizes, a picture with sources by
// type, a placeholder under a lazy picture, an animation. What the browser takes is AVIF or WebP of the width that its
// device needs. What the page looks like is in the test's artifacts:
//
//	go test . -run InABrowser -artifacts
func TestPicturesInABrowser(t *testing.T) {
	s := boot(t, nil)
	s.put("shop", "hero.jpg", picture(t, 5, 1600, 1200))
	s.put("shop", "film.gif", film(t))
	url := host(t, gallery, map[string]any{
		"Shop": s.delivery + "/shop", "Widths": []int{320, 400, 640, 800, 1280},
		"Placeholder": template.URL(s.get("/shop/f=thumbhash/hero.jpg").is(t, 200).body),
	})
	tab := openTab(t, s.delivery)
	for _, d := range []device{
		{width: 400, dpr: 1, slot: 400, takes: 400, auto: "image/avif"},
		{width: 400, dpr: 2, slot: 400, takes: 800, auto: "image/avif"},
		{width: 1200, dpr: 1, slot: 600, takes: 640, auto: "image/avif"},
		{width: 1200, dpr: 2, slot: 600, takes: 1280, auto: "image/webp"}, // 1280 × 960 px are more than auto makes AVIF of
	} {
		t.Run(fmt.Sprintf("%d px at %gx", d.width, d.dpr), func(t *testing.T) { tab.shows(t, d, url) })
	}
}

// A device, and what a page must get on it.
type device struct {
	width int64 // of the viewport, in CSS px
	dpr   float64
	slot  int    // the width in CSS px that sizes gives the picture
	takes int    // the candidate of the srcset, in px
	auto  string // its media type when the format is negotiated
}

// shows opens the page on the device, and holds what the browser asked for, got and shows against what it should.
func (tab *tab) shows(t *testing.T, d device, page string) {
	tab.visit(t, d, page)
	before := tab.images(t)
	name := func(options string) string { return "/shop/" + options + "/hero.jpg" }
	wide := func(format string) string { return name(fmt.Sprintf("f=%s,w=%d", format, d.takes)) }
	before.is(t, "srcset", shown{wide("auto"), d.slot, d.takes}, tab.types(), d.auto)
	before.is(t, "picture", shown{wide("avif"), d.slot, d.takes}, tab.types(), "image/avif")
	before.is(t, "webp", shown{wide("webp"), d.slot, d.takes}, tab.types(), "image/webp")
	before.is(t, "film", shown{"/shop/f=auto,w=160/film.gif", 160, 160}, tab.types(), "image/webp")
	if p := before["placeholder"]; p.Width < 8 || p.Width > 32 || !strings.HasPrefix(p.Source, "data:image/png;base64,") {
		t.Errorf("the placeholder is %+v", p)
	}
	lazy := name("f=auto,w=480")
	if got := tab.types(); len(got) != 4 {
		t.Errorf("before anybody scrolls, the browser asked for %v", got)
	}
	if !tab.moves(t, "#film") {
		t.Error("the animation stands still")
	}
	tab.run(t, chromedp.Evaluate(`scrollTo(0, 0)`, nil))
	chromium.View(t, tab.ctx, "above")
	tab.run(t, chromedp.ScrollIntoView("#lazy"), chromedp.Poll(`document.querySelector("#lazy").complete && document.querySelector("#lazy").naturalWidth > 0`, nil))
	tab.images(t).is(t, "lazy", shown{lazy, 480, 480}, tab.types(), "image/avif")
	chromium.View(t, tab.ctx, "below")
}

// gallery is the page. Its pictures are on the origin of .Shop.
var gallery = template.Must(template.New("gallery").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Pictures</title>
<style>
	body { margin: 0; font: 14px sans-serif }
	.wide { float: left; width: 100vw; aspect-ratio: 4 / 3 }
	@media (min-width: 601px) { .wide { width: 50vw } }
	.row { clear: both; display: flex; gap: 8px; padding: 8px }
	.row img, .over { width: 160px; height: 120px }
	.over { position: relative }
	.over img { position: absolute; inset: 0; width: 100%; height: 100% }
	.far { margin-top: 8000px }
</style>
<img id="srcset" class="wide" alt="" src="{{.Shop}}/w=640/hero.jpg" sizes="(max-width: 600px) 100vw, 50vw"
	srcset="{{range .Widths}}{{$.Shop}}/f=auto,w={{.}}/hero.jpg {{.}}w, {{end}}">
<picture>
	<source type="image/avif" sizes="(max-width: 600px) 100vw, 50vw" srcset="{{range .Widths}}{{$.Shop}}/f=avif,w={{.}}/hero.jpg {{.}}w, {{end}}">
	<source type="image/webp" sizes="(max-width: 600px) 100vw, 50vw" srcset="{{range .Widths}}{{$.Shop}}/f=webp,w={{.}}/hero.jpg {{.}}w, {{end}}">
	<img id="picture" class="wide" alt="" src="{{.Shop}}/f=jpeg,w=640/hero.jpg">
</picture>
<picture>
	<source type="image/webp" sizes="(max-width: 600px) 100vw, 50vw" srcset="{{range .Widths}}{{$.Shop}}/f=webp,w={{.}}/hero.jpg {{.}}w, {{end}}">
	<img id="webp" class="wide" alt="" src="{{.Shop}}/f=jpeg,w=640/hero.jpg">
</picture>
<div class="row"><img id="film" alt="" src="{{.Shop}}/f=auto,w=160/film.gif"><img alt="" src="{{.Placeholder}}"></div>
<div class="row far">
	<div class="over"><img id="placeholder" alt="" src="{{.Placeholder}}"><img id="lazy" alt="" loading="lazy" src="{{.Shop}}/f=auto,w=480/hero.jpg"></div>
	<img alt="" src="{{.Placeholder}}">
</div>
</html>`))

// host serves a page on an origin of its own.
func host(t *testing.T, page *template.Template, data any, headers ...string) (url string) {
	t.Helper()
	var text bytes.Buffer
	if err := page.Execute(&text, data); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		_, _ = w.Write(text.Bytes())
	}))
	t.Cleanup(server.Close)
	return server.URL + "/"
}

// film is a GIF of 12 frames of 320 × 240 px: a disc goes from the left to the right, once in a second.
func film(t *testing.T) []byte {
	t.Helper()
	const width, height, frames = 320, 240, 12
	palette := color.Palette{color.RGBA{0x20, 0x28, 0x50, 0xff}, color.RGBA{0xff, 0xb0, 0x30, 0xff}}
	g := &gif.GIF{}
	for i := range frames {
		frame := image.NewPaletted(image.Rect(0, 0, width, height), palette)
		x, y := 60+i*200/frames, 120
		for p := range frame.Pix {
			if dx, dy := p%width-x, p/width-y; dx*dx+dy*dy < 50*50 {
				frame.Pix[p] = 1
			}
		}
		g.Image, g.Delay = append(g.Image, frame), append(g.Delay, 8)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A tab is one of a browser that takes nothing from its own cache.
type tab struct {
	ctx    context.Context
	origin string // whose answers are kept
	mu     sync.Mutex
	got    map[string]string // guarded by mu: the media types of the answers since the last visit, by path
}

func openTab(t *testing.T, origin string) *tab {
	t.Helper()
	tab := &tab{ctx: chromium.Start(t), origin: origin, got: map[string]string{}}
	chromedp.ListenTarget(tab.ctx, func(event any) {
		answer, ok := event.(*network.EventResponseReceived)
		if !ok {
			return
		}
		path, ok := strings.CutPrefix(answer.Response.URL, tab.origin)
		if !ok {
			return
		}
		mediaType := fmt.Sprint(header(answer.Response.Headers, "Content-Type"))
		if answer.Response.Status != http.StatusOK {
			mediaType = answer.Response.StatusText
		}
		tab.mu.Lock()
		defer tab.mu.Unlock()
		tab.got[path] = mediaType
	})
	tab.run(t, network.Enable(), network.SetCacheDisabled(true))
	return tab
}

// header returns the value of a header of the DevTools protocol, which has names as they were sent.
func header(all network.Headers, name string) any {
	for key, value := range all {
		if strings.EqualFold(key, name) {
			return value
		}
	}
	return nil
}

// run lets the browser do it.
func (tab *tab) run(t *testing.T, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(tab.ctx, actions...); err != nil {
		t.Fatalf("the browser: %v", err)
	}
}

// visit opens the page on the device. It returns when all that is not lazy has arrived.
func (tab *tab) visit(t *testing.T, d device, page string) {
	t.Helper()
	tab.run(t, chromedp.Navigate("about:blank"), emulation.SetDeviceMetricsOverride(d.width, 1100, d.dpr, false))
	tab.mu.Lock()
	clear(tab.got)
	tab.mu.Unlock()
	tab.run(t, chromedp.Navigate(page))
}

// types returns the media types of the answers since the last visit, by path.
func (tab *tab) types() map[string]string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return maps.Clone(tab.got)
}

// A shown is a picture as the browser shows it.
type shown struct {
	Source  string // the candidate that it chose (currentSrc); of the server that is tested, the path
	Natural int    // the width that its layout begins with, in CSS px: by the density of the candidate, rounded down
	Width   int    // in px
}

// showing are a page's pictures by their id.
type showing map[string]shown

// imagesScript describes the images that have an id. A picture that is loaded by itself has its width in px.
const imagesScript = `Promise.all([...document.querySelectorAll("img[id]")].map(async img => {
	const bare = new Image();
	bare.src = img.currentSrc;
	if (img.currentSrc) await bare.decode();
	return [img.id, {Source: img.currentSrc, Natural: img.naturalWidth, Width: bare.naturalWidth}];
})).then(Object.fromEntries)`

func (tab *tab) images(t *testing.T) showing {
	t.Helper()
	var all showing
	tab.run(t, chromedp.Evaluate(imagesScript, &all, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	for id, img := range all {
		img.Source = strings.TrimPrefix(img.Source, tab.origin)
		all[id] = img
	}
	return all
}

// is fails the test unless the image is as wanted and came as that media type.
func (all showing) is(t *testing.T, id string, want shown, types map[string]string, mediaType string) {
	t.Helper()
	got := all[id]
	if got.Natural == want.Natural-1 {
		got.Natural++
	}
	if got != want || types[want.Source] != mediaType {
		t.Errorf("#%s is %+v, %s, want %+v, %s", id, all[id], types[all[id].Source], want, mediaType)
	}
}

// moves reports whether what is to be seen of an element changes.
func (tab *tab) moves(t *testing.T, selector string) bool {
	t.Helper()
	var first, next []byte
	tab.run(t, chromedp.Screenshot(selector, &first))
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if tab.run(t, chromedp.Screenshot(selector, &next)); !bytes.Equal(first, next) {
			return true
		}
	}
	return false
}

// A page asks its browser for client hints and passes them on to the origin of the pictures; one URL then brings each device
// the width of the picture's place, and another the density.
func TestClientHintsInABrowser(t *testing.T) {
	s := boot(t, nil)
	if _, err := s.PutProduct(t.Context(), "keen", client.ProductSpec{ClientHints: true}); err != nil {
		t.Fatal(err)
	}
	s.put("keen", "hero.jpg", picture(t, 5, 1600, 1200))
	asks := []string{
		"Accept-CH", "Sec-CH-DPR, Sec-CH-Width",
		"Permissions-Policy", fmt.Sprintf("ch-dpr=(self %[1]q), ch-width=(self %[1]q)", s.delivery),
	}
	asking, silent := host(t, hinted, s.delivery+"/keen", asks...), host(t, hinted, s.delivery+"/keen")
	tab := openTab(t, s.delivery)
	f := func(page string, d device, wide, dense int, auto string) {
		t.Helper()
		tab.visit(t, d, page)
		types := tab.types() // before the images are asked for by themselves
		all := tab.images(t)
		if got := [2]int{all["wide"].Natural, all["dense"].Natural}; got != [2]int{wide, dense} {
			t.Errorf("on a device of %d px at %gx the pictures are %d px wide, want %d and %d", d.width, d.dpr, got, wide, dense)
		}
		if got := types["/keen/f=auto/hero.jpg"]; got != auto || types["/keen/w=200/hero.jpg"] != "image/avif" {
			t.Errorf("on a device of %d px at %gx the pictures are %v", d.width, d.dpr, types)
		}
	}
	f(asking, device{width: 400, dpr: 1}, 448, 200, "image/avif") // the next step above 400
	f(asking, device{width: 400, dpr: 2}, 832, 400, "image/avif")
	f(asking, device{width: 1200, dpr: 1}, 640, 200, "image/avif")
	f(silent, device{width: 400, dpr: 2}, 1600, 200, "image/webp") // too large for auto to make AVIF of it
	tab.visit(t, device{width: 400, dpr: 2}, asking)
	chromium.View(t, tab.ctx, "hints")
}

// hinted is a page with one URL for all devices. Its pictures are on the origin of the dot.
var hinted = template.Must(template.New("hinted").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Client hints</title>
<style>
	body { margin: 0 }
	#wide { display: block; width: 100vw; aspect-ratio: 4 / 3 }
	@media (min-width: 601px) { #wide { width: 50vw } }
	#dense { width: 200px; height: 150px }
</style>
<img id="wide" alt="" sizes="(max-width: 600px) 100vw, 50vw" src="{{.}}/f=auto/hero.jpg">
<img id="dense" alt="" src="{{.}}/w=200/hero.jpg">
</html>`))

// One URL is more than one thing to a cache, and its answers say so.
func TestClientHints(t *testing.T) {
	s := boot(t, func(c *Config) { c.Products = []asset.Product{{Name: "keen", ClientHints: true}} })
	s.put("keen", "hero.jpg", picture(t, 5, 1600, 1200))
	s.put("shop", "hero.jpg", picture(t, 5, 1600, 1200))
	const url = "/keen/f=jpeg,v=1/hero.jpg"
	plain := s.get(url).is(t, 200)
	small := s.get(url, "Sec-CH-Width", "300", "Sec-CH-DPR", "2").is(t, 200)
	saving := s.get(url, "Sec-CH-Width", "300", "Save-Data", "on").is(t, 200)
	if got := [2]int{size(t, plain.body).X, size(t, small.body).X}; got != [2]int{1600, 320} {
		t.Errorf("the pictures are %d px wide", got)
	}
	if size(t, saving.body) != size(t, small.body) || len(saving.body)*10 > len(small.body)*8 {
		t.Errorf("who saves data gets %d bytes, others %d", len(saving.body), len(small.body))
	}
	tags := map[string]bool{}
	for _, a := range []answer{plain, small, saving} {
		tags[a.Header.Get("ETag")] = true
		if got := a.Header.Get("Vary"); got != "Sec-CH-DPR, DPR, Sec-CH-Width, Width, Save-Data" || a.Header.Get("Accept-CH") != "Sec-CH-DPR, Sec-CH-Width, Save-Data" {
			t.Errorf("headers %v", a.Header)
		}
		if got := a.Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
			t.Errorf("Cache-Control %s of a pinned URL", got)
		}
	}
	if len(tags) != 3 {
		t.Errorf("three pictures have the tags %v", tags)
	}
	renders := s.metric("assetmatrix_renders_total")
	if got := s.get(url, "Width", "319").is(t, 200); !bytes.Equal(got.body, small.body) || s.metric("assetmatrix_renders_total") != renders {
		t.Error("two widths of one step are rendered twice")
	}
	if got := s.get("/shop/f=jpeg/hero.jpg", "Sec-CH-Width", "300").is(t, 200); size(t, got.body).X != 1600 || got.Header.Get("Vary") != "" {
		t.Errorf("a product without hints heeds them: %v", got.Header)
	}
}
