package control

import (
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/control/client"
)

func TestLinks(t *testing.T) {
	h := open(t).shop()
	_, err := h.client.PutProduct(t.Context(), "blog", client.ProductSpec{})
	must(t, err)
	r, err := h.client.PutAsset(t.Context(), "shop", "a.txt", strings.NewReader("x"), 1, client.PutOptions{})
	must(t, err)
	const path = "/v1/products/blog/links/posts/1%20.txt"
	a := h.json(path, `{"asset":"`+r.ID+`"}`)
	made := decode[client.Link](t, a, 201)
	if made.Product != "blog" || made.Name != "posts/1 .txt" || made.Asset != r.ID || made.Version != 0 || made.Revision != r.Revision+1 || a.Header.Get("Location") != "/blog/original/posts/1%20.txt" {
		t.Errorf("%+v %v", made, a.Header)
	}
	if again := decode[client.Link](t, h.json(path, `{"asset":"`+r.ID+`","version":0}`), 200); again != made {
		t.Errorf("%+v, not %+v", again, made)
	}
	if pinned := decode[client.Link](t, h.json(path, `{"asset":"`+r.ID+`","version":1}`), 200); pinned.Version != 1 || pinned.Revision != made.Revision+1 || !pinned.Created.Equal(made.Created) {
		t.Errorf("%+v", pinned)
	}
	if l, found, ok := h.catalog.View().Lookup("blog", "posts/1 .txt"); !ok || found.ID != r.ID || l.Pin != 1 || l.Updated.Before(l.Created) {
		t.Errorf("%+v", l)
	}
	// an upload through the link is the owner's alone
	refused(t, h.ask("PUT", "/v1/products/blog/assets/posts/1%20.txt", "y"), 409, "conflict", "name", "")
}

func TestLinkRefusals(t *testing.T) {
	h := open(t).shop()
	a, err := h.client.PutAsset(t.Context(), "shop", "a.txt", strings.NewReader("a"), 1, client.PutOptions{})
	must(t, err)
	b, err := h.client.PutAsset(t.Context(), "shop", "b.txt", strings.NewReader("b"), 1, client.PutOptions{})
	must(t, err)
	const path = "/v1/products/shop/links/"
	refused(t, h.json("/v1/products/nobody/links/a", `{"asset":"`+a.ID+`"}`), 404, "not-found", "product", "/v1/products")
	refused(t, h.json(path+"c", `{"asset":"none"}`), 404, "not-found", "/asset", "id")
	refused(t, h.json(path+"b.txt", `{"asset":"`+a.ID+`"}`), 409, "conflict", "name", "free")
	refused(t, h.json(path+"c", `{"asset":"`+b.ID+`","version":2}`), 422, "invalid-content", "/version", "1 to 1")
	refused(t, h.json(path+"c", `{"asset":"`+b.ID+`","version":-1}`), 422, "invalid-content", "/version", "at least 0")
	refused(t, h.json(path+"c", `{"version":1}`), 422, "invalid-content", "/asset", "a product and its name")
	refused(t, h.json(path+"c", `{"asset":"`+b.ID+`","product":"shop","name":"b.txt"}`), 422, "invalid-content", "/asset", "a product and its name")
	refused(t, h.json(path+"c", `{"product":"shop"}`), 422, "invalid-content", "/name", "name for the asset")
	refused(t, h.json(path+"c", `{"name":"b.txt"}`), 422, "invalid-content", "/product", "name leads to the asset")
	refused(t, h.json(path+"c", `{"product":"nobody","name":"b.txt"}`), 404, "not-found", "/product", "/v1/products")
	refused(t, h.json(path+"c", `{"product":"shop","name":"c.txt"}`), 404, "not-found", "/name", "/v1/products/shop/assets")
	refused(t, h.json(path+"c", `{"product":"shop","name":"c"}`), 422, "invalid-content", "/name", "another name")
	refused(t, h.json(path+"b.txt", `{"product":"shop","name":"b.txt"}`), 422, "invalid-content", "/name", "another name")
	refused(t, h.json(path+"c", `{"asset":"`+b.ID+`","pin":1}`), 422, "invalid-content", "/pin", "asset, name, product, version")
	refused(t, h.json(path+"a%2Fb", `{"asset":"`+b.ID+`"}`), 400, "invalid-request", "name", "UTF-8")
	refused(t, h.json(path, `{"asset":"`+b.ID+`"}`), 400, "invalid-request", "name", "UTF-8")
	if links := h.catalog.View().Links("shop", "", "", 10); len(links) != 2 {
		t.Error("a refused link was made")
	}
}
