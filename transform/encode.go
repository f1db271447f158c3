package transform

import (
	"encoding/binary"
	"fmt"

	"github.com/davidbyttow/govips/v2/vips"

	"github.com/assetmatrix/assetmatrix/asset"
)

// An encoder makes bytes in one format.
type encoder struct {
	// quality is the default, chosen so that photographs look equal in all formats. On five pictures at 800 px the
	// mean SSIM (luma, 8 × 8) against the lossless rendition was 0.977 for JPEG 80, 0.977 for WebP 82, 0.975 for AVIF
	// 58 and 0.978 for AVIF 62, between which AVIF's default lies. PNG is lossless and has none.
	quality int
	// maxSide is the largest width or height in px that the format can hold (WebP: RFC 9649 §2.7) or libvips makes.
	maxSide int
	encode  func(p *vips.ImageRef, quality int, size asset.Size) ([]byte, error)
}

var encoders = map[asset.Format]encoder{
	asset.JPEG: {80, 65535, encodeJPEG},
	asset.PNG:  {0, 65535, encodePNG},
	asset.WebP: {82, 16383, encodeWebP},
	asset.AVIF: {60, 16384, encodeAVIF},
}

// renderable returns an *asset.Fault wrapping [asset.ErrNotImplemented] for what no step here does: nothing that was
// asked for is left out silently.
func renderable(v asset.Variant) error {
	if _, ok := encoders[v.Format]; !ok {
		return notRendered("format", fmt.Sprintf("format %q", v.Format), "jpeg, png, webp, avif")
	}
	if _, ok := compass[v.Gravity.Anchor]; !ok && v.Gravity.Anchor != asset.AnchorPoint {
		return notRendered("gravity", "a gravity that looks at the content", "center, a compass point, or a point")
	}
	if v.Quality < 0 {
		return notRendered("quality", "quality auto", "1 to 100")
	}
	rest := v
	rest.Width, rest.Height, rest.DPR, rest.Fit, rest.Gravity, rest.Quality, rest.Format = 0, 0, 0, 0, asset.Gravity{}, 0, 0
	rest.Background, rest.Rotate, rest.Flip, rest.Still, rest.Page = asset.Color{}, 0, 0, false, 0
	if rest != (asset.Variant{}) {
		return notRendered("", "one of the options", "")
	}
	return nil
}

func notRendered(part, what, allowed string) error {
	return &asset.Fault{Kind: asset.ErrNotImplemented, Part: part, Detail: what + " is not rendered", Allowed: allowed}
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

// encodePNG tries every filter on every line, which makes photographs smaller; a very large picture would come
// near the deadline with it.
func encodePNG(p *vips.ImageRef, _ int, size asset.Size) ([]byte, error) {
	params := &vips.PngExportParams{StripMetadata: true, Compression: 6, Filter: vips.PngFilterAll}
	if size.Pixels() > 8_000_000 {
		params.Compression, params.Filter = 3, vips.PngFilterSub
	}
	b, _, err := p.ExportPng(params)
	return b, err
}

func encodeWebP(p *vips.ImageRef, quality int, _ asset.Size) ([]byte, error) {
	b, _, err := p.ExportWebp(&vips.WebpExportParams{StripMetadata: true, Quality: quality, ReductionEffort: 4})
	if err != nil {
		return nil, err
	}
	return withoutMetadataChunks(b), nil
}

// Parts of a WebP file (RFC 9649 §2.3, §2.7).
const (
	riffHeader   = 12
	chunkHeader  = 8
	webpMetadata = 0x08 | 0x04 // the flags of VP8X that say that there are EXIF and XMP chunks
)

// withoutMetadataChunks takes the EXIF and XMP chunks out of a WebP file that libvips wrote: webpsave of 8.14 writes an
// EXIF chunk with the resolution even when the picture has no metadata at all.
func withoutMetadataChunks(file []byte) []byte {
	out := file[:min(riffHeader, len(file)):len(file)] // in place: what is kept only moves forward
	for rest := file[len(out):]; len(rest) >= chunkHeader; {
		size := chunkHeader + int(binary.LittleEndian.Uint32(rest[4:]))
		size = min(size+size%2, len(rest)) // padded to even
		chunk := rest[:size]
		rest = rest[size:]
		switch string(chunk[:4]) {
		case "EXIF", "XMP ":
			continue
		case "VP8X":
			chunk[chunkHeader] &^= webpMetadata
		}
		out = append(out, chunk...)
	}
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-8))
	return out
}

func encodeAVIF(p *vips.ImageRef, quality int, size asset.Size) ([]byte, error) {
	b, _, err := p.ExportAvif(&vips.AvifExportParams{
		StripMetadata: true, Quality: quality, Bitdepth: 8, Effort: AVIFEffort(size.Pixels()),
	})
	return b, err
}

// strip takes off EXIF with its places and names, XMP and IPTC. The encoders' own option does not do: webpsave of
// libvips 8.14 keeps them all the same, while without it jpegsave writes a new EXIF block.
func strip(x *rendering) error { return x.picture.RemoveMetadata() }

// AVIFEffort is the effort, 0–9, of libvips' heifsave for an AVIF of so many pixels. It trades bytes for time, so that an AVIF
// of any size is made within the deadline.
func AVIFEffort(pixels int64) int {
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
