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

// What is shown has to be one of the pictures that a name may have, in WebP, and as wide as it has to be.
func TestDayChecks(t *testing.T) {
	drawn, err := drawAll(t.Context(), 3, 60_000, func(int, int) {})
	if err != nil {
		t.Fatal(err)
	}
	d := &day{size: daySize{originals: 2, pixels: 60_000}, marks: map[uint64]shown{}}
	made := func(n, width int, format asset.Format) []byte {
		t.Helper()
		body, err := thumbnail(drawn[n], want{width: width, format: format, quality: 80})
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	bare := rendition60(t, asset.WebP)
	for _, c := range []struct {
		body             []byte
		variant          string
		wants            []int
		shown, rightSize bool
	}{
		{made(0, 120, asset.WebP), "w=120", []int{0, 2}, true, true},
		{made(2, 120, asset.WebP), "w=120", []int{0, 2}, true, true},
		{made(0, 120, asset.WebP), "w=120", []int{2}, false, true}, // stale
		{made(1, 120, asset.WebP), "w=120", []int{0, 2}, false, true},
		{made(0, 120, asset.WebP), "w=121", []int{0, 2}, false, false},
		{made(0, 120, asset.JPEG), "w=120", []int{0, 2}, false, false},
		{made(0, 4000, asset.WebP), "w=4000", []int{0, 2}, true, true}, // no wider than it is
		{bare, "w=60", []int{0, 2}, false, true},
		{[]byte("<html>"), "w=60", []int{0}, false, false},
		{nil, "w=60", []int{0}, false, false},
	} {
		for range 2 { // as what is new, and as what is known
			if err := d.check(c.variant, c.body, c.wants); (err == nil) != c.shown {
				t.Errorf("%s of %v: %v", c.variant, c.wants, err)
			}
		}
		if err := d.checkSize(c.variant, c.body, c.wants...); (err == nil) != c.rightSize {
			t.Errorf("the size of %s of %v: %v", c.variant, c.wants, err)
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
