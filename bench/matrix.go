package bench

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// matrixSize is how large the trace is.
type matrixSize struct {
	products, originals int
	pixels              int     // of an original, about
	share               float64 // of the others' assets that a product uses
	repeats             int     // visits by popularity, for each that is the first of its rendition
	releases            int
	campaignEvery       int           // of so many releases one is a campaign
	campaign            int           // assets that are released together in it
	interval            time.Duration // at which a silo looks for what is new at others
}

const (
	// visitors ask at once.
	visitors = 4
	// watchPause is between two looks whether a release can be seen.
	watchPause = 2 * time.Millisecond
	// viewPause is between two views of a visitor.
	viewPause = 100 * time.Millisecond
)

func matrixScenario(ctx context.Context, r *run) error {
	size := matrixSize{
		products: 8, originals: 200, pixels: 1_000_000, share: 0.9, repeats: 3, releases: 60, campaignEvery: 6, campaign: 10,
		interval: time.Second,
	}
	if r.Quick {
		size.originals, size.pixels, size.releases = 16, 600_000, 6
	}
	return compareWays(ctx, r, size)
}

// compareWays lets the same trace happen to silos and to the matrix.
func compareWays(ctx context.Context, r *run, size matrixSize) error {
	t, err := newTrace(ctx, size, func(done, total int) { r.progress("drawing pictures", done, total) })
	if err != nil {
		return err
	}
	siloed, err := r.happen(ctx, "siloed", t, func() (way, error) { return newSiloedWay(ctx, r, size.products, size.interval) })
	if err != nil {
		return fmt.Errorf("the siloed way: %w", err)
	}
	matrix, err := r.happen(ctx, "matrix", t, func() (way, error) { return newMatrixWay(ctx, r) })
	if err != nil {
		return fmt.Errorf("the matrix way: %w", err)
	}
	reportWays(r.report, t, size, siloed, matrix)
	return nil
}

// An account is what a trace has cost until some point of it.
type account struct {
	originals, renditions int64 // bytes of different content
	stored                int64 // bytes in the files of all servers
	compute               time.Duration
	wrong                 int // views that were stale or mixed, and answers outdated
}

// efficiency is which part of what is stored is not there a second time, in percent.
func (a account) efficiency() float64 {
	return 100 * float64(a.originals+a.renditions) / float64(a.stored)
}

// An outcome is what a trace has cost and shown.
type outcome struct {
	account
	visits       int
	synced       []time.Duration // acknowledged → seen, of each product that uses the asset, in the order of the releases
	parts        []account       // what it had come to at each sixth of the trace
	sync         distribution    // synced
	views        int             // of a product after a release, with what it may demand
	stale, mixed int             // of those views
	withEdge     account         // with what an edge keeps for visitors of its own
	outdated     int             // answers with bytes that were not those of the last release
	took         time.Duration
}

// wrong is how many views were stale or mixed, and answers outdated.
func (o *outcome) wrong() int { return o.stale + o.mixed + o.outdated }

// An observer follows a trace as it happens to one of the ways.
type observer struct {
	*run
	name  string
	way   way
	trace *trace
	now   []asset.Digest // what each asset shows
	shown []int          // the number of it, which can be read off every rendition
	outcome

	mu       sync.Mutex // guards the rest
	contents map[asset.Digest]rendition
	uploaded int64         // bytes of different originals
	before   time.Duration // CPU of the workers when it began
}

// A rendition is what is known of an answer's bytes.
type rendition struct {
	bytes int64
	shown
}

// happen lets a trace happen to a way, which it starts and ends.
func (r *run) happen(ctx context.Context, name string, t *trace, start func() (way, error)) (_ *outcome, err error) {
	began := time.Now()
	w, err := start()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.end(), os.RemoveAll(r.path(name))) }()
	o := &observer{run: r, name: name, way: w, trace: t, contents: map[asset.Digest]rendition{}}
	if o.before, err = idle(ctx, w); err != nil {
		return nil, err
	}
	r.progress(name+": storing originals", 0, 1)
	if err := w.fill(ctx, t); err != nil {
		return nil, err
	}
	for _, content := range t.originals {
		o.now, o.shown = append(o.now, asset.Digest(sha256.Sum256(content))), append(o.shown, len(o.shown))
		o.uploaded += int64(len(content))
	}
	if err := o.visit(ctx, "visits", t.visits, w.front); err != nil {
		return nil, err
	}
	if err := o.settle(); err != nil {
		return nil, err
	}
	for i, release := range t.releases {
		r.progress(name+": releases", i, len(t.releases))
		if err := o.release(ctx, release); err != nil {
			return nil, fmt.Errorf("release %d: %w", i, err)
		}
		if (i+1)*(minRounds-1)%len(t.releases) < minRounds-1 {
			if err := o.settle(); err != nil {
				return nil, err
			}
		}
	}
	o.took, o.account = time.Since(began), o.parts[len(o.parts)-1]
	if w.watched(0) != w.front(0) {
		if err := o.visitEdge(ctx); err != nil {
			return nil, err
		}
	}
	o.sync = newDistribution(slices.Clone(o.synced))
	return &o.outcome, nil
}

