package control

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"image/color"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/control/client"
)

func TestPutAsset(t *testing.T) {
	h := open(t).shop()
	red := picture(t, 30, 20, color.RGBA{R: 255, A: 255})
	a := h.askBody("PUT", "/v1/products/shop/assets/banners/hero%20%C3%BC.png", bytes.NewReader(red), "Content-Type", "image/png")
	r := decode[client.Receipt](t, a, 201)
	digest := asset.Digest(sha256.Sum256(red))
	want := client.Receipt{Receipt: asset.Receipt{
		ID: r.ID, Product: "shop", Name: "banners/hero ü.png", Version: 1, Digest: digest, Size: int64(len(red)), MediaType: "image/png",
		Width: 30, Height: 20, Revision: h.catalog.View().Revision(), Created: true,
	}, Path: "/shop/original/banners/hero%20%C3%BC.png"}
	if r.ID == "" || r != want {
		t.Errorf("%+v", r)
	}
	if a.Header.Get("ETag") != `"1"` || a.Header.Get("Location") != want.Path {
		t.Error(a.Header)
	}
	if _, found, ok := h.catalog.View().Lookup("shop", "banners/hero ü.png"); !ok || found.ID != r.ID {
		t.Error("not in the matrix")
	}
	a = h.askBody("PUT", "/v1/products/shop/assets/banners/hero%20%C3%BC.png", bytes.NewReader(red))
	if again := decode[client.Receipt](t, a, 200); !again.Unchanged || again.Created || again.Version != 1 || a.Header.Get("ETag") != `"1"` {
		t.Errorf("%+v", again)
	}
	blue := picture(t, 30, 20, color.RGBA{B: 255, A: 255})
	a = h.askBody("PUT", "/v1/products/shop/assets/banners/hero%20%C3%BC.png", bytes.NewReader(blue))
	if next := decode[client.Receipt](t, a, 201); next.Unchanged || next.Created || next.Version != 2 || next.ID != r.ID || a.Header.Get("ETag") != `"2"` {
		t.Errorf("%+v", next)
	}
}

func TestPutAssetByClient(t *testing.T) {
	h := open(t).shop()
	file := filepath.Join(t.TempDir(), "a.txt")
	must(t, os.WriteFile(file, []byte("hello"), 0o600))
	f, err := os.Open(file)
	must(t, err)
	defer func() { _ = f.Close() }()
	digest := asset.Digest(sha256.Sum256([]byte("hello")))
	r, err := h.client.PutAsset(t.Context(), "shop", "100%/a b?#.txt", f, 5, client.PutOptions{MediaType: "text/plain", CreateOnly: true, Digest: &digest})
	must(t, err)
	if r.Name != "100%/a b?#.txt" || r.Version != 1 || r.Digest != digest || r.Path != "/shop/original/100%25/a%20b%3F%23.txt" {
		t.Errorf("%+v", r)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Error("the client has closed what is not its own", err)
	}
	r, err = h.client.PutAsset(t.Context(), "shop", "100%/a b?#.txt", strings.NewReader("hello, world"), -1, client.PutOptions{IfVersion: 1})
	must(t, err)
	if r.Version != 2 || r.Size != 12 {
		t.Errorf("%+v", r)
	}
	_, err = h.client.PutAsset(t.Context(), "shop", "100%/a b?#.txt", strings.NewReader("late"), 4, client.PutOptions{IfVersion: 1})
	if p, ok := errors.AsType[*asset.Problem](err); !ok || p.Status != 412 || p.Part != "If-Match" {
		t.Error(err)
	}
	_, err = h.client.PutAsset(t.Context(), "shop", "b.txt", strings.NewReader(""), 0, client.PutOptions{})
	if p, ok := errors.AsType[*asset.Problem](err); !ok || p.Status != 400 || p.Part != "body" {
		t.Error(err)
	}
	e, err := h.client.Asset(t.Context(), "shop", "100%/a b?#.txt")
	must(t, err)
	if e.ID != r.ID || e.Current != 2 || len(e.Versions) != 2 || e.Versions[0].Digest != digest {
		t.Errorf("%+v", e)
	}
}

