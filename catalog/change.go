package catalog

import (
	"slices"

	"github.com/tidwall/btree"

	"github.com/assetmatrix/assetmatrix/asset"
)

// What follows changes a view that is not published yet.

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

// A former is what was there before a change, an asset or a link.
type former[T any] struct {
	was     *T   // nil: nothing
	held    bool // it is in memory
	inBase  bool // the base has a record of it, seen or hidden, which is to be hidden behind what takes its place
	ordinal uint32
}

// formerAsset returns the asset with that id as it is now. Its place in the base may be known.
func (v *View) formerAsset(p place, id string) (old former[asset.Asset]) {
	if old = v.baseFormerAsset(p, id); !old.inBase {
		old.was, old.held = v.assets.Get(id)
	}
	return old
}

// baseFormerAsset is formerAsset for an asset that the base has a record of.
func (v *View) baseFormerAsset(p place, id string) (old former[asset.Asset]) {
	if v.base == nil {
		return old
	}
	if r, at, ok := v.base.assetAt(p, id); ok {
		return recorded(&v.hiddenAssets, r.ordinal(), func() (*asset.Asset, bool) { return v.base.decodeAsset(at, r) })
	}
	return old
}

// recorded returns what took the place of the base's record with that ordinal; if nothing did, what the record says.
func recorded[T any](h *hidden[T], ordinal uint32, decode func() (*T, bool)) former[T] {
	old := former[T]{inBase: true, ordinal: ordinal}
	if h.has(ordinal) {
		old.was = h.successor(ordinal)
		old.held = old.was != nil
	} else {
		old.was, _ = decode()
	}
	return old
}

// formerLink is formerAsset for a link.
func (v *View) formerLink(p place, product, name string) (old former[asset.Link]) {
	if old = v.baseFormerLink(p, product, name); !old.inBase {
		old.was, old.held = v.changedLink(product, name)
	}
	return old
}

// baseFormerLink is baseFormerAsset for a link.
func (v *View) baseFormerLink(p place, product, name string) (old former[asset.Link]) {
	if v.base == nil {
		return old
	}
	if r, ok := v.base.linkAt(p, product, name); ok {
		return recorded(&v.hiddenLinks, r.ordinal(), func() (*asset.Link, bool) { return v.base.decodeLink(r) })
	}
	return old
}

// putAsset looks for a former asset by putting the new one: most are new.
func (v *View) putAsset(p place, a *asset.Asset) {
	old := v.baseFormerAsset(p, a.ID)
	if !old.inBase {
		made := v.atLeast(nil, a)
		if old.was, old.held = v.assets.Load(a.ID, made); !old.held {
			add(&v.owned, a.Owner, +1)
			v.reindex(nil, made, false)
			return
		}
	}
	v.replaceAsset(old, a)
}

// changeAsset puts what change makes of the asset, if it is there.
func (v *View) changeAsset(p place, id string, change func(*asset.Asset) *asset.Asset) {
	if old := v.formerAsset(p, id); old.was != nil {
		v.replaceAsset(old, change(old.was))
	}
}

func (v *View) deleteAsset(id string) {
	if old := v.formerAsset(place{}, id); old.was != nil {
		v.replaceAsset(old, nil)
	}
}

// replaceAsset puts a in old's place; nil deletes it.
func (v *View) replaceAsset(old former[asset.Asset], a *asset.Asset) {
	if old.was != nil {
		add(&v.owned, old.was.Owner, -1)
	}
	if a == nil {
		v.retired = max(v.retired, v.purgedAt(old.was))
		v.assets.Delete(old.was.ID)
	} else {
		a = v.atLeast(old.was, a)
		v.assets.Set(a.ID, a)
		add(&v.owned, a.Owner, +1)
	}
	if old.inBase {
		v.hiddenAssets.hide(v.edit, old.ordinal, int(v.base.nAssets), a)
	}
	v.reindex(old.was, a, old.inBase && !old.held)
}

