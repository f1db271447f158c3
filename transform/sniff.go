package transform

import (
	"bytes"
	"encoding/binary"
)

// sniffLen is how many bytes [Sniff] looks at: SVG's root element may stand behind a long comment.
const sniffLen = 4096

// Sniff returns the media type that the first bytes of a file prove, from the allow-list of what may be rendered, and
// "" for everything else. It never guesses: a type is returned only for its magic bytes at offset 0, or for XML whose root
// element is svg in the namespace of SVG. The magic of BMP and of ICO is short; what follows it must fit, too.
func Sniff(head []byte) string {
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			return m.mediaType
		}
	}
	if len(head) >= 16 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WEBP" {
		return webpType
	}
	switch {
	case isBMP(head):
		return bmpType
	case isICO(head):
		return icoType
	case isSVG(head):
		return svgType
	}
	return sniffBrands(head)
}

const (
	jpegType = "image/jpeg"
	pngType  = "image/png"
	gifType  = "image/gif"
	webpType = "image/webp"
	tiffType = "image/tiff"
	avifType = "image/avif"
	heicType = "image/heic"
	heifType = "image/heif"
	pdfType  = "application/pdf"
	jxlType  = "image/jxl"
	bmpType  = "image/bmp"
	icoType  = "image/vnd.microsoft.icon"
	svgType  = "image/svg+xml"
)

var magics = []struct{ magic, mediaType string }{
	{"\xff\xd8\xff", jpegType},
	{"\x89PNG\r\n\x1a\n", pngType},
	{"GIF87a", gifType},
	{"GIF89a", gifType},
	{"II*\x00", tiffType},
	{"MM\x00*", tiffType},
	{"%PDF-", pdfType},
	{jxlCode, jxlType},
	{jxlSignature, jxlType},
}

// brands maps the brands of ISO/IEC 23008-12 (HEIF) and of AVIF that name a codec to media types.
var brands = map[string]string{
	"avif": avifType, "avis": avifType,
	"heic": heicType, "heix": heicType, "heim": heicType, "heis": heicType,
}

// sniffBrands reads the ftyp box (ISO/IEC 14496-12 §4.3). The major brand decides; the structural brands mif1 and
// msf1 leave it to the first compatible brand that names a codec.
func sniffBrands(head []byte) string {
	if len(head) < 16 || string(head[4:8]) != "ftyp" {
		return ""
	}
	major := string(head[8:12])
	if t := brands[major]; t != "" {
		return t
	}
	if major != "mif1" && major != "msf1" {
		return ""
	}
	end := min(int(min(binary.BigEndian.Uint32(head), sniffLen)), len(head))
	for at := 16; at+4 <= end; at += 4 {
		if t := brands[string(head[at:at+4])]; t != "" {
			return t
		}
	}
	return heifType
}
