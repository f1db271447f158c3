package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// traceFile records a trace of an access log, as the program does.
func traceFile(t *testing.T, log string) (path string) {
	t.Helper()
	var trace bytes.Buffer
	if _, _, err := Record(&trace, strings.NewReader(log)); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "day.trace")
	if err := os.WriteFile(path, trace.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// logOf is an access log with these paths within a second.
func logOf(paths ...string) string {
	var log strings.Builder
	for _, p := range paths {
		fmt.Fprintf(&log, "::1 - - [01/Mar/2026:10:00:01 +0000] \"GET %s HTTP/1.1\" 200 1\n", p)
	}
	return log.String()
}

var recorded = logOf(
	"/shop/thumb/a.jpg", "/shop/thumb,q=60/a.jpg", "/shop/w=40/a.jpg", "/blog/original/sub/b%20c.jpg", "/blog/info/sub/b%20c.jpg",
	"/blog/hero-2x/sub/b%20c.jpg?v=1", "/shop/thumb/a.jpg", "/shop/f=webp,w=60/d.jpg",
)

// A trace of somebody else's day is answered as a whole by a server that was started for it.
func TestReplay(t *testing.T) {
	r := testRun(t)
	r.Quick, r.Trace = true, traceFile(t, recorded)
	if err := mixedScenario(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	r.report.once(t)
	if failures := r.report.value(t, "replay_failures"); failures != 0 {
		t.Errorf("%v failures: %v", failures, r.report.Tables)
	}
	sum := 0.0
	for _, tier := range append([]string{"miss"}, hitTiers...) {
		sum += r.report.value(t, "replay_"+tier+"_percent")
	}
	if sum < 80 || sum > 101 {
		t.Errorf("the tiers are %v %% together", sum)
	}
	if offered, answered := r.report.value(t, "replay_offered_per_second"), r.report.value(t, "replay_answered_per_second"); offered < 8 || offered > 10 || answered <= 0 {
		t.Errorf("%v offered, %v answered", offered, answered)
	}
	if p50, p99 := r.report.value(t, "replay_p50_ms"), r.report.value(t, "replay_p99_ms"); p50 <= 0 || p99 < p50 {
		t.Errorf("P50 %v, P99 %v", p50, p99)
	}
	ended(t)
}

// A target that has nothing of it answers with 404: failures, and no figure of what was not answered.
func TestReplayAtATarget(t *testing.T) {
	r := testRun(t)
	api := targetServer(t, r)
	r.Trace = traceFile(t, recorded)
	if err := replayScenario(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	r.report.once(t)
	if r.report.value(t, "replay_failures") != 8 || r.report.value(t, "replay_answered_per_second") != 0 || r.report.value(t, "replay_shed") != 0 || len(r.report.Figures) != 5 {
		t.Errorf("%v", r.report.Figures)
	}
	if said := r.report.counted(t, "failed"); !strings.Contains(said, "/shop/") || !strings.Contains(said, "404") {
		t.Error(said)
	}
	if left := products(t, api); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A long trace goes by faster.
func TestScheduleOf(t *testing.T) {
	visits := []Visit{{0, "/a"}, {60_000, "/b"}, {3_600_000, "/c"}}
	for quick, want := range map[bool]time.Duration{true: maxQuickReplay, false: maxReplay} {
		s, faster := (&run{Options: Options{Quick: quick}}).scheduleOf(visits)
		if s.n != 3 || s.lasts() != want || s.due(1) != want/60 || faster != float64(time.Hour/want) {
			t.Errorf("%d visits in %v, the second at %v", s.n, s.lasts(), s.due(1))
		}
	}
	short, faster := (&run{}).scheduleOf(visits[:2])
	if short.lasts() != time.Minute || short.due(1) != time.Minute || faster != 1 {
		t.Errorf("a minute takes %v", short.lasts())
	}
}

func TestPathParts(t *testing.T) {
	for path, want := range map[string]string{
		"/shop/thumb/a/b%20c.jpg?v=1": "shop thumb a/b c.jpg true", "/shop/thumb": "   false", "/shop//a": "   false", "/": "   false", "/a/b/%zz": "a b  false",
	} {
		product, options, name, ok := pathParts(path)
		if got := fmt.Sprint(product, " ", options, " ", name, " ", ok); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}
