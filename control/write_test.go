package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/control/client"
)

// put uploads a text as a name of the shop.
func (h *house) put(name, text string) client.Receipt {
	h.t.Helper()
	r, err := h.client.PutAsset(h.t.Context(), "shop", name, strings.NewReader(text), int64(len(text)), client.PutOptions{MediaType: "text/plain"})
	must(h.t, err)
	return r
}

func (h *house) product(name string) {
	h.t.Helper()
	_, err := h.client.PutProduct(h.t.Context(), name, client.ProductSpec{})
	must(h.t, err)
}

// still runs do, which must leave the log as it is.
func (h *house) still(do func()) {
	h.t.Helper()
	before := h.catalog.View().Revision()
	do()
	if after := h.catalog.View().Revision(); after != before {
		h.t.Errorf("a refused write is in the log: revision %d, then %d", before, after)
	}
}

// send sends JSON by a method.
func (h *house) send(method, path, body string, headers ...string) answered {
	h.t.Helper()
	return h.ask(method, path, body, append(headers, "Content-Type", "application/json")...)
}

func (h *house) entry(product, name string) client.Entry {
	h.t.Helper()
	e, err := h.client.Asset(h.t.Context(), product, name)
	must(h.t, err)
	return e
}

// problemIn returns the problem that an error is.
func problemIn(t *testing.T, err error) *asset.Problem {
	t.Helper()
	p, ok := errors.AsType[*asset.Problem](err)
	if !ok {
		t.Fatalf("no problem: %v", err)
	}
	return p
}

func TestDeleteProduct(t *testing.T) {
	h := open(t).shop()
	h.put("a.txt", "a")
	h.still(func() {
		a := h.ask("DELETE", "/v1/products/shop", "")
		refused(t, a, 409, "conflict", "product", "")
		if !strings.Contains(string(a.body), "assets (1) and has links (1)") {
			t.Errorf("it does not say what is there: %s", a.body)
		}
		refused(t, h.ask("DELETE", "/v1/products/nobody", ""), 404, "not-found", "product", "/v1/products")
	})
	h.product("blog")
	_, err := h.client.PutLink(t.Context(), "blog", "b.txt", client.LinkSpec{Product: "shop", Name: "a.txt"})
	must(t, err)
	_, err = h.client.DeleteAsset(t.Context(), "shop", "a.txt", client.Condition{})
	must(t, err)
	h.still(func() {
		a := h.ask("DELETE", "/v1/products/shop", "")
		refused(t, a, 409, "conflict", "product", "")
		if !strings.Contains(string(a.body), "assets (1) and has links (0)") {
			t.Errorf("it does not say what is there: %s", a.body)
		}
	})
	_, err = h.client.DeleteAsset(t.Context(), "blog", "b.txt", client.Condition{})
	must(t, err)
	a := h.ask("DELETE", "/v1/products/shop", "")
	done := decode[client.Done](t, a, 200)
	if done.Revision != h.catalog.View().Revision() || a.Header.Get("Asset-Revision") != fmt.Sprint(done.Revision) {
		t.Errorf("%+v %v", done, a.Header)
	}
	if _, ok := h.catalog.View().Product("shop"); ok {
		t.Error("the product is there")
	}
}

