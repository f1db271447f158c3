package bench

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"

	"github.com/davidbyttow/govips/v2/vips"

	"github.com/assetmatrix/assetmatrix/bench/corpus"
)

// A mark is a number that can be read off a picture, and off every rendition of it that keeps its middle: a square of 5 × 5 fields,
// each an eighteenth of the shorter side, black or white. Twelve of them are the number, thirteen a check of it.
const (
	markFields = 5
	markShare  = 18 // of the shorter side, to a field
	markBits   = 12
)

// markCode is the fields of a number, the first in the lowest bit.
func markCode(n int) uint32 {
	sum := crc32.ChecksumIEEE(binary.BigEndian.AppendUint32(nil, uint32(n)))
	return uint32(n) | sum>>(32-(markFields*markFields-markBits))<<markBits
}

// mark draws a number, 0–4095, into the middle of a picture.
func mark(img *image.RGBA, n int) {
	b := img.Bounds()
	field := min(b.Dx(), b.Dy()) / markShare
	left, top := b.Min.X+(b.Dx()-markFields*field)/2, b.Min.Y+(b.Dy()-markFields*field)/2
	code := markCode(n)
	for y := range markFields * field {
		for x := range markFields * field {
			shade := color.RGBA{A: 255}
			if code>>(y/field*markFields+x/field)&1 == 1 {
				shade = color.RGBA{255, 255, 255, 255}
			}
			img.SetRGBA(left+x, top+y, shade)
		}
	}
}

// A shown is what can be read off a picture.
type shown struct {
	number int
	width  int // px
}

// errNoMark says that a picture has no mark, or one that cannot be read.
var errNoMark = errors.New("it shows none of the bench's pictures")

// markOf reads number and width off a picture in any format. One that was cropped has lost the measure of its field on one axis, but
// not on the other.
func markOf(body []byte) (s shown, err error) {
	if err := corpus.StartVips(); err != nil {
		return s, err
	}
	if len(body) == 0 {
		return s, errNoMark
	}
	p, err := vips.NewImageFromBuffer(body)
	if err != nil {
		return s, corpus.Plain(err)
	}
	defer p.Close()
	if err := p.ToColorSpace(vips.InterpretationBW); err != nil {
		return s, corpus.Plain(err)
	}
	if err := p.ExtractBand(0, 1); err != nil {
		return s, corpus.Plain(err)
	}
	width, height := p.Width(), p.Height()
	grey, err := p.ToBytes()
	if err != nil {
		return s, corpus.Plain(err)
	}
	for _, side := range []int{min(width, height), max(width, height)} {
		field := float64(side) / markShare
		var code uint32
		for i := range markFields * markFields {
			x := float64(width)/2 + (float64(i%markFields)+0.5-markFields/2.0)*field
			y := float64(height)/2 + (float64(i/markFields)+0.5-markFields/2.0)*field
			if grey[min(int(y), height-1)*width+min(int(x), width-1)] >= 128 {
				code |= 1 << i
			}
		}
		if n := int(code & (1<<markBits - 1)); code == markCode(n) {
			return shown{n, width}, nil
		}
	}
	return s, errNoMark
}