func TestUploadPreconditions(t *testing.T) {
	h := open(t).shop()
	put := func(body string, headers ...string) answered {
		return h.ask("PUT", "/v1/products/shop/assets/a.txt", body, headers...)
	}
	refused(t, put("0", "If-Match", `"1"`), 412, "precondition-failed", "If-Match", "")
	decode[client.Receipt](t, put("1", "If-None-Match", "*"), 201)
	refused(t, put("2", "If-None-Match", "*"), 412, "precondition-failed", "If-None-Match", "")
	decode[client.Receipt](t, put("2", "If-Match", `"1"`), 201)
	refused(t, put("3", "If-Match", `"1"`), 412, "precondition-failed", "If-Match", "")
	for _, value := range []string{"2", `W/"2"`, `"2", "3"`, `"0"`, `"-1"`, `"02"`, `"+2"`, `"abc"`, `"`, `""`, "*", `""2""`, `"99999999999999999999"`} {
		refused(t, put("3", "If-Match", value), 400, "invalid-request", "If-Match", `"3"`)
	}
	refused(t, put("3", "If-Match", `"2"`, "If-Match", `"3"`), 400, "invalid-request", "If-Match", `"3"`)
	refused(t, put("3", "If-None-Match", `"2"`), 400, "invalid-request", "If-None-Match", "*")
	refused(t, put("3", "If-Match", `"2"`, "If-None-Match", "*"), 400, "invalid-request", "If-None-Match", "not both")
	refused(t, put("3", "If-Unmodified-Since", "Mon, 02 Jan 2006 15:04:05 GMT"), 400, "invalid-request", "If-Unmodified-Since", "If-Match")
	if _, a, _ := h.catalog.View().Lookup("shop", "a.txt"); a.Current != 2 {
		t.Error(a.Current)
	}
}

func TestUploadDigests(t *testing.T) {
	h := open(t).shop()
	sum, other := sha256.Sum256([]byte("hello")), sha256.Sum256([]byte("other"))
	right, wrong := base64.StdEncoding.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(other[:])
	put := func(headers ...string) answered {
		return h.ask("PUT", "/v1/products/shop/assets/a.txt", "hello", headers...)
	}
	for _, headers := range [][]string{
		{"Repr-Digest", "sha-256=:" + right + ":"},
		{"Content-Digest", "sha-512=:AAAA:, sha-256=:" + right + ":"},
		{"Repr-Digest", "sha-512=:AAAA:", "Repr-Digest", "sha-256=:" + right + ":"},
		{"Digest", "SHA-256=" + right},
		{"Digest", "md5=AAAA,sha-256=" + right},
		{"Digest", "sha-256=" + right, "Content-Digest", "sha-256=:" + right + ":", "Repr-Digest", "sha-256=:" + right + ":"},
	} {
		if a := put(headers...); a.StatusCode >= 300 {
			t.Errorf("%v: %s %s", headers, a.Status, a.body)
		}
	}
	refused(t, put("Repr-Digest", "sha-256=:"+wrong+":"), 400, "invalid-request", "Repr-Digest", "")
	refused(t, put("Digest", "sha-256="+wrong), 400, "invalid-request", "Repr-Digest", "")
	for _, c := range []struct{ name, value, allowed string }{
		{"Repr-Digest", "sha-256=" + right, ":base64:"},
		{"Repr-Digest", "sha-512=:" + right + ":", "sha-256=:"},
		{"Repr-Digest", "sha-256=:AAAA:", "sha-256=:"},
		{"Repr-Digest", "sha-256=:", "sha-256=:"},
		{"Repr-Digest", "sha-256", "sha-256=:"},
		{"Content-Digest", "sha-256=:" + right, "sha-256=:"},
		{"Digest", "sha-256=:" + right + ":", "sha-256=base64"},
		{"Digest", "md5=AAAA", "sha-256=base64"},
	} {
		refused(t, put(c.name, c.value), 400, "invalid-request", c.name, c.allowed)
	}
	refused(t, put("Repr-Digest", "sha-256=:"+right+":", "Digest", "sha-256="+wrong), 400, "invalid-request", "Digest", "one digest")
}

