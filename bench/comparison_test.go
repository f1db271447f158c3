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
		c.add(own, float64(20+2*i))
		c.add(slow, float64(10+i))
		c.add(out, 1)
		c.add(free, 0) // of which no ratio can be said
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