// settle notes what everything has come to until now.
func (o *observer) settle() (err error) {
	a := account{originals: o.uploaded}
	for _, r := range o.contents {
		a.renditions += r.bytes
	}
	if a.stored, err = storedBytes(o.way); err != nil {
		return err
	}
	after, err := rendered(o.way)
	a.compute = after - o.before
	o.mu.Lock()
	defer o.mu.Unlock()
	a.wrong = o.wrong()
	o.parts = append(o.parts, a)
	return err
}

// idle waits until the workers have started, and returns what CPU time that took.
func idle(ctx context.Context, w way) (time.Duration, error) {
	for before := time.Duration(-1); ; {
		now, err := rendered(w)
		if err != nil || now == before {
			return now, err
		}
		before = now
		if err := sleepUntil(ctx, time.Now().Add(10*time.Second/userTicks)); err != nil {
			return 0, err
		}
	}
}

func rendered(w way) (total time.Duration, err error) {
	for _, s := range w.servers() {
		d, err := s.rendered()
		if err != nil {
			return 0, err
		}
		total += d
	}
	return total, nil
}

// storedBytes is how long all files of all servers are together.
func storedBytes(w way) (total int64, err error) {
	for _, s := range w.servers() {
		err = errors.Join(err, filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return ignoreGone(err)
			}
			info, err := d.Info()
			if err == nil {
				total += info.Size()
			}
			return ignoreGone(err)
		}))
	}
	return total, err
}

// ignoreGone drops that a file is not there any more: the servers are at work.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// visitEdge asks the edge at which releases were watched for each rendition of each asset, as visitors of its own would, and notes what is
// stored then.
func (o *observer) visitEdge(ctx context.Context) (err error) {
	var visits []visit
	for a := range o.trace.originals {
		for _, preset := range slices.Sorted(maps.Keys(presets)) {
			visits = append(visits, visit{o.trace.owner(a), a, preset})
		}
	}
	counted := o.visits
	if err := o.visit(ctx, "visits at an edge", visits, o.way.watched); err != nil {
		return err
	}
	o.visits, o.withEdge = counted, o.account // the other way has not these
	o.withEdge.stored, err = storedBytes(o.way)
	return err
}

// visit makes visits at front doors, several at once.
func (o *observer) visit(ctx context.Context, step string, visits []visit, front func(product int) string) error {
	next := make(chan visit)
	errs := make([]error, visitors)
	var asking sync.WaitGroup
	for i := range visitors {
		asking.Go(func() {
			for v := range next {
				if errs[i] == nil {
					errs[i] = o.visitOne(ctx, v, front(v.product))
				}
			}
		})
	}
	for i, v := range visits {
		o.progress(o.name+": "+step, i, len(visits))
		next <- v
	}
	close(next)
	asking.Wait()
	o.visits += len(visits)
	return errors.Join(errs...)
}

func (o *observer) visitOne(ctx context.Context, v visit, front string) error {
	a, err := ask(ctx, front, productName(v.product), v.preset, assetName(v.asset), "")
	if err != nil {
		return err
	}
	if kind := a.header.Get("Content-Type"); kind != "image/webp" || len(a.body) == 0 {
		return fmt.Errorf("%s of %s/%s is %d bytes of %s", v.preset, productName(v.product), assetName(v.asset), len(a.body), kind)
	}
	digest := asset.Digest(sha256.Sum256(a.body))
	o.mu.Lock()
	defer o.mu.Unlock()
	known, ok := o.contents[digest]
	if !ok {
		known.bytes = int64(len(a.body))
		if known.shown, err = markOf(a.body); err != nil {
			return fmt.Errorf("%s of %s/%s: %w", v.preset, productName(v.product), assetName(v.asset), err)
		}
		o.contents[digest] = known
	}
	original, _ := sizeOf(known.number, o.trace.pixels)
	if want := widthOf(v.preset, original); known.width != want {
		return fmt.Errorf("%s of %s/%s is %d px wide, not %d", v.preset, productName(v.product), assetName(v.asset), known.width, want)
	}
	if known.number != o.shown[v.asset] {
		o.outdated++
	}
	return nil
}

