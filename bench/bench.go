// Package bench measures what the program promises. It boots the real thing on loopback, in a directory of its own that
// it removes, and reports figures beside their targets.
//
// Its one invariant: a figure is a measurement of this run on this machine; no constant stands in for one, and what was
// not measured has no figure.
//
//	scenario, ok := bench.Find("commits")
//	report, err := scenario.Run(ctx, bench.Options{Dir: ".", Quick: true})
//	if err != nil { … }
//	err = report.Print(os.Stdout)
package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/assetmatrix/assetmatrix/bench/corpus"
)

// A Scenario is one thing to measure.
type Scenario struct {
	Name string
	// Short says in one line what is measured.
	Short string
	// Takes are the options that say something to it, besides those that all take.
	Takes Takes

	measure func(ctx context.Context, r *run) error
}

// Takes is a set of options.
type Takes uint

// What a scenario may take.
const (
	TakesTarget Takes = 1 << iota // Target, Server and Token
	TakesPeers                    // Peers and Origin
	TakesCorpus
	TakesTrace
	TakesRate
	TakesLasts
)

// Scenarios returns all scenarios.
func Scenarios() []Scenario {
	const beside = TakesTarget | TakesPeers
	return []Scenario{
		{"hit", "answers whose bytes are in hand: from memory and disk, 304s, ranges; requests a second and latency", beside | TakesCorpus | TakesRate, hitScenario},
		{"render", "renditions of pictures that nobody has seen, beside libvips in a loop: a second, CPU and memory", beside | TakesCorpus, renderScenario},
		{"family", "a srcset of 8 widths × 3 formats of one picture of 15 megapixels, cold: wall clock and CPU", beside | TakesCorpus, familyScenario},
		{"burst", "many clients on one cold URL: renders, reads of the original, latency", beside, burstScenario},
		{"mixed", "a day in small: Zipf popularity, uploads, purges; hits by tier, their latency while renders saturate the cores", TakesTarget | TakesTrace | TakesRate, mixedScenario},
		{"overload", "0.5 to 4 times the capacity, open loop: goodput, what is shed, latency of hits", beside | TakesRate, overloadScenario},
		{"sync", "acknowledged → visible on 64 edges, at 100 transactions a second", 0, syncScenario},
		{"commits", "durable transactions a second, with one writer and with many", 0, commitsScenario},
		{"catalog", "lookups, memory and restart with 1M and 10M assets", 0, catalogScenario},
		{"matrix", "products that share assets, each by itself and by the matrix: storage, sync, compute, consistency", 0, matrixScenario},
		{"soak", "a day that goes on for an hour while things break: failures, torn answers, lost writes, memory, goroutines, open files", TakesLasts, soakScenario},
	}
}

// Find returns the scenario with that name.
func Find(name string) (Scenario, bool) {
	for _, s := range Scenarios() {
		if s.Name == name {
			return s, true
		}
	}
	return Scenario{}, false
}

// Options say how a scenario is run.
type Options struct {
	// Quick takes sizes with which it ends within a minute.
	Quick bool
	// Dir is where the directory for the run's data is made; it is removed at the end. Empty: the working directory.
	Dir string
	// Program is the file of this program, of which restarts start processes; empty: the one that runs.
	Program string
	// Version is the program's, for the report.
	Version string
	// Target is the URL of a running front door that is measured in the place of one that is started; Server is that of its
	// management API, and Token what that asks for.
	Target, Server, Token string
	// Peers are measured beside it, by turns.
	Peers []Peer
	// Origin is the address at which peers find the originals; empty: any on loopback. Peers that are told so by their
	// configuration, as nginx and Varnish are, need one that stays.
	Origin string
	// Corpus is a directory with pictures; empty: they are drawn.
	Corpus string
	// Trace is a file with a recorded trace that is replayed; see [Record].
	Trace string
	// Rate is what an open load offers, in requests a second; 0: what suits the machine.
	Rate float64
	// Lasts is how long soak goes on; 0: an hour.
	Lasts time.Duration
	// Progress is called as the run goes on, by one goroutine at a time; it may be nil.
	Progress func(Progress)
}

