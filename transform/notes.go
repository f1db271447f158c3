package transform

import (
	"slices"
	"strings"

	"github.com/davidbyttow/govips/v2/vips"

	"github.com/assetmatrix/assetmatrix/asset"
)

// The names of metadata in libvips (vips/header.h, libvips/foreign/exif.c). Next to a block of EXIF it has each field by name, and
// what it saves are the fields: those that lack are taken out of the block.
const (
	exifBlock  = "exif-data"
	exifFields = "exif-ifd"
	exifSmall  = "exif-ifd1" // of EXIF's own small picture
	xmpBlock   = "xmp-data"
	iptcBlock  = "iptc-data"
)

// rights are the EXIF fields that say who made a picture and whose it is (TIFF/EP tags 315 and 33432).
var rights = []string{"exif-ifd0-Artist", "exif-ifd0-Copyright"}

// kept returns those names of metadata that v keeps. EXIF's own small picture never is: it may show what was cut out.
func kept(names []string, v *asset.Variant) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		switch v.Metadata {
		case asset.MetadataKeep:
			field := strings.HasPrefix(name, exifFields) && !strings.HasPrefix(name, exifSmall)
			iptc := name == iptcBlock && v.Format != asset.TIFF // of which tiffsave of libvips 8.14 writes a quarter
			return !field && name != exifBlock && name != xmpBlock && !iptc
		case asset.MetadataCopyright:
			return !slices.Contains(rights, name)
		}
		return true
	})
}

// notesOf returns a picture that has what is to be kept of p's metadata, and whose pixels are never read; nil when that is
// nothing. Metadata goes from picture to picture in libvips alone.
func notesOf(p *vips.ImageRef, v *asset.Variant) (*vips.ImageRef, error) {
	names := kept(p.ImageFields(), v)
	if len(names) == 0 {
		return nil, nil
	}
	notes, err := p.Copy()
	if err != nil {
		return nil, err
	}
	for _, do := range []func() error{
		func() error { return notes.RemoveMetadata(names...) },
		notes.RemoveICCProfile,
		func() error { return notes.SetPages(1) },
		func() error { return notes.SetOrientation(1) }, // upright is what it will be
		func() error { return notes.ExtractBand(0, 1) }, // goes with any picture
		func() error { return notes.Cast(vips.BandFormatUchar) },
	} {
		if err := do(); err != nil {
			notes.Close()
			return nil, err
		}
	}
	if v.Metadata != asset.MetadataCopyright {
		return notes, nil
	}
	defer notes.Close()
	return blockOf(notes)
}

// blockOf returns a picture whose EXIF block has the fields of notes: pngsave of libvips 8.14 writes no fields without one. It
// is a JPEG of one pixel, written and read.
func blockOf(notes *vips.ImageRef) (*vips.ImageRef, error) {
	dot, err := vips.Black(1, 1)
	if err != nil {
		return nil, err
	}
	defer dot.Close()
	if err := dot.Insert(notes, 1, 1, false, nil); err != nil {
		return nil, err
	}
	b, _, err := dot.ExportJpeg(&vips.JpegExportParams{Quality: 1})
	if err != nil {
		return nil, err
	}
	return vips.NewImageFromBuffer(b)
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
	return p.Insert(x.notes, p.Width(), p.Height(), false, nil) // beside it: no pixel changes, and metadata is that of both
}
