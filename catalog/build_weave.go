package catalog

import (
	"bufio"
	"bytes"
	"context"
	"io"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A weaver fills a written base's tables and what leads from record to record.
type weaver struct {
	baseHead
	names   []nameCount
	data    []byte
	spilled *bufio.Reader
	id      []byte
}

func (w *weaver) weave(ctx context.Context) error {
	n := 0
	for off := uint64(headBytes); off < w.recordsEnd; n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		length, err := w.weaveRecord(off)
		if err != nil {
			return err
		}
		off += length
	}
	return nil
}

func (w *weaver) weaveRecord(off uint64) (uint64, error) {
	if w.data[off] == kindAsset {
		r := assetRecord(w.data[off : off+uint64(le.Uint32(w.data[off+4:]))])
		return uint64(len(r)), w.weaveAsset(off, r)
	}
	n := uint64(linkBytes(w.data[off+1], int(le.Uint16(w.data[off+2:]))))
	return n, w.weaveLink(off, linkRecord(w.data[off:off+n]))
}

// weaveAsset enters the asset and its originals.
func (w *weaver) weaveAsset(off uint64, r assetRecord) error {
	w.id = r.appendID(w.id[:0])
	t := table{w.assetsAt(), w.assetBuckets}
	hash := hashAsset(borrow(w.id))
	slot, taken := w.slot(t, hash, w.isAsset)
	if taken != 0 {
		return refused("asset %q comes twice", w.id)
	}
	le.PutUint64(slot, slotOf(hash, off))
	for i := range r.versions() {
		w.weaveVersion(off+uint64(r.place(i)), versionRecord(r[r.place(i):]))
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

// weaveLink enters the link, and puts it in front of the others of its asset unless it is the first.
func (w *weaver) weaveLink(off uint64, r linkRecord) error {
	hash := hashLink(w.names[r.product()].Name, borrow(r.name()))
	slot, _ := w.slot(table{w.linksAt(), w.linkBuckets}, hash, nil)
	le.PutUint64(slot, slotOf(hash, off))
	if r.asset() != 0 {
		return nil
	}
	if err := w.readID(); err != nil {
		return err
	}
	_, at := w.slot(table{w.assetsAt(), w.assetBuckets}, hashAsset(borrow(w.id)), w.isAsset)
	if at == 0 {
		return refused("link %q is to asset %q, which does not come before it", r.name(), w.id)
	}
	links := w.data[at+24:]
	le.PutUint64(r[16:], at)
	le.PutUint64(r[24:], le.Uint64(links))
	le.PutUint64(links, off)
	return nil
}

// readID sets w.id to the next one that was spilled.
func (w *weaver) readID() error {
	n, err := w.spilled.ReadByte()
	if err != nil {
		return err
	}
	w.id = append(w.id[:0], make([]byte, n)...)
	_, err = io.ReadFull(w.spilled, w.id)
	return err
}

// isAsset reports whether the asset at an offset has the id w.id.
func (w *weaver) isAsset(at uint64) bool {
	var space [maxIDBytes]byte
	return bytes.Equal(assetRecord(w.data[at:]).appendID(space[:0]), w.id)
}

// slot returns a key's slot and the offset in it, or the free slot where the key belongs and 0. With is nil the key is
// known to be new.
func (w *weaver) slot(t table, hash uint64, is func(at uint64) bool) (slot []byte, off uint64) {
	for bucket := t.home(hash); ; bucket = t.after(bucket) {
		line := w.data[t.at+bucket*bucketBytes:][:bucketBytes]
		for ; len(line) > 0; line = line[slotBytes:] {
			found := le.Uint64(line)
			if found == 0 {
				return line, 0
			}
			if off := found & maxOffset; is != nil && found == slotOf(hash, off) && is(off) {
				return line, off
			}
		}
	}
}
