package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// mixedSize is how much the mixed scenario does.
type mixedSize struct {
	daySize
	rounds int
	lasts  time.Duration // of a calm part, and of one in which renders saturate the cores
	memory int           // bytes of the memory cache: less than what is asked for, so that the disk is asked too
}

func mixedScenario(ctx context.Context, r *run) (err error) {
	if r.Trace != "" {
		return replayScenario(ctx, r)
	}
	size := mixedSize{daySize{8, 200, 500_000, 150, time.Second, 3 * time.Second}, 10, 12 * time.Second, 8 << 20}
	if r.Quick {
		size.originals, size.pixels, size.rounds, size.lasts, size.memory = 40, 200_000, minRounds, 2500*time.Millisecond, 1<<20
	}
	if r.Rate > 0 {
		size.rate = r.Rate
	}
	return mixed(ctx, r, size)
}

// mixed lets a day in small go on, by turns calm and with renders that saturate the cores.
func mixed(ctx context.Context, r *run, size mixedSize) (err error) {
	f, err := openField(ctx, r, fmt.Sprint("ASSETMATRIX_CACHE_MEMORY_MAX_BYTES=", size.memory))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	d, err := newDay(ctx, f, size.daySize)
	if err != nil {
		return err
	}
	m := &mixture{day: d, size: size, tiers: map[string]distribution{}}
	if m.limit, err = generatorCeiling(ctx, 16<<10, size.lasts/4); err != nil {
		return err
	}
	if err := m.part(ctx, "warming up", false, func(*offer) {}); err != nil {
		return err
	}
	for round := range size.rounds {
		r.progress("mixed", round, size.rounds)
		if err := m.part(ctx, "", false, func(o *offer) { m.calm.take(o, m.tiers) }); err != nil {
			return err
		}
		if err := m.part(ctx, "", true, func(o *offer) { m.busy.take(o, nil) }); err != nil {
			return err
		}
		if r.Rate > 0 && m.behind != nil {
			break // it will not keep up with that in any round
		}
	}
	m.reportTo(r.report)
	return nil
}

// A mixture is the scenario at work.
type mixture struct {
	*day
	size       mixedSize
	limit      ceiling
	calm, busy dayParts
	rendered   samples // a second, while renders saturate the cores
	tiers      map[string]distribution
	refused    samples // percent of them
	rss        samples // MB, the most of each part
	wrong      int     // answers
	failures   []error
	behind     *offer
}

// dayParts are what parts of a day have shown.
type dayParts struct {
	ratio    map[string]samples // percent, by tier
	p50, p99 samples            // of hits, ms
	all      distribution       // of hits
	lost     samples            // percent that was shed, or not answered in time
}

// reportTo reports what hits took, all of them, and what was refused, of all.
func (p *dayParts) reportTo(r *Report, name string, hits distribution) {
	if len(hits) > 0 {
		r.figure(name+"hit_p50_ms", ms(hits.at(0.5)), "ms").spread(p.p50)
		r.figure(name+"hit_p99_ms", ms(hits.at(0.99)), "ms").spread(p.p99)
	}
	r.median(name+"shed_percent", p.lost, "%")
}

// hitTiers answer without making anything.
var hitTiers = []string{"memory", "disk", "metadata"}

func (p *dayParts) take(o *offer, tiers map[string]distribution) {
	if p.ratio == nil {
		p.ratio = map[string]samples{}
	}
	p.lost = append(p.lost, o.lostPercent())
	answers := float64(len(o.latencies))
	if answers == 0 {
		return // of which nothing has a share
	}
	var hits distribution
	for _, tier := range hitTiers {
		hits = append(hits, o.tiers[tier]...)
	}
	for _, tier := range append([]string{"miss"}, hitTiers...) {
		p.ratio[tier] = append(p.ratio[tier], 100*float64(len(o.tiers[tier]))/answers)
		if tiers != nil {
			tiers[tier] = append(tiers[tier], o.tiers[tier]...)
		}
	}
	p.ratio["hit"] = append(p.ratio["hit"], 100*float64(len(hits))/answers)
	if hits = newDistribution(hits); len(hits) > 0 {
		p.p50, p.p99 = append(p.p50, ms(hits.at(0.5))), append(p.p99, ms(hits.at(0.99)))
		p.all = append(p.all, hits...)
	}
}

