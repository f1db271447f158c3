package bench

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// A distribution is every sample of a duration, in ascending order. Nothing is thrown together before it is asked, so its
// quantiles are samples, not estimates.
type distribution []time.Duration

// newDistribution takes the samples over.
func newDistribution(samples []time.Duration) distribution {
	slices.Sort(samples)
	return samples
}

// at returns the smallest sample that at least the share q of all, 0–1, does not exceed (nearest rank); 0 of none.
func (d distribution) at(q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	rank := int(math.Ceil(q * float64(len(d))))
	return d[min(max(rank, 1), len(d))-1]
}

// ms are all samples in milliseconds.
func (d distribution) ms() (all samples) {
	for _, sample := range d {
		all = append(all, ms(sample))
	}
	return all
}

// quantiles asks each of several distributions, and answers in milliseconds.
func quantiles(parts []distribution, q float64) (all samples) {
	for _, d := range parts {
		all = append(all, ms(d.at(q)))
	}
	return all
}

// quantile reports one of samples that were taken one after another, with that of parts of the time as its spread.
func (r *Report) quantile(name string, taken []time.Duration, q float64) {
	whole := newDistribution(slices.Clone(taken))
	r.figure(name, ms(whole.at(q)), "ms").spread(quantiles(partsOf(taken, minRounds), q))
}

// partsOf cuts samples that were taken one after another into n parts of the time; fewer, when there are fewer samples.
func partsOf(taken []time.Duration, n int) (parts []distribution) {
	n = min(n, len(taken))
	for i := range n {
		parts = append(parts, newDistribution(slices.Clone(taken[i*len(taken)/n:(i+1)*len(taken)/n])))
	}
	return parts
}

// distributionHead are the columns of row.
func distributionHead(of string) []string {
	return []string{of, "COUNT", "P50 ms", "P90 ms", "P99 ms", "P99.9 ms", "MAX ms"}
}

func (d distribution) row(name string) []string {
	row := []string{name, grouped(int64(len(d)))}
	for _, q := range []float64{0.5, 0.9, 0.99, 0.999, 1} {
		row = append(row, number(ms(d.at(q))))
	}
	return row
}

// maxPoints is how many points of a distribution are drawn: more cannot be told apart.
const maxPoints = 300

// series returns d as points of a latencyPlot. A sample that the share q of the others does not exceed is at 1/(1−q), so
// that on a logarithmic axis each nine has the same width, as in the plots of HdrHistogram: what load is measured for is
// the slow end, of which a plain cumulative distribution shows nothing behind its 99 %. The slowest of n is at n.
func (d distribution) series(name string) Series {
	s := Series{Name: name}
	for drawn, i := -1, 0; i < min(len(d), maxPoints); i++ {
		if rank := d.rankOf(i); rank > drawn {
			s.Points = append(s.Points, Point{float64(len(d)) / float64(len(d)-rank), ms(d[rank])})
			drawn = rank
		}
	}
	return s
}

// rankOf returns the index of the i-th of maxPoints samples that have the same distance on the scale of series; without a
// choice, i.
func (d distribution) rankOf(i int) int {
	if len(d) <= maxPoints {
		return i
	}
	n := float64(len(d))
	left := math.Pow(n, 1-float64(i)/(maxPoints-1)) // samples from this on
	return len(d) - min(max(int(math.Round(left)), 1), len(d))
}

// latencyPlot shows what distribution.series returns. Milliseconds are logarithmic, too: one series may be thousands of
// times another.
func latencyPlot(title string, series ...Series) Plot {
	return Plot{Title: title, X: Axis{Label: "share of requests", Log: true}, Y: Axis{Label: "ms", Log: true}, Series: series, nines: true}
}

// steps are the bounds of a histogram's buckets within a decade.
var steps = [...]float64{1, 1.5, 2, 3, 5, 7}

// barWidth is the fullest bucket's, in characters.
const barWidth = 40

// histogram draws d with buckets whose bounds grow like the samples do; zeros have one of their own.
func (d distribution) histogram(title string) Table {
	t := Table{Title: title, Head: []string{"UP TO ms", "COUNT", "SHARE", ""}}
	zeros, _ := slices.BinarySearch(d, 1)
	counts, bounds := d[zeros:].buckets()
	if zeros > 0 {
		counts, bounds = slices.Insert(counts, 0, zeros), slices.Insert(bounds, 0, 0)
	}
	fullest := slices.Max(append(counts, 0))
	for i, n := range counts {
		share := fmt.Sprintf("%.2f %%", 100*float64(n)/float64(len(d)))
		t.Rows = append(t.Rows, []string{number(ms(bounds[i])), grouped(int64(n)), share, bar(n, fullest)})
	}
	return t
}

// buckets counts the samples up to each bound that are above the bound before, from the first bucket with a sample to the
// last. Up to 10 µs there is one bucket.
func (d distribution) buckets() (counts []int, bounds []time.Duration) {
	rest := d
	for decade := float64(10 * time.Microsecond); len(rest) > 0; decade *= 10 {
		for _, step := range steps {
			bound := time.Duration(decade * step)
			n, _ := slices.BinarySearch(rest, bound+1)
			rest = rest[n:]
			if n > 0 || len(counts) > 0 && len(rest) > 0 {
				counts, bounds = append(counts, n), append(bounds, bound)
			}
		}
	}
	return counts, bounds
}

// bar draws n as a part of most; what is there at all is seen.
func bar(n, most int) string {
	if width := n * barWidth / most; width > 0 || n == 0 {
		return strings.Repeat("█", width)
	}
	return "▏"
}
