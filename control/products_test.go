package control

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/control/client"
)

func TestProducts(t *testing.T) {
	h := open(t)
	all, err := h.client.Products(t.Context())
	must(t, err)
	if all.Products == nil || len(all.Products) != 0 {
		t.Fatal(all)
	}
	spec := client.ProductSpec{
		Presets:   map[string]string{"thumb": "w=200,h=200,fit=cover", "hero": "width=1600"},
		Lifetimes: &client.Lifetimes{MaxAge: 60, SharedMaxAge: 3600},
		Origins:   []string{"https://shop.example", "http://localhost:3000"},

		ClientHints: true,
	}
	made, err := h.client.PutProduct(t.Context(), "shop", spec)
	must(t, err)
	if made.Name != "shop" || made.Revision == 0 || made.Created.IsZero() || !reflect.DeepEqual(made.ProductSpec, spec) {
		t.Fatalf("%+v", made)
	}
	again, err := h.client.PutProduct(t.Context(), "shop", spec)
	must(t, err)
	if !reflect.DeepEqual(again, made) {
		t.Fatalf("not idempotent: %+v, then %+v", made, again)
	}
	got, err := h.client.Product(t.Context(), "shop")
	must(t, err)
	if !reflect.DeepEqual(got, made) {
		t.Fatalf("%+v, not %+v", got, made)
	}
	record, _ := h.catalog.View().Product("shop")
	if record.Lifetimes != (asset.Lifetimes{MaxAge: 60, SharedMaxAge: 3600}) || record.Presets["hero"] != "width=1600" || len(record.Origins) != 2 || !record.ClientHints {
		t.Fatalf("%+v", record)
	}
}

func TestPutProductReplaces(t *testing.T) {
	h := open(t)
	if a := h.json("/v1/products/shop", `{"presets":{"thumb":"w=200"},"lifetimes":{"max_age":1},"client_hints":true}`); a.StatusCode != 201 {
		t.Fatal(a.Status, string(a.body))
	}
	before, err := h.client.Product(t.Context(), "shop")
	must(t, err)
	if a := h.json("/v1/products/shop", `{"origins":["*"]}`); a.StatusCode != 200 {
		t.Fatal(a.Status, string(a.body))
	}
	after, err := h.client.Product(t.Context(), "shop")
	must(t, err)
	if len(after.Presets) != 0 || after.Lifetimes != nil || len(after.Origins) != 1 || after.ClientHints || !after.Created.Equal(before.Created) || after.Revision != before.Revision+1 {
		t.Fatalf("%+v", after)
	}
	if record, _ := h.catalog.View().Product("shop"); record.Updated.Before(record.Created) {
		t.Errorf("a product that was changed at %v says %v", record.Created, record.Updated)
	}
	for _, same := range []string{`{"origins":["*"],"presets":{}}`, ` {"presets" : {}, "origins" : ["*"] } `} {
		if a := h.json("/v1/products/shop", same); a.StatusCode != 200 || h.catalog.View().Revision() != after.Revision {
			t.Error(a.Status, string(a.body))
		}
	}
	_, err = h.client.PutProduct(t.Context(), "a", client.ProductSpec{})
	must(t, err)
	all, err := h.client.Products(t.Context())
	must(t, err)
	if len(all.Products) != 2 || all.Products[0].Name != "a" || all.Products[1].Name != "shop" {
		t.Fatal(all)
	}
}

// Hints are as much of a product's state as all else, and a transaction sets them, too.
func TestProductWithClientHints(t *testing.T) {
	h := open(t)
	without, err := h.client.PutProduct(t.Context(), "shop", client.ProductSpec{})
	must(t, err)
	_, err = h.client.Transact(t.Context(), []client.Operation{{Op: client.OpPutProduct, Product: "shop", ClientHints: true}})
	must(t, err)
	with, err := h.client.Product(t.Context(), "shop")
	must(t, err)
	if !with.ClientHints || with.State == without.State {
		t.Errorf("%+v, then %+v", without, with)
	}
}