// originals asks every product for the originals of a release.
func (o *observer) originals(ctx context.Context, r release) error {
	for p := range o.trace.products {
		for _, asked := range o.trace.page(p, r) {
			a, err := ask(ctx, o.way.front(p), productName(p), "original", assetName(asked), "")
			if err != nil {
				return err
			}
			if sha256.Sum256(a.body) != o.now[asked] {
				o.outdated++
			}
		}
	}
	return nil
}

// release publishes new content, watches until every product shows it, and makes the visits that it brings.
func (o *observer) release(ctx context.Context, r release) error {
	old, fresh := map[int]asset.Digest{}, map[int]asset.Digest{}
	for _, c := range r {
		old[c.asset], fresh[c.asset] = o.now[c.asset], sha256.Sum256(c.content)
		o.now[c.asset], o.shown[c.asset] = fresh[c.asset], c.number
		o.uploaded += int64(len(c.content))
	}
	demand, err := o.way.publish(ctx, o.trace, r)
	acknowledged := time.Now()
	if err != nil {
		return err
	}
	var watching sync.WaitGroup
	errs := make([]error, 2*o.trace.products)
	for p := range o.trace.products {
		page := o.trace.page(p, r)
		if len(page) == 0 {
			continue
		}
		seen := make(chan struct{})
		watching.Go(func() {
			defer close(seen)
			errs[2*p] = o.watch(ctx, p, page, fresh, acknowledged)
		})
		watching.Go(func() { errs[2*p+1] = o.look(ctx, p, page, old, fresh, demand, seen) })
	}
	watching.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := o.originals(ctx, r); err != nil {
		return err
	}
	return o.visit(ctx, "visits after a release", o.trace.affected(r), o.way.front)
}

// page is what a product shows of a release.
func (t *trace) page(product int, r release) (page []int) {
	for _, c := range r {
		if slices.Contains(t.users(c.asset), product) {
			page = append(page, c.asset)
		}
	}
	return page
}

// watch asks for a page until all of it is new, and notes how long that took.
func (o *observer) watch(ctx context.Context, product int, page []int, fresh map[int]asset.Digest, acknowledged time.Time) error {
	for {
		all := true
		for _, a := range page {
			digest, err := shows(ctx, o.way.watched(product), productName(product), assetName(a), "")
			if err != nil {
				return err
			}
			all = all && digest == fresh[a]
		}
		if all {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.synced = append(o.synced, time.Since(acknowledged))
			return nil
		}
		if err := sleepUntil(ctx, time.Now().Add(watchPause)); err != nil {
			return err
		}
	}
}

// look looks at a page as a visitor does who was told of the release and demands it, where that can be demanded: once, and
// again while others cannot see it yet. A view with something old in it is stale; one that shows something old behind
// something new is mixed.
func (o *observer) look(
	ctx context.Context, product int, page []int, old, fresh map[int]asset.Digest, demand string, seen <-chan struct{},
) error {
	for {
		v, err := o.view(ctx, product, page, old, fresh, demand)
		if err != nil {
			return err
		}
		o.mu.Lock()
		o.views++
		switch {
		case v.mixed:
			o.mixed++
		case v.old:
			o.stale++
		}
		o.mu.Unlock()
		select {
		case <-seen:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(viewPause):
		}
	}
}

func (o *observer) view(
	ctx context.Context, product int, page []int, old, fresh map[int]asset.Digest, demand string,
) (v pageView, err error) {
	for _, a := range page {
		digest, err := shows(ctx, o.way.watched(product), productName(product), assetName(a), demand)
		if err == nil {
			err = v.add(digest, old[a], fresh[a])
		}
		if err != nil {
			return v, fmt.Errorf("%s/%s: %w", productName(product), assetName(a), err)
		}
	}
	return v, nil
}

// A pageView is what was seen of a page, one asset after another.
type pageView struct{ old, fresh, mixed bool }

func (v *pageView) add(shown, old, fresh asset.Digest) error {
	switch shown {
	case fresh:
		v.fresh = true
	case old:
		v.mixed = v.mixed || v.fresh
		v.old = true
	default:
		return fmt.Errorf("it shows %s, which was not released", shown)
	}
	return nil
}

