package catalog

import (
	"bytes"
	"context"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A weaver places records in a base that is laid out, enters them into the tables, and fills in what leads from one to
// another.
type weaver struct {
	baseHead
	data    []byte // the base
	records []byte // what is to be placed
	notes   []byte
	pilots  []byte
	twice   map[uint64]bool
	more    uint64 // the offset of the next record that is in no cell
	links   int    // that were placed
}

func (w *weaver) weave(ctx context.Context) error {
	for n := 0; len(w.records) > 0; n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := w.weaveNext(); err != nil {
			return err
		}
	}
	return nil
}

// take returns the next n bytes of the records.
func (w *weaver) take(n uint32) []byte {
	b := w.records[:n]
	w.records = w.records[n:]
	return b
}

// weaveNext places an asset that stands alone, or a link and its asset if that comes behind it.
func (w *weaver) weaveNext() error {
	if w.records[0] == kindAsset {
		return w.weaveAsset(w.append(w.take(le.Uint32(w.records[4:]))))
	}
	n := noteAt(w.notes, w.links)
	link, room := w.weaveLink(n.key, w.take(n.link))
	w.links++
	if n.own == 0 {
		return w.join(link, w.take(2 + uint32(w.records[1]))[2:])
	}
	own, at := w.take(n.own), link+uint64(n.link)
	if uint64(len(own)) > room {
		at = w.append(own)
	} else {
		copy(w.data[at:], own)
	}
	le.PutUint64(w.data[link+16:], at)
	le.PutUint64(w.data[at+24:], link)
	return w.weaveAsset(at)
}

// append places what fits into no cell.
func (w *weaver) append(record []byte) (at uint64) {
	at = w.more
	w.more += uint64(copy(w.data[at:w.recordsEnd], record))
	return at
}

// weaveLink places a link, and returns where, and how much room is behind it in its cell.
func (w *weaver) weaveLink(key uint64, r []byte) (at, room uint64) {
	part, rest := w.part(key)
	number := part*w.cells + w.cell(key, w.pilots[part*w.groups+w.group(rest)])
	le.PutUint32(w.data[w.orderAt()+orderBytes*uint64(w.links):], uint32(number))
	cell := w.data[w.cellsAt()+number*w.cellBytes:][:w.cellBytes]
	if uint64(len(r)) <= w.cellBytes && !w.twice[key] {
		return w.cellsAt() + number*w.cellBytes, uint64(len(cell) - copy(cell, r))
	}
	next := uint64(0)
	if cell[0] == kindFar {
		next = w.append(cell[:farBytes])
	}
	at = w.append(r)
	copy(cell, appendFar(nil, at, next))
	return at, 0
}

// join puts the link at an offset in front of the others of the asset with an id.
func (w *weaver) join(link uint64, id []byte) error {
	_, at := w.slot(table{w.assetsAt(), w.assetBuckets}, hashAsset(borrow(id)), w.isAsset(id))
	if at == 0 {
		return refused("link %q is to asset %q, which does not come before it", linkRecord(w.data[link:]).name(), id)
	}
	links := w.data[at+24:]
	le.PutUint64(w.data[link+16:], at)
	le.PutUint64(w.data[link+24:], le.Uint64(links))
	le.PutUint64(links, link)
	return nil
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
