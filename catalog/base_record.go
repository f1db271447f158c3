package catalog

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A link's record:
//
//	 0 kind, flags  8 bits each
//	 2 name         16: its length
//	 4 ordinal      32: how many links are before it
//	 8 product      32: place in meta.Names
//	12 pin          32
//	16 asset        64: offset of the asset's record
//	24 next         64: offset of another link of the same asset, 0 at the end
//	32 generation   64
//	40 changed      time: the latest of created and updated
//	48 the name; with linkUpdated also created and updated
type linkRecord []byte

const (
	kindLink    = 'L'
	linkHead    = 48
	linkUpdated = 1 // the flag: it was changed after it was made
)

func (r linkRecord) flags() byte        { return r[1] }
func (r linkRecord) ordinal() uint32    { return le.Uint32(r[4:]) }
func (r linkRecord) product() uint32    { return le.Uint32(r[8:]) }
func (r linkRecord) pin() int           { return int(le.Uint32(r[12:])) }
func (r linkRecord) asset() uint64      { return le.Uint64(r[16:]) }
func (r linkRecord) next() uint64       { return le.Uint64(r[24:]) }
func (r linkRecord) generation() uint64 { return le.Uint64(r[32:]) }
func (r linkRecord) changed() int64     { return int64(le.Uint64(r[40:])) }
func (r linkRecord) name() []byte       { return r[linkHead : linkHead+int(le.Uint16(r[2:]))] }
func (r linkRecord) times() []byte      { return r[linkHead+int(le.Uint16(r[2:])):] }

// length returns how many bytes the record has by what its first four say.
func (r linkRecord) length() int {
	n := linkHead + int(le.Uint16(r[2:]))
	if r.flags()&linkUpdated != 0 {
		n += 16
	}
	return n
}

// An asset's record:
//
//	 0 kind, flags, status  8 bits each
//	 3 id           8: its length
//	 4 size         32: of the record
//	 8 ordinal      32: how many assets are before it
//	12 owner        32: place in meta.Names
//	16 current      32
//	20 versions     32: how many there are
//	24 links        64: offset of one of its links, 0 when it has none
//	32 generation   64
//	40 created, updated  times
//	56 the id, of a UUID its 16 bytes
//	   the place of each version and of the rest in the record, 32 bits each
//	   the versions
//	   with assetArchived when; with assetFocal the two fractions; the number of tags, and each with its length, 8 bits
type assetRecord []byte

const (
	kindAsset     = 'A'
	assetHead     = 56
	assetUUID     = 1 // the id is a UUID in its usual spelling
	assetFocal    = 2
	assetArchived = 4
	uuidBytes     = 16
	uuidChars     = 36
	maxIDBytes    = 64
)

func (r assetRecord) flags() byte        { return r[1] }
func (r assetRecord) ordinal() uint32    { return le.Uint32(r[8:]) }
func (r assetRecord) owner() uint32      { return le.Uint32(r[12:]) }
func (r assetRecord) current() int       { return int(le.Uint32(r[16:])) }
func (r assetRecord) versions() int      { return int(le.Uint32(r[20:])) }
func (r assetRecord) links() uint64      { return le.Uint64(r[24:]) }
func (r assetRecord) generation() uint64 { return le.Uint64(r[32:]) }
func (r assetRecord) created() int64     { return int64(le.Uint64(r[40:])) }
func (r assetRecord) updated() int64     { return int64(le.Uint64(r[48:])) }

// places returns where in the record the list of places begins.
func (r assetRecord) places() int { return assetHead + int(r[3]) }

// place returns where in the record version i begins, counted from 0; behind the last one, the rest.
func (r assetRecord) place(i int) int { return int(le.Uint32(r[r.places()+4*i:])) }

// appendID appends the id.
func (r assetRecord) appendID(b []byte) []byte {
	id := r[assetHead:r.places()]
	if r.flags()&assetUUID == 0 {
		return append(b, id...)
	}
	for i, n := range [...]int{4, 2, 2, 2, 6} {
		if i > 0 {
			b = append(b, '-')
		}
		b, id = hex.AppendEncode(b, id[:n]), id[n:]
	}
	return b
}

// A version's entry:
//
//	 0 next         64: offset of another entry with the same original, 0 at the end
//	 8 digest
//	40 size         64: of the original
//	48 created      time
//	56 back         32: from here back to the asset's record
//	60 number, media, providers, width, height, pages  32 each
//	84 flags, orientation  8 each
//	86 thumbhash, dominant  8 each: their lengths, and behind the entry they themselves
type versionRecord []byte

const (
	versionHead     = 88
	versionPicture  = 1
	versionAnimated = 2
	versionAlpha    = 4
	versionDrawn    = 8
	versionThumb    = 16 // the ThumbHash is base64 in its usual spelling, and stands here without it
	versionDominant = 32 // the dominant colour is "#rrggbb", and stands here as three bytes
)

