package bench

import (
	"errors"
	"io"
	"net/http"
	"testing"
)

func TestOrigin(t *testing.T) {
	o, err := startOrigin("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.add("r0/a b%.jpg", "image/jpeg", []byte("0123456789"))
	ask := func(url string, header [2]string, status int, body string) http.Header {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if header[0] != "" {
			req.Header.Set(header[0], header[1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		got, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != status || body != "" && string(got) != body {
			t.Errorf("%s with %v: %d, %q, %v", url, header, resp.StatusCode, got, err)
		}
		return resp.Header
	}
	source := o.source("r0/a b%.jpg")
	h := ask(source, [2]string{}, 200, "0123456789")
	if h.Get("Content-Type") != "image/jpeg" || h.Get("Cache-Control") != "public, max-age=31536000" || h.Get("Last-Modified") == "" {
		t.Errorf("%v", h)
	}
	ask(source, [2]string{"Range", "bytes=2-3"}, 206, "23")
	ask(source, [2]string{"If-None-Match", h.Get("ETag")}, 304, "")
	ask(o.source("missing"), [2]string{}, 404, "")
	ask("http://"+o.address, [2]string{}, 404, "")
	o.add("r0/a b%.jpg", "image/jpeg", []byte("another"))
	if other := ask(source, [2]string{}, 200, "another"); other.Get("ETag") == h.Get("ETag") {
		t.Error("other bytes have the same ETag")
	}
	if _, err := startOrigin(o.address); err == nil {
		t.Error("two listen at one address")
	}
	if err := o.end(); err != nil {
		t.Error(err)
	}
	if _, err := http.Get(source); err == nil {
		t.Error("it answers behind its end")
	}
}

func TestIdleServer(t *testing.T) {
	failure := errors.New("failed")
	err := withIdleServer(3, func(url string) error {
		if a, err := askOnce(t.Context(), &shot{url: url, status: http.StatusOK, length: 3}); err != nil || len(a.body) != 3 {
			t.Errorf("%q, %v", a.body, err)
		}
		return failure
	})
	if !errors.Is(err, failure) {
		t.Error(err)
	}
}
