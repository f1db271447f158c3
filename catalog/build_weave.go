package catalog

import (
	"bytes"
	"context"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A weaver fills in a base, of which the records are in their places, what leads to them: the order of the links, the
// tables, and the chains of an asset's links and of an original's versions.
type weaver struct {
	baseHead
	data           []byte // the base
	notes, records []byte // as the builder has them
}

func (w *weaver) weave(ctx context.Context) error {
	if err := each(ctx, w.cellsLen(), w.weaveCell); err != nil {
		return err
	}
	if err := w.weaveMore(); err != nil {
		return err
	}
	return each(ctx, w.nLinks, w.join)
}

// each calls do with the numbers below n until it fails or ctx ends.
func each(ctx context.Context, n uint64, do func(i uint64) error) error {
	for i := range n {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := do(i); err != nil {
			return err
		}
	}
	return nil
}

// weaveCell says which links a cell has, and enters the asset that is in it.
func (w *weaver) weaveCell(number uint64) error {
	at := w.cellsAt() + number*w.cellBytes
	switch w.data[at] {
	case kindLink:
		r := linkRecord(w.data[at:])
		le.PutUint32(w.order(uint64(r.ordinal())), uint32(number))
		if own := at + uint64(r.length()); own == r.asset() && own < at+w.cellBytes {
			return w.weaveAsset(own)
		}
	case kindFar:
		for at != 0 {
			far := farRecord(w.data[at:])
			le.PutUint32(w.order(uint64(linkRecord(w.data[far.link():]).ordinal())), uint32(number))
			at = far.next()
		}
	}
	return nil
}

// order returns the place for the number of the cell of a link.
func (w *weaver) order(ordinal uint64) []byte { return w.data[w.orderAt()+orderBytes*ordinal:] }

// weaveMore enters the assets that are in no cell.
func (w *weaver) weaveMore() error {
	for at := w.moreAt(); at < w.recordsEnd; {
		switch w.data[at] {
		case kindFar:
			at += farBytes
		case kindLink:
			at += uint64(linkRecord(w.data[at:]).length())
		default:
			if err := w.weaveAsset(at); err != nil {
				return err
			}
			at += uint64(le.Uint32(w.data[at+4:]))
		}
	}
	return nil
}

// join puts a link that came without its asset in front of the asset's others.
func (w *weaver) join(ordinal uint64) error {
	n := noteAt(w.notes, ordinal)
	if n.own > 0 {
		return nil
	}
	link := w.linkAt(ordinal)
	reference := w.records[n.at+uint64(n.link):]
	id := reference[1:][:reference[0]]
	_, at := w.slot(table{w.assetsAt(), w.assetBuckets}, hashAsset(borrow(id)), w.isAsset(id))
	if at == 0 {
		return refused("link %q is to asset %q, which does not come", linkRecord(w.data[link:]).name(), id)
	}
	links := w.data[at+24:]
	le.PutUint64(w.data[link+16:], at)
	le.PutUint64(w.data[link+24:], le.Uint64(links))
	le.PutUint64(links, link)
	return nil
}

// linkAt returns the offset of a link.
func (w *weaver) linkAt(ordinal uint64) uint64 {
	at := w.cellsAt() + uint64(le.Uint32(w.order(ordinal)))*w.cellBytes
	for w.data[at] == kindFar {
		far := farRecord(w.data[at:])
		if linkRecord(w.data[far.link():]).ordinal() == uint32(ordinal) {
			return far.link()
		}
		at = far.next()
	}
	return at
}

// weaveAsset enters the asset at an offset, and its originals.
func (w *weaver) weaveAsset(at uint64) error {
	r := assetRecord(w.data[at:][:le.Uint32(w.data[at+4:])])
	var space [maxIDBytes]byte
	id := r.appendID(space[:0])
	hash := hashAsset(borrow(id))
	slot, taken := w.slot(table{w.assetsAt(), w.assetBuckets}, hash, w.isAsset(id))
	if taken != 0 {
		return refused("asset %q comes twice", id)
	}
	le.PutUint64(slot, slotOf(hash, at))
	for i := range r.versions() {
		w.weaveVersion(at+uint64(r.place(i)), versionRecord(r[r.place(i):]))
	}
	return nil
}

// weaveVersion puts the version in front of the others of its original.
func (w *weaver) weaveVersion(off uint64, r versionRecord) {
	d := asset.Digest(r.digest())
	slot, other := w.slot(table{w.originalsAt(), w.originalBuckets}, hashOriginal(d), func(at uint64) bool {
		return asset.Digest(versionRecord(w.data[at:]).digest()) == d
	})
	le.PutUint64(r, other)
	le.PutUint64(slot, slotOf(hashOriginal(d), off))
}

// isAsset returns whether the asset at an offset has that id.
func (w *weaver) isAsset(id []byte) func(at uint64) bool {
	return func(at uint64) bool {
		var space [maxIDBytes]byte
		return bytes.Equal(assetRecord(w.data[at:]).appendID(space[:0]), id)
	}
}

// slot returns a key's slot and the offset in it, or the free slot where the key belongs and 0.
func (w *weaver) slot(t table, hash uint64, is func(at uint64) bool) (slot []byte, off uint64) {
	for bucket := t.home(hash); ; bucket = t.after(bucket) {
		line := w.data[t.at+bucket*bucketBytes:][:bucketBytes]
		for ; len(line) > 0; line = line[slotBytes:] {
			found := le.Uint64(line)
			if found == 0 {
				return line, 0
			}
			if off := found & maxOffset; found == slotOf(hash, off) && is(off) {
				return line, off
			}
		}
	}
}
