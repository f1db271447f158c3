package bench

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

func TestBurst(t *testing.T) {
	r := testRun(t)
	r.Peers = []Peer{{"imgproxy", imgproxy(t, func(w want) want { return w })}, {"imgproxy-small", imgproxy(t, func(w want) want { w.width /= 2; return w })}}
	if err := burst(t.Context(), r, burstSize{original: [2]int{300, 200}, clients: 20, width: 100, rounds: 2}); err != nil {
		t.Fatal(err)
	}
	r.report.once(t)
	if renders, reads := r.report.value(t, "burst_renders"), r.report.value(t, "burst_provider_reads"); renders != 1 || reads > 1 {
		t.Errorf("%v renders, %v reads of the original", renders, reads)
	}
	one, p50, p99 := r.report.value(t, "burst_one_ms"), r.report.value(t, "burst_p50_ms"), r.report.value(t, "burst_p99_ms")
	if one <= 0 || p50 <= 0 || p99 < p50 || r.report.value(t, "burst_p99_over_one") <= 0 {
		t.Errorf("one %v ms, P50 %v, P99 %v", one, p50, p99)
	}
	r.report.value(t, "burst_p99_ms_imgproxy")
	if said := r.report.counted(t, "imgproxy-small"); !strings.Contains(said, "is image/webp of 50 × 33, not image/webp of 100 × 67") || len(r.report.figuresOf("imgproxy-small")) > 0 {
		t.Error(said)
	}
	waits := r.report.Tables[len(r.report.Tables)-1]
	if waits.Rows[0][1] != "40" {
		t.Errorf("%+v", waits)
	}
	ended(t)
}

// A peer that says that it is too much has answered as it can: that is said beside its figures.
func TestBurstIsTooMuch(t *testing.T) {
	r := testRun(t)
	playing := playImgproxy(t, func(w want) want { return w })
	var asked atomic.Int64
	r.Peers = []Peer{{"imgproxy", answering(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1)%4 == 0 && strings.Contains(r.URL.Path, "crowd") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		playing(w, r)
	})}}
	if err := burst(t.Context(), r, burstSize{original: [2]int{300, 200}, clients: 40, width: 100, rounds: 1}); err != nil {
		t.Fatal(err)
	}
	if said := r.report.counted(t, "imgproxy"); said != "yes" {
		t.Error(said)
	}
	if shed := r.report.value(t, "burst_shed_percent_imgproxy"); shed != 25 {
		t.Errorf("%v %% shed", shed)
	}
}

// Whoever counts has to be who answers.
func TestBurstAtAnEdge(t *testing.T) {
	r := testRun(t)
	w, err := newMatrixWay(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.end() })
	r.Target, r.Server = "http://"+w.edge.front, "http://"+w.all.control
	if err := burst(t.Context(), r, burstSize{original: [2]int{300, 200}, clients: 20, width: 100, rounds: 2}); err != nil {
		t.Fatal(err)
	}
	r.report.value(t, "burst_p99_ms")
	for _, f := range r.report.Figures {
		if f.Name == "burst_renders" || f.Name == "burst_provider_reads" {
			t.Errorf("%+v", f)
		}
	}
	if len(r.report.Notes) != 1 || !strings.Contains(r.report.Notes[0], "give the URL of its own management API") {
		t.Errorf("%q", r.report.Notes)
	}
}

func TestCountersOfOthers(t *testing.T) {
	if c, err := (&subject{}).counters(t.Context()); err != nil || c != (counters{}) {
		t.Errorf("%+v, %v", c, err)
	}
}
