package bench

import (
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
)

// linearTicks are at the multiples of linearStep; the library's own are fewer, and in a short range all have the same label.
func linearTicks(lowest, highest float64) []plot.Tick {
	step := linearStep(lowest, highest)
	var ticks []plot.Tick
	// Adding 0 makes 0 of the −0 that Ceil returns.
	for n := math.Ceil(lowest/step-0.001) + 0; n*step <= highest+step*0.001; n++ {
		ticks = append(ticks, plot.Tick{Value: n * step, Label: tickLabel(n * step)})
	}
	return ticks
}

// linearStep is 1, 2 or 5 times a power of ten, of which a range has at least two and at most six.
func linearStep(lowest, highest float64) float64 {
	least := (highest - lowest) / 6
	step := math.Pow10(int(math.Floor(math.Log10(least))))
	for _, m := range []float64{2, 2.5, 2} {
		if step < least*0.999 {
			step *= m
		}
	}
	return step
}

// linearBounds returns the nearest multiples of linearStep on both sides.
func linearBounds(lowest, highest float64) (low, high float64) {
	step := linearStep(lowest, highest)
	return math.Floor(lowest/step+0.001) * step, math.Ceil(highest/step-0.001) * step
}

// logTicks are at 1 to 9 times each power of ten. The powers are labelled, of many every n-th; of few also 2 and 5.
func logTicks(lowest, highest float64) []plot.Tick {
	first, last := int(math.Floor(math.Log10(lowest))), int(math.Ceil(math.Log10(highest)))
	stride := (last-first)/10 + 1
	var ticks []plot.Tick
	for e := first; e <= last; e++ {
		for m := 1; m <= 9; m++ {
			t := plot.Tick{Value: float64(m) * math.Pow10(e)}
			if t.Value < lowest || t.Value > highest {
				continue
			}
			if m == 1 && (e-first)%stride == 0 || (m == 2 || m == 5) && last-first <= 3 {
				t.Label = tickLabel(t.Value)
			}
			ticks = append(ticks, t)
		}
	}
	return ticks
}

// logBounds returns the nearest 1, 2 or 5 times a power of ten on both sides.
func logBounds(lowest, highest float64) (low, high float64) {
	low, high = math.Pow10(int(math.Floor(math.Log10(lowest)))), math.Pow10(int(math.Ceil(math.Log10(highest))))
	switch {
	case low*5 <= lowest:
		low *= 5
	case low*2 <= lowest:
		low *= 2
	}
	switch {
	case high/5 >= highest:
		high /= 5
	case high/2 >= highest:
		high /= 2
	}
	if low >= high {
		return low / 2, high * 2
	}
	return low, high
}

// ninesTicks are the shares that people ask for, on the scale of distribution.series.
func ninesTicks(_, highest float64) []plot.Tick {
	ticks := []plot.Tick{{Value: 1, Label: "0 %"}, {Value: 2, Label: "50 %"}, {Value: 4, Label: "75 %"}, {Value: 10, Label: "90 %"}, {Value: 100, Label: "99 %"}}
	for nines, value := 1, 1000.0; value <= highest; nines, value = nines+1, value*10 {
		ticks = append(ticks, plot.Tick{Value: value, Label: "99." + strings.Repeat("9", nines) + " %"})
	}
	return ticks
}

// tickLabel spells v with the digits that widen leaves a difference in, in groups of three where it is not too long for that.
func tickLabel(v float64) string {
	short := strconv.FormatFloat(v, 'g', 8, 64)
	if size := math.Abs(v); size >= 1e12 || size > 0 && size < 1e-6 {
		return short
	}
	v, _ = strconv.ParseFloat(short, 64)
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if math.Abs(v) < 1000 {
		return text
	}
	whole, _, _ := strings.Cut(text, ".")
	return grouped(int64(v)) + text[len(whole):]
}
