package transform

import (
	"encoding/binary"

	"github.com/assetmatrix/assetmatrix/asset"
)

const (
	app1           = 0xe1   // the JPEG segment that EXIF stands in
	orientationTag = 0x0112 // TIFF/EP tag 274
	maxEntries     = 64     // of a directory that are looked at
)

// exifOrientation reads the orientation of the EXIF block (CIPA DC-008 §4.5.4) whose segment begins at off; 0 when it has none. What
// cannot be read has none: it is libvips that turns the picture.
func exifOrientation(in *scanner, off int64) int {
	b, ok := in.at(off+4, 14)
	if !ok || string(b[:6]) != "Exif\x00\x00" {
		return 0
	}
	var order binary.ByteOrder = binary.BigEndian
	if b[6] == 'I' {
		order = binary.LittleEndian
	}
	start := off + 10 // of the TIFF structure in it
	directory := start + int64(order.Uint32(b[10:]))
	if b, ok = in.at(directory, 2); !ok {
		return 0
	}
	for i := range min(int64(order.Uint16(b)), maxEntries) {
		e, ok := in.at(directory+2+12*i, 12)
		if !ok {
			return 0
		}
		if order.Uint16(e) == orientationTag {
			return tiffNumber(order, e)
		}
	}
	return 0
}

// upright returns the size that EXIF shows the picture in, as far as the header says.
func (h Head) upright() asset.Size { return fromEXIF(h.orientation).size(h.stored()) }

func (h Head) stored() asset.Size { return asset.Size{Width: h.Width, Height: h.Height} }