func TestProductConditions(t *testing.T) {
	h := open(t)
	a := h.send("PUT", "/v1/products/shop", "{}", "If-None-Match", "*")
	first := decode[client.Product](t, a, 201)
	tag := a.Header.Get("ETag")
	if tag != `"`+first.State+`"` || h.ask("GET", "/v1/products/shop", "").Header.Get("ETag") != tag {
		t.Errorf("%s %+v", tag, first)
	}
	h.still(func() {
		refused(t, h.send("PUT", "/v1/products/shop", "{}", "If-None-Match", "*"), 412, "precondition-failed", "If-None-Match", "new product")
		refused(t, h.send("PUT", "/v1/products/new", "{}", "If-Match", tag), 412, "precondition-failed", "If-Match", "")
	})
	a = h.send("PUT", "/v1/products/shop", `{"origins":["*"]}`, "If-Match", tag)
	second := decode[client.Product](t, a, 200)
	if second.State == first.State {
		t.Error("another product in the same state", second)
	}
	h.still(func() {
		for _, method := range []string{"PUT", "DELETE"} {
			refused(t, h.send(method, "/v1/products/shop", "{}", "If-Match", tag), 412, "precondition-failed", "If-Match", second.State)
		}
		for _, bad := range []string{`"1"`, "*", "x", `"` + first.State + `", "` + second.State + `"`, `W/` + tag} {
			refused(t, h.send("PUT", "/v1/products/shop", "{}", "If-Match", bad), 400, "invalid-request", "If-Match", "in quotes")
		}
		refused(t, h.send("PUT", "/v1/products/shop", "{}", "If-Match", tag, "If-None-Match", "*"), 400, "invalid-request", "If-None-Match", "not both")
		refused(t, h.send("PUT", "/v1/products/shop", "{}", "If-None-Match", tag), 400, "invalid-request", "If-None-Match", "*")
		refused(t, h.ask("DELETE", "/v1/products/shop", "", "If-Unmodified-Since", "Mon, 02 Jan 2006 15:04:05 GMT"), 400, "invalid-request", "If-Unmodified-Since", "If-Match")
	})
	_, err := h.client.PutProductIf(t.Context(), "shop", client.ProductSpec{}, client.Condition{State: first.State})
	if p := problemIn(t, err); p.Status != 412 {
		t.Error(p)
	}
	_, err = h.client.DeleteProduct(t.Context(), "shop", client.Condition{State: second.State})
	must(t, err)
	h.product("shop")
	if again, _ := h.client.Product(t.Context(), "shop"); again.State == first.State {
		t.Error("a product that was made anew is in the state of the one before")
	}
}

func TestPatchAsset(t *testing.T) {
	h := open(t).shop()
	h.put("a/ü.txt", "1")
	h.put("a/ü.txt", "2")
	before := h.entry("shop", "a/ü.txt")
	a := h.send("PATCH", "/v1/products/shop/assets/a/%C3%BC.txt", `{"current":1,"tags":["summer","red"],"focal":{"x":0.3,"y":0.7}}`, "If-Match", `"2"`)
	e := decode[client.Entry](t, a, 200)
	if e.Current != 1 || e.Version != 1 || fmt.Sprint(e.Tags) != "[summer red]" || *e.Focal != (client.Point{X: 0.3, Y: 0.7}) || len(e.Versions) != 2 ||
		e.Status != asset.Active || e.State == before.State || e.Revision != before.Revision+1 || a.Header.Get("ETag") != `"1"` || a.Header.Get("Asset-Revision") != fmt.Sprint(e.Revision) {
		t.Errorf("%+v %v", e, a.Header)
	}
	if now := h.entry("shop", "a/ü.txt"); fmt.Sprint(now.State, now.Tags, *now.Focal, now.Updated) != fmt.Sprint(e.State, e.Tags, *e.Focal, e.Updated) {
		t.Errorf("%+v, not %+v", now, e)
	}
	h.still(func() { // what is so already
		for _, same := range []string{`{}`, `{"current":1}`, `{"tags":["summer","red"],"status":"ACTIVE"}`, `{"focal":{"y":7e-1,"x":0.3}}`} {
			if again := decode[client.Entry](t, h.send("PATCH", "/v1/products/shop/assets/a/%C3%BC.txt", same), 200); again.State != e.State {
				t.Errorf("%s: %+v", same, again)
			}
		}
	})
	e = decode[client.Entry](t, h.send("PATCH", "/v1/products/shop/assets/a/%C3%BC.txt", `{"focal":null,"tags":null}`), 200)
	if e.Focal != nil || len(e.Tags) != 0 || e.Current != 1 {
		t.Errorf("%+v", e)
	}
	e, err := h.client.PatchAsset(t.Context(), "shop", "a/ü.txt", client.AssetPatch{Status: asset.Archived, Focal: &client.Point{}}, client.Condition{State: e.State})
	must(t, err)
	if e.Status != asset.Archived || e.Archived.IsZero() || *e.Focal != (client.Point{}) {
		t.Errorf("%+v", e)
	}
	h.still(func() {
		if again := decode[client.Entry](t, h.send("PATCH", "/v1/products/shop/assets/a/%C3%BC.txt", `{"status":"ARCHIVED"}`), 200); !again.Archived.Equal(e.Archived) {
			t.Errorf("%+v", again)
		}
	})
}

