package transform

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// gifHeader reads the logical screen and walks the blocks to the trailer (GIF89a §15), counting the frames. A frame
// may not be larger than what libnsgif makes of the screen, so the largest of both counts.
func gifHeader(in *scanner, h *Head) error {
	b, ok := in.at(0, 13)
	if !ok {
		return errCut
	}
	h.Width, h.Height = int(binary.LittleEndian.Uint16(b[6:])), int(binary.LittleEndian.Uint16(b[8:]))
	h.Frames, h.held = 0, 4
	for off := 13 + colorTable(b[10]); ; {
		next, done, err := gifBlock(in, off, h)
		if err == nil && done && h.Frames == 0 {
			err = errors.New("it has no frames")
		}
		if err != nil || done {
			h.Animated = h.Frames > 1
			return err
		}
		off = next
	}
}

func gifBlock(in *scanner, off int64, h *Head) (next int64, done bool, err error) {
	b, ok := in.at(off, 1)
	if !ok {
		return 0, false, errCut
	}
	switch b[0] {
	case 0x3b: // trailer
		return 0, true, nil
	case 0x21: // extension: a label, then sub-blocks
		next, err = gifSubBlocks(in, off+2)
		return next, false, err
	case 0x2c:
		next, err = gifFrame(in, off, h)
		return next, false, err
	}
	return 0, false, errors.New("an unknown block")
}

func gifFrame(in *scanner, off int64, h *Head) (next int64, err error) {
	b, ok := in.at(off, 10)
	if !ok {
		return 0, errCut
	}
	u := func(at int) int { return int(binary.LittleEndian.Uint16(b[at:])) }
	h.Width, h.Height = max(h.Width, u(1)+u(5)), max(h.Height, u(3)+u(7))
	h.Frames++
	return gifSubBlocks(in, off+10+colorTable(b[9])+1) // one byte of LZW code size
}

func gifSubBlocks(in *scanner, off int64) (next int64, err error) {
	for {
		b, ok := in.at(off, 1)
		if !ok {
			return 0, errCut
		}
		if b[0] == 0 {
			return off + 1, in.step()
		}
		off += 1 + int64(b[0]) // no step: each is a byte of the file at least, and the window reads ahead
	}
}

// colorTable returns the bytes of the table that a packed field announces.
func colorTable(packed byte) int64 {
	if packed&0x80 == 0 {
		return 0
	}
	return 3 << (packed&7 + 1)
}

// webpHeader reads the first chunk and, for an animation, walks the others to count frames (RFC 9649 §2).
func webpHeader(in *scanner, h *Head) error {
	b, ok := in.at(0, 30)
	if !ok {
		return errCut
	}
	if end := int64(binary.LittleEndian.Uint32(b[4:])) + 8; end > in.size {
		return errCut
	}
	h.held = 4
	switch string(b[12:16]) {
	case "VP8 ":
		if b[23] != 0x9d || b[24] != 0x01 || b[25] != 0x2a {
			return errors.New("no key frame")
		}
		h.Width = int(binary.LittleEndian.Uint16(b[26:])) & 0x3fff
		h.Height = int(binary.LittleEndian.Uint16(b[28:])) & 0x3fff
	case "VP8L":
		bits := binary.LittleEndian.Uint32(b[21:])
		h.Width, h.Height = int(bits&0x3fff)+1, int(bits>>14&0x3fff)+1
	case "VP8X":
		h.Width, h.Height = int(uint24(b[24:]))+1, int(uint24(b[27:]))+1
		if animated := b[20]&0x02 != 0; animated {
			return webpFrames(in, h)
		}
	default:
		return errors.New("an unknown first chunk")
	}
	return nil
}

func webpFrames(in *scanner, h *Head) error {
	h.Frames, h.Animated = 0, true
	for off := int64(12); ; {
		if err := in.step(); err != nil {
			return err
		}
		b, ok := in.at(off, 8)
		if !ok {
			break
		}
		if string(b[:4]) == "ANMF" {
			h.Frames++
		}
		length := int64(binary.LittleEndian.Uint32(b[4:]))
		off += 8 + length + length&1
	}
	if h.Frames == 0 {
		return errors.New("an animation without frames")
	}
	return nil
}

func uint24(b []byte) uint32 { return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 }

// isoHeader finds the largest ispe property (ISO/IEC 23008-12 §6.5.3), which is in meta → iprp → ipco.
func isoHeader(in *scanner, h *Head) error {
	h.perPixel, h.held = 8, 8
	b, ok := in.at(0, 12)
	if !ok {
		return errCut
	}
	h.Animated = string(b[8:12]) == "avis"
	return isoBoxes(in, 0, in.size, 0, h)
}

// isoContainers maps the boxes that are entered to the bytes before their first child.
var isoContainers = map[string]int64{"meta": 4, "iprp": 0, "ipco": 0}

// isoBoxes walks the boxes between off and end (ISO/IEC 14496-12 §4.2).
func isoBoxes(in *scanner, off, end int64, depth int, h *Head) error {
	for off+8 <= end {
		if err := in.step(); err != nil {
			return err
		}
		kind, body, next, err := isoBox(in, off, end)
		if err != nil {
			return err
		}
		if skip, enter := isoContainers[kind]; enter && depth < len(isoContainers) {
			if err := isoBoxes(in, body+skip, next, depth+1, h); err != nil {
				return err
			}
		}
		if kind == "ispe" {
			if err := isoExtent(in, body, h); err != nil {
				return err
			}
		}
		off = next
	}
	return nil
}

// isoBox reads the header of one box: its kind, where its body begins, and where the next box is.
func isoBox(in *scanner, off, end int64) (kind string, body, next int64, err error) {
	b, ok := in.at(off, 8)
	if !ok {
		return "", 0, 0, errCut
	}
	kind, body, length := string(b[4:8]), off+8, int64(binary.BigEndian.Uint32(b))
	switch length {
	case 0: // to the end of the file
		return kind, body, end, nil
	case 1:
		if b, ok = in.at(off+8, 8); !ok {
			return "", 0, 0, errCut
		}
		body, length = off+16, int64(min(binary.BigEndian.Uint64(b), 1<<62))
	}
	if length < body-off {
		return "", 0, 0, errors.New("a box without a length")
	}
	if length > end-off {
		return "", 0, 0, errCut
	}
	return kind, body, off + length, nil
}

func isoExtent(in *scanner, body int64, h *Head) error {
	b, ok := in.at(body, 12)
	if !ok {
		return errCut
	}
	w, height := int64(binary.BigEndian.Uint32(b[4:])), int64(binary.BigEndian.Uint32(b[8:]))
	if w > 1<<31-1 || height > 1<<31-1 {
		return errors.New("its size is out of range")
	}
	if w*height > int64(h.Width)*int64(h.Height) {
		h.Width, h.Height = int(w), int(height)
	}
	return nil
}

// pdfTail is where the end mark of a whole document stands (ISO 32000-1 Annex H, implementation note 18).
const pdfTail = 1024

// pdfHeader looks for the end mark alone: a document's pages have a size only when they are drawn.
func pdfHeader(in *scanner, _ *Head) error {
	if !bytes.Contains(in.upTo(max(0, in.size-pdfTail), pdfTail), []byte("%%EOF")) {
		return errCut
	}
	return nil
}
