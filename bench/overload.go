package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/bench/corpus"
)

// overloadSize is how much the overload scenario does.
type overloadSize struct {
	original [2]int    // width and height, px
	loads    []float64 // what is offered, as a multiple of the capacity
	rounds   int
	lasts    time.Duration // of an offer
	hits     float64       // requests a second for what is in hand, meanwhile
	queue    int           // renditions that may wait in the program that is started: so few that the end is reached in the time
	rate     float64       // renditions a second to offer, in the place of loads; 0: none
}

func overloadScenario(ctx context.Context, r *run) error {
	size := overloadSize{original: [2]int{1200, 800}, loads: []float64{0.5, 1, 2, 4}, rounds: minRounds, lasts: 8 * time.Second, hits: 200, queue: 128}
	if r.Quick {
		size.rounds, size.lasts, size.queue = minRounds, 800*time.Millisecond, 32
	}
	size.rate = r.Rate
	return overload(ctx, r, size)
}

// A cold rendition has one of so many widths, from the first on, and qualities.
const (
	coldWidth, coldWidths      = 100, 700
	coldQuality, coldQualities = 30, 60
)

// copies is of how many files of the same picture a round's renditions are, so that none is asked for twice: by far more than
// can be made.
func (s overloadSize) copies() int {
	perSecond := max(s.rate, 1000*float64(runtime.GOMAXPROCS(0)))
	loads := 1.0
	for _, load := range s.loads {
		loads += load
	}
	return 1 + int(s.lasts.Seconds()*perSecond*loads)/(coldWidths*coldQualities)
}

// overload offers cold renditions at multiples of what a subject can make, while others ask for what is in hand.
func overload(ctx context.Context, r *run, size overloadSize) (err error) {
	if size.rate > 0 {
		size.loads = []float64{1} // of that rate
	}
	f, err := openField(ctx, r, "ASSETMATRIX_RENDER_QUEUE="+strconv.Itoa(size.queue))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	r.progress("drawing a picture", 0, 1)
	data, err := corpus.JPEG(corpus.Landscape(6, size.original[0], size.original[1]), 88)
	if err != nil {
		return err
	}
	original := corpus.File{Name: "overload.jpg", Type: "image/jpeg", Width: size.original[0], Height: size.original[1], Data: data}
	b := &overloadBench{studio: newStudio(f), size: size, limits: map[*subject]*answered{}}
	if b.limit, err = generatorCeiling(ctx, 8<<10, size.lasts/4); err != nil {
		return err
	}
	for round := range size.rounds {
		copies := make([]corpus.File, size.copies())
		for i := range copies {
			copies[i] = original
			copies[i].Name = fmt.Sprintf("overload-%d.jpg", i)
		}
		if b.files, err = b.freshen(ctx, copies, fmt.Sprint("r", round)); err != nil {
			return err
		}
		if err := b.round(ctx, "overload", round, size.rounds, b.subjects, func(t turn) error { return b.load(ctx, t) }); err != nil {
			return err
		}
	}
	b.finish()
	return nil
}

// overloadBench is the scenario at work.
type overloadBench struct {
	*studio
	size   overloadSize
	limit  ceiling
	limits map[*subject]*answered
	files  []corpus.File // of the round
	asked  atomic.Int64
}

// answered is what came of the offers to a subject: of each load which multiple of the capacity it was in each round, what was
// offered and answered, a second, and what hits took meanwhile.
type answered struct {
	multiple, offered, goodput []samples
	made, hits                 []distribution // what renditions and hits took, in all rounds
	verdicts                   []string
}

// cold is a rendition that nobody has asked for before. Widths come in an order in which any few of them are as much work as any
// others.
func (b *overloadBench) cold(s *subject) *shot {
	n := int(b.asked.Add(1))
	width, n := n*389%coldWidths, n/coldWidths // 389 and 700 have no divisor in common
	file, quality := n%len(b.files), n/len(b.files)%coldQualities
	w := want{file: b.files[file].Name, width: coldWidth + width, format: asset.JPEG, quality: coldQuality + quality}
	url, err := b.url(s, w)
	if err != nil {
		return &shot{url: s.base, status: http.StatusOK, body: func(string, []byte) error { return err }}
	}
	return &shot{url: url, status: http.StatusOK, length: anyLength, body: b.verifier(w)}
}

// load finds a subject's capacity, and offers it multiples of that.
func (b *overloadBench) load(ctx context.Context, t turn) error {
	s := t.subject
	var most *tally
	used, err := s.tree.use(ctx, func() (err error) {
		most, err = closed(ctx, 2*runtime.GOMAXPROCS(0), b.size.lasts, func() *shot { return b.cold(s) })
		return err
	})
	if err != nil {
		return err
	}
	if err := most.whole(); err != nil {
		return err
	}
	capacity := most.perSecond()
	b.note("overload_capacity_per_second", "img/s", t, capacity)
	b.noteUsage("overload_capacity", t, used, float64(len(most.latencies)))
	warm := b.cold(s)
	if _, err := askOnce(ctx, warm); err != nil {
		return err
	}
	if kept, err := b.keeps(ctx, s, warm); err != nil {
		return err
	} else if !kept {
		warm = nil // it would be rendered again each time
	}
	if b.limits[s] == nil {
		n := len(b.size.loads)
		b.limits[s] = &answered{make([]samples, n), make([]samples, n), make([]samples, n), make([]distribution, n), make([]distribution, n), make([]string, n)}
	}
	for i, load := range b.size.loads {
		rate := load * capacity
		if b.size.rate > 0 {
			rate = b.size.rate
		}
		if err := b.offer(ctx, t, i, rate, capacity, warm); err != nil {
			return err
		}
	}
	return nil
}

