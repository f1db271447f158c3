// Package resolve turns a URL and the headers that matter into what is to be served: the key of one object, and what is
// known about it. It reads a snapshot of the matrix and nothing else; no cache, disk, provider or renderer is touched.
//
// Its one invariant: two requests that mean the same pixels get the same [asset.Key], whatever their spelling, and
// nothing of a request but its path, its class of formats and the steps of its client hints can reach a key.
//
//	r, err := resolve.New(resolve.DefaultConfig(), func() resolve.View { return matrix.View() })
//	t, err := resolve.Parse("/shop/w=400,h=300,fit=cover/banners/hero.jpg", "dl=hero.jpg")
//	found, err := r.Resolve(t, resolve.Client{Accept: "image/avif,image/webp,*/*;q=0.8"})
//	object, err := renditions.Load(ctx, found.Key)
package resolve

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A View is the part of a snapshot of the matrix that resolving needs.
type View interface {
	// Revision is the snapshot's position in the matrix's history.
	Revision() uint64
	Product(name string) (*asset.Product, bool)
	// Find returns what a product's name leads to, with the version of that number, or for 0 the one that it shows.
	Find(product, name string, number int) (asset.Entry, bool)
	// Err returns why the snapshot may not have found what is there; nil when it is whole.
	Err() error
}

// Config are the bounds of what is rendered for a URL.
type Config struct {
	// AVIFMaxPixels is the largest result, in px, for which f=auto chooses AVIF: larger ones take too long to make while
	// a client waits. An explicit f=avif is not bound by it. 0 never chooses AVIF.
	AVIFMaxPixels int64 `yaml:"avif_max_pixels"`
	// MaxOutputPixels is the largest result that may be asked for, in px.
	MaxOutputPixels int64 `yaml:"max_output_pixels"`
	// Lacks reports whether the renderer cannot write a format, which f=auto does not choose then; nil when it can write all.
	Lacks func(asset.Format) bool `yaml:"-"`
	// Epoch is the renderer's (transform.Epoch). It is part of every rendition's ETag.
	Epoch int `yaml:"-"`
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{AVIFMaxPixels: 1_000_000, MaxOutputPixels: 50_000_000}
}

// Validate returns an error that names the first bad key.
func (c Config) Validate() error {
	switch {
	case c.AVIFMaxPixels < 0:
		return asset.BadKey("avif_max_pixels", c.AVIFMaxPixels, "0 or more")
	case c.MaxOutputPixels < 1:
		return asset.BadKey("max_output_pixels", c.MaxOutputPixels, "1 or more")
	}
	return nil
}

// A Resolver finds what targets mean. It is safe for concurrent use.
type Resolver struct {
	cfg  Config
	view func() View
}

// New returns a resolver over the snapshots that view returns; every request is answered from one of them.
func New(cfg Config, view func() View) (*Resolver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	if view == nil {
		return nil, errors.New("resolve: there is no view")
	}
	return &Resolver{cfg, view}, nil
}

// A Resolution is what a target means at one revision.
type Resolution struct {
	// Key names the object to serve. For ModeInfo it is the original's.
	Key     asset.Key
	Product *asset.Product
	// Name is the product's name for the asset.
	Name  string
	Entry asset.Entry
	// Negotiated: the format was chosen by Accept, and the answer must say "Vary: Accept".
	Negotiated bool
	// Heeds says which client hints can change what the URL means, whatever this client sent: the answer must name them in Vary.
	Heeds Heed
	// Pinned: the URL can never mean anything else. It names its version, and neither a preset, which can be redefined,
	// nor info, which is about the present. A link's own pin does not count: it can be moved.
	Pinned bool
	// Revision is the snapshot's.
	Revision uint64

	epoch    int
	preset   bool
	overlays struct { // of the watermarks
		generation uint64
		changed    time.Time
	}
}

// Resolve finds what t means to a client.
//
// What a client may read of an error is a [asset.Fault]: [asset.ErrNotFound] for a product, name or version that is not
// there, [asset.ErrGone] for an archived asset, [asset.ErrInvalid] for options that do not go with the product or the
// picture, [asset.ErrMediaType] for options on what is no picture, [ErrBehind] while the snapshot is behind the revision that was demanded. An [asset.ErrUnavailable] that is
// no fault says that the snapshot is damaged, and may have what was not found. The resolution beside an error holds what
// was found until then, its Revision in any case.
func (r *Resolver) Resolve(t Target, c Client) (Resolution, error) {
	view := r.view()
	res := Resolution{Revision: view.Revision(), epoch: r.cfg.Epoch}
	if err := res.find(view, &t); err != nil {
		return res, believe(view, err)
	}
	res.preset = t.Preset != ""
	res.Pinned = t.Version != 0 && !res.preset && t.Mode != ModeInfo
	res.Key.Original = res.Entry.Digest
	if t.Mode != ModeDeliver {
		return res, nil
	}
	v, err := r.variant(view, &res, &t, &c)
	if err != nil {
		return res, believe(view, err)
	}
	res.Key.Variant, res.Key.Generation = v, max(res.Entry.Generation, res.Product.Generation, res.overlays.generation)
	if res.overlays.changed != (time.Time{}) {
		res.Pinned = false // a watermark has versions of its own
	}
	return res, nil
}

