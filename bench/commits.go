package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assetmatrix/assetmatrix/catalog"
)

// commitsSize is how much the commits scenario does.
type commitsSize struct {
	writers []int         // the numbers of writers to try; the first is the figure of one
	lasts   time.Duration // with each
}

func commitsScenario(ctx context.Context, r *run) error {
	size := commitsSize{writers: []int{1, 64, 128, 256, 512}, lasts: 15 * time.Second}
	if r.Quick {
		size.lasts = 4 * time.Second
	}
	return commits(ctx, r, size)
}

// commits lets so many writers commit as fast as they are answered, each number of them on a matrix of its own, which is
// then closed, opened again, and searched for all that was acknowledged.
func commits(ctx context.Context, r *run, size commitsSize) error {
	flushed, err := flushes(ctx, r.path("flushes"), size.lasts/8)
	if err != nil {
		return err
	}
	var levels []commitLevel
	for _, writers := range size.writers {
		level, err := commitWith(ctx, r, writers, size.lasts)
		if err != nil {
			return fmt.Errorf("%d writers: %w", writers, err)
		}
		levels = append(levels, level)
	}
	reportCommits(r.report, levels, flushed)
	return nil
}

// A commitLevel is what so many writers got.
type commitLevel struct {
	writers int
	took    time.Duration
	parts   samples        // transactions a second in each sixth of the time
	latency distribution   // of each transaction, as its writer saw it
	sixths  []distribution // the same, by the sixth of its writer's transactions
	groups  samples        // transactions in each message of the log
}

func (l *commitLevel) perSecond() float64 { return float64(len(l.latency)) / l.took.Seconds() }

// groupSize is the mean number of transactions in a message.
func (l *commitLevel) groupSize() float64 { return l.groups.mean() }

// groupSizes are those of each sixth of the messages.
func (l *commitLevel) groupSizes() (all samples) {
	for sixth := range slices.Chunk(l.groups, max(1, (len(l.groups)+minRounds-1)/minRounds)) {
		all = append(all, sixth.mean())
	}
	return all
}

// committed counts a message.
func (l *commitLevel) committed(transactions int, _ time.Duration) {
	l.groups = append(l.groups, float64(transactions))
}

func reportCommits(r *Report, levels []commitLevel, flushed []time.Duration) {
	floor := newDistribution(slices.Clone(flushed))
	one, best := &levels[0], &levels[0]
	t := Table{
		Title: "By the number of writers (as a writer sees a commit)",
		Head:  append(distributionHead("WRITERS"), "TRANSACTIONS/s", "IN A GROUP"),
	}
	verified := 0
	for i := range levels {
		l := &levels[i]
		if l.perSecond() > best.perSecond() {
			best = l
		}
		verified += len(l.latency)
		t.Rows = append(t.Rows, append(l.latency.row(fmt.Sprint(l.writers)), number(l.perSecond()), number(l.groupSize())))
	}
	r.atLeast("transactions_per_second", best.perSecond(), "1/s", 20_000).spread(best.parts)
	r.figure("transactions_per_second_1_writer", one.perSecond(), "1/s").spread(one.parts)
	r.figure("writers", float64(best.writers), "writers")
	r.figure("commit_p50_ms", ms(best.latency.at(0.5)), "ms").spread(quantiles(best.sixths, 0.5))
	r.figure("commit_p99_ms", ms(best.latency.at(0.99)), "ms").spread(quantiles(best.sixths, 0.99))
	r.figure("commit_p50_ms_1_writer", ms(one.latency.at(0.5)), "ms").spread(quantiles(one.sixths, 0.5))
	r.figure("commit_p99_ms_1_writer", ms(one.latency.at(0.99)), "ms").spread(quantiles(one.sixths, 0.99))
	r.figure("group_size", best.groupSize(), "transactions").spread(best.groupSizes())
	r.quantile("flush_p50_ms", flushed, 0.5)
	r.figure("acknowledged_and_there", float64(verified), "transactions")
	r.table(t)
	r.table(Table{Title: "What the disk takes for 4 KiB and fsync", Head: distributionHead(""), Rows: [][]string{floor.row("fsync")}})
	plotCommits(r, levels)
}

// plotCommits shows where more writers stop to be more transactions, and begin to wait.
func plotCommits(r *Report, levels []commitLevel) {
	var latency []Series
	throughput := Series{Name: "transactions a second"}
	for _, l := range levels {
		latency = append(latency, l.latency.series(fmt.Sprintf("with %d", l.writers)))
		throughput.Points = append(throughput.Points, Point{float64(l.writers), l.perSecond()})
	}
	r.plot(Plot{Title: "Throughput", X: Axis{Label: "writers", Log: true}, Y: Axis{Label: "transactions a second"}, Series: []Series{throughput}})
	r.plot(latencyPlot("A commit, by the number of writers", latency...))
}

