package transform

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A Head is what the header of a picture says, read without decoding it.
type Head struct {
	// MediaType is what [Sniff] says.
	MediaType string
	// Width and Height are in px as stored (before EXIF orientation) of the largest page; 0 for PDF, which has none.
	Width, Height int
	// Frames counts pages or frames, at least 1.
	Frames int
	// Animated: the frames are shown one after the other.
	Animated bool
	// held is how many bytes a decoder keeps of every pixel of the page whatever it shrinks to on load, and perPixel
	// how many a decoded pixel has.
	held, perPixel int
	// orientation is EXIF's, of a JPEG, 0 when it has none.
	orientation int
	// kept is how many bytes a decoder keeps apart from those.
	kept int64
}

// Header reads the head of the size bytes of r in memory-safe code and bounded time. It reads headers only: their
// number, and what is read of each, is limited.
//
// It returns an *asset.Fault wrapping [asset.ErrUndecodable] for a malformed or truncated header and
// [asset.ErrMediaType] for what [Sniff] does not know; errors of r as they are.
func Header(r io.ReaderAt, size int64) (Head, error) {
	in := &scanner{r: r, size: size}
	mediaType := Sniff(in.upTo(0, sniffLen))
	read, ok := headers[mediaType]
	if in.err != nil {
		return Head{}, fmt.Errorf("read header: %w", in.err)
	}
	if !ok {
		return Head{}, &asset.Fault{Kind: asset.ErrMediaType, Detail: "the bytes are no picture of a known type"}
	}
	h := Head{MediaType: mediaType, Frames: 1, perPixel: 4}
	err := read(in, &h)
	if in.err != nil {
		return Head{}, fmt.Errorf("read header: %w", in.err)
	}
	if err == nil && mediaType != pdfType && (h.Width <= 0 || h.Height <= 0) {
		err = errors.New("no pixel size")
	}
	if err != nil {
		return Head{}, undecodable(mediaType, err)
	}
	return h, nil
}

// undecodable leaves a Fault as it is.
func undecodable(mediaType string, why error) error {
	if fault, ok := errors.AsType[*asset.Fault](why); ok {
		return fault
	}
	return &asset.Fault{Kind: asset.ErrUndecodable, Detail: fmt.Sprintf("the %s is damaged or incomplete: %v", mediaType, why)}
}

// check returns an *asset.Fault wrapping [asset.ErrTooLarge] when h is over a limit of c.
func (c Config) check(h Head) error {
	page := int64(h.Width) * int64(h.Height)
	if page > c.MaxPixels {
		return &asset.Fault{
			Kind:    asset.ErrTooLarge,
			Detail:  fmt.Sprintf("the picture has %d × %d = %d pixels", h.Width, h.Height, page),
			Allowed: fmt.Sprintf("at most %d pixels", c.MaxPixels),
		}
	}
	if page*int64(h.Frames) > c.MaxFramePixels {
		return &asset.Fault{
			Kind:    asset.ErrTooLarge,
			Detail:  fmt.Sprintf("the picture has %d × %d × %d frames = %d pixels", h.Width, h.Height, h.Frames, page*int64(h.Frames)),
			Allowed: fmt.Sprintf("at most %d pixels in all frames", c.MaxFramePixels),
		}
	}
	return nil
}

// headers has the reader of every type in the allow-list.
var headers = map[string]func(*scanner, *Head) error{
	jpegType: jpegHeader,
	pngType:  pngHeader,
	gifType:  gifHeader,
	webpType: webpHeader,
	tiffType: tiffHeader,
	avifType: isoHeader,
	heicType: isoHeader,
	heifType: isoHeader,
	pdfType:  pdfHeader,
	jxlType:  jxlHeader,
	bmpType:  bmpHeader,
	icoType:  icoHeader,
	svgType:  svgHeader,
}

var (
	errCut   = errors.New("it ends early")
	errSteps = errors.New("its header has too many parts")
)

// maxSteps bounds the parts (segments, chunks, boxes, directories) that a header walk visits.
const maxSteps = 1 << 17

// A scanner reads small pieces of a file at any offset through a window, and counts the steps of a walk.
type scanner struct {
	r      io.ReaderAt
	size   int64
	steps  int
	err    error // of r, other than its end
	window []byte
	start  int64
	buf    [4096]byte
}

// at returns n ≤ 4096 bytes from off, or nil and false where the file is shorter. They are valid until the next call.
func (s *scanner) at(off int64, n int) ([]byte, bool) {
	b := s.upTo(off, n)
	return b, len(b) == n
}

// upTo is like at, and returns what there is.
func (s *scanner) upTo(off int64, n int) []byte {
	if off < 0 || off >= s.size || s.err != nil {
		return nil
	}
	n = int(min(int64(n), s.size-off))
	if off < s.start || off+int64(n) > s.start+int64(len(s.window)) {
		s.fill(off)
	}
	have := s.window[min(off-s.start, int64(len(s.window))):]
	return have[:min(n, len(have))]
}

func (s *scanner) fill(off int64) {
	n, err := s.r.ReadAt(s.buf[:min(int64(len(s.buf)), s.size-off)], off)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	s.start, s.window = off, s.buf[:n]
}

