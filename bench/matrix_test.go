package bench

import (
	"context"
	"errors"
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
