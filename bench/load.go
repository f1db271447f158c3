package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/valyala/fasthttp"
)

// answerTimeout is how long an answer may take.
const answerTimeout = time.Minute

// A shot is a request that is fired, and what its answer must be.
type shot struct {
	url    string
	header [2]string // one field, "" when there is none
	status int       // that it must be answered with
	length int       // of the body, or anyLength
	// body says what else an answer must be, of its ETag and bytes; nil: anything.
	body func(etag string, body []byte) error
}

// anyLength is every one but 0.
const anyLength = -1

// errShed says that a server has said that it is too much, with 503 or 429.
var errShed = errors.New("it is too much")

// check judges an answer by its status and how long it is.
func (s *shot) check(status, length int) error {
	if status != s.status && (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests) {
		return fmt.Errorf("%s is answered with %d, not %d: %w", s.url, status, s.status, errShed)
	}
	if status != s.status {
		return fmt.Errorf("%s is answered with %d, not %d", s.url, status, s.status)
	}
	if s.length == anyLength && length == 0 {
		return fmt.Errorf("%s is answered with nothing", s.url)
	}
	if s.length != anyLength && length != s.length {
		return fmt.Errorf("%s is answered with %d bytes, not %d", s.url, length, s.length)
	}
	return nil
}

// judge is check, and looks at the body as well.
func (s *shot) judge(status int, etag string, body []byte) error {
	err := s.check(status, len(body))
	if err == nil && s.body != nil {
		err = s.body(etag, body)
	}
	if err != nil && len(body) > 0 && utf8.Valid(body[:min(len(body), 200)]) { // what a person can read
		return fmt.Errorf("%w: %.200q", err, body)
	}
	return err
}

// A tally is what came of a load.
type tally struct {
	latencies distribution // of what was right
	took      time.Duration
	failed    int
	shed      int   // it said that it is too much
	failure   error // the first that failed
	refusal   error // the first that was shed
}

// perSecond counts answers that were right.
func (t *tally) perSecond() float64 { return float64(len(t.latencies)) / t.took.Seconds() }

func (t *tally) add(latency time.Duration, err error) {
	switch {
	case err == nil:
		t.latencies = append(t.latencies, latency)
	case errors.Is(err, errShed):
		t.shed++
		t.refusal = cmp.Or(t.refusal, err)
	default:
		t.failed++
		t.failure = cmp.Or(t.failure, err)
	}
}

// whole is an error when not all was answered rightly.
func (t *tally) whole() error {
	if bad := t.failed + t.shed; bad > 0 {
		return fmt.Errorf("%d of %d answers are wrong: %w", bad, bad+len(t.latencies), cmp.Or(t.failure, t.refusal))
	}
	return nil
}

func (t *tally) merge(other *tally) {
	t.latencies = append(t.latencies, other.latencies...)
	t.failed, t.shed = t.failed+other.failed, t.shed+other.shed
	t.failure, t.refusal = cmp.Or(t.failure, other.failure), cmp.Or(t.refusal, other.refusal)
}

// closed fires shots over so many connections for so long, each connection the next as soon as it is answered: the most that
// there is, at the price of latencies that say little.
func closed(ctx context.Context, connections int, lasts time.Duration, next func() *shot) (*tally, error) {
	end := time.Now().Add(lasts)
	var begun atomic.Bool
	return fire(ctx, connections, func() *shot {
		if begun.Load() && time.Now().After(end) {
			return nil
		}
		if !begun.Load() { // one is fired, however late a busy machine lets it
			begun.Store(true)
		}
		return next()
	})
}

// each fires all shots over so many connections, once.
func each(ctx context.Context, connections int, shots []shot) (*tally, error) {
	var fired atomic.Int64
	return fire(ctx, connections, func() *shot {
		if i := int(fired.Add(1)) - 1; i < len(shots) {
			return &shots[i]
		}
		return nil
	})
}

// errFiredNothing says that nothing has been measured.
var errFiredNothing = errors.New("the generator has fired nothing")

// fire fires what next returns over so many connections until that is nil. It is an error when nothing was answered rightly.
func fire(ctx context.Context, connections int, next func() *shot) (*tally, error) {
	tallies := make([]tally, connections)
	var firing sync.WaitGroup
	start := time.Now()
	for i := range tallies {
		firing.Go(func() { tallies[i].fire(ctx, next) })
	}
	firing.Wait()
	all := &tally{took: time.Since(start)}
	for i := range tallies {
		all.merge(&tallies[i])
	}
	all.latencies = newDistribution(all.latencies)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(all.latencies) == 0 {
		return nil, cmp.Or(all.failure, all.refusal, errFiredNothing)
	}
	return all, nil
}

// fire keeps one connection busy.
func (t *tally) fire(ctx context.Context, next func() *shot) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	client := fasthttp.Client{
		MaxConnsPerHost: 1, MaxIdemponentCallAttempts: 1, // a connection that breaks is a failure
		ReadTimeout: answerTimeout, NoDefaultUserAgentHeader: true, DisablePathNormalizing: true, ReadBufferSize: 16 << 10,
		Dial: func(address string) (net.Conn, error) { return dial(ctx, address) },
	}
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	var last *shot
	for s := next(); s != nil && ctx.Err() == nil; s = next() {
		if s != last {
			last = s
			req.Reset()
			req.URI().DisablePathNormalizing = true
			req.SetRequestURI(s.url)
			if s.header[0] != "" {
				req.Header.Set(s.header[0], s.header[1])
			}
		}
		start := time.Now()
		err := client.Do(req, resp)
		latency := time.Since(start)
		if err == nil {
			err = s.judge(resp.StatusCode(), string(resp.Header.Peek("ETag")), resp.Body())
		}
		t.add(latency, err)
	}
}

// dial opens a connection that ends with ctx, so that nobody waits for an answer any more.
func dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	return conn, nil
}
