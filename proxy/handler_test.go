package proxy

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/resolve"
)

func TestAnswerOfARendition(t *testing.T) {
	_, addr := open(t, newWorld(), Events{})
	a := get(t, addr, "/shop/w=10/pic.jpg", "Accept: image/webp")
	wantStatus(t, a, 200)
	for name, value := range map[string]string{
		"Content-Type": "image/webp", "Content-Length": "2048", "Accept-Ranges": "bytes",
		"X-Content-Type-Options": "nosniff", "Vary": "Accept", "Last-Modified": createdHTTP,
		"Cache-Control": "public, max-age=300, stale-while-revalidate=3600, stale-if-error=86400",
		"Cache-Status":  "assetmatrix; hit; detail=memory", "Asset-Version": "3", "Asset-Revision": "42",
		"Surrogate-Key": "id-1 shop summer_sale", "Cache-Tag": "id-1,shop,summer_sale",
		"Access-Control-Allow-Origin": "*", "Timing-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin",
		"Content-Disposition": "", "Repr-Digest": "", "Content-Security-Policy": "", "Server": "", "Transfer-Encoding": "",
	} {
		wantHeader(t, a, name, value)
	}
	if tag := a.get("ETag"); !strings.HasPrefix(tag, `"`) || len(tag) < 10 {
		t.Error("ETag", tag)
	}
	if a.get("Date") == "" || strings.Contains(a.get("Date"), "|") {
		t.Error("Date", a.get("Date"))
	}
	if st := a.get("Server-Timing"); !strings.HasPrefix(st, "resolve;dur=") || !strings.HasSuffix(st, ", memory;dur=0.003") {
		t.Error("Server-Timing", st)
	}
}

// TestQualityIsSaid: the quality that was chosen is in the answer, and no other.
func TestQualityIsSaid(t *testing.T) {
	_, addr := open(t, newWorld(), Events{})
	wantHeader(t, get(t, addr, "/shop/q=auto,w=10/auto.jpg"), "Asset-Quality", "63")
	wantHeader(t, ask(t, addr, "HEAD", "/shop/q=auto,w=10/auto.jpg"), "Asset-Quality", "63")
	wantHeader(t, get(t, addr, "/shop/w=10/pic.jpg"), "Asset-Quality", "")
}

func TestHeadHasTheHeadersOfGet(t *testing.T) {
	_, addr := open(t, newWorld(), Events{})
	for _, name := range []string{"pic.jpg", "empty.txt", "film.mp4", "missing", "page.html"} {
		g, h := get(t, addr, "/shop/original/"+name), ask(t, addr, "HEAD", "/shop/original/"+name)
		for _, volatile := range []string{"server-timing", "date"} {
			delete(g.header, volatile)
			delete(h.header, volatile)
		}
		if fmt.Sprint(g.status, g.header) != fmt.Sprint(h.status, h.header) {
			t.Errorf("%s:\nGET  %v %v\nHEAD %v %v", name, g.status, g.header, h.status, h.header)
		}
	}
}

func TestLifetimes(t *testing.T) {
	w := newWorld()
	w.product.Lifetimes = asset.Lifetimes{MaxAge: 60, SharedMaxAge: 600, StaleIfError: 9}
	_, addr := open(t, w, Events{})
	wantHeader(t, get(t, addr, "/shop/w=10/pic.jpg"), "Cache-Control", "public, max-age=60, s-maxage=600, stale-if-error=9")
	wantHeader(t, get(t, addr, "/shop/w=10,v=3/pinned.jpg"), "Cache-Control", "public, max-age=31536000, immutable")
	wantHeader(t, get(t, addr, "/shop/w=10/nothing"), "Cache-Control", "public, max-age=10")
}

func TestOriginals(t *testing.T) {
	_, addr := open(t, newWorld(), Events{})
	a := get(t, addr, "/shop/original/ten.txt")
	wantHeader(t, a, "Content-Type", "text/plain")
	wantHeader(t, a, "Vary", "")
	wantHeader(t, a, "Repr-Digest", "sha-256=:dGVuLnR4dAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:")
	if a.body != "0123456789" {
		t.Error(a.body)
	}
	film := get(t, addr, "/shop/original/film.mp4")
	if film.body != strings.Repeat("film", 1<<18) {
		t.Error("streamed body differs")
	}
}

