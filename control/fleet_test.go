package control

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control/client"
)

func TestReplicas(t *testing.T) {
	h := open(t).shop()
	all, err := h.client.Replicas(t.Context())
	must(t, err)
	if all.Revision != 1 || len(all.Replicas) != 1 || all.Replicas[0].Role != "all" || all.Replicas[0].Revision != 1 || all.Replicas[0].ID == "" {
		t.Errorf("%+v", all)
	}
}

// A shelf is a matrix with files in the place of its snapshot and its backup.
type shelf struct {
	*catalog.Catalog
	manifest catalog.Manifest
	path     string
	err      error // of both
	breaks   int   // after so many bytes a backup fails
}

// Snapshot opens the file.
func (s *shelf) Snapshot(context.Context) (catalog.Manifest, *os.File, error) {
	if s.err != nil {
		return catalog.Manifest{}, nil, s.err
	}
	f, err := os.Open(s.path)
	return s.manifest, f, err
}

// Backup copies the file.
func (s *shelf) Backup(_ context.Context, w io.Writer) (catalog.Manifest, error) {
	if s.err != nil && s.breaks == 0 {
		return catalog.Manifest{}, s.err
	}
	text, err := os.ReadFile(s.path)
	if err != nil {
		return catalog.Manifest{}, err
	}
	if s.breaks > 0 {
		_, _ = w.Write(text[:s.breaks])
		return catalog.Manifest{}, s.err
	}
	_, err = w.Write(text)
	return s.manifest, err
}

// shelved is a house with such a matrix.
func shelved(t *testing.T, content string, changes ...change) (*house, *shelf) {
	t.Helper()
	s := &shelf{path: filepath.Join(t.TempDir(), "base-7")}
	must(t, os.WriteFile(s.path, []byte(content), 0o600))
	s.manifest = catalog.Manifest{
		Revision: 7, Epoch: "ü", Hash: asset.Digest{1}, SHA256: sha256.Sum256([]byte(content)), Size: int64(len(content)), Created: time.Unix(1700000000, 0).UTC(),
	}
	h := open(t, append(changes, func(_ *Config, d *Deps) { s.Catalog = d.Matrix.(*catalog.Catalog); d.Matrix = s })...)
	return h, s
}

func TestSnapshot(t *testing.T) {
	content := strings.Repeat("0123456789", 100_000)
	h, s := shelved(t, content)
	source, err := NewSnapshots(h.url, "")
	must(t, err)
	m, body, err := source.Newest(t.Context())
	must(t, err)
	text, err := io.ReadAll(body)
	if m != s.manifest || string(text) != content || errors.Join(err, body.Close()) != nil {
		t.Errorf("%+v, %d bytes, %v", m, len(text), err)
	}
	whole := h.ask("GET", "/v1/snapshots/newest", "")
	etag := whole.Header.Get("ETag")
	if etag != `"`+s.manifest.SHA256.String()+`"` || whole.Header.Get("Content-Type") != "application/octet-stream" || whole.ContentLength != s.manifest.Size {
		t.Error(whole.Header)
	}
	part := h.ask("GET", "/v1/snapshots/newest", "", "Range", "bytes=999990-", "If-Range", etag)
	if part.StatusCode != 206 || string(part.body) != "0123456789" || part.Header.Get("Asset-Snapshot") != whole.Header.Get("Asset-Snapshot") {
		t.Error(part.Status, part.Header)
	}
	if other := h.ask("GET", "/v1/snapshots/newest", "", "Range", "bytes=0-1", "If-Range", `"another"`); other.StatusCode != 200 || len(other.body) != len(content) {
		t.Error("a range of another snapshot is mixed into one", other.Status)
	}
	beyond := h.ask("GET", "/v1/snapshots/newest", "", "Range", "bytes=1000000-")
	refused(t, beyond, 416, "range-not-satisfiable", "Range", "Content-Range")
	if got := beyond.Header.Get("Content-Range"); got != "bytes */1000000" {
		t.Error(got)
	}
	if head := h.ask("HEAD", "/v1/snapshots/newest", ""); head.StatusCode != 200 || head.ContentLength != s.manifest.Size || len(head.body) != 0 {
		t.Error(head.Status, head.Header)
	}
}

