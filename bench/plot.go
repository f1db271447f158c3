package bench

import (
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A Plot is a picture of what is behind the figures. What cannot be drawn is left out of it: what is not finite, and what
// is not above zero on a logarithmic axis.
type Plot struct {
	Title  string
	X, Y   Axis
	Series []Series

	nines bool // X is as distribution.series has it
}

// An Axis is linear, or logarithmic.
type Axis struct {
	Label string
	Log   bool
}

// A Series is what one line shows.
type Series struct {
	Name   string
	Points []Point
	Dots   bool // marks without a line
}

// A Point is a place in a plot, in the units of its axes.
type Point struct{ X, Y float64 }

// Sizes of a plot; the page makes it as wide as there is room.
const (
	plotWidth    = vg.Length(720)
	plotHeight   = vg.Length(330) // without the legend
	legendLine   = vg.Length(17)
	plotMargin   = vg.Length(6)
	plotFontSize = vg.Length(12)
	// fewPoints are shown as marks on their line: a line between three measurements is a guess, and should look like one.
	fewPoints = 12
	// maxLegendRunes is about what fits in a line of the legend.
	maxLegendRunes = 100
)

// maxDrawn bounds what is drawn, and 1/maxDrawn from below on a logarithmic axis. No figure is near it, and the arithmetic
// of axes is safe within it.
const maxDrawn = 1e30

// colours are those of Okabe and Ito (2008), which people with any kind of colour vision can tell apart; their yellow is
// left out, as it cannot be seen on white. Further series have the same in dashes.
var colours = [...]color.NRGBA{
	{0x00, 0x72, 0xb2, 0xff}, {0xd5, 0x5e, 0x00, 0xff}, {0x00, 0x9e, 0x73, 0xff}, {0xcc, 0x79, 0xa7, 0xff},
	{0xe6, 0x9f, 0x00, 0xff}, {0x56, 0xb4, 0xe9, 0xff}, {0x00, 0x00, 0x00, 0xff},
}

// gridColour stays behind every series.
var gridColour = color.NRGBA{0xe2, 0xe2, 0xe2, 0xff}

// svg draws p; it returns "" when nothing of it can be drawn. The legend is above the data, where it covers none.
func (p Plot) svg() string {
	series := p.drawable()
	if len(series) == 0 {
		return ""
	}
	chart, legend := p.chart(series)
	above := legendLine * vg.Length(len(series))
	canvas := vgsvg.New(plotWidth, plotHeight+above)
	sheet := draw.Crop(draw.New(canvas), plotMargin, -plotMargin, plotMargin, -plotMargin)
	legend.Draw(sheet)
	chart.Draw(draw.Crop(sheet, 0, 0, 0, -above-plotMargin))
	var text strings.Builder
	_, _ = canvas.WriteTo(&text) // into memory
	return text.String()[strings.Index(text.String(), "<svg"):]
}

// drawable returns the series with what can be drawn of them, without those of which that is nothing.
func (p Plot) drawable() []Series {
	var all []Series
	for _, s := range p.Series {
		var points []Point
		for _, at := range s.Points {
			if p.X.draws(at.X) && p.Y.draws(at.Y) {
				points = append(points, at)
			}
		}
		if len(points) > 0 {
			all = append(all, Series{s.Name, points, s.Dots})
		}
	}
	return all
}

func (a Axis) draws(v float64) bool {
	if a.Log {
		return v >= 1/maxDrawn && v <= maxDrawn
	}
	return math.Abs(v) <= maxDrawn // false of NaN
}

// chart lays the series out on their axes.
func (p Plot) chart(series []Series) (*plot.Plot, plot.Legend) {
	chart, legend := plot.New(), plot.NewLegend()
	chart.BackgroundColor = nil
	legend.TextStyle.Font, legend.Top, legend.Left, legend.Padding = plotFont(), true, true, 6
	chart.Add(&plotter.Grid{Vertical: draw.LineStyle{Color: gridColour, Width: 0.75}, Horizontal: draw.LineStyle{Color: gridColour, Width: 0.75}})
	for i, s := range series {
		drawn, thumbnails := s.plotters(i)
		chart.Add(drawn...)
		legend.Add(inLine(s.Name), thumbnails...)
	}
	p.X.onto(&chart.X)
	p.Y.onto(&chart.Y)
	if !p.Y.Log {
		chart.Y.Min = min(chart.Y.Min, 0) // or a small difference looks like a large one
	}
	p.X.widen(&chart.X)
	p.Y.widen(&chart.Y)
	if p.nines {
		chart.X.Min, chart.X.Max, chart.X.Tick.Marker = 1, max(chart.X.Max, 10), plot.TickerFunc(ninesTicks)
	}
	return chart, legend
}

// plotters returns what draws the i-th series, and what shows it in the legend.
func (s Series) plotters(i int) ([]plot.Plotter, []plot.Thumbnailer) {
	points := make(plotter.XYs, len(s.Points))
	for i, at := range s.Points {
		points[i] = plotter.XY(at)
	}
	colour := colours[i%len(colours)]
	line := &plotter.Line{XYs: points, LineStyle: draw.LineStyle{Color: colour, Width: 1.75}}
	if round := i / len(colours); round > 0 {
		line.Dashes = []vg.Length{vg.Length(6 / round), 3}
	}
	marks := &plotter.Scatter{XYs: points, GlyphStyle: draw.GlyphStyle{Color: colour, Radius: 2.75, Shape: draw.CircleGlyph{}}}
	switch {
	case s.Dots || len(points) == 1:
		return []plot.Plotter{marks}, []plot.Thumbnailer{marks}
	case len(points) <= fewPoints:
		return []plot.Plotter{line, marks}, []plot.Thumbnailer{line, marks}
	}
	return []plot.Plotter{line}, []plot.Thumbnailer{line}
}

func (a Axis) onto(axis *plot.Axis) {
	axis.Label.Text, axis.Label.Padding = inLine(a.Label), 4
	axis.Label.TextStyle.Font, axis.Tick.Label.Font = plotFont(), plotFont()
	axis.Tick.Marker = plot.TickerFunc(linearTicks)
	if a.Log {
		axis.Scale, axis.Tick.Marker = plot.LogScale{}, plot.TickerFunc(logTicks)
	}
}

// widen gives the axis a length, and a labelled tick at each end.
func (a Axis) widen(axis *plot.Axis) {
	if a.Log {
		axis.Min, axis.Max = logBounds(axis.Min, axis.Max)
		return
	}
	if size := max(math.Abs(axis.Min), math.Abs(axis.Max)); axis.Max-axis.Min <= max(size/1e6, 1/maxDrawn) {
		axis.Min, axis.Max = axis.Min-max(size/2, 1), axis.Max+max(size/2, 1)
	}
	axis.Min, axis.Max = linearBounds(axis.Min, axis.Max)
}

// plotFont is a face that the library can measure; the page names others of the same widths for where it is missing.
func plotFont() font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: plotFontSize}
}

// inLine is s in one line that is not too long.
func inLine(s string) string {
	runes := []rune(strings.Join(strings.Fields(s), " "))
	if len(runes) > maxLegendRunes {
		return string(runes[:maxLegendRunes-1]) + "…"
	}
	return string(runes)
}
