package catalog

import (
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

func (v *View) putAsset(a *asset.Asset) {
	old, ok := v.Asset(a.ID)
	least := v.retired
	if ok {
		least = old.Generation
		add(&v.owned, old.Owner, -1)
	}
	if a.Generation < least {
		next := *a
		next.Generation = least
		a = &next
	}
	hid := v.hideAsset(a.ID, a)
	v.assets.Set(a.ID, a)
	add(&v.owned, a.Owner, +1)
	v.reindex(old, a, hid)
}

func (v *View) deleteAsset(id string) {
	old, ok := v.Asset(id)
	if !ok {
		return
	}
	v.retired = max(v.retired, old.Generation)
	hid := v.hideAsset(id, nil)
	v.assets.Delete(id)
	add(&v.owned, old.Owner, -1)
	v.reindex(old, nil, hid)
}

// hideAsset hides the base's record of the asset behind what takes its place, nil when it is deleted. It reports whether
// the record could be seen before.
func (v *View) hideAsset(id string, by *asset.Asset) (seen bool) {
	if v.base == nil {
		return false
	}
	r, _, ok := v.base.findAsset(id)
	if !ok {
		return false
	}
	seen = !v.hiddenAssets.has(r.ordinal())
	v.hiddenAssets.hide(v.edit, r.ordinal(), int(v.base.nAssets), by)
	return seen
}

// hideLink is hideAsset for a link.
func (v *View) hideLink(product, name string, by *asset.Link) (seen bool) {
	if v.base == nil {
		return false
	}
	r, ok := v.base.findLink(product, name)
	if !ok {
		return false
	}
	seen = !v.hiddenLinks.has(r.ordinal())
	v.hiddenLinks.hide(v.edit, r.ordinal(), int(v.base.nLinks), by)
	return seen
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

func (v *View) putLink(l *asset.Link) {
	least := v.retired
	old, replaced := v.Link(l.Product, l.Name)
	if replaced {
		least = old.Generation
	}
	if l.Generation < least {
		next := *l
		next.Generation = least
		l = &next
	}
	if replaced {
		v.takeLink(old)
	}
	v.hideLink(l.Product, l.Name, l)
	v.names(l.Product).m.Set(l.Name, l)
	v.heldLinks++
	if x := v.reverse.made(); x != nil {
		x.linksOf.Set(linkKey(l), l)
	}
	add(&v.linked, l.Product, +1)
}

func (v *View) deleteLink(product, name string) {
	old, ok := v.Link(product, name)
	if !ok {
		return
	}
	v.retired = max(v.retired, old.Generation)
	v.takeLink(old)
}

// takeLink takes a link out, from wherever it is.
func (v *View) takeLink(old *asset.Link) {
	add(&v.linked, old.Product, -1)
	if v.hideLink(old.Product, old.Name, nil) {
		return
	}
	n := v.names(old.Product)
	n.m.Delete(old.Name)
	v.heldLinks--
	if x := v.reverse.made(); x != nil {
		x.linksOf.Delete(linkKey(old))
	}
	if n.m.Len() == 0 {
		v.links.Delete(old.Product)
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
