package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/assetmatrix/assetmatrix/bench/chromium"
)

// A browser shows every series of every plot: its marks inside the plot and below the legend, in a colour of its own, with a
// name that can be read; and it asks for nothing but the page. The page and what it looks like are the test's artifacts:
//
//	go test ./bench -run InABrowser -artifacts
func TestPageInABrowser(t *testing.T) {
	ctx := chromium.Start(t)
	r := examplePage()
	if missing := unseen(look(t, ctx, r), r.Plots); len(missing) > 0 {
		t.Errorf("not to be seen:\n%s", strings.Join(missing, "\n"))
	}
	screenshot(t, ctx, "light")
	screenshot(t, ctx, "dark")
	// What is not there is missed.
	emptied := examplePage()
	emptied.Plots[1].Series[1].Points = nil
	if missing := unseen(look(t, ctx, emptied), r.Plots); !slices.Equal(missing, []string{"Throughput: measured elsewhere has no marks", "Throughput: measured elsewhere is not in the legend"}) {
		t.Errorf("without a series, missed is only %q", missing)
	}
}

// A view is what the browser shows of a plot, in CSS pixels from its upper left corner.
type view struct {
	Title, Text string
	Size        rectangle
	Marks       []struct {
		Colour string
		At     rectangle
	}
	Labels []struct {
		Text    string
		At      rectangle
		Visible bool // it is what is hit in its middle
		Size    float64
	}
}

type rectangle struct{ X, Y, Width, Height float64 }

// within allows for half the width of a line.
func (r rectangle) within(outer rectangle) bool {
	return r.X >= -1 && r.Y >= -1 && r.X+r.Width <= outer.Width+1 && r.Y+r.Height <= outer.Height+1
}

// viewScript describes each figure as a view.
const viewScript = `[...document.querySelectorAll("figure")].map(figure => {
	const card = figure.querySelector("svg") ?? figure.querySelector(".card");
	card.scrollIntoView({block: "center"});
	const outer = card.getBoundingClientRect();
	const at = element => {
		const box = element.getBoundingClientRect();
		return {X: box.x - outer.x, Y: box.y - outer.y, Width: box.width, Height: box.height};
	};
	const visible = element => {
		const box = element.getBoundingClientRect();
		return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) === element;
	};
	const colour = path => {
		const style = getComputedStyle(path);
		return style.stroke === "none" ? style.fill : style.stroke;
	};
	return {
		Title: figure.querySelector("figcaption").textContent,
		Text: card.innerText ?? "",
		Size: {X: 0, Y: 0, Width: outer.width, Height: outer.height},
		Marks: [...card.querySelectorAll("path")].map(path => ({Colour: colour(path), At: at(path)})),
		Labels: [...card.querySelectorAll("text")].map(text => ({
			Text: text.textContent, At: at(text), Visible: visible(text),
			Size: parseFloat(getComputedStyle(text).fontSize) * outer.width / card.viewBox.baseVal.width,
		})),
	};
})`

// look opens the report's page and describes the plots that it shows.
func look(t *testing.T, ctx context.Context, r *Report) []view {
	t.Helper()
	path := filepath.Join(t.ArtifactDir(), "page.html")
	if err := os.WriteFile(path, []byte(page(t, r)), 0o600); err != nil {
		t.Fatal(err)
	}
	var asked []string
	listening, stop := context.WithCancel(ctx)
	defer stop()
	chromedp.ListenTarget(listening, func(event any) {
		if request, ok := event.(*network.EventRequestWillBeSent); ok {
			asked = append(asked, request.Request.URL)
		}
	})
	var views []view
	if err := chromedp.Run(ctx, network.Enable(), chromedp.Navigate("file://"+path), chromedp.Evaluate(viewScript, &views)); err != nil {
		t.Fatalf("the browser: %v", err)
	}
	if !slices.Equal(asked, []string{"file://" + path}) {
		t.Errorf("the page asked for %q", asked)
	}
	return views
}

// unseen says what of the plots is not to be seen.
func unseen(views []view, plots []Plot) (missing []string) {
	for i, p := range plots {
		if i >= len(views) || views[i].Title != p.Title {
			missing = append(missing, p.Title+": not on the page")
			continue
		}
		missing = append(missing, views[i].unseen(p)...)
	}
	return missing
}

func (v view) unseen(p Plot) (missing []string) {
	miss := func(format string, args ...any) { missing = append(missing, p.Title+": "+fmt.Sprintf(format, args...)) }
	shown := p.drawable()
	if len(shown) == 0 {
		if v.Text != "nothing to draw" || len(v.Marks) > 0 {
			miss("nothing should be drawn, and it says %q", v.Text)
		}
		return missing
	}
	below := legendLine.Points() * float64(len(shown)-1) * v.Size.Width / plotWidth.Points()
	for i, s := range shown {
		c := colours[i]
		if width, height := v.extent(fmt.Sprintf("rgb(%d, %d, %d)", c.R, c.G, c.B), below); width < 5 || height < 5 {
			miss("%s has no marks", s.Name)
		}
		if !v.labelled(s.Name) {
			miss("%s is not in the legend", s.Name)
		}
	}
	for _, label := range append([]string{p.X.Label, p.Y.Label}, p.someTicks()...) {
		if !v.labelled(label) {
			miss("no label %s", label)
		}
	}
	return missing
}

// extent is how much room the marks of a colour take below the legend; 0 when one is outside of the plot.
func (v view) extent(colour string, below float64) (width, height float64) {
	var left, top, right, bottom float64
	for _, m := range v.Marks {
		switch {
		case m.Colour != colour:
			continue
		case !m.At.within(v.Size):
			return 0, 0
		case m.At.Y <= below+legendLine.Points():
			continue // in the legend
		case right == 0:
			left, top = m.At.X, m.At.Y
		}
		left, top = min(left, m.At.X), min(top, m.At.Y)
		right, bottom = max(right, m.At.X+m.At.Width), max(bottom, m.At.Y+m.At.Height)
	}
	return right - left, bottom - top
}

// labelled reports whether a text can be read.
func (v view) labelled(text string) bool {
	for _, l := range v.Labels {
		if l.Text == text && l.Visible && l.At.within(v.Size) && l.Size >= 11 {
			return true
		}
	}
	return false
}

// someTicks are labels that p's axes must have.
func (p Plot) someTicks() []string {
	chart, _ := p.chart(p.drawable())
	return append(labels(chart.X.Tick.Marker.Ticks(chart.X.Min, chart.X.Max)), labels(chart.Y.Tick.Marker.Ticks(chart.Y.Min, chart.Y.Max))...)
}

// screenshot leaves a picture of the page that is open, in the given colour scheme.
func screenshot(t *testing.T, ctx context.Context, scheme string) {
	t.Helper()
	prefers := emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}})
	if err := chromedp.Run(ctx, prefers); err != nil {
		t.Fatalf("the browser: %v", err)
	}
	chromium.Page(t, ctx, scheme)
}