func TestTypesThatHoldScriptAreWalledIn(t *testing.T) {
	_, addr := open(t, newWorld(), Events{})
	check := func(name, mediaType, disposition string, walled bool) {
		t.Helper()
		a := get(t, addr, "/shop/original/"+name)
		wantHeader(t, a, "Content-Type", mediaType)
		wantHeader(t, a, "Content-Disposition", disposition)
		wantHeader(t, a, "X-Content-Type-Options", "nosniff")
		if got := a.get("Content-Security-Policy") != ""; got != walled {
			t.Errorf("%s: policy %v", name, a.get("Content-Security-Policy"))
		}
	}
	check("page.html", "text/html", `attachment; filename="page.html"`, true)
	check("draw.svg", "image/svg+xml", "", true)
	check("paper.pdf", "application/pdf", "", true)
	check("archive.zip", "application/zip", `attachment; filename="archive.zip"`, false)
	check("a/what.bin", "application/octet-stream", `attachment; filename="what.bin"`, false)
}

func TestConditions(t *testing.T) {
	w := newWorld()
	_, addr := open(t, w, Events{})
	const u = "/shop/w=10/pic.jpg"
	etag := get(t, addr, u).get("ETag")
	const old, later = "Mon, 02 Mar 2026 05:06:07 GMT", "Thu, 05 Mar 2026 05:06:07 GMT"
	check := func(status int, headers ...string) {
		t.Helper()
		if a := get(t, addr, u, headers...); a.status != status {
			t.Errorf("%q: %d, want %d", headers, a.status, status)
		}
	}
	check(304, "If-None-Match: "+etag)
	check(304, "If-None-Match: W/"+etag)
	check(304, `If-None-Match: "a", W/"b,c" ,`+etag)
	check(304, `If-None-Match: "a"`, "If-None-Match: "+etag)
	check(304, "if-none-match: *")
	check(200, `If-None-Match: "other"`)
	check(200, "If-None-Match: "+strings.Trim(etag, `"`))
	check(200, `If-None-Match: "a`+strings.TrimPrefix(etag, `"`))
	check(200, `If-None-Match: "other"`, "If-Modified-Since: "+later) // it beats the date
	check(304, "If-None-Match: "+etag, "If-Modified-Since: "+old)
	check(304, "If-Modified-Since: "+createdHTTP)
	check(304, "If-Modified-Since: Wednesday, 04-Mar-26 05:06:07 GMT")
	check(304, "If-Modified-Since: Wed Mar  4 05:06:07 2026")
	check(200, "If-Modified-Since: "+old)
	check(200, "If-Modified-Since: yesterday")
	check(200, "If-Modified-Since: Wed, 99 Mar 2026 05:06:07 GMT")
	check(200, "If-Match: "+etag)
	check(200, "If-Match: *")
	check(412, "If-Match: W/"+etag)
	check(412, `If-Match: "other"`)
	check(412, "If-Unmodified-Since: "+old)
	check(200, "If-Unmodified-Since: "+createdHTTP)
	check(200, "If-Unmodified-Since: garbage")
	check(200, "If-Match: "+etag, "If-Unmodified-Since: "+old)
	check(304, "If-Match: "+etag, "If-None-Match: "+etag)
	for _, c := range []string{"If-Match: *", "If-None-Match: *", "If-Modified-Since: " + later} {
		wantStatus(t, get(t, addr, "/shop/w=10/missing.jpg", c), 404)
	}
}

func Test304CostsNoLoadAndLooksLikeThe200(t *testing.T) {
	w := newWorld()
	_, addr := open(t, w, Events{})
	ok := get(t, addr, "/shop/w=10/pic.jpg")
	before := w.loads
	not := get(t, addr, "/shop/w=10/pic.jpg", "If-None-Match: "+ok.get("ETag"))
	wantStatus(t, not, 304)
	if w.loads != before {
		t.Error("304 loaded something")
	}
	for _, name := range []string{"ETag", "Cache-Control", "Vary", "Last-Modified", "Surrogate-Key", "Access-Control-Allow-Origin"} {
		wantHeader(t, not, name, ok.get(name))
	}
	wantHeader(t, not, "Content-Length", "")
	wantHeader(t, not, "Content-Type", "")
	wantHeader(t, not, "Cache-Status", "assetmatrix; hit; detail=metadata")
}