// Progress is how far a step of a run is: Done of Total, whatever it counts; Total is 0 when nobody knows.
type Progress struct {
	Step        string
	Done, Total int
}

// A run is a scenario that is being measured.
type run struct {
	Options
	place  *place
	loaded []corpus.File // of the directory that was given
	report *Report
}

// Run measures. What it fails with is no missed target, but that something could not be measured, or that what was
// measured did not hold: an acknowledged write that was not there. Whatever it started has ended when it returns, and its
// data is gone, also when ctx ends.
func (s Scenario) Run(ctx context.Context, o Options) (Report, error) {
	if err := o.check(); err != nil {
		return Report{}, fmt.Errorf("bench %s: %w", s.Name, err)
	}
	r, err := newRun(s.Name, o)
	if err != nil {
		return Report{}, fmt.Errorf("bench %s: %w", s.Name, err)
	}
	if r.Corpus != "" { // what is no picture is said before anything is started
		_, err = r.pictures(ctx)
	}
	g := startGauge(ctx)
	if err == nil {
		err = s.measure(ctx, r)
	}
	g.end(r.report)
	if err = errors.Join(unlessEnded(ctx, err), r.place.remove()); err != nil {
		return Report{}, fmt.Errorf("bench %s: %w", s.Name, err)
	}
	return *r.report, nil
}

// errInterrupted says that the context has ended.
var errInterrupted = interrupted{}

type interrupted struct{}

func (interrupted) Error() string        { return "it was interrupted" }
func (interrupted) Is(target error) bool { return target == context.Canceled }

// A leftover is an error that says what could not be taken away.
type leftover struct{ error }

func (l leftover) Unwrap() error { return l.error }

// unlessEnded is err, or that ctx has ended, of which everything else is a consequence but what could not be taken away.
func unlessEnded(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	if left, ok := errors.AsType[leftover](err); ok {
		return errors.Join(errInterrupted, left)
	}
	return errInterrupted
}

// maxRate is more than any generator here can send, and minRate less than any load is, in requests a second.
const minRate, maxRate = 0.1, 1_000_000

// check refuses what cannot have been meant.
func (o Options) check() error {
	if o.Rate != 0 && !(o.Rate >= minRate && o.Rate <= maxRate) { // nor NaN
		return askedWrongly("--rate is %v; give requests a second, %v to %s", o.Rate, minRate, grouped(maxRate))
	}
	if o.Rate != 0 && o.Trace != "" {
		return askedWrongly("--rate and --trace are given; a trace goes at its own pace")
	}
	if o.Lasts < 0 {
		return askedWrongly("--lasts is %v; give a time such as 10m", o.Lasts)
	}
	for i, p := range o.Peers {
		if slices.ContainsFunc(o.Peers[:i], func(other Peer) bool { return other.Name == p.Name }) {
			return askedWrongly("there are two peers %s; tell them apart by what stands behind a hyphen, such as %s-2", p.Name, p.Name)
		}
	}
	return nil
}

func newRun(scenario string, o Options) (*run, error) {
	if o.Program == "" {
		o.Program = "/proc/self/exe"
	}
	place, err := newPlace(o.Dir)
	if err != nil {
		return nil, err
	}
	environment, err := environmentOf(place.path, o)
	if err != nil {
		return nil, errors.Join(err, place.remove())
	}
	return &run{Options: o, place: place, report: &Report{Scenario: scenario, Environment: environment}}, nil
}

// progress says how far a step is.
func (r *run) progress(step string, done, total int) {
	if r.Progress != nil {
		r.Progress(Progress{step, done, total})
	}
}

// timed says how far a step is that takes as long as expected, until the function that it returns is called.
func (r *run) timed(step string, expected time.Duration) (done func()) {
	stop := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() {
		tick := time.NewTicker(expected/100 + time.Millisecond)
		defer tick.Stop()
		for i := range 100 {
			r.progress(step, i, 100)
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	return func() {
		close(stop)
		ticking.Wait()
		r.progress(step, 100, 100)
	}
}

// path is a place below the run's directory.
func (r *run) path(elements ...string) string {
	return filepath.Join(append([]string{r.place.path}, elements...)...)
}