func TestSnapshotRefusals(t *testing.T) {
	h, s := shelved(t, "x")
	source, err := NewSnapshots(h.url, "")
	must(t, err)
	s.err = asset.ErrNotFound
	if _, _, err := source.Newest(t.Context()); !errors.Is(err, asset.ErrNotFound) {
		t.Error(err)
	}
	s.err = asset.ErrUnavailable
	refused(t, h.ask("GET", "/v1/snapshots/newest", ""), 503, "unavailable", "", "")
	if _, _, err := source.Newest(t.Context()); err == nil || errors.Is(err, asset.ErrNotFound) {
		t.Error(err)
	}
	if _, err := NewSnapshots("localhost:9090", ""); !errors.Is(err, asset.ErrInvalid) {
		t.Error(err)
	}
	nobody, err := NewSnapshots("http://127.0.0.1:1", "")
	must(t, err)
	if _, _, err := nobody.Newest(t.Context()); !errors.Is(err, asset.ErrUnavailable) {
		t.Error(err)
	}
	locked, _ := shelved(t, "x", with(root))
	for token, ok := range map[string]bool{secretOf("root"): true, "": false} {
		source, err := NewSnapshots(locked.url, Secret(token))
		must(t, err)
		_, body, err := source.Newest(t.Context())
		if (err == nil) != ok {
			t.Error(token, err)
		}
		if err == nil {
			_ = body.Close()
		}
	}
}

