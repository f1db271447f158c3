package catalog

import "iter"

// A cell of a base has a link, and the link's asset behind it if there is room and no other cell has it; so what a name
// leads to takes a single load from a random place in memory. A cell in which nothing begins with a kind is free. What
// does not fit into a cell, and links of which the hashes are the same, stand in the section more, and the cell has the
// first of a chain of far records:
//
//	 0 kind  8
//	 8 link  64: offset of the link's record
//	16 next  64: offset of the next far record, 0 at the end
type farRecord []byte

const (
	kindFree = 0
	kindFar  = 'F'
	farBytes = 24

	// A cell has a multiple of so many bytes, a cache line, and at most so many.
	cellStep = 64
	minCell  = cellStep
	maxCell  = 16 * cellStep

	orderBytes = 4
)

func (r farRecord) link() uint64 { return le.Uint64(r[8:]) }
func (r farRecord) next() uint64 { return le.Uint64(r[16:]) }

func appendFar(b []byte, link, next uint64) []byte {
	return le.AppendUint64(le.AppendUint64(append(b, kindFar, 0, 0, 0, 0, 0, 0, 0), link), next)
}

// cellOf returns the offset of the cell that a link with that hash would have.
func (b *base) cellOf(hash uint64) uint64 {
	key := b.key(hash)
	part, rest := b.part(key)
	pilot := b.pilots[part*b.groups+b.group(rest)]
	return b.begin + (part*b.cells+b.cell(key, pilot))*b.cellBytes
}

// inCell returns the links of the cell at off, of which there is one at most but for those with the same hash.
func (b *base) inCell(off uint64) iter.Seq2[uint64, linkRecord] {
	return func(yield func(uint64, linkRecord) bool) {
		for n := uint64(0); n <= b.nLinks; n++ {
			if !b.inRecords(off, farBytes) {
				return
			}
			kind, at, next := b.data[off], off, uint64(0)
			if kind == kindFree && n == 0 {
				return
			}
			if kind == kindFar {
				far := farRecord(b.data[off : off+farBytes])
				at, next = far.link(), far.next()
			}
			r, ok := b.link(at)
			if !ok || !yield(at, r) || next == 0 {
				return
			}
			off = next
		}
		b.malformed(off)
	}
}

// findLink returns a product's link with that name, and where its record is.
func (b *base) findLink(product, name string) (linkRecord, uint64, bool) {
	off := b.cellOf(hashLink(product, name))
	if !b.touch(off, b.cellBytes) {
		return nil, 0, false
	}
	cell := b.data[off : off+b.cellBytes : off+b.cellBytes]
	fetch(cell)
	if cell[0] == kindLink { // as nearly always
		if r, ok := b.linkIn(cell, off); ok && b.isLink(r, product, name) {
			return r, off, true
		}
		return nil, 0, false
	}
	for at, r := range b.inCell(off) {
		if b.isLink(r, product, name) {
			return r, at, true
		}
	}
	return nil, 0, false
}

// assetOf returns the record of the asset of a link whose record is at an offset, and where that is.
func (b *base) assetOf(l linkRecord, at uint64) (assetRecord, uint64, bool) {
	own := l.asset()
	if behind := l[len(l):cap(l)]; own == at+uint64(len(l)) && len(behind) >= assetHead {
		r, ok := b.assetIn(assetRecord(behind), own)
		return r, own, ok
	}
	r, ok := b.asset(own)
	return r, own, ok
}

// isLink reports whether the link is that of a product with that name.
func (b *base) isLink(r linkRecord, product, name string) bool {
	return string(r.name()) == name && b.meta.Names[r.product()].Name == product
}

// fetch begins to load a cell up to where most versions end, as the asset would otherwise wait for the link.
func fetch(cell []byte) {
	if len(cell) >= 4*cellStep {
		loaded(cell[cellStep] ^ cell[2*cellStep] ^ cell[3*cellStep])
	}
}

// linkNumber returns link number i in the order of (product, name).
func (b *base) linkNumber(i int) (linkRecord, bool) {
	at := b.orderAt() + orderBytes*uint64(i)
	if !b.touch(at, orderBytes) {
		return nil, false
	}
	cell := uint64(le.Uint32(b.data[at:]))
	if cell >= b.cellsLen() {
		return nil, b.malformed(at)
	}
	for _, r := range b.inCell(b.begin + cell*b.cellBytes) {
		if r.ordinal() == uint32(i) {
			return r, true
		}
	}
	return nil, b.malformed(at)
}

// loaded is somebody who wants a value, without which the compiler would leave out the loads.
//
//go:noinline
func loaded(byte) {}