// part lets the day go on for one part of it, with renders that saturate the cores or without.
func (m *mixture) part(ctx context.Context, step string, busy bool, take func(*offer)) error {
	if step != "" {
		m.progress(step, 0, 1)
	}
	living, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	var mu sync.Mutex // guards wrong and failures
	beside.Go(func() {
		m.live(living, func(err error) {
			mu.Lock()
			defer mu.Unlock()
			m.wrong, m.failures = m.wrong+1, append(m.failures, err)
		})
	})
	var rendered *tally
	var renderErr error
	if busy {
		beside.Go(func() { rendered, renderErr = closed(ctx, 4, m.size.lasts, m.rare) })
	}
	var o *offer
	used, err := m.on.tree.use(ctx, func() (err error) {
		o, err = open(ctx, steady(m.size.rate, m.size.lasts), m.visit)
		return err
	})
	stop()
	beside.Wait()
	if err := errors.Join(err, renderErr); err != nil {
		return err
	}
	if !o.keptUp() {
		m.behind, o.unanswered = o, 0 // which nobody had time for, as the generator was late
	}
	if busy && rendered.failed > 0 {
		m.wrong += rendered.failed
		m.failures = append(m.failures, fmt.Errorf("%d of the renditions that saturate the cores are wrong: %w", rendered.failed, rendered.failure))
	}
	m.wrong += o.failed + o.unanswered
	m.failures = append(m.failures, o.failures()...)
	if !o.keptUp() {
		return nil
	}
	if busy {
		m.rendered = append(m.rendered, rendered.perSecond())
		m.refused = append(m.refused, 100*float64(rendered.shed)/float64(max(1, rendered.shed+len(rendered.latencies))))
	}
	if used.known && step == "" {
		m.rss = append(m.rss, float64(used.peakRSS)/1e6)
	}
	take(o)
	return nil
}

func (m *mixture) reportTo(r *Report) {
	r.median("mixed_hit_percent", m.calm.ratio["hit"], "%")
	for _, tier := range append(hitTiers, "miss") {
		r.median("mixed_"+tier+"_percent", m.calm.ratio[tier], "%")
	}
	calm, busy := newDistribution(m.calm.all), newDistribution(m.busy.all)
	m.calm.reportTo(r, "mixed_", calm)
	m.busy.reportTo(r, "mixed_saturated_", busy)
	r.median("mixed_saturated_renders_per_second", m.rendered, "img/s")
	r.median("mixed_saturated_renders_shed_percent", m.refused, "%")
	r.median("mixed_peak_rss_mb", m.rss, "MB")
	if len(m.rss)+m.wrong > 0 || m.behind == nil { // something was measured
		r.atMost("mixed_failures", float64(m.wrong), "", 0)
	}
	cache := "its own memory cache"
	if m.Target == "" {
		cache = fmt.Sprintf("memory cache of %d MiB", m.size.memory>>20)
	}
	t := Table{
		Title: fmt.Sprintf("%d products that share %d originals, %s visits a second, uploads every %v, purges every %v; %s",
			m.size.products, m.size.originals, number(m.size.rate), m.size.uploads, m.size.purges, cache),
		Head: distributionHead(""),
	}
	for _, tier := range append(hitTiers, "miss") {
		t.Rows = append(t.Rows, newDistribution(m.tiers[tier]).row("calm: "+tier))
	}
	t.Rows = append(t.Rows, calm.row("calm: all hits"), busy.row("while renders saturate the cores: all hits"))
	r.table(t)
	m.reportWho(m.limit, m.behind, m.failures)
	r.plot(latencyPlot("Hits of a mixed day", calm.series("calm"), busy.series("while renders saturate the cores")))
}

// reportWho says who was the limit, and what went wrong.
func (f *field) reportWho(limit ceiling, behind *offer, failures []error) {
	t := f.subjectsTable()
	if behind != nil {
		t.Rows = append(t.Rows, []string{"the generator", "", "", "", behind.verdict(limit)})
		f.report.note(behind.verdict(limit))
	}
	for _, err := range failures[:min(len(failures), 5)] {
		t.Rows = append(t.Rows, []string{"failed", "", "", "", strings.ReplaceAll(err.Error(), "\n", "; ")})
	}
	f.report.table(t)
}

// failures say what went wrong with the answers, when anything did.
func (o *offer) failures() (all []error) {
	if o.failed > 0 {
		all = append(all, fmt.Errorf("%d answers are wrong: %w", o.failed, o.failure))
	}
	if o.shed > 0 {
		all = append(all, fmt.Errorf("%d were refused: %w", o.shed, o.refusal))
	}
	if o.unanswered > 0 {
		all = append(all, fmt.Errorf("%d of %d: %w", o.unanswered, o.unanswered+o.failed+o.shed+len(o.latencies), errUnanswered))
	}
	return all
}
