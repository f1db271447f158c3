package catalog

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// An encoder makes records, and gathers what they have in common in the meta section.
type encoder struct {
	meta      meta
	names     map[string]uint32
	media     map[string]uint32
	providers map[string]uint32
}

func newEncoder() *encoder {
	e := &encoder{names: map[string]uint32{}, media: map[string]uint32{}, providers: map[string]uint32{}}
	e.listOf(nil) // what has no providers need not be looked up
	return e
}

// name returns the place of a product's name.
func (e *encoder) name(product string) uint32 {
	i, ok := e.names[product]
	if !ok {
		i = uint32(len(e.meta.Names))
		e.names[product] = i
		e.meta.Names = append(e.meta.Names, nameCount{Name: product})
	}
	return i
}

func (e *encoder) mediaType(s string) uint32 {
	i, ok := e.media[s]
	if !ok {
		i = uint32(len(e.meta.Media))
		e.media[strings.Clone(s)] = i
		e.meta.Media = append(e.meta.Media, strings.Clone(s))
	}
	return i
}

// listOf returns the place of a list of providers.
func (e *encoder) listOf(providers []string) uint32 {
	key := strings.Join(providers, "\x00")
	i, ok := e.providers[key]
	if !ok {
		i = uint32(len(e.meta.Providers))
		e.providers[key] = i
		e.meta.Providers = append(e.meta.Providers, append([]string(nil), providers...))
	}
	return i
}

// time returns a record's form of t.
func (e *encoder) time(t time.Time) int64 {
	if t.IsZero() {
		return noTime
	}
	if s := t.Unix(); s >= firstTime/1_000_000_000 && s < lastTime/1_000_000_000 {
		return t.UnixNano()
	}
	e.meta.Times = append(e.meta.Times, t.UTC())
	return noTime + int64(len(e.meta.Times))
}

func (e *encoder) appendTime(b []byte, t time.Time) []byte {
	return le.AppendUint64(b, uint64(e.time(t)))
}

// appendLink appends a link as number ordinal whose asset is at an offset, 0 when that is not known yet.
func (e *encoder) appendLink(b []byte, l *asset.Link, ordinal uint32, at uint64) ([]byte, error) {
	if len(l.Name) > math.MaxUint16 || l.Pin < 0 || l.Pin > math.MaxUint32 {
		return b, fmt.Errorf("link %.80q of %q does not fit into a base", l.Name, l.Product)
	}
	var flags byte
	changed := l.Created
	if !l.Updated.IsZero() {
		flags = linkUpdated
		if l.Updated.After(l.Created) {
			changed = l.Updated
		}
	}
	b = append(b, kindLink, flags)
	b = le.AppendUint16(b, uint16(len(l.Name)))
	b = le.AppendUint32(b, ordinal)
	b = le.AppendUint32(b, e.name(l.Product))
	b = le.AppendUint32(b, uint32(l.Pin))
	b = le.AppendUint64(b, at)
	b = le.AppendUint64(b, 0)
	b = le.AppendUint64(b, l.Generation)
	b = e.appendTime(b, changed)
	b = append(b, l.Name...)
	if flags&linkUpdated != 0 {
		b = e.appendTime(e.appendTime(b, l.Created), l.Updated)
	}
	return b, nil
}

// appendAsset appends an asset as number ordinal with the offset of its last link, 0 when it has none.
func (e *encoder) appendAsset(b []byte, a *asset.Asset, ordinal uint32, links uint64) ([]byte, error) {
	status, ok := statusOf(a.Status)
	if !ok || len(a.ID) > math.MaxUint8 || a.Current < 0 || a.Current > len(a.Versions) || len(a.Tags) > math.MaxUint8 {
		return b, fmt.Errorf("asset %.80q does not fit into a base", a.ID)
	}
	begin := len(b)
	flags, id := byte(0), []byte(a.ID)
	if uuid, ok := uuidOf(a.ID); ok {
		flags, id = assetUUID, uuid[:]
	}
	if a.Focal != nil {
		flags |= assetFocal
	}
	if !a.ArchivedAt.IsZero() {
		flags |= assetArchived
	}
	b = append(b, kindAsset, flags, status, byte(len(id)))
	b = le.AppendUint32(b, 0) // the size, when it is known
	b = le.AppendUint32(b, ordinal)
	b = le.AppendUint32(b, e.name(a.Owner))
	b = le.AppendUint32(b, uint32(a.Current))
	b = le.AppendUint32(b, uint32(len(a.Versions)))
	b = le.AppendUint64(b, links)
	b = le.AppendUint64(b, a.Generation)
	b = e.appendTime(e.appendTime(b, a.Created), a.Updated)
	b = append(b, id...)
	places := len(b)
	b = append(b, make([]byte, 4*(len(a.Versions)+1))...)
	for i := range a.Versions {
		le.PutUint32(b[places+4*i:], uint32(len(b)-begin))
		var err error
		if b, err = e.appendVersion(b, &a.Versions[i], len(b)-begin); err != nil {
			return b, fmt.Errorf("asset %q: %w", a.ID, err)
		}
	}
	le.PutUint32(b[places+4*len(a.Versions):], uint32(len(b)-begin))
	b, err := e.appendRest(b, a)
	if len(b)-begin > math.MaxInt32 {
		return b, fmt.Errorf("asset %q is too large for a base", a.ID)
	}
	le.PutUint32(b[begin+4:], uint32(len(b)-begin))
	return b, err
}

func statusOf(s asset.Status) (byte, bool) {
	for i := range baseStatuses {
		if baseStatuses[i] == s {
			return byte(i), true
		}
	}
	return 0, false
}

func (e *encoder) appendRest(b []byte, a *asset.Asset) ([]byte, error) {
	if !a.ArchivedAt.IsZero() {
		b = e.appendTime(b, a.ArchivedAt)
	}
	if f := a.Focal; f != nil {
		b = le.AppendUint64(le.AppendUint64(b, math.Float64bits(f.X)), math.Float64bits(f.Y))
	}
	b = append(b, byte(len(a.Tags)))
	for _, tag := range a.Tags {
		if len(tag) > math.MaxUint8 {
			return b, fmt.Errorf("tag %.80q of asset %q does not fit into a base", tag, a.ID)
		}
		b = append(append(b, byte(len(tag))), tag...)
	}
	return b, nil
}

// appendVersion appends the entry of a version that begins so far behind its asset's record.
func (e *encoder) appendVersion(b []byte, v *asset.Version, back int) ([]byte, error) {
	p, flags := new(asset.Picture), byte(0)
	if v.Picture != nil {
		p, flags = v.Picture, versionPicture
	}
	for _, flag := range [...]struct {
		bit byte
		set bool
	}{{versionAnimated, p.Animated}, {versionAlpha, p.Alpha}, {versionDrawn, p.Drawn}} {
		if flag.set {
			flags |= flag.bit
		}
	}
	thumb, dominant := []byte(p.ThumbHash), []byte(p.Dominant)
	if raw, err := base64.StdEncoding.DecodeString(p.ThumbHash); err == nil && len(raw) > 0 && base64.StdEncoding.EncodeToString(raw) == p.ThumbHash {
		flags, thumb = flags|versionThumb, raw
	}
	if raw, err := hex.DecodeString(strings.TrimPrefix(p.Dominant, "#")); err == nil && len(raw) > 0 && "#"+hex.EncodeToString(raw) == p.Dominant {
		flags, dominant = flags|versionDominant, raw
	}
	if !fits(p) || v.Number < 0 || v.Number > math.MaxUint32 || len(thumb) > math.MaxUint8 || len(dominant) > math.MaxUint8 {
		return b, fmt.Errorf("version %d does not fit into a base", v.Number)
	}
	b = append(le.AppendUint64(b, 0), v.Digest[:]...)
	b = e.appendTime(le.AppendUint64(b, uint64(v.Size)), v.Created)
	for _, n := range [...]uint32{
		uint32(back), uint32(v.Number), e.mediaType(v.MediaType), e.listOf(v.Providers), uint32(p.Width), uint32(p.Height), uint32(p.Pages),
	} {
		b = le.AppendUint32(b, n)
	}
	b = append(b, flags, byte(p.Orientation), byte(len(thumb)), byte(len(dominant)))
	return append(append(b, thumb...), dominant...), nil
}

// fits reports whether the picture's numbers have room in a record.
func fits(p *asset.Picture) bool {
	for _, n := range [...]int{p.Width, p.Height, p.Pages} {
		if n < 0 || n > math.MaxUint32 {
			return false
		}
	}
	return p.Orientation >= 0 && p.Orientation <= math.MaxUint8
}