// find looks up product, link, asset and version.
func (res *Resolution) find(view View, t *Target) error {
	if res.Revision < t.MinRevision {
		return behind(res.Revision, t.MinRevision)
	}
	var ok bool
	if res.Product, ok = view.Product(t.Product); !ok {
		res.Product = nil
		return notFound("product", "there is no product %q", t.Product)
	}
	res.Name = t.Name
	if res.Entry, ok = view.Find(t.Product, t.Name, t.Version); !ok {
		return notFound("name", "product %q has no %q", t.Product, t.Name)
	}
	switch res.Entry.Status {
	case asset.Active:
		return res.found(t.Version)
	case asset.Archived:
		return gone(t.Name, res.Entry.Archived)
	default:
		return notFound("name", "%q of product %q is not published yet", t.Name, t.Product)
	}
}

// believe returns err, unless it says that something is not there and the snapshot is not whole: then it may be.
func believe(view View, err error) error {
	if broken := view.Err(); broken != nil && errors.Is(err, asset.ErrNotFound) {
		return fmt.Errorf("resolve: %w", broken)
	}
	return err
}

// gone says since when, if it was written down.
func gone(name string, archived time.Time) error {
	when := ""
	if !archived.IsZero() {
		when = " on " + archived.UTC().Format(time.DateOnly)
	}
	return &asset.Fault{Kind: asset.ErrGone, Part: "name", Detail: fmt.Sprintf("%q was archived%s", name, when)}
}

// found fails when the link does not show the version with that number.
func (res *Resolution) found(number int) error {
	if res.Entry.Number != 0 {
		return nil
	}
	return &asset.Fault{
		Kind: asset.ErrNotFound, Part: "version", Detail: fmt.Sprintf("%q has no version %d here", res.Name, number),
		Allowed: res.versions(),
	}
}

// versions spells the numbers that there are; they have no gaps.
func (res *Resolution) versions() string {
	switch all := res.Entry.Versions; {
	case res.Entry.Pin != 0:
		return fmt.Sprint(res.Entry.Pin)
	case all == 0:
		return "none"
	case all == 1:
		return "1"
	default:
		return fmt.Sprintf("1–%d", all)
	}
}

// ETag returns the strong validator (RFC 9110 §8.8.3) of the object at Key: a pure function of the key, and for
// renditions of the renderer's epoch.
func (res Resolution) ETag() string {
	var buf [48]byte
	b := append(buf[:0], '"')
	if res.Key.IsOriginal() {
		b = hex.AppendEncode(b, res.Key.Original[:16])
	} else {
		hash := binary.BigEndian.AppendUint64(nil, res.Key.Hash())
		b = append(hex.AppendEncode(b, hash), '-')
		b = strconv.AppendInt(b, int64(res.epoch), 10)
	}
	return string(append(b, '"'))
}

// LastModified returns when the URL came to mean what it means, to the second (RFC 9110 §8.8.2): when its version was
// made, or if that is later, when the asset, the link or the preset that leads to it was last changed.
func (res Resolution) LastModified() time.Time {
	at := latest(res.Entry.Created, res.overlays.changed)
	if !res.Pinned {
		at = latest(at, res.Entry.Changed)
	}
	if res.preset {
		at = latest(at, res.Product.Created, res.Product.Updated)
	}
	return at.UTC().Truncate(time.Second)
}

func latest(first time.Time, others ...time.Time) time.Time {
	for _, t := range others {
		if t.After(first) {
			first = t
		}
	}
	return first
}

// ErrBehind is the kind of fault of a target that demands a revision which the snapshot does not have yet. It is an
// [asset.ErrUnavailable] that passes within moments.
var ErrBehind = fmt.Errorf("%w: behind", asset.ErrUnavailable)

func behind(have, want uint64) error {
	return &asset.Fault{
		Kind: ErrBehind, Part: "min_revision", Detail: fmt.Sprintf("revision %d has not arrived here yet", want),
		Allowed: fmt.Sprintf("up to %d now", have),
	}
}

func notFound(part, format string, args ...any) error {
	return &asset.Fault{Kind: asset.ErrNotFound, Part: part, Detail: fmt.Sprintf(format, args...)}
}

func invalid(part, allowed, format string, args ...any) error {
	return &asset.Fault{Kind: asset.ErrInvalid, Part: part, Detail: fmt.Sprintf(format, args...), Allowed: allowed}
}
