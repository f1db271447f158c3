package catalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// The codec of the journal. A mutation is its kind and its records; numbers are varints, strings and lists have their
// length in front. Each record begins with the version of its layout: a field that is added to a record goes to its
// end and raises the version, and a reader takes the fields that the version has. A record of a version, or a
// mutation of a kind, that a program does not know is for newer programs ([errNewer]).
//
// Times are instants: they come back in UTC.

// The kinds of mutations, which never change their meaning.
const (
	kindPutProduct = iota + 1
	kindDeleteProduct
	kindPutAsset
	kindAddVersion
	kindDeleteAsset
	kindPutLink
	kindDeleteLink
	kindChangeAsset
	kindPurge
	kindCondemnOriginal
	kindForgetOriginal
)

// The newest layouts of the records.
const (
	layoutProduct = 2
	layoutAsset   = 1
	layoutVersion = 1
	layoutLink    = 1
	layoutChange  = 1
	layoutPurge   = 1
)

var (
	// errNewer says that bytes are whole and for newer programs.
	errNewer = errors.New("written by a newer program, and it needs one")
	// errEncoding says that bytes are no encoding of anything.
	errEncoding = fmt.Errorf("%w: it is not what this program writes", asset.ErrCorrupt)
)

// appendMutation appends m to b.
func appendMutation(b []byte, m *Mutation) []byte {
	switch {
	case m.PutProduct != nil:
		return appendProduct(append(b, kindPutProduct), m.PutProduct)
	case m.DeleteProduct != "":
		return appendString(append(b, kindDeleteProduct), m.DeleteProduct)
	case m.PutAsset != nil:
		return appendAsset(append(b, kindPutAsset), m.PutAsset)
	case m.AddVersion != nil:
		b = appendString(append(b, kindAddVersion), m.AddVersion.Asset)
		return appendVersion(b, &m.AddVersion.Version)
	case m.DeleteAsset != "":
		return appendString(append(b, kindDeleteAsset), m.DeleteAsset)
	case m.PutLink != nil:
		return appendLink(append(b, kindPutLink), m.PutLink)
	case m.DeleteLink != nil:
		b = appendString(append(b, kindDeleteLink), m.DeleteLink.Product)
		return appendString(b, m.DeleteLink.Name)
	case m.ChangeAsset != nil:
		return appendChange(append(b, kindChangeAsset), m.ChangeAsset)
	case m.Purge != nil:
		return appendPurge(append(b, kindPurge), m.Purge)
	case m.CondemnOriginal != nil:
		return append(append(b, kindCondemnOriginal), m.CondemnOriginal[:]...)
	default:
		return append(append(b, kindForgetOriginal), m.ForgetOriginal[:]...)
	}
}

// A product without client hints has the first layout, which programs before them read.
func appendProduct(b []byte, p *asset.Product) []byte {
	layout := byte(layoutProduct)
	if !p.ClientHints {
		layout = 1
	}
	b = appendString(append(b, layout), p.Name)
	b = appendCount(b, len(p.Presets), p.Presets == nil)
	for _, name := range slices.Sorted(maps.Keys(p.Presets)) {
		b = appendString(appendString(b, name), p.Presets[name])
	}
	for _, seconds := range [...]int{p.Lifetimes.MaxAge, p.Lifetimes.SharedMaxAge, p.Lifetimes.StaleWhileRevalidate, p.Lifetimes.StaleIfError} {
		b = binary.AppendVarint(b, int64(seconds))
	}
	b = appendStrings(b, p.Origins)
	b = binary.AppendUvarint(b, p.Generation)
	b = appendTime(appendTime(b, p.Created), p.Updated)
	if layout >= 2 {
		b = appendBool(b, p.ClientHints)
	}
	return b
}

func appendAsset(b []byte, a *asset.Asset) []byte {
	b = appendString(append(b, layoutAsset), a.ID)
	b = appendString(b, a.Owner)
	b = appendStatus(b, a.Status)
	b = binary.AppendVarint(b, int64(a.Current))
	b = appendCount(b, len(a.Versions), a.Versions == nil)
	for i := range a.Versions {
		b = appendVersion(b, &a.Versions[i])
	}
	b = appendStrings(b, a.Tags)
	b = appendPoint(b, a.Focal)
	b = binary.AppendUvarint(b, a.Generation)
	return appendTime(appendTime(appendTime(b, a.Created), a.Updated), a.ArchivedAt)
}

func appendVersion(b []byte, v *asset.Version) []byte {
	b = binary.AppendVarint(append(b, layoutVersion), int64(v.Number))
	b = append(b, v.Digest[:]...)
	b = binary.AppendVarint(b, v.Size)
	b = appendString(b, v.MediaType)
	b = appendPicture(b, v.Picture)
	b = appendStrings(b, v.Providers)
	return appendTime(b, v.Created)
}

// The bits of a picture; 0 is no picture.
const (
	pictureIs = 1 << iota
	pictureAnimated
	pictureAlpha
	pictureDrawn
)

func appendPicture(b []byte, p *asset.Picture) []byte {
	if p == nil {
		return append(b, 0)
	}
	bits := byte(pictureIs)
	for bit, set := range [...]bool{p.Animated, p.Alpha, p.Drawn} {
		if set {
			bits |= pictureAnimated << bit
		}
	}
	b = append(b, bits)
	for _, n := range [...]int{p.Width, p.Height, p.Pages, p.Orientation} {
		b = binary.AppendVarint(b, int64(n))
	}
	return appendString(appendString(b, p.ThumbHash), p.Dominant)
}

func appendLink(b []byte, l *asset.Link) []byte {
	b = appendString(append(b, layoutLink), l.Product)
	b = appendString(appendString(b, l.Name), l.Asset)
	b = binary.AppendVarint(b, int64(l.Pin))
	b = binary.AppendUvarint(b, l.Generation)
	return appendTime(appendTime(b, l.Created), l.Updated)
}

func appendChange(b []byte, c *AssetChange) []byte {
	b = appendString(append(b, layoutChange), c.Asset)
	b = appendStatus(b, c.Status)
	b = binary.AppendVarint(b, int64(c.Current))
	b = appendBool(b, c.Tags != nil)
	if c.Tags != nil {
		b = appendStrings(b, *c.Tags)
	}
	b = appendBool(appendPoint(b, c.Focal), c.NoFocal)
	return appendTime(b, c.At)
}

func appendPurge(b []byte, p *Purge) []byte {
	b = appendString(append(b, layoutPurge), p.Product)
	b = appendString(appendString(b, p.Name), p.Tag)
	return appendString(b, p.Asset)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendCount appends the length of a list, so that one that is nil comes back as nil.
func appendCount(b []byte, n int, absent bool) []byte {
	if absent {
		return append(b, 0)
	}
	return binary.AppendUvarint(b, uint64(n)+1)
}

func appendStrings(b []byte, list []string) []byte {
	b = appendCount(b, len(list), list == nil)
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

func appendBool(b []byte, set bool) []byte {
	if set {
		return append(b, 1)
	}
	return append(b, 0)
}

// statuses are the statuses by number; what is not among them is written out behind len(statuses).
var statuses = [...]asset.Status{"", asset.Pending, asset.Active, asset.Archived}

func appendStatus(b []byte, s asset.Status) []byte {
	if i := slices.Index(statuses[:], s); i >= 0 {
		return append(b, byte(i))
	}
	return appendString(append(b, byte(len(statuses))), string(s))
}

func appendPoint(b []byte, p *asset.Point) []byte {
	if p == nil {
		return append(b, 0)
	}
	b = binary.LittleEndian.AppendUint64(append(b, 1), math.Float64bits(p.X))
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(p.Y))
}

// appendTime appends 0 for the zero time, else the nanoseconds + 1 and the seconds.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	return binary.AppendVarint(binary.AppendUvarint(b, uint64(t.Nanosecond())+1), t.Unix())
}

// A decoder takes apart what was encoded. The strings that it returns are parts of the string that it was given: one
// copy serves a whole entry. After the first fault all is zero, and err says why.
type decoder struct {
	rest string
	err  error
}

// fail ends the decoding.
func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.rest = ""
}

// end returns the fault, if there was one or if anything is left.
func (d *decoder) end() error {
	if d.err == nil && d.rest != "" {
		d.fail(errEncoding)
	}
	return d.err
}

// leastMutation is the length of the shortest mutation: its kind, and a name of one byte.
const leastMutation = 3

func (d *decoder) mutation() (m Mutation) {
	switch kind := d.byte(); kind {
	case kindPutProduct:
		m.PutProduct = d.product()
	case kindDeleteProduct:
		m.DeleteProduct = d.name()
	case kindPutAsset:
		m.PutAsset = d.asset()
	case kindAddVersion:
		m.AddVersion = &AddedVersion{Asset: d.string()}
		d.version(&m.AddVersion.Version)
	case kindDeleteAsset:
		m.DeleteAsset = d.name()
	case kindPutLink:
		m.PutLink = d.link()
	case kindDeleteLink:
		m.DeleteLink = &LinkRef{Product: d.string(), Name: d.string()}
	case kindChangeAsset:
		m.ChangeAsset = d.change()
	case kindPurge:
		m.Purge = d.purge()
	case kindCondemnOriginal:
		digest := d.digest()
		m.CondemnOriginal = &digest
	case kindForgetOriginal:
		digest := d.digest()
		m.ForgetOriginal = &digest
	default:
		d.fail(fmt.Errorf("a mutation of kind %d: %w", kind, errNewer))
	}
	return m
}

// name reads a string that is not empty.
func (d *decoder) name() string {
	s := d.string()
	if s == "" {
		d.fail(errEncoding)
	}
	return s
}

// layout reads a record's version, which must be one that this program knows.
func (d *decoder) layout(newest byte) byte {
	layout := d.byte()
	switch {
	case layout > newest:
		d.fail(fmt.Errorf("a record of layout %d: %w", layout, errNewer))
	case layout == 0:
		d.fail(errEncoding)
	}
	return layout
}

func (d *decoder) product() *asset.Product {
	layout := d.layout(layoutProduct)
	p := &asset.Product{Name: d.string()}
	if n, ok := d.count(2); ok {
		p.Presets = make(map[string]string, n)
		for range n {
			name := d.string()
			p.Presets[name] = d.string()
		}
	}
	p.Lifetimes = asset.Lifetimes{MaxAge: d.int(), SharedMaxAge: d.int(), StaleWhileRevalidate: d.int(), StaleIfError: d.int()}
	p.Origins = d.strings()
	p.Generation = d.uint()
	p.Created, p.Updated = d.time(), d.time()
	if layout >= 2 {
		p.ClientHints = d.bool()
	}
	return p
}

func (d *decoder) asset() *asset.Asset {
	d.layout(layoutAsset)
	a := &asset.Asset{ID: d.string(), Owner: d.string(), Status: d.status(), Current: d.int()}
	if n, ok := d.count(leastVersion); ok {
		a.Versions = make([]asset.Version, n)
		for i := range a.Versions {
			d.version(&a.Versions[i])
		}
	}
	a.Tags, a.Focal = d.strings(), d.point()
	a.Generation = d.uint()
	a.Created, a.Updated, a.ArchivedAt = d.time(), d.time(), d.time()
	return a
}

// leastVersion is the length of the shortest version: layout, number, digest, size, three lengths, time.
const leastVersion = 1 + 1 + 32 + 1 + 3 + 1

func (d *decoder) version(v *asset.Version) {
	d.layout(layoutVersion)
	v.Number, v.Digest, v.Size = d.int(), d.digest(), d.int64()
	v.MediaType = d.string()
	v.Picture = d.picture()
	v.Providers = d.strings()
	v.Created = d.time()
}

func (d *decoder) picture() *asset.Picture {
	bits := d.byte()
	if bits&pictureIs == 0 {
		return nil
	}
	p := &asset.Picture{
		Width: d.int(), Height: d.int(), Pages: d.int(), Orientation: d.int(),
		Animated: bits&pictureAnimated != 0, Alpha: bits&pictureAlpha != 0, Drawn: bits&pictureDrawn != 0,
	}
	p.ThumbHash, p.Dominant = d.string(), d.string()
	return p
}

func (d *decoder) link() *asset.Link {
	d.layout(layoutLink)
	l := &asset.Link{Product: d.string(), Name: d.string(), Asset: d.string(), Pin: d.int(), Generation: d.uint()}
	l.Created, l.Updated = d.time(), d.time()
	return l
}

func (d *decoder) change() *AssetChange {
	d.layout(layoutChange)
	c := &AssetChange{Asset: d.string(), Status: d.status(), Current: d.int()}
	if d.bool() {
		tags := d.strings()
		c.Tags = &tags
	}
	c.Focal, c.NoFocal = d.point(), d.bool()
	c.At = d.time()
	return c
}

func (d *decoder) purge() *Purge {
	d.layout(layoutPurge)
	return &Purge{Product: d.string(), Name: d.string(), Tag: d.string(), Asset: d.string()}
}

// take returns the next n bytes.
func (d *decoder) take(n uint64) string {
	if n > uint64(len(d.rest)) {
		d.fail(errEncoding)
		return ""
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken
}

func (d *decoder) byte() byte {
	if d.rest == "" {
		d.fail(errEncoding)
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) bool() bool { return d.byte() != 0 }

func (d *decoder) uint() uint64 {
	var n uint64
	for i := 0; i < len(d.rest) && i < binary.MaxVarintLen64; i++ {
		b := d.rest[i]
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			d.rest = d.rest[i+1:]
			return n
		}
	}
	d.fail(errEncoding)
	return 0
}

// int64 is [binary.Varint] over a string.
func (d *decoder) int64() int64 {
	n := d.uint()
	return int64(n>>1) ^ -int64(n&1)
}

func (d *decoder) int() int { return int(d.int64()) }

func (d *decoder) string() string { return d.take(d.uint()) }

// count returns the length of a list whose elements take at least that many bytes each; false for one that is nil.
func (d *decoder) count(least int) (int, bool) {
	n := d.uint()
	if n == 0 {
		return 0, false
	}
	if n--; n > uint64(len(d.rest)/least) {
		d.fail(errEncoding)
		return 0, false
	}
	return int(n), true
}

func (d *decoder) strings() []string {
	n, ok := d.count(1)
	if !ok {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = d.string()
	}
	return list
}

func (d *decoder) digest() (digest asset.Digest) {
	copy(digest[:], d.take(uint64(len(digest))))
	return digest
}

func (d *decoder) status() asset.Status {
	i := int(d.byte())
	switch {
	case i < len(statuses):
		return statuses[i]
	case i == len(statuses):
		return asset.Status(d.string())
	}
	d.fail(errEncoding)
	return ""
}

func (d *decoder) point() *asset.Point {
	if !d.bool() {
		return nil
	}
	return &asset.Point{X: d.float(), Y: d.float()}
}

func (d *decoder) float() float64 {
	var bits [8]byte
	copy(bits[:], d.take(8))
	return math.Float64frombits(binary.LittleEndian.Uint64(bits[:]))
}

func (d *decoder) time() time.Time {
	nanoseconds := d.uint()
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(d.int64(), int64(nanoseconds-1)).UTC()
}
