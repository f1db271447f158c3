package bench

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/bench/corpus"
)

// tinyDayAt opens a field, and a day at it.
func tinyDayAt(t *testing.T) *day {
	t.Helper()
	f, err := openField(context.WithoutCancel(t.Context()), testRun(t)) // until the test is cleaned up
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.close(); err != nil {
			t.Error(err)
		}
	})
	d, err := newDay(t.Context(), f, tinyDay)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A day has visits that are answered, uploads and purges that are acknowledged, and loses none; what it has lost is found.
func TestDay(t *testing.T) {
	d := tinyDayAt(t)
	ctx, stop := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer stop()
	d.live(ctx, func(err error) { t.Error(err) })
	if d.writes < 4 {
		t.Errorf("%d writes", d.writes)
	}
	urls := map[string]bool{}
	for range 10 {
		s := d.visit()
		if _, err := askOnce(t.Context(), s); err != nil {
			t.Error(err)
		}
		s = d.rare()
		if urls[s.url] {
			t.Errorf("%s is not rare", s.url)
		}
		urls[s.url] = true
		if a, err := askOnce(t.Context(), s); err != nil || tierOf(a.header.Get("Cache-Status")) != "miss" {
			t.Errorf("%v, %v", a.header, err)
		}
	}
	if lost, err := d.lost(t.Context()); err != nil || len(lost) > 0 {
		t.Errorf("lost %v, %v", lost, err)
	}
	real := d.shows[1]
	d.shows[1] = state{acknowledged: asset.Digest{1}}
	if lost, err := d.lost(t.Context()); err != nil || len(lost) != 1 || !strings.Contains(lost[0].Error(), assetName(1)+" shows ") {
		t.Errorf("lost %v, %v", lost, err)
	}
	d.shows[1].maybe = []asset.Digest{{2}, real.acknowledged, {3}} // it was not acknowledged, and may be there
	if lost, err := d.lost(t.Context()); err != nil || len(lost) > 0 {
		t.Errorf("lost %v, %v", lost, err)
	}
}

func TestIsWebP(t *testing.T) {
	webp, jpg := rendition60(t, asset.WebP), rendition60(t, asset.JPEG)
	for _, c := range []struct {
		body  []byte
		width int
		ok    bool
	}{{webp, 0, true}, {webp, 60, true}, {webp, 59, false}, {jpg, 0, false}, {[]byte("<html>"), 0, false}, {nil, 0, false}} {
		if err := isWebP(c.body, c.width); (err == nil) != c.ok {
			t.Errorf("%d bytes at %d: %v", len(c.body), c.width, err)
		}
	}
}

// rendition60 is a rendition of 60 px.
func rendition60(t *testing.T, format asset.Format) []byte {
	t.Helper()
	if err := corpus.StartVips(); err != nil {
		t.Fatal(err)
	}
	original, err := corpus.JPEG(corpus.Landscape(1, 90, 60), 80)
	if err != nil {
		t.Fatal(err)
	}
	body, err := thumbnail(original, want{width: 60, format: format, quality: 80})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestPurgesTakeTurns(t *testing.T) {
	d := &day{size: tinyDay, products: []string{"a", "b"}}
	var said []string
	for n := range 3 {
		p := d.purge(n)
		said = append(said, fmt.Sprint(p.Product, p.URL))
	}
	if got, want := strings.Join(said, " "), "a /b/card/catalog/0001.jpg /a/original/catalog/0002.jpg"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestAskPatiently(t *testing.T) {
	n := 0
	url := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		if n++; n < 3 {
			w.WriteHeader(http.StatusBadGateway)
		}
		_, _ = w.Write([]byte("x"))
	})
	if _, err := askPatiently(t.Context(), &shot{url: url, status: http.StatusOK, length: 1}); err != nil || n != 3 {
		t.Errorf("%v after %d", err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := askPatiently(ctx, &shot{url: url, status: http.StatusNotFound}); err == nil {
		t.Error("what was never answered rightly is an answer")
	}
}

// Of several uploads in a row that nobody acknowledged each may have been done.
func TestUploadsThatMayBeDone(t *testing.T) {
	url := answering(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	d := &day{on: &subject{api: adminOf(t, url)}, products: []string{"a"}}
	for _, content := range []string{"b", "c"} {
		if err := d.upload(t.Context(), 0, []byte(content)); err == nil {
			t.Error("it was acknowledged")
		}
	}
	for _, content := range []string{"b", "c"} {
		if digest := asset.Digest(sha256.Sum256([]byte(content))); !slices.Contains(d.shows[0].maybe, digest) {
			t.Errorf("%s may not be there: %v", content, d.shows)
		}
	}
}
