package bench

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
)

// The records are what Import takes and a catalog would take, and as many as they say.
func TestPopulation(t *testing.T) {
	p := population{products: 3, each: 400}
	var order []string
	assets, links, pictures, tagged, bytes := map[string]*asset.Asset{}, 0, 0, 0, 0
	digests := map[asset.Digest]bool{}
	products := 0
	for m := range p.records() {
		switch {
		case m.PutProduct != nil:
			products++
			if err := m.PutProduct.Validate(); err != nil || len(order) > 0 {
				t.Error(err)
			}
		case m.PutAsset != nil:
			a := m.PutAsset
			if id, err := uuid.Parse(a.ID); err != nil || id.Version() != 7 || id.Variant() != uuid.RFC4122 || assets[a.ID] != nil {
				t.Fatalf("id %s: %v", a.ID, err)
			}
			assets[a.ID] = a
			if err := asset.CheckTags("", a.Tags); err != nil {
				t.Error(err)
			}
			for _, v := range a.Versions {
				digests[v.Digest] = true
			}
			if a.Versions[0].Picture != nil {
				pictures++
			}
			tagged += min(1, len(a.Tags))
		case m.PutLink != nil:
			l := m.PutLink
			if err := asset.CheckName(l.Name); err != nil || assets[l.Asset] == nil {
				t.Fatalf("link %q: %v", l.Name, err)
			}
			links, bytes = links+1, bytes+len(l.Name)
			order = append(order, l.Product+"/"+l.Name)
		}
	}
	if !slices.IsSorted(order) || len(slices.Compact(order)) != links {
		t.Error("the links are not in order, or not all different")
	}
	versions := 0
	for _, a := range assets {
		versions += len(a.Versions)
	}
	if products != 3 || len(assets) != p.assets() || links != p.assets()+2*4 || versions <= p.assets() || len(digests) != versions {
		t.Errorf("%d products, %d assets, %d links, %d versions, %d originals", products, len(assets), links, versions, len(digests))
	}
	if mean := float64(bytes) / float64(links); mean < 30 || mean > 38 {
		t.Errorf("a name has %.1f bytes", mean)
	}
	if pictures != 97*p.assets()/100 || tagged != 30*p.assets()/100 {
		t.Errorf("%d pictures, %d with tags", pictures, tagged)
	}
	if a := assets[p.id(1, 7)]; a == nil || a.Owner != p.product(1) || p.isPicture(1, 7) != (a.Versions[0].Picture != nil) {
		t.Errorf("asset 7 of product 1 is %+v", a)
	}
}

// Whoever takes the records may stop.
func TestPopulationStops(t *testing.T) {
	p := population{products: 2, each: 200}
	all := 0
	for range p.records() {
		all++
	}
	for stop := range all {
		n := 0
		for range p.records() {
			if n++; n > stop {
				break
			}
		}
		if n != stop+1 {
			t.Fatalf("%d records, stopped at %d", n, stop)
		}
	}
}

// The changes behind an import are ones that the rules allow, of two records each.
func TestChanges(t *testing.T) {
	cfg := catalog.DefaultConfig()
	cfg.Dir = t.TempDir()
	c, err := catalog.Open(t.Context(), cfg, catalog.Events{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	p := population{products: 2, each: 101}
	update := func(f func(*catalog.View) ([]catalog.Mutation, error)) {
		t.Helper()
		if _, err := c.Update(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	update(func(*catalog.View) ([]catalog.Mutation, error) { return slices.Collect(p.records()), nil })
	for i := range 40 {
		update(p.change(i))
	}
	owned, shared := 0, 0
	for i := range p.products {
		for _, l := range c.View().Links(p.product(i), "uploads/", "", 1000) {
			if a, _ := c.View().Asset(l.Asset); a.Owner == l.Product {
				owned++
			} else if shared++; len(a.Versions) < 2 {
				t.Errorf("asset %s got no version", a.ID)
			}
		}
	}
	if owned != 30 || shared != 10 {
		t.Errorf("%d uploads, %d shared", owned, shared)
	}
	other := population{products: 2, each: 1_000_000}
	if _, err := c.Update(t.Context(), other.change(999_999)); err == nil {
		t.Error("a change of what was never imported")
	}
}

func TestKinds(t *testing.T) {
	count := map[string]int{}
	for n := range uint64(1000) {
		count[kindOf(n).mediaType]++
	}
	if count["image/jpeg"] != 800 || count["image/png"] != 120 || count["image/webp"] != 50 || count["application/pdf"] != 30 {
		t.Errorf("%v", count)
	}
}

func TestVersionsFollowFromTheirNumbers(t *testing.T) {
	at := time.Unix(1e9, 0)
	a, b, c := newVersion(kinds[0], 1, 12, 1, at), newVersion(kinds[0], 1, 12, 1, at), newVersion(kinds[0], 1, 13, 1, at)
	if a.Digest != b.Digest || *a.Picture != *b.Picture || a.Digest == c.Digest {
		t.Errorf("%+v %+v %+v", a, b, c)
	}
}
