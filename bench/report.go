package bench

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// A Report is what a run has measured. Its JSON form is what programs read: the scenario, the environment and the
// figures; the tables and plots are for people.
type Report struct {
	Scenario    string      `json:"scenario"`
	Environment Environment `json:"environment"`
	Figures     []*Figure   `json:"figures"`
	Tables      []Table     `json:"-"`
	Plots       []Plot      `json:"-"`
	// Notes say what the figures do not have and why: who was left out, and where the generator was the limit. The tables say it
	// as well.
	Notes []string `json:"-"`
}

// A Figure is one measured value: that of the run, or the median of its rounds.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Target is what was promised, and Met whether it was reached; nil when nothing was promised.
	Target *float64 `json:"target"`
	Met    *bool    `json:"met"`
	// Low and High are the spread, in which a second run's value should lie: the least and the most that the parts of the
	// run had, those of times and rates widened by what the machine varied by. Nil of what has no parts.
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`

	atMost bool    // the target is an upper bound
	raced  bool    // a share that follows from which of two times was the shorter, so that it varies as times do
	rounds samples // what Value is the median of
}

// spread states what the parts of the run had.
func (f *Figure) spread(parts samples) *Figure {
	if len(parts) > 1 {
		low, high := slices.Min(parts), slices.Max(parts)
		f.Low, f.High = &low, &high
	}
	return f
}

// widen widens the spreads of times and rates: on a machine on which fixed work takes factor times as long, or factor times less,
// they are that much more or less. It leaves all spreads with the three digits that are printed, rounded outward.
func (r *Report) widen(factor float64) {
	for _, f := range r.Figures {
		if f.Low == nil {
			continue
		}
		if f.clocked() {
			*f.Low, *f.High = *f.Low/factor, *f.High*factor
		}
		*f.Low, *f.High = outward(*f.Low, math.Floor), outward(*f.High, math.Ceil)
	}
}

// outward keeps three digits, and rounds to the side that to does, unless nothing is cut off.
func outward(v float64, to func(float64) float64) float64 {
	near := rounded(v)
	if v == 0 || math.Abs(near-v) < 1e-9*math.Abs(v) {
		return near
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-2)
	return rounded(to(v/unit) * unit)
}

// clocked reports whether it is a time or a rate, or follows from times.
func (f *Figure) clocked() bool {
	return f.raced || strings.HasSuffix(f.Unit, "/s") || slices.Contains([]string{"ms", "µs", "ns"}, f.Unit)
}

// A Table shows what is behind the figures.
type Table struct {
	Title string
	Head  []string
	Rows  [][]string
}

// figure reports a value nothing was promised of.
func (r *Report) figure(name string, value float64, unit string) *Figure {
	return r.add(&Figure{Name: name, Value: value, Unit: unit})
}

// atLeast reports a value that should be the target or more.
func (r *Report) atLeast(name string, value float64, unit string, target float64) *Figure {
	met := value >= target
	return r.add(&Figure{Name: name, Value: value, Unit: unit, Target: &target, Met: &met})
}

// atMost reports a value that should be the target or less.
func (r *Report) atMost(name string, value float64, unit string, target float64) *Figure {
	met := value <= target
	return r.add(&Figure{Name: name, Value: value, Unit: unit, Target: &target, Met: &met, atMost: true})
}

// median reports the median of rounds, with their spread. Of none it reports nothing, and returns a figure that nobody sees.
func (r *Report) median(name string, rounds samples, unit string) *Figure {
	if len(rounds) == 0 {
		return new(Figure)
	}
	f := r.figure(name, rounds.median(), unit).spread(rounds)
	f.rounds = rounds
	return f
}

func (r *Report) add(f *Figure) *Figure {
	r.Figures = append(r.Figures, f)
	return f
}

func (r *Report) table(t Table) { r.Tables = append(r.Tables, t) }

func (r *Report) plot(p Plot) { r.Plots = append(r.Plots, p) }

func (r *Report) note(text string) { r.Notes = append(r.Notes, text) }

// Print writes the report for a person: the environment, the figures, and the tables behind them. Before it stand the lines
// of [Report.Benchmarks], which benchstat finds among the rest.
func (r *Report) Print(w io.Writer) error {
	if err := r.Benchmarks(w); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "\n%s on %s\n", r.Scenario, r.Environment); err != nil {
		return err
	}
	for _, t := range append([]Table{r.figures()}, r.Tables...) {
		if err := t.print(w); err != nil {
			return err
		}
	}
	return nil
}

func (r *Report) figures() Table {
	t := Table{Head: []string{"FIGURE", "VALUE", "SPREAD", "UNIT", "TARGET", "MET"}}
	for _, f := range r.Figures {
		target, met := f.promise()
		t.Rows = append(t.Rows, []string{f.Name, number(f.Value), f.spelledSpread(), f.Unit, target, met})
	}
	return t
}

func (f *Figure) spelledSpread() string {
	if f.Low == nil {
		return ""
	}
	return number(*f.Low) + "–" + number(*f.High)
}

// promise spells the target and whether it was met.
func (f *Figure) promise() (target, met string) {
	if f.Target == nil {
		return "", ""
	}
	sign, met := "≥ ", "no"
	if f.atMost {
		sign = "≤ "
	}
	if *f.Met {
		met = "yes"
	}
	return sign + number(*f.Target), met
}

func (t Table) print(w io.Writer) error {
	var text strings.Builder
	columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{t.Head}, t.Rows...) {
		fmt.Fprintln(columns, strings.Join(row, "\t"))
	}
	_ = columns.Flush() // into memory
	if _, err := io.WriteString(w, "\n"); err != nil {
		return err
	}
	if t.Title != "" {
		fmt.Fprintln(w, t.Title)
	}
	for line := range strings.Lines(text.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// number spells v with three digits that matter, or all of them in groups of three before the point.
func number(v float64) string {
	if math.Abs(v) >= 1000 {
		return grouped(int64(math.Round(v)))
	}
	return strconv.FormatFloat(rounded(v), 'f', -1, 64)
}

// rounded keeps three digits.
func rounded(v float64) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// ms is d in milliseconds.
func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
