package transform

import "github.com/assetmatrix/assetmatrix/asset"

// Bytes that a render takes. They are reckoned from what libvips 8.14 and its encoders keep, to be over rather than under.
const (
	perRender    = 24 << 20  // the pipeline's own buffers
	bufferLines  = 512       // of a picture that is decoded line by line
	perMadePixel = 4         // of a picture that is kept whole between two steps
	perSettled   = 12        // of one that Go and libvips have, and what is made of it
	perFrame     = 512 << 10 // what libvips knows of one frame between two steps; 220 to 350 KiB were seen
	pdfSide      = 1024      // px of a page at 72 dpi
)

// perEncodedPixel is what an encoder keeps of each pixel, in bytes.
var perEncodedPixel = map[asset.Format]int64{
	asset.JPEG: 8, asset.PNG: 12, asset.WebP: 8, asset.AVIF: 24, asset.JXL: 48, asset.GIF: 12, asset.TIFF: 8,
}

// estimate returns how many bytes a worker will need to make v of a picture with head h. A probe has the zero variant.
func estimate(h Head, v asset.Variant) int64 {
	pixels := int64(h.Width) * int64(h.Height)
	n := perRender + h.kept + pixels*int64(h.held) + int64(h.Width)*bufferLines*int64(h.perPixel)
	if v == (asset.Variant{}) {
		return n
	}
	if v.Format == asset.Reduced {
		shrink := int64(h.Width) / int64(max(1, v.Width))
		return n + 4*pixels*int64(h.perPixel)/max(1, shrink*shrink)
	}
	frames := int64(1)
	if h.Animated && !v.Still && v.Page == 0 && encoders[v.Format].moves { // all are in memory at once
		frames = int64(h.Frames)
		n += frames * (pixels*perSettled + perFrame)
	} else if v.Trim > 0 {
		n += pixels * perSettled
	}
	if h.MediaType == pdfType { // has no size of its own: its pages are drawn at the size asked for
		h.Width, h.Height = pdfSide, pdfSide
	}
	// The orientation is not known here, so both ways round are taken into account.
	return n + max(made(h, v, frames, asset.Size{Width: h.Width, Height: h.Height}), made(h, v, frames, asset.Size{Width: h.Height, Height: h.Width}))
}

// made is what the pictures between the steps take when the original has that size, the largest of all groups, and the encoder.
func made(h Head, v asset.Variant, frames int64, size asset.Size) (n int64) {
	groups := v.Groups()
	for i, group := range groups {
		l := group.Layout(size)
		var here int64
		if mayTurn := h.MediaType == jpegType || group.Rotate != 0 || group.Flip != 0; mayTurn {
			here = l.Resize.Pixels() * perMadePixel
		}
		if i > 0 || draws(group) {
			here += (l.Resize.Pixels() + l.Canvas.Pixels()) * perSettled
		}
		n, size = max(n, here), l.Canvas
	}
	encoded := perEncodedPixel[v.Format]
	if v.Quality == asset.QualityAuto || v.MaxBytes > 0 {
		encoded += perSettled
	}
	return frames * (n + size.Pixels()*encoded)
}

// draws reports whether a group has more than geometry, so that its picture is computed before it is encoded.
func draws(group asset.Variant) bool {
	_, looks := interests[group.Gravity.Anchor]
	rest := asset.Variant{
		Blur: group.Blur, Sharpen: group.Sharpen, Pixelate: group.Pixelate, Radius: group.Radius, Watermark: group.Watermark, Text: group.Text,
		Brightness: group.Brightness, Contrast: group.Contrast, Saturation: group.Saturation, Gamma: group.Gamma,
	}
	return looks || rest != asset.Variant{}
}
