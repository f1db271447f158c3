package bench

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// answering is a server that the handler plays.
func answering(t *testing.T, handler http.HandlerFunc) (url string) {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

func TestShot(t *testing.T) {
	const ok, says = http.StatusOK, "an answer"
	other := errors.New("other bytes")
	judge := func(s shot, status int, etag, body, want string) {
		t.Helper()
		s.url = "http://x/"
		err := s.judge(status, etag, []byte(body))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v of %d, %q is %v, want %q", s, status, body, err, want)
		}
	}
	judge(shot{status: ok, length: len(says)}, ok, "", says, "")
	judge(shot{status: ok, length: len(says)}, ok, "", "", "is answered with 0 bytes, not 9")
	judge(shot{status: ok, length: anyLength}, ok, "", "x", "")
	judge(shot{status: ok, length: anyLength}, ok, "", "", "is answered with nothing")
	judge(shot{status: ok, length: anyLength}, 503, "", "too much", `is answered with 503, not 200: it is too much: "too much"`)
	judge(shot{status: 304}, 304, "", "", "")
	judge(shot{status: 206, length: 1}, ok, "", "x", "is answered with 200, not 206")
	body := func(etag string, body []byte) error {
		if etag != "e" || string(body) != says {
			return other
		}
		return nil
	}
	judge(shot{status: ok, length: anyLength, body: body}, ok, "e", says, "")
	judge(shot{status: ok, length: anyLength, body: body}, ok, "f", says, "other bytes")
}

// What is answered rightly is counted, with its latency; what is not is counted as well, and the first of it quoted.
func TestEach(t *testing.T) {
	var asked atomic.Int64
	url := answering(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write([]byte(r.Header.Get("Range")))
	})
	good := shot{url: url + "/a%2Fb", header: [2]string{"Range", "bytes=0-1"}, status: http.StatusOK, length: 9}
	bare, bad := shot{url: url, status: http.StatusOK}, shot{url: url + "/bad", status: http.StatusOK}
	got, err := each(t.Context(), 2, []shot{good, bare, bad, good, bare, bad, good})
	if err != nil || len(got.latencies) != 5 || got.failed != 2 || asked.Load() != 7 || got.perSecond() <= 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if got.failure == nil || !strings.Contains(got.failure.Error(), "/bad is answered with 500") {
		t.Error(got.failure)
	}
	if _, err := each(t.Context(), 2, []shot{bad, bad}); err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("nothing was right: %v", err)
	}
	if _, err := each(t.Context(), 2, nil); err == nil {
		t.Error("nothing was asked, and that is a measurement")
	}
}

// A server that breaks connections has not answered, also when it would at the second time.
func TestBrokenConnection(t *testing.T) {
	var asked atomic.Int64
	url := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1)%2 == 0 {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write([]byte("x"))
	})
	s := shot{url: url, status: http.StatusOK, length: 1}
	got, err := each(t.Context(), 1, []shot{s, s, s, s})
	if err != nil || len(got.latencies) != 2 || got.failed != 2 || asked.Load() != 4 {
		t.Errorf("%+v of %d, %v", got, asked.Load(), err)
	}
}

// What is too much for a server is counted apart, and not right either.
func TestShed(t *testing.T) {
	url := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/more" {
			w.WriteHeader(http.StatusTooManyRequests)
		}
		_, _ = w.Write([]byte("x"))
	})
	good, more := shot{url: url, status: http.StatusOK, length: 1}, shot{url: url + "/more", status: http.StatusOK, length: 1}
	got, err := each(t.Context(), 2, []shot{good, more, good})
	if err != nil || len(got.latencies) != 2 || got.shed != 1 || got.failed != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := got.whole(); err == nil || !strings.Contains(err.Error(), "1 of 3 answers are wrong: "+more.url+" is answered with 429, not 200") {
		t.Error(err)
	}
	if _, err := each(t.Context(), 2, []shot{more, more}); !errors.Is(err, errShed) {
		t.Errorf("everything was too much: %v", err)
	}
}

func TestClosed(t *testing.T) {
	var now, most atomic.Int64
	url := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		n := now.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		time.Sleep(time.Millisecond)
		now.Add(-1)
		_, _ = w.Write([]byte("x"))
	})
	s := &shot{url: url, status: http.StatusOK, length: 1}
	got, err := closed(t.Context(), 3, 50*time.Millisecond, func() *shot { return s })
	if err != nil || got.failed > 0 || len(got.latencies) < 3 || most.Load() > 3 || got.took < 50*time.Millisecond {
		t.Errorf("%d answers, %v; at most %d at once", len(got.latencies), err, most.Load())
	}
	if got.latencies.at(0) < time.Millisecond {
		t.Errorf("an answer took %v", got.latencies.at(0))
	}
}

// One is fired, however late.
func TestClosedLate(t *testing.T) {
	url := answering(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x")) })
	s := &shot{url: url, status: http.StatusOK, length: 1}
	if got, err := closed(t.Context(), 1, -time.Second, func() *shot { return s }); err != nil || len(got.latencies) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// hanging is a server that answers nothing before the test ends.
func hanging(t *testing.T) (url string, asked <-chan struct{}) {
	t.Helper()
	end, first := make(chan struct{}), make(chan struct{}, 1)
	url = answering(t, func(http.ResponseWriter, *http.Request) {
		select {
		case first <- struct{}{}:
		default:
		}
		<-end
	})
	t.Cleanup(func() { close(end) }) // before the server waits for its answers
	return url, first
}

// A load that is interrupted does not wait for answers.
func TestLoadInterrupted(t *testing.T) {
	loads := map[string]func(ctx context.Context, s *shot) error{
		"closed": func(ctx context.Context, s *shot) error {
			_, err := closed(ctx, 2, time.Hour, func() *shot { return s })
			return err
		},
		"open": func(ctx context.Context, s *shot) error {
			_, err := open(ctx, steady(100, time.Hour), func() *shot { return s })
			return err
		},
		"open, with a gap": func(ctx context.Context, s *shot) error {
			_, err := open(ctx, steady(0.001, time.Hour), func() *shot { return s })
			return err
		},
	}
	for name, load := range loads {
		t.Run(name, func(t *testing.T) {
			url, asked := hanging(t)
			ctx, interrupt := context.WithCancel(t.Context())
			go func() {
				<-asked
				interrupt()
			}()
			start := time.Now()
			if err := load(ctx, &shot{url: url, status: http.StatusOK, length: anyLength}); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if waited := time.Since(start); waited > answerTimeout/2 {
				t.Errorf("it waited for %v", waited)
			}
		})
	}
}
