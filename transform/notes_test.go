package transform

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

// An exifField is an entry of a TIFF directory: ASCII, or with a number a SHORT.
type exifField struct {
	tag    uint16
	text   string
	number uint16
}

// exifBlockOf makes an EXIF block (Exif 2.3 §4.5) of three directories: of the picture, of the place, and of a small picture.
func exifBlockOf(ifd0, gps []exifField, thumbnail []byte) []byte {
	be := binary.BigEndian
	out := []byte("MM\x00\x2a\x00\x00\x00\x08")
	directory := func(fields []exifField, pointers map[uint16]uint32, next func(end uint32) uint32) {
		n := len(fields) + len(pointers)
		start := uint32(len(out))
		end := start + 2 + 12*uint32(n) + 4
		data := []byte{}
		out = be.AppendUint16(out, uint16(n))
		for _, f := range fields {
			out = be.AppendUint16(out, f.tag)
			if f.text == "" {
				out = be.AppendUint32(be.AppendUint16(out, 3), 1)
				out = be.AppendUint16(be.AppendUint16(out, f.number), 0)
				continue
			}
			b := append([]byte(f.text), 0)
			out = be.AppendUint32(be.AppendUint16(out, 2), uint32(len(b)))
			if len(b) <= 4 {
				out = append(out, append(b, 0, 0, 0)[:4]...)
				continue
			}
			out = be.AppendUint32(out, end+uint32(len(data)))
			data = append(data, b...)
			if len(data)%2 == 1 {
				data = append(data, 0)
			}
		}
		for tag, value := range pointers {
			out = be.AppendUint32(be.AppendUint32(be.AppendUint16(be.AppendUint16(out, tag), 4), 1), value)
		}
		at := len(out)
		out = append(out, 0, 0, 0, 0)
		out = append(out, data...)
		be.PutUint32(out[at:], next(uint32(len(out))))
	}
	size := func(fields []exifField, pointers int) uint32 { // of a directory and its data
		n := uint32(2 + 12*(len(fields)+pointers) + 4)
		for _, f := range fields {
			if l := uint32(len(f.text) + 1); f.text != "" && l > 4 {
				n += l + l%2
			}
		}
		return n
	}
	gpsAt := 8 + size(ifd0, 1)
	directory(ifd0, map[uint16]uint32{0x8825: gpsAt}, func(end uint32) uint32 { return end + size(gps, 0) })
	directory(gps, nil, func(uint32) uint32 { return 0 })
	at := uint32(len(out)) + 2 + 2*12 + 12 + 4
	out = be.AppendUint16(out, 3)
	for _, p := range [][2]uint32{{0x0103, 6 << 16}, {0x0201, at}, {0x0202, uint32(len(thumbnail))}} {
		kind := uint16(4)
		if p[0] == 0x0103 {
			kind = 3
		}
		out = be.AppendUint32(be.AppendUint32(be.AppendUint16(be.AppendUint16(out, uint16(p[0])), kind), 1), p[1])
	}
	out = append(out, 0, 0, 0, 0)
	return append(out, thumbnail...)
}

// withSegments puts APP segments behind the SOI of a JPEG.
func withSegments(jpg []byte, bodies map[byte][]string) []byte {
	out := bytes.Clone(jpg[:2])
	for _, marker := range []byte{0xe1, 0xe2, 0xed} {
		for _, body := range bodies[marker] {
			out = binary.BigEndian.AppendUint16(append(out, 0xff, marker), uint16(len(body)+2))
			out = append(out, body...)
		}
	}
	return append(out, jpg[2:]...)
}

// noted is a picture with notes of all kinds, stored so that EXIF's orientation 6 shows it upright.
func noted(t *testing.T) []byte {
	t.Helper()
	exif := exifBlockOf(
		[]exifField{{0x010f, "Maker-Of-It", 0}, {0x0110, "Camera-Of-It", 0}, {0x0112, "", 6}, {0x013b, "Artist-Of-It (and more)", 0}, {0x8298, "Copyright-Of-It", 0}},
		[]exifField{{0x0001, "N", 0}, {0x001d, "2026:11:28", 0}},
		jpegOf(t, quarters(16, 16)),
	)
	xmp := "http://ns.adobe.com/xap/1.0/\x00<x:xmpmeta xmlns:x='adobe:ns:meta/'>Xmp-Of-It</x:xmpmeta>"
	caption := "\x1c\x02\x78\x00\x0aIptc-Of-It\x00"
	iptc := "Photoshop 3.0\x008BIM\x04\x04\x00\x00\x00\x00\x00" + string(rune(len(caption)-1)) + caption
	return withSegments(jpegOf(t, turnedPixels(quarters(96, 64), 6)), map[byte][]string{0xe1: {"Exif\x00\x00" + string(exif), xmp}, 0xed: {iptc}})
}

