package bench

import (
	"compress/flate"
	"context"
	"io"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/procfs"
)

// A gauge looks, while a run goes on, at what the machine is like: at the CPU time that always the same piece of work takes on a
// core, and at how much of the clock a hypervisor gives to others. Neighbours who share caches and power make the first longer
// without any sign in the second. What two runs have measured can be compared when their gauges agree.
type gauge struct {
	work   samples // ms of CPU time
	stolen samples // percent of the clock
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// gaugePause is between two looks. A look takes some milliseconds.
const gaugePause = time.Second

func startGauge(ctx context.Context) *gauge {
	g := new(gauge)
	ctx, g.stop = context.WithCancel(ctx)
	g.done.Go(func() {
		runtime.LockOSThread() // whose CPU time is taken
		defer runtime.UnlockOSThread()
		work := newGaugeWork()
		clock, _ := clockOf()
		for sleepUntil(ctx, time.Now().Add(gaugePause)) == nil {
			before := threadTime()
			work()
			g.work = append(g.work, ms(threadTime()-before))
			if now, err := clockOf(); err == nil {
				g.stolen = append(g.stolen, 100*(now.Steal-clock.Steal)/max(total(now)-total(clock), 1./userTicks))
				clock = now
			}
		}
	})
	return g
}

// newGaugeWork returns a piece of work: to compress 64 KiB of words, which takes branches, tables and the second cache.
func newGaugeWork() func() {
	var text strings.Builder
	for i := uint32(1); text.Len() < 64<<10; i = i*1664525 + 1013904223 {
		text.WriteString(words[int(i>>16)%len(words)])
	}
	out, err := flate.NewWriter(io.Discard, flate.DefaultCompression)
	if err != nil {
		panic(err) // the level is one that there is
	}
	return func() {
		out.Reset(io.Discard)
		_, _ = io.WriteString(out, text.String()) // nothing can fail that is thrown away
		_ = out.Close()
	}
}

// end stops it, widens the spreads that r has by what it saw the machine vary by, and reports that.
func (g *gauge) end(r *Report) {
	g.stop()
	g.done.Wait()
	if len(g.work) > 0 {
		r.widen(g.work.at(0.95) / g.work.at(0.05))
	}
	r.median("machine_work_ms", g.work, "ms")
	if len(g.stolen) > 0 {
		r.figure("machine_stolen_percent", g.stolen.mean(), "%")
	}
}

// clockOf returns what all cores have done since the machine was started (proc_stat(5)).
func clockOf() (procfs.CPUStat, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return procfs.CPUStat{}, err
	}
	stat, err := fs.Stat()
	return stat.CPUTotal, err
}

func total(c procfs.CPUStat) float64 {
	return c.User + c.Nice + c.System + c.Idle + c.Iowait + c.IRQ + c.SoftIRQ + c.Steal
}