func TestRanges(t *testing.T) {
	_, addr := open(t, newWorld(), Events{})
	check := func(status int, contentRange, body string, headers ...string) {
		t.Helper()
		a := get(t, addr, "/shop/original/ten.txt", headers...)
		wantStatus(t, a, status)
		wantHeader(t, a, "Content-Range", contentRange)
		if status != 416 && a.body != body {
			t.Errorf("%q: body %q, want %q", headers, a.body, body)
		}
	}
	const all = "0123456789"
	full := get(t, addr, "/shop/original/ten.txt")
	check(206, "bytes 0-3/10", "0123", "Range: bytes=0-3")
	check(206, "bytes 0-0/10", "0", "Range: bytes=0-0")
	check(206, "bytes 9-9/10", "9", "Range: BYTES=9-")
	check(206, "bytes 5-9/10", "56789", "Range: bytes=-5")
	check(206, "bytes 5-9/10", "56789", "Range: bytes=5-99999999999999999999")
	check(206, "bytes 0-9/10", all, "Range: bytes=-99999999999999999999")
	check(206, "bytes 1-2/10", "12", "Range: bytes= 1-2 ,")
	check(416, "bytes */10", "", "Range: bytes=10-")
	check(416, "bytes */10", "", "Range: bytes=-0")
	check(416, "bytes */10", "", "Range: bytes=99999999999999999999-")
	check(200, "", all, "Range: lines=0-3")
	check(200, "", all, "Range: bytes=3-1")
	check(200, "", all, "Range: bytes=a-b")
	check(200, "", all, "Range: bytes=-")
	check(200, "", all, "Range: bytes=")
	check(200, "", all, "Range: bytes=+1-2")
	check(200, "", all, "Range: bytes 0-3")
	check(200, "", all, "Range: bytes=0-1,4-5")
	check(200, "", all, "Range: bytes=0-1", "Range: bytes=4-5")
	check(206, "bytes 0-3/10", "0123", "Range: bytes=0-3", "If-Range: "+full.get("ETag"))
	check(206, "bytes 0-3/10", "0123", "Range: bytes=0-3", "If-Range: "+createdHTTP)
	check(200, "", all, "Range: bytes=0-3", "If-Range: W/"+full.get("ETag"))
	check(200, "", all, "Range: bytes=0-3", `If-Range: "other"`)
	check(200, "", all, "Range: bytes=0-3", "If-Range: Thu, 05 Mar 2026 05:06:07 GMT")
	check(200, "", all, "Range: bytes=0-3", "If-Range: Tue, 03 Mar 2026 05:06:07 GMT")

	head := ask(t, addr, "HEAD", "/shop/original/ten.txt", "Range: bytes=0-3")
	wantStatus(t, head, 200)
	wantHeader(t, head, "Content-Length", "10")
	wantStatus(t, get(t, addr, "/shop/original/empty.txt", "Range: bytes=0-"), 200)
	part := get(t, addr, "/shop/original/film.mp4", "Range: bytes=100001-200000")
	if part.body != strings.Repeat("film", 1<<18)[100001:200001] {
		t.Error("range of a streamed body differs")
	}
	wantHeader(t, part, "Repr-Digest", get(t, addr, "/shop/original/film.mp4").get("Repr-Digest"))
}

func TestInfo(t *testing.T) {
	w := newWorld()
	_, addr := open(t, w, Events{})
	a := get(t, addr, "/shop/info/ten.txt")
	wantStatus(t, a, 200)
	wantHeader(t, a, "Content-Type", "application/json")
	if !json.Valid([]byte(a.body)) {
		t.Error(a.body)
	}
	wantStatus(t, get(t, addr, "/shop/info/ten.txt", "If-None-Match: "+a.get("ETag")), 304)
	wantStatus(t, get(t, addr, "/shop/info/ten.txt", `If-Match: "x"`), 412)
	if w.loads > 0 {
		t.Error("info loaded something")
	}
}

func TestMethods(t *testing.T) {
	_, addr := open(t, newWorld(), Events{})
	for _, m := range []string{"POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT"} {
		a := ask(t, addr, m, "/shop/w=10/pic.jpg")
		wantStatus(t, a, 405)
		wantHeader(t, a, "Allow", "GET, HEAD, OPTIONS")
	}
	for _, m := range []string{"BREW", "get", "PROPFIND"} {
		wantStatus(t, ask(t, addr, m, "/shop/w=10/pic.jpg"), 501)
	}
	for _, path := range []string{"/shop/w=10/pic.jpg", "/nowhere/x/y", "*"} {
		a := ask(t, addr, "OPTIONS", path, "Origin: https://a.example", "Access-Control-Request-Method: GET")
		wantStatus(t, a, 204)
		wantHeader(t, a, "Access-Control-Allow-Origin", "*")
		wantHeader(t, a, "Access-Control-Max-Age", "86400")
		wantHeader(t, a, "Content-Length", "")
	}
}

