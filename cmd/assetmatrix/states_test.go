package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/control/client"
)

// status asks for a path of the front door.
func status(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	return resp.StatusCode
}

// shop makes a product "shop" that has a file "a" with two versions.
func shop(t *testing.T) {
	t.Helper()
	do(t, "products", "put", "shop").ok(t)
	feed(t, "one", "put", "shop/a", "-").ok(t)
	feed(t, "two", "put", "shop/a", "-").ok(t, "version   2")
}

func TestTheLifeOfAnAsset(t *testing.T) {
	delivery := serving(t)
	do(t, "products", "put", "shop").ok(t)
	feed(t, "one", "put", "shop/a", "-", "--pending").ok(t, "version   1")
	do(t, "get", "shop/a").ok(t, "PENDING")
	if got := status(t, delivery+"/shop/original/a"); got != 404 {
		t.Errorf("a pending asset answers %d", got)
	}
	do(t, "publish", "shop/a").ok(t, "status    ACTIVE")
	if got := status(t, delivery+"/shop/original/a"); got != 200 {
		t.Errorf("a published asset answers %d", got)
	}
	do(t, "archive", "shop/a").ok(t, "status    ARCHIVED")
	if got := status(t, delivery+"/shop/original/a"); got != 410 {
		t.Errorf("an archived asset answers %d", got)
	}
	do(t, "publish", "shop/a").fails(t, 1, "(409)", "archived on", "allowed:")
	do(t, "publish", "shop/none").fails(t, 1, "(404)", "allowed:")
}

func TestStates(t *testing.T) {
	serving(t)
	shop(t)
	do(t, "rollback", "shop/a", "1", "--if-version", "1").fails(t, 1, "(412)", "the current version is 2")
	do(t, "rollback", "shop/a", "1", "--if-version", "2").ok(t, "version   1")
	do(t, "rollback", "shop/a", "3").fails(t, 1, "allowed:")
	do(t, "tag", "shop/a", "summer", "x-1").ok(t, "tags      summer x-1")
	do(t, "tag", "shop/a", "a,b").fails(t, 1, "[/tags/0]", "allowed:")
	do(t, "focal", "shop/a", "0.5", "0.25").ok(t, "focal     0.5 0.25")
	do(t, "get", "shop/a").ok(t, "tags: summer x-1\n", "focal point: 0.5 0.25\n")

	if e := parsed[client.Entry](t, do(t, "focal", "shop/a", "--unset", "--json")); e.Focal != nil || e.Revision == 0 {
		t.Errorf("%+v", e)
	}
	if e := parsed[client.Entry](t, do(t, "tag", "shop/a", "--none", "--json")); len(e.Tags) != 0 {
		t.Errorf("%+v", e)
	}
	old := parsed[client.Entry](t, do(t, "rollback", "shop/a", "2", "--json"))
	if old.Current != 2 || old.State == "" {
		t.Errorf("%+v", old)
	}
	if e := parsed[client.Entry](t, do(t, "archive", "shop/a", "--if-state", old.State, "--json")); e.Status != asset.Archived || e.Archived.IsZero() {
		t.Errorf("%+v", e)
	}
	do(t, "delete", "shop/a", "--if-state", old.State).fails(t, 1, "(412)")
}

func TestLinksAndDeletion(t *testing.T) {
	serving(t)
	shop(t)
	do(t, "products", "put", "app").ok(t)
	do(t, "link", "app/b", "shop/a", "--pin", "1").ok(t, "app/b is asset ")
	do(t, "link", "app/b", "shop/a", "--create-only").fails(t, 1, "(412)")
	do(t, "unlink", "app/b").ok(t, "has other names, at revision ")
	do(t, "unlink", "app/b").fails(t, 1, "(404)")
	if d := parsed[client.Deleted](t, do(t, "delete", "shop/a", "--if-version", "2", "--json")); !d.AssetDeleted || d.Revision == 0 {
		t.Errorf("%+v", d)
	}
	feed(t, "one", "put", "shop/a", "-").ok(t)
	do(t, "delete", "shop/a").ok(t, "had no other name and is deleted")
}

func TestProducts(t *testing.T) {
	serving(t)
	shop(t)
	do(t, "products", "get", "shop").ok(t, "product", "shop", "state")
	do(t, "products", "get", "none").fails(t, 1, "(404)")
	do(t, "products", "put", "shop", "--create-only").fails(t, 1, "(412)")
	was := parsed[client.Product](t, do(t, "products", "get", "shop", "--json"))
	do(t, "products", "put", "shop", "--max-age", "60", "--if-state", was.State).ok(t, "max-age=60")
	do(t, "products", "put", "shop", "--if-state", was.State).fails(t, 1, "(412)")
	do(t, "products", "delete", "shop").fails(t, 1, "(409)")
	do(t, "delete", "shop/a").ok(t)
	do(t, "products", "delete", "shop", "--if-state", was.State).fails(t, 1, "(412)")
	do(t, "products", "delete", "shop").ok(t, "product shop is deleted, at revision ")
	do(t, "products", "put", "shop").ok(t)
	if d := parsed[client.Done](t, do(t, "products", "delete", "shop", "--json")); d.Revision == 0 {
		t.Errorf("%+v", d)
	}
	if all := parsed[client.Products](t, do(t, "products", "list", "--json")); len(all.Products) != 0 {
		t.Errorf("%+v", all)
	}
}

// All pages are one table, and one document each.
func TestAllPages(t *testing.T) {
	serving(t)
	do(t, "products", "put", "shop").ok(t)
	for _, name := range []string{"a", "b", "c"} {
		feed(t, name, "put", "shop/"+name, "-").ok(t)
	}
	o := do(t, "list", "shop", "--all", "--limit", "2").ok(t)
	var names []string
	for line := range strings.Lines(o.out) {
		names = append(names, strings.Fields(line)[0])
	}
	if got := strings.Join(names, " "); got != "NAME a b c" {
		t.Errorf("%s", o.out)
	}
	if o := do(t, "list", "shop", "--all", "--limit", "2", "--json").ok(t); strings.Count(o.out, `"assets"`) != 2 {
		t.Errorf("%s", o.out)
	}
}