func TestUploadRefusals(t *testing.T) {
	h := open(t).shop()
	const path = "/v1/products/shop/assets/"
	refused(t, h.ask("PUT", "/v1/products/nobody/assets/a", "x"), 404, "not-found", "product", "")
	refused(t, h.ask("PUT", path+"a", "x", "Content-Encoding", "gzip"), 415, "unsupported-media-type", "Content-Encoding", "as they are")
	refused(t, h.ask("PUT", path+"a", "x", "Content-Range", "bytes 0-0/2"), 400, "invalid-request", "Content-Range", "the whole file")
	refused(t, h.ask("PUT", path+"a", ""), 400, "invalid-request", "body", "")
	refused(t, h.askBody("PUT", path+"a", io.MultiReader()), 400, "invalid-request", "body", "")
	refused(t, h.ask("PUT", path+"a.png", "no picture", "Content-Type", "image/png"), 415, "unsupported-media-type", "Content-Type", "")
	refused(t, h.ask("PUT", path+"a", "x", "Content-Type", "multipart/form-data; boundary=x"), 415, "unsupported-media-type", "Content-Type", "")
	refused(t, h.ask("PUT", path+"a?force=1", "x"), 400, "invalid-request", "force", "status, wait, wait_timeout")
	for _, name := range []string{
		"", "a%2Fb", "a%2fb", "%00", "a%0Ab", "a%5Cb", "%FF", "100%2525", "a/", strings.Repeat("a", 513), "%E2%80%A8" + strings.Repeat("/a", 255) + "%C3",
	} {
		for _, method := range []string{"PUT", "GET"} {
			refused(t, h.ask(method, path+name, "x"), 400, "invalid-request", "name", "UTF-8")
		}
	}
	if links := h.catalog.View().Links("shop", "", "", 10); len(links) != 0 {
		t.Error("a refused upload left a link", links[0])
	}
	spooled, err := filepath.Glob(filepath.Join(h.dir, "spool", "*"))
	if err != nil || len(spooled) != 0 {
		t.Error("a refused upload left a file", spooled, err)
	}
	if a := h.ask("PUT", path+"a", "x", "Content-Encoding", "identity"); a.StatusCode != 201 {
		t.Error(a.Status)
	}
}

// Identical paths with other spellings are one name.
func TestNamesAreDecodedOnce(t *testing.T) {
	h := open(t).shop()
	decode[client.Receipt](t, h.ask("PUT", "/v1/products/shop/assets/%61/b", "x"), 201)
	if e := decode[client.Entry](t, h.ask("GET", "/v1/products/shop/assets/a/%62", ""), 200); e.Name != "a/b" {
		t.Error(e.Name)
	}
	decode[client.Receipt](t, h.ask("PUT", "/v1/products/shop/assets/100%25", "x"), 201)
	if _, _, ok := h.catalog.View().Lookup("shop", "100%"); !ok {
		t.Error("not there")
	}
}

func TestGetAsset(t *testing.T) {
	h := open(t).shop()
	_, err := h.client.PutProduct(t.Context(), "blog", client.ProductSpec{})
	must(t, err)
	r := decode[client.Receipt](t, h.askBody("PUT", "/v1/products/shop/assets/a.png", bytes.NewReader(picture(t, 3, 2, color.Black))), 201)
	decode[client.Receipt](t, h.askBody("PUT", "/v1/products/shop/assets/a.png", bytes.NewReader(picture(t, 5, 4, color.Black))), 201)
	_, err = h.client.PutLink(t.Context(), "blog", "x/y.png", client.LinkSpec{Asset: r.ID, Version: 1})
	must(t, err)
	a := h.ask("GET", "/v1/products/blog/assets/x/y.png", "")
	e := decode[client.Entry](t, a, 200)
	if a.Header.Get("ETag") != `"2"` || e.Current != 2 || e.Version != 1 || e.Owner != "shop" || e.Product != "blog" || e.Name != "x/y.png" ||
		e.Status != asset.Active || e.ID != r.ID || e.Path != "/blog/original/x/y.png" || e.Revision != h.catalog.View().Revision() {
		t.Errorf("%v %+v", a.Header, e)
	}
	if len(e.Versions) != 2 || e.Versions[1].Picture.Width != 5 || e.Versions[1].MediaType != "image/png" || e.Versions[0].Number != 1 {
		t.Errorf("%+v", e.Versions)
	}
	if len(e.Links) != 2 || e.Links[0].Product != "blog" || e.Links[0].Version != 1 || e.Links[1].Name != "a.png" || e.Links[1].Version != 0 {
		t.Errorf("%+v", e.Links)
	}
	refused(t, h.ask("GET", "/v1/products/blog/assets/a.png", ""), 404, "not-found", "name", "/v1/products/blog/assets")
	refused(t, h.ask("GET", "/v1/products/nobody/assets/a.png", ""), 404, "not-found", "product", "/v1/products")
	head := h.ask("HEAD", "/v1/products/blog/assets/x/y.png", "")
	if head.StatusCode != 200 || len(head.body) != 0 || head.Header.Get("ETag") != `"2"` {
		t.Error(head.Status, head.Header)
	}
}