func TestOriginsOfAProduct(t *testing.T) {
	w := newWorld()
	w.product.Origins = []string{"https://a.example"}
	_, addr := open(t, w, Events{})
	for _, u := range []string{"/shop/w=10/pic.jpg", "/shop/w=10/missing"} {
		yes, no := get(t, addr, u, "Origin: https://a.example"), get(t, addr, u, "Origin: https://b.example")
		wantHeader(t, yes, "Access-Control-Allow-Origin", "https://a.example")
		wantHeader(t, no, "Access-Control-Allow-Origin", "")
		for _, a := range []answer{yes, no} {
			if !strings.Contains(a.get("Vary"), "Origin") {
				t.Error("Vary", a.get("Vary"))
			}
		}
	}
}

func TestErrorsAreProblems(t *testing.T) {
	w := newWorld()
	_, addr := open(t, w, Events{})
	check := func(err error, status int, cache string, retry bool) {
		t.Helper()
		w.load = func(context.Context, asset.Key) (*asset.Object, error) {
			return nil, fmt.Errorf("disk /var/secret/path: %w", err)
		}
		a := get(t, addr, "/shop/w=10/pic.jpg")
		wantStatus(t, a, status)
		wantHeader(t, a, "Content-Type", "application/problem+json")
		wantHeader(t, a, "X-Content-Type-Options", "nosniff")
		wantHeader(t, a, "Cache-Control", cache)
		if (a.get("Retry-After") != "") != retry {
			t.Errorf("%v: Retry-After %q", err, a.get("Retry-After"))
		}
		var p asset.Problem
		if e := json.Unmarshal([]byte(a.body), &p); e != nil || p.Status != status || p.Title == "" || !strings.HasPrefix(p.Type, "https://assetmatrix.dev/problems/") {
			t.Error(e, a.body)
		}
		if strings.Contains(a.body, "secret") || strings.Contains(a.body, "goroutine") {
			t.Error("leaked:", a.body)
		}
	}
	check(asset.ErrInvalid, 400, "public, max-age=10", false)
	check(asset.ErrForbidden, 403, "no-store", false)
	check(asset.ErrNotFound, 404, "public, max-age=10", false)
	check(asset.ErrGone, 410, "public, max-age=10", false)
	check(asset.ErrTooLarge, 413, "public, max-age=60", false)
	check(asset.ErrMediaType, 415, "public, max-age=60", false)
	check(asset.ErrUndecodable, 422, "public, max-age=60", false)
	check(asset.ErrOverloaded, 503, "no-store", true)
	check(asset.ErrUnavailable, 503, "no-store", true)
	check(asset.ErrCorrupt, 503, "no-store", true)
	check(asset.ErrTimeout, 504, "no-store", true)
	check(context.DeadlineExceeded, 504, "no-store", true)
	check(errors.New("no sentinel"), 500, "no-store", false)
	check(&asset.Fault{Kind: errors.New("no sentinel"), Detail: "secret"}, 500, "no-store", false)

	for path, status := range map[string]int{"/": 404, "http://x": 404, "/shop": 400, "/favicon.ico": 400} {
		if a := get(t, addr, path); a.status != status || !strings.Contains(a.body, `"allowed":`) || !strings.Contains(a.body, `"part":`) {
			t.Errorf("%s: %d says not what a URL looks like: %s", path, a.status, a.body)
		}
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	var panics atomic.Int32
	w := newWorld()
	_, addr := open(t, w, Events{Panicked: func(v any, stack []byte) { panics.Add(1) }})
	a := get(t, addr, "/shop/w=10/panic")
	wantStatus(t, a, 500)
	if strings.Contains(a.body, "broke") {
		t.Error(a.body)
	}
	w.load = func(context.Context, asset.Key) (*asset.Object, error) { panic("loader broke") }
	wantStatus(t, get(t, addr, "/shop/w=10/pic.jpg"), 500)
	if panics.Load() != 2 {
		t.Error(panics.Load())
	}
}

func TestOnlyIfCached(t *testing.T) {
	w := newWorld()
	_, addr := open(t, w, Events{})
	wantStatus(t, get(t, addr, "/shop/w=10/pic.jpg", "Cache-Control: max-age=0, only-if-cached"), 200)
	w.load = func(ctx context.Context, k asset.Key) (*asset.Object, error) {
		tr := asset.TraceOf(ctx)
		tr.Source, tr.Stored, tr.Collapsed = asset.Transforming, true, true
		return asset.NewObject(k, "image/webp", []byte("new")), nil
	}
	wantStatus(t, get(t, addr, "/shop/w=10/pic.jpg", "Cache-Control: only-if-cached"), 504)
	wantHeader(t, get(t, addr, "/shop/w=10/pic.jpg", "Cache-Control: no-cache"), "Cache-Status", "assetmatrix; fwd=miss; collapsed; stored")
}

// A body that fails half-way must not look complete.
func TestTruncationIsSeen(t *testing.T) {
	var broken atomic.Value
	_, addr := open(t, newWorld(), Events{Broken: func(k asset.Key, err error) { broken.Store(err) }})
	c := dial(t, addr)
	_, _ = io.WriteString(c, "GET /shop/original/broken.bin HTTP/1.1\r\nHost: x\r\n\r\n")
	a, err := readAnswer(bufio.NewReader(c), false)
	if !errors.Is(err, io.ErrUnexpectedEOF) || a.get("Content-Length") != "1048576" {
		t.Fatalf("got %d bytes of %s, error %v", len(a.body), a.get("Content-Length"), err)
	}
	if err, _ := broken.Load().(error); !errors.Is(err, asset.ErrCorrupt) {
		t.Error(err)
	}
}

// Nothing kept from one request turns into another's on the same connection.
func TestKeptTargetsStayTheirOwn(t *testing.T) {
	w := newWorld()
	var mu sync.Mutex
	var kept []resolve.Target
	w.resolved = func(target resolve.Target) {
		mu.Lock()
		kept = append(kept, target)
		mu.Unlock()
	}
	_, addr := open(t, w, Events{})
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			c := dial(t, addr)
			r := bufio.NewReader(c)
			for j := range 50 {
				fmt.Fprintf(c, "GET /shop/w=10/client-%d/request-%02d HTTP/1.1\r\nHost: x\r\n\r\n", i, j)
				if a, err := readAnswer(r, false); err != nil || a.status != 404 {
					t.Error(a.status, err)
					return
				}
			}
		})
	}
	clients.Wait()
	seen := map[string]bool{}
	for _, k := range kept {
		seen[k.Name] = true
	}
	if len(kept) != 200 || len(seen) != 200 {
		t.Errorf("%d kept, %d different", len(kept), len(seen))
	}
}

