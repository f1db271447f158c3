package catalog

import (
	"iter"
	"sort"

	"github.com/assetmatrix/assetmatrix/asset"
)

// walk returns the records from the one at off to the end: what kind each is, and where. It ends early when one cannot
// be read.
func (b *base) walk(off uint64) iter.Seq2[byte, uint64] {
	return func(yield func(byte, uint64) bool) {
		for off < b.recordsEnd {
			kind, n, ok := b.recordAt(off)
			if !ok || !yield(kind, off) {
				return
			}
			off += n
		}
	}
}

// recordAt returns the kind and the length of the record at off.
func (b *base) recordAt(off uint64) (kind byte, n uint64, ok bool) {
	if !b.inRecords(off, 1) {
		return 0, 0, false
	}
	if kind = b.data[off]; kind == kindAsset {
		r, ok := b.asset(off)
		return kind, uint64(len(r)), ok
	}
	r, ok := b.link(off)
	return kind, uint64(len(r)), ok
}

// linksFrom returns a product's links from the first whose name is not before the given one, in the order of names.
func (b *base) linksFrom(product, name string) iter.Seq[linkRecord] {
	return func(yield func(linkRecord) bool) {
		n := b.nameOf(product)
		if n == nil || n.Links == 0 {
			return
		}
		for kind, off := range b.walk(b.seek(n, name)) {
			if kind != kindLink {
				continue
			}
			r, ok := b.link(off)
			ordinal := uint64(r.ordinal())
			if !ok || ordinal >= n.First+uint64(n.Links) {
				return
			}
			if ordinal >= n.First && string(r.name()) >= name && !yield(r) {
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

// seek returns the offset of a link at most indexStep links before the first of n's whose name is not before the given
// one.
func (b *base) seek(n *nameCount, name string) uint64 {
	from := int((n.First + indexStep - 1) / indexStep)
	to := int((n.First+uint64(n.Links)-1)/indexStep) + 1
	i := from + sort.Search(to-from, func(i int) bool {
		r, ok := b.link(b.indexed(from + i))
		return !ok || string(r.name()) >= name
	})
	return b.indexed(max(i-1, 0))
}

// indexed returns the offset of link number i × indexStep; the end of all records when it cannot be read.
func (b *base) indexed(i int) uint64 {
	at := b.everyAt() + 8*uint64(i)
	if !b.touch(at, 8) {
		return b.recordsEnd
	}
	return le.Uint64(b.data[at:])
}

// linksOf returns the links of the asset with that id, the last one first.
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
	if back > uint64(len(u.asset)-versionHead) {
		return u, b.malformed(off)
	}
	u.version = versionRecord(u.asset[back:])
	if u.version.media() >= uint32(len(b.meta.Media)) || u.version.providers() >= uint32(len(b.meta.Providers)) {
		return u, b.malformed(off)
	}
	return u, true
}
