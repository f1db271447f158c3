package catalog

import (
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/btree"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A View is the matrix at one revision. It never changes and may be read by any number of goroutines for as long as
// they like; nor may a reader change a record that it got from one. Whoever wants several answers that fit together
// takes one view and asks it everything.
type View struct {
	revision uint64
	epoch    string
	hash     asset.Digest // of the message at revision
	applied  time.Time    // when that message was applied here

	base *base // what the rest is a change of; nil: of nothing

	products btree.Map[string, *asset.Product]
	assets   btree.Map[string, *asset.Asset]
	// links is product → name → link: two short descents by plain strings cost less than one by a composed key,
	// and a lookup composes nothing.
	links btree.Map[string, *names]
	// linksOf is "asset\x00product\x00name" → link; owned counts a product's own assets; originals is
	// "digest asset\x00number" → the version that uses the original.
	linksOf   btree.Map[string, *asset.Link]
	owned     btree.Map[string, int]
	originals btree.Map[string, use]
	// tags is "product\x00tag" → the revision of the tag's last purge; orphans is digest → what no version uses.
	tags    btree.Map[string, uint64]
	orphans btree.Map[string, Orphan]
	// retired is the highest generation of all records that were deleted. Records that are made anew begin with it, or
	// deleting and making them again would bring back what was purged.
	retired uint64

	committing time.Time // when the message that is being applied was committed
	edit       *edit     // the changes that this view was made by
}

// An edit is the identity of one round of changes: what carries it is not published yet and may be changed in place.
type edit struct{ _ byte }

// names are the links of one product.
type names struct {
	edit *edit
	m    btree.Map[string, *asset.Link]
}

// A use is a version that uses an original.
type use struct {
	asset  string
	number int
}

// newView returns the matrix of b; without one the empty matrix.
func newView(b *base) *View { return &View{base: b} }

// changes returns how many records the view holds beside its base.
func (v *View) changes() int { return v.assets.Len() + v.linksOf.Len() }

// fork returns a view that shares all of v and can be changed without v's changing.
func (v *View) fork() *View {
	return &View{
		revision: v.revision, epoch: v.epoch, hash: v.hash, applied: v.applied,
		products:  forkMap(v.products),
		assets:    forkMap(v.assets),
		links:     forkMap(v.links),
		linksOf:   forkMap(v.linksOf),
		owned:     forkMap(v.owned),
		originals: forkMap(v.originals),
		tags:      forkMap(v.tags),
		orphans:   forkMap(v.orphans),
		retired:   v.retired,
		edit:      new(edit),
	}
}

// forkMap returns a copy-on-write copy of m. btree's Copy also gives its receiver a new identity; the receiver here is
// forkMap's own copy, because m belongs to a published view, which two goroutines may be forking at once. That m keeps
// its identity is safe, as nobody changes a published view any more.
func forkMap[V any](m btree.Map[string, V]) btree.Map[string, V] { return *m.Copy() }

// Revision returns the position in the matrix's history that v shows; 0 before the first write.
func (v *View) Revision() uint64 { return v.revision }

// Product returns the product with that name.
func (v *View) Product(name string) (*asset.Product, bool) { return v.products.Get(name) }

// Products returns all products in the order of their names.
func (v *View) Products() iter.Seq[*asset.Product] {
	return func(yield func(*asset.Product) bool) {
		v.products.Scan(func(_ string, p *asset.Product) bool { return yield(p) })
	}
}

// Err returns why the view may not find what is there; nil when it is whole.
func (v *View) Err() error { return nil }

// Find returns what a product's name leads to, with the version of that number, or for 0 the one that it shows. It
// allocates nothing.
func (v *View) Find(product, name string, number int) (asset.Entry, bool) {
	l, a, ok := v.Lookup(product, name)
	if !ok {
		return asset.Entry{}, false
	}
	e := asset.NewEntry(l, a, number)
	e.Generation = max(e.Generation, v.tagGeneration(a.Owner, a.Tags))
	return e, true
}

// Link returns the product's link with that name.
func (v *View) Link(product, name string) (*asset.Link, bool) {
	n, ok := v.links.Get(product)
	if !ok {
		return nil, false
	}
	return n.m.Get(name)
}

// Lookup returns what a product's name leads to: the link and its asset, whole.
func (v *View) Lookup(product, name string) (*asset.Link, *asset.Asset, bool) {
	n, ok := v.links.Get(product)
	if !ok {
		return nil, nil, false
	}
	l, ok := n.m.Get(name)
	if !ok {
		return nil, nil, false
	}
	a, ok := v.assets.Get(l.Asset)
	return l, a, ok
}

// Asset returns the asset with that id.
func (v *View) Asset(id string) (*asset.Asset, bool) { return v.assets.Get(id) }

// Links returns at most limit of the product's links whose names have the prefix and come after the given name, in the
// order of names (bytewise). The next page begins after the last one's name; "" begins at the front.
func (v *View) Links(product, prefix, after string, limit int) []*asset.Link {
	n, ok := v.links.Get(product)
	if !ok || limit <= 0 {
		return nil
	}
	var page []*asset.Link
	n.m.Ascend(max(prefix, after), func(name string, l *asset.Link) bool {
		if name == after {
			return true
		}
		if !strings.HasPrefix(name, prefix) {
			return false
		}
		page = append(page, l)
		return len(page) < limit
	})
	return page
}

// LinksOf returns the links that point at the asset, by product and name.
func (v *View) LinksOf(assetID string) []*asset.Link {
	var links []*asset.Link
	scan(&v.linksOf, assetID+"\x00", func(l *asset.Link) bool {
		links = append(links, l)
		return true
	})
	return links
}

// References returns how many versions, of any asset, use the original.
func (v *View) References(original asset.Digest) int {
	n := 0
	scan(&v.originals, string(original[:]), func(use) bool { n++; return true })
	return n
}

// Original returns a version that uses the original, if any does: what is known about the bytes, and where they are.
func (v *View) Original(original asset.Digest) (*asset.Version, bool) {
	var found *asset.Version
	scan(&v.originals, string(original[:]), func(u use) bool {
		if a, ok := v.assets.Get(u.asset); ok {
			found = a.Version(u.number)
		}
		return found == nil
	})
	return found, found != nil
}

// scan calls do with the values whose keys begin with prefix, in order, until it returns false.
func scan[V any](m *btree.Map[string, V], prefix string, do func(V) bool) {
	m.Ascend(prefix, func(key string, value V) bool { return strings.HasPrefix(key, prefix) && do(value) })
}

func (v *View) putProduct(p *asset.Product) {
	generation := v.retired
	if old, ok := v.Product(p.Name); ok {
		generation = old.Generation
	}
	if p.Generation != generation {
		next := *p
		next.Generation = generation
		p = &next
	}
	v.products.Set(p.Name, p)
}

func (v *View) deleteProduct(name string) {
	if old, ok := v.products.Delete(name); ok {
		v.retired = max(v.retired, old.Generation)
	}
}

func (v *View) putAsset(a *asset.Asset) {
	old, ok := v.Asset(a.ID)
	least := v.retired
	if ok {
		least = old.Generation
	}
	if a.Generation < least {
		next := *a
		next.Generation = least
		a = &next
	}
	v.assets.Set(a.ID, a)
	v.count(old, -1)
	v.count(a, +1)
	v.reindex(old, a)
}

func (v *View) deleteAsset(id string) {
	old, ok := v.assets.Delete(id)
	if ok {
		v.retired = max(v.retired, old.Generation)
	}
	v.count(old, -1)
	v.reindex(old, nil)
}

// count adds n to the number of assets that a's owner has.
func (v *View) count(a *asset.Asset, n int) {
	if a == nil {
		return
	}
	if had, _ := v.owned.Get(a.Owner); had+n != 0 {
		v.owned.Set(a.Owner, had+n)
		return
	}
	v.owned.Delete(a.Owner)
}

// reindex brings originals from the versions of old to those of a; nil has none.
func (v *View) reindex(old, a *asset.Asset) {
	before, after := versions(old), versions(a)
	same := 0
	for same < len(before) && same < len(after) && originalKey(old, same) == originalKey(a, same) {
		same++
	}
	for i := same; i < len(before); i++ {
		v.originals.Delete(originalKey(old, i))
	}
	for i := same; i < len(after); i++ {
		v.originals.Set(originalKey(a, i), use{a.ID, after[i].Number})
		v.adopt(after[i].Digest)
	}
	for i := same; i < len(before); i++ {
		v.orphan(&before[i])
	}
}

func versions(a *asset.Asset) []asset.Version {
	if a == nil {
		return nil
	}
	return a.Versions
}

func originalKey(a *asset.Asset, i int) string {
	return string(a.Versions[i].Digest[:]) + a.ID + "\x00" + strconv.Itoa(a.Versions[i].Number)
}

func (v *View) putLink(l *asset.Link) {
	least := v.retired
	if old, ok := v.Link(l.Product, l.Name); ok {
		least = old.Generation
	}
	if l.Generation < least {
		next := *l
		next.Generation = least
		l = &next
	}
	old, replaced := v.names(l.Product).m.Set(l.Name, l)
	if replaced {
		v.linksOf.Delete(linkKey(old))
	}
	v.linksOf.Set(linkKey(l), l)
}

func (v *View) deleteLink(product, name string) {
	n := v.names(product)
	if old, ok := n.m.Delete(name); ok {
		v.linksOf.Delete(linkKey(old))
		v.retired = max(v.retired, old.Generation)
	}
	if n.m.Len() == 0 {
		v.links.Delete(product)
	}
}

// names returns the product's links for changing: its own copy of them, made at the first change of this edit.
func (v *View) names(product string) *names {
	n, ok := v.links.Get(product)
	switch {
	case !ok:
		n = &names{edit: v.edit}
	case n.edit == v.edit:
		return n
	default:
		n = &names{edit: v.edit, m: forkMap(n.m)}
	}
	v.links.Set(product, n)
	return n
}

func linkKey(l *asset.Link) string { return l.Asset + "\x00" + l.Product + "\x00" + l.Name }
