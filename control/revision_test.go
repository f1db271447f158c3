package control

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control/client"
)

// reads are GETs that are answered from a view.
var reads = []string{
	"/v1/products", "/v1/products/shop", "/v1/products/shop/assets", "/v1/products/shop/assets/a.txt", "/v1/resolve/shop/original/a.txt", "/v1/replicas",
}

func TestReadsSayTheirRevision(t *testing.T) {
	h := open(t).gallery()
	for _, path := range reads {
		a := h.ask("GET", path, "")
		body := decode[struct{ Revision uint64 }](t, a, 200)
		if got := a.Header.Get("Asset-Revision"); got != "4" || body.Revision != 4 {
			t.Errorf("%s: %q, %d", path, got, body.Revision)
		}
		if a := h.ask("GET", path+"?min_revision=4", "", "Asset-Min-Revision", "3"); a.StatusCode != 200 {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
	if a := h.ask("GET", "/v1/products/nobody", ""); a.StatusCode != 404 || a.Header.Get("Asset-Revision") != "4" {
		t.Error("what is not there is not there at a revision", a.Status, a.Header)
	}
}

func TestMinRevisionThatDoesNotCome(t *testing.T) {
	h := open(t, func(c *Config, _ *Deps) { c.RevisionWait = 50 * time.Millisecond }).gallery()
	for _, path := range reads {
		for _, a := range []answered{
			h.ask("GET", path+"?min_revision=5", ""),
			h.ask("GET", path, "", "Asset-Min-Revision", "5"),
			h.ask("GET", path+"?min_revision=4", "", "Asset-Min-Revision", "5"),
		} {
			refused(t, a, 503, "unavailable", "min_revision", "up to 4 now")
			if seconds, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || seconds < 1 {
				t.Error(a.Header)
			}
		}
		for _, bad := range []string{"-1", "x", "1.5", ""} {
			refused(t, h.ask("GET", path+"?min_revision="+bad, ""), 400, "invalid-request", "min_revision", "at least 0")
		}
		for _, bad := range []string{"-1", "x", "1, 2"} {
			refused(t, h.ask("GET", path, "", "Asset-Min-Revision", bad), 400, "invalid-request", "Asset-Min-Revision", "at least 0")
		}
	}
}

// A read that demands what is written a moment later sees it.
func TestMinRevisionIsWaitedFor(t *testing.T) {
	h := open(t, func(c *Config, _ *Deps) { c.RevisionWait = 10 * time.Second }).shop()
	for i := range 20 {
		next := h.catalog.View().Revision() + 1
		read := make(chan client.Product, 1)
		go func() {
			a := h.ask("GET", "/v1/products/shop?min_revision="+strconv.FormatUint(next, 10), "")
			var p client.Product
			_ = json.Unmarshal(a.body, &p)
			read <- p
		}()
		want := "w=" + strconv.Itoa(i+1)
		_, err := h.client.PutProduct(t.Context(), "shop", client.ProductSpec{Presets: map[string]string{"p": want}})
		must(t, err)
		if p := <-read; p.Revision < next || p.Presets["p"] != want {
			t.Errorf("%+v, want revision %d", p, next)
		}
	}
}

// A straggling is a matrix one of whose replicas does not keep up.
type straggling struct{ *catalog.Catalog }

// AwaitReplicas waits until nobody waits any more.
func (s straggling) AwaitReplicas(ctx context.Context, revision uint64) ([]string, error) {
	if _, err := s.Catalog.AwaitReplicas(ctx, revision); err != nil {
		return nil, err
	}
	<-ctx.Done()
	return []string{"edge-7"}, ctx.Err()
}

func TestWritesWaitForEdges(t *testing.T) {
	h := open(t).shop()
	type edges struct{ Edges *client.Edges }
	put := func(query, body string) answered {
		return h.ask("PUT", "/v1/products/shop/assets/a"+query, body, "Content-Type", "text/plain")
	}
	if e := decode[edges](t, put("", "1"), 201).Edges; e != nil {
		t.Error("nobody asked for the edges", e)
	}
	a := put("?wait=edges", "2")
	if e := decode[edges](t, a, 201).Edges; e == nil || !e.Waited || e.Behind == nil || len(e.Behind) != 0 {
		t.Errorf("%s", a.body)
	}
	if got := a.Header.Get("Asset-Revision"); got != strconv.FormatUint(h.catalog.View().Revision(), 10) {
		t.Error(got)
	}
	before := h.catalog.View().Revision()
	refused(t, put("?wait=nobody", "3"), 400, "invalid-request", "wait", "edges")
	for _, bad := range []string{"0s", "-1s", "5", "61s", "x", ""} {
		refused(t, put("?wait=edges&wait_timeout="+bad, "3"), 400, "invalid-request", "wait_timeout", "5s")
	}
	refused(t, put("?wait_timeout=5s", "3"), 400, "invalid-request", "wait_timeout", "wait=edges")
	if h.catalog.View().Revision() != before {
		t.Error("a write that was refused is written")
	}
}

func TestWritesHoldThoughEdgesAreBehind(t *testing.T) {
	h := open(t, func(c *Config, d *Deps) {
		c.RevisionWait = 20 * time.Millisecond
		d.Matrix = straggling{d.Matrix.(*catalog.Catalog)}
	}).shop()
	for _, query := range []string{"?wait=edges", "?wait=edges&wait_timeout=30ms"} {
		a := h.ask("PUT", "/v1/products/shop/assets/a", strings.Repeat("x", len(query)))
		if a.StatusCode != 201 {
			t.Fatal(a.Status)
		}
		a = h.ask("PUT", "/v1/products/shop/assets/b"+query, strings.Repeat("y", len(query)))
		if e := decode[struct{ Edges *client.Edges }](t, a, 201).Edges; e == nil || !e.Waited || len(e.Behind) != 1 || e.Behind[0] != "edge-7" {
			t.Errorf("%s", a.body)
		}
	}
}