func TestBackup(t *testing.T) {
	content := strings.Repeat("backup", 50_000)
	h, s := shelved(t, content)
	var b bytes.Buffer
	if m, err := h.client.Backup(t.Context(), &b); m != client.Manifest(s.manifest) || b.String() != content || err != nil {
		t.Errorf("%+v, %d bytes, %v", m, b.Len(), err)
	}
	if head := h.ask("HEAD", "/v1/backup", ""); head.StatusCode != 200 || len(head.body) != 0 {
		t.Error(head.Status)
	}
	s.err = asset.ErrUnavailable
	refused(t, h.ask("GET", "/v1/backup", ""), 503, "unavailable", "", "")
	s.breaks = 100_000
	b.Reset()
	if _, err := h.client.Backup(t.Context(), &b); err == nil {
		t.Error("a backup that broke off looks whole", b.Len())
	}
	resp, err := http.Get(h.url + "/v1/backup")
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

func TestOriginals(t *testing.T) {
	h := open(t).gallery()
	digest := asset.Digest(sha256.Sum256([]byte("hello")))
	a := h.ask("GET", "/v1/originals/"+digest.String(), "")
	if a.StatusCode != 200 || string(a.body) != "hello" || a.ContentLength != 5 || a.Header.Get("Content-Type") != "application/octet-stream" ||
		a.Header.Get("ETag") != `"`+digest.String()+`"` || a.Header.Get("Content-Disposition") != "attachment" || a.Header.Get("Asset-Revision") != "4" {
		t.Errorf("%s %v %q", a.Status, a.Header, a.body)
	}
	if part := h.ask("GET", "/v1/originals/"+digest.String(), "", "Range", "bytes=1-2"); part.StatusCode != 206 || string(part.body) != "el" {
		t.Error(part.Status, part.body)
	}
	refused(t, h.ask("GET", "/v1/originals/"+digest.String(), "", "Range", "bytes=9-"), 416, "range-not-satisfiable", "Range", "")
	for _, bad := range []string{"x", digest.String()[1:], digest.String() + "0", "original"} {
		refused(t, h.ask("GET", "/v1/originals/"+bad, ""), 400, "invalid-request", "digest", "64 hexadecimal")
	}
}

// An original that a provider has and the matrix does not know of is not given away, nor is one that is gone.
func TestOriginalRefusals(t *testing.T) {
	h := open(t).gallery()
	stored := asset.Digest(sha256.Sum256([]byte("hello")))
	link, _ := h.catalog.View().Link("shop", "a.txt")
	missing := h.update(catalog.Mutation{AddVersion: &catalog.AddedVersion{Asset: link.Asset, Version: asset.Version{
		Number: 2, Digest: asset.Digest{9}, Size: 1, MediaType: "text/plain", Providers: []string{"local"}, Created: time.Now(),
	}}})
	refused(t, h.ask("GET", "/v1/originals/"+asset.Digest{9}.String(), ""), 404, "not-found", "", "")
	h.update(catalog.Mutation{DeleteLink: &catalog.LinkRef{Product: "shop", Name: "a.txt"}}, catalog.Mutation{DeleteAsset: link.Asset})
	refused(t, h.ask("GET", "/v1/originals/"+stored.String(), ""), 404, "not-found", "digest", "of a version")
	if missing == 0 {
		t.Error("nothing was written")
	}
}

// edge serves what an edge does, from the matrix of a house.
func edge(t *testing.T, changes ...change) *house {
	t.Helper()
	return open(t, append(changes, func(_ *Config, d *Deps) {
		d.Edge, d.ControlURL, d.Ingester, d.Originals = true, "https://control.example:9090", nil, nil
	})...)
}

func TestEdge(t *testing.T) {
	h := edge(t)
	h.update(catalog.Mutation{PutProduct: &asset.Product{Name: "shop"}})
	doc := decode[openAPI](t, h.ask("GET", "/openapi.json", ""), 200)
	if got := fmt.Sprint(slices.Sorted(maps.Keys(doc.Paths))); got != "[/livez /readyz /v1/replicas /v1/resolve/{product}/{options}/{name}]" {
		t.Error(got)
	}
	for path, status := range map[string]int{
		"/livez": 200, "/readyz": 200, "/metrics": 200, "/debug/pprof/": 200, "/openapi.json": 200, "/": 200,
		"/v1/replicas": 200, "/v1/replicas?min_revision=1": 200, "/v1/resolve/shop/original/a": 404,
	} {
		if a := h.ask("GET", path, ""); a.StatusCode != status {
			t.Errorf("%s: %s %s", path, a.Status, a.body)
		}
	}
	for _, c := range [][2]string{
		{"GET", "/v1/products"}, {"GET", "/v1/products/shop/assets/a"}, {"PUT", "/v1/products/shop"}, {"PUT", "/v1/products/shop/assets/a"},
		{"POST", "/v1/transactions"}, {"POST", "/v1/purge"}, {"GET", "/v1/changes"}, {"GET", "/v1/snapshots/newest"}, {"GET", "/v1/backup"},
		{"GET", "/v1/originals/x"}, {"GET", "/v1/nothing"},
	} {
		refused(t, h.ask(c[0], c[1], ""), 421, "edge", "path", "https://control.example:9090")
	}
	refused(t, h.ask("PUT", "/v1/replicas", ""), 405, "method-not-allowed", "method", "GET")
	refused(t, h.ask("GET", "/v2", ""), 404, "not-found", "path", "")
	_, err := h.client.PutProduct(t.Context(), "shop", client.ProductSpec{})
	if p, ok := errors.AsType[*asset.Problem](err); !ok || p.Status != 421 || !strings.Contains(err.Error(), "https://control.example:9090") {
		t.Error(err)
	}
	h = open(t, func(_ *Config, d *Deps) { d.Edge = true })
	refused(t, h.ask("GET", "/v1/products", ""), 421, "edge", "path", "the control plane")
	locked := edge(t, with(root))
	refused(t, locked.ask("GET", "/v1/replicas", ""), 401, "unauthorized", "Authorization", "")
	if a := locked.ask("GET", "/v1/replicas", "", as("root")...); a.StatusCode != 200 {
		t.Error(a.Status)
	}
	refused(t, edge(t).ask("GET", "/v1/replicas", "", "Host", "evil.example"), 403, "forbidden", "Host", "")
}

// What the real matrix gives away is whole: a snapshot by its hash, a backup by what is restored from it.
func TestMatrixByHTTP(t *testing.T) {
	h := open(t).gallery()
	source, err := NewSnapshots(h.url, "")
	must(t, err)
	m, body, err := source.Newest(t.Context())
	must(t, err)
	text, err := io.ReadAll(body)
	must(t, errors.Join(err, body.Close()))
	if m.Revision != 4 || m.SHA256 != sha256.Sum256(text) || m.Size != int64(len(text)) {
		t.Errorf("%+v, %d bytes", m, len(text))
	}
	var b bytes.Buffer
	backup, err := h.client.Backup(t.Context(), &b)
	must(t, err)
	cfg := catalog.DefaultConfig()
	cfg.Dir = filepath.Join(t.TempDir(), "catalog")
	restored, err := catalog.Restore(t.Context(), cfg, &b)
	must(t, err)
	if backup.Revision != 4 || restored.Revision != 4 {
		t.Errorf("%+v, %+v", backup, restored)
	}
	c, err := catalog.Open(t.Context(), cfg, catalog.Events{})
	must(t, err)
	defer func() { _ = c.Close() }()
	if e, ok := c.View().Find("shop", "ü/hero 1.png", 0); !ok || e.Number != 2 {
		t.Errorf("%+v", e)
	}
}