func TestPatchRefusals(t *testing.T) {
	h := open(t).shop()
	h.product("blog")
	r := h.put("a", "1")
	_, err := h.client.PutLink(t.Context(), "blog", "b", client.LinkSpec{Asset: r.ID})
	must(t, err)
	const path = "/v1/products/shop/assets/a"
	for _, c := range []struct {
		body          string
		status        int
		kind          string
		part, allowed string
	}{
		{`{"status":"PENDING"}`, 409, "conflict", "/status", "ACTIVE, ARCHIVED"},
		{`{"status":"active"}`, 422, "invalid-content", "/status", "PENDING, ACTIVE, ARCHIVED"},
		{`{"status":null}`, 422, "invalid-content", "/status", "ARCHIVED"},
		{`{"current":2}`, 422, "invalid-content", "/current", "1 to 1"},
		{`{"current":0}`, 422, "invalid-content", "/current", "at least 1"},
		{`{"current":"1"}`, 422, "invalid-content", "/current", "a whole number"},
		{`{"current":null}`, 422, "invalid-content", "/current", "a whole number"},
		{`{"tags":["a","b c"]}`, 422, "invalid-content", "/tags/1", "without commas"},
		{`{"tags":["a","a"]}`, 422, "invalid-content", "/tags/1", "once"},
		{`{"tags":"a"}`, 422, "invalid-content", "/tags", "a list"},
		{`{"tags":[1]}`, 422, "invalid-content", "/tags/0", "a string"},
		{`{"tags":[` + strings.Repeat(`"x",`, 32) + `"y"]}`, 422, "invalid-content", "/tags", "up to 32"},
		{`{"focal":{"x":1.5,"y":0}}`, 422, "invalid-content", "/focal/x", "a number, 0–1"},
		{`{"focal":{"x":0.5}}`, 422, "invalid-content", "/focal/y", "a number, 0–1"},
		{`{"focal":{"x":true,"y":0}}`, 422, "invalid-content", "/focal/x", "a number, 0–1"},
		{`{"focal":[0,0]}`, 422, "invalid-content", "/focal", "an object with x, y"},
		{`{"owner":"blog"}`, 422, "invalid-content", "/owner", "current, focal, status, tags"},
		{`{"versions":[]}`, 422, "invalid-content", "/versions", "current, focal, status, tags"},
		{`[]`, 422, "invalid-content", "body", "an object"},
		{``, 400, "invalid-request", "body", "one JSON object"},
	} {
		h.still(func() { refused(t, h.send("PATCH", path, c.body), c.status, c.kind, c.part, c.allowed) })
	}
	h.still(func() {
		foreign := h.send("PATCH", "/v1/products/blog/assets/b", `{"tags":["x"]}`)
		refused(t, foreign, 409, "conflict", "name", `"shop"`)
		refused(t, h.send("PATCH", "/v1/products/shop/assets/none", `{}`, "If-Match", `"1"`), 404, "not-found", "name", "")
		refused(t, h.send("PATCH", "/v1/products/nobody/assets/a", `{}`), 404, "not-found", "product", "")
		refused(t, h.send("PATCH", path, `{"tags":["x"]}`, "If-Match", `"2"`), 412, "precondition-failed", "If-Match", `"1"`)
		refused(t, h.send("PATCH", path, `{"tags":["x"]}`, "If-Match", `"1-0123456789abcdef"`), 412, "precondition-failed", "If-Match", h.entry("shop", "a").State)
		refused(t, h.send("PATCH", path, `{"tags":["x"]}`, "If-None-Match", `*`), 412, "precondition-failed", "If-None-Match", "free")
		for _, bad := range []string{"1", "*", `"0"`, `"x"`, `"1-0"`, `"0-0123456789abcdef"`, `W/"1"`, `"1", "2"`} {
			refused(t, h.send("PATCH", path, `{}`, "If-Match", bad), 400, "invalid-request", "If-Match", `"3"`)
		}
		refused(t, h.ask("PATCH", path, `{}`, "Content-Type", "text/plain"), 415, "unsupported-media-type", "Content-Type", "application/json")
	})
	decode[client.Entry](t, h.send("PATCH", path, `{"status":"ARCHIVED"}`), 200)
	h.still(func() {
		refused(t, h.send("PATCH", path, `{"status":"ACTIVE"}`), 409, "conflict", "/status", "PENDING or ACTIVE")
		refused(t, h.send("PATCH", path, `{"tags":["x"]}`), 409, "conflict", "name", "PENDING or ACTIVE")
		refused(t, h.ask("PUT", path, "2"), 409, "conflict", "name", "")
	})
}

