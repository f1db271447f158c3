package catalog

import (
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/btree"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A View is the matrix at one revision. It never changes and may be read by any number of goroutines for as long as
// they like; nor may a reader change a record that it got from one. Whoever wants several answers that fit together
// takes one view and asks it everything.
//
// It is a base, in a file, and what has changed since, in memory. A record is in one of the two: those of the base that
// have been replaced or deleted are hidden. What there is per product, per tag and per unused original is in memory
// whole.
type View struct {
	revision uint64
	epoch    string
	hash     asset.Digest // of the message at revision
	applied  time.Time    // when that message was applied here

	base         *base // nil: there was nothing
	hiddenLinks  hidden[asset.Link]
	hiddenAssets hidden[asset.Asset]

	products btree.Map[string, *asset.Product]
	assets   btree.Map[string, *asset.Asset]
	// links is product → name → link: two short descents by plain strings cost less than one by a composed key,
	// and a lookup composes nothing.
	links     btree.Map[string, *names]
	heldLinks int // how many those are
	reverse   *reverse
	// owned counts a product's own assets, linked its links.
	owned, linked btree.Map[string, int]
	// tags is tag → its last purges; orphans is digest → what no version uses.
	tags    btree.Map[string, *tagPurges]
	orphans btree.Map[string, Orphan]
	// retired is the highest generation of all records that were deleted. Records that are made anew begin with it, or
	// deleting and making them again would bring back what was purged.
	retired uint64

	waiting    bool      // nothing was received yet: what is not found here may be there
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

// newView returns the matrix of b; without one the empty matrix.
func newView(b *base) *View {
	v := &View{
		reverse: new(reverse), products: newMap[*asset.Product](), assets: newMap[*asset.Asset](), links: newMap[*names](),
		owned: newMap[int](), linked: newMap[int](), tags: newMap[*tagPurges](), orphans: newMap[Orphan](),
	}
	if b == nil {
		return v
	}
	v.base, v.revision, v.epoch, v.hash, v.retired = b, b.revision, b.epoch, b.hash, b.meta.Retired
	v.applied, v.committing = b.committed, b.committed
	for _, p := range b.meta.Products {
		v.products.Set(p.Name, p)
	}
	for _, n := range b.meta.Names {
		add(&v.owned, n.Name, n.Owned)
		add(&v.linked, n.Name, n.Links)
	}
	for _, p := range b.meta.Tags {
		v.purgeTag(p)
	}
	for _, o := range b.meta.Orphans {
		v.orphans.Set(string(o.Digest[:]), o)
	}
	return v
}

// changes returns how many records the view has beside its base or hides of it: what a new base would save.
func (v *View) changes() int {
	return v.assets.Len() + v.heldLinks + v.hiddenAssets.n + v.hiddenLinks.n
}

// fork returns a view that shares all of v and can be changed without v's changing.
func (v *View) fork() *View {
	made := *v
	made.products, made.assets, made.links = forkMap(v.products), forkMap(v.assets), forkMap(v.links)
	made.reverse = v.reverse.fork()
	made.owned, made.linked = forkMap(v.owned), forkMap(v.linked)
	made.tags, made.orphans = forkMap(v.tags), forkMap(v.orphans)
	made.edit = new(edit)
	return &made
}

// newMap returns an empty map with nodes of up to 15 keys, not the zero map's 63: a change copies the nodes from the root to
// the leaf.
func newMap[V any]() btree.Map[string, V] { return *btree.NewMap[string, V](8) }

// forkMap returns a copy-on-write copy of m. btree's Copy also gives its receiver a new identity; the receiver here is
// forkMap's own copy, because m belongs to a published view, which two goroutines may be forking at once. That m keeps
// its identity is safe, as nobody changes a published view any more.
func forkMap[V any](m btree.Map[string, V]) btree.Map[string, V] { return *m.Copy() }

// Revision returns the position in the matrix's history that v shows; 0 before the first write.
func (v *View) Revision() uint64 { return v.revision }

// Err returns why the view may not find what is there; nil when it is whole. It is an [asset.ErrUnavailable], and an
// [asset.ErrCorrupt] when the view is damaged and not merely an edge's that has not received anything yet.
func (v *View) Err() error {
	switch {
	case v.waiting:
		return fmt.Errorf("%w: the matrix has not been received yet", asset.ErrUnavailable)
	case v.base == nil:
		return nil
	}
	return v.base.err()
}

// Product returns the product with that name.
func (v *View) Product(name string) (*asset.Product, bool) { return v.products.Get(name) }

// Products returns all products in the order of their names.
func (v *View) Products() iter.Seq[*asset.Product] {
	return func(yield func(*asset.Product) bool) {
		v.products.Scan(func(_ string, p *asset.Product) bool { return yield(p) })
	}
}

// Find returns what a product's name leads to, with the version of that number, or for 0 the one that it shows. It
// allocates nothing.
func (v *View) Find(product, name string, number int) (e asset.Entry, ok bool) {
	if b := v.base; b != nil {
		if r, at, known := b.findLink(product, name); known {
			ok = v.findKnown(&e, r, at, number)
			runtime.KeepAlive(b)
			return e, ok
		}
	}
	if l, changed := v.changedLink(product, name); changed {
		ok = v.findChanged(&e, l, number)
	}
	return e, ok
}

// findKnown sets e to what a link leads to that the base has at an offset, hidden or not.
func (v *View) findKnown(e *asset.Entry, r linkRecord, at uint64, number int) bool {
	if !v.hiddenLinks.has(r.ordinal()) {
		return v.findInBase(e, r, at, number)
	}
	l := v.hiddenLinks.successor(r.ordinal())
	return l != nil && v.findChanged(e, l, number)
}

// findInBase sets e to what a link of the base leads to, of which the record is at an offset.
func (v *View) findInBase(e *asset.Entry, l linkRecord, at uint64, number int) bool {
	b := v.base
	r, at, ok := b.assetOf(l, at)
	if !ok {
		return false
	}
	if v.hiddenAssets.has(r.ordinal()) {
		a := v.hiddenAssets.successor(r.ordinal())
		if a != nil {
			*e = v.entry(&asset.Link{Pin: l.pin(), Generation: l.generation(), Created: b.time(l.changed())}, a, number)
		}
		return a != nil
	}
	return v.fill(e, l, r, at, number)
}

// fill sets e to what a link of the base, and its asset, of which the record is at an offset, say.
func (v *View) fill(e *asset.Entry, l linkRecord, r assetRecord, at uint64, number int) bool {
	b := v.base
	e.Pin, e.Generation, e.Changed = l.pin(), l.generation(), b.time(b.later(r.updated(), l.changed()))
	return b.entry(e, at, r, number) && v.addTags(e, at, r)
}

// findChanged sets e to what a link in memory leads to.
func (v *View) findChanged(e *asset.Entry, l *asset.Link, number int) bool {
	if a, ok := v.assets.Get(l.Asset); ok {
		*e = v.entry(l, a, number)
		return true
	}
	r, at, ok := v.baseAsset(l.Asset)
	if !ok {
		return false
	}
	b := v.base
	e.Pin, e.Generation, e.Changed = l.Pin, l.Generation, latest(b.time(r.updated()), l.Created, l.Updated)
	ok = b.entry(e, at, r, number) && v.addTags(e, at, r)
	runtime.KeepAlive(b)
	return ok
}

func (v *View) entry(l *asset.Link, a *asset.Asset, number int) asset.Entry {
	e := asset.NewEntry(l, a, number)
	e.Generation = max(e.Generation, v.tagGeneration(a.Owner, a.Tags))
	return e
}

func latest(first time.Time, others ...time.Time) time.Time {
	for _, t := range others {
		if t.After(first) {
			first = t
		}
	}
	return first
}

// changedLink returns the link when it is in memory.
func (v *View) changedLink(product, name string) (*asset.Link, bool) {
	n, ok := v.links.Get(product)
	if !ok {
		return nil, false
	}
	return n.m.Get(name)
}

// baseLink returns the link when it is in the base and not hidden.
func (v *View) baseLink(product, name string) (linkRecord, bool) {
	if v.base == nil {
		return nil, false
	}
	r, _, ok := v.base.findLink(product, name)
	return r, ok && !v.hiddenLinks.has(r.ordinal())
}

// baseAsset returns the asset, and where it is, when it is in the base and not hidden.
func (v *View) baseAsset(id string) (assetRecord, uint64, bool) {
	if v.base == nil {
		return nil, 0, false
	}
	r, at, ok := v.base.findAsset(id)
	return r, at, ok && !v.hiddenAssets.has(r.ordinal())
}

// Link returns the product's link with that name.
func (v *View) Link(product, name string) (*asset.Link, bool) {
	if l, ok := v.changedLink(product, name); ok {
		return l, true
	}
	r, ok := v.baseLink(product, name)
	if !ok {
		return nil, false
	}
	l, ok := v.base.decodeLink(r)
	runtime.KeepAlive(v)
	return l, ok
}

// Lookup returns what a product's name leads to: the link and its asset, whole.
func (v *View) Lookup(product, name string) (*asset.Link, *asset.Asset, bool) {
	l, ok := v.Link(product, name)
	if !ok {
		return nil, nil, false
	}
	a, ok := v.Asset(l.Asset)
	return l, a, ok
}

// Asset returns the asset with that id.
func (v *View) Asset(id string) (*asset.Asset, bool) {
	if a, ok := v.assets.Get(id); ok {
		return a, true
	}
	r, at, ok := v.baseAsset(id)
	if !ok {
		return nil, false
	}
	a, ok := v.base.decodeAsset(at, r)
	runtime.KeepAlive(v)
	return a, ok
}

// Links returns at most limit of the product's links whose names have the prefix and come after the given name, in the
// order of names (bytewise). The next page begins after the last one's name; "" begins at the front.
func (v *View) Links(product, prefix, after string, limit int) []*asset.Link {
	if limit <= 0 {
		return nil
	}
	changed, kept := v.changedPage(product, prefix, after, limit), v.basePage(product, prefix, after, limit)
	page := mergeLinks(changed, kept)
	return page[:min(limit, len(page))]
}

func (v *View) changedPage(product, prefix, after string, limit int) (page []*asset.Link) {
	n, ok := v.links.Get(product)
	if !ok {
		return nil
	}
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

func (v *View) basePage(product, prefix, after string, limit int) (page []*asset.Link) {
	if v.base == nil {
		return nil
	}
	for r := range v.base.linksFrom(product, max(prefix, after)) {
		name := borrow(r.name())
		if name == after || v.hiddenLinks.has(r.ordinal()) {
			continue
		}
		if !strings.HasPrefix(name, prefix) || len(page) == limit {
			break
		}
		l, ok := v.base.decodeLink(r)
		if !ok {
			break
		}
		page = append(page, l)
	}
	runtime.KeepAlive(v)
	return page
}

// mergeLinks returns the links of two ordered lists as one.
func mergeLinks(a, b []*asset.Link) []*asset.Link {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	all := append(slices.Clip(a), b...)
	slices.SortFunc(all, compareLinks)
	return all
}

func compareLinks(a, b *asset.Link) int {
	if c := strings.Compare(a.Product, b.Product); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// LinksOf returns the links that point at the asset, by product and name.
func (v *View) LinksOf(assetID string) []*asset.Link {
	var links []*asset.Link
	scan(&v.reversed().linksOf, assetID+"\x00", func(l *asset.Link) bool {
		links = append(links, l)
		return true
	})
	return mergeLinks(links, v.baseLinksOf(assetID))
}

func (v *View) baseLinksOf(assetID string) (links []*asset.Link) {
	if v.base == nil {
		return nil
	}
	for r := range v.base.linksOf(assetID) {
		if v.hiddenLinks.has(r.ordinal()) {
			continue
		}
		l, ok := v.base.decodeLink(r)
		if !ok {
			break
		}
		links = append(links, l)
	}
	runtime.KeepAlive(v)
	slices.SortFunc(links, compareLinks)
	return links
}

// References returns how many versions, of any asset, use the original.
func (v *View) References(original asset.Digest) int {
	n := 0
	for range v.baseUses(original) {
		n++
	}
	scan(&v.reversed().originals, string(original[:]), func(use) bool { n++; return true })
	runtime.KeepAlive(v)
	return n
}

// Original returns a version that uses the original, if any does: what is known about the bytes, and where they are.
func (v *View) Original(original asset.Digest) (found *asset.Version, ok bool) {
	scan(&v.reversed().originals, string(original[:]), func(u use) bool {
		if a, ok := v.assets.Get(u.asset); ok {
			found = a.Version(u.number)
		}
		return found == nil
	})
	if found != nil {
		return found, true
	}
	for u := range v.baseUses(original) {
		found = new(asset.Version)
		ok = v.base.decodeVersion(found, u.version) || v.base.malformed(u.at)
		break
	}
	runtime.KeepAlive(v)
	return found, ok
}

// baseUses returns the base's uses of an original by assets that are not hidden.
func (v *View) baseUses(original asset.Digest) iter.Seq[baseUse] {
	return func(yield func(baseUse) bool) {
		if v.base == nil {
			return
		}
		for u := range v.base.uses(original) {
			if !v.hiddenAssets.has(u.asset.ordinal()) && !yield(u) {
				return
			}
		}
	}
}

// scan calls do with the values whose keys begin with prefix, in order, until it returns false.
func scan[V any](m *btree.Map[string, V], prefix string, do func(V) bool) {
	m.Ascend(prefix, func(key string, value V) bool { return strings.HasPrefix(key, prefix) && do(value) })
}
