package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// until polls until it holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to this: " + what)
		}
	}
}

// later asks in the background.
func later(t *testing.T, addr, path string, headers ...string) <-chan answer {
	answers := make(chan answer, 1)
	c := dial(t, addr)
	go func() {
		_, _ = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n"+strings.Join(append(headers, ""), "\r\n")+"\r\n")
		a, _ := readAnswer(bufio.NewReader(c), false)
		answers <- a
	}()
	return answers
}

func long(c *Config) { c.RevisionWait = time.Minute }

func TestWaitsForTheRevision(t *testing.T) {
	w := newWorld()
	_, addr := open(t, w, Events{}, long)
	for i, headers := range [][]string{nil, {"Asset-Min-Revision: 44"}, {"asset-min-revision:\t46"}} {
		path := []string{"/shop/original/ten.txt?min_revision=43", "/shop/original/ten.txt", "/shop/original/ten.txt?min_revision=45"}[i]
		want := uint64([]int{43, 44, 46}[i]) // the larger of both
		answers := later(t, addr, path, headers...)
		until(t, "it waits", func() bool { return w.waiting.Load() == 1 })
		w.arrive(want - 1)
		until(t, "it waits on", func() bool { return w.waiting.Load() == 1 })
		select {
		case a := <-answers:
			t.Fatalf("%s: answered %d at revision %d", path, a.status, want-1)
		default:
		}
		w.arrive(want)
		a := <-answers
		wantStatus(t, a, 200)
		if got := a.get("Asset-Revision"); got != []string{"43", "44", "46"}[i] {
			t.Errorf("answered at revision %s", got)
		}
		<-w.gone
	}
}

func TestRevisionThatIsHereCostsNothing(t *testing.T) {
	w := newWorld()
	_, addr := open(t, w, Events{}, long)
	wantStatus(t, get(t, addr, "/shop/original/ten.txt?min_revision=42", "Asset-Min-Revision: 7"), 200)
	wantStatus(t, get(t, addr, "/shop/original/ten.txt", "Asset-Min-Revision: 42"), 200)
	select {
	case <-w.gone:
		t.Error("somebody waited")
	default:
	}
}

func TestRevisionThatDoesNotCome(t *testing.T) {
	w := newWorld()
	for _, wait := range []time.Duration{0, 10 * time.Millisecond} {
		_, addr := open(t, w, Events{}, func(c *Config) { c.RevisionWait = wait })
		a := get(t, addr, "/shop/original/ten.txt?min_revision=43")
		wantStatus(t, a, 503)
		wantHeader(t, a, "Retry-After", "1")
		wantHeader(t, a, "Cache-Control", "no-store")
		wantHeader(t, a, "Content-Type", asset.ProblemMediaType)
		wantHeader(t, a, "Asset-Revision", "42")
		if !strings.Contains(a.body, `"part":"min_revision"`) || !strings.Contains(a.body, "/problems/behind") {
			t.Error(a.body)
		}
		w.mu.Lock()
		if w.loads != 0 {
			t.Error("something was loaded")
		}
		w.mu.Unlock()
	}
}

func TestMalformedRevisions(t *testing.T) {
	_, addr := open(t, newWorld(), Events{})
	for _, value := range []string{"-1", "x", "1.5", "0x1", "18446744073709551616", "1, 2"} {
		a := get(t, addr, "/shop/original/ten.txt", "Asset-Min-Revision: "+value)
		wantStatus(t, a, 400)
		if !strings.Contains(a.body, `"part":"Asset-Min-Revision"`) || !strings.Contains(a.body, "decimal") {
			t.Errorf("%q: %s", value, a.body)
		}
		wantHeader(t, a, "Asset-Revision", "")
		wantHeader(t, a, "Cache-Control", "no-store") // a cache would give it to those who sent no such header
	}
	wantStatus(t, get(t, addr, "/shop/original/ten.txt", "Asset-Min-Revision: 1", "Asset-Min-Revision: 2"), 400)
	a := get(t, addr, "/shop/original/ten.txt?min_revision=x", "Asset-Min-Revision: y")
	wantStatus(t, a, 400)
	wantHeader(t, a, "Cache-Control", "public, max-age=10")
	if !strings.Contains(a.body, `"part":"min_revision"`) {
		t.Error(a.body)
	}
}

// TestRevisionOfEveryAnswer: whatever was read from the matrix says from which revision.
func TestRevisionOfEveryAnswer(t *testing.T) {
	_, addr := open(t, newWorld(), Events{})
	ok := get(t, addr, "/shop/w=10/pic.jpg")
	for _, a := range []answer{
		ok, get(t, addr, "/shop/w=10/pic.jpg", "If-None-Match: "+ok.get("ETag")), get(t, addr, "/shop/w=10/pic.jpg", `If-Match: "x"`),
		get(t, addr, "/shop/w=10/missing"), get(t, addr, "/nobody/w=10/missing"), get(t, addr, "/shop/info/pic.jpg"),
		get(t, addr, "/shop/original/ten.txt", "Range: bytes=99-"), ask(t, addr, "HEAD", "/shop/w=10/missing"),
		ask(t, addr, "OPTIONS", "/shop/w=10/pic.jpg"), get(t, addr, "/shop/original/panic-not"),
	} {
		if a.get("Asset-Revision") != "42" {
			t.Errorf("%d: revision %q", a.status, a.get("Asset-Revision"))
		}
	}
	for _, a := range []answer{get(t, addr, "/"), get(t, addr, "/shop/w=0/pic.jpg"), ask(t, addr, "POST", "/shop/w=1/pic.jpg")} {
		wantHeader(t, a, "Asset-Revision", "")
	}
}

