package bench

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/catalog"
)

var tinyCatalog = catalogSize{
	name: "tiny", population: population{products: 3, each: 300}, journal: 60, lookups: 400, rounds: 3, restarts: 2,
	perSecond: 1, ready: time.Minute, heap: 1 << 30,
}

func TestCatalog(t *testing.T) {
	r := testRun(t)
	if err := catalogs(t.Context(), r, tinyCatalog); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"lookups_per_second_tiny", "lookups_per_second_quiet_tiny", "resolve_ns_tiny", "resolve_ns", "bytes_per_asset_tiny", "bytes_per_asset",
		"heap_bytes_tiny", "memory_latency_ns_tiny", "restart_ready_ms_tiny", "restart_ready_max_ms_tiny",
	} {
		if r.report.value(t, name) <= 0 {
			t.Errorf("%s is %v", name, r.report.value(t, name))
		}
	}
	if n := r.report.value(t, "lookup_allocs"); n != 0 {
		t.Errorf("a lookup allocates %v times", n)
	}
	if n := r.report.value(t, "bytes_per_asset"); n < 100 || n > 10_000 {
		t.Errorf("an asset takes %v bytes", n)
	}
	if left, err := os.ReadDir(r.place.path); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFullCatalogKeepsItsNames(t *testing.T) {
	r, one := new(Report), pace{samples{1}, samples{1}}
	for _, name := range []string{"1m", "10m"} {
		m := &measured{size: catalogSize{name: name, population: population{1, 1}}, journaled: 1, quiet: one, busy: one, resolves: one}
		m.reportTo(r)
		m.reportLast(&Report{})
	}
	for _, name := range []string{"lookups_per_second_1m", "lookups_per_second_10m", "heap_bytes_10m", "restart_ready_ms_1m", "restart_ready_ms_10m"} {
		r.value(t, name)
	}
}

// What cannot be measured is an error, and leaves no process behind.
func TestRestartFails(t *testing.T) {
	for program, words := range map[string]string{"/bin/false": "ended", "/nowhere/assetmatrix": "no such file"} {
		r := testRun(t)
		r.Program = program
		b := &catalogBench{run: r, size: tinyCatalog, cfg: catalog.DefaultConfig(), m: new(measured)}
		b.cfg.Dir = t.TempDir()
		if err := b.restart(t.Context()); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", program, err)
		}
		if left, err := os.ReadDir(r.path("tiny")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

func TestCopyReplica(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "catalog")
	for name, text := range map[string]string{"base-1": "base", "journal": "journal", "lock": "1", "jetstream/block": "block"} {
		path := filepath.Join(from, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := copyReplica(to, from); err != nil {
		t.Fatal(err)
	}
	if names, _ := filepath.Glob(filepath.Join(to, "*")); len(names) != 2 {
		t.Errorf("copied: %v", names)
	}
	a, err1 := os.Stat(filepath.Join(from, "base-1"))
	b, err2 := os.Stat(filepath.Join(to, "base-1"))
	if err := errors.Join(err1, err2); err != nil || !os.SameFile(a, b) {
		t.Errorf("the base is another file: %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(to, "journal")); string(text) != "journal" || err != nil {
		t.Errorf("the journal: %q, %v", text, err)
	}
	for _, missing := range []string{filepath.Join(from, "nothing"), from} {
		if err := copyReplica(to, missing); err == nil {
			t.Errorf("%s over %s", missing, to) // nothing there, or there already
		}
	}
}

func TestAllocations(t *testing.T) {
	var keep []byte
	n, err := allocations(1000, func(int) error { keep = make([]byte, 1<<10); return nil })
	if n != 1 || err != nil || len(keep) == 0 {
		t.Errorf("%v allocations, %v", n, err)
	}
	if n, err := allocations(100_000, func(int) error { return nil }); n != 0 || err != nil {
		t.Errorf("%v allocations, %v", n, err)
	}
	if _, err := allocations(1, func(int) error { return errLost }); !errors.Is(err, errLost) {
		t.Errorf("%v", err)
	}
}

func TestRates(t *testing.T) {
	r := samples{3000, 1000, 2000}
	if r.median() != 2000 || r.spread() != "1,000 – 3,000" {
		t.Errorf("%v, %s", r.median(), r.spread())
	}
	if math.IsNaN(samples{0}.median()) {
		t.Error("no rate is a number as well")
	}
}

func TestRounds(t *testing.T) {
	b := &catalogBench{run: testRun(t), size: tinyCatalog}
	calls := 0
	var got pace
	err := b.rounds(t.Context(), "", func() error { return got.measure(10, func(int) error { calls++; return nil }) })
	if len(got.clock) != 3 || len(got.cpu) != 3 || calls != 30 || err != nil {
		t.Errorf("%v, %d calls, %v", got, calls, err)
	}
	if err := b.rounds(t.Context(), "", func() error { return got.measure(10, func(int) error { return errLost }) }); !errors.Is(err, errLost) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.rounds(ctx, "", func() error { t.Error("a round"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
