package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/resolve"
)

// liveRate is how many transactions a second are committed while lookups are measured.
const liveRate = 100

// accept is what a browser sends for an <img>.
const accept = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"

// lookups measures [catalog.View.Find] with and without a writer beside it, by turns, so that what neighbours on the machine
// do for some seconds is in both. Every lookup takes the newest view, as every request does. They begin when what is done
// behind a start, which is reading the base as a whole, is done.
func (b *catalogBench) lookups(ctx context.Context) (err error) {
	drawn := b.draw(b.size.lookups)
	b.progress(b.step("verifying"), 0, 1)
	select {
	case <-b.verified:
	case <-ctx.Done():
		return ctx.Err()
	}
	b.m.allocs, err = allocations(len(drawn)/10, func(i int) error { return b.find(&drawn[i]) })
	if err != nil {
		return err
	}
	if b.m.latency, err = memoryLatency(b.m.baseBytes); err != nil {
		return err
	}
	find := func(i int) error { return b.find(&drawn[i]) }
	return b.rounds(ctx, "looking up", func() error {
		if err := b.m.quiet.measure(len(drawn), find); err != nil {
			return err
		}
		return b.besideWriter(ctx, func() error { return b.m.busy.measure(len(drawn), find) })
	})
}

// A pick is an existing name.
type pick struct{ product, name string }

// draw returns n pictures of the import at random, with their names one behind another in memory.
func (b *catalogBench) draw(n int) []pick {
	p := b.size.population
	random := rand.New(rand.NewPCG(1, uint64(n)))
	picks := make([]pick, n)
	products := make([]string, p.products)
	for i := range products {
		products[i] = p.product(i)
	}
	for i := range picks {
		product, k := random.IntN(p.products), random.IntN(p.each)
		for !p.isPicture(product, k) {
			k = random.IntN(p.each)
		}
		picks[i] = pick{products[product], nameOf(k)}
	}
	return picks
}

func (b *catalogBench) find(p *pick) error {
	if e, ok := b.catalog.View().Find(p.product, p.name, 0); !ok || e.Number == 0 {
		return fmt.Errorf("%s/%s was not found: %w", p.product, p.name, errors.Join(b.catalog.View().Err(), errLost))
	}
	return nil
}

// errLost says that what was imported is not there.
var errLost = errors.New("it was imported")

// resolves measures a whole resolve: parsing the URL, and looking up everything that the answer needs.
func (b *catalogBench) resolves(ctx context.Context) error {
	r, err := resolve.New(resolve.DefaultConfig(), func() resolve.View { return b.catalog.View() })
	if err != nil {
		return err
	}
	picks := b.draw(b.size.lookups / 4)
	urls := make([]string, len(picks))
	for i, p := range picks {
		urls[i] = "/" + p.product + "/w=400,h=300,fit=cover/" + p.name
	}
	one := func(i int) error {
		t, err := resolve.Parse(urls[i], "")
		if err == nil {
			_, err = r.Resolve(t, resolve.Client{Accept: accept})
		}
		return err
	}
	if b.m.resolveAllocs, err = allocations(len(urls)/10, one); err != nil {
		return err
	}
	return b.rounds(ctx, "resolving", func() error {
		return b.besideWriter(ctx, func() error { return b.m.resolves.measure(len(urls), one) })
	})
}

// A pace is how often a second something was done in each round: by the clock, and by the CPU time of the thread that did
// it, which other programs on the machine do not lengthen.
type pace struct{ clock, cpu samples }

// nanoseconds is what one took in each round, on the clock.
func (p pace) nanoseconds() (ns samples) {
	for _, perSecond := range p.clock {
		ns = append(ns, 1e9/perSecond)
	}
	return ns
}

// rounds does something as often as the size says.
func (b *catalogBench) rounds(ctx context.Context, step string, do func() error) error {
	for round := range b.size.rounds {
		b.progress(b.step(step), round, b.size.rounds)
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// measure does something n times on one thread.
func (p *pace) measure(n int, do func(i int) error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start, used := time.Now(), threadTime()
	for i := range n {
		if err := do(i); err != nil {
			return err
		}
	}
	p.clock = append(p.clock, float64(n)/time.Since(start).Seconds())
	p.cpu = append(p.cpu, float64(n)/max(threadTime()-used, time.Microsecond).Seconds())
	return nil
}

// threadTime is the CPU time that this thread has used, to the nanosecond (clock_gettime(2)); getrusage(2) counts ticks on some
// machines.
func threadTime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) // it fails for arguments that are none of its own
	return time.Duration(t.Nano())
}

// besideWriter measures while transactions are committed on a schedule.
func (b *catalogBench) besideWriter(ctx context.Context, measure func() error) error {
	writing, stop := context.WithCancel(ctx)
	var failed error
	var writer sync.WaitGroup
	writer.Go(func() { failed = b.live(writing) })
	err := measure()
	stop()
	writer.Wait()
	return errors.Join(err, failed)
}

// live commits transactions at liveRate until ctx ends.
func (b *catalogBench) live(ctx context.Context) error {
	start := time.Now()
	for i := 0; sleepUntil(ctx, start.Add(time.Duration(i)*time.Second/liveRate)) == nil; i++ {
		if _, err := b.catalog.Update(context.WithoutCancel(ctx), b.size.population.change(b.changes)); err != nil {
			return err
		}
		b.changes++
	}
	return nil
}

// allocations returns how often one call allocates, in whole numbers as [testing.AllocsPerRun] says it: what else runs in
// this process allocates as well, and rarely.
func allocations(n int, do func(i int) error) (float64, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range n {
		if err := do(i); err != nil {
			return 0, err
		}
	}
	runtime.ReadMemStats(&after)
	return float64((after.Mallocs - before.Mallocs) / uint64(max(n, 1))), nil
}

var _ resolve.View = (*catalog.View)(nil)
