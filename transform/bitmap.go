package transform

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"math"
	mathbits "math/bits"
)

// A dib is what the header of a device-independent bitmap says, the one that a BMP has behind its file header and an icon for
// each of its sizes (Microsoft, "Bitmap Header Types"). libvips has no loader for them but ImageMagick; x/image/bmp lacks
// bit fields, 16 bits, run lengths and free offsets.
type dib struct {
	width, height int
	topDown       bool
	depth         int // bits per pixel
	runs          bool
	masks         [4]uint32 // of red, green, blue and alpha, where depth is 16 or 32
	colors, entry int       // of the palette: how many there are, and the bytes of each
	palette       int       // bytes before it, from the beginning of the header
	after         int       // bytes before what follows the palette
}

// Where a BMP has its bitmap's header, and the largest of those (BITMAPV5HEADER).
const (
	bmpFileHeader  = 14
	dibLargest     = 124
	dibCore        = 12
	dibInfo        = 40
	dibWithMasks   = 52
	dibWithAlpha   = 56
	dibMaxColors   = 256
	dibHeaderBytes = dibLargest + 16 // masks may follow it
)

// isDIB reports whether a header has one of the sizes that there are.
func isDIB(size uint32) bool {
	switch size {
	case dibCore, dibInfo, dibWithMasks, dibWithAlpha, 64, 108, dibLargest:
		return true
	}
	return false
}

// dibOf reads a header.
func dibOf(b []byte) (d dib, err error) {
	if len(b) < dibCore {
		return d, errCut
	}
	size := binary.LittleEndian.Uint32(b)
	switch {
	case !isDIB(size):
		return d, errors.New("its header is of an unknown kind")
	case len(b) < int(size):
		return d, errCut
	case size == dibCore:
		d.width, d.height, d.depth = int(binary.LittleEndian.Uint16(b[4:])), int(binary.LittleEndian.Uint16(b[6:])), int(binary.LittleEndian.Uint16(b[10:]))
		d.entry, d.palette = 3, dibCore
		d.masks = defaultMasks(d.depth)
	default:
		if err := d.readInfo(b, int(size)); err != nil {
			return d, err
		}
	}
	switch d.depth {
	case 1, 2, 4, 8:
		if d.colors == 0 || d.colors > 1<<d.depth {
			d.colors = 1 << d.depth
		}
	case 16, 24, 32:
		if d.colors > dibMaxColors { // only a hint here, and never used
			return d, errors.New("it has too many colours")
		}
	default:
		return d, fmt.Errorf("it has %d bits per pixel; 1, 2, 4, 8, 16, 24 and 32 are known", d.depth)
	}
	d.after = d.palette + d.colors*d.entry
	return d, nil
}

// readInfo reads a BITMAPINFOHEADER, or one of those that begin with it.
func (d *dib) readInfo(b []byte, size int) error {
	u := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	width, height := int64(int32(u(4))), int64(int32(u(8)))
	if width < 0 {
		return errors.New("its size is out of range")
	}
	d.topDown = height < 0
	d.width, d.height = int(width), int(max(height, -height))
	d.depth, d.colors = int(binary.LittleEndian.Uint16(b[14:])), int(min(u(32), math.MaxInt32))
	d.entry, d.palette, d.masks = 4, size, defaultMasks(d.depth)
	switch compression := u(16); {
	case compression == 0:
	case compression == 1 && d.depth == 8 || compression == 2 && d.depth == 4:
		d.runs = true
	case (compression == 3 || compression == 6) && (d.depth == 16 || d.depth == 32): // bit fields
		n := 3
		if size >= dibWithAlpha || compression == 6 {
			n = 4
		}
		if size == dibInfo { // they stand behind it
			d.palette += 4 * n
		}
		if len(b) < dibInfo+4*n {
			return errCut
		}
		for i := range n {
			d.masks[i] = u(dibInfo + 4*i)
		}
		return nil
	default:
		return fmt.Errorf("compression %d is not supported", compression)
	}
	if size >= dibWithAlpha && size != 64 && d.depth == 32 {
		d.masks[3] = u(dibWithMasks)
	}
	return nil
}