// TestMetadata: each format keeps of the notes exactly what was asked for; it is upright, and says nothing else of that.
func TestMetadata(t *testing.T) {
	b := newBench(t, nil)
	original := noted(t)
	all := []string{"Maker-Of-It", "Camera-Of-It", "Artist-Of-It", "Copyright-Of-It", "2026:11:28", "Xmp-Of-It", "Iptc-Of-It"}
	for _, s := range all {
		if !bytes.Contains(original, []byte(s)) {
			t.Fatalf("the original has no %q", s)
		}
	}
	rights := "Artist-Of-It Copyright-Of-It"
	exif := "Maker-Of-It Camera-Of-It " + rights + " 2026:11:28"
	for format, keeps := range map[string]string{
		"jpeg": exif + " Xmp-Of-It Iptc-Of-It", "webp": exif + " Xmp-Of-It", "avif": exif + " Xmp-Of-It",
		"png":  exif, // and XMP, which is compressed: see TestMetadataKinds
		"tiff": "Xmp-Of-It",
		"jxl":  "",
	} {
		for metadata, want := range map[string]string{"none": "", "copyright": rights, "keep": keeps} {
			if (format == "tiff" || format == "jxl") && metadata == "copyright" {
				want = ""
			}
			for _, more := range []string{"", ",w=48", ",rotate=90,blur=1", ",trim=1"} {
				out, err := b.render(t, original, variantOf(t, "f="+format+",metadata="+metadata+more))
				if err != nil {
					t.Fatal(format, metadata, err)
				}
				for _, s := range all {
					if has, wants := bytes.Contains(out, []byte(s)), strings.Contains(want, s); has != wants {
						t.Errorf("%s with metadata=%s%s has %q: %v, want %v", format, metadata, more, s, has, wants)
					}
				}
				checkUpright(t, b, format+" "+metadata+more, out, more)
			}
		}
	}
}

func checkUpright(t *testing.T, b *bench, name string, out []byte, more string) {
	t.Helper()
	want := "rgby"
	if strings.Contains(more, "rotate") {
		want = rotated(want, 90)
	}
	_, pic, err := b.probe(t, out)
	if err != nil {
		if !strings.HasPrefix(name, "jxl") {
			t.Error(name, err)
		}
		return
	}
	if pic == nil {
		return
	}
	if pic.Orientation > 1 {
		t.Errorf("%s says orientation %d", name, pic.Orientation)
	}
	if got := whichQuarters(b.make(t, out, "f=png")); got != want {
		t.Errorf("%s shows %s, want %s", name, got, want)
	}
	if n := bytes.Count(out, []byte("\xff\xd8\xff")); n > 1 || n == 1 && !bytes.HasPrefix(out, []byte("\xff\xd8\xff")) {
		t.Errorf("%s has a small picture in it", name)
	}
}

// TestMetadataKinds: originals of other formats have notes as well, and animations.
func TestMetadataKinds(t *testing.T) {
	b := newBench(t, nil)
	for _, format := range []string{"webp", "png", "avif", "tiff"} {
		original, err := b.render(t, noted(t), variantOf(t, "f="+format+",metadata=keep"))
		if err != nil {
			t.Fatal(err)
		}
		for metadata, want := range map[string]bool{"none": false, "keep": true} {
			out, err := b.render(t, original, variantOf(t, "f=jpeg,metadata="+metadata))
			if err != nil {
				t.Fatal(format, err)
			}
			if got := bytes.Contains(out, []byte("Xmp-Of-It")); got != want {
				t.Errorf("%s to jpeg with metadata=%s: %v", format, metadata, got)
			}
		}
	}
	damaged := withSegments(jpegOf(t, quarters(40, 30)), map[byte][]string{0xe1: {"Exif\x00\x00MM\x00\x2a\x00\x00\x00\xff\xff\xff"}})
	for _, metadata := range []string{"none", "copyright", "keep"} {
		if got := whichQuarters(b.make(t, damaged, "metadata="+metadata+",w=20")); got != "rgby" {
			t.Errorf("damaged EXIF, metadata=%s: %s", metadata, got)
		}
	}
	out, err := b.render(t, gifOf(t, 20, 20, 3), asset.Variant{Format: asset.WebP, Metadata: asset.MetadataKeep})
	if err != nil || len(webpDelays(out)) != 3 {
		t.Error(err)
	}
}
