package transform

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"slices"

	"github.com/davidbyttow/govips/v2/vips"

	"github.com/assetmatrix/assetmatrix/asset"
)

// An encoder makes bytes in one format.
type encoder struct {
	// quality is the default, chosen so that photographs look equal in all formats. On thirteen of them at 800 px (Debian's
	// wallpapers, and two from a camera) the mean SSIM (luma, 8 × 8; see ssim.Luma) against the lossless rendition was 0.975 for
	// JPEG 80, 0.978 for WebP 82, 0.979 for AVIF 60 and 0.975 for JXL 82, its median 0.980, 0.980, 0.981 and 0.980. What is
	// lossless has none.
	quality int
	// maxSide is the largest width or height in px that the format can hold (WebP: RFC 9649 §2.7) or libvips makes.
	maxSide int
	// moves: it can be an animation.
	moves bool
	// saver is what libvips needs for it; [encodable] asks for that.
	saver vips.ImageType
	// encode makes the bytes. A frame that moves is a roll of all frames.
	encode func(f *frame, how encoding) ([]byte, error)
}

// An encoding is how a rendition is encoded.
type encoding struct {
	quality int
	size    asset.Size // of one frame
	notes   bool       // there is metadata to be kept
	trial   bool       // only its pixels will be looked at: what makes the file smaller at the same look can be left out
}

var encoders = map[asset.Format]encoder{
	asset.JPEG: {quality: 80, maxSide: 65535, saver: vips.ImageTypeJPEG, encode: encodeJPEG},
	asset.PNG:  {maxSide: 65535, saver: vips.ImageTypePNG, encode: encodePNG},
	asset.WebP: {quality: 82, maxSide: 16383, moves: true, saver: vips.ImageTypeWEBP, encode: encodeWebP},
	asset.AVIF: {quality: 60, maxSide: 16384, saver: vips.ImageTypeAVIF, encode: encodeAVIF},
	asset.JXL:  {quality: 82, maxSide: 65535, saver: vips.ImageTypeJXL, encode: encodeJXL},
	asset.GIF:  {maxSide: 65535, moves: true, saver: vips.ImageTypeGIF, encode: encodeGIF},
	asset.TIFF: {maxSide: 65535, saver: vips.ImageTypeTIFF, encode: encodeTIFF},
}

// encodable returns the names of the formats that this libvips can write.
func encodable() (names []string) {
	for _, f := range slices.Sorted(maps.Keys(encoders)) {
		if vips.IsTypeSupported(encoders[f].saver) {
			names = append(names, f.String())
		}
	}
	return names
}

func quality(v asset.Variant) int {
	if v.Quality > 0 {
		return v.Quality
	}
	return encoders[v.Format].quality
}

// encode makes the bytes with the quality that was asked for: a number, what looks as good as it should, or the best that
// fits into so many bytes.
func encode(x *rendering) (err error) {
	e, f := encoders[x.Variant.Format], x.frames[0]
	how := encoding{quality: quality(x.Variant), size: x.result, notes: x.notes != nil}
	if x.Variant.Quality == asset.QualityAuto && len(x.frames) == 1 && e.quality > 0 {
		if how.quality, err = autoQuality(f, x.Variant.Format); err != nil {
			return err
		}
		x.quality = how.quality
	}
	if x.Variant.MaxBytes > 0 && e.quality > 0 {
		x.quality = how.quality
	}
	if x.encoded, err = e.encode(f, how); err != nil || x.Variant.MaxBytes == 0 || len(x.encoded) <= x.Variant.MaxBytes {
		return err
	}
	return x.fit(e, f, how)
}

// fit searches for the best quality that fits into so many bytes, below the one that does not: what is better is larger. It begins
// at the likely one, as each try takes as long as the whole encoding.
func (x *rendering) fit(e encoder, f *frame, how encoding) (err error) {
	var best []byte
	low, high, least := 0, how.quality, len(x.encoded) // low fits, high does not
	if e.quality == 0 {
		high = low
	}
	next := (low + high) / 2
	if len(x.frames) == 1 && high > 1 {
		if next, err = likely(f, e, how, least, x.Variant.MaxBytes); err != nil {
			return err
		}
	}
	for stride := 1; low+1 < high; stride *= 2 {
		how.quality = next
		b, err := e.encode(f, how)
		if err != nil {
			return err
		}
		if least = min(least, len(b)); len(b) <= x.Variant.MaxBytes {
			best, low, x.quality = b, next, next
			next += stride
		} else {
			high = next
			next -= stride
		}
		if next <= low || next >= high { // the answer lies between two that were tried
			next = (low + high) / 2
		}
	}
	if best == nil {
		return &asset.Fault{
			Kind: asset.ErrInvalid, Part: "max-bytes",
			Detail:  fmt.Sprintf("the smallest %s of %d × %d pixels has %d bytes", x.Variant.Format, x.result.Width, x.result.Height, least),
			Allowed: "more bytes, a smaller size, or another format",
		}
	}
	x.encoded = best
	return nil
}

// searches reports whether the picture is encoded more than once.
func (x *rendering) searches() bool {
	return x.Variant.Quality == asset.QualityAuto || x.Variant.MaxBytes > 0
}

// ready computes the picture of a still that is encoded more than once, or looked at by its encoder.
func ready(x *rendering) error {
	if len(x.frames) == 1 && (x.searches() || x.Variant.Format == asset.PNG && x.notes == nil) {
		return x.frames[0].settle()
	}
	return nil
}

