package bench

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/bench/corpus"
)

var tinyOverload = overloadSize{original: [2]int{900, 600}, loads: []float64{0.25, 4}, rounds: 1, lasts: 150 * time.Millisecond, hits: 20, queue: 128}

func TestOverload(t *testing.T) {
	r := testRun(t)
	r.Peers = []Peer{{"imagor", answering(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })}}
	if err := overload(t.Context(), r, tinyOverload); err != nil {
		t.Fatal(err)
	}
	r.report.once(t)
	if r.report.value(t, "overload_capacity_per_second") <= 0 {
		t.Error(r.report.Figures)
	}
	for _, f := range r.report.Figures {
		if strings.HasSuffix(f.Name, "_percent") && f.Value > 100 {
			t.Errorf("%+v", f)
		}
	}
	if len(r.report.Notes) == 0 || !strings.HasPrefix(r.report.Notes[0], "imagor is not counted: ") {
		t.Errorf("%q", r.report.Notes)
	}
	if said := r.report.counted(t, "imagor"); !strings.Contains(said, "no picture") || len(r.report.figuresOf("imagor")) > 0 {
		t.Error(said)
	}
	limits := r.report.Tables[len(r.report.Tables)-1]
	if limits.Title != "Who is the limit" || len(limits.Rows) != 2 {
		t.Fatalf("%+v", limits)
	}
	for _, row := range limits.Rows {
		if !strings.Contains(row[1], "limit") {
			t.Errorf("%q", row)
		}
	}
	if len(r.report.Plots) != 3 {
		t.Errorf("plots %v", r.report.Plots)
	}
	ended(t)
}

func TestOverloadAtARate(t *testing.T) {
	r := testRun(t)
	size := tinyOverload
	size.rate = 20
	if err := overload(t.Context(), r, size); err != nil {
		t.Fatal(err)
	}
	r.report.once(t)
	if limits := r.report.Tables[len(r.report.Tables)-1]; len(limits.Rows) != 1 {
		t.Errorf("%+v", limits)
	}
}

// Nothing is asked for twice, however long it goes on.
func TestColdIsCold(t *testing.T) {
	f := &field{run: testRun(t), product: "p", origin: &origin{}}
	b := &overloadBench{studio: newStudio(f), files: []corpus.File{{Name: "a"}, {Name: "b"}, {Name: "c"}}}
	s := &subject{grammar: f.ownPath}
	seen := map[string]bool{}
	for range len(b.files) * coldWidths * coldQualities {
		seen[b.cold(s).url] = true
	}
	if len(seen) != len(b.files)*coldWidths*coldQualities {
		t.Errorf("%d different ones", len(seen))
	}
	d := &day{on: &subject{}, products: []string{"p"}, size: daySize{originals: 3}}
	clear(seen)
	for range d.size.originals * 400 * 70 {
		seen[d.rare().url] = true
	}
	if len(seen) != d.size.originals*400*70 {
		t.Errorf("%d different ones of a day", len(seen))
	}
	if few, many := (overloadSize{lasts: time.Second, rate: 1}).copies(), (overloadSize{lasts: time.Hour}).copies(); few < 1 || many < 80 {
		t.Errorf("of %d copies, of %d", few, many)
	}
}

func TestLoadName(t *testing.T) {
	for load, want := range map[float64]string{0.5: "0_5x", 1: "1x", 4: "4x", 1.25: "1_25x"} {
		if got := loadName(load); got != want {
			t.Errorf("%v is %s, want %s", load, got, want)
		}
	}
}
