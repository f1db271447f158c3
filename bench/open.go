package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
	"golang.org/x/sys/unix"
)

// maxConnections is how many an open load may have at once: as many as there are open files for here, and for a server in the
// same process.
func maxConnections() int {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return 256
	}
	return int(min(10_000, max(256, files.Cur/2-256)))
}

// An offer is what an open load has offered, and what came of it.
type offer struct {
	tally
	rate, sent float64 // requests a second: wanted, and fired
	shed       int     // answers with 503 or 429: it said that it is too much
	tiers      map[string]distribution
}

// keptUp says whether the generator fired as fast as it was to. When it did not, it is the limit, and not the server.
func (o *offer) keptUp() bool { return o.sent >= 0.95*o.rate }

// verdict says who was the limit of a load.
func (o *offer) verdict(limit ceiling) string {
	switch {
	case !o.keptUp():
		return fmt.Sprintf("offered %s/s, sent %s/s: the generator (at most %s/s here), not the server, is the limit; what is measured at this rate does not count",
			number(o.rate), number(o.sent), number(limit.open))
	case o.failed > 0 || o.shed > 0:
		return fmt.Sprintf("offered and sent %s/s, %s/s answered well: the server is the limit", number(o.sent), number(o.perSecond()))
	}
	return fmt.Sprintf("offered and sent %s/s, and all answered well: no limit was reached", number(o.sent))
}

// A schedule says when each of n requests is due, from the start.
type schedule struct {
	n   int
	due func(i int) time.Duration
}

// steady is a schedule at a rate.
func steady(rate float64, lasts time.Duration) schedule {
	return schedule{max(1, int(rate*lasts.Seconds())), func(i int) time.Duration {
		return time.Duration(float64(i) / rate * float64(time.Second))
	}}
}

// lasts is how long the schedule is.
func (s schedule) lasts() time.Duration { return max(s.due(s.n), time.Millisecond) }

// beyondHope is how late a generator may be, besides as long again as the schedule: it will not keep up any more.
const beyondHope = time.Second

// Pace implements [vegeta.Pacer].
func (s schedule) Pace(elapsed time.Duration, hits uint64) (wait time.Duration, stop bool) {
	if hits >= uint64(s.n) || elapsed > 2*s.lasts()+beyondHope {
		return 0, true
	}
	return s.due(int(hits)) - elapsed, false
}

// Rate implements [vegeta.Pacer].
func (s schedule) Rate(time.Duration) float64 { return float64(s.n) / s.lasts().Seconds() }

// open fires shots when they are due, whether or not those before have been answered, and over as many connections as that
// takes. A latency is from when its request was due, so what waits because the generator is late has waited as well.
func open(ctx context.Context, s schedule, next func() *shot) (*offer, error) {
	results, err := attack(ctx, s, 0, next)
	if err != nil {
		return nil, err
	}
	o := &offer{rate: s.Rate(0), tiers: map[string]distribution{}}
	first, fired, answered := results[0].Timestamp, time.Duration(0), time.Duration(0)
	for i, result := range results {
		at := result.Timestamp.Sub(first)
		o.take(&result, max(0, at-(s.due(i)-s.due(0))))
		fired, answered = max(fired, at), max(answered, at+result.Latency)
	}
	o.took = max(answered, s.lasts())
	o.sent = float64(len(results)) / max(fired, s.lasts()).Seconds()
	o.latencies = newDistribution(o.latencies)
	for tier, d := range o.tiers {
		o.tiers[tier] = newDistribution(d)
	}
	return o, nil
}

// A result is what came of one shot.
type result struct {
	vegeta.Result
	err error // that it was not answered, or not as the shot says
}

// take counts an answer to a request that was fired so late.
func (o *offer) take(r *result, late time.Duration) {
	if r.Code == http.StatusServiceUnavailable || r.Code == http.StatusTooManyRequests {
		o.shed++
		return
	}
	latency := r.Latency + late
	o.add(latency, r.err)
	if r.err == nil {
		tier := tierOf(r.Headers.Get("Cache-Status"))
		o.tiers[tier] = append(o.tiers[tier], latency)
	}
}

