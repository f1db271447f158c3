package bench

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

var tinyMatrix = matrixSize{
	products: 3, originals: 6, pixels: 20_000, share: 1, repeats: 1, releases: 3, campaignEvery: 3, campaign: 3, interval: 300 * time.Millisecond,
}

func TestMatrix(t *testing.T) {
	r := testRun(t)
	if err := compareWays(t.Context(), r, tinyMatrix); err != nil {
		t.Fatal(err)
	}
	value := func(name string) float64 { return r.report.value(t, name) }
	if value("storage_efficiency_percent") <= value("storage_efficiency_percent_siloed") || value("storage_efficiency_percent") > 100 {
		t.Error(r.report.Figures)
	}
	if value("sync_p50_ms_siloed") < value("sync_p50_ms") || value("sync_p99_ms_siloed") < value("sync_p99_ms") {
		t.Error(r.report.Figures)
	}
	if compute := value("transform_compute_percent"); compute <= 0 || compute >= value("transform_compute_percent_siloed") {
		t.Error(r.report.Figures)
	}
	if with := value("storage_efficiency_percent_with_an_edge"); with <= value("storage_efficiency_percent_siloed") || with >= value("storage_efficiency_percent") {
		t.Error(r.report.Figures)
	}
	if value("stale_or_mixed") != 0 || value("stale_or_mixed_siloed") == 0 {
		t.Error(r.report.Figures)
	}
	if left, err := os.ReadDir(r.place.path); err != nil || slices.ContainsFunc(left, func(e os.DirEntry) bool { return e.Name() == "matrix" }) {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// The trace is the same each time, and everybody needs what is theirs.
func TestTrace(t *testing.T) {
	drawn := 0
	s := tinyMatrix
	s.share = 0.5
	a, err := newTrace(t.Context(), s, func(done, _ int) { drawn = done })
	b, err2 := newTrace(t.Context(), s, func(int, int) {})
	if err != nil || err2 != nil || drawn != 6+1+1+3 {
		t.Fatal(err, err2, drawn)
	}
	if !slices.Equal(a.visits, b.visits) || len(a.releases) != 3 || len(a.releases[2]) != 3 {
		t.Error("another trace")
	}
	for i, content := range a.originals {
		if !slices.Equal(content, b.originals[i]) || !slices.Contains(a.users(i), a.owner(i)) {
			t.Error(i)
		}
	}
	for _, v := range a.affected(a.releases[0]) {
		if v.asset != a.releases[0][0].asset || !slices.Contains(a.needs[v.product], v.asset) {
			t.Error(v)
		}
	}
}

// A front door that goes on to answer with the picture before is found out, whatever its metadata say.
func TestOutdatedBytes(t *testing.T) {
	trace, err := newTrace(t.Context(), tinyMatrix, func(int, int) {})
	if err != nil {
		t.Fatal(err)
	}
	var shows int // which picture is answered
	front := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/original/") {
			_, _ = w.Write(trace.originals[shows])
			return
		}
		body, err := thumbnail(trace.originals[shows], want{width: 320, format: asset.WebP, quality: 80})
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "image/webp")
		_, _ = w.Write(body)
	})
	way := &matrixWay{all: &server{front: strings.TrimPrefix(front, "http://")}}
	o := &observer{run: testRun(t), way: way, trace: trace, contents: map[asset.Digest]rendition{}, shown: []int{1}, now: []asset.Digest{sha256.Sum256(trace.originals[1])}}
	for i, want := range []int{1, 0} { // of the picture before one answer of each kind is outdated
		shows = i
		o.outdated = 0
		if err := o.visitOne(t.Context(), visit{0, 0, "card"}, way.front(0)); err != nil {
			t.Fatal(err)
		}
		if o.outdated != want {
			t.Errorf("of picture %d %d renditions are outdated, want %d", i, o.outdated, want)
		}
		o.outdated = 0
		if err := o.originals(t.Context(), release{{asset: 0}}); err != nil {
			t.Fatal(err)
		}
		if users := len(trace.users(0)); o.outdated != want*users {
			t.Errorf("of picture %d %d originals are outdated, want %d", i, o.outdated, want*users)
		}
		if o.wrong() != o.outdated {
			t.Errorf("%d wrong", o.wrong())
		}
	}
}

// A view that shows something old is stale, and one that shows it behind something new is mixed.
func TestViews(t *testing.T) {
	old, fresh := map[int]asset.Digest{1: {1}, 2: {2}}, map[int]asset.Digest{1: {11}, 2: {12}}
	for shown, want := range map[[2]asset.Digest]pageView{
		{{11}, {12}}: {fresh: true},
		{{1}, {2}}:   {old: true},
		{{1}, {12}}:  {old: true, fresh: true},
		{{11}, {2}}:  {old: true, fresh: true, mixed: true},
	} {
		var v pageView
		for i, a := range []int{1, 2} {
			if err := v.add(shown[i], old[a], fresh[a]); err != nil {
				t.Fatal(err)
			}
		}
		if v != want {
			t.Errorf("%v: %+v", shown, v)
		}
	}
	if (&pageView{}).add(asset.Digest{9}, old[1], fresh[1]) == nil {
		t.Error("what was never released is no view")
	}
}

// What cannot be started or asked is an error, and leaves no process behind.
func TestMatrixFails(t *testing.T) {
	r := testRun(t)
	r.Program = "/bin/false"
	if err := compareWays(t.Context(), r, tinyMatrix); err == nil || !strings.Contains(err.Error(), "the siloed way") {
		t.Error(err)
	}
	r = testRun(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := compareWays(ctx, r, tinyMatrix); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// What was wrong in a part stands for all of them.
func TestWrongs(t *testing.T) {
	o := outcome{parts: []account{{wrong: 0}, {wrong: 4}, {wrong: 5}, {wrong: 5}}}
	if got, want := o.wrongs(), (samples{12, 3, 0}); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