// keeps reports whether a subject answers what it has made without fetching the original again.
func (f *field) keeps(ctx context.Context, s *subject, made *shot) (bool, error) {
	if s.own() {
		return true, nil
	}
	before := f.origin.reads.Load()
	_, err := askOnce(ctx, made)
	return f.origin.reads.Load() == before, err
}

// offer offers renditions at a rate, which is the i-th of the loads, and hits beside them.
func (b *overloadBench) offer(ctx context.Context, t turn, i int, rate, capacity float64, warm *shot) error {
	s, name := t.subject, "overload_at_rate"
	if b.size.rate == 0 {
		name = "overload_" + loadName(b.size.loads[i])
	}
	var renders *offer
	hits := new(offer)
	var hitErr, err error
	var offering sync.WaitGroup
	if warm != nil {
		offering.Go(func() { hits, hitErr = open(ctx, steady(b.size.hits, b.size.lasts), func() *shot { return warm }) })
	}
	offering.Go(func() {
		renders, err = open(ctx, steady(rate, b.size.lasts), func() *shot { return b.cold(s) })
	})
	offering.Wait()
	if err := errors.Join(hitErr, err); err != nil {
		return err
	}
	if keptUp := renders.keptUp() && hits.keptUp(); keptUp && (renders.failed > 0 || hits.failed > 0) {
		return fmt.Errorf("at %s × its capacity it answers wrongly: %w", number(rate/capacity), errors.Join(renders.failure, hits.failure))
	}
	if hit := len(renders.tiers["memory"]) + len(renders.tiers["disk"]); hit > 0 {
		return fmt.Errorf("%d of %d renditions had been asked for before, as there are only so many different ones; give a smaller --rate", hit, len(renders.latencies))
	}
	l := b.limits[s]
	l.verdicts[i] = renders.verdict(b.limit)
	if !renders.keptUp() || !hits.keptUp() {
		return nil // the generator's figures, not the subject's
	}
	l.multiple[i] = append(l.multiple[i], rate/capacity)
	l.offered[i] = append(l.offered[i], renders.sent)
	l.goodput[i] = append(l.goodput[i], renders.perSecond())
	b.note(name+"_goodput_per_second", "img/s", t, renders.perSecond())
	b.note(name+"_shed_percent", "%", t, renders.lostPercent())
	l.made[i] = append(l.made[i], renders.latencies...)
	b.noteQuantile(name+"_p99_ms", t, renders.latencies, 0.99, l.made[i])
	if warm == nil {
		return nil
	}
	l.hits[i] = append(l.hits[i], hits.latencies...)
	b.note(name+"_hit_shed_percent", "%", t, hits.lostPercent())
	b.noteQuantile(name+"_hit_p50_ms", t, hits.latencies, 0.5, l.hits[i])
	b.noteQuantile(name+"_hit_p99_ms", t, hits.latencies, 0.99, l.hits[i])
	return nil
}

// lostPercent is which part was shed, or not answered in time, which is the same for who asks.
func (o *offer) lostPercent() float64 {
	lost := o.shed + o.unanswered
	return 100 * float64(lost) / float64(max(1, lost+len(o.latencies)))
}

// loadName spells a multiple as a part of a figure's name: 0_5x, 4x.
func loadName(load float64) string {
	name := []byte(strconv.FormatFloat(load, 'g', -1, 64) + "x")
	for i, c := range name {
		if c == '.' {
			name[i] = '_'
		}
	}
	return string(name)
}

func (b *overloadBench) finish() {
	queue := "the queue that it has"
	if b.Target == "" {
		queue = fmt.Sprintf("a queue of %d", b.size.queue)
	}
	b.reportTo(b.report, fmt.Sprintf("Cold renditions at multiples of what it can make, for %v each, with %s hits a second beside them; the program has %s",
		b.size.lasts, number(b.size.hits), queue))
	t := Table{Title: "Who is the limit", Head: []string{"LOAD", "IN THE LAST ROUND"}}
	goodput := Plot{Title: "Renditions a second, answered of offered", X: Axis{Label: "offered, 1/s"}, Y: Axis{Label: "answered, 1/s"}}
	hits := Plot{Title: "Hits beside them", X: Axis{Label: "offered, as a multiple of the capacity"}, Y: Axis{Label: "ms", Log: true}}
	for _, s := range b.subjects {
		l := b.limits[s]
		if l == nil || s.out != nil {
			continue
		}
		answered, p50, p99 := Series{Name: s.name}, Series{Name: s.name + ", half of them"}, Series{Name: s.name + ", 99 %"}
		for i := range b.size.loads {
			if len(l.offered[i]) == 0 {
				t.Rows = append(t.Rows, []string{s.name, l.verdicts[i]})
				b.report.note(s.name + ": " + l.verdicts[i])
				continue
			}
			load := l.multiple[i].median()
			t.Rows = append(t.Rows, []string{fmt.Sprintf("%s, %s × its capacity", s.name, number(load)), l.verdicts[i]})
			answered.Points = append(answered.Points, Point{l.offered[i].median(), l.goodput[i].median()})
			if all := newDistribution(l.hits[i]); len(all) > 0 {
				p50.Points = append(p50.Points, Point{load, ms(all.at(0.5))})
				p99.Points = append(p99.Points, Point{load, ms(all.at(0.99))})
			}
		}
		goodput.Series = append(goodput.Series, answered)
		if len(p50.Points) > 0 {
			hits.Series = append(hits.Series, p50, p99)
		} else {
			b.report.note(s.name + " keeps no renditions, so that there are no hits beside its loads")
		}
	}
	b.report.table(t)
	b.report.plot(goodput)
	b.report.plot(hits)
}
