package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/bench/corpus"
)

// burstSize is how much the burst scenario does.
type burstSize struct {
	original [2]int // width and height, px
	clients  int
	width    int // px
	rounds   int
}

func burstScenario(ctx context.Context, r *run) error {
	size := burstSize{original: [2]int{3600, 2400}, clients: 1000, width: 800, rounds: 20}
	if r.Quick {
		size.clients, size.rounds = 250, 15
	}
	return burst(ctx, r, size)
}

// burst lets many clients ask at once for one rendition that nobody has.
func burst(ctx context.Context, r *run, size burstSize) (err error) {
	f, err := openField(ctx, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	r.progress("drawing a picture", 0, 1)
	width, height := size.original[0], size.original[1]
	data, err := corpus.JPEG(corpus.Landscape(5, width, height), 88)
	if err != nil {
		return err
	}
	b := &burstBench{studio: newStudio(f), waits: map[*subject]distribution{}}
	original := corpus.File{Name: "burst.jpg", Type: "image/jpeg", Width: width, Height: height, Data: data}
	for round := range size.rounds {
		if err := b.burstRound(ctx, size, round, original); err != nil {
			return err
		}
	}
	b.reportTo(r.report, fmt.Sprintf("%d clients ask at once for one rendition, %d px WebP of %.1f megapixels", size.clients, size.width, float64(width*height)/1e6))
	if b.elsewhere {
		r.report.note(fmt.Sprintf("renders and reads of the original are not known: %s is not counted by the process at %s (--server), but by another; give the URL of its own management API", f.Target, f.Server))
	}
	waits := newDistribution(b.waits[f.subjects[0]])
	r.report.table(Table{Title: "What a client of the program waited", Head: distributionHead(""), Rows: [][]string{waits.row("all clients")}})
	r.report.plot(latencyPlot(fmt.Sprintf("%d clients at once for one cold URL", size.clients), waits.series(ownName)))
	return nil
}

// burstBench is the scenario at work.
type burstBench struct {
	*studio
	waits     map[*subject]distribution // of all rounds
	elsewhere bool                      // what the program counts was not counted by the process that answered
}

// burstRound measures one rendition for one client, and then another of the same for all at once.
func (b *burstBench) burstRound(ctx context.Context, size burstSize, round int, original corpus.File) error {
	alone, crowd := original, original
	alone.Name, crowd.Name = "alone.jpg", "crowd.jpg"
	unseen, err := b.freshen(ctx, []corpus.File{alone, crowd}, fmt.Sprint("r", round))
	if err != nil {
		return err
	}
	return b.round(ctx, "burst", round, size.rounds, b.subjects, func(t turn) error {
		s, w := t.subject, want{file: unseen[0].Name, width: size.width, format: asset.WebP, quality: renderQuality}
		one, usedOne, err := b.make(ctx, s, []want{w}, 1)
		if err != nil {
			return err
		}
		before, err := s.counters(ctx)
		if err != nil {
			return err
		}
		w.file = unseen[1].Name
		all, used, err := b.request(ctx, s, slices.Repeat([]want{w}, size.clients), size.clients)
		if err != nil {
			return err
		}
		if all.failed > 0 {
			return all.whole()
		}
		after, err := s.counters(ctx)
		if err != nil {
			return err
		}
		b.noteUsage("burst", t, used, float64(size.clients))
		b.note("burst_one_ms", "ms", t, ms(one.took))
		b.waits[s] = append(b.waits[s], all.latencies...)
		b.noteQuantile("burst_p50_ms", t, all.latencies, 0.5, b.waits[s])
		b.noteQuantile("burst_p99_ms", t, all.latencies, 0.99, b.waits[s])
		b.note("burst_p99_over_one", "×", t, all.latencies.at(0.99).Seconds()/one.took.Seconds())
		if used.known && usedOne.cpu > 0 {
			b.note("burst_cpu_over_one", "×", t, used.cpu.Seconds()/usedOne.cpu.Seconds())
		}
		b.note("burst_shed_percent", "%", t, 100*float64(all.shed)/float64(size.clients))
		if !s.own() {
			return nil
		}
		if after.answers-before.answers < float64(size.clients) {
			b.elsewhere = true // it is another process of the same cluster that has answered
			return nil
		}
		b.note("burst_renders", "renders", t, after.renders-before.renders)
		b.note("burst_provider_reads", "reads", t, after.reads-before.reads)
		return nil
	})
}

// counters are what the program counts of itself.
type counters struct {
	answers, renders, reads, goroutines, queue float64
	reduced                                    float64 // bytes of reductions that were made
}

// counters asks the program; of others nothing is known.
func (s *subject) counters(ctx context.Context) (c counters, err error) {
	if !s.own() {
		return c, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	sums, err := scrape(ctx, s.control, s.token)
	return counters{
		sums["assetmatrix_requests_total"], sums["assetmatrix_renders_total"], sums["assetmatrix_provider_reads_total"], sums["go_goroutines"], sums["assetmatrix_queue_depth"],
		sums["assetmatrix_reduced_bytes_total"],
	}, err
}
