package control

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
)

// What this API alone refuses; the sentinels are tested in package asset.
func TestClasses(t *testing.T) {
	for kind, want := range map[error]string{
		errCoding: "501 false", errContent: "422 false", errNotReady: "503 true", errPanic: "500 false", asset.ErrOverloaded: "503 true",
	} {
		p := problemOf(fmt.Errorf("put /secret/path: %w", kind))
		if got := fmt.Sprint(p.GetStatus(), p.GetHeaders().Get("Retry-After") != ""); got != want || p.Detail != "" {
			t.Errorf("%v: %s, want %s: %+v", kind, got, want, p)
		}
	}
}

// failing is an ingester that fails so.
type failing struct{ err error }

func (f failing) Put(context.Context, asset.Upload) (asset.Receipt, error) {
	return asset.Receipt{}, f.err
}

// closed is a matrix that cannot be written.
type closed struct{ *catalog.Catalog }

func (closed) Update(context.Context, func(*catalog.View) ([]catalog.Mutation, error)) (uint64, error) {
	return 0, fmt.Errorf("%w: disk /var/lib/secret", asset.ErrUnavailable)
}

func TestServerFaultsAreTold(t *testing.T) {
	h := open(t, func(_ *Config, d *Deps) {
		d.Ingester = failing{fmt.Errorf("store /secret: %w", asset.ErrUnavailable)}
		d.Matrix = closed{d.Matrix.(*catalog.Catalog)}
	})
	for i, ask := range []func() answered{
		func() answered { return h.ask("PUT", "/v1/products/shop/assets/a", "x") },
		func() answered { return h.json("/v1/products/shop", "{}") },
		func() answered { return h.json("/v1/products/shop/links/a", `{"asset":"x"}`) },
	} {
		a := ask()
		refused(t, a, 503, "unavailable", "", "")
		if a.Header.Get("Retry-After") == "" || strings.Contains(string(a.body), "secret") {
			t.Errorf("%v %s", a.Header, a.body)
		}
		h.mu.Lock()
		if len(h.failures) != i+1 || !strings.Contains(h.failures[i].Error(), "secret") {
			t.Error("the event does not tell what the client must not see", h.failures)
		}
		h.mu.Unlock()
	}
}

// A client that leaves is no failure of the server.
func TestLeavingIsNotTold(t *testing.T) {
	s := &Server{}
	s.deps.Events.Failed = func(_, _ string, err error) { t.Error(err) }
	ctx, leave := context.WithCancel(t.Context())
	leave()
	s.problem(httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil), fmt.Errorf("read: %w", context.Canceled))
	s.problem(httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil), asset.ErrNotFound)
}
