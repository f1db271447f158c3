package transform

import (
	"encoding/binary"

	"github.com/davidbyttow/govips/v2/vips"
)

// convert brings the picture to 8-bit sRGB without a profile, which every client takes for sRGB. It runs once, on the
// resized picture, and not at all for one that is in sRGB already. Grey stays grey.
func convert(x *rendering) error {
	return x.each(func(p *vips.ImageRef) error {
		if err := toSRGB(p); err != nil {
			return err
		}
		if x.MediaType == pdfType { // paper is white
			if err := p.Flatten(&vips.Color{R: 255, G: 255, B: 255}); err != nil {
				return err
			}
		}
		return p.RemoveICCProfile()
	})
}

func toSRGB(p *vips.ImageRef) error {
	if profile := p.GetICCProfile(); fits(profile, p) && !isSRGB(profile) {
		if err := p.TransformICCProfileWithFallback(builtinSRGB, builtinSRGB); err == nil {
			return to8Bit(p)
		}
		// A damaged profile says nothing about the pixels: go on as if there were none.
	}
	if p.Interpretation() == vips.InterpretationCMYK {
		if err := p.RemoveICCProfile(); err != nil {
			return err
		}
		if err := p.TransformICCProfileWithFallback(builtinSRGB, builtinCMYK); err != nil {
			return err
		}
	}
	return to8Bit(p)
}

// libvips has these profiles built in (vips_profile_load).
const (
	builtinSRGB = "srgb"
	builtinCMYK = "cmyk"
)

func to8Bit(p *vips.ImageRef) error {
	to := vips.InterpretationSRGB
	switch p.Interpretation() {
	case vips.InterpretationBW, vips.InterpretationGrey16:
		to = vips.InterpretationBW
	}
	if p.Interpretation() == to && p.BandFormat() == vips.BandFormatUchar {
		return nil
	}
	return p.ToColorSpace(to)
}

// Offsets in the header of a profile (ICC.1:2022 §7.2).
const (
	iccSpace        = 16
	iccManufacturer = 48
	iccHeader       = 128
)

// fits reports whether a profile is for pictures with p's bands; one that is not would be misread.
func fits(profile []byte, p *vips.ImageRef) bool {
	if len(profile) < iccHeader {
		return false
	}
	colors := p.Bands()
	if p.HasAlpha() {
		colors--
	}
	switch string(profile[iccSpace : iccSpace+4]) {
	case "RGB ":
		return colors == 3
	case "GRAY":
		return colors == 1
	case "CMYK":
		return colors == 4 && p.Interpretation() == vips.InterpretationCMYK
	}
	return false
}

// isSRGB recognises the sRGB profile of IEC 61966-2-1 as HP and Microsoft published it, which nearly all cameras and
// programs embed, by its manufacturer and model. Others are converted, which does no harm.
func isSRGB(profile []byte) bool {
	return binary.BigEndian.Uint64(profile[iccManufacturer:]) == 0x49454320_73524742 // "IEC sRGB"
}
