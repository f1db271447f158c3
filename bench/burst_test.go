package bench

import (
	"strings"
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
	if said := r.report.counted(t, "imgproxy-small"); !strings.Contains(said, "is image/webp of 50 × 33, not 100 × 67") || len(r.report.figuresOf("imgproxy-small")) > 0 {
		t.Error(said)
	}
	waits := r.report.Tables[len(r.report.Tables)-1]
	if waits.Rows[0][1] != "40" {
		t.Errorf("%+v", waits)
	}
	ended(t)
}

func TestCountersOfOthers(t *testing.T) {
	if c, err := (&subject{}).counters(t.Context()); err != nil || c != (counters{}) {
		t.Errorf("%+v, %v", c, err)
	}
}
