package control

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control/client"
)

// ops sends a transaction of operations that are spelled in JSON.
func (h *house) ops(operations string) answered {
	h.t.Helper()
	return h.send(http.MethodPost, "/v1/transactions", `{"operations":[`+operations+`]}`)
}

func TestTransact(t *testing.T) {
	h := open(t).shop()
	red, blue := h.put("red.txt", "red"), h.put("blue.txt", "blue")
	before := h.catalog.View().Revision()
	focal := client.Point{X: 0.5, Y: 0.25}
	a, err := h.client.Transact(t.Context(), []client.Operation{
		{Op: client.OpPutProduct, Product: "blog", Presets: map[string]string{"thumb": "w=200"}, CreateOnly: true},
		{Op: client.OpPutAsset, Product: "blog", Name: "new", Digest: &red.Digest, Status: asset.Pending, CreateOnly: true},
		{Op: client.OpPutLink, Product: "shop", Name: "new too", Target: &client.NameRef{Product: "blog", Name: "new"}},
		{Op: client.OpPutLink, Product: "blog", Name: "new three", Target: &client.NameRef{Product: "shop", Name: "new too"}, Version: 1},
		{Op: client.OpPatchAsset, Product: "blog", Name: "new three", Status: asset.Active, Tags: &[]string{"x"}, Focal: &focal, IfVersion: 1},
		{Op: client.OpPutAsset, Product: "shop", Name: "red.txt", Digest: &blue.Digest, IfVersion: 1},
		{Op: client.OpPutAsset, Product: "shop", Name: "blue.txt", Digest: &blue.Digest},
		{Op: client.OpDeleteLink, Product: "blog", Name: "new"},
		{Op: client.OpDeleteAsset, Product: "shop", Name: "blue.txt"},
		{Op: client.OpPurge, Tag: "x", Product: "blog"},
	})
	must(t, err)
	if a.Revision != before+1 || h.catalog.View().Revision() != a.Revision {
		t.Errorf("revision %d after %d", a.Revision, before)
	}
	id := a.Results[1].Asset
	want := []client.Result{
		{Op: "put_product", Product: "blog", Created: true},
		{Op: "put_asset", Product: "blog", Name: "new", Asset: id, Version: 1, Created: true},
		{Op: "put_link", Product: "shop", Name: "new too", Asset: id, Version: 1, Created: true},
		{Op: "put_link", Product: "blog", Name: "new three", Asset: id, Version: 1, Created: true},
		{Op: "patch_asset", Product: "blog", Name: "new three", Asset: id, Version: 1},
		{Op: "put_asset", Product: "shop", Name: "red.txt", Asset: red.ID, Version: 2},
		{Op: "put_asset", Product: "shop", Name: "blue.txt", Asset: blue.ID, Version: 1, Unchanged: true},
		{Op: "delete_link", Product: "blog", Name: "new", Asset: id, Version: 1},
		{Op: "delete_asset", Product: "shop", Name: "blue.txt", Asset: blue.ID, Version: 1, AssetDeleted: true},
		{Op: "purge", Product: "blog"},
	}
	if !reflect.DeepEqual(a.Results, want) {
		t.Errorf("%+v\nnot\n%+v", a.Results, want)
	}
	e := h.entry("shop", "new too")
	if e.Owner != "blog" || e.Status != asset.Active || fmt.Sprint(e.Tags) != "[x]" || *e.Focal != focal || len(e.Links) != 2 || e.Versions[0].Digest != red.Digest || e.Versions[0].Size != 3 {
		t.Errorf("%+v", e)
	}
	if found, _ := h.catalog.View().Find("shop", "new too", 0); found.Generation != a.Revision {
		t.Errorf("purged at %d", found.Generation)
	}
	if e := h.entry("shop", "red.txt"); e.Current != 2 || e.Versions[1].Digest != blue.Digest || e.Versions[1].MediaType != blue.MediaType || len(e.Versions[1].Providers) != 1 {
		t.Errorf("%+v", e)
	}
	h.still(func() { // what is so already
		if again := decode[client.Transacted](t, h.ops(`{"op":"put_product","product":"blog","presets":{"thumb":"w=200"}},{"op":"patch_asset","product":"blog","name":"new three","focal":{"x":0.5,"y":0.25}}`), 200); !again.Results[0].Unchanged || !again.Results[1].Unchanged || again.Revision != a.Revision {
			t.Errorf("%+v", again)
		}
	})
	decode[client.Transacted](t, h.ops(`{"name":"new three","focal":null,"tags":null,"product":"blog","op":"patch_asset"}`), 200)
	if e := h.entry("shop", "new too"); e.Focal != nil || len(e.Tags) != 0 {
		t.Errorf("%+v", e)
	}
}

