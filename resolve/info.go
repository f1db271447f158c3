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
	// The next six are left out for what is no picture. Width and Height are in px, after EXIF orientation.
	Width       int    `json:"width,omitempty"`
	Height      int    `json:"height,omitempty"`
	Pages       int    `json:"pages,omitempty"`
	Orientation int    `json:"orientation,omitempty"`
	ThumbHash   string `json:"thumbhash,omitempty"`
	Dominant    string `json:"dominant,omitempty"`
	// Presets are the names that the product defines, sorted.
	Presets []string `json:"presets"`
}

// Describe returns the description of what was resolved.
func Describe(res Resolution) Description {
	d := Description{
		ID: res.Asset.ID, Version: res.Version.Number, Digest: res.Version.Digest, Size: res.Version.Size,
		MediaType: res.Version.MediaType, Presets: make([]string, 0, len(res.Product.Presets)),
	}
	d.Presets = slices.AppendSeq(d.Presets, maps.Keys(res.Product.Presets))
	slices.Sort(d.Presets)
	if p := res.Version.Picture; p != nil {
		d.Width, d.Height, d.Pages, d.Orientation = p.Width, p.Height, p.Pages, p.Orientation
		d.ThumbHash, d.Dominant = p.ThumbHash, p.Dominant
	}
	return d
}

// Info returns the body of the answer in [ModeInfo]: the description as JSON.
func Info(res Resolution) ([]byte, error) {
	text, err := json.Marshal(Describe(res))
	if err != nil {
		return nil, fmt.Errorf("resolve info: %w", err)
	}
	return text, nil
}