// tierOf returns which tier answered (RFC 9211): "memory", "disk", "metadata", "miss", and "" where nobody says.
func tierOf(cacheStatus string) string {
	if _, detail, ok := strings.Cut(cacheStatus, "hit; detail="); ok {
		tier, _, _ := strings.Cut(detail, ";")
		return tier
	}
	if strings.Contains(cacheStatus, "fwd=miss") {
		return "miss"
	}
	return ""
}

// attack lets vegeta fire, for so long if that is not 0, and returns the results in the order in which they were fired, at least one.
func attack(
	ctx context.Context, pacer vegeta.Pacer, lasts time.Duration, next func() *shot, options ...func(*vegeta.Attacker),
) ([]result, error) {
	var mu sync.Mutex // guards shots, and the source of them
	shots := map[string]*shot{}
	targeter := func(t *vegeta.Target) error {
		mu.Lock()
		defer mu.Unlock()
		s := next()
		shots[s.url] = s
		*t = vegeta.Target{Method: http.MethodGet, URL: s.url, Header: http.Header{}}
		if s.header[0] != "" {
			t.Header[s.header[0]] = []string{s.header[1]}
		}
		return nil
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	most := maxConnections()
	transport := &http.Transport{
		DialContext:         func(_ context.Context, _, address string) (net.Conn, error) { return dial(ctx, address) },
		MaxIdleConnsPerHost: most, MaxConnsPerHost: most, DisableCompression: true,
	}
	attacker := vegeta.NewAttacker(append(options, vegeta.Client(&http.Client{Transport: transport, Timeout: answerTimeout}))...)
	defer context.AfterFunc(ctx, func() { attacker.Stop() })()
	var results []result
	for r := range attacker.Attack(targeter, waiter{ctx, pacer}, lasts, "") {
		mu.Lock()
		s := shots[r.URL]
		mu.Unlock()
		err := errors.New(r.Error)
		if r.Code != 0 {
			err = s.judge(int(r.Code), r.Headers.Get("ETag"), r.Body)
		}
		r.Body = nil
		results = append(results, result{*r, err})
	}
	slices.SortFunc(results, func(a, b result) int { return cmp.Compare(a.Seq, b.Seq) })
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(results) == 0 {
		return nil, errFiredNothing
	}
	return results, nil
}

// A waiter is a pacer that waits itself, as vegeta would go on waiting when ctx ends.
type waiter struct {
	ctx context.Context
	vegeta.Pacer
}

// Pace implements [vegeta.Pacer].
func (w waiter) Pace(elapsed time.Duration, hits uint64) (wait time.Duration, stop bool) {
	wait, stop = w.Pacer.Pace(elapsed, hits)
	if stop || wait < 100*time.Millisecond {
		return wait, stop
	}
	return 0, sleepUntil(w.ctx, time.Now().Add(wait)) != nil
}

// A ceiling is how many requests a second the generator itself can make on this machine, from a server in this process that
// does nothing but answer: no figure of a server can be above it.
type ceiling struct {
	closed, open float64
}

// ceilingConnections is how many connections it is measured with.
const ceilingConnections = 32

// generatorCeiling measures it with answers of so many bytes.
func generatorCeiling(ctx context.Context, bytes int, lasts time.Duration) (c ceiling, err error) {
	err = withIdleServer(bytes, func(url string) error {
		s := &shot{url: url, status: http.StatusOK, length: bytes}
		next := func() *shot { return s }
		most, err := closed(ctx, ceilingConnections, lasts, next)
		if err != nil {
			return err
		}
		unpaced, err := attack(ctx, vegeta.Rate{}, lasts, next, vegeta.Workers(ceilingConnections), vegeta.MaxWorkers(ceilingConnections))
		if err != nil {
			return err
		}
		c = ceiling{closed: most.perSecond(), open: float64(len(unpaced)) / lasts.Seconds()}
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("the generator's ceiling: %w", err)
	}
	return c, nil
}
