package bench

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"
)

// examplePage is a report with every kind of plot, as the scenarios have them.
func examplePage() *Report {
	r := &Report{Scenario: "sync", Environment: Environment{CPU: "an EPYC", Cores: 2, MemoryBytes: 25e9, Kernel: "6.1", Go: "go1.26", FileSystem: "ext4", Version: "v1"}}
	r.atMost("visible_p50_ms", 1.5, "ms", 2)
	r.atLeast("transactions_per_second", 12_345, "1/s", 20_000)
	r.figure("edges", 64, "edges")
	fast, slow := exampleLatencies(100_000, 300*time.Microsecond), exampleLatencies(2_000, 2*time.Millisecond)
	r.table(Table{Title: "The whole distribution", Head: distributionHead(""), Rows: [][]string{fast.row("on each edge"), slow.row("on all edges")}})
	r.table(slow.histogram("on all edges"))
	r.plot(latencyPlot("Acknowledged → visible", fast.series("on each edge"), slow.series("on all edges"), exampleLatencies(500, 20*time.Millisecond).series("through silos")))
	r.plot(Plot{Title: "Throughput", X: Axis{Label: "offered per second"}, Y: Axis{Label: "answered per second"}, Series: []Series{
		{Name: "this", Points: []Point{{1000, 1000}, {5000, 5000}, {10_000, 9_990}, {20_000, 19_000}, {40_000, 21_000}, {60_000, 20_500}}},
		{Name: "measured elsewhere", Dots: true, Points: []Point{{2000, 1990}, {30_000, 12_000}}},
	}})
	memory := Series{Name: "resident"}
	for i := range 600 {
		memory.Points = append(memory.Points, Point{float64(i), 180 + 90*float64(i%60)/60})
	}
	r.plot(Plot{Title: "Memory", X: Axis{Label: "seconds"}, Y: Axis{Label: "MB"}, Series: []Series{memory}})
	r.plot(latencyPlot("What was never asked", distribution(nil).series("nobody")))
	return r
}

// exampleLatencies are n samples with a long tail.
func exampleLatencies(n int, typical time.Duration) distribution {
	samples := make([]time.Duration, n)
	for i := range samples {
		left := float64(n) / float64(n-i)
		samples[i] = typical + time.Duration(float64(typical)*left/100) + typical*time.Duration(i)/time.Duration(n)
	}
	return newDistribution(samples)
}

func page(t *testing.T, r *Report) string {
	t.Helper()
	var text bytes.Buffer
	if err := r.HTML(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// fetches matches what a browser would fetch or run.
var fetches = regexp.MustCompile(`(?i)\b(src|href)\s*=|url\(|@import|<(script|link|img|iframe)\b`)

func TestPageIsWhole(t *testing.T) {
	r := examplePage()
	text := page(t, r)
	for _, f := range r.Figures {
		if !strings.Contains(text, "<td class=\"text\">"+f.Name+"</td>") {
			t.Errorf("the page has no %s", f.Name)
		}
	}
	for _, part := range []string{
		"an EPYC, 2 cores, 25 GB", "≤ 2", "≥ 20,000", `<tr class="yes">`, `<tr class="no">`, "The whole distribution", "P99.9 ms",
		"Acknowledged → visible", "Throughput", "offered per second", "99.9 %", "nothing to draw",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("the page has no %s", part)
		}
	}
	if found := fetches.FindString(text); found != "" {
		t.Errorf("the page would load something: %s", found)
	}
	if strings.Count(text, "<svg") != 3 || strings.Contains(text, "<?xml") {
		t.Errorf("%d plots", strings.Count(text, "<svg"))
	}
}

// What a name is made of does not become a part of the page.
func TestPageEscapes(t *testing.T) {
	const hostile = `</title></style></text></svg><script src=//evil>"'&`
	r := &Report{Scenario: hostile, Environment: Environment{CPU: hostile, Version: hostile}}
	r.figure(hostile, 1, hostile)
	r.table(Table{Title: hostile, Head: []string{hostile}, Rows: [][]string{{hostile, "more than the head"}, nil}})
	axis := Axis{Label: hostile}
	r.plot(Plot{Title: hostile, X: axis, Y: axis, Series: []Series{{Name: hostile, Points: []Point{{1, 1}}}, {Name: "\xff\x00\n" + hostile, Points: []Point{{1, 2}}}}})
	text := page(t, r)
	if found := fetches.FindString(strings.ReplaceAll(text, "script src=//evil&gt;", "")); found != "" {
		t.Errorf("the page has %s", found)
	}
	for tag, n := range map[string]int{"</title>": 1, "</style>": 1, "</svg>": 1, "<script": 0} {
		if strings.Count(text, tag) != n {
			t.Errorf("%s is there %d times, want %d", tag, strings.Count(text, tag), n)
		}
	}
	if strings.Count(text, "&lt;script src=//evil&gt;") < 10 {
		t.Errorf("the names are not in the page:\n%s", text)
	}
}

func TestPageFails(t *testing.T) {
	if err := examplePage().HTML(failingWriter{}); err == nil {
		t.Error("a page that could not be written")
	}
}
