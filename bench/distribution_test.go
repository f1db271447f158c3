package bench

import (
	"strings"
	"testing"
	"time"
)

func TestDistributionAt(t *testing.T) {
	var samples []time.Duration
	for i := range 1000 { // 1 ms to 1000 ms, not in order
		samples = append(samples, time.Duration((i*7)%1000+1)*time.Millisecond)
	}
	d := newDistribution(samples)
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 500, 0.9: 900, 0.99: 990, 0.999: 999, 1: 1000} {
		if got := d.at(q); got != want*time.Millisecond {
			t.Errorf("at %v: %s, want %d ms", q, got, want)
		}
	}
	if one := newDistribution([]time.Duration{7}); one.at(0.5) != 7 || one.at(0.99) != 7 || one.at(0) != 7 {
		t.Errorf("of one sample: %s", one.at(0.5))
	}
	if two := newDistribution([]time.Duration{9, 1}); two.at(0.5) != 1 || two.at(0.51) != 9 {
		t.Errorf("of two samples: %s, %s", two.at(0.5), two.at(0.51))
	}
	if none := newDistribution(nil); none.at(0.5) != 0 {
		t.Errorf("of nothing: %s", none.at(0.5))
	}
}

func TestDistributionRow(t *testing.T) {
	d := newDistribution([]time.Duration{2 * time.Millisecond, time.Millisecond})
	if got := strings.Join(d.row("x"), " "); got != "x 2 1 2 2 2 2" || len(d.row("x")) != len(distributionHead("")) {
		t.Errorf("%s", got)
	}
}

func TestHistogram(t *testing.T) {
	var samples []time.Duration
	for range 80 {
		samples = append(samples, 900*time.Microsecond)
	}
	for range 40 {
		samples = append(samples, 1500*time.Microsecond) // a bound belongs to its bucket
	}
	samples = append(samples, 4*time.Millisecond)
	h := newDistribution(samples).histogram("title")
	got := ""
	for _, row := range h.Rows {
		got += strings.Join(row, "|") + "\n"
	}
	want := "1|80|66.12 %|" + strings.Repeat("█", barWidth) + "\n" +
		"1.5|40|33.06 %|" + strings.Repeat("█", barWidth/2) + "\n" +
		"2|0|0.00 %|\n" +
		"3|0|0.00 %|\n" +
		"5|1|0.83 %|▏\n"
	if got != want || h.Title != "title" {
		t.Errorf("drawn\n%swant\n%s", got, want)
	}
	if none := newDistribution(nil).histogram(""); len(none.Rows) != 0 {
		t.Errorf("of nothing: %v", none.Rows)
	}
	if zero := newDistribution([]time.Duration{0, 3 * time.Hour}).histogram(""); len(zero.Rows) < 2 || zero.Rows[0][1] != "1" || zero.Rows[len(zero.Rows)-1][1] != "1" {
		t.Errorf("of extremes: %v", zero.Rows)
	}
}