func (r versionRecord) next() uint64      { return le.Uint64(r) }
func (r versionRecord) digest() []byte    { return r[8:40] }
func (r versionRecord) size() int64       { return int64(le.Uint64(r[40:])) }
func (r versionRecord) created() int64    { return int64(le.Uint64(r[48:])) }
func (r versionRecord) back() uint64      { return uint64(le.Uint32(r[56:])) }
func (r versionRecord) number() int       { return int(le.Uint32(r[60:])) }
func (r versionRecord) media() uint32     { return le.Uint32(r[64:]) }
func (r versionRecord) providers() uint32 { return le.Uint32(r[68:]) }
func (r versionRecord) flags() byte       { return r[84] }

// picture sets p to what the fixed part says.
func (r versionRecord) picture(p *asset.Picture) {
	p.Width, p.Height, p.Pages = int(le.Uint32(r[72:])), int(le.Uint32(r[76:])), int(le.Uint32(r[80:]))
	p.Orientation = int(r[85])
	flags := r.flags()
	p.Animated, p.Alpha, p.Drawn = flags&versionAnimated != 0, flags&versionAlpha != 0, flags&versionDrawn != 0
}

// baseStatuses are the values of a record's status.
var baseStatuses = [...]asset.Status{asset.Pending, asset.Active, asset.Archived}

// A time in a record is nanoseconds from 1970; noTime is the zero time, and what is between it and firstTime a place in
// meta.Times.
const (
	noTime    = math.MinInt64
	firstTime = (math.MinInt64/1_000_000_000 + 1) * 1_000_000_000
	lastTime  = math.MaxInt64 / 1_000_000_000 * 1_000_000_000
)

func (b *base) time(n int64) time.Time {
	if n >= firstTime {
		return time.Unix(0, n).UTC()
	}
	if i := n - noTime - 1; i >= 0 && i < int64(len(b.meta.Times)) {
		return b.meta.Times[i]
	}
	return time.Time{}
}

// later returns the later of two times of records.
func (b *base) later(m, n int64) int64 {
	switch {
	case m >= firstTime && n >= firstTime:
		return max(m, n)
	case b.time(n).After(b.time(m)):
		return n
	}
	return m
}