func defaultMasks(depth int) [4]uint32 {
	if depth == 16 {
		return [4]uint32{0x7c00, 0x03e0, 0x001f}
	}
	return [4]uint32{0xff0000, 0x00ff00, 0x0000ff}
}

// stride is how many bytes a row of width pixels takes.
func stride(width, depth int) int64 { return (int64(width)*int64(depth) + 31) / 32 * 4 }

// isBMP reports whether head begins with a BMP's file header and the size of a bitmap's header.
func isBMP(head []byte) bool {
	return len(head) >= bmpFileHeader+4 && string(head[:2]) == "BM" && string(head[6:10]) == "\x00\x00\x00\x00" &&
		isDIB(binary.LittleEndian.Uint32(head[bmpFileHeader:]))
}

// bmpHeader reads the size, and checks that the file has all rows.
func bmpHeader(in *scanner, h *Head) error {
	d, off, err := bmpBitmap(in)
	if err != nil {
		return err
	}
	h.Width, h.Height, h.held = d.width, d.height, 12
	if !d.runs && stride(d.width, d.depth)*int64(d.height) > in.size-off || off >= in.size {
		return errCut
	}
	return nil
}

// bmpBitmap reads the header of the bitmap, and where its pixels are.
func bmpBitmap(in *scanner) (d dib, pixels int64, err error) {
	b, ok := in.at(10, 4)
	if !ok {
		return d, 0, errCut
	}
	pixels = int64(binary.LittleEndian.Uint32(b))
	if d, err = dibOf(in.upTo(bmpFileHeader, dibHeaderBytes)); err != nil {
		return d, 0, err
	}
	start := int64(bmpFileHeader + d.palette)
	if pixels < start {
		return d, 0, errors.New("its pixels are in its header")
	}
	if d.entry > 0 { // some write a shorter palette
		d.colors = int(min(int64(d.colors), (pixels-start)/int64(d.entry)))
	}
	return d, pixels, nil
}

// decodeBMP makes the pixels of a BMP.
func decodeBMP(in *scanner, b []byte) (*image.NRGBA, error) {
	d, off, err := bmpBitmap(in)
	if err != nil {
		return nil, err
	}
	if off > int64(len(b)) {
		return nil, errCut
	}
	return d.decode(b[bmpFileHeader:], b[off:])
}

// decode makes the pixels of the bitmap whose header is at the beginning of b.
func (d *dib) decode(b, pixels []byte) (*image.NRGBA, error) {
	if d.palette+d.colors*d.entry > len(b) {
		return nil, errCut
	}
	m := image.NewNRGBA(image.Rect(0, 0, d.width, d.height))
	palette := d.paletteOf(b[d.palette:])
	if d.runs {
		return m, d.decodeRuns(m, &palette, pixels)
	}
	row := int(stride(d.width, d.depth))
	if row*d.height > len(pixels) {
		return nil, errCut
	}
	for y := range d.height {
		d.decodeRow(m.Pix[m.Stride*d.line(y):][:m.Stride], &palette, pixels[row*y:][:row])
	}
	return m, nil
}

// line is where the row that is stored as the y-th is shown: the lowest comes first.
func (d *dib) line(y int) int {
	if d.topDown {
		return y
	}
	return d.height - 1 - y
}

// paletteOf reads the colours. What has no colour is black, as browsers have it.
func (d *dib) paletteOf(b []byte) (p [dibMaxColors][4]byte) {
	for i := range p {
		p[i][3] = 255
		if i < d.colors {
			c := b[i*d.entry:]
			p[i] = [4]byte{c[2], c[1], c[0], 255}
		}
	}
	return p
}

