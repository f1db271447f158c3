package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
)

// Every sentinel has a row, and its status is the one that the sentinel's comment promises.
func TestClasses(t *testing.T) {
	for kind, status := range map[error]int{
		asset.ErrInvalid: 400, asset.ErrForbidden: 403, asset.ErrNotFound: 404, asset.ErrConflict: 409, asset.ErrGone: 410,
		asset.ErrPrecondition: 412, asset.ErrTooLarge: 413, asset.ErrMediaType: 415, asset.ErrUndecodable: 422,
		asset.ErrNotImplemented: 501, asset.ErrUnavailable: 503, asset.ErrOverloaded: 503, asset.ErrTimeout: 504, asset.ErrCorrupt: 503,
		context.Canceled: 503, context.DeadlineExceeded: 504, errors.New("anything"): 500,
	} {
		p := problemOf(fmt.Errorf("put /secret/path: %w", kind))
		if p.Status != status || p.Detail != "" || strings.Contains(p.Title, "secret") {
			t.Errorf("%v: %+v", kind, p)
		}
		if retry := p.GetHeaders().Get("Retry-After"); (retry != "") != (status == 503 || status == 504) {
			t.Errorf("%v: Retry-After %q", kind, retry)
		}
	}
}

// A Fault of no kind that the table has may hold anything, so its words are not shown.
func TestFaultOfUnforeseenKind(t *testing.T) {
	if p := problemOf(fault(errors.New("x"), "part", "words", "allowed")); p.Status != 500 || p.Detail != "" || p.Part != "" || p.Allowed != "" {
		t.Errorf("%+v", p)
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