// An upload may stay PENDING until it is published.
func TestPendingUpload(t *testing.T) {
	h := open(t).shop()
	r, err := h.client.PutAsset(t.Context(), "shop", "a", strings.NewReader("1"), 1, client.PutOptions{Status: asset.Pending})
	must(t, err)
	if e := h.entry("shop", "a"); e.Status != asset.Pending || r.Version != 1 || !r.Created {
		t.Errorf("%+v", e)
	}
	h.put("a", "2")
	if e := h.entry("shop", "a"); e.Status != asset.Pending || e.Current != 2 || len(e.Versions) != 2 {
		t.Errorf("an upload that says nothing of it has published: %+v", e)
	}
	h.still(func() {
		refused(t, h.send("PATCH", "/v1/products/shop/assets/a", `{"status":"ARCHIVED"}`), 409, "conflict", "/status", "PENDING, ACTIVE")
		refused(t, h.ask("PUT", "/v1/products/shop/assets/a?status=ARCHIVED", "3"), 400, "invalid-request", "status", "PENDING, ACTIVE")
	})
	_, err = h.client.PatchAsset(t.Context(), "shop", "a", client.AssetPatch{Status: asset.Active}, client.Condition{Version: 2})
	must(t, err)
	if e := h.entry("shop", "a"); e.Status != asset.Active || e.Current != 2 {
		t.Errorf("%+v", e)
	}
	h.still(func() {
		refused(t, h.ask("PUT", "/v1/products/shop/assets/a?status=PENDING", "3"), 409, "conflict", "status", "ACTIVE")
	})
	_, err = h.client.PutAsset(t.Context(), "shop", "b", strings.NewReader("1"), 1, client.PutOptions{Status: asset.Pending})
	must(t, err)
	again, err := h.client.PutAsset(t.Context(), "shop", "b", strings.NewReader("1"), 1, client.PutOptions{Status: asset.Active})
	must(t, err)
	if e := h.entry("shop", "b"); e.Status != asset.Active || !again.Unchanged || e.Current != 1 {
		t.Errorf("the same bytes, ACTIVE: %+v", e)
	}
}

func TestDeleteAsset(t *testing.T) {
	h := open(t).shop()
	h.product("blog")
	r := h.put("a b.txt", "1")
	_, err := h.client.PutLink(t.Context(), "blog", "x/y", client.LinkSpec{Product: "shop", Name: "a b.txt"})
	must(t, err)
	h.still(func() {
		refused(t, h.ask("DELETE", "/v1/products/shop/assets/a%20b.txt", "", "If-Match", `"2"`), 412, "precondition-failed", "If-Match", `"1"`)
		refused(t, h.ask("DELETE", "/v1/products/shop/assets/none", "", "If-Match", `"2"`), 404, "not-found", "name", "")
		refused(t, h.ask("DELETE", "/v1/products/nobody/assets/none", ""), 404, "not-found", "product", "")
		refused(t, h.ask("DELETE", "/v1/products/shop/links/a%2Fb", ""), 400, "invalid-request", "name", "UTF-8")
	})
	a := h.ask("DELETE", "/v1/products/shop/assets/a%20b.txt", "", "If-Match", `"1"`)
	d := decode[client.Deleted](t, a, 200)
	if d.AssetDeleted || d.Asset != r.ID || d.Revision != h.catalog.View().Revision() || a.Header.Get("Asset-Revision") != fmt.Sprint(d.Revision) {
		t.Errorf("%+v %v", d, a.Header)
	}
	if e := h.entry("blog", "x/y"); e.ID != r.ID || len(e.Links) != 1 {
		t.Errorf("%+v", e)
	}
	d, err = h.client.DeleteLink(t.Context(), "blog", "x/y", client.Condition{State: h.entry("blog", "x/y").State})
	must(t, err)
	if _, ok := h.catalog.View().Asset(r.ID); ok || !d.AssetDeleted {
		t.Errorf("the asset is there without a name: %+v", d)
	}
}

func TestLinkConditions(t *testing.T) {
	h := open(t).shop()
	h.put("a", "1")
	h.put("a", "2")
	h.put("b", "3")
	const path, body = "/v1/products/shop/links/c", `{"product":"shop","name":"a"}`
	h.still(func() {
		refused(t, h.send("PUT", path, body, "If-Match", `"2"`), 412, "precondition-failed", "If-Match", "free")
	})
	a := h.send("PUT", path, body, "If-None-Match", "*")
	if l := decode[client.Link](t, a, 201); l.Name != "c" || l.Product != "shop" || l.Version != 0 || a.Header.Get("ETag") != `"2"` {
		t.Errorf("%+v %v", l, a.Header)
	}
	h.still(func() {
		refused(t, h.send("PUT", path, body, "If-None-Match", "*"), 412, "precondition-failed", "If-None-Match", "free")
		refused(t, h.send("PUT", path, body, "If-Match", `"1"`), 412, "precondition-failed", "If-Match", `"2"`)
		refused(t, h.send("PUT", path, `{"product":"shop","name":"b"}`), 409, "conflict", "name", "free")
	})
	state := h.entry("shop", "c").State
	if l, err := h.client.PutLinkIf(t.Context(), "shop", "c", client.LinkSpec{Product: "shop", Name: "a", Version: 1}, client.Condition{State: state}); err != nil || l.Version != 1 {
		t.Error(l, err)
	}
	if now := h.entry("shop", "c"); now.State == state || now.Version != 1 || now.Current != 2 {
		t.Errorf("%+v", now)
	}
}

