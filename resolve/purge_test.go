package resolve_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/resolve"
)

// A matrix is a real one, and a resolver over it.
type matrix struct {
	t       *testing.T
	catalog *catalog.Catalog
	r       *resolve.Resolver
}

// openMatrix has products a and b. a owns hero (tags summer, sale) and plain; b owns other (tag summer), and links hero as
// shared, and again as twin.
func openMatrix(t *testing.T) *matrix {
	t.Helper()
	cfg := catalog.DefaultConfig()
	cfg.Dir = t.TempDir()
	c, err := catalog.Open(t.Context(), cfg, catalog.Events{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	r, err := resolve.New(resolve.DefaultConfig(), func() resolve.View { return c.View() })
	if err != nil {
		t.Fatal(err)
	}
	m := &matrix{t, c, r}
	m.update(catalog.Mutation{PutProduct: &asset.Product{Name: "a"}}, catalog.Mutation{PutProduct: &asset.Product{Name: "b"}})
	m.add("a", "hero", "summer", "sale")
	m.add("a", "plain")
	m.add("b", "other", "summer")
	m.update(
		catalog.Mutation{PutLink: &asset.Link{Product: "b", Name: "shared", Asset: "id-hero"}},
		catalog.Mutation{PutLink: &asset.Link{Product: "b", Name: "twin", Asset: "id-hero"}})
	return m
}

func (m *matrix) update(mutations ...catalog.Mutation) uint64 {
	m.t.Helper()
	revision, err := m.catalog.Update(m.t.Context(), func(*catalog.View) ([]catalog.Mutation, error) { return mutations, nil })
	if err != nil {
		m.t.Fatal(err)
	}
	return revision
}

func (m *matrix) add(owner, name string, tags ...string) {
	m.t.Helper()
	v := asset.Version{Number: 1, Size: 5, MediaType: "image/jpeg", Picture: &asset.Picture{Width: 800, Height: 600, Pages: 1, Orientation: 1}, Created: time.Now().UTC()}
	copy(v.Digest[:], name)
	m.update(
		catalog.Mutation{PutAsset: &asset.Asset{ID: "id-" + name, Owner: owner, Status: asset.Active, Current: 1, Versions: []asset.Version{v}, Tags: tags}},
		catalog.Mutation{PutLink: &asset.Link{Product: owner, Name: name, Asset: "id-" + name}})
}

// spelled returns the key and the ETag of each name's rendition and original.
func (m *matrix) spelled() map[string]string {
	m.t.Helper()
	all := map[string]string{}
	for _, name := range []string{"a/hero", "a/plain", "b/other", "b/shared", "b/twin"} {
		for _, options := range []string{"w=100", "original"} {
			product, rest, _ := strings.Cut(name, "/")
			t, err := resolve.Parse("/"+product+"/"+options+"/"+rest, "")
			if err != nil {
				m.t.Fatal(err)
			}
			res, err := m.r.Resolve(t, resolve.Client{Accept: "image/webp"})
			if err != nil {
				m.t.Fatal(err)
			}
			all[options+" "+name] = fmt.Sprint(res.Key, " ", res.ETag())
		}
	}
	return all
}

// TestPurgeChangesKeys: each kind of purge gives the renditions of what it names another key and another ETag, those of
// nothing else, and no original's.
func TestPurgeChangesKeys(t *testing.T) {
	m := openMatrix(t)
	before := m.spelled()
	f := func(p catalog.Purge, want ...string) {
		t.Helper()
		revision := m.update(catalog.Mutation{Purge: &p})
		after := m.spelled()
		var changed []string
		for name, was := range before {
			if after[name] == was {
				continue
			}
			changed = append(changed, strings.TrimPrefix(name, "w=100 "))
			oldKey, oldTag, _ := strings.Cut(was, " ")
			key, tag, _ := strings.Cut(after[name], " ")
			if key == oldKey || tag == oldTag || !strings.HasSuffix(key, fmt.Sprint("@", revision)) {
				t.Errorf("%+v: %s went from %s to %s", p, name, was, after[name])
			}
		}
		slices.Sort(changed)
		if !slices.Equal(changed, want) {
			t.Errorf("%+v changed %q, want %q", p, changed, want)
		}
		before = after
	}
	for range 2 { // a purge works again
		f(catalog.Purge{Product: "a"}, "a/hero", "a/plain")
		f(catalog.Purge{Product: "b"}, "b/other", "b/shared", "b/twin")
		f(catalog.Purge{Product: "b", Name: "shared"}, "b/shared")
		f(catalog.Purge{Product: "a", Name: "hero"}, "a/hero")
		f(catalog.Purge{Asset: "id-hero"}, "a/hero", "b/shared", "b/twin")
		f(catalog.Purge{Asset: "id-other"}, "b/other")
		f(catalog.Purge{Tag: "summer"}, "a/hero", "b/other", "b/shared", "b/twin")
		f(catalog.Purge{Tag: "sale"}, "a/hero", "b/shared", "b/twin")
		f(catalog.Purge{Tag: "nobody's"})
		f(catalog.Purge{Product: "b", Tag: "summer"}, "b/other")
		f(catalog.Purge{Product: "a", Tag: "summer"}, "a/hero", "b/shared", "b/twin") // a's own, wherever they are shown
	}
	seen := m.spelled()
	if n := len(slices.Collect(maps.Keys(seen))); n != 10 {
		t.Errorf("%d were resolved", n)
	}
}

// TestPurgeOutlivesARename: taking a name away and giving it again does not bring back what was purged.
func TestPurgeOutlivesARename(t *testing.T) {
	m := openMatrix(t)
	old := m.spelled()["w=100 b/shared"]
	m.update(catalog.Mutation{Purge: &catalog.Purge{Product: "b", Name: "shared"}})
	m.update(catalog.Mutation{DeleteLink: &catalog.LinkRef{Product: "b", Name: "shared"}})
	m.update(catalog.Mutation{PutLink: &asset.Link{Product: "b", Name: "shared", Asset: "id-hero"}})
	if got := m.spelled()["w=100 b/shared"]; got == old {
		t.Errorf("%s is back", got)
	}
}
