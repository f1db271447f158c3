package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/assetmatrix/assetmatrix/catalog"
)

// syncSize is how much the sync scenario does.
type syncSize struct {
	edges  int
	rate   int           // transactions a second
	warmup time.Duration // of the same load, not counted
	lasts  time.Duration
}

func syncScenario(ctx context.Context, r *run) error {
	size := syncSize{edges: 64, rate: 100, warmup: 2 * time.Second, lasts: time.Minute}
	if r.Quick {
		size.lasts = 15 * time.Second
	}
	return visibility(ctx, r, size)
}

// sharedGCPercent is the GOGC of a process that is 64 edges at once. One that is an edge alone collects what it holds in a
// few milliseconds, and no other edge waits meanwhile; here, each collection is of all of them at once. They are made rarer
// for that, and remain far longer.
const sharedGCPercent = 400

// settleTimeout is how long edges may take to show what was there before the load, or the last of it.
const settleTimeout = time.Minute

// visibility writes to a control plane on a schedule that waits for nobody, and looks on every edge when each transaction
// is in its view. All of it is in this process and on its clock, each edge with a directory and a TCP connection of its own.
func visibility(ctx context.Context, r *run, size syncSize) (err error) {
	defer debug.SetGCPercent(debug.SetGCPercent(sharedGCPercent))
	f, err := openFleet(ctx, r, size.edges)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	if err := f.settle(ctx); err != nil {
		return err
	}
	watching := f.watch(ctx)
	written, err := f.write(ctx, r, size)
	if err == nil {
		err = f.settle(ctx)
	}
	seen := watching()
	if err != nil {
		return err
	}
	v, err := newVisible(written, seen)
	if err != nil {
		return err
	}
	v.reportTo(r.report, size)
	return nil
}

// A fleet is a control plane and the edges that follow it.
type fleet struct {
	control *catalog.Catalog
	edges   []*catalog.Catalog
}

func openFleet(ctx context.Context, r *run, edges int) (_ *fleet, err error) {
	f := new(fleet)
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	cfg := catalog.DefaultConfig()
	cfg.Dir, cfg.Role = r.path("control"), "control"
	if cfg.NATS.Listen, err = freeAddress(); err != nil {
		return nil, err
	}
	if f.control, err = catalog.Open(ctx, cfg, catalog.Events{}); err != nil {
		return nil, err
	}
	for i := range edges {
		r.progress("starting edges", i, edges)
		e := catalog.DefaultConfig()
		e.Dir, e.Role, e.NATS.URL = r.path(fmt.Sprint("edge-", i)), "edge", "nats://"+cfg.NATS.Listen
		edge, err := catalog.Open(ctx, e, catalog.Events{})
		if err != nil {
			return nil, fmt.Errorf("edge %d: %w", i, err)
		}
		f.edges = append(f.edges, edge)
	}
	return f, addProducts(ctx, f.control, "shop")
}

// freeAddress is one on loopback at which nobody listens. It is below the ports that the kernel gives to connections
// (net.ipv4.ip_local_port_range, which begins at 32768), as a load has thousands of them until a server listens there.
func freeAddress() (string, error) {
	const first, beyond = 10_000, 32_768
	var err error
	for range 100 {
		var ln net.Listener
		if ln, err = net.Listen("tcp", fmt.Sprint("127.0.0.1:", first+rand.IntN(beyond-first))); err == nil {
			return ln.Addr().String(), ln.Close()
		}
	}
	return "", err
}

func (f *fleet) close() error {
	var errs []error
	for _, e := range f.edges {
		errs = append(errs, e.Close())
	}
	if f.control != nil {
		errs = append(errs, f.control.Close())
	}
	return errors.Join(errs...)
}

// settle waits until every edge shows what the control plane shows.
func (f *fleet) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for i, e := range f.edges {
		if err := e.Await(ctx, f.control.View().Revision()); err != nil {
			return fmt.Errorf("edge %d shows revision %d of %d: %w", i, e.View().Revision(), f.control.View().Revision(), err)
		}
	}
	return nil
}

// A sight is when an edge was seen to show everything up to a revision.
type sight struct {
	revision uint64
	at       time.Time
}

// watch looks at every edge until the function that it returns is called, which returns what was seen of each.
func (f *fleet) watch(ctx context.Context) (stop func() [][]sight) {
	ctx, cancel := context.WithCancel(ctx)
	seen := make([][]sight, len(f.edges))
	var watching sync.WaitGroup
	for i, e := range f.edges {
		watching.Go(func() { seen[i] = watch(ctx, e) })
	}
	return func() [][]sight {
		cancel()
		watching.Wait()
		return seen
	}
}

// watch waits for each revision as a request does that demands it, until ctx ends.
func watch(ctx context.Context, c *catalog.Catalog) (seen []sight) {
	next := c.View().Revision() + 1
	for c.Await(ctx, next) == nil {
		s := sight{c.View().Revision(), time.Now()}
		seen, next = append(seen, s), s.revision+1
	}
	return seen
}

