package catalog

import (
	"iter"
	"sort"

	"github.com/assetmatrix/assetmatrix/asset"
)

// linksFrom returns a product's links from the first whose name is not before the given one, in the order of names.
func (b *base) linksFrom(product, name string) iter.Seq[linkRecord] {
	return func(yield func(linkRecord) bool) {
		n := b.nameOf(product)
		if n == nil {
			return
		}
		first := int(n.First)
		from := sort.Search(n.Links, func(i int) bool {
			r, ok := b.linkNumber(first + i)
			return !ok || string(r.name()) >= name
		})
		for i := from; i < n.Links; i++ {
			if r, ok := b.linkNumber(first + i); !ok || !yield(r) {
				return
			}
		}
	}
}

func (b *base) nameOf(product string) *nameCount {
	for i := range b.meta.Names {
		if n := &b.meta.Names[i]; n.Name == product {
			return n
		}
	}
	return nil
}

// allAssets returns the records of all assets, in no order, and where they are.
func (b *base) allAssets() iter.Seq2[uint64, assetRecord] {
	return func(yield func(uint64, assetRecord) bool) {
		for at := b.assetsAt(); at < b.originalsAt(); at += slotBytes {
			if !b.touch(at, slotBytes) {
				return
			}
			off := le.Uint64(b.data[at:]) & maxOffset
			if off == 0 {
				continue
			}
			if r, ok := b.asset(off); !ok || !yield(off, r) {
				return
			}
		}
	}
}

// linksOf returns the links of the asset with that id, in no order that is promised.
func (b *base) linksOf(id string) iter.Seq[linkRecord] {
	return func(yield func(linkRecord) bool) {
		a, at, ok := b.findAsset(id)
		if !ok {
			return
		}
		next, n := a.links(), uint64(0)
		for ; next != 0 && n < b.nLinks; n++ {
			r, ok := b.link(next)
			if !ok || !yield(r) {
				return
			}
			next = r.next()
		}
		if next != 0 {
			b.malformed(at)
		}
	}
}

// A baseUse is a version that uses an original.
type baseUse struct {
	at      uint64 // of the asset's record
	asset   assetRecord
	version versionRecord
}

// uses returns the versions that use an original.
func (b *base) uses(original asset.Digest) iter.Seq[baseUse] {
	return func(yield func(baseUse) bool) {
		next, n := b.findOriginal(original), uint64(0)
		for ; next != 0 && n < b.nVersions; n++ {
			u, ok := b.use(next)
			if !ok || !yield(u) {
				return
			}
			next = u.version.next()
		}
		if next != 0 {
			b.malformed(next)
		}
	}
}

// findOriginal returns the offset of the first version entry with that original, 0 when there is none.
func (b *base) findOriginal(d asset.Digest) uint64 {
	s := b.search(b.originals, hashOriginal(d))
	for off := s.next(); off != 0; off = s.next() {
		u, ok := b.use(off)
		if !ok {
			return 0
		}
		if asset.Digest(u.version.digest()) == d {
			return off
		}
	}
	return 0
}

// use returns the version entry at off.
func (b *base) use(off uint64) (u baseUse, ok bool) {
	if !b.inRecords(off, versionHead) {
		return u, false
	}
	back := versionRecord(b.data[off : off+versionHead]).back()
	if back > off {
		return u, b.malformed(off)
	}
	u.at = off - back
	if u.asset, ok = b.asset(u.at); !ok {
		return u, false
	}
	if back+versionHead > uint64(len(u.asset)) {
		return u, b.malformed(off)
	}
	u.version = versionRecord(u.asset[back:])
	if u.version.media() >= uint32(len(b.meta.Media)) || u.version.providers() >= uint32(len(b.meta.Providers)) {
		return u, b.malformed(off)
	}
	return u, true
}