// A name can be moved to another asset, as what is deleted before is free.
func TestTransactMovesANameToAnotherAsset(t *testing.T) {
	h := open(t).shop()
	h.put("a", "1")
	b := h.put("b", "2")
	answer := h.ops(`{"op":"put_link","product":"shop","name":"a","asset":"` + b.ID + `"}`)
	refused(t, answer, 409, "conflict", "/operations/0/name", "free")
	moved := decode[client.Transacted](t, h.ops(`{"op":"delete_link","product":"shop","name":"a"},{"op":"put_link","product":"shop","name":"a","asset":"`+b.ID+`"}`), 200)
	if !moved.Results[0].AssetDeleted || h.entry("shop", "a").ID != b.ID {
		t.Errorf("%+v", moved)
	}
}

func TestTransactionRefusals(t *testing.T) {
	h := open(t).shop()
	h.product("blog")
	r := h.put("a", "1")
	_, err := h.client.PutLink(t.Context(), "blog", "b", client.LinkSpec{Asset: r.ID})
	must(t, err)
	fine := `{"op":"put_product","product":"fine"},{"op":"put_link","product":"shop","name":"fine","asset":"` + r.ID + `"},`
	for _, c := range []struct {
		operation     string
		status        int
		kind          string
		part, allowed string
	}{
		{`{}`, 422, "invalid-content", "/op", "delete_asset, delete_link, delete_product, patch_asset, purge, put_asset, put_link, put_product"},
		{`{"op":"drop"}`, 422, "invalid-content", "/op", "put_link"},
		{`{"op":1}`, 422, "invalid-content", "/op", "put_link"},
		{`"purge"`, 422, "invalid-content", "", "an object with op"},
		{`null`, 422, "invalid-content", "", "an object with op"},
		{`{"op":"purge","op":"purge","tag":"x"}`, 422, "invalid-content", "/op", "once"},
		{`{"op":"put_link","product":"shop","name":"c"}`, 422, "invalid-content", "/asset", "an asset's id"},
		{`{"op":"put_link","product":"shop","name":"c","asset":"none"}`, 404, "not-found", "/asset", "id"},
		{`{"op":"put_link","product":"shop","name":"c","asset":1}`, 422, "invalid-content", "/asset", "a string"},
		{`{"op":"put_link","product":"shop","name":"c","asset":"x","target":{"product":"shop","name":"a"}}`, 422, "invalid-content", "/asset", "an asset's id"},
		{`{"op":"put_link","product":"shop","name":"c","target":{"product":"shop"}}`, 422, "invalid-content", "/target/name", "a string"},
		{`{"op":"put_link","product":"shop","name":"c","target":{"product":"shop","name":"none"}}`, 404, "not-found", "/target/name", "/v1/products/shop/assets"},
		{`{"op":"put_link","product":"shop","name":"c","target":{"product":"nobody","name":"a"}}`, 404, "not-found", "/target/product", "/v1/products"},
		{`{"op":"put_link","product":"shop","name":"c","target":{"product":"shop","name":"c"}}`, 422, "invalid-content", "/target/name", "another name"},
		{`{"op":"put_link","product":"shop","name":"a/../b","asset":"` + r.ID + `"}`, 422, "invalid-content", "/name", "UTF-8"},
		{`{"op":"put_link","product":"nobody","name":"c","asset":"` + r.ID + `"}`, 404, "not-found", "/product", "/v1/products"},
		{`{"op":"put_link","product":"shop","name":"c","asset":"` + r.ID + `","version":2}`, 422, "invalid-content", "/version", "1 to 1"},
		{`{"op":"put_link","product":"shop","name":"c","asset":"` + r.ID + `","tags":[]}`, 422, "invalid-content", "/tags", "asset, create_only, if_state"},
		{`{"op":"put_link","product":"blog","name":"b","asset":"` + r.ID + `","create_only":true}`, 412, "precondition-failed", "/create_only", "free"},
		{`{"op":"put_product","product":"Shop"}`, 422, "invalid-content", "/product", "a-z"},
		{`{"op":"put_product","product":"x","presets":{"a":"w=0"}}`, 422, "invalid-content", "/presets/a", "1–8192"},
		{`{"op":"put_product","product":"x","lifetimes":{"max_age":0}}`, 422, "invalid-content", "/lifetimes", "above 0"},
		{`{"op":"put_product","product":"shop","if_state":"0123456789abcdef"}`, 412, "precondition-failed", "/if_state", `"`},
		{`{"op":"put_product"}`, 422, "invalid-content", "/product", "a string"},
		{`{"op":"delete_product","product":"shop"}`, 409, "conflict", "/product", ""},
		{`{"op":"delete_product","product":"nobody"}`, 404, "not-found", "/product", "/v1/products"},
		{`{"op":"patch_asset","product":"shop","name":"a","status":"PENDING"}`, 409, "conflict", "/status", "ACTIVE, ARCHIVED"},
		{`{"op":"patch_asset","product":"shop","name":"a","current":9}`, 422, "invalid-content", "/current", "1 to 1"},
		{`{"op":"patch_asset","product":"shop","name":"a","focal":{"x":2,"y":0}}`, 422, "invalid-content", "/focal/x", "0–1"},
		{`{"op":"patch_asset","product":"shop","name":"a","tags":["a,b"]}`, 422, "invalid-content", "/tags/0", "without commas"},
		{`{"op":"patch_asset","product":"blog","name":"b","tags":["a"]}`, 409, "conflict", "/name", `"shop"`},
		{`{"op":"patch_asset","product":"shop","name":"a","tags":["a"],"if_version":2}`, 412, "precondition-failed", "/if_version", `"1"`},
		{`{"op":"patch_asset","product":"shop","name":"a","tags":["a"],"if_version":0}`, 422, "invalid-content", "/if_version", "at least 1"},
		{`{"op":"delete_asset","product":"shop","name":"none"}`, 404, "not-found", "/name", "names"},
		{`{"op":"delete_link","product":"shop","name":"a","if_state":"x"}`, 412, "precondition-failed", "/if_state", `"1-`},
		{`{"op":"put_asset","product":"shop","name":"c","digest":"` + strings.Repeat("0", 64) + `"}`, 404, "not-found", "/digest", "uploaded"},
		{`{"op":"put_asset","product":"shop","name":"c","digest":"abc"}`, 422, "invalid-content", "/digest", "pattern"},
		{`{"op":"put_asset","product":"shop","name":"c","digest":"` + r.Digest.String() + `","status":"ARCHIVED"}`, 422, "invalid-content", "/status", "PENDING, ACTIVE"},
		{`{"op":"put_asset","product":"shop","name":"a","digest":"` + r.Digest.String() + `","status":"PENDING"}`, 409, "conflict", "/status", "ACTIVE"},
		{`{"op":"put_asset","product":"blog","name":"b","digest":"` + r.Digest.String() + `"}`, 409, "conflict", "/name", `"shop"`},
		{`{"op":"put_asset","product":"shop","name":"c","digest":"` + r.Digest.String() + `","if_version":1}`, 412, "precondition-failed", "/if_version", "free"},
		{`{"op":"purge"}`, 422, "invalid-content", "", "product, asset, tag and url"},
		{`{"op":"purge","tag":"x","asset":"y"}`, 422, "invalid-content", "", "product, asset, tag and url"},
		{`{"op":"purge","url":"/shop/original/none"}`, 404, "not-found", "/url", "URL"},
		{`{"op":"purge","name":"a"}`, 422, "invalid-content", "/name", "asset, op, product, tag, url"},
	} {
		h.still(func() { refused(t, h.ops(fine+c.operation), c.status, c.kind, "/operations/2"+c.part, c.allowed) })
	}
	h.still(func() {
		const path = "/v1/transactions"
		refused(t, h.send("POST", path, `{}`), 422, "invalid-content", "/operations", "a list")
		refused(t, h.send("POST", path, `{"operations":{}}`), 422, "invalid-content", "/operations", "a list")
		refused(t, h.send("POST", path, `{"operations":null}`), 422, "invalid-content", "/operations", "a list")
		refused(t, h.send("POST", path, `{"operations":[]}`), 422, "invalid-content", "/operations", "one element or more")
		refused(t, h.send("POST", path, `{"x":1,"operations":[]}`), 422, "invalid-content", "/x", "operations")
		refused(t, h.send("POST", path, `[]`), 422, "invalid-content", "body", "an object with operations")
		refused(t, h.ask("PUT", path, `{}`), 405, "method-not-allowed", "method", "POST")
	})
	if v := h.catalog.View(); len(v.Links("shop", "", "", 10)) != 1 {
		t.Error("a part of a refused transaction is there")
	}
}

