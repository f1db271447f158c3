package catalog

import (
	"errors"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A draft sees what it has added, its base does not, and what was refused is not in it.
func TestDraft(t *testing.T) {
	v := new(View)
	d := v.Draft()
	if err := d.Add(Mutation{PutLink: &asset.Link{Product: "shop", Name: "a", Asset: "x"}}); !errors.Is(err, asset.ErrNotFound) {
		t.Error("a link of a product that is not there", err)
	}
	for _, m := range []Mutation{
		{PutProduct: &asset.Product{Name: "shop"}},
		{PutAsset: &asset.Asset{ID: "x", Owner: "shop", Status: asset.Pending}},
		{PutLink: &asset.Link{Product: "shop", Name: "a", Asset: "x"}},
	} {
		if err := d.Add(m); err != nil {
			t.Fatal(err)
		}
	}
	if _, a, ok := d.View().Lookup("shop", "a"); !ok || a.ID != "x" {
		t.Error("the draft does not see what it has added")
	}
	if _, ok := v.Product("shop"); ok {
		t.Error("the draft has changed what it was begun on")
	}
	if len(d.Mutations()) != 3 {
		t.Error(d.Mutations())
	}
}
