package resolve

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/assetmatrix/assetmatrix/asset"
)

// variant makes of the URL's options the canonical variant with a concrete format. What it takes from elsewhere in the matrix,
// a focal point and the originals of watermarks, is in it.
func (r *Resolver) variant(view View, res *Resolution, t *Target, c *Client) (asset.Variant, error) {
	v, err := t.options(res.Product)
	if err != nil {
		return v, err
	}
	if !res.Entry.IsPicture() {
		return v, noPicture(res)
	}
	if v.Format == asset.ThumbHash {
		return v, nil
	}
	pic := &res.Entry.Picture
	if v.Page > max(1, pic.Pages) {
		return v, invalid("page", "1–"+strconv.Itoa(max(1, pic.Pages)), "there is no page %d", v.Page)
	}
	if err := res.collect(view, &v); err != nil {
		return v, err
	}
	if res.Product.ClientHints {
		res.Heeds = heeded(&v)
		r.hint(&v, pic.Size(), res.Heeds, &c.Hints)
	}
	canvas, err := r.bound(&v, pic.Size())
	if err != nil {
		return v, err
	}
	if v.Format == asset.Auto {
		res.Negotiated = true
		v.Format = r.negotiate(c.Accept, &v, pic, canvas)
	}
	if res.Heeds != HeedNone && c.Hints.SaveData && v.Quality == 0 {
		v.Quality = frugal(v.Format)
	}
	if !holds(v.Format, canvas) {
		return v, invalid("format", "up to "+strconv.Itoa(maxSide(v.Format))+" px on a side, or another format",
			"%s cannot hold %d × %d px", v.Format, canvas.Width, canvas.Height)
	}
	return v.Canonical(pic), nil
}

// bound refuses what is too large at the end of any group, and returns the size of the result.
func (r *Resolver) bound(v *asset.Variant, size asset.Size) (asset.Size, error) {
	if v.Then == "" {
		return r.boundGroup(v, size)
	}
	for _, group := range v.Groups() {
		var err error
		if size, err = r.boundGroup(&group, size); err != nil {
			return size, err
		}
	}
	return size, nil
}

func (r *Resolver) boundGroup(v *asset.Variant, size asset.Size) (asset.Size, error) {
	if v.Cut(size) == (asset.Area{}) {
		return size, invalid("rect", "a rectangle that has some of the picture", "the rectangle lies outside the picture of %d × %d px", size.Width, size.Height)
	}
	l := v.Layout(size)
	if l.Canvas.Pixels() > r.cfg.MaxOutputPixels {
		return size, invalid("width", "results of up to "+strconv.FormatInt(r.cfg.MaxOutputPixels, 10)+" px; give a smaller width or height",
			"the result would be %d × %d px", l.Canvas.Width, l.Canvas.Height)
	}
	if most := max(r.cfg.MaxOutputPixels, l.Source.Pixels()); l.Resize.Pixels() > most {
		return size, invalid("fit", "a width and height nearer to the picture's "+strconv.Itoa(l.Source.Width)+":"+strconv.Itoa(l.Source.Height)+", or a fit that does not cut",
			"%d × %d px would have to be made and most of it cut off", l.Resize.Width, l.Resize.Height)
	}
	return l.Canvas, nil
}

// options returns the URL's options, over the preset when there is one.
func (t *Target) options(p *asset.Product) (asset.Variant, error) {
	if t.Preset == "" {
		return t.Options, nil
	}
	text, ok := p.Presets[t.Preset]
	if !ok {
		return asset.Variant{}, invalid("options", presetNames(p), "product %q has no preset %q", p.Name, t.Preset)
	}
	v, err := asset.ParseVariant(text)
	if err != nil {
		return v, presetFault(t.Preset, err)
	}
	if t.overrides == "" {
		return v, nil
	}
	return v.Overlay(t.overrides)
}

func presetNames(p *asset.Product) string {
	if len(p.Presets) == 0 {
		return "key=value pairs; the product has no presets"
	}
	return "the presets " + strings.Join(slices.Sorted(maps.Keys(p.Presets)), ", ") + ", or key=value pairs"
}

// presetFault says that it was the preset and not the URL.
func presetFault(name string, err error) error {
	f, ok := errors.AsType[*asset.Fault](err)
	if !ok {
		return err
	}
	return &asset.Fault{Kind: f.Kind, Part: f.Part, Detail: "preset " + name + ": " + f.Detail, Allowed: f.Allowed}
}

func noPicture(res *Resolution) error {
	return &asset.Fault{
		Kind: asset.ErrMediaType, Part: "options",
		Detail:  strconv.Quote(res.Name) + " is " + res.Entry.MediaType + ", which is not rendered here",
		Allowed: "/" + res.Product.Name + "/original/… delivers it as it is",
	}
}

// holds reports whether the format can hold a picture of that size.
func holds(f asset.Format, s asset.Size) bool { return max(s.Width, s.Height) <= maxSide(f) }

// maxSide is the longest side in px that a format can have: 14 bits in WebP (RFC 9649 §2.7), libjpeg's
// JPEG_MAX_DIMENSION, and what libvips writes as AVIF and PNG.
func maxSide(f asset.Format) int {
	switch f {
	case asset.WebP:
		return 16383
	case asset.AVIF:
		return 16384
	case asset.JPEG:
		return 65500
	default:
		return 65535
	}
}