// step returns an error when the walk has taken too many steps.
func (s *scanner) step() error {
	if s.steps++; s.steps > maxSteps {
		return errSteps
	}
	return nil
}

// pngHeader reads IHDR, which is always the first chunk (W3C PNG §5.6), and walks the chunks to IEND: libpng does not
// mind when that is cut off.
func pngHeader(in *scanner, h *Head) error {
	b, ok := in.at(8, 21)
	if !ok {
		return errCut
	}
	if string(b[4:8]) != "IHDR" || binary.BigEndian.Uint32(b) != 13 {
		return errors.New("its first chunk is not IHDR")
	}
	w, height := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:])
	if w > 1<<31-1 || height > 1<<31-1 {
		return errors.New("its size is out of range")
	}
	h.Width, h.Height = int(w), int(height)
	if depth := b[16]; depth == 16 {
		h.perPixel = 8
	}
	if interlaced := b[20] != 0; interlaced {
		h.held = h.perPixel
	}
	return pngEnd(in)
}

func pngEnd(in *scanner) error {
	for off := int64(8); ; {
		if err := in.step(); err != nil {
			return err
		}
		b, ok := in.at(off, 12) // length, type, and at least a checksum
		if !ok {
			return errCut
		}
		if string(b[4:8]) == "IEND" {
			return nil
		}
		off += 12 + int64(binary.BigEndian.Uint32(b))
	}
}

// jpegHeader walks the marker segments to the frame header (ITU-T T.81 §B.2.2).
func jpegHeader(in *scanner, h *Head) error {
	for off := int64(2); ; {
		if err := in.step(); err != nil {
			return err
		}
		b, ok := in.at(off, 4)
		if !ok {
			return errCut
		}
		marker, length := b[1], int64(binary.BigEndian.Uint16(b[2:]))
		switch {
		case b[0] != 0xff || marker == 0xff || marker == 0: // fill bytes and stuffing between segments
			off++
		case marker == 0x01 || marker >= 0xd0 && marker <= 0xd8: // TEM, RSTn, SOI stand alone
			off += 2
		case marker == 0xd9 || marker == 0xda:
			return errors.New("it has no frame header")
		case marker == app1 && length >= 2 && h.orientation == 0:
			h.orientation = exifOrientation(in, off)
			off += 2 + length
		case isFrame(marker):
			return jpegFrame(in, off, marker, h)
		case length < 2:
			return errors.New("a segment has no length")
		default:
			off += 2 + length
		}
	}
}

// isFrame reports whether a marker is SOF0–SOF15, of which DHT, JPG and DAC are none.
func isFrame(marker byte) bool {
	return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc
}

func jpegFrame(in *scanner, off int64, marker byte, h *Head) error {
	b, ok := in.at(off, 10)
	if !ok {
		return errCut
	}
	h.Height, h.Width = int(binary.BigEndian.Uint16(b[5:])), int(binary.BigEndian.Uint16(b[7:]))
	if baseline := marker <= 0xc1; !baseline { // a progressive decoder keeps every coefficient, 2 bytes each
		h.held = 2 * int(b[9])
	}
	return nil
}

// Tags of TIFF 6.0 §8.
const (
	tiffWidth  = 256
	tiffHeight = 257
)

// tiffHeader walks the chain of directories; pages may differ in size, and the largest counts.
func tiffHeader(in *scanner, h *Head) error {
	b, ok := in.at(0, 8)
	if !ok {
		return errCut
	}
	var order binary.ByteOrder = binary.BigEndian
	if b[0] == 'I' {
		order = binary.LittleEndian
	}
	h.Frames, h.perPixel, h.held = 0, 8, 8
	for next := int64(order.Uint32(b[4:])); next != 0; {
		size, after, err := tiffDirectory(in, order, next)
		if err != nil {
			return err
		}
		if h.Frames++; size.Pixels() > int64(h.Width)*int64(h.Height) {
			h.Width, h.Height = size.Width, size.Height
		}
		if h.Frames > maxSteps/16 { // a chain that runs in a circle
			return errSteps
		}
		next = after
	}
	return nil
}

func tiffDirectory(in *scanner, order binary.ByteOrder, off int64) (size asset.Size, next int64, err error) {
	b, ok := in.at(off, 2)
	if !ok {
		return size, 0, errCut
	}
	entries := int64(order.Uint16(b))
	for i := range entries {
		if err := in.step(); err != nil {
			return size, 0, err
		}
		e, ok := in.at(off+2+12*i, 12)
		if !ok {
			return size, 0, errCut
		}
		switch order.Uint16(e) {
		case tiffWidth:
			size.Width = tiffNumber(order, e)
		case tiffHeight:
			size.Height = tiffNumber(order, e)
		}
	}
	if b, ok = in.at(off+2+12*entries, 4); !ok {
		return size, 0, errCut
	}
	return size, int64(order.Uint32(b)), nil
}

// tiffNumber returns the first SHORT or LONG of an entry, 0 for other types.
func tiffNumber(order binary.ByteOrder, e []byte) int {
	switch order.Uint16(e[2:]) {
	case 3:
		return int(order.Uint16(e[8:]))
	case 4:
		return int(min(order.Uint32(e[8:]), 1<<31-1))
	}
	return 0
}
