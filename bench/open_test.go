package bench

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestVerdict(t *testing.T) {
	limit := ceiling{open: 1000}
	for want, o := range map[string]offer{
		"offered 2,000/s, sent 1,000/s: the generator (1,000/s beside a server that does nothing), not the server, is the limit": {rate: 2000, sent: 1000},
		"offered and sent 98/s, 10/s answered well: the server is the limit":                                                     {rate: 100, sent: 98, tally: tally{latencies: make(distribution, 10), shed: 5, took: time.Second}},
		"offered and sent 100/s, 0/s answered well: the server is the limit":                                                     {rate: 100, sent: 100, tally: tally{failed: 1, took: time.Second}},
		"offered and sent 99/s, 0/s answered well: the server is the limit":                                                      {rate: 100, sent: 99, unanswered: 1, tally: tally{took: time.Second}},
		"offered and sent 100/s, and all answered well: no limit was reached":                                                    {rate: 100, sent: 100},
	} {
		if got := o.verdict(limit); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Who cannot send as fast as asked for says so, and ends.
func TestGeneratorIsTheLimit(t *testing.T) {
	err := withIdleServer(16, func(url string) error {
		s := &shot{url: url, status: http.StatusOK, length: 16}
		const rate, lasts = 1_000_000, 20 * time.Millisecond // which no machine does
		o, err := open(t.Context(), steady(rate, lasts), func() *shot { return s })
		if err != nil {
			return err
		}
		if o.keptUp() || o.sent >= rate || o.failed > 0 || !strings.Contains(o.verdict(ceiling{}), "the generator (0/s beside a server that does nothing), not the server, is the limit") {
			t.Errorf("%d answers, %d wrong (%v), sent %v/s: %s", len(o.latencies), o.failed, o.failure, o.sent, o.verdict(ceiling{}))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Who never answers is not waited for, however long an answer may take.
func TestOpenIsNotPatient(t *testing.T) {
	url, _ := hanging(t)
	s := &shot{url: url, status: http.StatusOK, length: anyLength}
	start := time.Now()
	o, err := open(t.Context(), steady(100, 100*time.Millisecond), func() *shot { return s })
	if err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(start); waited > answerTimeout/2 {
		t.Errorf("it waited for %v", waited)
	}
	if o.unanswered != 10 || o.failed+o.shed+len(o.latencies) > 0 || o.lostPercent() != 100 {
		t.Errorf("%d unanswered, %d failed, %d shed, %d answered", o.unanswered, o.failed, o.shed, len(o.latencies))
	}
	if all := o.failures(); len(all) != 1 || !strings.Contains(all[0].Error(), "10 of 10: it was not answered in time") {
		t.Error(all)
	}
	o.sent = o.rate // a busy machine may have been late
	if v := o.verdict(ceiling{}); !strings.HasSuffix(v, "the server is the limit") {
		t.Error(v)
	}
}

// However large the answers are, those in flight are no more than a few hundred megabytes.
func TestMaxConnections(t *testing.T) {
	for length, most := range map[int]int{1 << 20: 256, 64 << 20: 64, 1 << 10: 10_000, anyLength: 4096} {
		if got := maxConnections(length); got > most || got < 64 {
			t.Errorf("%d connections for answers of %d bytes, want at most %d", got, length, most)
		}
	}
}

// What a server refuses is neither an answer nor an error, but it is the limit.
func TestServerIsTheLimit(t *testing.T) {
	var asked atomic.Int64
	url := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		if n := asked.Add(1); n%2 == 0 {
			w.WriteHeader([]int{http.StatusServiceUnavailable, http.StatusTooManyRequests}[n/2%2])
		}
		_, _ = w.Write([]byte("x"))
	})
	s := &shot{url: url, status: http.StatusOK, length: 1}
	o, err := open(t.Context(), steady(100, 100*time.Millisecond), func() *shot { return s })
	if err != nil {
		t.Fatal(err)
	}
	if len(o.latencies) != 5 || o.shed != 5 || o.failed != 0 || asked.Load() != 10 {
		t.Errorf("%d answers, %d shed, %d failed of %d", len(o.latencies), o.shed, o.failed, asked.Load())
	}
	o.sent = o.rate // a busy machine may have been late
	if v := o.verdict(ceiling{}); !strings.HasSuffix(v, "the server is the limit") {
		t.Error(v)
	}
}

// A latency counts from when its request was due: what was due while the server stalled has waited, too.
func TestOpenCountsFromDue(t *testing.T) {
	const stall = 200 * time.Millisecond
	end := make(chan struct{})
	var asked atomic.Int64
	url := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			time.AfterFunc(stall, func() { close(end) })
		}
		<-end
		w.Header().Set("Cache-Status", "assetmatrix; hit; detail=memory")
		_, _ = w.Write([]byte("x"))
	})
	s := &shot{url: url, status: http.StatusOK, length: 1}
	o, err := open(t.Context(), steady(100, 400*time.Millisecond), func() *shot { return s })
	if err != nil || len(o.latencies) != 40 || o.failed != 0 {
		t.Fatalf("%+v, %v", o, err)
	}
	waited := 0
	for _, l := range o.latencies {
		if l >= stall/2 {
			waited++
		}
	}
	if waited < 8 || o.latencies.at(1) < stall { // ten were due in the first half of it
		t.Errorf("%d have waited for half of it, the longest for %v", waited, o.latencies.at(1))
	}
	if len(o.tiers["memory"]) != 40 {
		t.Errorf("tiers %v", o.tiers)
	}
}

// A generator that is late has made others wait, and says so.
func TestOpenCountsItsOwnDelay(t *testing.T) {
	o := &offer{tiers: map[string]distribution{}}
	r := &result{}
	r.Code, r.Latency = http.StatusOK, time.Millisecond
	o.take(r, 5*time.Millisecond)
	if o.latencies.at(1) != 6*time.Millisecond {
		t.Error(o.latencies)
	}
}

func TestTierOf(t *testing.T) {
	for status, want := range map[string]string{
		"assetmatrix; hit; detail=memory":        "memory",
		"assetmatrix; hit; detail=disk; ttl=300": "disk",
		"assetmatrix; fwd=miss; stored":          "miss",
		"assetmatrix; hit":                       "",
		"":                                       "",
	} {
		if got := tierOf(status); got != want {
			t.Errorf("%s is %q, want %q", status, got, want)
		}
	}
}

func TestSteady(t *testing.T) {
	s := steady(200, time.Second)
	if s.n != 200 || s.due(0) != 0 || s.due(100) != 500*time.Millisecond || s.lasts() != time.Second || s.Rate(0) != 200 {
		t.Errorf("%d, the 100th at %v, lasts %v", s.n, s.due(100), s.lasts())
	}
	if wait, stop := s.Pace(100*time.Millisecond, 100); stop || wait != 400*time.Millisecond {
		t.Errorf("%v, %v", wait, stop)
	}
	if wait, stop := s.Pace(600*time.Millisecond, 100); stop || wait > 0 {
		t.Errorf("one that is late waits for %v, %v", wait, stop)
	}
	if _, stop := s.Pace(0, 200); !stop {
		t.Error("it goes on behind its end")
	}
	if _, stop := s.Pace(10*time.Second, 100); !stop {
		t.Error("it goes on when it is late beyond hope")
	}
	if s := steady(0.1, time.Millisecond); s.n != 1 {
		t.Errorf("%d of a slow one", s.n)
	}
}

func TestGeneratorCeiling(t *testing.T) {
	c, err := generatorCeiling(t.Context(), 100, 50*time.Millisecond)
	if err != nil || c.closed.median() <= 0 || c.open <= 0 || c.beyond < c.open*0.9 {
		t.Errorf("%+v, %v", c, err)
	}
}