// TestPreflightDoesNotWait: and it lets pages send the header.
func TestPreflightDoesNotWait(t *testing.T) {
	w := newWorld()
	w.product.Origins = []string{"https://a.example"}
	_, addr := open(t, w, Events{}, long)
	a := ask(t, addr, "OPTIONS", "/shop/w=10/pic.jpg?min_revision=99", "Origin: https://a.example", "Asset-Min-Revision: 99")
	wantStatus(t, a, 204)
	wantHeader(t, a, "Access-Control-Allow-Origin", "https://a.example")
	wantHeader(t, a, "Access-Control-Expose-Headers", "*")
	if !strings.Contains(a.get("Access-Control-Allow-Headers"), "Asset-Min-Revision") {
		t.Error(a.get("Access-Control-Allow-Headers"))
	}
}

func TestClientLeavesWhileItWaits(t *testing.T) {
	w := newWorld()
	_, addr := open(t, w, Events{}, long)
	for _, more := range []string{"", "GET /shop/original/ten.txt HTTP/1.1\r\nHost: x\r\n\r\n"} {
		c := dial(t, addr)
		_, _ = io.WriteString(c, "GET /shop/original/ten.txt?min_revision=99 HTTP/1.1\r\nHost: x\r\n\r\n"+more)
		until(t, "it waits", func() bool { return w.waiting.Load() == 1 })
		_ = c.Close()
		select {
		case err := <-w.gone:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the wait ended with %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the wait went on without the client")
		}
	}
}

// TestConnectionAfterTheWait: what the client sent meanwhile is answered, and so is what it sends long afterwards.
func TestConnectionAfterTheWait(t *testing.T) {
	w := newWorld()
	_, addr := open(t, w, Events{}, long, func(c *Config) { c.ReadTimeout = 5 * time.Second })
	c := dial(t, addr)
	r := bufio.NewReader(c)
	request := func(query string) {
		_, _ = io.WriteString(c, "GET /shop/original/ten.txt"+query+" HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	read := func() {
		t.Helper()
		a, err := readAnswer(r, false)
		if err != nil || a.status != 200 || a.body != "0123456789" {
			t.Fatalf("%d %q, %v", a.status, a.body, err)
		}
	}
	for i := range uint64(3) {
		request("?min_revision=" + string(rune('0'+i)) + "00") // 000, 100, 200
		if i > 0 {
			until(t, "it waits", func() bool { return w.waiting.Load() == 1 })
			request("") // already under way
			w.arrive(100 * i)
			read()
		}
		read()
		request("")
		read()
	}
}

func TestDrainWaitsForTheRevision(t *testing.T) {
	w := newWorld()
	s, addr := open(t, w, Events{}, long)
	answers := later(t, addr, "/shop/original/ten.txt?min_revision=43")
	until(t, "it waits", func() bool { return w.waiting.Load() == 1 })
	down := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		down <- s.Shutdown(ctx)
	}()
	until(t, "it drains", func() bool { return s.listener.draining.Load() })
	w.arrive(43)
	a := <-answers
	wantStatus(t, a, 200)
	if err := <-down; err != nil {
		t.Error(err)
	}
}

func TestCutOffWhileItWaits(t *testing.T) {
	w := newWorld()
	s, addr := open(t, w, Events{}, long)
	later(t, addr, "/shop/original/ten.txt?min_revision=43")
	until(t, "it waits", func() bool { return w.waiting.Load() == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	until(t, "nobody waits", func() bool { return w.waiting.Load() == 0 })
}

// TestTooManyWait: one more is refused at once, and told so.
func TestTooManyWait(t *testing.T) {
	w := newWorld()
	var shed atomic.Int32
	s, addr := open(t, w, Events{Shed: func(reason string) {
		if reason == "revision" {
			shed.Add(1)
		}
	}}, long)
	s.waiting.Store(maxWaiting)
	wantStatus(t, get(t, addr, "/shop/original/ten.txt?min_revision=43"), 503)
	if shed.Load() != 1 || s.waiting.Load() != maxWaiting || w.waiting.Load() != 0 {
		t.Errorf("%d were shed, %d wait", shed.Load(), s.waiting.Load())
	}
	s.waiting.Store(maxWaiting - 1)
	answers := later(t, addr, "/shop/original/ten.txt?min_revision=43")
	until(t, "it waits", func() bool { return w.waiting.Load() == 1 })
	w.arrive(43)
	wantStatus(t, <-answers, 200)
}

// TestWatchWithoutSocket: a connection that is no socket is not watched.
func TestWatchWithoutSocket(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	(&conn{inner: a}).watch(func() { t.Error("left") })()
}
