package transform

import (
	"github.com/davidbyttow/govips/v2/vips"

	"github.com/assetmatrix/assetmatrix/asset"
)

// An encoder makes bytes in one format.
type encoder struct {
	// quality is the default, chosen so that photographs look equal in all formats: each is near the same SSIM as a
	// JPEG of quality 80. PNG is lossless and has none.
	quality int
	// maxSide is the largest width or height in px that the format can hold (WebP: RFC 9649 §2.7) or libvips makes.
	maxSide int
	encode  func(p *vips.ImageRef, quality int, size asset.Size) ([]byte, error)
}

var encoders = map[asset.Format]encoder{
	asset.JPEG: {80, 65535, encodeJPEG},
	asset.PNG:  {0, 65535, encodePNG},
	asset.WebP: {78, 16383, encodeWebP},
	asset.AVIF: {52, 16384, encodeAVIF},
}

func quality(v asset.Variant) int {
	if v.Quality > 0 {
		return v.Quality
	}
	return encoders[v.Format].quality
}

// encodeJPEG makes a progressive file with optimised tables: it is smaller and shows early. Chroma is halved below
// quality 90 (libvips' subsample mode "auto").
func encodeJPEG(p *vips.ImageRef, quality int, _ asset.Size) ([]byte, error) {
	b, _, err := p.ExportJpeg(&vips.JpegExportParams{
		StripMetadata: true, Quality: quality, Interlace: true, OptimizeCoding: true,
		SubsampleMode: vips.VipsForeignSubsampleAuto,
	})
	return b, err
}

func encodePNG(p *vips.ImageRef, _ int, _ asset.Size) ([]byte, error) {
	b, _, err := p.ExportPng(&vips.PngExportParams{StripMetadata: true, Compression: 6, Filter: vips.PngFilterAll})
	return b, err
}

func encodeWebP(p *vips.ImageRef, quality int, _ asset.Size) ([]byte, error) {
	b, _, err := p.ExportWebp(&vips.WebpExportParams{StripMetadata: true, Quality: quality, ReductionEffort: 4})
	return b, err
}

func encodeAVIF(p *vips.ImageRef, quality int, size asset.Size) ([]byte, error) {
	b, _, err := p.ExportAvif(&vips.AvifExportParams{
		StripMetadata: true, Quality: quality, Bitdepth: 8, Effort: avifEffort(size.Pixels()),
	})
	return b, err
}

// avifEffort trades bytes for time, so that an AVIF of any size is made within the deadline.
func avifEffort(pixels int64) int {
	switch {
	case pixels <= 500_000:
		return 4
	case pixels <= 2_000_000:
		return 3
	case pixels <= 8_000_000:
		return 2
	}
	return 1
}
