package bench

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

var tinyMixed = mixedSize{daySize: tinyDay, rounds: 2, lasts: 300 * time.Millisecond, memory: 1 << 20}

func TestMixed(t *testing.T) {
	r := testRun(t)
	if err := mixed(t.Context(), r, tinyMixed); err != nil {
		t.Fatal(err)
	}
	r.report.once(t)
	r.report.value(t, "mixed_failures")
	if said := fmt.Sprint(r.report.Tables); strings.Contains(said, "the generator (at most") {
		t.Log(said) // on a busy machine nothing may have been measured
		return
	}
	sum := 0.0
	for _, tier := range append([]string{"miss"}, hitTiers...) {
		sum += r.report.value(t, "mixed_"+tier+"_percent")
	}
	hit := r.report.value(t, "mixed_hit_percent")
	if math.Abs(sum-100) > 5 || math.Abs(hit+r.report.value(t, "mixed_miss_percent")-100) > 5 { // medians of two parts
		t.Errorf("the tiers are %v %% together, hits %v %%", sum, hit)
	}
	if r.report.value(t, "mixed_saturated_renders_per_second") <= 0 || r.report.value(t, "mixed_failures") != 0 {
		t.Error(r.report.Figures, r.report.Tables)
	}
	ended(t)
}

func TestDayParts(t *testing.T) {
	var p dayParts
	all := map[string]distribution{}
	o := &offer{unanswered: 1, tiers: map[string]distribution{"memory": {time.Millisecond, 3 * time.Millisecond}, "disk": {2 * time.Millisecond}, "miss": {time.Second}}}
	o.latencies, o.failed, o.shed = make(distribution, 4), 1, 2
	p.take(o, all)
	for tier, want := range map[string]float64{"memory": 50, "disk": 25, "metadata": 0, "miss": 25, "hit": 75} {
		if got := p.ratio[tier]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v %%, want %v", tier, got, want)
		}
	}
	if p.p50[0] != 2 || p.p99[0] != 3 || math.Abs(p.lost[0]-100*3.0/7) > 1e-9 || len(p.all) != 3 || len(all["memory"]) != 2 {
		t.Errorf("%+v, %v", p, all)
	}
}

// What was answered by nobody has no share and no latency.
func TestDayPartsOfNothing(t *testing.T) {
	var p dayParts
	p.take(&offer{tally: tally{shed: 3}}, nil)
	if p.lost[0] != 100 || len(p.ratio["hit"]) > 0 || len(p.p50) > 0 {
		t.Errorf("%+v", p)
	}
	missed := &offer{tiers: map[string]distribution{"miss": {time.Second}}}
	missed.latencies = distribution{time.Second}
	p.take(missed, nil)
	if len(p.p50) > 0 || p.ratio["miss"][0] != 100 {
		t.Errorf("no hit took %v ms", p.p50)
	}
}

// What the generator did not send is nobody's figure.
func TestMixedWithoutAPart(t *testing.T) {
	r := testRun(t)
	m := &mixture{
		day: &day{field: &field{run: r, subjects: []*subject{{name: ownName}}}}, behind: &offer{rate: 100, sent: 10},
		failures: []error{errors.New("one"), errors.New("two")}, wrong: 7,
	}
	m.reportTo(r.report)
	if len(r.report.Figures) != 1 || r.report.value(t, "mixed_failures") != 7 {
		t.Errorf("%+v", r.report.Figures)
	}
	if said := r.report.counted(t, "the generator"); !strings.Contains(said, "is the limit") {
		t.Error(said)
	}
	if said := r.report.counted(t, "failed"); said != "one" {
		t.Error(said)
	}
}
