package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/control/client"
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
	OpenAPI    string
	Paths      map[string]map[string]documented
	Components struct {
		Schemas map[string]struct {
			AdditionalProperties any
			Properties           map[string]any
		}
		SecuritySchemes map[string]struct{ Type, Scheme string }
	}
}

// documented is an operation.
type documented struct {
	OperationID string
	Parameters  []struct{ Name, In string }
	RequestBody *struct{ Content map[string]any }
	Responses   map[string]struct {
		Headers map[string]any
		Content map[string]struct {
			Schema struct {
				Ref string `json:"$ref"`
			}
		}
	}
	Security []map[string][]string
}

func (d documented) has(in, name string) bool {
	return slices.Contains(d.Parameters, struct{ Name, In string }{name, in})
}

// schema returns the name of the schema of the answer's body.
func (d documented) schema() string {
	return strings.TrimPrefix(d.Responses["200"].Content["application/json"].Schema.Ref, "#/components/schemas/")
}

// streams are the operations whose answer is no JSON.
var streams = map[string]string{
	"changes": "text/event-stream", "newestSnapshot": "application/octet-stream", "getOriginal": "application/octet-stream", "backup": "application/octet-stream",
}

func TestOpenAPI(t *testing.T) {
	h := open(t)
	a := h.ask("GET", "/openapi.json", "")
	if a.Header.Get("Content-Type") != "application/json" || !json.Valid(a.body) || strings.Contains(string(a.body), "...}") {
		t.Error(a.Header)
	}
	doc := decode[openAPI](t, a, 200)
	var routes []string
	for path, methods := range doc.Paths {
		for method, op := range methods {
			routes = append(routes, fmt.Sprint(method, " ", path, " ", op.OperationID))
			h.documented(&doc, method, &op)
		}
	}
	slices.Sort(routes)
	const want = `delete /v1/products/{product} deleteProduct
delete /v1/products/{product}/assets/{name} deleteAsset
delete /v1/products/{product}/links/{name} deleteLink
get /livez livez
get /readyz readyz
get /v1/backup backup
get /v1/changes changes
get /v1/originals/{digest} getOriginal
get /v1/products listProducts
get /v1/products/{product} getProduct
get /v1/products/{product}/assets listAssets
get /v1/products/{product}/assets/{name} getAsset
get /v1/replicas replicas
get /v1/resolve/{product}/{options}/{name} resolve
get /v1/snapshots/newest newestSnapshot
patch /v1/products/{product}/assets/{name} patchAsset
post /v1/garbage collectGarbage
post /v1/purge purge
post /v1/transactions transact
put /v1/products/{product} putProduct
put /v1/products/{product}/assets/{name} putAsset
put /v1/products/{product}/links/{name} putLink`
	if got := strings.Join(routes, "\n"); doc.OpenAPI != "3.1.0" || got != want {
		t.Errorf("%s:\n%s", doc.OpenAPI, got)
	}
	if scheme := doc.Components.SecuritySchemes["bearer"]; scheme.Type != "http" || scheme.Scheme != "bearer" {
		t.Errorf("%+v", doc.Components.SecuritySchemes)
	}
	for name, schema := range doc.Components.Schemas {
		if strings.HasPrefix(name, "Error") || name != "Operation" && len(schema.Properties) == 0 {
			t.Errorf("%s: %+v", name, schema)
		}
	}
	if spec := doc.Components.Schemas["ProductSpec"]; spec.AdditionalProperties != false || len(spec.Properties) != 4 {
		t.Errorf("%+v", spec)
	}
}

// TestOpenAPIOfOtherSuccesses: what is not described has the description of a problem.
func TestOpenAPIOfOtherSuccesses(t *testing.T) {
	h := open(t)
	doc := decode[openAPI](t, h.ask("GET", "/openapi.json", ""), 200)
	describes := func(path, method string, a answered, status int) {
		t.Helper()
		_, ok := doc.Paths[path][method].Responses[strconv.Itoa(status)].Content[a.Header.Get("Content-Type")]
		if a.StatusCode != status || !ok {
			t.Errorf("%s %s answers %d with %s, and describes %v", method, path, a.StatusCode, a.Header.Get("Content-Type"), doc.Paths[path][method].Responses)
		}
	}
	describes("/v1/products/{product}", "put", h.ask("PUT", "/v1/products/new", "{}"), 201)
	upload := h.ask("PUT", "/v1/products/new/assets/a", "bytes")
	describes("/v1/products/{product}/assets/{name}", "put", upload, 201)
	describes("/v1/products/{product}/links/{name}", "put", h.ask("PUT", "/v1/products/new/links/b", `{"product":"new","name":"a"}`), 201)
	original := "/v1/originals/" + decode[client.Receipt](t, upload, 201).Digest.String()
	describes("/v1/originals/{digest}", "get", h.ask("GET", original, "", "Range", "bytes=0-1"), 206)
	describes("/v1/snapshots/newest", "get", h.ask("GET", "/v1/snapshots/newest", "", "Range", "bytes=0-1"), 206)
}

// documented holds an operation's description against what it does.
func (h *house) documented(doc *openAPI, method string, op *documented) {
	h.t.Helper()
	_, problem := op.Responses["default"].Content[asset.ProblemMediaType]
	_, body := op.Responses["200"].Content[cmp.Or(streams[op.OperationID], "application/json")]
	if !problem || !body {
		h.t.Errorf("%s: responses %v", op.OperationID, op.Responses)
	}
	if (method == "put" || method == "post" || method == "patch") != (op.RequestBody != nil) {
		h.t.Errorf("%s: request body %v", op.OperationID, op.RequestBody)
	}
	n := needOf(op.OperationID)
	if n.reads != (op.has("query", "min_revision") && op.has("header", "Asset-Min-Revision")) {
		h.t.Errorf("%s: min_revision: %v", op.OperationID, op.Parameters)
	}
	if _, revision := op.Responses["200"].Headers["Asset-Revision"]; n.reads && !revision {
		h.t.Errorf("%s: headers: %v", op.OperationID, op.Responses["200"].Headers)
	}
	writes := method != "get"
	_, edges := doc.Components.Schemas[op.schema()].Properties["edges"]
	if writes != (op.has("query", "wait") && op.has("query", "wait_timeout")) || writes && !edges {
		h.t.Errorf("%s: wait: %v, %s", op.OperationID, op.Parameters, op.schema())
	}
	if _, token := op.Security[0]["bearer"]; len(op.Security) != 1 || token != (n.verb != "") {
		h.t.Errorf("%s: security: %v", op.OperationID, op.Security)
	}
}
