package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/assetmatrix/assetmatrix/asset"
)

// routeOperations registers what is there for machines and people that look after the server.
func (s *Server) routeOperations() {
	s.handle("index", "GET /{$}", s.index)
	s.handle("metrics", "GET /metrics", promhttp.HandlerFor(s.deps.Metrics, promhttp.HandlerOpts{}).ServeHTTP)
	s.handle("pprof", "GET /debug/pprof/", pprof.Index)
	s.handle("pprof", "GET /debug/pprof/cmdline", pprof.Cmdline)
	s.handle("pprof", "GET /debug/pprof/profile", pprof.Profile)
	s.handle("pprof", "GET /debug/pprof/symbol", pprof.Symbol)
	s.handle("pprof", "POST /debug/pprof/symbol", pprof.Symbol)
	s.handle("pprof", "GET /debug/pprof/trace", pprof.Trace)
}

// index says what is here.
func (s *Server) index(w http.ResponseWriter, _ *http.Request) {
	text, _ := json.MarshalIndent(map[string]any{ // strings: it cannot fail
		"name":    "assetmatrix",
		"version": s.deps.Version,
		"paths":   []string{"/v1/products", "/openapi.json", "/livez", "/readyz", "/metrics", "/debug/pprof/"},
	}, "", "  ")
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n'))
}

type healthOutput struct{ Body health }

// A health is the answer of /livez and /readyz when all is well.
type health struct {
	Status string   `json:"status"`
	Checks []string `json:"checks,omitempty" doc:"what was found ready"`
}

func (s *Server) routeHealth(api huma.API) {
	register(s, api, huma.Operation{OperationID: "livez", Method: http.MethodGet, Path: "/livez", Summary: "Whether the process is alive"}, s.livez)
	register(s, api, huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Summary: "Whether the server can do its work",
		Description: "Answers 503 with what is not ready otherwise.",
	}, s.readyz)
}

func (s *Server) livez(context.Context, *struct{ call }) (*healthOutput, error) {
	return &healthOutput{health{Status: "alive"}}, nil
}

func (s *Server) readyz(ctx context.Context, _ *struct{ call }) (*healthOutput, error) {
	errs := s.check(ctx)
	var ready, not []string
	for i, c := range s.deps.Checks {
		if errs[i] == nil {
			ready = append(ready, c.Name)
		} else {
			not = append(not, c.Name+reason(errs[i]))
		}
	}
	if len(not) > 0 {
		return nil, errors.Join(fault(errNotReady, "", "not ready: "+strings.Join(not, "; "), ""), errors.Join(errs...))
	}
	return &healthOutput{health{"ready", ready}}, nil
}

// check asks all checks at once. One that does not answer in time is not ready; it is left to end by itself.
func (s *Server) check(ctx context.Context) []error {
	ctx, cancel := context.WithTimeout(ctx, s.config.CheckTimeout)
	defer cancel()
	var mu sync.Mutex // guards errs, which late checks write to as well
	errs := slices.Repeat([]error{asset.ErrTimeout}, len(s.deps.Checks))
	var checks sync.WaitGroup
	for i, c := range s.deps.Checks {
		checks.Go(func() {
			err := c.Ready(ctx)
			mu.Lock()
			defer mu.Unlock()
			errs[i] = err
		})
	}
	done := make(chan struct{})
	go func() { checks.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(errs)
}

// reason is what may be shown of why a check is not ready.
func reason(err error) string {
	if f, ok := errors.AsType[*asset.Fault](err); ok {
		return " (" + f.Detail + ")"
	}
	if errors.Is(err, asset.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
		return " (does not answer)"
	}
	return ""
}
