package catalog

import (
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

func testOpen(t testing.TB, dir string) *Catalog {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Dir = dir
	c, err := Open(t.Context(), cfg, Events{Server: func(l string) { t.Log("nats:", l) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestSmoke(t *testing.T) {
	dir := t.TempDir()
	c := testOpen(t, dir)
	for i := range 3 {
		rev, err := c.Update(t.Context(), func(v *View) ([]Mutation, error) {
			return []Mutation{{PutProduct: &asset.Product{Name: "shop"}}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Log(i, rev, c.View().Revision())
	}
	c.Close()
	c = testOpen(t, dir)
	t.Log(c.View().Revision())
}
