package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assetmatrix/assetmatrix/asset"
)

func TestLive(t *testing.T) {
	h := open(t)
	if a := h.ask("GET", "/livez", ""); a.StatusCode != 200 || string(a.body) != `{"status":"alive"}`+"\n" || a.Header.Get("Cache-Control") != "no-store" {
		t.Error(a.Status, string(a.body), a.Header)
	}
}

func TestReady(t *testing.T) {
	ok := Check{"catalog", func(context.Context) error { return nil }}
	h := open(t, func(_ *Config, d *Deps) { d.Checks = []Check{ok} })
	if a := h.ask("GET", "/readyz", ""); a.StatusCode != 200 || string(a.body) != `{"status":"ready","checks":["catalog"]}`+"\n" {
		t.Error(a.Status, string(a.body))
	}
	h = open(t, func(c *Config, d *Deps) {
		c.CheckTimeout = 50 * time.Millisecond
		d.Checks = []Check{
			ok,
			{"disk", func(context.Context) error { return fmt.Errorf("open /var/secret: %w", asset.ErrUnavailable) }},
			{"workers", func(context.Context) error { return fault(asset.ErrUnavailable, "", "no worker has started", "") }},
			{"local", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
			{"stuck", func(context.Context) error { select {} }},
		}
	})
	a := h.ask("GET", "/readyz", "")
	refused(t, a, 503, "not-ready", "", "")
	if !strings.Contains(string(a.body), "not ready: disk; workers (no worker has started); local (does not answer); stuck (does not answer)") ||
		strings.Contains(string(a.body), "secret") || a.Header.Get("Retry-After") == "" {
		t.Errorf("%s %v", a.body, a.Header)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.failures) != 1 || !errors.Is(h.failures[0], asset.ErrUnavailable) || !strings.Contains(h.failures[0].Error(), "secret") {
		t.Error(h.failures)
	}
}

func TestMetricsAndProfiles(t *testing.T) {
	registry := prometheus.NewRegistry()
	count := prometheus.NewCounter(prometheus.CounterOpts{Name: "assetmatrix_renders_total", Help: "Renders."})
	registry.MustRegister(count)
	count.Add(3)
	h := open(t, func(_ *Config, d *Deps) { d.Metrics = registry })
	if a := h.ask("GET", "/metrics", ""); a.StatusCode != 200 || !strings.Contains(string(a.body), "assetmatrix_renders_total 3\n") {
		t.Error(a.Status, string(a.body))
	}
	for path, want := range map[string]string{
		"/debug/pprof/": "goroutine", "/debug/pprof/goroutine?debug=1": "goroutine profile:", "/debug/pprof/cmdline": "test",
		"/debug/pprof/symbol": "num_symbols",
	} {
		if a := h.ask("GET", path, ""); a.StatusCode != 200 || !strings.Contains(string(a.body), want) {
			t.Errorf("%s: %s %.200s", path, a.Status, a.body)
		}
	}
}

func TestIndex(t *testing.T) {
	h := open(t)
	index := decode[struct {
		Name, Version string
		Paths         []string
	}](t, h.ask("GET", "/", ""), 200)
	if index.Name != "assetmatrix" || index.Version != "test" || len(index.Paths) == 0 {
		t.Errorf("%+v", index)
	}
	for _, path := range index.Paths {
		if a := h.ask("GET", path, ""); a.StatusCode != 200 {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
}

// openAPI is as much of /openapi.json as the test looks at.
type openAPI struct {
	OpenAPI string
	Paths   map[string]map[string]struct {
		OperationID string
		Parameters  []struct{ Name, In string }
		RequestBody *struct{ Content map[string]any }
		Responses   map[string]struct{ Content map[string]any }
	}
	Components struct {
		Schemas map[string]struct {
			AdditionalProperties any
			Properties           map[string]any
		}
	}
}

func TestOpenAPI(t *testing.T) {
	h := open(t)
	a := h.ask("GET", "/openapi.json", "")
	if a.Header.Get("Content-Type") != "application/json" {
		t.Error(a.Header)
	}
	doc := decode[openAPI](t, a, 200)
	var routes []string
	for path, methods := range doc.Paths {
		for method, op := range methods {
			routes = append(routes, fmt.Sprint(method, " ", path, " ", op.OperationID))
			if op.Responses["default"].Content[asset.ProblemMediaType] == nil || op.Responses["200"].Content["application/json"] == nil {
				t.Errorf("%s %s: responses %v", method, path, op.Responses)
			}
			if (method == "put") != (op.RequestBody != nil) {
				t.Errorf("%s %s: request body %v", method, path, op.RequestBody)
			}
		}
	}
	slices.Sort(routes)
	const want = `get /livez livez
get /readyz readyz
get /v1/products listProducts
get /v1/products/{product} getProduct
get /v1/products/{product}/assets listAssets
get /v1/products/{product}/assets/{name} getAsset
put /v1/products/{product} putProduct
put /v1/products/{product}/assets/{name} putAsset
put /v1/products/{product}/links/{name} putLink`
	if got := strings.Join(routes, "\n"); doc.OpenAPI != "3.1.0" || got != want {
		t.Errorf("%s:\n%s", doc.OpenAPI, got)
	}
	if got := fmt.Sprint(slices.Sorted(maps.Keys(doc.Components.Schemas))); got != "[Entry Health Item Lifetimes Link LinkSpec Page Picture Problem Product ProductSpec Products Receipt Version]" {
		t.Error(got)
	}
	if spec := doc.Components.Schemas["ProductSpec"]; spec.AdditionalProperties != false || len(spec.Properties) != 3 {
		t.Errorf("%+v", spec)
	}
	var params []string
	for _, p := range doc.Paths["/v1/products/{product}/assets/{name}"]["put"].Parameters {
		params = append(params, p.In+" "+p.Name)
	}
	if got := strings.Join(params, ", "); got != "path product, path name, header If-Match, header If-None-Match, header Repr-Digest, header Content-Digest, header Digest" {
		t.Error(got)
	}
	if !json.Valid(a.body) || strings.Contains(string(a.body), "...}") {
		t.Error("path templates")
	}
}
