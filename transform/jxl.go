package transform

import (
	"encoding/binary"
	"errors"
)

// jxlSignature is the first box of a JPEG XL container (ISO/IEC 18181-2 §9.1); a bare codestream begins with jxlCode.
const (
	jxlSignature = "\x00\x00\x00\x0cJXL \x0d\x0a\x87\x0a"
	jxlCode      = "\xff\x0a"
)

// jxlHeaderBytes is more than the longest beginning of a codestream that is read.
const jxlHeaderBytes = 64

// jxlHeader finds the codestream, reads its size, and whether it moves (ISO/IEC 18181-1 §D.2, §D.3). libjxl keeps the whole
// picture in floats, and libvips what comes out.
func jxlHeader(in *scanner, h *Head) error {
	h.perPixel, h.held = 8, 16
	code := in.upTo(0, jxlHeaderBytes)
	if string(code[:len(jxlCode)]) != jxlCode {
		var err error
		if code, err = jxlCodestream(in); err != nil {
			return err
		}
	}
	if len(code) < len(jxlCode) || string(code[:len(jxlCode)]) != jxlCode {
		return errors.New("it has no codestream")
	}
	b := bits{b: code[len(jxlCode):]}
	h.Width, h.Height = b.jxlSize()
	h.Animated = b.jxlMoves()
	if b.cut {
		return errCut
	}
	return nil
}

// jxlCodestream walks the boxes to the beginning of the codestream: all of it is in jxlc, or parts of it are in jxlp, each behind
// its number (ISO/IEC 18181-2 §9.8, §9.9). The boxes behind are walked, too: a file must not end within one.
func jxlCodestream(in *scanner) (code []byte, err error) {
	last := false
	for off := int64(0); off < in.size; {
		if err := in.step(); err != nil {
			return nil, err
		}
		kind, body, next, err := isoBox(in, off, in.size)
		if err != nil {
			return nil, err
		}
		length := next - body
		if kind == "jxlp" {
			number, ok := in.at(body, 4)
			if !ok || length < 4 {
				return nil, errCut
			}
			last = last || binary.BigEndian.Uint32(number)&(1<<31) != 0
			body, length = body+4, length-4
		}
		if kind == "jxlc" || kind == "jxlp" {
			last = last || kind == "jxlc"
			room := jxlHeaderBytes - len(code)
			code = append(code, in.upTo(body, int(min(length, int64(room))))...)
		}
		off = next
	}
	if !last && len(code) > 0 {
		return nil, errCut
	}
	return code, nil
}

// bits reads numbers from the lowest bit of each byte up.
type bits struct {
	b   []byte
	at  int
	cut bool // more was read than there is
}

func (r *bits) u(n int) (v int) {
	for i := range n {
		if r.at>>3 >= len(r.b) {
			r.cut = true
			return 0
		}
		v |= int(r.b[r.at>>3]>>(r.at&7)&1) << i
		r.at++
	}
	return v
}

func (r *bits) bool() bool { return r.u(1) == 1 }

// A jxlRange is one of the four forms of a number: a base and how many bits are added (ISO/IEC 18181-1 §B.2.2).
type jxlRange struct{ base, bits int }

func (r *bits) u32(forms [4]jxlRange) int {
	f := forms[r.u(2)]
	return f.base + r.u(f.bits)
}

// jxlRatios are the widths that need no number of their own, as fractions of the height.
var jxlRatios = [8][2]int{1: {1, 1}, 2: {12, 10}, 3: {4, 3}, 4: {3, 2}, 5: {16, 9}, 6: {5, 4}, 7: {2, 1}}

// jxlSize reads a SizeHeader.
func (r *bits) jxlSize() (width, height int) {
	side := func() int { return r.u32([4]jxlRange{{1, 9}, {1, 13}, {1, 18}, {1, 30}}) }
	if small := r.bool(); small {
		side = func() int { return 8 * (r.u(5) + 1) }
	}
	return r.sides(side)
}

// jxlPreview reads a PreviewHeader.
func (r *bits) jxlPreview() {
	side := func() int { return r.u32([4]jxlRange{{1, 6}, {65, 8}, {321, 10}, {1345, 12}}) }
	if small := r.bool(); small {
		side = func() int { return 8 * r.u32([4]jxlRange{{16, 0}, {32, 0}, {1, 5}, {33, 9}}) }
	}
	r.sides(side)
}

func (r *bits) sides(side func() int) (width, height int) {
	height = side()
	ratio := jxlRatios[r.u(3)]
	if ratio[0] == 0 {
		return side(), height
	}
	return height * ratio[0] / ratio[1], height
}

// jxlMoves reads the beginning of the ImageMetadata, which is behind the SizeHeader.
func (r *bits) jxlMoves() bool {
	if byDefault := r.bool(); byDefault {
		return false
	}
	if extra := r.bool(); !extra {
		return false
	}
	r.u(3) // orientation: libjxl turns the picture itself
	if intrinsic := r.bool(); intrinsic {
		r.jxlSize()
	}
	if preview := r.bool(); preview {
		r.jxlPreview()
	}
	return r.bool()
}
