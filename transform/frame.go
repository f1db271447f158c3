package transform

import (
	"fmt"
	"image"

	"github.com/davidbyttow/govips/v2/vips"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A frame is a picture as libvips has it, or as pixels in Go's memory: whichever the last step has made.
type frame struct {
	ref   *vips.ImageRef // nil when there are pixels
	pix   *image.NRGBA
	bands int // that the picture had when its pixels were taken
}

func (f *frame) close() {
	if f.ref != nil {
		f.ref.Close()
		f.ref = nil
	}
	f.pix = nil
}

// picture returns the frame as libvips has it. Pixels go over.
func (f *frame) picture() (*vips.ImageRef, error) {
	if f.ref != nil {
		return f.ref, nil
	}
	ref, err := vips.NewImageFromGoImage(f.pix)
	if err != nil {
		return nil, err
	}
	f.ref = ref
	grey, opaque := f.bands < 3 && isGrey(f.pix), f.bands%2 == 1 && f.pix.Opaque()
	switch {
	case grey && opaque:
		err = f.keepBands(1, vips.InterpretationBW)
	case opaque:
		err = ref.ExtractBand(0, 3)
	}
	if err != nil {
		return nil, err
	}
	f.pix = nil
	return f.ref, nil // keepBands has replaced it
}

// keepBands keeps the first n bands and says what they are.
func (f *frame) keepBands(n int, meaning vips.Interpretation) error {
	if err := f.ref.ExtractBand(0, n); err != nil {
		return err
	}
	p, err := f.ref.CopyChangingInterpretation(meaning)
	if err != nil {
		return err
	}
	f.ref.Close()
	f.ref = p
	return nil
}

func isGrey(m *image.NRGBA) bool {
	for i := 0; i < len(m.Pix); i += 4 {
		if m.Pix[i] != m.Pix[i+1] || m.Pix[i] != m.Pix[i+2] {
			return false
		}
	}
	return true
}

// pixels computes the pixels of a picture in sRGB. What is drawn into them stays.
func (f *frame) pixels() (*image.NRGBA, error) {
	if f.pix != nil {
		return f.pix, nil
	}
	f.bands = f.ref.Bands()
	m, err := pixels(f.ref)
	if err != nil {
		return nil, err
	}
	f.close()
	f.pix = m
	return m, nil
}

// settle computes a picture, so that it can be read in any order and more than once.
func (f *frame) settle() error {
	_, err := f.pixels()
	return err
}

func (f *frame) size() asset.Size {
	if f.pix != nil {
		return asset.Size{Width: f.pix.Rect.Dx(), Height: f.pix.Rect.Dy()}
	}
	return asset.Size{Width: f.ref.Width(), Height: f.ref.Height()}
}

// pixels copies an 8-bit picture out of libvips.
func pixels(p *vips.ImageRef) (*image.NRGBA, error) {
	b, err := p.ToBytes()
	if err != nil {
		return nil, err
	}
	w, h, n := p.Width(), p.Height(), p.Bands()
	if len(b) != w*h*n || n < 1 || n > 4 {
		return nil, fmt.Errorf("%d bytes for %d × %d × %d", len(b), w, h, n)
	}
	if n == 4 {
		return &image.NRGBA{Pix: b, Stride: 4 * w, Rect: image.Rect(0, 0, w, h)}, nil
	}
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	spread(out.Pix, b, n)
	return out, nil
}

// spread makes pixels of 4 bytes of those with 1 (grey), 2 (grey, alpha) or 3.
func spread(out, b []byte, n int) {
	for i, at := 0, 0; i < len(out); i, at = i+4, at+n {
		switch n {
		case 1:
			out[i], out[i+1], out[i+2], out[i+3] = b[at], b[at], b[at], 255
		case 2:
			out[i], out[i+1], out[i+2], out[i+3] = b[at], b[at], b[at], b[at+1]
		default:
			out[i], out[i+1], out[i+2], out[i+3] = b[at], b[at+1], b[at+2], 255
		}
	}
}
