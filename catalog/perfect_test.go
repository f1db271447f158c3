package catalog

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/assetmatrix/assetmatrix/asset"
)

// sortedKeys returns n different keys.
func sortedKeys(n int) []uint64 {
	rnd := rand.New(rand.NewPCG(uint64(n), 2))
	keys := make([]uint64, n)
	for i := range keys {
		keys[i] = rnd.Uint64()
	}
	slices.Sort(keys)
	return keys
}

// Every key has a cell of its own, among not many more than there are keys.
func TestPerfect(t *testing.T) {
	sizes := []int{partKeys - 1}
	for n := range 300 {
		sizes = append(sizes, n)
	}
	for _, n := range sizes {
		keys, p := sortedKeys(n), perfectFor(1, uint64(n))
		found := make([]byte, p.groups)
		for p.cells = uint64(float64(n)/maxLoad) + 1; !p.findPilots(found, keys); p.cells++ {
			if p.cells > uint64(n)*3/2+10 {
				t.Fatalf("%d keys: none found with %d cells", n, p.cells)
			}
		}
		taken := make([]bool, p.cells)
		for _, key := range keys {
			_, rest := p.part(key)
			cell := p.cell(key, found[p.group(rest)])
			if taken[cell] {
				t.Fatalf("%d keys: two have cell %d", n, cell)
			}
			taken[cell] = true
		}
		if n > 1000 && float64(n)/float64(p.cells) < 0.97 {
			t.Errorf("%d cells for %d keys", p.cells, n)
		}
	}
}

func TestPerfectIsNotFound(t *testing.T) {
	for name, cells := range map[string]uint64{"fewer cells than keys": 90, "hardly a cell": 1} {
		p := perfectFor(1, 100)
		p.cells = cells
		if p.findPilots(make([]byte, p.groups), sortedKeys(100)) {
			t.Error(name)
		}
	}
}

// collisions returns names of 64 bytes that have the same xxHash64. In a name that long each of the algorithm's four lanes
// takes in two words, one after the other; whatever the first is, there is a second that makes up for it.
func collisions(n int) (names []string) {
	const prime1, prime2, second = 11400714785074694791, 14029467366897019727, 1 << 40
	inverse := uint64(1) // of prime2, modulo 2^64, by Newton's method
	for range 6 {
		inverse *= 2 - prime2*inverse
	}
	lane := func(word uint64) uint64 { // what the third lane, which begins with the seed, 0, is after a word
		product := word * prime2
		return (product<<31 | product>>33) * prime1
	}
	for first := range uint64(n) {
		var name [64]byte
		le.PutUint64(name[16:], first)
		le.PutUint64(name[48:], second+(lane(0)-lane(first))*inverse)
		names = append(names, string(name[:]))
	}
	slices.Sort(names)
	return names
}

// Links with the same hash are all found, and so is one that is none of them.
func TestLinksWithTheSameHash(t *testing.T) {
	names := collisions(5)
	for _, name := range names {
		if xxhash.Sum64String(name) != xxhash.Sum64String(names[0]) {
			t.Fatalf("%q does not collide", name)
		}
	}
	u := newUniverse(1)
	u.names, u.ids, u.originals = append(names, "a", "b"), []string{"a", "b", "c"}, []asset.Digest{{1}, {2}}
	v := made(t, putProduct("shop"), putProduct("blog"), putAsset("a", 1), putAsset("b", 2), putLink("shop", "a", "a"), putLink("shop", "b", "b"))
	same := putLink("blog", names[1], "b") // another product's
	v.apply(&same)
	for i, name := range names[1:] {
		id := fmt.Sprint("own", i)
		a, l := putAsset(id, byte(3+i)), putLink("shop", name, id)
		if i == 1 {
			l = putLink("shop", name, "a")
		}
		v.apply(&a)
		v.apply(&l)
	}
	for range 3 {
		w := folded(t, v)
		if d := differences(u.answers(w), u.answers(v)); d != nil || w.Err() != nil {
			t.Fatal(w.Err(), len(d), d[:min(len(d), 3)])
		}
		if far := w.base.data[w.base.cellOf(hashLink("shop", names[2]))]; far != kindFar {
			t.Errorf("the links' cell has %q", far)
		}
		v = w
	}
	if b := v.base; b.cellsLen() > 12 {
		t.Errorf("%d cells for %d links, of which %d share one", b.cellsLen(), b.nLinks, len(names)-1)
	}
	v = v.fork()
	m := putLink("shop", names[0], "b")
	v.apply(&m)
	if d := differences(u.answers(folded(t, v)), u.answers(v)); d != nil {
		t.Fatal(d[:min(len(d), 3)])
	}
}

// Cells are as large as the records ask for: most links have their asset in theirs, and few bytes are wasted.
func TestCells(t *testing.T) {
	v := made(t, putProduct("shop"))
	for i := range 3000 {
		id := fmt.Sprintf("asset-%04d", i)
		a, l := putAsset(id, byte(i), byte(i>>8)), putLink("shop", fmt.Sprintf("n/%04d", i), id)
		if i%100 == 0 {
			a = putAsset(id, slices.Repeat([]byte{1}, 200)...)
		}
		v.apply(&a)
		v.apply(&l)
	}
	b := folded(t, v).base
	together := 0
	for i := range 3000 {
		l, ok := b.linkNumber(i)
		if !ok || string(l.name()) != fmt.Sprintf("n/%04d", i) {
			t.Fatal(i, ok, b.err())
		}
		if r, ok := b.asset(l.asset()); ok && uint64(len(l)+len(r)) <= b.cellBytes {
			together++
		}
	}
	if together != 2970 || b.cellsLen() > 3300 || b.cellBytes > 448 {
		t.Errorf("%d of 3,000 assets stand with their links, in %d cells of %d bytes", together, b.cellsLen(), b.cellBytes)
	}
}

// A link that fills the last cell, with an asset that is the first in no cell, stands before it as one in the same cell would.
func TestLinkThatFillsItsCell(t *testing.T) {
	records := []Mutation{putProduct("shop"), putAsset("a", slices.Repeat([]byte{1}, 90)...), putLink("shop", strings.Repeat("n", minCell-linkHead), "a")}
	for range 40 { // the seed says which cell it is
		b := folded(t, made(t, records...)).base
		if _, at, ok := b.findAsset("a"); !ok || b.cellBytes != minCell || at != b.moreAt() {
			t.Fatal(ok, b.cellBytes, at)
		}
	}
}

// Links of one asset are listed in order, wherever the asset came.
func TestAssetAfterItsLink(t *testing.T) {
	dir := t.TempDir()
	records := []Mutation{putProduct("shop"), putLink("shop", "a", "x"), putAsset("x", 1), putLink("shop", "b", "x"), putLink("shop", "c", "x")}
	if err := Import(t.Context(), dir, Manifest{Revision: 1}, slices.Values(records)); err != nil {
		t.Fatal(err)
	}
	links := newView(opened1(t, directory(dir).base(1))).LinksOf("x")
	if len(links) != 3 || !slices.IsSortedFunc(links, compareLinks) {
		t.Error(links)
	}
}

func BenchmarkPilots(b *testing.B) {
	keys, p := sortedKeys(partKeys-1), perfectFor(1, partKeys-1)
	p.cells = uint64(float64(len(keys))/maxLoad) + 1
	found := make([]byte, p.groups)
	for b.Loop() {
		if !p.findPilots(found, keys) {
			b.Fatal("not found")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(keys)), "ns/key")
}
