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

// maxInFlight is how many bytes of answers an open load may hold at once.
const maxInFlight = 256 << 20

// maxConnections is how many an open load may have at once: as many as there are open files for here and for a server in the
// same process, and as hold no more than maxInFlight. What has to wait for one of them has waited as well.
func maxConnections(length int) int {
	if length == anyLength {
		length = 64 << 10 // renditions
	}
	least, most := uint64(64), uint64(10_000)
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil {
		most = min(most, max(256, files.Cur/2-256))
	}
	return int(max(least, min(most, maxInFlight/uint64(max(1, length)))))
}

// An offer is what an open load has offered, and what came of it.
type offer struct {
	tally
	rate, sent float64 // requests a second: wanted, and fired
	unanswered int     // when its patience was at an end
	tiers      map[string]distribution
}

// keptUp says whether the generator fired as fast as it was to. When it did not, it is the limit, and not the server.
func (o *offer) keptUp() bool { return o.sent >= 0.95*o.rate }

// verdict says who was the limit of a load.
func (o *offer) verdict(limit ceiling) string {
	switch {
	case !o.keptUp():
		return fmt.Sprintf("offered %s/s, sent %s/s: the generator (%s/s beside a server that does nothing), not the server, is the limit; what is measured at this rate does not count",
			number(o.rate), number(o.sent), number(limit.open))
	case o.failed > 0 || o.shed > 0 || o.unanswered > 0 || o.perSecond() < 0.9*o.sent: // the last means that it has queued
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

// patience is how long after its start the generator still fires and waits for answers: as long again as the schedule, and a
// second. Who is that late does not keep up any more.
func (s schedule) patience() time.Duration { return 2*s.lasts() + time.Second }

// Pace implements [vegeta.Pacer].
func (s schedule) Pace(elapsed time.Duration, hits uint64) (wait time.Duration, stop bool) {
	if hits >= uint64(s.n) || elapsed > s.patience() {
		return 0, true
	}
	return s.due(int(hits)) - elapsed, false
}

// Rate implements [vegeta.Pacer].
func (s schedule) Rate(time.Duration) float64 { return float64(s.n) / s.lasts().Seconds() }

// open fires shots when they are due, whether or not those before have been answered, and over as many connections as that
// takes. A latency is from when its request was due, so what waits because the generator is late has waited as well.
func open(ctx context.Context, s schedule, next func() *shot) (*offer, error) {
	results, err := attack(ctx, s, 0, s.patience(), next)
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

// errUnanswered says that patience was at an end.
var errUnanswered = errors.New("it was not answered in time")

// take counts an answer to a request that was fired so late.
func (o *offer) take(r *result, late time.Duration) {
	if errors.Is(r.err, errUnanswered) {
		o.unanswered++
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
// What is not answered when patience is at an end will not be.
func attack(
	outer context.Context, pacer vegeta.Pacer, lasts, patience time.Duration, next func() *shot, options ...func(*vegeta.Attacker),
) ([]result, error) {
	var mu sync.Mutex // guards first and shots, and the source of them
	first, shots := next(), map[string]*shot{}
	targeter := func(t *vegeta.Target) error {
		mu.Lock()
		defer mu.Unlock()
		s := first
		if first = nil; s == nil {
			s = next()
		}
		shots[s.url] = s
		*t = vegeta.Target{Method: http.MethodGet, URL: s.url, Header: http.Header{}}
		if s.header[0] != "" {
			t.Header[s.header[0]] = []string{s.header[1]}
		}
		return nil
	}
	ctx, end := context.WithCancel(outer)
	defer end()
	defer time.AfterFunc(patience, end).Stop() // no deadline, at which a dialer would fail by itself
	most := maxConnections(first.length)
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
		switch {
		case r.Code != 0:
			err = s.judge(int(r.Code), r.Headers.Get("ETag"), r.Body)
		case ctx.Err() != nil:
			err = fmt.Errorf("%s: %w", s.url, errUnanswered)
		}
		r.Body = nil
		results = append(results, result{*r, err})
	}
	slices.SortFunc(results, func(a, b result) int { return cmp.Compare(a.Seq, b.Seq) })
	if err := outer.Err(); err != nil {
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

// A ceiling is how many requests a second the generator itself can make on this machine, of a server in this process that
// does nothing but answer. A closed loop of a server that works is below it; an open one has been sent by the same pacer.
type ceiling struct {
	closed samples
	open   float64 // the most with which it has kept up
	beyond float64 // the least with which it has not, of what was tried
}

// ceilingConnections is how many connections it is measured with.
const ceilingConnections = 32

// generatorCeiling measures it with answers of so many bytes.
func generatorCeiling(ctx context.Context, bytes int, lasts time.Duration) (c ceiling, err error) {
	err = withIdleServer(bytes, func(url string) error {
		s := &shot{url: url, status: http.StatusOK, length: bytes}
		next := func() *shot { return s }
		for range 3 {
			most, err := closed(ctx, ceilingConnections, lasts/2, next)
			if err != nil {
				return err
			}
			c.closed = append(c.closed, most.perSecond())
		}
		unpaced := []func(*vegeta.Attacker){vegeta.Workers(ceilingConnections), vegeta.MaxWorkers(ceilingConnections)}
		answers, err := attack(ctx, vegeta.Rate{}, lasts, answerTimeout, next, unpaced...)
		if err != nil {
			return err
		}
		c.beyond = float64(len(answers)) / lasts.Seconds() // a schedule is not faster than who waits for nothing but answers
		for c.open == 0 {
			rate := 0.8 * c.beyond
			o, err := open(ctx, steady(rate, lasts), next)
			if err == nil && !o.keptUp() { // once more, as it may have been a neighbour
				o, err = open(ctx, steady(rate, lasts), next)
			}
			if err != nil {
				return err
			}
			if o.keptUp() || rate < 10 {
				c.open = o.sent
			} else {
				c.beyond = rate
			}
		}
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("the generator's ceiling: %w", err)
	}
	return c, nil
}
