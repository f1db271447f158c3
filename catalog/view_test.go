package catalog

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// made returns what the mutations make of an empty view.
func made(t testing.TB, mutations ...Mutation) *View {
	t.Helper()
	v, err := new(View).with(mutations)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func linkNames(links []*asset.Link) string {
	var all []string
	for _, l := range links {
		all = append(all, l.Name)
	}
	return strings.Join(all, " ")
}

func TestLinks(t *testing.T) {
	v := made(t, putProduct("shop"), putProduct("shop2"), putAsset("a", 1),
		putLink("shop", "a/1", "a"), putLink("shop", "a/2", "a"), putLink("shop", "a/3", "a"), putLink("shop", "b", "a"), putLink("shop2", "a/4", "a"))
	for _, c := range []struct {
		prefix, after string
		limit         int
		want          string
	}{
		{"", "", 10, "a/1 a/2 a/3 b"},
		{"", "", 2, "a/1 a/2"},
		{"", "a/2", 10, "a/3 b"},
		{"a/", "", 10, "a/1 a/2 a/3"},
		{"a/", "a/1", 1, "a/2"},
		{"a/", "a/1x", 10, "a/2 a/3"},
		{"a/", "a/3", 10, ""},
		{"a/", "b", 10, ""},
		{"b", "a/1", 10, "b"},
		{"c", "", 10, ""},
		{"", "", 0, ""},
	} {
		if got := linkNames(v.Links("shop", c.prefix, c.after, c.limit)); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	if v.Links("nobody", "", "", 10) != nil {
		t.Error("links of nobody")
	}
	if got := linkNames(v.LinksOf("a")); got != "a/1 a/2 a/3 b a/4" {
		t.Error(got)
	}
}

func TestLookupMisses(t *testing.T) {
	v := made(t, putProduct("shop"), putAsset("a", 1), putLink("shop", "x", "a"))
	for _, c := range [][2]string{{"shop", "y"}, {"sho", "x"}, {"shop", ""}, {"", "x"}} {
		if _, _, ok := v.Lookup(c[0], c[1]); ok {
			t.Error(c)
		}
	}
	if _, _, ok := new(View).Lookup("shop", "x"); ok {
		t.Error("an empty view has something")
	}
}

func TestOriginals(t *testing.T) {
	v := made(t, putProduct("shop"), putAsset("a", 1, 2, 1), putAsset("b", 1))
	if n := v.References(asset.Digest{1}); n != 3 {
		t.Fatal(n)
	}
	if got, ok := v.Original(asset.Digest{2}); !ok || got.Number != 2 {
		t.Fatal(got, ok)
	}
	v, err := v.with([]Mutation{{DeleteAsset: "a"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := v.Original(asset.Digest{1}); !ok || got.Number != 1 || v.References(asset.Digest{1}) != 1 {
		t.Fatal(got, ok)
	}
	if _, ok := v.Original(asset.Digest{2}); ok || v.References(asset.Digest{2}) != 0 {
		t.Fatal("an original outlives its asset")
	}
}

// The indexes agree with a plain scan over the records after any history, and no view changes once it was made.
func TestIndexesAgreeWithRecords(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	v := made(t, putProduct("shop"), putProduct("blog"))
	views, dumps := []*View{v}, []map[string]any{dump(v)}
	for range 3000 {
		id, name, product := fmt.Sprint("a", rnd.IntN(40)), fmt.Sprint("n", rnd.IntN(200)), []string{"shop", "blog"}[rnd.IntN(2)]
		m := [...]Mutation{
			grown(v, id, byte(rnd.IntN(8))), putLink(product, name, id), putLink(product, name, id),
			deleteLink(product, name), {DeleteAsset: id},
		}[rnd.IntN(5)]
		next, err := v.with([]Mutation{m})
		if err != nil {
			continue
		}
		v = next
		if rnd.IntN(25) == 0 {
			checkIndexes(t, v)
			views, dumps = append(views, v), append(dumps, dump(v))
		}
	}
	for i := range views {
		if got := dump(views[i]); !reflect.DeepEqual(got, dumps[i]) {
			t.Fatalf("view %d changed", i)
		}
	}
	if len(views) < 10 || v.assets.Len() == 0 || v.reversed().linksOf.Len() == 0 {
		t.Fatal("the history is too short to prove anything", len(views), v.assets.Len(), v.reversed().linksOf.Len())
	}
}

// grown puts the asset with one more version.
func grown(v *View, id string, original byte) Mutation {
	a, ok := v.Asset(id)
	if !ok {
		return putAsset(id, original)
	}
	next := *a
	next.Current = len(a.Versions) + 1
	next.Versions = append(next.Versions, asset.Version{Number: next.Current, Digest: asset.Digest{original}})
	return Mutation{PutAsset: &next}
}

func checkIndexes(t *testing.T, v *View) {
	t.Helper()
	references, owned, links := map[asset.Digest]int{}, map[string]int{}, map[string][]string{}
	v.assets.Scan(func(_ string, a *asset.Asset) bool {
		owned[a.Owner]++
		for _, version := range a.Versions {
			references[version.Digest]++
		}
		return true
	})
	for p := range v.Products() {
		for _, l := range v.Links(p.Name, "", "", 1<<20) {
			links[l.Asset] = append(links[l.Asset], p.Name+"/"+l.Name)
		}
	}
	for d, n := range references {
		if got := v.References(d); got != n {
			t.Fatalf("%s has %d references, the index says %d", d, n, got)
		}
	}
	if total := slices.Collect(maps.Values(references)); sum(total) != v.reversed().originals.Len() {
		t.Fatalf("%d versions, %d in the index", sum(total), v.reversed().originals.Len())
	}
	got := map[string]int{}
	v.owned.Scan(func(p string, n int) bool { got[p] = n; return true })
	if !maps.Equal(got, owned) {
		t.Fatalf("owned %v, the index says %v", owned, got)
	}
	for id, want := range links {
		var got []string
		for _, l := range v.LinksOf(id) {
			got = append(got, l.Product+"/"+l.Name)
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("links of %s: %v, the index says %v", id, want, got)
		}
	}
}

func sum(all []int) (n int) {
	for _, i := range all {
		n += i
	}
	return n
}

func TestLookupAllocatesNothing(t *testing.T) {
	v := filled(t, 10_000)
	names := lookupNames(10_000)
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		if _, _, ok := v.Lookup("shop", names[i%len(names)]); !ok {
			t.Fatal(names[i%len(names)])
		}
		i++
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func lookupNames(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("banners/2025/%02d/picture-%06d.jpg", i%12, i)
	}
	rand.New(rand.NewPCG(3, 4)).Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// filled returns a view with n assets of one product, as a replay makes it.
func filled(t testing.TB, n int) *View {
	t.Helper()
	v := made(t, putProduct("shop"))
	for i, name := range lookupNames(n) {
		id := fmt.Sprintf("0190c5a8-%04x-7000-8000-%012x", i%7919, i)
		a, l := putAsset(id, byte(i)), putLink("shop", name, id)
		v.apply(&a)
		v.apply(&l)
	}
	return v
}

// BenchmarkLookup looks up random names among 100,000.
func BenchmarkLookup(b *testing.B) {
	const n = 100_000
	v, names := filled(b, n), lookupNames(n)
	rand.New(rand.NewPCG(5, 6)).Shuffle(n, func(i, j int) { names[i], names[j] = names[j], names[i] })
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, _, ok := v.Lookup("shop", names[i%n]); !ok {
			b.Fatal(names[i%n])
		}
		i++
	}
}

// TestAddVersion: a version that is added has the effect of the whole record put again, and the view before it keeps
// what it had.
func TestAddVersion(t *testing.T) {
	before := made(t, putProduct("shop"), putAsset("a", 1, 2), putLink("shop", "x", "a"))
	added, err := before.with([]Mutation{addVersion("a", 3, 7)})
	if err != nil {
		t.Fatal(err)
	}
	_, got, _ := added.Lookup("shop", "x")
	_, want, _ := made(t, putProduct("shop"), putAsset("a", 1, 2, 7), putLink("shop", "x", "a")).Lookup("shop", "x")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("added: %+v\n  put: %+v", got, want)
	}
	if added.References(asset.Digest{7}) != 1 || before.References(asset.Digest{7}) != 0 {
		t.Error("the original's references are not counted")
	}
	if _, old, _ := before.Lookup("shop", "x"); len(old.Versions) != 2 || old.Current != 2 {
		t.Errorf("the view before changed: %+v", old)
	}
}

// What was purged by a tag stays so when the tag goes, and when the asset does and is made again.
func TestPurgedTagGoes(t *testing.T) {
	tagged := putAsset("a", 1)
	tagged.PutAsset.Tags = []string{"summer"}
	v := made(t, putProduct("shop"), tagged, putLink("shop", "a", "a"), Mutation{Purge: &Purge{Tag: "summer"}})
	before, ok := v.Find("shop", "a", 0)
	if !ok || before.Generation == 0 {
		t.Fatal(before, ok)
	}
	for name, base := range map[string]*View{"in memory": v, "in a base": folded(t, v)} {
		w := base.fork()
		none := Mutation{ChangeAsset: &AssetChange{Asset: "a", Tags: &[]string{}, At: time.Now().UTC()}}
		w.apply(&none)
		if e, ok := w.Find("shop", "a", 0); !ok || e.Generation < before.Generation {
			t.Errorf("%s: without the tag: %d, %d before", name, e.Generation, before.Generation)
		}
		w = base.fork()
		again, link, gone, unlinked := putAsset("a", 1), putLink("shop", "a", "a"), Mutation{DeleteAsset: "a"}, deleteLink("shop", "a")
		for _, m := range []*Mutation{&unlinked, &gone, &again, &link} {
			w.apply(m)
		}
		if e, ok := w.Find("shop", "a", 0); !ok || e.Generation < before.Generation {
			t.Errorf("%s: made again: %d, %d before", name, e.Generation, before.Generation)
		}
	}
}