// atLeast returns a with a generation that is no lower than that of old, or if there is none, of all that was deleted.
func (v *View) atLeast(old, a *asset.Asset) *asset.Asset {
	least := v.retired
	if old != nil {
		least = old.Generation
		if !slices.Equal(old.Tags, a.Tags) { // a tag that goes leaves its purges behind
			least = v.purgedAt(old)
		}
	}
	if a.Generation >= least {
		return a
	}
	next := *a
	next.Generation = least
	return &next
}

// purgedAt is the generation of an asset with those of its tags.
func (v *View) purgedAt(a *asset.Asset) uint64 {
	return max(a.Generation, v.tagGeneration(a.Owner, a.Tags))
}

// add adds n to what is counted under key; what is 0 is not kept.
func add(m *btree.Map[string, int], key string, n int) {
	if had, _ := m.Get(key); had+n != 0 {
		m.Set(key, had+n)
		return
	}
	m.Delete(key)
}

// reindex keeps the uses of originals and the orphans in step when the versions of old become those of a; nil has none.
// hid says that those of old were the base's, and were hidden with its record.
func (v *View) reindex(old, a *asset.Asset, hid bool) {
	before, after := versions(old), versions(a)
	same := 0
	for same < len(before) && same < len(after) && before[same].Digest == after[same].Digest {
		same++
	}
	if x := v.reverse.made(); x != nil {
		x.reindex(old, a, same, hid)
	}
	for i := same; i < len(after); i++ {
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

// putLink is putAsset for a link.
func (v *View) putLink(p place, l *asset.Link) {
	old, links := v.baseFormerLink(p, l.Product, l.Name), v.names(l.Product)
	made := linkAtLeast(v.retired, l)
	if !old.inBase {
		old.was, old.held = links.m.Load(l.Name, made)
	}
	if old.was != nil {
		made = linkAtLeast(old.was.Generation, l)
	}
	v.takeLink(old, made)
	if old.inBase || old.held {
		links.m.Set(l.Name, made)
	}
	v.heldLinks++
	if x := v.reverse.made(); x != nil {
		x.linksOf.Set(linkKey(made), made)
	}
	add(&v.linked, l.Product, +1)
}

// linkAtLeast returns l with a generation that is no lower than least.
func linkAtLeast(least uint64, l *asset.Link) *asset.Link {
	if l.Generation >= least {
		return l
	}
	next := *l
	next.Generation = least
	return &next
}

func (v *View) deleteLink(product, name string) {
	old := v.formerLink(place{}, product, name)
	if old.was == nil {
		return
	}
	v.retired = max(v.retired, old.was.Generation)
	v.takeLink(old, nil)
	if !old.held {
		return
	}
	n := v.names(product)
	n.m.Delete(name)
	if n.m.Len() == 0 {
		v.links.Delete(product)
	}
}

// takeLink takes a link out for by, nil when nothing takes its place. Where it is in memory, it still stands under its
// name.
func (v *View) takeLink(old former[asset.Link], by *asset.Link) {
	if old.inBase {
		v.hiddenLinks.hide(v.edit, old.ordinal, int(v.base.nLinks), by)
	}
	if old.was != nil {
		add(&v.linked, old.was.Product, -1)
	}
	if !old.held {
		return
	}
	v.heldLinks--
	if x := v.reverse.made(); x != nil {
		x.linksOf.Delete(linkKey(old.was))
	}
}

// names returns the product's links for changing: its own copy of them, made at the first change of this edit.
func (v *View) names(product string) *names {
	n, ok := v.links.Get(product)
	switch {
	case !ok:
		n = &names{edit: v.edit, m: newMap[*asset.Link]()}
	case n.edit == v.edit:
		return n
	default:
		n = &names{edit: v.edit, m: forkMap(n.m)}
	}
	v.links.Set(product, n)
	return n
}
