package bench

import (
	"maps"
	"slices"
	"strings"
)

// A comparison is what rounds have measured of one thing at each subject.
type comparison struct {
	name, unit string
	rounds     map[*subject]map[int]float64 // by their numbers: one that says nothing of a subject is none of its
	whole      map[*subject]float64         // what all rounds have together, where that is not their median
}

func newComparison(name, unit string) *comparison {
	return &comparison{name: name, unit: unit, rounds: map[*subject]map[int]float64{}, whole: map[*subject]float64{}}
}

func (c *comparison) add(t turn, v float64) {
	if c.rounds[t.subject] == nil {
		c.rounds[t.subject] = map[int]float64{}
	}
	c.rounds[t.subject][t.round] = v
}

// most notes what a subject had in a round, when that is the most of it.
func (c *comparison) most(t turn, v float64) {
	c.add(t, max(v, c.rounds[t.subject][t.round]))
}

// of is what a subject had, in the order of the rounds.
func (c *comparison) of(s *subject) (all samples) {
	for _, round := range slices.Sorted(maps.Keys(c.rounds[s])) {
		all = append(all, c.rounds[s][round])
	}
	return all
}

// over divides what a subject had in each round by what another had in the same, which was next to it in time. Nothing is
// divided by 0: that is less than can be measured.
func (c *comparison) over(s, other *subject) (ratios samples) {
	for _, round := range slices.Sorted(maps.Keys(c.rounds[s])) {
		if v := c.rounds[other][round]; v != 0 {
			ratios = append(ratios, c.rounds[s][round]/v)
		}
	}
	return ratios
}

// report reports the program's figure as NAME, a peer's as NAME_PEER, and the first divided by the second, round by round, as
// NAME_ratio_PEER. What the program has not done has no figure.
func (c *comparison) report(r *Report, own *subject, peers []*subject) {
	if len(c.rounds[own]) == 0 {
		return
	}
	c.figure(r, c.name, own)
	for _, p := range peers {
		if rounds := c.of(p); p.out == nil && len(rounds) > 0 {
			c.figure(r, c.name+"_"+figureName(p.name), p)
			r.median(c.name+"_ratio_"+figureName(p.name), c.over(own, p), "×")
		}
	}
}

// figure reports what a subject had.
func (c *comparison) figure(r *Report, name string, s *subject) {
	f := r.figure(name, c.value(s), c.unit).spread(c.of(s))
	f.rounds = c.of(s)
}

func (c *comparison) value(s *subject) float64 {
	if v, ok := c.whole[s]; ok {
		return v
	}
	return c.of(s).median()
}

// cells are a table's row of what each subject had: the median, and behind it what the program's is to it.
func (c *comparison) cells(own *subject, peers []*subject) (cells []string) {
	cells = append(cells, c.unit)
	for _, s := range append([]*subject{own}, peers...) {
		rounds := c.of(s)
		switch {
		case s.out != nil || len(rounds) == 0:
			cells = append(cells, "–")
		case s == own:
			cells = append(cells, number(c.value(s)))
		default:
			cells = append(cells, number(c.value(s))+spelledRatio(c.over(own, s)))
		}
	}
	return cells
}

// plot draws the rounds of each subject.
func (c *comparison) plot(subjects []*subject) Plot {
	p := Plot{Title: c.name, X: Axis{Label: "round"}, Y: Axis{Label: c.unit}}
	for _, s := range subjects {
		if rounds := c.of(s); s.out == nil && len(rounds) > 0 {
			p.Series = append(p.Series, rounds.series(s.name))
		}
	}
	return p
}

func spelledRatio(rounds samples) string {
	if len(rounds) == 0 {
		return ""
	}
	return "  " + newRatio(rounds).String()
}

// comparisonHead are the columns of what comparisons have as cells.
func comparisonHead(of string, peers []*subject) []string {
	head := []string{of, "UNIT", strings.ToUpper(ownName)}
	for _, p := range peers {
		head = append(head, strings.ToUpper(p.name)+"  OURS ÷ IT (95 %)")
	}
	return head
}

// figureName is a peer's name as a part of a figure's.
func figureName(name string) string { return strings.ReplaceAll(name, "-", "_") }