func TestProductRefusals(t *testing.T) {
	h := open(t).shop()
	refused(t, h.ask("GET", "/v1/products/nobody", ""), 404, "not-found", "product", "/v1/products")
	for _, name := range []string{"Shop", "-shop", "a_b", "a.b", "%2e%2ex", "a%2Fb", strings.Repeat("a", 64), "caf%C3%A9"} {
		refused(t, h.json("/v1/products/"+name, "{}"), 400, "invalid-request", "product", "a-z, 0-9 and -")
	}
	for _, c := range []struct{ body, part, allowed string }{
		{`{"presets":{"thumb":"w=0"}}`, "/presets/thumb", "1–8192"},
		{`{"presets":{"thumb":"wdth=10"}}`, "/presets/thumb", "width (w)"},
		{`{"presets":{"thumb":"w=10,w=20"}}`, "/presets/thumb", ""},
		{`{"presets":{"thumb":""}}`, "/presets/thumb", "key=value"},
		{`{"presets":{"ok":"w=1","original":"w=10"}}`, "/presets/original", "neither original"},
		{`{"presets":{"info":"w=10"}}`, "/presets/info", "an option's name"},
		{`{"presets":{"a/b~c":"w=10"}}`, "/presets/a~1b~0c", "a-z, 0-9 and -"},
		{`{"presets":{"":"w=10"}}`, "/presets/", "a-z, 0-9 and -"},
		{`{"origins":["*","shop.example"]}`, "/origins/1", "scheme://host"},
		{`{"origins":["https://shop.example/"]}`, "/origins/0", "scheme://host"},
		{`{"origins":["https://Shop.example"]}`, "/origins/0", "lower case"},
		{`{"origins":["https://user@shop.example"]}`, "/origins/0", "scheme://host"},
		{`{"origins":["null"]}`, "/origins/0", "scheme://host"},
		{`{"origins":["ftp://shop.example"]}`, "/origins/0", "scheme://host"},
		{`{"lifetimes":{"max_age":0}}`, "/lifetimes", "above 0"},
		{`{"lifetimes":{"s_maxage":5}}`, "/lifetimes/max_age", "0–31536000"},
		{`{"lifetimes":{"max_age":-1}}`, "/lifetimes/max_age", "0–31536000"},
		{`{"lifetimes":{"max_age":1,"stale_if_error":31536001}}`, "/lifetimes/stale_if_error", "0–31536000"},
		{`{"client_hints":"yes"}`, "/client_hints", "true or false"},
		{`{"client_hints":null}`, "/client_hints", "true or false"},
		{`{"access":"signed"}`, "/access", "client_hints, lifetimes, origins, presets"}, // a later version's
		{`{"keys":[]}`, "/keys", "client_hints, lifetimes, origins, presets"},
		{`{"Presets":{}}`, "/Presets", "client_hints, lifetimes, origins, presets"},
	} {
		refused(t, h.json("/v1/products/other", c.body), 422, "invalid-content", c.part, c.allowed)
	}
	if _, ok := h.catalog.View().Product("other"); ok {
		t.Error("a refused product was made")
	}
	refused(t, h.ask("GET", "/v1/products?limit=1", ""), 400, "invalid-request", "limit", "min_revision")
}

func TestClientErrors(t *testing.T) {
	h := open(t)
	_, err := h.client.PutProduct(t.Context(), "shop", client.ProductSpec{Presets: map[string]string{"t": "w=0"}})
	p, ok := errors.AsType[*asset.Problem](err)
	if !ok || p.Status != 422 || p.Part != "/presets/t" || !strings.Contains(p.Error(), "(422)") || !strings.Contains(p.Error(), "[/presets/t]; allowed: 1–8192") {
		t.Error(err)
	}
	for _, url := range []string{"", "localhost:9090", "ftp://x", "http://", "http://[::1"} {
		if _, err := client.New(url); !errors.Is(err, asset.ErrInvalid) {
			t.Errorf("%q: %v", url, err)
		}
	}
	nobody, err := client.New("http://127.0.0.1:1")
	must(t, err)
	if _, err := nobody.Products(t.Context()); !errors.Is(err, asset.ErrUnavailable) {
		t.Error(err)
	}
}
