package proxy

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

const line = "GET /shop/original/ten.txt HTTP/1.1\r\n"

func TestFraming(t *testing.T) {
	w := newWorld()
	_, addr := open(t, w, Events{})
	refused := func(status int, raw string) {
		t.Helper()
		a := send(t, addr, raw)
		if a.status != status || !a.closed {
			t.Errorf("%.80q: %d closed %v, want %d and closed", raw, a.status, a.closed, status)
		}
		if a.get("Content-Type") != "application/problem+json" || !json.Valid([]byte(a.body)) {
			t.Errorf("%.80q: no problem document: %v %s", raw, a.header, a.body)
		}
	}
	const end, next = "\r\n\r\n", "GET /shop/original/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	refused(400, line+"Host: x\r\nContent-Length: 5"+end+"hello")
	refused(400, line+"Host: x\r\nContent-Length: 1"+end+"h"+next)
	refused(400, line+"Host: x\r\nContent-Length: 5\r\nExpect: 100-continue"+end)
	refused(400, line+"Host: x\r\nContent-Length: 5, 5"+end+"hello")
	refused(400, line+"Host: x\r\nContent-Length: 5\r\nContent-Length: 5"+end+"hello")
	refused(400, line+"Host: x\r\nContent-Length: 0x1"+end+"h")
	refused(400, line+"Host: x\r\nContent-Length: -1"+end)
	refused(400, line+"Host: x\r\nContent-Length: +1"+end+"h")
	refused(400, line+"Host: x\r\nTransfer-Encoding: chunked"+end+"0"+end)
	refused(400, line+"Host: x\r\nTransfer-Encoding: chunked"+end+"5\r\nhello\r\n0"+end)
	refused(400, line+"Host: x\r\nTransfer-Encoding: identity"+end)
	refused(400, line+"Host: x\r\nTransfer-Encoding: gzip, chunked"+end)
	refused(400, line+"Host: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked"+end+"0"+end+next)
	refused(400, "POST /shop/w=10/pic.jpg HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"+end+"0"+end+next)
	refused(400, line+"Host: x\r\nA: b\rc"+end)
	refused(400, line+"Host: x\r\nA: b\r\r\n\r\n")
	refused(400, line+"Host: x\nA: b"+end)
	refused(400, line+"Host : x"+end)
	refused(400, line+"Host: x\r\nA : b"+end)
	refused(400, line+"Host: x\r\nA B: b"+end)
	refused(400, line+"Host: x\r\n: b"+end)
	refused(400, line+"Host: x\r\nno colon"+end)
	refused(400, line+"Host: x\r\nA: b\r\n folded"+end)
	refused(400, line+"Host: x\r\nA: b\r\n\tfolded"+end)
	refused(400, line+" Host: x"+end)
	refused(400, line+"Host: x\r\nA: \x00"+end)
	refused(400, line+"\r\n")
	refused(400, line+"Host: "+end)
	refused(400, line+"Host: x\r\nHost: x"+end)
	refused(400, line+"Host: x\r\nHost: y"+end)
	refused(400, "GET /a\x01b HTTP/1.1\r\nHost: x"+end)
	refused(400, "GET /a b HTTP/1.1\r\nHost: x"+end)
	refused(400, "GET /\r\nHost: x"+end)
	refused(505, "GET / HTTP/9.9\r\nHost: x"+end)
	refused(505, "GET / HTTP/2.0\r\nHost: x"+end)
	refused(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	refused(405, "PUT /shop/w=10/pic.jpg HTTP/1.1\r\nHost: x\r\nContent-Length: 4194304"+end+"some")
	refused(405, "PUT /shop/w=10/pic.jpg HTTP/1.1\r\nHost: x\r\nContent-Length: 4194304\r\nExpect: 100-continue"+end)
	refused(405, "POST /shop/w=10/pic.jpg HTTP/1.1\r\nHost: x\r\nContent-Length: 1"+end+"a")
	refused(414, "GET /"+strings.Repeat("a", 8<<10)+" HTTP/1.1\r\nHost: x"+end)
	refused(414, "GET /"+strings.Repeat("a", 100<<10)+" HTTP/1.1\r\nHost: x"+end)
	refused(431, line+"Host: x\r\nA: "+strings.Repeat("a", 16<<10)+end)
	refused(431, line+"Host: x\r\nA: "+strings.Repeat("a", 100<<10)+end)
	if a := send(t, addr, line+"Host: x\r\nA: b\r\n folded"+end); !strings.Contains(a.body, "a folded header line") {
		t.Error("does not say what is wrong:", a.body)
	}
	if w.loads > 0 {
		t.Errorf("%d requests got as far as the loader", w.loads)
	}
	accepted := func(raw string) {
		t.Helper()
		if a := send(t, addr, raw); a.status != 200 {
			t.Errorf("%.80q: %d", raw, a.status)
		}
	}
	accepted(line + "host:x" + end)
	accepted(line + "Host: x\r\nContent-Length: 0" + end)
	accepted(line + "Host: x\r\nA: " + strings.Repeat("a", 15<<10) + end)
	accepted("GET http://other.example/shop/original/ten.txt HTTP/1.1\r\nHost: x" + end)
	accepted("GET /shop/original/ten.txt?" + strings.Repeat("a", 8000) + " HTTP/1.1\r\nHost: x" + end)
	accepted("GET /shop/original/ten.txt HTTP/1.0" + end)
}

func TestConnectionHeader(t *testing.T) {
	_, addr := open(t, newWorld(), Events{})
	for _, h := range []string{"close", "Close", "x, CLOSE"} {
		if a := get(t, addr, "/shop/original/ten.txt", "Connection: "+h); !a.closed {
			t.Errorf("Connection: %s was not honoured", h)
		}
	}
	old := send(t, addr, "GET /shop/original/film.mp4 HTTP/1.0\r\n\r\n")
	wantHeader(t, old, "Transfer-Encoding", "")
	if !old.closed || len(old.body) != 1<<20 {
		t.Error("HTTP/1.0:", old.closed, len(old.body))
	}
	wantHeader(t, send(t, addr, "GET /shop/original/ten.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), "Connection", "keep-alive")
}

func TestPipeliningKeepsTheOrder(t *testing.T) {
	w := newWorld()
	_, addr := open(t, w, Events{})
	c := dial(t, addr)
	go func() {
		var b strings.Builder
		for i := range 100 {
			fmt.Fprintf(&b, "GET /shop/original/ten.txt HTTP/1.1\r\nHost: x\r\nRange: bytes=%d-%d\r\n\r\n", i%10, i%10)
		}
		_, _ = io.WriteString(c, b.String())
	}()
	r := bufio.NewReader(c)
	for i := range 100 {
		a, err := readAnswer(r, false)
		if err != nil || a.body != fmt.Sprint(i%10) {
			t.Fatalf("answer %d: %q, %v", i, a.body, err)
		}
	}
}

// smallBuffers makes a client that takes little before the server has to wait for it.
func smallBuffers(t *testing.T, addr string) net.Conn {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 8<<10)
		})
	}}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