// Two clients race on the same version: one wins, the other is told what is current, and nothing is lost.
func TestRace(t *testing.T) {
	h := open(t).shop()
	h.put("a", "0")
	for _, c := range []struct {
		name  string
		write func(round, i int, e client.Entry) error
	}{
		{"uploads", func(round, i int, e client.Entry) error {
			_, err := h.client.PutAsset(t.Context(), "shop", "a", strings.NewReader(fmt.Sprint(round, " by ", i)), -1, client.PutOptions{IfVersion: e.Current})
			return err
		}},
		{"patches", func(round, i int, e client.Entry) error {
			tags := []string{fmt.Sprintf("round-%d-by-%d", round, i)}
			_, err := h.client.PatchAsset(t.Context(), "shop", "a", client.AssetPatch{Tags: &tags}, client.Condition{State: e.State})
			return err
		}},
	} {
		for round := range 100 {
			before := h.entry("shop", "a")
			var errs [2]error
			var both sync.WaitGroup
			for i := range errs {
				both.Go(func() { errs[i] = c.write(round, i, before) })
			}
			both.Wait()
			if (errs[0] == nil) == (errs[1] == nil) {
				t.Fatalf("%s, round %d: %v, %v", c.name, round, errs[0], errs[1])
			}
			after := h.entry("shop", "a")
			p := problemIn(t, errors.Join(errs[:]...))
			if p.Status != 412 || p.Part != "If-Match" || !strings.Contains(p.Detail, fmt.Sprintf("current version is %d", after.Current)) {
				t.Fatalf("%s, round %d: %+v, while %d is current", c.name, round, p, after.Current)
			}
			if c.name == "uploads" && after.Current != before.Current+1 || c.name == "patches" && (after.State == before.State || len(after.Tags) != 1) {
				t.Fatalf("%s, round %d: %+v", c.name, round, after)
			}
		}
	}
	if e := h.entry("shop", "a"); len(e.Versions) != 101 {
		t.Errorf("%d versions", len(e.Versions))
	}
}

func TestPurge(t *testing.T) {
	h := open(t).shop()
	h.product("blog")
	r := h.put("a/ü.txt", "1")
	generation := func() uint64 {
		e, _ := h.catalog.View().Find("shop", "a/ü.txt", 0)
		p, _ := h.catalog.View().Product("shop")
		return max(e.Generation, p.Generation)
	}
	_, err := h.client.PatchAsset(t.Context(), "shop", "a/ü.txt", client.AssetPatch{Tags: &[]string{"summer"}}, client.Condition{})
	must(t, err)
	for _, body := range []string{
		`{"product":"shop"}`, `{"asset":"` + r.ID + `"}`, `{"tag":"summer"}`, `{"tag":"summer","product":"shop"}`,
		`{"url":"/shop/w=400,f=webp/a/%C3%BC.txt?dl=x"}`, `{"url":"https://cdn.example:8443/shop/original/a/%C3%BC.txt"}`,
	} {
		a := h.send("POST", "/v1/purge", body)
		done := decode[client.Done](t, a, 200)
		if g := generation(); g != done.Revision || done.Revision != h.catalog.View().Revision() || a.Header.Get("Asset-Revision") != fmt.Sprint(done.Revision) {
			t.Errorf("%s: %+v, generation %d", body, done, g)
		}
	}
	before := generation()
	for _, spec := range []client.PurgeSpec{{Product: "blog"}, {Tag: "winter"}, {Tag: "summer", Product: "blog"}} {
		if _, err := h.client.Purge(t.Context(), spec); err != nil || generation() != before {
			t.Errorf("%+v: %v", spec, err)
		}
	}
	for _, c := range []struct {
		body          string
		status        int
		kind          string
		part, allowed string
	}{
		{`{}`, 422, "invalid-content", "body", "product, asset, tag and url"},
		{`{"product":"shop","asset":"x"}`, 422, "invalid-content", "body", "product, asset, tag and url"},
		{`{"product":"shop","url":"/shop/original/a"}`, 422, "invalid-content", "body", "product, asset, tag and url"},
		{`{"product":"nobody"}`, 404, "not-found", "/product", "/v1/products"},
		{`{"tag":"x","product":"nobody"}`, 404, "not-found", "/product", "/v1/products"},
		{`{"asset":"nothing"}`, 404, "not-found", "/asset", "id"},
		{`{"tag":"a b"}`, 422, "invalid-content", "/tag", "without commas"},
		{`{"url":"/shop/original/none"}`, 404, "not-found", "/url", "URL"},
		{`{"url":"/shop/a.jpg"}`, 422, "invalid-content", "/url", "/{product}/{options}/{name}"},
		{`{"url":"/shop/w=0/a.jpg"}`, 422, "invalid-content", "/url", "/{product}/{options}/{name}"},
		{`{"url":"http://[::1/"}`, 422, "invalid-content", "/url", "/{product}/{options}/{name}"},
		{`{"everything":true}`, 422, "invalid-content", "/everything", "asset, product, tag, url"},
		{`{"tag":1}`, 422, "invalid-content", "/tag", "a string"},
	} {
		h.still(func() { refused(t, h.send("POST", "/v1/purge", c.body), c.status, c.kind, c.part, c.allowed) })
	}
}

