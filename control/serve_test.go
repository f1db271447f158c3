package control

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestUnknownRoutes(t *testing.T) {
	h := open(t)
	refused(t, h.ask("GET", "/v2", ""), 404, "not-found", "path", "/openapi.json")
	refused(t, h.ask("GET", "/v1/products/", ""), 404, "not-found", "path", "/openapi.json")
	refused(t, h.ask("PUT", "/v1/products/shop/assetsx/a", "x"), 404, "not-found", "path", "/openapi.json")
	for _, c := range []struct{ method, path, allow string }{
		{"POST", "/v1/products", "GET, HEAD"},
		{"PATCH", "/v1/products/shop", "DELETE, GET, HEAD, PUT"},
		{"OPTIONS", "/v1/products/shop", "DELETE, GET, HEAD, PUT"},
		{"POST", "/v1/products/shop/assets/a/b", "DELETE, GET, HEAD, PATCH, PUT"},
		{"GET", "/v1/transactions", "POST"},
		{"PUT", "/v1/products/shop/assets", "GET, HEAD"},
		{"GET", "/v1/products/shop/links/a", "DELETE, PUT"},
		{"POST", "/livez", "GET, HEAD"},
		{"BREW", "/", "GET, HEAD"},
	} {
		a := h.ask(c.method, c.path, "")
		refused(t, a, 405, "method-not-allowed", "method", c.allow)
		if got := a.Header.Get("Allow"); got != c.allow {
			t.Errorf("%s %s: Allow: %s", c.method, c.path, got)
		}
	}
}

// The mux would redirect these to a path that the client did not send.
func TestUncleanPaths(t *testing.T) {
	h := open(t).shop()
	for _, path := range []string{
		"//v1/products", "/v1//products", "/v1/./products", "/v1/products/../products", "/v1/products/shop/assets/a//b",
		"/v1/products/shop/assets/a/../b", "/v1/products/shop/assets/..", "/v1/products/shop/assets/%2e%2E/b", "/v1/products/shop/assets/a/%2e",
		"/v1/products/shop/assets//a",
	} {
		for _, method := range []string{"GET", "PUT"} {
			refused(t, h.ask(method, path, "x"), 400, "invalid-request", "path", "single slashes")
		}
	}
}

func TestHost(t *testing.T) {
	h := open(t)
	_, port, _ := net.SplitHostPort(h.addr)
	for _, host := range []string{"localhost", "localhost:" + port, "127.0.0.1", "127.1.2.3:80", "[::1]:" + port, "[::1]"} {
		if a := h.ask("GET", "/livez", "", "Host", host); a.StatusCode != 200 {
			t.Errorf("%s: %s %s", host, a.Status, a.body)
		}
	}
	for _, host := range []string{"evil.example", "evil.example:" + port, "127.0.0.1.evil.example", "localhost.evil.example", "192.168.0.1"} {
		for _, path := range []string{"/livez", "/v1/products", "/metrics", "/debug/pprof/", "/openapi.json", "/nowhere"} {
			refused(t, h.ask("GET", path, "", "Host", host), 403, "forbidden", "Host", "localhost")
		}
	}
}

func TestCrossOriginWrites(t *testing.T) {
	h := open(t)
	put := func(headers ...string) answered {
		return h.ask("PUT", "/v1/products/shop", "{}", append(headers, "Content-Type", "application/json")...)
	}
	refused(t, put("Sec-Fetch-Site", "cross-site"), 403, "forbidden", "Sec-Fetch-Site", "of this server's own")
	refused(t, put("Sec-Fetch-Site", "same-site"), 403, "forbidden", "Sec-Fetch-Site", "of this server's own")
	refused(t, put("Origin", "https://evil.example"), 403, "forbidden", "Origin", "of this server's own")
	refused(t, put("Origin", "null"), 403, "forbidden", "Origin", "of this server's own")
	if _, ok := h.catalog.View().Product("shop"); ok {
		t.Fatal("a foreign page has written")
	}
	for _, own := range [][]string{{"Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Site", "none"}, {"Origin", h.url}, {}} {
		if a := put(own...); a.StatusCode >= 300 {
			t.Errorf("%v: %s %s", own, a.Status, a.body)
		}
	}
	if a := h.ask("GET", "/v1/products", "", "Sec-Fetch-Site", "cross-site"); a.StatusCode != 200 || a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("reads are kept from pages by the browser", a.Status, a.Header)
	}
}

func TestPanicIsAProblem(t *testing.T) {
	h := open(t)
	h.server.mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("secret /path") })
	h.server.mux.HandleFunc("GET /late", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
		panic("late")
	})
	a := h.ask("GET", "/panic", "")
	refused(t, a, 500, "internal", "", "")
	if strings.Contains(string(a.body), "secret") {
		t.Errorf("%s", a.body)
	}
	resp, err := http.Get(h.url + "/late")
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("an answer that broke off looks whole", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if fmt.Sprint(h.panics) != "[secret /path late]" {
		t.Error(h.panics)
	}
}

// What package http cannot read is refused past every handler, and is a problem all the same.
func TestUnparsedRequests(t *testing.T) {
	h := open(t)
	const host = "Host: localhost\r\n"
	for _, c := range []struct {
		request string
		status  int
		kind    string
		part    string
		allowed string
	}{
		{"GET /v1/products/%zz HTTP/1.1\r\n" + host, 400, "malformed-request", "request", "percent-encoded"},
		{"GET /livez HTTP/1.1\r\n", 400, "malformed-request", "request", "one Host"},
		{"GET /livez HTTP/1.1\r\n" + host + host, 400, "malformed-request", "request", "one Host"},
		{"GET /livez HTTP/1.1\r\n" + host + "bad header: x\r\n", 400, "malformed-request", "request", ""},
		{"PUT /v1/products/a HTTP/1.1\r\n" + host + "Content-Length: 0x1\r\n", 400, "malformed-request", "request", ""},
		{"PUT /v1/products/a HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n", 501, "transfer-coding", "Transfer-Encoding", "chunked"},
		{"GET /livez HTTP/1.1\r\n" + host + "X: " + strings.Repeat("x", 80<<10) + "\r\n", 431, "headers-too-large", "headers", "65536 bytes"},
		{"GET /livez HTTP/3.9\r\n" + host, 505, "http-version", "version", "HTTP/1.1"},
	} {
		_, r := h.dial(c.request + "\r\n")
		a := readAnswer(t, r)
		refused(t, a, c.status, c.kind, c.part, c.allowed)
		if _, err := r.ReadByte(); !a.Close || err == nil {
			t.Errorf("%.60q: the connection goes on", c.request)
		}
	}
}

// dial opens a connection and sends text on it.
func (h *house) dial(text string) (net.Conn, *bufio.Reader) {
	h.t.Helper()
	c, err := net.Dial("tcp", h.addr)
	must(h.t, err)
	h.t.Cleanup(func() { _ = c.Close() })
	must(h.t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(c, text)
	must(h.t, err)
	return c, bufio.NewReader(c)
}

// readAnswer reads one answer.
func readAnswer(t *testing.T, r *bufio.Reader) answered {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	must(t, err)
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	return answered{resp, text}
}

// A refusal comes before the body, and the connection does not take the body for a request.
func TestEarlyRefusalCostsNoUpload(t *testing.T) {
	h := open(t)
	const head = "PUT /v1/products/nobody/assets/a.bin HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n"
	c, r := h.dial(head + "Expect: 100-continue\r\n\r\n")
	refused(t, readAnswer(t, r), 404, "not-found", "product", "")
	_, _ = io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if _, err := r.ReadByte(); err == nil {
		t.Error("the connection goes on though a body may follow")
	}
	c, r = h.dial(head + "\r\n")
	go func() { _, _ = io.Copy(c, io.LimitReader(zeros{}, 1<<20)) }() // a client that does not ask
	refused(t, readAnswer(t, r), 404, "not-found", "product", "")
}

// A small body that was refused is read away, and the connection serves the next request.
func TestConnectionGoesOnAfterRefusal(t *testing.T) {
	h := open(t)
	_, r := h.dial("PUT /v1/products/nobody/assets/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello" +
		"PUT /v1/products/nobody HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello" +
		"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
	refused(t, readAnswer(t, r), 404, "not-found", "product", "")
	refused(t, readAnswer(t, r), 415, "unsupported-media-type", "Content-Type", "application/json")
	if a := readAnswer(t, r); a.StatusCode != 200 {
		t.Error(a.Status)
	}
}

func TestExpectContinueIsAnsweredWhenTheBodyIsWanted(t *testing.T) {
	h := open(t).shop()
	c, r := h.dial("PUT /v1/products/shop/assets/a.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	line, err := r.ReadString('\n')
	must(t, err)
	if !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatal(line)
	}
	_, _ = r.ReadString('\n')
	_, _ = io.WriteString(c, "hello")
	if a := readAnswer(t, r); a.StatusCode != 201 {
		t.Error(a.Status, string(a.body))
	}
}

func stalling(c *Config, _ *Deps) { c.StallTimeout = 200 * time.Millisecond }

// The deadline rolls: an upload may take long, and is cut when it stands still.
func TestStalledUploadIsCut(t *testing.T) {
	h := open(t, stalling).shop()
	for _, framing := range []string{"Content-Length: 100", "Transfer-Encoding: chunked"} {
		_, r := h.dial("PUT /v1/products/shop/assets/a.txt HTTP/1.1\r\nHost: localhost\r\n" + framing + "\r\n\r\n5\r\nhello\r\n")
		refused(t, readAnswer(t, r), 408, "request-timeout", "body", "200ms")
		if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
			t.Error("the connection is open", err)
		}
	}
	_, r := h.dial("PUT /v1/products/shop HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	refused(t, readAnswer(t, r), 408, "request-timeout", "body", "200ms")
	if _, _, ok := h.catalog.View().Lookup("shop", "a.txt"); ok {
		t.Error("half an upload was recorded")
	}
}

func TestRefusedAndStalledUploadIsCut(t *testing.T) {
	h := open(t, stalling)
	_, r := h.dial("PUT /v1/products/nobody/assets/a.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n")
	refused(t, readAnswer(t, r), 404, "not-found", "product", "")
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Error("the connection is open", err)
	}
}

func TestSlowUploadIsNotCut(t *testing.T) {
	h := open(t, stalling).shop()
	c, r := h.dial("PUT /v1/products/shop/assets/a.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n")
	for range 20 { // 1 s in all, five times what it may stand still
		time.Sleep(50 * time.Millisecond)
		_, err := io.WriteString(c, "x")
		must(t, err)
	}
	if a := readAnswer(t, r); a.StatusCode != 201 {
		t.Error(a.Status, string(a.body))
	}
}

// What happens after the body's end may take longer than the body may stand still.
func TestDeadlineEndsWithTheBody(t *testing.T) {
	h := open(t, stalling)
	left := make(chan bool, 1)
	h.server.mux.HandleFunc("PUT /work", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = r.Body.Read(make([]byte, 1))
		select {
		case <-r.Context().Done():
			left <- true
		case <-time.After(500 * time.Millisecond):
			left <- false
		}
	})
	if a := h.ask("PUT", "/work", "hello"); a.StatusCode != 200 || <-left {
		t.Error("the deadline was taken for the client's leaving", a.Status)
	}
}

// A client that does not take its answer is cut off, and one that takes long is not.
func TestStalledReaderIsCut(t *testing.T) {
	h := open(t, stalling)
	ended := make(chan error, 1)
	h.server.mux.HandleFunc("GET /much", func(w http.ResponseWriter, _ *http.Request) {
		_, err := io.Copy(w, zeros{})
		ended <- err
	})
	h.dial("GET /much HTTP/1.1\r\nHost: localhost\r\n\r\n")
	select {
	case err := <-ended:
		if err == nil {
			t.Error("an answer without end has ended")
		}
	case <-time.After(20 * time.Second):
		t.Error("the answer is still being written")
	}
}

// The deadline of an answer is not that of the next request's 100 (Continue).
func TestAnswerDeadlineEnds(t *testing.T) {
	h := open(t, stalling).shop()
	c, r := h.dial("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
	readAnswer(t, r)
	time.Sleep(3 * 200 * time.Millisecond) // longer than an answer may stand still: the deadline has passed
	_, err := io.WriteString(c, "PUT /v1/products/shop/assets/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n")
	must(t, err)
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Error(line, err)
	}
}

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
