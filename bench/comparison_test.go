package bench

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"
)

func TestComparison(t *testing.T) {
	own, slow, out, silent, free := &subject{name: ownName}, &subject{name: "nginx-slow"}, &subject{name: "imagor", out: errors.New("wrong")}, &subject{name: "weserv"}, &subject{name: "varnish"}
	peers := []*subject{slow, out, silent, free}
	c := newComparison("hit", "req/s")
	for i := range minRounds {
		c.add(turn{own, i}, float64(20+2*i))
		c.add(turn{slow, i}, float64(10+i))
		c.add(turn{out, i}, 1)
		c.add(turn{free, i}, 0) // of which no ratio can be said
	}
	var r Report
	c.report(&r, own, peers)
	figures := map[string]float64{}
	for _, f := range r.Figures {
		figures[f.Name] = f.Value
	}
	if want := map[string]float64{"hit": 25, "hit_nginx_slow": 12.5, "hit_ratio_nginx_slow": 2, "hit_varnish": 0}; !maps.Equal(figures, want) {
		t.Errorf("%v, want %v", figures, want)
	}
	if of := r.Figures[2]; *of.Low != 2 || *of.High != 2 || of.Unit != "×" {
		t.Errorf("%+v", of)
	}
	if _, err := json.Marshal(&r); err != nil {
		t.Error(err)
	}
	if got, want := c.cells(own, peers), []string{"req/s", "25", "12.5  2× (2–2)", "–", "–", "0"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if head := comparisonHead("A", peers); len(head) != 3+len(peers) {
		t.Errorf("%q", head)
	}
	r = Report{}
	c.report(&r, &subject{}, peers)
	if len(r.Figures) > 0 {
		t.Errorf("what the program has not done has figures: %+v", r.Figures)
	}
}

// Rounds are divided by their neighbours in time, also when one had none, and nothing by nothing.
func TestComparisonOver(t *testing.T) {
	own, other := &subject{name: ownName}, &subject{name: "nginx"}
	const none = -1
	over := func(a, b, want samples) {
		t.Helper()
		c := newComparison("hit", "req/s")
		for s, rounds := range map[*subject]samples{own: a, other: b} {
			for i, v := range rounds {
				if v != none {
					c.add(turn{s, i}, v)
				}
			}
		}
		if got := c.over(own, other); !slices.Equal(got, want) {
			t.Errorf("%v over %v is %v, want %v", a, b, got, want)
		}
	}
	over(samples{10, 20, 30}, samples{5, 40, 10}, samples{2, 0.5, 3})
	over(samples{10, 20, 30}, samples{5}, samples{2})
	over(samples{10, none, 30}, samples{none, 40, 10}, samples{3})
	over(samples{10, 20}, samples{0, 5}, samples{4})
	over(samples{10}, samples{0}, nil)
	over(nil, samples{1}, nil)
}
