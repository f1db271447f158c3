package asset

import "strings"

// A Format is an encoding of pixels. The zero Format means "the original's bytes as they are".
type Format uint8

// The formats of the URL grammar. Auto is negotiated away before a key is made.
const (
	AsIs Format = iota
	Auto
	JPEG
	PNG
	WebP
	AVIF
	JXL
	GIF
	TIFF
	// ThumbHash is no encoding of a rendition but the picture's placeholder, as the text of a data URL.
	ThumbHash
	// Reduced is no format that can be asked for: the original, shrunk to Width and not encoded, of which renditions are made.
	Reduced
)

var formats = [...]struct{ name, mediaType string }{
	AsIs: {"", ""},
	Auto: {"auto", ""},
	JPEG: {"jpeg", "image/jpeg"},
	PNG:  {"png", "image/png"},
	WebP: {"webp", "image/webp"},
	AVIF: {"avif", "image/avif"},
	JXL:  {"jxl", "image/jxl"},
	GIF:  {"gif", "image/gif"},
	TIFF: {"tiff", "image/tiff"},

	ThumbHash: {"thumbhash", "text/plain; charset=utf-8"},
	Reduced:   {"reduced", "image/tiff"},
}

// String returns the format's name in the grammar, "" for AsIs.
func (f Format) String() string { return formats[f].name }

// MediaType returns the registered media type, "" for AsIs and Auto.
func (f Format) MediaType() string { return formats[f].mediaType }

// HasAlpha reports whether the format can hold transparency.
func (f Format) HasAlpha() bool { return f != JPEG }

// Moves reports whether the format can hold an animation; Auto may become one that does.
func (f Format) Moves() bool { return f == GIF || f == WebP || f == Auto }

// ParseFormat returns the format with that name in the grammar ("jpg" is taken for "jpeg").
func ParseFormat(name string) (Format, bool) {
	if name == "jpg" {
		return JPEG, true
	}
	for f := Auto; f < Reduced; f++ {
		if formats[f].name == name {
			return f, true
		}
	}
	return AsIs, false
}

// IsImage reports whether a media type is of the image kind (that we can render it is for package transform to say).
func IsImage(mediaType string) bool { return strings.HasPrefix(mediaType, "image/") }
