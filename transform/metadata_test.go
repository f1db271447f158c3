package transform

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

// TestMetadataIsTakenOff: who took a picture, with what and where, is in no rendition.
func TestMetadataIsTakenOff(t *testing.T) {
	b := newBench(t, nil)
	original := revealing(jpegOf(t, photo(120, 80)))
	if n := bytes.Count(original, []byte("SECRET")); n != 3 {
		t.Fatalf("the original reveals %d things, want 3", n)
	}
	for _, f := range []asset.Format{asset.JPEG, asset.PNG, asset.WebP, asset.AVIF} {
		for _, v := range []asset.Variant{{Format: f}, {Format: f, Width: 60}, {Format: f, Rotate: 90}} {
			out, err := b.render(t, original, v)
			if err != nil {
				t.Fatal(err)
			}
			for _, trace := range []string{"SECRET", "Exif", "EXIF", "xmpmeta", "8BIM"} {
				if bytes.Contains(out, []byte(trace)) {
					t.Errorf("%s still holds %q", v, trace)
				}
			}
		}
	}
}

// revealing puts EXIF with a camera's name, XMP and IPTC behind the SOI of a JPEG.
func revealing(jpg []byte) []byte {
	const model = "SECRET-CAMERA\x00"
	tiff := []byte("MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x10\x00\x02\x00\x00\x00")
	tiff = append(tiff, byte(len(model)), 0, 0, 0, 26, 0, 0, 0, 0)
	exif := "Exif\x00\x00" + string(tiff) + model
	xmp := "http://ns.adobe.com/xap/1.0/\x00<x:xmpmeta xmlns:x='adobe:ns:meta/'>SECRET-XMP</x:xmpmeta>"
	caption := "\x1c\x02\x78\x00\x0cSECRET-PLACE"
	iptc := "Photoshop 3.0\x008BIM\x04\x04\x00\x00\x00\x00\x00" + string(rune(len(caption))) + caption
	out := bytes.Clone(jpg[:2])
	for _, segment := range []struct {
		marker byte
		body   string
	}{{0xe1, exif}, {0xe1, xmp}, {0xed, iptc + "\x00"}} {
		out = append(out, 0xff, segment.marker)
		out = binary.BigEndian.AppendUint16(out, uint16(len(segment.body)+2))
		out = append(out, segment.body...)
	}
	return append(out, jpg[2:]...)
}
