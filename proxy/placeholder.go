package proxy

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image/png"

	"github.com/galdor/go-thumbhash"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/resolve"
)

// placeholder returns the ThumbHash of a picture as the data URL (RFC 2397) of a PNG of up to 32 px, for the src of an img.
func placeholder(found resolve.Resolution) (*asset.Object, error) {
	d, err := resolve.Describe(found)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	hash, err := base64.StdEncoding.DecodeString(d.ThumbHash)
	if err != nil || len(hash) == 0 {
		return nil, &asset.Fault{Kind: asset.ErrNotFound, Part: "format", Detail: "the picture has no thumbhash"}
	}
	m, err := thumbhash.DecodeImage(hash)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w: thumbhash: %w", asset.ErrCorrupt, err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		return nil, fmt.Errorf("proxy: thumbhash: %w", err)
	}
	text := base64.StdEncoding.AppendEncode([]byte("data:image/png;base64,"), b.Bytes())
	return asset.NewObject(found.Key, asset.ThumbHash.MediaType(), text), nil
}