// Links lead to assets. Those of one transaction could only lead to one another.
func TestCyclesOfLinks(t *testing.T) {
	h := open(t).shop()
	h.put("z", "1")
	link := func(name, target string) string {
		return `{"op":"put_link","product":"shop","name":"` + name + `","target":{"product":"shop","name":"` + target + `"}}`
	}
	for _, c := range []struct {
		operations []string
		at         int
		detail     string
	}{
		{[]string{link("a", "b"), link("b", "a")}, 0, "shop/a → shop/b → shop/a"},
		{[]string{link("y", "z"), link("a", "b"), link("b", "c"), link("c", "a")}, 1, "shop/a → shop/b → shop/c → shop/a"},
		{[]string{link("a", "b"), link("b", "c"), link("c", "b")}, 0, "operation 1 makes this name"},
		{[]string{link("a", "b"), link("b", "z")}, 0, "operation 1 makes this name"},
	} {
		h.still(func() {
			a := h.ops(strings.Join(c.operations, ","))
			refused(t, a, 422, "invalid-content", fmt.Sprintf("/operations/%d/target/name", c.at), "")
			if !strings.Contains(string(a.body), c.detail) {
				t.Errorf("want %q: %s", c.detail, a.body)
			}
		})
	}
	if a := decode[client.Transacted](t, h.ops(link("a", "z")+","+link("b", "a")+","+link("c", "b")), 200); a.Results[2].Asset != h.entry("shop", "z").ID {
		t.Errorf("%+v", a)
	}
}