// commitWith measures so many writers on a new matrix.
func commitWith(ctx context.Context, r *run, writers int, lasts time.Duration) (commitLevel, error) {
	dir := r.path(fmt.Sprint("writers-", writers))
	defer func() { _ = os.RemoveAll(dir) }() // Run reports what cannot be removed
	cfg := catalog.DefaultConfig()
	cfg.Dir = dir
	level := commitLevel{writers: writers}
	done := r.timed(fmt.Sprintf("%d writers", writers), lasts)
	all, err := level.load(ctx, cfg, lasts)
	done()
	if err != nil {
		return level, err
	}
	return level, verify(ctx, cfg, all)
}

// load lets the writers write and returns them.
func (l *commitLevel) load(ctx context.Context, cfg catalog.Config, lasts time.Duration) (_ []*writer, err error) {
	c, err := catalog.Open(ctx, cfg, catalog.Events{Committed: l.committed})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	const product = "shop"
	if err := addProducts(ctx, c, product); err != nil {
		return nil, err
	}
	all := make([]*writer, l.writers)
	for i := range all {
		all[i] = newWriter(i, product)
	}
	start := time.Now()
	var done atomic.Int64
	counted := l.count(&done, lasts)
	took, err := commitUntil(ctx, c, all, start.Add(lasts), &done)
	l.took = time.Since(start)
	counted()
	l.take(took)
	return all, err
}

// take takes what each writer's transactions took.
func (l *commitLevel) take(took [][]time.Duration) {
	sixths := make([][]time.Duration, minRounds)
	for _, writer := range took {
		l.latency = append(l.latency, writer...)
		for i, part := range partsOf(writer, minRounds) {
			sixths[i] = append(sixths[i], part...)
		}
	}
	l.latency = newDistribution(l.latency)
	for _, part := range sixths {
		if len(part) > 0 {
			l.sixths = append(l.sixths, newDistribution(part))
		}
	}
}

// count looks how many transactions are done after each sixth of the time, until the function that it returns is called.
func (l *commitLevel) count(done *atomic.Int64, lasts time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var counting sync.WaitGroup
	counting.Go(func() {
		before, at := int64(0), time.Now()
		for range minRounds {
			if sleepUntil(ctx, at.Add(lasts/minRounds)) != nil {
				return
			}
			now, n := time.Now(), done.Load()
			l.parts = append(l.parts, float64(n-before)/now.Sub(at).Seconds())
			before, at = n, now
		}
	})
	return func() {
		cancel()
		counting.Wait()
	}
}

// commitUntil returns how long each commit of each writer took. A commit that is under way at the end is waited for.
func commitUntil(ctx context.Context, c *catalog.Catalog, all []*writer, end time.Time, done *atomic.Int64) ([][]time.Duration, error) {
	samples, errs := make([][]time.Duration, len(all)), make([]error, len(all))
	var writing sync.WaitGroup
	for i, w := range all {
		writing.Go(func() { samples[i], errs[i] = w.writeUntil(ctx, c, end, done) })
	}
	writing.Wait()
	return samples, errors.Join(errs...)
}

func (w *writer) writeUntil(ctx context.Context, c *catalog.Catalog, end time.Time, done *atomic.Int64) (took []time.Duration, err error) {
	for before := time.Now(); before.Before(end); {
		if _, err := w.write(ctx, c); err != nil {
			return nil, err
		}
		done.Add(1)
		now := time.Now()
		took, before = append(took, now.Sub(before)), now
	}
	return took, nil
}

// verify opens the matrix again and fails when transactions are not there that the writers saw acknowledged.
func verify(ctx context.Context, cfg catalog.Config, all []*writer) (err error) {
	c, err := catalog.Open(ctx, cfg, catalog.Events{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	lost := 0
	for _, w := range all {
		lost += w.missing(c.View())
	}
	if lost > 0 {
		return fmt.Errorf("%d acknowledged transactions are not there any more", lost)
	}
	return nil
}

// flushes measures for a while what the disk itself takes to append 4 KiB and flush them: no durable commit can be faster.
func flushes(ctx context.Context, path string, lasts time.Duration) (took []time.Duration, err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	block := make([]byte, 4096)
	for start := time.Now(); time.Since(start) < lasts || len(took) == 0; {
		before := time.Now()
		if _, err := f.Write(block); err != nil {
			return nil, err
		}
		if err := errors.Join(f.Sync(), ctx.Err()); err != nil {
			return nil, err
		}
		took = append(took, time.Since(before))
	}
	return took, nil
}
