package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
)

// catalogSize is one matrix of the catalog scenario.
type catalogSize struct {
	name       string // in figures: "1m"
	population population
	journal    int // transactions behind the base, each of two records
	lookups    int // in a round
	rounds     int
	restarts   int

	perSecond float64       // lookups to reach
	ready     time.Duration // and how soon to be ready again
	heap      float64       // bytes of Go heap not to exceed, 0 for no promise
}

func catalogScenario(ctx context.Context, r *run) error {
	million := catalogSize{
		name: "1m", population: population{products: 16, each: 62_500}, journal: 50_000, lookups: 1_000_000, rounds: 15, restarts: 5,
		perSecond: 2e6, ready: 200 * time.Millisecond,
	}
	if r.Quick {
		return catalogs(ctx, r, million)
	}
	ten := million
	ten.name, ten.population.each = "10m", 625_000
	ten.perSecond, ten.ready, ten.heap = 1.5e6, 250*time.Millisecond, 256<<20
	return catalogs(ctx, r, million, ten)
}

// catalogs measures matrices one after another; the figures whose names say no size are the last one's.
func catalogs(ctx context.Context, r *run, sizes ...catalogSize) error {
	var last *measured
	for _, size := range sizes {
		m, err := measureCatalog(ctx, r, size)
		if err != nil {
			return fmt.Errorf("%d assets: %w", size.population.assets(), err)
		}
		m.reportTo(r.report)
		last = m
	}
	last.reportLast(r.report)
	return nil
}

// measured is what was measured of one matrix.
type measured struct {
	size               catalogSize
	imported           time.Duration
	baseBytes          int64
	journaled          time.Duration
	restarts           distribution
	latency            samples // of memory, ns, while lookups were measured
	quiet, busy        pace    // of lookups without and with a writer
	resolves           pace
	allocs             float64
	resolveAllocs      float64
	heapBytes, records int
}

// measureCatalog imports a matrix, commits a journal's worth of transactions, restarts the program on that, looks things
// up, and commits as much again for the figure of the heap.
func measureCatalog(ctx context.Context, r *run, size catalogSize) (*measured, error) {
	b := &catalogBench{run: r, size: size, cfg: catalog.DefaultConfig(), m: &measured{size: size}}
	b.cfg.Dir, b.cfg.Role = r.path(size.name, "catalog"), "control"
	defer func() { _ = os.RemoveAll(r.path(size.name)) }() // Run reports what cannot be removed
	for _, step := range []func(context.Context) error{
		b.build, b.opened(b.journal), b.restart, b.opened(b.lookups, b.resolves, b.journal, b.heap),
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return b.m, nil
}

type catalogBench struct {
	*run
	size    catalogSize
	cfg     catalog.Config
	catalog *catalog.Catalog // while it is open
	// verified is closed when its base has been read as a whole.
	verified <-chan struct{}
	changes  int // transactions committed until now
	// revision is what the matrix shows when the journal is committed.
	revision uint64
	m        *measured
}

// step says what is being done to the matrix.
func (b *catalogBench) step(what string) string { return b.size.name + ": " + what }

// opened returns the step that does others while the matrix is open.
func (b *catalogBench) opened(steps ...func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) (err error) {
		verified := make(chan struct{})
		done := sync.OnceFunc(func() { close(verified) })
		b.verified = verified
		events := catalog.Events{Verified: func(uint64, time.Duration) { done() }}
		if b.catalog, err = catalog.Open(ctx, b.cfg, events); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.catalog.Close()) }()
		for _, step := range steps {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}

// build imports the population, as what was there before the first message of the log.
func (b *catalogBench) build(ctx context.Context) error {
	if err := os.MkdirAll(b.cfg.Dir, 0o700); err != nil {
		return err
	}
	start := time.Now()
	if err := catalog.Import(ctx, b.cfg.Dir, catalog.Manifest{Created: start.UTC()}, b.population(ctx)); err != nil {
		return err
	}
	b.m.imported = time.Since(start)
	bases, err := filepath.Glob(filepath.Join(b.cfg.Dir, "base-*"))
	if err != nil || len(bases) != 1 {
		return fmt.Errorf("the import made the base files %q", bases)
	}
	info, err := os.Stat(bases[0])
	if err != nil {
		return err
	}
	b.m.baseBytes = info.Size()
	return nil
}

// population returns the records, and says how far they are.
func (b *catalogBench) population(ctx context.Context) func(yield func(catalog.Mutation) bool) {
	total, done := b.size.population.assets(), 0
	return func(yield func(catalog.Mutation) bool) {
		for m := range b.size.population.records() {
			if m.PutAsset != nil {
				if done++; done%10_000 == 0 {
					b.progress(b.step("importing"), done, total)
				}
			}
			if ctx.Err() != nil || !yield(m) {
				return
			}
		}
	}
}

// journalWriters commit the journal: enough for full groups.
const journalWriters = 256

// journal commits as many transactions as the journal is to hold.
func (b *catalogBench) journal(ctx context.Context) error {
	start := time.Now()
	var next atomic.Int64
	errs := make([]error, journalWriters)
	var writing sync.WaitGroup
	for i := range errs {
		writing.Go(func() {
			for n := next.Add(1) - 1; n < int64(b.size.journal) && errs[i] == nil; n = next.Add(1) - 1 {
				_, errs[i] = b.catalog.Update(ctx, b.size.population.change(b.changes+int(n)))
				if n%1000 == 0 {
					b.progress(b.step("committing"), int(n), b.size.journal)
				}
			}
		})
	}
	writing.Wait()
	b.changes += b.size.journal
	b.m.journaled, b.revision = time.Since(start), b.catalog.View().Revision()
	return errors.Join(errs...)
}