// huge is a world with one file of 8 MB, more than the kernel buffers for anyone.
func huge() *world {
	w := newWorld()
	w.files["huge.bin"] = file{mediaType: "video/mp4", text: make([]byte, 8<<20)}
	w.files["streamed.bin"] = file{mediaType: "video/mp4", text: make([]byte, 8<<20), unreadable: 1 << 40}
	return w
}

// A reader that takes many write timeouts for its answer gets all of it, also when the bytes are in one write.
func TestSlowReadersGetAll(t *testing.T) {
	t.Run("memory", func(t *testing.T) { t.Parallel(); testSlowReader(t, "huge.bin") })
	t.Run("stream", func(t *testing.T) { t.Parallel(); testSlowReader(t, "streamed.bin") })
}

func testSlowReader(t *testing.T, name string) {
	const timeout = 100 * time.Millisecond
	_, addr := open(t, huge(), Events{}, func(c *Config) { c.WriteTimeout = timeout })
	c := smallBuffers(t, addr)
	_, _ = io.WriteString(c, "GET /shop/original/"+name+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	began, sum, p := time.Now(), 0, make([]byte, 64<<10)
	for pause := time.NewTicker(2 * time.Millisecond); ; <-pause.C {
		n, err := c.Read(p)
		sum += n
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("cut off after %d bytes and %s: %v", sum, time.Since(began), err)
		}
	}
	if took := time.Since(began); sum < 8<<20 || took < 3*timeout {
		t.Errorf("%d bytes in %s: too fast to prove anything", sum, took)
	}
}

func TestStalledReadersAreClosed(t *testing.T) {
	s, addr := open(t, huge(), Events{}, func(c *Config) { c.WriteTimeout = time.Second })
	for _, name := range []string{"huge.bin", "streamed.bin"} {
		c := smallBuffers(t, addr)
		_, _ = io.WriteString(c, "GET /shop/original/"+name+" HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	eventually(t, "the connections are open", func() bool { return s.connections() == 2 })
	eventually(t, "the stalled connections are closed", func() bool { return s.connections() == 0 })
}

// connections is how many are open: none before Serve has begun.
func (s *Server) connections() int {
	s.mu.Lock()
	l := s.listener
	s.mu.Unlock()
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never:", what)
		}
	}
}

func TestSlowRequestsAreToldSo(t *testing.T) {
	_, addr := open(t, newWorld(), Events{}, func(c *Config) { c.ReadTimeout = 100 * time.Millisecond })
	a := send(t, addr, "GET /shop/original/ten.txt HTTP/1.1\r\nHost:")
	if a.status != 408 || !a.closed {
		t.Error(a.status, a.closed)
	}
	silent := dial(t, addr)
	if n, err := silent.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Error("a connection without a request was answered:", n, err)
	}
}

