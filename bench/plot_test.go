package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/plot"
)

// Nothing that can be measured, or come out of a division, keeps a plot from being drawn.
func TestPlotLeavesOut(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for name, c := range map[string]struct {
		points []Point
		drawn  [4]bool // on linear axes, with X logarithmic, Y, both
	}{
		"nothing":          {nil, [4]bool{}},
		"what is no value": {[]Point{{nan, 1}, {1, nan}, {inf, 1}, {1, -inf}, {1e300, 1}, {1, -1e300}}, [4]bool{}},
		"one point":        {[]Point{{3, 3}}, [4]bool{true, true, true, true}},
		"zeros":            {[]Point{{0, 0}, {0, 0}}, [4]bool{true, false, false, false}},
		"below zero":       {[]Point{{-2, 5}, {-1, 7}}, [4]bool{true, false, true, false}},
		"one value":        {[]Point{{1, 7}, {2, 7}}, [4]bool{true, true, true, true}},
		"hardly a range":   {[]Point{{1e15, 7}, {1e15 + 0.125, 7.000000000000001}}, [4]bool{true, true, true, true}},
		"everything":       {[]Point{{1e-30, 1e-30}, {1e30, 1e30}}, [4]bool{true, true, true, true}},
		"next to nothing":  {[]Point{{0, 0}, {5e-324, 1e-300}}, [4]bool{true, false, false, false}},
		"a subnormal":      {[]Point{{5e-324, 5e-324}, {1, 1}}, [4]bool{true, true, true, true}},
	} {
		for i, want := range c.drawn {
			for _, dots := range []bool{false, true} {
				p := Plot{X: Axis{"x", i&1 > 0}, Y: Axis{"y", i&2 > 0}, Series: []Series{{Name: "a name", Points: c.points, Dots: dots}}}
				svg := p.svg()
				if has := strings.Contains(svg, "a name"); has != want || want == (svg == "") || strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
					t.Errorf("%s, axes %d, dots %t: drawn is %t", name, i, dots, has)
				}
				if _, thumbnails := p.Series[0].plotters(0); want && strings.Count(svg, "#0072B2") < 1+min(len(thumbnails), len(p.drawable()[0].Points)) {
					t.Errorf("%s, axes %d, dots %t: only the legend shows it", name, i, dots)
				}
			}
		}
	}
}

// Any two values are a range that has a few labels, each of them once, on either kind of axis.
func TestTicks(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	value := func() float64 { return math.Pow(10, random.Float64()*24-9) }
	for range 20_000 {
		lowest, highest := value(), value()
		axis := plot.Axis{Min: min(lowest, highest), Max: max(lowest, highest)}
		logarithmic := axis
		Axis{}.widen(&axis)
		Axis{Log: true}.widen(&logarithmic)
		for _, ticks := range [][]plot.Tick{linearTicks(axis.Min, axis.Max), logTicks(logarithmic.Min, logarithmic.Max)} {
			if got := labels(ticks); len(got) < 2 || len(got) > 13 || len(slices.Compact(slices.Clone(got))) < len(got) {
				t.Fatalf("%v to %v: %q", lowest, highest, got)
			}
		}
		if logarithmic.Min > min(lowest, highest)*1.0001 || logarithmic.Max < max(lowest, highest)*0.9999 || logarithmic.Min <= 0 {
			t.Fatalf("%v to %v on an axis from %v to %v", lowest, highest, logarithmic.Min, logarithmic.Max)
		}
	}
}

func TestTickLabels(t *testing.T) {
	for _, c := range []struct {
		ticks []plot.Tick
		want  string
	}{
		{logTicks(0.1, 10_000), "0.1 1 10 100 1,000 10,000"},
		{logTicks(0.5, 20), "0.5 1 2 5 10 20"},
		{linearTicks(0, 21_000), "0 5,000 10,000 15,000 20,000"},
		{linearTicks(0, 0.5), "0 0.1 0.2 0.3 0.4 0.5"},
		{linearTicks(-2000, 2000), "-2,000 -1,000 0 1,000 2,000"},
		{linearTicks(1000, 1001), "1,000 1,000.2 1,000.4 1,000.6 1,000.8 1,001"},
		{ninesTicks(1, 10_000), "0 % 50 % 75 % 90 % 99 % 99.9 % 99.99 %"},
	} {
		if got := strings.Join(labels(c.ticks), " "); got != c.want {
			t.Errorf("labelled %s, want %s", got, c.want)
		}
	}
}

func labels(ticks []plot.Tick) []string {
	var all []string
	for _, t := range ticks {
		if t.Label != "" {
			all = append(all, t.Label)
		}
	}
	return all
}

func TestDistributionSeries(t *testing.T) {
	var samples []time.Duration
	for i := range 100_000 {
		samples = append(samples, time.Duration(i)*time.Millisecond)
	}
	s := newDistribution(samples).series("many")
	if n := len(s.Points); s.Name != "many" || n > maxPoints || n < maxPoints/2 {
		t.Errorf("%s has %d points", s.Name, n)
	}
	first, last := s.Points[0], s.Points[len(s.Points)-1]
	if first != (Point{1, 0}) || last != (Point{100_000, 99_999}) {
		t.Errorf("from %v to %v", first, last)
	}
	for _, at := range s.Points {
		if share := 1 - 1/at.X; math.Abs(at.Y-share*100_000) > 1e-3 {
			t.Errorf("the share %v is at %v ms", share, at.Y)
		}
	}
	few := newDistribution([]time.Duration{3 * time.Millisecond, time.Millisecond}).series("")
	if !slices.Equal(few.Points, []Point{{1, 1}, {2, 3}}) {
		t.Errorf("of two: %v", few.Points)
	}
	if none := newDistribution(nil).series("none"); len(none.Points) != 0 {
		t.Errorf("of nothing: %v", none.Points)
	}
}

func TestColours(t *testing.T) {
	for i := range colours {
		s := Series{Points: make([]Point, 1)}
		if p, _ := s.plotters(i); len(p) != 1 || slices.Index(colours[:], colours[i]) != i {
			t.Errorf("colour %d is there twice", i)
		}
	}
	many := Plot{}
	for i := range 3 * len(colours) {
		many.Series = append(many.Series, Series{Name: fmt.Sprint("series ", i), Points: make([]Point, 2*fewPoints)})
	}
	if svg := many.svg(); strings.Count(svg, "stroke-dasharray") != 2*2*len(colours) { // the lines, and the legend
		t.Errorf("%d are dashed", strings.Count(svg, "stroke-dasharray"))
	}
}
