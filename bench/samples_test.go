package bench

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"golang.org/x/perf/benchfmt"
)

func TestMedian(t *testing.T) {
	median := func(want float64, of ...float64) {
		t.Helper()
		if got := samples(of).median(); got != want {
			t.Errorf("the median of %v is %v, want %v", of, got, want)
		}
	}
	median(0)
	median(3, 3)
	median(2, 3, 1)
	median(2, 9, 1, 2)
	median(2.5, 9, 1, 2, 3)
	in := samples{3, 1, 2}
	if in.median(); !slices.Equal(in, samples{3, 1, 2}) {
		t.Errorf("the rounds are in another order: %v", in)
	}
}

// With so many rounds the interval is from the first order statistic to the last but some, by the binomial distribution
// (Conover, Practical Nonparametric Statistics, §3.2): of 6 the extremes, of 10 the second and the ninth.
func TestRatio(t *testing.T) {
	of := func(rounds samples, want ratio) {
		t.Helper()
		if got := newRatio(rounds); got != want {
			t.Errorf("the ratio of %v is %#v, want %#v", rounds, got, want)
		}
	}
	of(samples{6, 1, 5, 2, 4, 3}, ratio{3.5, 1, 6})
	of(samples{10, 1, 9, 2, 8, 3, 7, 4, 6, 5}, ratio{5.5, 2, 9})
	of(samples{2, 2, 2, 2, 2, 2}, ratio{2, 2, 2})
	of(samples{1, 2, 3, 4, 5}, ratio{3, math.Inf(-1), 5}) // see minRounds
	of(samples{2}, ratio{2, math.Inf(-1), math.Inf(1)})
	for r, want := range map[ratio]string{{3.5, 1, 6}: "3.5× (1–6)", {3, math.Inf(-1), 5}: "3×"} {
		if r.String() != want {
			t.Errorf("%+v is spelled %s, want %s", r, r, want)
		}
	}
}

// Every round is read back by what benchstat reads with.
func TestBenchmarks(t *testing.T) {
	r := &Report{Scenario: "hit", Environment: Environment{CPU: "an EPYC"}}
	r.median("hit_memory_2k_per_second", samples{3, 1, 2}, "req/s")
	r.median("hit_memory_2k_per_second_ratio_nginx_cache", samples{2, 0.5}, "×")
	r.figure("soak_failures", 0, "")
	r.figure("commit_p50", 1.5, "per writer")
	var text bytes.Buffer
	if err := r.Benchmarks(&text); err != nil {
		t.Fatal(err)
	}
	type line struct {
		name, unit string
		value      float64
	}
	var got []line
	units := map[string]string{}
	reader := benchfmt.NewReader(bytes.NewReader(text.Bytes()), "test")
	for reader.Scan() {
		switch record := reader.Result().(type) {
		case *benchfmt.Result:
			if len(record.Values) != 1 || record.GetConfig("cpu") != "an EPYC" {
				t.Errorf("%+v", record)
			}
			got = append(got, line{record.Name.String(), record.Values[0].Unit, record.Values[0].Value})
		case *benchfmt.UnitMetadata:
			units[record.Unit] = record.Key + "=" + record.Value
		default:
			t.Errorf("%+v of\n%s", record, text.String())
		}
	}
	want := []line{
		{"Hit/hit_memory_2k_per_second", "req/s", 3}, {"Hit/hit_memory_2k_per_second", "req/s", 1}, {"Hit/hit_memory_2k_per_second", "req/s", 2},
		{"Hit/hit_memory_2k_per_second_ratio_nginx_cache", "×", 2}, {"Hit/hit_memory_2k_per_second_ratio_nginx_cache", "×", 0.5},
		{"Hit/soak_failures", "value", 0}, {"Hit/commit_p50", "per-writer", 1.5},
	}
	if !slices.Equal(got, want) || reader.Err() != nil {
		t.Errorf("read back\n%v, %v\nwant\n%v", got, reader.Err(), want)
	}
	if len(units) != 1 || units["req/s"] != "better=higher" {
		t.Errorf("units %v", units)
	}
	if err := r.Benchmarks(failingWriter{}); err == nil {
		t.Error("benchmarks that could not be written")
	}
}

// A figure has a spread when there is one, and is a number that JSON has.
func TestFigureSpread(t *testing.T) {
	spread := func(want string, report func(r *Report)) {
		t.Helper()
		var r Report
		report(&r)
		text, err := json.Marshal(r.Figures)
		if err != nil {
			t.Fatal(err)
		}
		if _, got, _ := strings.Cut(string(text), `"met":null`); got != want {
			t.Errorf("%s, want %s at its end", text, want)
		}
	}
	spread(`}]`, func(r *Report) { r.figure("one", 1, "") })
	spread(`}]`, func(r *Report) { r.median("one", samples{1}, "") })
	spread(`,"low":1,"high":3}]`, func(r *Report) { r.median("three", samples{3, 1, 2}, "") })
	spread(`,"low":94.9,"high":95}]`, func(r *Report) { r.median("digits", samples{94.93, 94.95}, "%"); r.widen(2) })
	spread(`,"low":-0.124,"high":0.29}]`, func(r *Report) { r.median("digits", samples{-0.12345, 0.29}, "%"); r.widen(2) })
	spread(`,"low":12300,"high":12400}]`, func(r *Report) { r.median("digits", samples{12345, 12345}, ""); r.widen(2) })
	widened := func(unit string) func(r *Report) {
		return func(r *Report) {
			r.median("on a machine that varies", samples{4, 2}, unit)
			r.figure("one", 1, unit)
			r.widen(2)
		}
	}
	spread(`,"low":1,"high":8},{"name":"one","value":1,"unit":"ms","target":null,"met":null}]`, widened("ms"))
	spread(`,"low":1,"high":8},{"name":"one","value":1,"unit":"req/s","target":null,"met":null}]`, widened("req/s"))
	spread(`,"low":2,"high":4},{"name":"one","value":1,"unit":"×","target":null,"met":null}]`, widened("×"))
	spread(`,"low":2,"high":4},{"name":"one","value":1,"unit":"MB","target":null,"met":null}]`, widened("MB"))
	spread(``, func(r *Report) { r.median("what was not measured", nil, "") })
}