func TestGarbage(t *testing.T) {
	h := open(t).shop()
	r := h.put("a", "some bytes")
	_, err := h.client.DeleteAsset(t.Context(), "shop", "a", client.Condition{})
	must(t, err)
	collect := func(spec client.GarbageSpec) client.Collected {
		t.Helper()
		c, err := h.client.CollectGarbage(t.Context(), spec)
		must(t, err)
		return c
	}
	if c := collect(client.GarbageSpec{DryRun: true}); c.Count != 0 || c.Originals == nil || !c.DryRun {
		t.Errorf("within the grace period that is configured: %+v", c)
	}
	h.still(func() {
		c := collect(client.GarbageSpec{DryRun: true, Grace: "0s"})
		if c.Count != 1 || c.Size != 10 || c.Originals[0].Digest != r.Digest || c.Originals[0].Deleted {
			t.Errorf("%+v", c)
		}
	})
	if c := collect(client.GarbageSpec{Grace: "0s"}); c.Count != 1 || !c.Originals[0].Deleted || c.Revision != h.catalog.View().Revision() {
		t.Errorf("%+v", c)
	}
	if c := collect(client.GarbageSpec{Grace: "0s"}); c.Count != 0 {
		t.Errorf("deleted twice: %+v", c)
	}
	for _, grace := range []string{"-1h", "1", "soon"} {
		refused(t, h.send("POST", "/v1/garbage", `{"grace":"`+grace+`"}`), 422, "invalid-content", "/grace", "24h")
	}
	refused(t, h.send("POST", "/v1/garbage", `{"dry_run":"yes"}`), 422, "invalid-content", "/dry_run", "true or false")
	refused(t, h.send("POST", "/v1/garbage", `{"dryrun":true}`), 422, "invalid-content", "/dryrun", "dry_run, grace")
}

// What null takes off survives the way through JSON.
func TestPatchesInJSON(t *testing.T) {
	for _, want := range []string{
		`{}`, `{"focal":null}`, `{"focal":{"x":0,"y":1}}`, `{"tags":[]}`, `{"status":"ARCHIVED","current":2,"tags":["a"]}`,
	} {
		var p client.AssetPatch
		must(t, json.Unmarshal([]byte(want), &p))
		if got, err := json.Marshal(p); err != nil || string(got) != want {
			t.Errorf("%s, not %s (%v)", got, want, err)
		}
		var o client.Operation
		must(t, json.Unmarshal([]byte(want), &o))
		if got, err := json.Marshal(o); err != nil || string(got) != strings.Replace(strings.Replace(want, `{`, `{"op":"",`, 1), ",}", "}", 1) {
			t.Errorf("%s, not %s with an op (%v)", got, want, err)
		}
	}
	var p client.AssetPatch
	must(t, json.Unmarshal([]byte(`{"tags":null}`), &p))
	if p.Tags == nil || len(*p.Tags) != 0 {
		t.Error("null tags", p.Tags)
	}
}