func (d *dib) decodeRow(out []byte, palette *[dibMaxColors][4]byte, row []byte) {
	switch d.depth {
	case 24:
		for x := range d.width {
			out[4*x], out[4*x+1], out[4*x+2], out[4*x+3] = row[3*x+2], row[3*x+1], row[3*x], 255
		}
	case 16, 32:
		var fields [4]field
		for i, m := range d.masks {
			fields[i] = fieldOf(m)
		}
		for x := range d.width {
			v := uint32(binary.LittleEndian.Uint16(row[d.depth/8*x:]))
			if d.depth == 32 {
				v = binary.LittleEndian.Uint32(row[4*x:])
			}
			for i, f := range fields[:3] {
				out[4*x+i] = f.of(v)
			}
			out[4*x+3] = 255
			if d.masks[3] != 0 {
				out[4*x+3] = fields[3].of(v)
			}
		}
	default:
		for x := range d.width {
			at := x * d.depth
			index := row[at/8] >> (8 - d.depth - at%8) & (1<<d.depth - 1)
			copy(out[4*x:4*x+4], palette[index][:])
		}
	}
}

// A field is the place of a colour in a pixel.
type field struct {
	mask  uint32
	shift int
	most  uint64
}

func fieldOf(mask uint32) field {
	f := field{mask: mask, most: 1}
	if mask != 0 {
		f.shift = mathbits.TrailingZeros32(mask)
		f.most = uint64(mask >> f.shift)
	}
	return f
}

// of returns a colour scaled to 0–255.
func (f field) of(v uint32) byte { return byte((uint64(v&f.mask>>f.shift)*255 + f.most/2) / f.most) }

// decodeRuns decodes RLE8 and RLE4 (Microsoft, "Bitmap Compression"). What it skips stays transparent.
func (d *dib) decodeRuns(m *image.NRGBA, palette *[dibMaxColors][4]byte, b []byte) error {
	x, y := 0, 0
	set := func(index byte) error {
		if x >= d.width || y >= d.height {
			return errors.New("a run leaves the picture")
		}
		copy(m.Pix[m.Stride*d.line(y)+4*x:][:4], palette[index][:])
		x++
		return nil
	}
	nth := func(pair byte, i int) byte { // of RLE4, two pixels in a byte
		if d.depth == 8 {
			return pair
		}
		return pair >> (4 - 4*(i&1)) & 15
	}
	for len(b) >= 2 {
		n, what := int(b[0]), b[1]
		b = b[2:]
		switch {
		case n > 0:
			for i := range n {
				if err := set(nth(what, i)); err != nil {
					return err
				}
			}
		case what == 0: // end of the line
			x, y = 0, y+1
		case what == 1: // end of the picture
			return nil
		case what == 2: // further right and up
			if len(b) < 2 {
				return errCut
			}
			x, y = x+int(b[0]), y+int(b[1])
			b = b[2:]
		default: // so many pixels as they are
			size := (int(what)*d.depth + 15) / 16 * 2
			if len(b) < size {
				return errCut
			}
			for i := range int(what) {
				if err := set(nth(b[i*d.depth/8], i)); err != nil {
					return err
				}
			}
			b = b[size:]
		}
	}
	return errCut
}

// decodePNG makes the pixels of a PNG in an icon.
func decodePNG(b []byte) (*image.NRGBA, error) {
	p, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	m := image.NewNRGBA(image.Rect(0, 0, p.Bounds().Dx(), p.Bounds().Dy()))
	draw.Draw(m, m.Rect, p, p.Bounds().Min, draw.Src)
	return m, nil
}

// An icon is one picture of an ICO file.
type icon struct {
	off, size     int64
	width, height int
	png           bool
}

const (
	icoHeaderBytes = 6
	icoEntryBytes  = 16
	pngMagic       = "\x89PNG\r\n\x1a\n"
)

// isICO reports whether head begins with the directory of an ICO file whose first entry can be one.
func isICO(head []byte) bool {
	if len(head) < icoHeaderBytes+icoEntryBytes || string(head[:4]) != "\x00\x00\x01\x00" {
		return false
	}
	count, e := int(binary.LittleEndian.Uint16(head[4:])), head[icoHeaderBytes:]
	planes, depth := binary.LittleEndian.Uint16(e[4:]), binary.LittleEndian.Uint16(e[6:])
	size, off := binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:])
	return count > 0 && e[3] == 0 && planes <= 1 && depth <= 32 && size > 0 && int64(off) >= int64(icoHeaderBytes+icoEntryBytes*count)
}