// heap measures the Go heap of this process with the matrix open, twice the journal's transactions beside its base.
func (b *catalogBench) heap(context.Context) error {
	b.m.records = 2 * b.changes
	runtime.GC()
	runtime.GC() // what the first one finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.m.heapBytes = int(m.HeapAlloc)
	return nil
}

// change returns transaction i of those that come after the import, of two records each. Three of four upload something
// new, the fourth gives an asset of the import a version and a second link.
func (p population) change(i int) func(*catalog.View) ([]catalog.Mutation, error) {
	at := time.Now().UTC()
	product, link := p.product(i%p.products), asset.Link{Name: fmt.Sprintf("uploads/%08d-%s.jpg", i, words[i%len(words)]), Created: at}
	version := newVersion(kinds[0], 3, uint64(i), 1, at)
	if i%4 != 3 {
		a := newAsset(idOf(at, 2, uint64(i)), product, version)
		link.Product, link.Asset = product, a.ID
		return func(*catalog.View) ([]catalog.Mutation, error) {
			return []catalog.Mutation{{PutAsset: a}, {PutLink: &link}}, nil
		}
	}
	link.Product, link.Asset = p.product((i+1)%p.products), p.id(i%p.products, i*7919%p.each)
	return func(v *catalog.View) ([]catalog.Mutation, error) {
		a, ok := v.Asset(link.Asset)
		if !ok {
			return nil, fmt.Errorf("asset %s of the import is not there", link.Asset)
		}
		added := &catalog.AddedVersion{Asset: a.ID, Version: version}
		added.Version.Number = len(a.Versions) + 1
		return []catalog.Mutation{{AddVersion: added}, {PutLink: &link}}, nil
	}
}

func (p pace) spread() string {
	return p.clock.spread() + " /s; by CPU time " + p.cpu.spread() + " /s"
}

func (m *measured) bytesPerAsset() float64 {
	return float64(m.baseBytes) / float64(m.size.population.assets())
}

func (m *measured) reportTo(r *Report) {
	name := m.size.name
	r.atLeast("lookups_per_second_"+name, m.busy.clock.median(), "1/s", m.size.perSecond).spread(m.busy.clock)
	r.median("lookups_per_second_quiet_"+name, m.quiet.clock, "1/s")
	r.median("memory_latency_ns_"+name, m.latency, "ns")
	r.median("resolve_ns_"+name, m.resolves.nanoseconds(), "ns")
	r.figure("bytes_per_asset_"+name, m.bytesPerAsset(), "bytes")
	if m.size.heap > 0 {
		r.atMost("heap_bytes_"+name, float64(m.heapBytes), "bytes", m.size.heap)
	} else {
		r.figure("heap_bytes_"+name, float64(m.heapBytes), "bytes")
	}
	r.atMost("restart_ready_ms_"+name, ms(m.restarts.at(0.5)), "ms", ms(m.size.ready)).spread(m.restarts.ms())
	r.figure("restart_ready_max_ms_"+name, ms(m.restarts.at(1)), "ms").spread(m.restarts.ms())
	r.table(m.table())
	r.plot(Plot{Title: "Lookups a second, " + name, X: Axis{Label: "round"}, Y: Axis{Label: "lookups a second"}, Series: []Series{
		m.busy.clock.series("beside a writer"), m.quiet.clock.series("without"),
	}})
}

// reportLast reports what has no size in its name.
func (m *measured) reportLast(r *Report) {
	r.atMost("lookup_allocs", m.allocs, "allocations", 0)
	r.atMost("resolve_ns", m.resolves.nanoseconds().median(), "ns", 2000).spread(m.resolves.nanoseconds())
	r.figure("bytes_per_asset", m.bytesPerAsset(), "bytes")
}

func (m *measured) table() Table {
	s := m.size
	assets, journal := grouped(int64(s.population.assets())), grouped(int64(s.journal))
	return Table{
		Title: assets + " assets of " + grouped(int64(s.population.products)) + " products",
		Head:  []string{"STEP", "RESULT", "METHOD"},
		Rows: [][]string{
			{"import", number(m.imported.Seconds()) + " s", grouped(m.baseBytes) + " bytes"},
			{"journal", number(float64(s.journal)/m.journaled.Seconds()) + " transactions/s", fmt.Sprintf("%s transactions of two records, %d writers", journal, journalWriters)},
			{"restart", number(ms(m.restarts.at(0.5))) + " ms, at most " + number(ms(m.restarts.at(1))), fmt.Sprintf("%d times: exec of serve --role edge → /readyz answers 200; no control plane", s.restarts)},
			{"lookups, writer at 100/s", m.busy.spread(), fmt.Sprintf("%d rounds of %s existing names at random, one thread", s.rounds, grouped(int64(s.lookups)))},
			{"lookups, no writer", m.quiet.spread(), "the same"},
			{"memory", number(m.latency.median()) + " ns", "one load that waits for the one before, at random among as many bytes (512 MB at most); a lookup waits for one"},
			{"resolves, writer at 100/s", m.resolves.spread(), fmt.Sprintf("resolve.Parse and Resolve; %s allocations each", number(m.resolveAllocs))},
			{"heap", grouped(int64(m.heapBytes)) + " bytes", fmt.Sprintf("after a collection, %s records beside the base", grouped(int64(m.records)))},
		},
	}
}
