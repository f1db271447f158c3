package resolve

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A Description is what is known about an asset without reading it.
type Description struct {
	ID        string       `json:"id"`
	Version   int          `json:"version"`
	Digest    asset.Digest `json:"digest"` // SHA-256 of the original, hexadecimal
	Size      int64        `json:"size"`   // bytes of the original
	MediaType string       `json:"type"`
	// The next seven are left out for what is no picture. Width and Height are in px, after EXIF orientation.
	Width       int    `json:"width,omitempty"`
	Height      int    `json:"height,omitempty"`
	Pages       int    `json:"pages,omitempty"`
	Orientation int    `json:"orientation,omitempty"`
	ThumbHash   string `json:"thumbhash,omitempty"`
	Dominant    string `json:"dominant,omitempty"`
	// Focal is the asset's focal point, left out when it has none.
	Focal *asset.Point `json:"focal,omitempty"`
	// Presets are the names that the product defines, sorted.
	Presets []string `json:"presets"`
}

// Describe returns the description of what was resolved. It fails with [asset.ErrUnavailable] when the snapshot is
// damaged and cannot say all of it.
func Describe(res Resolution) (Description, error) {
	d := Description{
		ID: string(res.Entry.Record.AppendID(nil, res.Entry.At)), Version: res.Entry.Number, Digest: res.Entry.Digest, Size: res.Entry.Size,
		MediaType: res.Entry.MediaType, Presets: make([]string, 0, len(res.Product.Presets)),
	}
	d.Presets = slices.AppendSeq(d.Presets, maps.Keys(res.Product.Presets))
	slices.Sort(d.Presets)
	if p := res.Entry.Picture; res.Entry.IsPicture() {
		d.Width, d.Height, d.Pages, d.Orientation = p.Width, p.Height, p.Pages, p.Orientation
	}
	a := res.Entry.Record.Asset(res.Entry.At)
	if a == nil {
		return Description{}, fmt.Errorf("describe: %w: the record cannot be read", asset.ErrUnavailable)
	}
	d.Focal = a.Focal
	if v := a.Version(d.Version); v != nil && v.Picture != nil {
		d.ThumbHash, d.Dominant = v.Picture.ThumbHash, v.Picture.Dominant
	}
	return d, nil
}

// Info returns the body of the answer in [ModeInfo]: the description as JSON. It fails as [Describe] does.
func Info(res Resolution) ([]byte, error) {
	d, err := Describe(res)
	if err != nil {
		return nil, fmt.Errorf("resolve info: %w", err)
	}
	text, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("resolve info: %w", err)
	}
	return text, nil
}