// icoHeader reads the size of the largest picture, which is what is shown.
func icoHeader(in *scanner, h *Head) error {
	i, err := largestIcon(in)
	h.Width, h.Height, h.held = i.width, i.height, 20
	return err
}

// largestIcon looks at all pictures; their own headers count, the directory has too few bits. Of equally large ones the last
// is taken, as those with more colours come later.
func largestIcon(in *scanner) (best icon, err error) {
	b, ok := in.at(0, icoHeaderBytes)
	if !ok {
		return best, errCut
	}
	for n := range int64(binary.LittleEndian.Uint16(b[4:])) {
		if err := in.step(); err != nil {
			return best, err
		}
		e, ok := in.at(icoHeaderBytes+icoEntryBytes*n, icoEntryBytes)
		if !ok {
			return best, errCut
		}
		i := icon{off: int64(binary.LittleEndian.Uint32(e[12:])), size: int64(binary.LittleEndian.Uint32(e[8:]))}
		if i.off+i.size > in.size {
			return best, errCut
		}
		if err := i.measure(in); err != nil {
			return best, err
		}
		if int64(i.width)*int64(i.height) >= int64(best.width)*int64(best.height) {
			best = i
		}
	}
	return best, nil
}

// measure reads the size of a PNG, or of a bitmap and its mask, which are counted as one of double the height.
func (i *icon) measure(in *scanner) error {
	b := in.upTo(i.off, int(min(i.size, dibHeaderBytes)))
	if i.png = len(b) >= 24 && string(b[:8]) == pngMagic; i.png {
		w, h := binary.BigEndian.Uint32(b[16:]), binary.BigEndian.Uint32(b[20:])
		if w > math.MaxInt32 || h > math.MaxInt32 {
			return errors.New("its size is out of range")
		}
		i.width, i.height = int(w), int(h)
		return nil
	}
	d, err := dibOf(b)
	i.width, i.height = d.width, d.height/2
	if err == nil && d.runs {
		err = errors.New("icons are not compressed by run lengths")
	}
	return err
}

// decodeICO makes the pixels of the largest picture.
func decodeICO(in *scanner, b []byte) (*image.NRGBA, error) {
	i, err := largestIcon(in)
	if err != nil {
		return nil, err
	}
	b = b[i.off : i.off+i.size]
	if i.png {
		return decodePNG(b)
	}
	d, err := dibOf(b)
	if err != nil {
		return nil, err
	}
	d.height = i.height
	if d.depth == 32 && d.masks[3] == 0 { // in icons, the fourth byte means something
		d.masks[3] = 0xff000000
	}
	if d.after > len(b) {
		return nil, errCut
	}
	m, err := d.decode(b, b[d.after:])
	if err != nil {
		return nil, err
	}
	return m, d.mask(m, b[int64(d.after)+stride(d.width, d.depth)*int64(d.height):])
}

// mask makes transparent what the mask of an icon has, which follows its pixels. One with alpha of its own needs none.
func (d *dib) mask(m *image.NRGBA, b []byte) error {
	if d.depth == 32 {
		if !isClear(m) {
			return nil
		}
		for i := 3; i < len(m.Pix); i += 4 {
			m.Pix[i] = 255
		}
	}
	row := int(stride(d.width, 1))
	if row*d.height > len(b) {
		if d.depth == 32 {
			return nil
		}
		return errCut
	}
	for y := range d.height {
		for x := range d.width {
			if b[row*y+x/8]>>(7-x%8)&1 == 1 {
				m.Pix[m.Stride*d.line(y)+4*x+3] = 0
			}
		}
	}
	return nil
}

func isClear(m *image.NRGBA) bool {
	for i := 3; i < len(m.Pix); i += 4 {
		if m.Pix[i] != 0 {
			return false
		}
	}
	return true
}