func TestList(t *testing.T) {
	h := open(t).shop()
	var want []string
	for i := range 5 {
		name := fmt.Sprintf("a/%d.png", i)
		want = append(want, name)
		_, err := h.client.PutAsset(t.Context(), "shop", name, bytes.NewReader(picture(t, 1+i, 1, color.Black)), -1, client.PutOptions{})
		must(t, err)
	}
	_, err := h.client.PutAsset(t.Context(), "shop", "b.txt", strings.NewReader("x"), 1, client.PutOptions{})
	must(t, err)
	for _, limit := range []int{0, 1, 2, 5, 6, 1000} {
		var got []string
		o := client.ListOptions{Prefix: "a/", Limit: limit}
		for more := true; more; more = o.Cursor != "" {
			page, err := h.client.List(t.Context(), "shop", o)
			must(t, err)
			for _, item := range page.Assets {
				got = append(got, item.Name)
			}
			o.Cursor = page.Next
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("limit %d: %v", limit, got)
		}
	}
	page, err := h.client.List(t.Context(), "shop", client.ListOptions{Limit: 3, Prefix: "a/2"})
	must(t, err)
	if i := page.Assets[0]; len(page.Assets) != 1 || i.Width != 3 || i.Height != 1 || i.MediaType != "image/png" || i.Version != 1 || i.Status != asset.Active || i.ID == "" || i.Size == 0 || i.Digest.IsZero() || i.Updated.IsZero() {
		t.Errorf("%+v", page)
	}
	if a := h.ask("GET", "/v1/products/shop/assets?prefix=zzz", ""); !strings.Contains(string(a.body), `"assets":[]`) {
		t.Errorf("%s", a.body)
	}
	const path = "/v1/products/shop/assets"
	for _, limit := range []string{"0", "1001", "-1", "x", "", "1.5", "1e2"} {
		refused(t, h.ask("GET", path+"?limit="+limit, ""), 400, "invalid-request", "limit", "1–1000")
	}
	refused(t, h.ask("GET", path+"?cursor=!", ""), 400, "invalid-request", "cursor", "the next of a page before")
	refused(t, h.ask("GET", path+"?perfix=a", ""), 400, "invalid-request", "perfix", "cursor, limit, min_revision, prefix")
	refused(t, h.ask("GET", path+"?prefix=a&prefix=b", ""), 400, "invalid-request", "prefix", "once")
	refused(t, h.ask("GET", path+"?prefix=%zz", ""), 400, "invalid-request", "query", "percent-encoded")
	refused(t, h.ask("GET", "/v1/products/nobody/assets", ""), 404, "not-found", "product", "/v1/products")
}

// An upload passes through: what is allocated for it does not grow with it. (The probe and the store read the spooled
// file in pieces.)
func TestUploadIsStreamed(t *testing.T) {
	h := open(t).shop()
	const size = 200 << 20
	allocated := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.TotalAlloc
	}
	before := allocated()
	r, err := h.client.PutAsset(t.Context(), "shop", "large.bin", io.LimitReader(noise(), size), size, client.PutOptions{})
	must(t, err)
	if r.Size != size {
		t.Errorf("%+v", r)
	}
	grown := allocated() - before
	t.Logf("%.1f MiB allocated in all for %d MiB, client included", float64(grown)/(1<<20), size>>20)
	if grown > 16<<20 {
		t.Errorf("%d bytes were allocated for an upload of %d", grown, size)
	}
}

// noise is a body without end that is no text and not the same twice within a piece.
func noise() io.Reader { return rand.NewChaCha8([32]byte{}) }

// A client that leaves in the middle leaves nothing.
func TestBrokenUpload(t *testing.T) {
	h := open(t).shop()
	c, _ := h.dial("PUT /v1/products/shop/assets/a.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhello")
	must(t, c.Close())
	req, err := http.NewRequest("PUT", h.url+"/v1/products/shop/assets/b.txt", io.MultiReader(strings.NewReader("hello"), broken{}))
	must(t, err)
	if _, err := http.DefaultClient.Do(req); err == nil {
		t.Fatal("the upload was whole")
	}
	if a := h.ask("GET", "/v1/products/shop/assets", ""); !strings.Contains(string(a.body), `"assets":[]`) {
		t.Errorf("%s", a.body)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }
