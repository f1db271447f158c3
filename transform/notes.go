package transform

import (
	"maps"
	"slices"
	"strings"

	"github.com/davidbyttow/govips/v2/vips"

	"github.com/assetmatrix/assetmatrix/asset"
)

// notes are what of an original's metadata is kept: blocks as they are, or single EXIF fields as libvips spells them.
type notes struct {
	blocks map[string][]byte
	fields map[string]string
}

// The names of metadata in libvips (vips/header.h, libvips/foreign/exif.c).
const (
	exifBlock = "exif-data"
	xmpBlock  = "xmp-data"
	iptcBlock = "iptc-data"
)

// rights are the EXIF fields that say who made a picture and whose it is (TIFF/EP tags 315 and 33432).
var rights = []string{"exif-ifd0-Artist", "exif-ifd0-Copyright"}

// notesOf reads what is to be kept, before any step changes the picture; nil when that is nothing. EXIF's own small picture
// is never kept: it may show what was cut out.
func notesOf(p *vips.ImageRef, keep asset.Metadata) *notes {
	n := &notes{blocks: map[string][]byte{}, fields: map[string]string{}}
	there := p.ImageFields()
	switch keep {
	case asset.MetadataKeep:
		for _, name := range []string{exifBlock, xmpBlock, iptcBlock} {
			if slices.Contains(there, name) {
				n.blocks[name] = p.GetBlob(name)
			}
		}
	case asset.MetadataCopyright:
		for _, name := range rights {
			if slices.Contains(there, name) {
				n.fields[name] = p.GetString(name)
			}
		}
	}
	if len(n.blocks)+len(n.fields) == 0 {
		return nil
	}
	return n
}

// strip takes off EXIF with its places and names, XMP and IPTC, but for what is to be kept. The encoders' own option does not
// do: webpsave of libvips 8.14 keeps them all the same, while without it jpegsave writes a new EXIF block.
func strip(x *rendering) error {
	p, err := x.frames[0].picture()
	if err != nil {
		return err
	}
	if err := p.RemoveMetadata(); err != nil {
		return err
	}
	if x.notes == nil {
		return nil
	}
	if err := p.SetOrientation(1); err != nil { // it is upright by now
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(x.notes.blocks)) {
		p.SetBlob(name, x.notes.blocks[name])
	}
	for _, name := range slices.Sorted(maps.Keys(x.notes.fields)) {
		value, _, _ := strings.Cut(x.notes.fields[name], " (") // libvips adds type and length behind it
		p.SetString(name, value)
	}
	return nil
}
