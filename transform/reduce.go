package transform

import (
	"github.com/davidbyttow/govips/v2/vips"

	"github.com/assetmatrix/assetmatrix/asset"
)

// The graph. Most of what a rendition of a large picture takes is the decoding, and its decoder shrinks most pictures on the way:
// what comes out of it is a picture of its own, from which every rendition of about that size can be made. So it is kept, in the
// disk cache like a rendition, and the original is decoded once for all sizes, formats and products that come after.
//
// A reduction is the original, shrunk by a small number, otherwise as it is: not turned, in its own colours. Of a JPEG or WebP it is what
// the decoder would have shrunk to anyway, and the rendition the same as without it. Which one a rendition is made of depends on nothing
// but the original and the variant, and each is made of the original, so that the same key has the same bytes however often it is made.

// The smallest originals, in px, that are worth it: smaller ones are decoded nearly as fast as a reduction is made and read. On one
// core of 2026 a baseline JPEG took 4 ms a megapixel and a reduction 10 ms in all; progressive ones took 13 ms, PNG 17, WebP 25.
const (
	minReduced         = 1_000_000
	minReducedBaseline = 6_000_000
)

// reduction returns by how much the original is shrunk on the way to v; 1 when v is made of the original itself.
func reduction(h Head, v asset.Variant) int {
	first := v
	first.Then = ""
	cut := first.Cut(h.upright())
	if !h.dear() || v.Page != 0 || v.Trim > 0 || v.Metadata != asset.MetadataNone || v.Format == asset.Reduced || cut == (asset.Area{}) {
		return 1
	}
	l := first.LayoutOf(cut.Size())
	most := min(float64(l.Source.Width)/float64(l.Resize.Width), float64(l.Source.Height)/float64(l.Resize.Height))
	switch h.MediaType {
	case jpegType:
		return jpegShrink(most)
	case webpType:
		return webpShrink(most, cut != h.upright().Area())
	default:
		return largest(most/spare, 6, 3, 2)
	}
}

// spare is how much larger than the rendition a reduction is at least that was not made by a decoder. Against the direct way the luma of
// photographs had an SSIM above 0.996 then, and above 0.992 without (8 × 8, six photographs).
const spare = 1.25

// largest returns the first of some falling numbers that is not above most, 1 if none is.
func largest(most float64, falling ...int) int {
	for _, n := range falling {
		if float64(n) <= most {
			return n
		}
	}
	return 1
}

// dear reports whether it takes long to decode the picture, which is a still and not drawn at the size it is asked for.
func (h Head) dear() bool {
	least := int64(minReduced)
	if baseline := h.MediaType == jpegType && h.held == 0; baseline {
		least = minReducedBaseline
	}
	drawn := h.MediaType == pdfType || h.MediaType == svgType
	return !drawn && h.Frames == 1 && !h.Animated && h.stored().Pixels() >= least
}

// reducedKey names a reduction.
func reducedKey(original asset.Digest, h Head, shrink int) asset.Key {
	return asset.Key{Original: original, Variant: asset.Variant{Format: asset.Reduced, Width: (h.Width + shrink - 1) / shrink}}
}

// shrink loads the picture as small as a reduction is to be, in its own colours, as it is stored.
func shrink(x *rendering) error {
	width := x.Variant.Width
	by := float64(x.source.Width) / float64(width)
	params := x.params(0)
	switch x.MediaType {
	case jpegType:
		params.JpegShrinkFactor.Set(int(by + 0.5))
	case webpType:
		params.WebpScaleFactor.Set(webpScale(x.source.Width, int(by+0.5)))
	}
	p, err := x.loadWith(params)
	if err != nil {
		return err
	}
	x.frames = []*frame{{ref: p}}
	for p.Width()+2 >= 2*width && p.Width() > width { // a third, and then a half of it: vips_resize takes longer for anything else
		by := 2.
		if p.Width()+2 >= 3*width {
			by = 3
		}
		if err := p.ResizeWithVScale(1/by, 1/by, vips.KernelLinear); err != nil {
			return err
		}
	}
	if x.oriented() {
		err = p.RemoveOrientation()
	}
	x.result = asset.Size{Width: p.Width(), Height: p.Height()}
	return err
}

// save writes the pixels as they are, with the profile and the orientation that say what they mean.
func save(x *rendering) error {
	p := x.frames[0].ref
	if err := p.RemoveMetadata(); err != nil {
		return err
	}
	var err error
	x.encoded, _, err = p.ExportTiff(&vips.TiffExportParams{Compression: vips.TiffCompressionNone, Predictor: vips.TiffPredictorNone})
	return err
}