func TestTransactionLimits(t *testing.T) {
	h := open(t).shop()
	h.put("a", "1")
	many := func(n int) string {
		ops := make([]string, n)
		for i := range ops {
			ops[i] = fmt.Sprintf(`{"op":"put_link","product":"shop","name":"n/%d","target":{"product":"shop","name":"a"}}`, i)
		}
		return strings.Join(ops, ",")
	}
	h.still(func() {
		refused(t, h.ops(many(client.MaxOperations+1)), 413, "too-large", "/operations", "1000")
		refused(t, h.ops(strings.Repeat(" ", maxContent)), 413, "too-large", "body", "1048576 bytes")
	})
	before := h.catalog.View().Revision()
	if a := decode[client.Transacted](t, h.ops(many(client.MaxOperations)), 200); a.Revision != before+1 || len(a.Results) != client.MaxOperations {
		t.Errorf("%d, after %d", a.Revision, before)
	}
}

// What is small in a request may be too large in the log.
func TestTransactionTooLargeForTheLog(t *testing.T) {
	h := open(t).shop()
	_, err := h.client.PutAsset(t.Context(), "shop", "a", strings.NewReader("0"), 1, client.PutOptions{Status: asset.Pending})
	must(t, err)
	digests := [2]asset.Digest{h.put("x", "1").Digest, h.put("y", "2").Digest}
	var ops []client.Operation
	for i := range 100 { // a PENDING asset is written whole with each version
		ops = append(ops, client.Operation{Op: client.OpPutAsset, Product: "shop", Name: "a", Digest: &digests[i%2]})
	}
	h.still(func() {
		_, err := h.client.Transact(t.Context(), ops)
		if p := problemIn(t, err); p.Status != 413 || p.Part != "/operations" || !strings.Contains(p.Allowed, "bytes") {
			t.Error(p)
		}
	})
	_, err = h.client.Transact(t.Context(), ops[:10])
	must(t, err)
}

// Ten names are moved at once, while readers look at all of them: never a mixture.
func TestRolloutIsNeverMixed(t *testing.T) {
	h := open(t).shop()
	var digests [2]asset.Digest
	var names []string
	for i := range 10 {
		names = append(names, fmt.Sprintf("n/%d", i))
		digests[0] = h.put(names[i], "one").Digest
	}
	digests[1] = h.put("other", "two").Digest
	stop, mixed := make(chan struct{}), make(chan string, 1)
	go func() {
		defer close(mixed)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if m := mixture(h.catalog.View(), names); m != "" {
				mixed <- m
				return
			}
		}
	}()
	for round := range 50 {
		var ops []client.Operation
		for _, name := range names {
			ops = append(ops, client.Operation{Op: client.OpPutAsset, Product: "shop", Name: name, Digest: &digests[(round+1)%2], IfVersion: round + 1})
		}
		_, err := h.client.Transact(t.Context(), ops)
		must(t, err)
	}
	close(stop)
	if m := <-mixed; m != "" {
		t.Error(m)
	}
	if e := h.entry("shop", "n/9"); e.Current != 51 {
		t.Error(e.Current)
	}
}

func mixture(v *catalog.View, names []string) string {
	first, _ := v.Find("shop", names[0], 0)
	for _, name := range names {
		if e, _ := v.Find("shop", name, 0); e.Number != first.Number || e.Digest != first.Digest {
			return fmt.Sprintf("revision %d: %s shows version %d, and %s version %d", v.Revision(), names[0], first.Number, name, e.Number)
		}
	}
	return ""
}