// reportWays reports the table that the idea rests on.
func reportWays(r *Report, t *trace, size matrixSize, siloed, matrix *outcome) {
	compute := 100 * matrix.compute.Seconds() / siloed.compute.Seconds()
	r.atLeast("storage_efficiency_percent", matrix.efficiency(), "%", 94).spread(matrix.efficiencies())
	r.figure("storage_efficiency_percent_with_an_edge", matrix.withEdge.efficiency(), "%")
	r.figure("storage_efficiency_percent_siloed", siloed.efficiency(), "%").spread(siloed.efficiencies())
	synced, copied := partsOf(matrix.synced, minRounds), partsOf(siloed.synced, minRounds)
	r.figure("sync_p50_ms", ms(matrix.sync.at(0.5)), "ms").spread(quantiles(synced, 0.5))
	r.figure("sync_p50_ms_siloed", ms(siloed.sync.at(0.5)), "ms").spread(quantiles(copied, 0.5))
	r.atMost("sync_p99_ms", ms(matrix.sync.at(0.99)), "ms", 20).spread(quantiles(synced, 0.99))
	r.figure("sync_p99_ms_siloed", ms(siloed.sync.at(0.99)), "ms").spread(quantiles(copied, 0.99))
	r.atMost("transform_compute_percent", compute, "%", 15).spread(computes(matrix, siloed))
	r.plot(latencyPlot("A release, acknowledged → seen", matrix.sync.series("matrix"), siloed.sync.series("siloed")))
	r.figure("transform_compute_percent_siloed", 100*siloed.compute.Seconds()/siloed.compute.Seconds(), "%")
	r.atMost("stale_or_mixed", float64(matrix.wrong()), "views", 0)
	r.figure("stale_or_mixed_siloed", float64(siloed.wrong()), "views").spread(siloed.wrongs())
	both := func(name string, of func(o *outcome) string) []string { return []string{name, of(siloed), of(matrix)} }
	r.table(Table{
		Title: fmt.Sprintf("%d products over %d originals, %d visits, %d releases", t.products, len(t.originals), matrix.visits, len(t.releases)),
		Head:  []string{"", "SILOED", "MATRIX"},
		Rows: [][]string{
			both("storage efficiency", func(o *outcome) string { return number(o.efficiency()) + " %" }),
			both("  stored", func(o *outcome) string { return grouped(o.stored) + " bytes" }),
			both("  of it different originals", func(o *outcome) string { return grouped(o.originals) + " bytes" }),
			both("  and different renditions", func(o *outcome) string { return grouped(o.renditions) + " bytes" }),
			both("sync latency p50 / p99", func(o *outcome) string {
				return number(ms(o.sync.at(0.5))) + " / " + number(ms(o.sync.at(0.99))) + " ms"
			}),
			both("transform compute", func(o *outcome) string {
				return fmt.Sprintf("%s %%, %.1f s of CPU", number(100*o.compute.Seconds()/siloed.compute.Seconds()), o.compute.Seconds())
			}),
			both("stale or mixed views", func(o *outcome) string { return fmt.Sprintf("%d + %d of %d", o.stale, o.mixed, o.views) }),
			both("answers with outdated bytes", func(o *outcome) string { return grouped(int64(o.outdated)) }),
			both("took", func(o *outcome) string { return o.took.Round(100 * time.Millisecond).String() }),
		},
	})
	r.table(Table{
		Title: "Where visitors are",
		Head:  []string{"", "VALUE"},
		Rows: [][]string{
			{"siloed", "at the server of their product"},
			{"matrix", "at the one server, role all; releases are watched at an edge, which has no visitors"},
			{"what an edge would keep for visitors of its own, every picture in every preset", number(float64(matrix.withEdge.stored-matrix.stored)/1e6) + " MB more, storage efficiency " + number(matrix.withEdge.efficiency()) + " %"},
		},
	})
	r.table(Table{
		Title: "What is shared",
		Head:  []string{"", "VALUE"},
		Rows: [][]string{
			{"assets that a product uses", number(t.meanNeeds())},
			{"presets", strings.Join(spelled(presets), "; ")},
			{"a silo looks for new copies", "every " + size.interval.String()},
		},
	})
}

// efficiencies are those at each part of the trace.
func (o *outcome) efficiencies() (all samples) {
	for _, a := range o.parts {
		all = append(all, a.efficiency())
	}
	return all
}

// wrongs are what the whole trace would have shown if all of it had been like each part that had releases.
func (o *outcome) wrongs() (all samples) {
	for i, a := range o.parts[1:] {
		all = append(all, float64((a.wrong-o.parts[i].wrong)*(len(o.parts)-1)))
	}
	return all
}

// computes is what each part of the trace took by itself, in percent of what it took the other way, where that was something.
func computes(a, b *outcome) (all samples) {
	var before [2]time.Duration
	for i := range a.parts {
		if other := b.parts[i].compute - before[1]; other > 0 {
			all = append(all, 100*(a.parts[i].compute-before[0]).Seconds()/other.Seconds())
		}
		before = [2]time.Duration{a.parts[i].compute, b.parts[i].compute}
	}
	return all
}

func spelled(m map[string]string) (all []string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, k+" "+m[k])
	}
	return all
}

func (t *trace) meanNeeds() float64 {
	n := 0
	for _, needs := range t.needs {
		n += len(needs)
	}
	return float64(n) / float64(t.products)
}