func TestClientsThatLeaveDoNotDisturb(t *testing.T) {
	w := newWorld()
	release := make(chan struct{})
	var cancelled atomic.Int32
	w.load = func(ctx context.Context, k asset.Key) (*asset.Object, error) {
		<-release
		if ctx.Err() != nil {
			cancelled.Add(1)
		}
		return asset.NewObject(k, "image/webp", []byte("late")), nil
	}
	_, addr := open(t, w, Events{})
	for range 100 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "GET /shop/w=10/pic.jpg HTTP/1.1\r\nHost: x\r\n\r\n")
		c.Close()
	}
	close(release)
	wantStatus(t, get(t, addr, "/shop/w=10/pic.jpg"), 200)
	if cancelled.Load() > 0 {
		t.Error("a leaving client ended a load")
	}
}

func TestEventsNameOnlyProductsThatExist(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	_, addr := open(t, newWorld(), Events{Request: func(product string, status int, _ time.Duration, n int64) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprintf("%s %d %d", product, status, n))
	}})
	get(t, addr, "/shop/w=10/pic.jpg")
	missing := get(t, addr, "/shop/w=10/missing")
	other := get(t, addr, "/made-up/w=10/missing")
	ask(t, addr, "HEAD", "/shop/w=10/pic.jpg")
	mu.Lock()
	defer mu.Unlock()
	want := fmt.Sprintf("[shop 200 2048 shop 404 %d  404 %d shop 200 0]", len(missing.body), len(other.body))
	if got := fmt.Sprint(seen); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
