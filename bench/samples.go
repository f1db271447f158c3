package bench

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
)

// minRounds is how many rounds a comparison needs: with fewer there is no interval that holds the median with 95 %.
const minRounds = 6

// samples are what the rounds of one thing have measured, in the order of the rounds.
type samples []float64

// median is 0 of none.
func (s samples) median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[n/2] + sorted[(n-1)/2]) / 2
}

// at returns the smallest sample that at least the share q of all, 0–1, does not exceed (nearest rank); 0 of none.
func (s samples) at(q float64) float64 {
	sorted := slices.Sorted(slices.Values(s))
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// mean is that of one at least.
func (s samples) mean() (mean float64) {
	for _, v := range s {
		mean += v / float64(len(s))
	}
	return mean
}

// spread spells the lowest and the highest.
func (s samples) spread() string { return number(slices.Min(s)) + " – " + number(slices.Max(s)) }

// series draws the rounds one after another.
func (s samples) series(name string) Series {
	line := Series{Name: name}
	for i, v := range s {
		line.Points = append(line.Points, Point{float64(i + 1), v})
	}
	return line
}

// A ratio is the median of rounds that were divided by rounds, and the interval that holds it with a confidence of 95 %.
type ratio struct{ center, low, high float64 }

// newRatio assumes nothing of how the rounds are distributed, of which there is one at least. Of fewer than minRounds the
// interval has no bounds.
func newRatio(rounds samples) ratio {
	sorted := benchmath.NewSample(slices.Clone(rounds), &benchmath.DefaultThresholds)
	s := benchmath.AssumeNothing.Summary(sorted, 0.95)
	return ratio{s.Center, s.Lo, s.Hi}
}

// bounded reports whether there is an interval.
func (r ratio) bounded() bool { return !math.IsInf(r.low, 0) && !math.IsInf(r.high, 0) }

func (r ratio) String() string {
	if !r.bounded() {
		return number(r.center) + "×"
	}
	return fmt.Sprintf("%s× (%s–%s)", number(r.center), number(r.low), number(r.high))
}

// Benchmarks writes every figure as a line of the Go benchmark format, one for each round, for benchstat
// (golang.org/x/perf/cmd/benchstat).
func (r *Report) Benchmarks(w io.Writer) error {
	out := benchfmt.NewWriter(w)
	for _, unit := range r.rates() {
		key := benchfmt.UnitMetadataKey{Unit: unit, Key: "better"}
		if err := out.Write(&benchfmt.UnitMetadata{UnitMetadataKey: key, OrigUnit: unit, Value: "higher"}); err != nil {
			return err
		}
	}
	for _, f := range r.Figures {
		rounds := f.rounds
		if len(rounds) == 0 {
			rounds = samples{f.Value}
		}
		for _, v := range rounds {
			if err := out.Write(r.benchmark(f, v)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Report) benchmark(f *Figure, v float64) *benchfmt.Result {
	name := strings.ToUpper(r.Scenario[:1]) + r.Scenario[1:] + "/" + f.Name
	return &benchfmt.Result{
		Config: []benchfmt.Config{
			{Key: "goos", Value: []byte(runtime.GOOS), File: true},
			{Key: "goarch", Value: []byte(runtime.GOARCH), File: true},
			{Key: "pkg", Value: []byte("github.com/assetmatrix/assetmatrix/bench"), File: true},
			{Key: "cpu", Value: []byte(r.Environment.CPU), File: true},
		},
		Name: benchfmt.Name(name), Iters: 1, Values: []benchfmt.Value{{Value: v, Unit: f.benchUnit()}},
	}
}

// benchUnit has no spaces, and a name where the figure has none.
func (f *Figure) benchUnit() string {
	return strings.ReplaceAll(cmp.Or(f.Unit, "value"), " ", "-")
}

// rates are the units of which more is better.
func (r *Report) rates() (units []string) {
	for _, f := range r.Figures {
		if u := f.benchUnit(); strings.HasSuffix(u, "/s") && !slices.Contains(units, u) {
			units = append(units, u)
		}
	}
	return units
}
