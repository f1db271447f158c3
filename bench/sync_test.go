package bench

import (
	"slices"
	"testing"
	"time"
)

func TestSync(t *testing.T) {
	r := testRun(t)
	if err := visibility(t.Context(), r, syncSize{edges: 3, rate: 50, warmup: 200 * time.Millisecond, lasts: time.Second}); err != nil {
		t.Fatal(err)
	}
	p50, p99, worst := r.report.value(t, "visible_p50_ms"), r.report.value(t, "visible_p99_ms"), r.report.value(t, "visible_max_ms")
	if p50 < 0 || p99 < p50 || worst < p99 || r.report.value(t, "commit_p50_ms") <= 0 {
		t.Errorf("visible after %v, %v, at most %v ms", p50, p99, worst)
	}
	if all := r.report.value(t, "visible_all_p50_ms"); all < p50 {
		t.Errorf("on all edges after %v ms, on one after %v", all, p50)
	}
	if rows := r.report.Tables[0].Rows; rows[0][1] != "150" || rows[1][1] != "50" { // the warm-up is not among them
		t.Errorf("%v", rows)
	}
	if p := r.report.Plots; len(p) != 1 || len(p[0].drawable()) != 2 {
		t.Errorf("plots of %v", p)
	}
}

// What is seen before its writer hears of it counts as 0 and is counted; one revision may hold several transactions, and a
// view may pass over revisions.
func TestVisible(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	written := []write{
		{due: at(0), acknowledged: at(2), revision: 5},
		{due: at(1), acknowledged: at(3), revision: 5},
		{due: at(10), acknowledged: at(12), revision: 6},
	}
	seen := [][]sight{
		{{4, at(0)}, {5, at(1)}, {6, at(14)}},
		{{3, at(0)}, {6, at(15)}},
	}
	v, err := newVisible(written, seen)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(v.early, samples{50, 50, 0}) || len(v.pairs) != 6 || v.pairs.at(0) != 0 || v.pairs.at(0.5) != 2*time.Millisecond || v.pairs.at(1) != 13*time.Millisecond {
		t.Errorf("%v early, pairs %v", v.early, v.pairs)
	}
	if v.all.at(0) != 3*time.Millisecond || v.all.at(1) != 13*time.Millisecond || v.reach.at(1) != 15*time.Millisecond || v.commit.at(1) != 2*time.Millisecond {
		t.Errorf("on all %v, reach %v, commit %v", v.all, v.reach, v.commit)
	}
	if _, err := newVisible(written, [][]sight{{{5, at(1)}}}); err == nil {
		t.Error("a revision that was never seen")
	}
}

func TestWriteFails(t *testing.T) {
	f, err := openFleet(t.Context(), testRun(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.write(t.Context(), testRun(t), syncSize{rate: 100, lasts: 20 * time.Millisecond}); err == nil {
		t.Error("writes to a catalog that is closed")
	}
}