// A write is one transaction of the load.
type write struct {
	due, acknowledged time.Time
	revision          uint64
	err               error
}

// write starts a transaction at each time of the schedule, whether or not those before have been answered, and returns
// all but those of the warm-up.
func (f *fleet) write(ctx context.Context, r *run, size syncSize) ([]write, error) {
	interval := time.Second / time.Duration(size.rate)
	written := make([]write, int((size.warmup+size.lasts)/interval))
	w := newWriter(0, "shop")
	var writing sync.WaitGroup
	defer writing.Wait()
	start := time.Now()
	for i := range written {
		t := &written[i]
		t.due = start.Add(time.Duration(i) * interval)
		if err := sleepUntil(ctx, t.due); err != nil {
			return nil, err
		}
		writing.Go(func() {
			t.revision, t.err = f.control.Update(ctx, w.transaction(i))
			t.acknowledged = time.Now()
		})
		if i%size.rate == 0 {
			r.progress("writing", i, len(written))
		}
	}
	writing.Wait()
	r.progress("writing", len(written), len(written))
	return written[int(size.warmup/interval):], failed(written)
}

func failed(written []write) error {
	for _, t := range written {
		if t.err != nil {
			return t.err
		}
	}
	return nil
}

func sleepUntil(ctx context.Context, at time.Time) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Until(at)):
		return nil
	}
}

// visible is what the scenario has measured.
type visible struct {
	commit distribution // due → acknowledged
	pairs  distribution // acknowledged → visible, of each transaction on each edge
	all    distribution // acknowledged → visible on all edges
	reach  distribution // due → visible on all edges
	early  samples      // percent of pairs that were visible before their writer heard of it, and count as 0; by the sixth of the time

	inTime struct{ commit, pairs, all []time.Duration } // the same in the order in which they were written
}

func newVisible(written []write, seen [][]sight) (*visible, error) {
	var commit, pairs, all, reach []time.Duration
	v := &visible{early: make(samples, min(minRounds, len(written)))}
	for n, t := range written {
		commit = append(commit, t.acknowledged.Sub(t.due))
		last := t.acknowledged
		for i := range seen {
			at, ok := seenAt(seen[i], t.revision)
			if !ok {
				return nil, fmt.Errorf("revision %d was never seen on edge %d", t.revision, i)
			}
			if at.Before(t.acknowledged) {
				sixth := n * len(v.early) / len(written)
				v.early[sixth] += 100 * float64(len(v.early)) / float64(len(written)*len(seen))
			}
			pairs = append(pairs, max(0, at.Sub(t.acknowledged)))
			last = latest(last, at)
		}
		all, reach = append(all, last.Sub(t.acknowledged)), append(reach, last.Sub(t.due))
	}
	v.inTime.commit, v.inTime.pairs, v.inTime.all = slices.Clone(commit), slices.Clone(pairs), slices.Clone(all)
	v.commit, v.pairs, v.all, v.reach = newDistribution(commit), newDistribution(pairs), newDistribution(all), newDistribution(reach)
	return v, nil
}

// seenAt returns when an edge was first seen to show the revision.
func seenAt(seen []sight, revision uint64) (time.Time, bool) {
	i, _ := slices.BinarySearchFunc(seen, revision, func(s sight, revision uint64) int { return cmp.Compare(s.revision, revision) })
	if i == len(seen) {
		return time.Time{}, false
	}
	return seen[i].at, true
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (v *visible) reportTo(r *Report, size syncSize) {
	parts := partsOf(v.inTime.pairs, minRounds)
	r.atMost("visible_p50_ms", ms(v.pairs.at(0.5)), "ms", 2).spread(quantiles(parts, 0.5))
	r.atMost("visible_p99_ms", ms(v.pairs.at(0.99)), "ms", 8).spread(quantiles(parts, 0.99))
	r.quantile("visible_max_ms", v.inTime.pairs, 1)
	r.quantile("visible_all_p50_ms", v.inTime.all, 0.5)
	r.quantile("visible_all_p99_ms", v.inTime.all, 0.99)
	r.quantile("visible_all_max_ms", v.inTime.all, 1)
	r.median("visible_before_acknowledged_percent", v.early, "%").raced = true
	r.quantile("commit_p50_ms", v.inTime.commit, 0.5)
	r.quantile("commit_p99_ms", v.inTime.commit, 0.99)
	r.figure("edges", float64(size.edges), "edges")
	r.figure("offered_per_second", float64(size.rate), "1/s")
	r.table(Table{Title: "The whole distribution", Head: distributionHead(""), Rows: [][]string{
		v.pairs.row("acknowledged → visible, each edge"),
		v.all.row("acknowledged → visible, all edges"),
		v.commit.row("due → acknowledged"),
		v.reach.row("due → visible, all edges"),
	}})
	r.table(v.pairs.histogram("acknowledged → visible, each edge"))
	r.table(v.all.histogram("acknowledged → visible, all edges"))
	r.plot(latencyPlot("Acknowledged → visible", v.pairs.series("on each edge"), v.all.series("on all edges")))
}