func TestIdleConnectionsAreClosedQuietly(t *testing.T) {
	_, addr := open(t, newWorld(), Events{}, func(c *Config) { c.IdleTimeout = 100 * time.Millisecond })
	c := dial(t, addr)
	r := bufio.NewReader(c)
	_, _ = io.WriteString(c, line+"Host: x\r\n\r\n")
	if _, err := readAnswer(r, false); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Error(err)
	}
}

func TestConnectionsOverTheLimitAreTold(t *testing.T) {
	var shed atomic.Int32
	_, addr := open(t, newWorld(), Events{Shed: func(reason string) { shed.Add(1) }}, func(c *Config) { c.MaxConnections = 1 })
	first := dial(t, addr)
	_, _ = io.WriteString(first, line+"Host: x\r\n\r\n")
	r := bufio.NewReader(first)
	if _, err := readAnswer(r, false); err != nil {
		t.Fatal(err)
	}
	a, err := readAnswer(bufio.NewReader(dial(t, addr)), false)
	if err != nil || a.status != 503 || a.get("Retry-After") == "" || shed.Load() != 1 {
		t.Error(a, err)
	}
	_, _ = io.WriteString(first, line+"Host: x\r\n\r\n")
	if _, err := readAnswer(r, false); err != nil {
		t.Error("the admitted one suffers:", err)
	}
}

// Shutdown answers what has begun, ends idle connections without a reset, and takes no new ones.
func TestDrain(t *testing.T) {
	w := newWorld()
	started, release := make(chan struct{}, 1), make(chan struct{})
	w.load = func(ctx context.Context, k asset.Key) (*asset.Object, error) {
		started <- struct{}{}
		<-release
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return asset.NewObject(k, "image/webp", []byte("answered")), nil
	}
	s, addr := open(t, w, Events{})
	idle, fresh, busy := dial(t, addr), dial(t, addr), dial(t, addr)
	idleReader := bufio.NewReader(idle)
	_, _ = io.WriteString(idle, "GET /shop/w=10/missing HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := readAnswer(idleReader, false); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(busy, "GET /shop/w=10/pic.jpg HTTP/1.1\r\nHost: x\r\n\r\n")
	<-started
	eventually(t, "all are accepted", func() bool { return s.connections() == 3 })

	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(context.Background()) }()
	if _, err := idleReader.ReadByte(); err != io.EOF {
		t.Error("idle connection:", err)
	}
	if _, err := fresh.Read(make([]byte, 1)); err != io.EOF {
		t.Error("fresh connection:", err)
	}
	idle.Close()
	fresh.Close()
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("still accepting")
	}
	select {
	case err := <-stopped:
		t.Fatal("did not wait for the request:", err)
	default:
	}
	close(release)
	a, err := readAnswer(bufio.NewReader(busy), false)
	if err != nil || a.body != "answered" || a.get("Connection") != "close" {
		t.Error(a, err)
	}
	busy.Close()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err := s.Serve(nil); !errors.Is(err, ErrServing) {
		t.Error(err)
	}
}

// Under load, no request that was sent before the drain is lost to a reset.
func TestDrainUnderLoad(t *testing.T) {
	s, addr := open(t, newWorld(), Events{})
	var clients sync.WaitGroup
	var answers atomic.Int32
	for range 8 {
		clients.Go(func() {
			c := dial(t, addr)
			defer c.Close()
			r := bufio.NewReader(c)
			for {
				if _, err := io.WriteString(c, line+"Host: x\r\n\r\n"); err != nil {
					return // the connection had ended before
				}
				a, err := readAnswer(r, false)
				if err != nil {
					t.Error("a request went unanswered:", err)
					return
				}
				answers.Add(1)
				if a.get("Connection") == "close" {
					return
				}
			}
		})
	}
	eventually(t, "the clients are busy", func() bool { return answers.Load() > 200 })
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	clients.Wait()
}

func TestShutdownGivesUpInTime(t *testing.T) {
	w := newWorld()
	release := make(chan struct{})
	defer close(release)
	w.load = func(ctx context.Context, k asset.Key) (*asset.Object, error) {
		<-release
		return nil, asset.ErrUnavailable
	}
	s, addr := open(t, w, Events{})
	c := dial(t, addr)
	_, _ = io.WriteString(c, "GET /shop/w=10/pic.jpg HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "the load has begun", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.loads == 1 })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// stubborn is a listener whose first errors pass.
type stubborn struct {
	net.Listener
	left atomic.Int32
}

func (l *stubborn) Accept() (net.Conn, error) {
	if l.left.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func TestAcceptOutlivesMissingDescriptors(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := &stubborn{Listener: inner}
	ln.left.Store(3)
	w := newWorld()
	s, err := New(DefaultConfig(), w, w, w, Events{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	a := get(t, inner.Addr().String(), "/shop/original/ten.txt", "Connection: close")
	wantStatus(t, a, 200)
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
