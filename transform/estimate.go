package transform

import "github.com/assetmatrix/assetmatrix/asset"

// Bytes that a render takes. They are reckoned from what libvips 8.14 and its encoders keep, to be over rather than under.
const (
	perRender    = 24 << 20 // the pipeline's own buffers
	bufferLines  = 512      // of a picture that is decoded line by line
	perMadePixel = 4        // of a picture that is kept whole between two steps
	pdfSide      = 1024     // px of a page at 72 dpi
)

// perEncodedPixel is what an encoder keeps of each pixel, in bytes.
var perEncodedPixel = map[asset.Format]int64{asset.JPEG: 8, asset.PNG: 4, asset.WebP: 8, asset.AVIF: 24}

// estimate returns how many bytes a worker will need to make v of a picture with head h. A probe has the zero variant.
func estimate(h Head, v asset.Variant) int64 {
	pixels := int64(h.Width) * int64(h.Height)
	n := perRender + pixels*int64(h.held) + int64(h.Width)*bufferLines*int64(h.perPixel)
	if v == (asset.Variant{}) {
		return n
	}
	if h.MediaType == pdfType { // has no size of its own: its pages are drawn at the size asked for
		h.Width, h.Height = pdfSide, pdfSide
	}
	// The orientation is not known here, so both ways round are taken into account.
	one, other := v.Layout(asset.Size{Width: h.Width, Height: h.Height}), v.Layout(asset.Size{Width: h.Height, Height: h.Width})
	canvas := max(one.Canvas.Pixels(), other.Canvas.Pixels())
	if mayTurn := h.MediaType == jpegType || v.Rotate != 0 || v.Flip != 0; mayTurn {
		n += max(one.Resize.Pixels(), other.Resize.Pixels()) * perMadePixel
	}
	return n + canvas*perEncodedPixel[v.Format]
}