// A token's verbs and products are held against each operation by itself, and against what it reads.
func TestTransactionsAskForTokens(t *testing.T) {
	h := open(t, with(root,
		Token{Name: "blogger", Products: []string{"blog"}, Verbs: []Verb{Read, Write}},
		Token{Name: "purger", Products: []string{"*"}, Verbs: []Verb{Purge}},
	))
	h.client = h.client.WithToken(secretOf("root"))
	h.shop()
	h.product("blog")
	r := h.put("a", "1")
	_, err := h.client.PutLink(t.Context(), "blog", "b", client.LinkSpec{Asset: r.ID})
	must(t, err)
	secret := h.put("secret", "2")
	transact := func(token, operation string) answered {
		return h.send("POST", "/v1/transactions", `{"operations":[`+operation+`]}`, as(token)...)
	}
	h.still(func() {
		for _, operation := range []string{
			`{"op":"put_product","product":"blog","origins":["*"]}`, `{"op":"delete_product","product":"blog"}`,
			`{"op":"delete_link","product":"blog","name":"b"}`, `{"op":"delete_asset","product":"blog","name":"b"}`,
			`{"op":"purge","product":"blog"}`, `{"op":"purge","tag":"x"}`, `{"op":"purge","asset":"` + r.ID + `"}`,
			`{"op":"patch_asset","product":"shop","name":"a","tags":["x"]}`,
			`{"op":"put_link","product":"shop","name":"c","target":{"product":"blog","name":"b"}}`,
			`{"op":"put_link","product":"blog","name":"c","target":{"product":"shop","name":"secret"}}`,
			`{"op":"put_link","product":"blog","name":"c","asset":"` + secret.ID + `"}`,
			`{"op":"put_asset","product":"blog","name":"c","digest":"` + secret.Digest.String() + `"}`,
		} {
			refused(t, transact("blogger", operation), 403, "forbidden", "Authorization", "a token that has")
			refused(t, transact("blogger", `{"op":"put_link","product":"blog","name":"new","asset":"`+r.ID+`"},`+operation), 403, "forbidden", "Authorization", "a token that has")
		}
		refused(t, transact("purger", `{"op":"purge","product":"blog"}`), 403, "forbidden", "Authorization", "a token that has")
	})
	// what the blog has a name for it may name once more
	decode[client.Transacted](t, transact("blogger", `{"op":"put_link","product":"blog","name":"c","asset":"`+r.ID+`"},{"op":"put_link","product":"blog","name":"d","target":{"product":"blog","name":"c"},"version":1}`), 200)
	decode[client.Done](t, h.send("POST", "/v1/purge", `{"tag":"x"}`, as("purger")...), 200)
}

// Every kind of operations has a schema of its own, and every conditional write its conditions.
func TestWritesAreDocumented(t *testing.T) {
	h := open(t)
	doc := decode[struct {
		Paths map[string]map[string]struct {
			OperationID string
			Parameters  []struct{ Name, In string }
		}
		Components struct {
			Schemas map[string]struct {
				Properties    map[string]map[string]any
				Required      []string
				OneOf         []map[string]string
				Discriminator struct{ Mapping map[string]string }
			}
		}
	}](t, h.ask("GET", "/openapi.json", ""), 200)
	all := doc.Components.Schemas["Operation"]
	if len(all.OneOf) != len(kinds) || len(all.Discriminator.Mapping) != len(kinds) || len(all.Properties) != 0 {
		t.Errorf("%+v", all)
	}
	for i, k := range kinds {
		ref := all.Discriminator.Mapping[k.op]
		s := doc.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
		if all.OneOf[i]["$ref"] != ref || fmt.Sprint(s.Required) != fmt.Sprint(append([]string{"op"}, k.must...)) || len(s.Properties) != 1+len(k.must)+len(k.may) || fmt.Sprint(s.Properties["op"]["enum"]) != "["+k.op+"]" {
			t.Errorf("%s: %s %+v", k.op, ref, s)
		}
	}
	if focal := doc.Components.Schemas["PatchAssetOperation"].Properties["focal"]; fmt.Sprint(focal["type"]) != "[object null]" {
		t.Error(focal)
	}
	conditional := 0
	for _, methods := range doc.Paths {
		for _, op := range methods {
			for _, p := range op.Parameters {
				if p.Name == "If-Match" && p.In == "header" {
					conditional++
				}
			}
		}
	}
	if conditional != 7 { // two of products, three of assets, two of links
		t.Error(conditional)
	}
}