// encodeJPEG makes a progressive file with optimised tables: it is smaller and shows early. Chroma is halved below
// quality 90 (libvips' subsample mode "auto").
func encodeJPEG(f *frame, how encoding) ([]byte, error) {
	p, err := f.picture()
	if err != nil {
		return nil, err
	}
	b, _, err := p.ExportJpeg(&vips.JpegExportParams{
		StripMetadata: !how.notes, Quality: how.quality, Interlace: !how.trial, OptimizeCoding: !how.trial,
		SubsampleMode: vips.VipsForeignSubsampleAuto,
	})
	return b, err
}

// encodePNG makes a file with a palette when the picture has few colours, which is smaller and loses nothing. Otherwise it tries
// every filter on every line, which makes photographs smaller; a very large picture would come near the deadline with it.
func encodePNG(f *frame, how encoding) ([]byte, error) {
	var small []byte
	if !how.notes {
		m, err := f.pixels()
		if err != nil {
			return nil, err
		}
		if small, err = palettePNG(m); err != nil || small != nil && how.size.Pixels() > 1<<16 {
			return small, err
		}
	}
	p, err := f.picture()
	if err != nil {
		return nil, err
	}
	params := &vips.PngExportParams{StripMetadata: !how.notes, Compression: 6, Filter: vips.PngFilterAll}
	if how.size.Pixels() > 8_000_000 {
		params.Compression, params.Filter = 3, vips.PngFilterSub
	}
	b, _, err := p.ExportPng(params)
	if small != nil && len(small) < len(b) {
		b = small
	}
	return b, err
}

// palettePNG makes a PNG with a palette (W3C PNG §4.3) of a picture with up to 256 colours, alpha included; of a grey one with
// up to 16, as more of them are no smaller than grey itself. It returns nil for others.
func palettePNG(m *image.NRGBA) ([]byte, error) {
	most := 256
	if isGrey(m) && m.Opaque() {
		most = 16
	}
	index := make(map[[4]byte]uint8, most)
	p := image.NewPaletted(m.Rect, nil)
	last, at := [4]byte{}, uint8(0)
	for i := range p.Pix {
		c := [4]byte(m.Pix[4*i:])
		if c != last || i == 0 {
			known := false
			if at, known = index[c]; !known {
				if len(index) == most {
					return nil, nil
				}
				at = uint8(len(index))
				index[c] = at
				p.Palette = append(p.Palette, color.NRGBA{c[0], c[1], c[2], c[3]})
			}
			last = c
		}
		p.Pix[i] = at
	}
	var b bytes.Buffer
	err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, p)
	return b.Bytes(), err
}

func encodeWebP(f *frame, how encoding) ([]byte, error) {
	p, err := f.picture()
	if err != nil {
		return nil, err
	}
	b, _, err := p.ExportWebp(&vips.WebpExportParams{StripMetadata: !how.notes, Quality: how.quality, ReductionEffort: 4})
	if err != nil || how.notes {
		return b, err
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

func encodeAVIF(f *frame, how encoding) ([]byte, error) {
	p, err := f.picture()
	if err != nil {
		return nil, err
	}
	b, _, err := p.ExportAvif(&vips.AvifExportParams{
		StripMetadata: !how.notes, Quality: how.quality, Bitdepth: 8, Effort: AVIFEffort,
	})
	return b, err
}

func encodeJXL(f *frame, how encoding) ([]byte, error) {
	p, err := f.picture()
	if err != nil {
		return nil, err
	}
	b, _, err := p.ExportJxl(&vips.JxlExportParams{Distance: jxlDistance(how.quality), Effort: 5})
	return b, err
}

// jxlDistance returns the Butteraugli distance that stands for a quality, as libjxl's JxlEncoderDistanceFromQuality has it: 1
// for 90, and 0, which loses nothing, for 100; at most 15, which is the most that libvips takes. It is ours to compute because govips always sets a distance, and jxlsave of libvips
// looks at a quality only when there is none: all was lossless.
func jxlDistance(quality int) float64 {
	q := float64(quality)
	switch {
	case quality >= 100:
		return 0
	case quality >= 30:
		return 0.1 + (100-q)*0.09
	}
	return min(53.0/3000*q*q-23.0/20*q+25, 15)
}

// encodeGIF chooses 256 colours for each frame that needs others than the one before, and dithers.
func encodeGIF(f *frame, how encoding) ([]byte, error) {
	p, err := f.picture()
	if err != nil {
		return nil, err
	}
	b, _, err := p.ExportGIF(&vips.GifExportParams{StripMetadata: !how.notes, Dither: 1, Effort: 7, Bitdepth: 8})
	return b, err
}

func encodeTIFF(f *frame, how encoding) ([]byte, error) {
	p, err := f.picture()
	if err != nil {
		return nil, err
	}
	b, _, err := p.ExportTiff(&vips.TiffExportParams{
		StripMetadata: !how.notes, Compression: vips.TiffCompressionDeflate, Predictor: vips.TiffPredictorHorizontal,
	})
	return b, err
}

// AVIFEffort is the effort, 0–9, of libvips' heifsave. It trades time for bytes: on three photographs at 1024 px an effort of 4 took
// ten times as long as this, and saved between −5 and 13 % of the bytes.
const AVIFEffort = 1
