package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control/client"
	"github.com/assetmatrix/assetmatrix/ingest"
	"github.com/assetmatrix/assetmatrix/origin"
	"github.com/assetmatrix/assetmatrix/resolve"
)

// A house is a server over a real catalog, real originals on a disk and the real write path, on a loopback listener.
// Only the renderer is not there: pictures are probed by the standard library.
type house struct {
	t       *testing.T
	addr    string
	url     string
	server  *Server
	catalog *catalog.Catalog
	client  *client.Client
	dir     string

	mu       sync.Mutex // guards failures and panics
	failures []error
	panics   []any
}

// A change is applied to a house's parts before the server is made of them.
type change func(*Config, *Deps)

func open(t *testing.T, changes ...change) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir()}
	matrix := catalog.DefaultConfig()
	matrix.Dir = filepath.Join(h.dir, "catalog")
	c, err := catalog.Open(t.Context(), matrix, catalog.Events{})
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	providers, err := origin.Open(t.Context(), []origin.Config{{Name: "local", URL: "file://" + filepath.Join(h.dir, "originals")}}, origin.Events{})
	must(t, err)
	t.Cleanup(func() { _ = providers.Close() })
	in, err := ingest.New(ingest.Config{SpoolDir: filepath.Join(h.dir, "spool"), MaxBytes: 256 << 20, Garbage: ingest.GarbageConfig{Grace: time.Hour}}, c, providers, probe)
	must(t, err)
	resolver, err := resolve.New(resolve.DefaultConfig(), func() resolve.View { return c.View() })
	must(t, err)
	h.catalog = c
	h.serve(Deps{Matrix: c, Ingester: in, Garbage: ingest.NewCollector(in, providers, ingest.GarbageEvents{}), Resolver: resolver, Originals: providers, Metrics: prometheus.NewRegistry(), Version: "test", Events: Events{
		Failed:   func(_, _ string, err error) { h.mu.Lock(); h.failures = append(h.failures, err); h.mu.Unlock() },
		Panicked: func(v any, _ []byte) { h.mu.Lock(); h.panics = append(h.panics, v); h.mu.Unlock() },
	}}, changes...)
	return h
}

func (h *house) serve(deps Deps, changes ...change) {
	h.t.Helper()
	cfg := DefaultConfig()
	for _, c := range changes {
		c(&cfg, &deps)
	}
	s, err := New(cfg, deps)
	must(h.t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(h.t, err)
	h.server, h.addr, h.url = s, ln.Addr().String(), "http://"+ln.Addr().String()
	h.client, err = client.New(h.url)
	must(h.t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	h.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := errors.Join(s.Shutdown(ctx), <-served); err != nil {
			h.t.Error(err)
		}
	})
}

// probe finds PNGs.
func probe(_ context.Context, f *os.File, size int64) (string, *asset.Picture, error) {
	c, err := png.DecodeConfig(io.NewSectionReader(f, 0, size))
	if err != nil {
		return "", nil, nil
	}
	return "image/png", &asset.Picture{Width: c.Width, Height: c.Height, Pages: 1, Orientation: 1, ThumbHash: "3OcRJYB4d3h/iIeHeEh3eIhw+j2w", Dominant: "#336699"}, nil
}

func picture(t *testing.T, w, h int, c color.Color) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	m.Set(0, 0, c)
	var b bytes.Buffer
	must(t, png.Encode(&b, m))
	return b.Bytes()
}

// An answered is what came back.
type answered struct {
	*http.Response
	body []byte
}

// ask sends a request whose headers are pairs of name and value.
func (h *house) ask(method, path, body string, headers ...string) answered {
	h.t.Helper()
	return h.askBody(method, path, strings.NewReader(body), headers...)
}

func (h *house) askBody(method, path string, body io.Reader, headers ...string) answered {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, body)
	must(h.t, err)
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Add(headers[i], headers[i+1])
	}
	noRedirects := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer noRedirects.CloseIdleConnections()
	resp, err := noRedirects.Do(req)
	must(h.t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	must(h.t, err)
	return answered{resp, text}
}