// borrow returns bytes as a string that must not outlive the call it is made for.
func borrow(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// link returns the link's record at off.
func (b *base) link(off uint64) (linkRecord, bool) {
	if !b.inRecords(off, linkHead) {
		return nil, false
	}
	n := uint64(linkRecord(b.data[off:]).length())
	if !b.inRecords(off, n) {
		return nil, false
	}
	return b.linkIn(b.data[off:off+n:off+n], off)
}

// linkIn returns the link's record at the front of bytes that may be read, which are those at off; its capacity is theirs.
func (b *base) linkIn(bytes []byte, off uint64) (linkRecord, bool) {
	n := linkRecord(bytes).length()
	if bytes[0] != kindLink || n > len(bytes) {
		return nil, b.malformed(off)
	}
	r := linkRecord(bytes[:n])
	if uint64(r.ordinal()) >= b.nLinks || r.product() >= uint32(len(b.meta.Names)) {
		return nil, b.malformed(off)
	}
	return r, true
}

// asset returns the asset's record at off, with a list of places that lie in it.
func (b *base) asset(off uint64) (assetRecord, bool) {
	if !b.inRecords(off, assetHead) {
		return nil, false
	}
	n := uint64(le.Uint32(b.data[off+4:]))
	if n < assetHead || !b.inRecords(off, n) {
		return nil, b.malformed(off)
	}
	return b.assetIn(b.data[off:off+n:off+n], off)
}

// assetIn is asset for bytes that may be read, which are those at off; there are assetHead at least.
func (b *base) assetIn(bytes []byte, off uint64) (assetRecord, bool) {
	n := le.Uint32(bytes[4:])
	if bytes[0] != kindAsset || n < assetHead || n > uint32(len(bytes)) {
		return nil, b.malformed(off)
	}
	r := assetRecord(bytes[:n:n])
	return r, b.sound(r) || b.malformed(off)
}

// sound reports whether the record's list of places lies in it, and its numbers mean something.
func (b *base) sound(r assetRecord) bool {
	return uint64(r.places())+4*(uint64(r.versions())+1) <= uint64(len(r)) && (r.flags()&assetUUID == 0 || r[3] == uuidBytes) &&
		uint64(r.ordinal()) < b.nAssets && r.owner() < uint32(len(b.meta.Names)) && int(r[2]) < len(baseStatuses)
}

// version returns entry i of the asset's record at off, counted from 0.
func (b *base) version(off uint64, r assetRecord, i int) (versionRecord, bool) {
	at := r.place(i)
	if at > len(r)-versionHead {
		return nil, b.malformed(off)
	}
	v := versionRecord(r[at:])
	if v.media() >= uint32(len(b.meta.Media)) || v.providers() >= uint32(len(b.meta.Providers)) {
		return nil, b.malformed(off)
	}
	return v, true
}

// inRecords reports whether n bytes at off are among the records and may be read.
func (b *base) inRecords(off, n uint64) bool {
	if off < b.begin || off > b.recordsEnd || n > b.recordsEnd-off {
		return b.malformed(off)
	}
	return b.touch(off, n)
}

// A place is where a base has the record that a mutation changes, at 0 when it has none. The zero place says nothing.
type place struct {
	base *base
	at   uint64
}

// find looks up what applying m will ask for, so that nobody has to when m's turn comes. b may be nil.
func (b *base) find(m *message) {
	if b == nil {
		return
	}
	for i := range m.Transactions {
		for k := range m.Transactions[i].Mutations {
			b.findPlace(&m.Transactions[i].Mutations[k])
		}
	}
}

func (b *base) findPlace(m *Mutation) {
	var at uint64
	switch {
	case m.PutAsset != nil:
		_, at, _ = b.findAsset(m.PutAsset.ID)
	case m.AddVersion != nil:
		_, at, _ = b.findAsset(m.AddVersion.Asset)
	case m.ChangeAsset != nil:
		_, at, _ = b.findAsset(m.ChangeAsset.Asset)
	case m.PutLink != nil:
		_, at, _ = b.findLink(m.PutLink.Product, m.PutLink.Name)
	default:
		return
	}
	m.place = place{b, at}
}

// assetAt is findAsset for an asset whose place may be known.
func (b *base) assetAt(p place, id string) (assetRecord, uint64, bool) {
	switch {
	case p.base != b:
		return b.findAsset(id)
	case p.at == 0:
		return nil, 0, false
	}
	r, ok := b.asset(p.at)
	return r, p.at, ok
}

// linkAt is findLink for a link whose place may be known.
func (b *base) linkAt(p place, product, name string) (linkRecord, bool) {
	switch {
	case p.base != b:
		r, _, ok := b.findLink(product, name)
		return r, ok
	case p.at == 0:
		return nil, false
	}
	return b.link(p.at)
}

// findAsset returns the asset with that id, and where its record is.
func (b *base) findAsset(id string) (assetRecord, uint64, bool) {
	var space [maxIDBytes]byte
	s := b.search(b.assets, hashAsset(id))
	for off := s.next(); off != 0; off = s.next() {
		r, ok := b.asset(off)
		if !ok {
			return nil, 0, false
		}
		if string(r.appendID(space[:0])) == id {
			return r, off, true
		}
	}
	return nil, 0, false
}

// entry sets e to what a link, given by its pin, generation and time, shows of the asset's record at off.
func (b *base) entry(e *asset.Entry, off uint64, r assetRecord, number int) bool {
	e.Status, e.Versions, e.Generation = baseStatuses[r[2]], r.versions(), max(e.Generation, r.generation())
	e.Record, e.At = b, off
	if r.flags()&assetArchived != 0 {
		rest := b.rest(off, r)
		e.Archived = b.time(int64(rest.uint64()))
		if rest.bad {
			return b.malformed(off)
		}
	}
	number = asset.Shows(e.Pin, r.current(), number)
	if number < 1 || number > r.versions() {
		return true
	}
	v, ok := b.version(off, r, number-1)
	if !ok {
		return false
	}
	e.Number, e.Digest, e.Size, e.MediaType = v.number(), asset.Digest(v.digest()), v.size(), b.meta.Media[v.media()]
	e.Created = b.time(v.created())
	if v.flags()&versionPicture != 0 {
		v.picture(&e.Picture)
	}
	return true
}

// A rest is what stands behind the fixed parts of a record, read from its front.
type rest struct {
	b   []byte
	bad bool // more was read than there is
}

func (r *rest) next(n int) []byte {
	if n > len(r.b) {
		r.bad, r.b = true, nil
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *rest) uint64() uint64 { return le.Uint64(r.next(8)) }

// short returns what stands behind its length of 8 bits.
func (r *rest) short() []byte { return r.next(int(r.next(1)[0])) }

// rest returns what is behind the versions of the record at off.
func (b *base) rest(off uint64, r assetRecord) rest {
	at := r.place(r.versions())
	if at > len(r) {
		return rest{bad: true}
	}
	return rest{b: r[at:]}
}

// tags returns the rest from the tags on.
func (b *base) tags(off uint64, r assetRecord) rest {
	rest := b.rest(off, r)
	if r.flags()&assetArchived != 0 {
		rest.next(8)
	}
	if r.flags()&assetFocal != 0 {
		rest.next(16)
	}
	return rest
}

// decodeLink returns the record as a link on the heap; false when it cannot be read.
func (b *base) decodeLink(r linkRecord) (*asset.Link, bool) {
	a, ok := b.asset(r.asset())
	if !ok {
		return nil, false
	}
	l := &asset.Link{
		Product: b.meta.Names[r.product()].Name, Name: string(r.name()), Asset: string(a.appendID(nil)),
		Pin: r.pin(), Generation: r.generation(), Created: b.time(r.changed()),
	}
	if r.flags()&linkUpdated != 0 {
		times := rest{b: r.times()}
		l.Created, l.Updated = b.time(int64(times.uint64())), b.time(int64(times.uint64()))
	}
	return l, true
}

// decodeAsset returns the record at off as an asset on the heap; false when it cannot be read.
func (b *base) decodeAsset(off uint64, r assetRecord) (*asset.Asset, bool) {
	a := &asset.Asset{
		ID: string(r.appendID(nil)), Owner: b.meta.Names[r.owner()].Name, Status: baseStatuses[r[2]], Current: r.current(),
		Generation: r.generation(), Created: b.time(r.created()), Updated: b.time(r.updated()),
	}
	if n := r.versions(); n > 0 {
		a.Versions = make([]asset.Version, n)
	}
	for i := range a.Versions {
		v, ok := b.version(off, r, i)
		if !ok || !b.decodeVersion(&a.Versions[i], v) {
			return nil, b.malformed(off)
		}
	}
	rest := b.rest(off, r)
	if r.flags()&assetArchived != 0 {
		a.ArchivedAt = b.time(int64(rest.uint64()))
	}
	if r.flags()&assetFocal != 0 {
		a.Focal = &asset.Point{X: math.Float64frombits(rest.uint64()), Y: math.Float64frombits(rest.uint64())}
	}
	if n := int(rest.next(1)[0]); n > 0 {
		a.Tags = make([]string, n)
	}
	for i := range a.Tags {
		a.Tags[i] = string(rest.short())
	}
	if rest.bad {
		return nil, b.malformed(off)
	}
	return a, true
}

func (b *base) decodeVersion(v *asset.Version, r versionRecord) bool {
	*v = asset.Version{
		Number: r.number(), Digest: asset.Digest(r.digest()), Size: r.size(), MediaType: b.meta.Media[r.media()],
		Providers: b.meta.Providers[r.providers()], Created: b.time(r.created()),
	}
	if r.flags()&versionPicture == 0 {
		return true
	}
	v.Picture = new(asset.Picture)
	r.picture(v.Picture)
	behind := rest{b: r[versionHead:]}
	v.Picture.ThumbHash, v.Picture.Dominant = string(behind.next(int(r[86]))), string(behind.next(int(r[87])))
	if r.flags()&versionThumb != 0 {
		v.Picture.ThumbHash = base64.StdEncoding.EncodeToString([]byte(v.Picture.ThumbHash))
	}
	if r.flags()&versionDominant != 0 {
		v.Picture.Dominant = "#" + hex.EncodeToString([]byte(v.Picture.Dominant))
	}
	return !behind.bad
}

// The rest of an [asset.Entry] whose asset is in b.
var _ asset.Record = (*base)(nil)

// AppendID appends the id of the asset at an offset.
func (b *base) AppendID(to []byte, at uint64) []byte {
	if r, ok := b.asset(at); ok {
		to = r.appendID(to)
	}
	runtime.KeepAlive(b)
	return to
}

// AppendTags appends its tags, with before in front of each.
func (b *base) AppendTags(to []byte, at uint64, before string) []byte {
	if r, ok := b.asset(at); ok {
		tags := b.tags(at, r)
		for n := tags.next(1)[0]; n > 0; n-- {
			to = append(append(to, before...), tags.short()...)
		}
	}
	runtime.KeepAlive(b)
	return to
}

// Asset returns all of it.
func (b *base) Asset(at uint64) *asset.Asset {
	defer runtime.KeepAlive(b)
	r, ok := b.asset(at)
	if !ok {
		return nil
	}
	a, _ := b.decodeAsset(at, r)
	return a
}

// uuidOf returns the 16 bytes of an id that is a UUID in its usual spelling.
func uuidOf(id string) (uuid [uuidBytes]byte, ok bool) {
	if len(id) != uuidChars || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
		return uuid, false
	}
	for i, from := range [uuidBytes]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34} {
		high, low := strings.IndexByte(hexDigits, id[from]), strings.IndexByte(hexDigits, id[from+1])
		if high < 0 || low < 0 {
			return uuid, false
		}
		uuid[i] = byte(high<<4 | low)
	}
	return uuid, true
}

const hexDigits = "0123456789abcdef"
