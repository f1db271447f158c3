package catalog

import (
	"errors"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

// What a version makes of a name, by what the name leads to and what is demanded.
func TestNewVersion(t *testing.T) {
	digests := [3]asset.Digest{{1}, {2}, {3}}
	holding := func(status asset.Status, n int) *asset.Asset {
		a := &asset.Asset{ID: "x", Owner: "shop", Status: status, Current: n}
		for i := range n {
			a.Versions = append(a.Versions, asset.Version{Number: i + 1, Digest: digests[i]})
		}
		return a
	}
	for _, c := range []struct {
		a       *asset.Asset
		given   int // the digest
		status  asset.Status
		version int
		after   asset.Status
		done    int // the number of mutations
	}{
		{nil, 0, "", 1, asset.Active, 2},
		{nil, 0, asset.Active, 1, asset.Active, 2},
		{nil, 0, asset.Pending, 1, asset.Pending, 2},
		{holding(asset.Active, 1), 1, "", 2, asset.Active, 1},
		{holding(asset.Active, 1), 1, asset.Active, 2, asset.Active, 1},
		{holding(asset.Active, 1), 0, "", 1, asset.Active, 0},
		{holding(asset.Active, 2), 0, "", 3, asset.Active, 1}, // back to the bytes of version 1
		{holding(asset.Pending, 1), 1, "", 2, asset.Pending, 1},
		{holding(asset.Pending, 1), 1, asset.Pending, 2, asset.Pending, 1},
		{holding(asset.Pending, 1), 1, asset.Active, 2, asset.Active, 1},
		{holding(asset.Pending, 1), 0, "", 1, asset.Pending, 0},
		{holding(asset.Pending, 1), 0, asset.Active, 1, asset.Active, 1},
		{holding(asset.Pending, 0), 0, "", 1, asset.Active, 1},
		{holding(asset.Pending, 0), 0, asset.Pending, 1, asset.Pending, 1},
	} {
		base := (&View{}).Draft()
		mutations := []Mutation{{PutProduct: &asset.Product{Name: "shop"}}}
		if c.a != nil {
			mutations = append(mutations, Mutation{PutAsset: c.a}, Mutation{PutLink: &asset.Link{Product: "shop", Name: "a", Asset: "x"}})
		}
		n := NewVersion{Product: "shop", Name: "a", Asset: "new", Version: asset.Version{Digest: digests[c.given]}, Status: c.status}
		more, version, err := n.To(c.a)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range append(mutations, more...) {
			if err := base.Add(m); err != nil {
				t.Fatalf("%+v: %v", c, err)
			}
		}
		_, a, _ := base.View().Lookup("shop", "a")
		if len(more) != c.done || version.Number != c.version || a.Status != c.after || a.Current != c.version || a.Version(0).Digest != digests[c.given] {
			t.Errorf("%+v: %d mutations, version %d, then %+v", c, len(more), version.Number, a)
		}
	}
	n := NewVersion{Product: "shop", Name: "a", Status: asset.Pending}
	if _, _, err := n.To(holding(asset.Active, 1)); !errors.Is(err, asset.ErrConflict) {
		t.Error("an ACTIVE asset became PENDING", err)
	}
}