// json sends a JSON body.
func (h *house) json(path, body string) answered {
	h.t.Helper()
	return h.ask(http.MethodPut, path, body, "Content-Type", "application/json")
}

// shop makes the product that most tests need.
func (h *house) shop() *house {
	h.t.Helper()
	_, err := h.client.PutProduct(h.t.Context(), "shop", client.ProductSpec{})
	must(h.t, err)
	return h
}

// refused holds an answer against a problem: its status, the last part of its type, the part it names, and a piece of
// what it allows.
func refused(t *testing.T, a answered, status int, kind, part, allowed string) {
	t.Helper()
	var p asset.Problem
	if err := json.Unmarshal(a.body, &p); err != nil || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("no problem document: %s %q %s", a.Status, a.Header.Get("Content-Type"), a.body)
		return
	}
	if a.StatusCode != status || p.Status != status || p.Type != "https://assetmatrix.dev/problems/"+kind || p.Title == "" {
		t.Errorf("want %d %s: %s %s", status, kind, a.Status, a.body)
	}
	if p.Part != part || !strings.Contains(p.Allowed, allowed) || p.Allowed == "" && allowed != "" {
		t.Errorf("want part %q, allowed %q: %s", part, allowed, a.body)
	}
	if a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers: %v", a.Header)
	}
}

func decode[T any](t *testing.T, a answered, status int) T {
	t.Helper()
	var v T
	if a.StatusCode != status {
		t.Fatalf("want %d: %s %s", status, a.Status, a.body)
	}
	must(t, json.Unmarshal(a.body, &v))
	return v
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDefaultConfigIsValid(t *testing.T) { must(t, DefaultConfig().Validate()) }

func TestConfigRefusals(t *testing.T) {
	for _, listen := range []string{"", ":9090", "0.0.0.0:9090", "192.168.1.1:9090", "[::]:9090", "example.com:9090", "localhost", "127.0.0.1"} {
		c := DefaultConfig()
		c.Listen = listen
		if err := c.Validate(); !errors.Is(err, asset.ErrInvalid) || !strings.Contains(err.Error(), fmt.Sprintf("listen: is %q", listen)) || !strings.Contains(err.Error(), "127.0.0.1:9090") {
			t.Errorf("%q: %v", listen, err)
		}
	}
	for _, listen := range []string{"127.0.0.1:0", "127.8.8.8:1", "[::1]:9090", "localhost:9090"} {
		c := DefaultConfig()
		c.Listen = listen
		must(t, c.Validate())
	}
	for key, set := range map[string]func(*Config){
		"header_timeout": func(c *Config) { c.HeaderTimeout = 0 },
		"stall_timeout":  func(c *Config) { c.StallTimeout = -1 },
		"idle_timeout":   func(c *Config) { c.IdleTimeout = 1 },
		"check_timeout":  func(c *Config) { c.CheckTimeout = 0 },
		"revision_wait":  func(c *Config) { c.RevisionWait = 0 },
	} {
		c := DefaultConfig()
		set(&c)
		if err := c.Validate(); !errors.Is(err, asset.ErrInvalid) || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
		if _, err := New(c, Deps{}); err == nil {
			t.Errorf("%s: New takes it", key)
		}
	}
}

// Whoever hands over a listener that other machines reach is refused, whatever the configuration said.
func TestServeRefusesToBeReachable(t *testing.T) {
	s, err := New(DefaultConfig(), Deps{Metrics: prometheus.NewRegistry()})
	must(t, err)
	ln, err := net.Listen("tcp", "0.0.0.0:0")
	must(t, err)
	if err := s.Serve(ln); !errors.Is(err, asset.ErrForbidden) || !strings.Contains(err.Error(), "127.0.0.1:9090") {
		t.Error(err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error("the listener is open", err)
	}
}
