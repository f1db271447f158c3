package transform

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/image/bmp"

	"github.com/assetmatrix/assetmatrix/asset"
)

// svgSpaceAttribute is what makes an element one of SVG.
const svgSpaceAttribute = `xmlns="http://www.w3.org/2000/svg"`

// svgOf is a drawing of 40 × 30 units: a yellow disc in a blue square on the left, three green lines on the right, a red edge.
func svgOf(attributes string) []byte {
	return []byte(`<?xml version="1.0" encoding="UTF-8"?>
<!-- a drawing --><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg ` + svgSpaceAttribute + ` ` + attributes + `>
<rect x="2" y="5" width="20" height="20" fill="#2040c0"/><circle cx="12" cy="15" r="8" fill="#f0d020"/>
<g stroke="#20a040" stroke-width="0.5"><path d="M25 5v20"/><path d="M29 5v20"/><path d="M33 5v20"/></g>
<path d="M0.5 0.5h39v29h-39z" fill="none" stroke="#d02020"/>
</svg>`)
}

// bmpOf writes a bitmap behind a file header. Rows are as they are stored.
func bmpOf(header []byte, palette []color.NRGBA, pixels []byte) []byte {
	b := dibBytes(header, palette)
	file := binary.LittleEndian.AppendUint32([]byte("BM"), uint32(14+len(b)+len(pixels)))
	file = binary.LittleEndian.AppendUint32(append(file, 0, 0, 0, 0), uint32(14+len(b)))
	return append(append(file, b...), pixels...)
}

func dibBytes(header []byte, palette []color.NRGBA) []byte {
	b := bytes.Clone(header)
	for _, c := range palette {
		b = append(b, c.B, c.G, c.R)
		if len(header) > dibCore {
			b = append(b, 0)
		}
	}
	return b
}

// info is a BITMAPINFOHEADER.
func info(w, h, depth, compression, colors int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, dibInfo)
	b = binary.LittleEndian.AppendUint32(b, uint32(int32(w)))
	b = binary.LittleEndian.AppendUint32(b, uint32(int32(h)))
	b = append(b, 1, 0, byte(depth), 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(compression))
	b = append(b, make([]byte, 12)...)
	return append(binary.LittleEndian.AppendUint32(b, uint32(colors)), 0, 0, 0, 0)
}

func masks(of ...uint32) (b []byte) {
	for _, m := range of {
		b = binary.LittleEndian.AppendUint32(b, m)
	}
	return b
}

// storedRows packs pixels of so many bits, most significant first, the lowest row first.
func storedRows(w, h, depth int, at func(x, y int) uint32) (b []byte) {
	for y := h - 1; y >= 0; y-- {
		row := make([]byte, stride(w, depth))
		for x := range w {
			v := at(x, y)
			switch depth {
			case 16:
				binary.LittleEndian.PutUint16(row[2*x:], uint16(v))
			case 24:
				row[3*x], row[3*x+1], row[3*x+2] = byte(v), byte(v>>8), byte(v>>16)
			case 32:
				binary.LittleEndian.PutUint32(row[4*x:], v)
			default:
				row[x*depth/8] |= byte(v) << (8 - depth - x*depth%8)
			}
		}
		b = append(b, row...)
	}
	return b
}

// quarter is which of the four quarters a pixel lies in.
func quarter(w, h int) func(x, y int) uint32 {
	return func(x, y int) uint32 { return uint32(x*2/w + y*2/h*2) }
}

// inFields packs the colours of the quarters into fields of so many bits.
func inFields(w, h int, rgba [4]int) func(x, y int) uint32 {
	return func(x, y int) (v uint32) {
		c := quarterColors[quarter(w, h)(x, y)]
		for i, p := range [4]byte{c.A, c.R, c.G, c.B} {
			n := [4]int{rgba[3], rgba[0], rgba[1], rgba[2]}[i]
			v = v<<n | uint32(p)>>(8-n)
		}
		return v
	}
}

// icoOf writes a directory of pictures, each a PNG or a bitmap without file header.
func icoOf(pictures ...[]byte) []byte {
	b := []byte{0, 0, 1, 0, byte(len(pictures)), 0}
	off := len(b) + icoEntryBytes*len(pictures)
	for _, p := range pictures {
		b = append(b, 0, 0, 0, 0, 1, 0, 32, 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p)))
		b = binary.LittleEndian.AppendUint32(b, uint32(off))
		off += len(p)
	}
	return append(b, bytes.Join(pictures, nil)...)
}

// iconOf is one bitmap of an ICO, with a mask that hides its lower right quarter.
func iconOf(w, h, depth int) []byte {
	header, palette, at := info(w, 2*h, depth, 0, 0), []color.NRGBA(nil), inFields(w, h, [4]int{8, 8, 8, 0})
	if depth <= 8 {
		palette = make([]color.NRGBA, 1<<depth)
		copy(palette, quarterColors[:])
		at = func(x, y int) uint32 { return quarter(w, h)(x, y) & (1<<depth - 1) }
	}
	mask := storedRows(w, h, 1, func(x, y int) uint32 {
		if quarter(w, h)(x, y) == 3 {
			return 1
		}
		return 0
	})
	return append(append(dibBytes(header, palette), storedRows(w, h, depth, at)...), mask...)
}

// boxed puts a codestream into a container of JPEG XL, in one piece or in two, behind boxes of others.
func boxed(code []byte, parts int, before ...[]byte) []byte {
	box := func(kind string, body ...[]byte) []byte {
		b := bytes.Join(body, nil)
		return append(append(binary.BigEndian.AppendUint32(nil, uint32(8+len(b))), kind...), b...)
	}
	out := append([]byte(jxlSignature), box("ftyp", []byte("jxl \x00\x00\x00\x00jxl "))...)
	for _, b := range before {
		out = append(out, box("Exif", []byte{0, 0, 0, 0}, b)...)
	}
	if parts == 1 {
		return append(out, box("jxlc", code)...)
	}
	out = append(out, box("jxlp", []byte{0, 0, 0, 0}, code[:5])...)
	return append(out, box("jxlp", []byte{0x80, 0, 0, 1}, code[5:])...)
}

func (b *bench) jxl(t testing.TB, m image.Image) []byte {
	t.Helper()
	out, err := b.render(t, pngOf(t, m), asset.Variant{Format: asset.JXL})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func bmpLibrary(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := bmp.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestSniffFormats: SVG is proved by its root element, and short magic by what follows it.
func TestSniffFormats(t *testing.T) {
	f := func(head, want string) {
		t.Helper()
		if got := Sniff([]byte(head)); got != want {
			t.Errorf("%q: %q, want %q", head, got, want)
		}
	}
	const space = svgSpaceAttribute
	f("<svg "+space+">", svgType)
	f("<svg "+space+"/>", svgType)
	f("\xef\xbb\xbf \r\n\t<svg "+space+" width='3'>", svgType)
	f("<?xml version='1.0' encoding='ISO-8859-1'?><!-- \xe9 <html> --><?pi?><!DOCTYPE svg [<!ENTITY a 'b'>]>\n<svg "+space+">", svgType)
	f("<s:svg xmlns:s='http://www.w3.org/2000/svg'>", svgType)
	f("<svg "+space+strings.Repeat(" ", 4000)+">", svgType)
	f("<svg "+space+strings.Repeat(" ", 5000)+">", "") // the tag ends too late
	f("<!--"+strings.Repeat("-x", 1900)+"--><svg "+space+">", svgType)
	f("<svg>", "")
	f("<svg xmlns='http://www.w3.org/1999/xhtml'>", "")
	f("<s:svg "+space+">", "")
	f("<SVG "+space+">", "")
	f("<svg "+space, "")
	f("<html><svg "+space+">", "")
	f("<!DOCTYPE html><svg "+space+"><script>", "")
	f("<!DOCTYPE s:svg[<!ENTITY a 'b'>]><s:svg xmlns:s='http://www.w3.org/2000/svg'>", svgType)
	f("<html xmlns='http://www.w3.org/2000/svg'>", "")
	f("text <svg "+space+">", "")
	f("<!-- <svg "+space+"> -->", "")
	f("\x1f\x8b\x08\x00<svg "+space+">", "") // svgz
	f("<\x00s\x00v\x00g\x00", "")
	f("\xff\x0a\xba", jxlType)
	f(jxlSignature, jxlType)
	f("\x00\x00\x00\x0cJXL \x0d\x0a\x87", "")
	f("BM\x00\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00", bmpType)
	f("BM\x00\x00\x00\x00\x00\x00\x00\x00\x1a\x00\x00\x00\x0c\x00\x00\x00", bmpType)
	f("BMW, a car, and more than fourteen letters", "")
	f("BM\x00\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x29\x00\x00\x00", "")
	f("\x00\x00\x01\x00\x01\x00\x10\x10\x00\x00\x01\x00\x20\x00\x68\x04\x00\x00\x16\x00\x00\x00", icoType)
	f("\x00\x00\x01\x00\x01\x00\x10\x10\x00\x00\x01\x00\x20\x00\x68\x04\x00\x00\x15\x00\x00\x00", "") // in its own directory
	f("\x00\x00\x01\x00\x00\x00\x10\x10\x00\x00\x01\x00\x20\x00\x68\x04\x00\x00\x16\x00\x00\x00", "") // no entries
	f("\x00\x00\x02\x00\x01\x00\x10\x10\x00\x00\x01\x00\x20\x00\x68\x04\x00\x00\x16\x00\x00\x00", "") // a cursor
	f("\x00\x00\x01\x00\x01\x00", "")
	f("\x00\x00\x01\xb3\x14\x00\xf0\x15\xff\xff\xe0\x28\x00\x00\x01\xb2\x00\x00\x01\x00\x00\x00", "") // MPEG
}

// TestSVGSize: the size of a drawing is what browsers make of its root element.
func TestSVGSize(t *testing.T) {
	f := func(attributes string, w, h int) {
		t.Helper()
		b := svgOf(attributes)
		got, err := Header(bytes.NewReader(b), int64(len(b)))
		if err != nil || got.Width != w || got.Height != h || got.Frames != 1 {
			t.Errorf("%s: %+v, %v, want %d × %d", attributes, got, err, w, h)
		}
	}
	f(`width="40" height="30"`, 40, 30)
	f(`width=" 40PX" height='30px '`, 40, 30)
	f(`width="30pt" height="2pc"`, 40, 32)
	f(`width="25.4mm" height="2.54cm"`, 96, 96)
	f(`width="1in" height="2em"`, 96, 32)
	f(`width="4e1" height="0.3"`, 40, 1)
	f(`width="80" viewBox="0 0 40 30"`, 80, 60)
	f(`height="60" viewBox="0,0 40,30"`, 80, 60)
	f(`width="100%" height="100%" viewBox="-5 -5 40 30"`, 40, 30)
	f(`viewBox="0 0 40.4 29.6"`, 40, 30)
	f(`width="80" height="100%" viewBox="0 0 40 30"`, 80, 60)
	f(`width="70"`, 70, 150)
	f(`height="70"`, 300, 70)
	f(``, 300, 150)
	f(`width="100%" height="-5"`, 300, 150)
	f(`width="huge" height="NaN" viewBox="0 0 0 30"`, 300, 150)
	f(`width="Inf" height="0x10" viewBox="0 0 40"`, 300, 150)
	f(`other:width="9" xmlns:other="x" width="40" height="30"`, 40, 30)
}

// TestHeaderFormats: the size read without decoding is the size that decoders find, of SVG, JXL, BMP and ICO.
func TestHeaderFormats(t *testing.T) {
	b := newBench(t, nil)
	f := func(name string, original []byte, mediaType string, w, h int, animated bool) {
		t.Helper()
		got, err := Header(bytes.NewReader(original), int64(len(original)))
		got.held, got.perPixel, got.kept = 0, 0, 0
		if want := (Head{mediaType, w, h, 1, animated, 0, 0, 0, 0}); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
	// Every form that a size can have: of 8 px, of 9 and 13 bits, and each ratio.
	for _, s := range []asset.Size{
		{Width: 37, Height: 23}, {Width: 64, Height: 32}, {Width: 64, Height: 8}, {Width: 256, Height: 248}, {Width: 1, Height: 1}, {Width: 513, Height: 3}, {Width: 3, Height: 513},
		{Width: 30, Height: 30}, {Width: 36, Height: 30}, {Width: 40, Height: 30}, {Width: 45, Height: 30}, {Width: 48, Height: 27}, {Width: 25, Height: 20}, {Width: 42, Height: 21},
	} {
		code := b.jxl(t, photo(s.Width, s.Height))
		name := fmt.Sprintf("jxl of %d × %d", s.Width, s.Height)
		f(name, code, jxlType, s.Width, s.Height, false)
		f(name+" in a box", boxed(code, 1), jxlType, s.Width, s.Height, false)
		f(name+" in two boxes", boxed(code, 2), jxlType, s.Width, s.Height, false)
	}
	for name, fields := range map[string]struct {
		bits     [][2]int // value and number of bits
		w, h     int
		animated bool
	}{
		"18 bits":                 {[][2]int{{0, 1}, {2, 2}, {99999, 18}, {0, 3}, {3, 2}, {199999, 30}, {1, 1}}, 200000, 100000, false},
		"orientation alone":       {[][2]int{{1, 1}, {3, 5}, {7, 3}, {0, 1}, {1, 1}, {5, 3}, {0, 1}, {0, 1}, {0, 1}}, 64, 32, false},
		"animation":               {[][2]int{{1, 1}, {3, 5}, {7, 3}, {0, 1}, {1, 1}, {0, 3}, {0, 1}, {0, 1}, {1, 1}}, 64, 32, true},
		"intrinsic size, preview": {[][2]int{{1, 1}, {3, 5}, {7, 3}, {0, 1}, {1, 1}, {0, 3}, {1, 1}, {0, 1}, {0, 2}, {9, 9}, {1, 3}, {1, 1}, {1, 1}, {2, 2}, {5, 5}, {0, 3}, {0, 2}, {1, 1}}, 64, 32, true},
		"another preview":         {[][2]int{{1, 1}, {3, 5}, {7, 3}, {0, 1}, {1, 1}, {0, 3}, {0, 1}, {1, 1}, {0, 1}, {3, 2}, {5, 12}, {1, 3}, {1, 1}}, 64, 32, true},
	} {
		f("jxl with "+name, append([]byte(jxlCode), packed(fields.bits)...), jxlType, fields.w, fields.h, fields.animated)
	}
	m := quarters(37, 23)
	f("bmp", bmpLibrary(t, m), bmpType, 37, 23, false)
	f("bmp from the top", bmpOf(info(37, -23, 24, 0, 0), nil, make([]byte, 112*23)), bmpType, 37, 23, false)
	f("bmp of OS/2", bmpOf([]byte{12, 0, 0, 0, 37, 0, 23, 0, 1, 0, 24, 0}, nil, make([]byte, 112*23)), bmpType, 37, 23, false)
	f("ico", icoOf(iconOf(16, 16, 4), iconOf(48, 32, 24), iconOf(32, 32, 8)), icoType, 48, 32, false)
	f("ico with a png", icoOf(iconOf(16, 16, 4), pngOf(t, m)), icoType, 37, 23, false)
}

// packed writes numbers from the lowest bit of each byte up, and some zeros.
func packed(fields [][2]int) []byte {
	b, at := make([]byte, 32), 0
	for _, f := range fields {
		for i := range f[1] {
			b[at>>3] |= byte(f[0]>>i&1) << (at & 7)
			at++
		}
	}
	return b
}

// TestBitmaps: every kind of BMP and ICO shows the four quarters.
func TestBitmaps(t *testing.T) {
	b := newBench(t, nil)
	const w, h = 22, 14 // no multiple of four bytes at any depth
	palette := quarterColors[:]
	q := quarter(w, h)
	flip := func(b []byte, row int) (out []byte) {
		for at := len(b) - row; at >= 0; at -= row {
			out = append(out, b[at:at+row]...)
		}
		return out
	}
	v4 := func(alpha uint32) []byte {
		b := append(info(w, h, 32, 0, 0), masks(0, 0, 0, alpha)...)
		binary.LittleEndian.PutUint32(b, 108)
		return append(b, make([]byte, 108-len(b))...)
	}
	core := []byte{12, 0, 0, 0, w, 0, h, 0, 1, 0, 24, 0}
	core4 := []byte{12, 0, 0, 0, w, 0, h, 0, 1, 0, 4, 0}
	gap := bmpOf(info(w, h, 24, 0, 0), nil, append(make([]byte, 10), storedRows(w, h, 24, inFields(w, h, [4]int{8, 8, 8, 0}))...))
	gap[10] += 10
	for name, original := range map[string][]byte{
		"library":      bmpLibrary(t, quarters(w, h)),
		"2 colours":    bmpOf(info(w, h, 1, 0, 2), palette[:2], storedRows(w, h, 1, func(x, y int) uint32 { return q(x, y) & 1 })),
		"2 bits":       bmpOf(info(w, h, 2, 0, 0), palette, storedRows(w, h, 2, q)),
		"4 bits":       bmpOf(info(w, h, 4, 0, 4), palette, storedRows(w, h, 4, q)),
		"8 bits":       bmpOf(info(w, h, 8, 0, 4), palette, storedRows(w, h, 8, q)),
		"short":        bmpOf(info(w, h, 8, 0, 0), palette, storedRows(w, h, 8, q)),
		"16 bits":      bmpOf(info(w, h, 16, 0, 0), nil, storedRows(w, h, 16, inFields(w, h, [4]int{5, 5, 5, 0}))),
		"565":          bmpOf(append(info(w, h, 16, 3, 0), masks(0xf800, 0x7e0, 0x1f)...), nil, storedRows(w, h, 16, inFields(w, h, [4]int{5, 6, 5, 0}))),
		"24 bits":      bmpOf(info(w, h, 24, 0, 0), nil, storedRows(w, h, 24, inFields(w, h, [4]int{8, 8, 8, 0}))),
		"32 bits":      bmpOf(info(w, h, 32, 0, 0), nil, storedRows(w, h, 32, inFields(w, h, [4]int{8, 8, 8, 0}))),
		"V4 and alpha": bmpOf(v4(0xff000000), nil, storedRows(w, h, 32, inFields(w, h, [4]int{8, 8, 8, 8}))),
		"fields": bmpOf(append(info(w, h, 32, 6, 0), masks(0x3fc00000, 0x3fc000, 0xff, 0)...), nil, storedRows(w, h, 32, func(x, y int) uint32 {
			c := quarterColors[q(x, y)]
			return uint32(c.R)<<22 | uint32(c.G)<<14 | uint32(c.B)
		})),
		"from the top": bmpOf(info(w, -h, 24, 0, 0), nil, flip(storedRows(w, h, 24, inFields(w, h, [4]int{8, 8, 8, 0})), 68)),
		"OS/2":         bmpOf(core, nil, storedRows(w, h, 24, inFields(w, h, [4]int{8, 8, 8, 0}))),
		"OS/2 4 bits":  bmpOf(core4, append(palette, make([]color.NRGBA, 12)...), storedRows(w, h, 4, q)),
		"gap":          gap,
		"RLE8":         bmpOf(info(w, h, 8, 1, 4), palette, runs(w, h, 8)),
		"RLE4":         bmpOf(info(w, h, 4, 2, 4), palette, runs(w, h, 4)),
	} {
		m := b.picture(t, original, asset.Variant{Format: asset.PNG})
		want := "rgby"
		if name == "2 colours" {
			want = "rgrg"
		}
		if got := whichQuarters(m); got != want || m.Bounds().Size() != image.Pt(w, h) {
			t.Errorf("bmp %s: %s in %v", name, got, m.Bounds().Size())
		}
		if _, pic, err := b.probe(t, original); err != nil || pic == nil || pic.Alpha || !pic.Drawn || pic.Width != w || pic.Height != h {
			t.Errorf("bmp %s: probed as %+v, %v", name, pic, err)
		}
	}
	for name, original := range map[string][]byte{
		"1 bit": icoOf(iconOf(w, h, 1)), "4 bits": icoOf(iconOf(16, 16, 4), iconOf(w, h, 4)), "8 bits": icoOf(iconOf(w, h, 8), iconOf(16, 16, 4)),
		"24 bits": icoOf(iconOf(w, h, 24)), "32 bits, masked": icoOf(iconOf(w, h, 32)), "png": icoOf(iconOf(16, 16, 4), pngOf(t, masked(w, h))),
	} {
		m := b.picture(t, original, asset.Variant{Format: asset.PNG})
		got := whichQuarters(m)
		if name == "1 bit" {
			got = strings.Replace(got, "rgr", "rgb", 1) // it has two colours alone
		}
		if _, _, _, a := middle(m, .75, .75).RGBA(); got != "rgb?" || a != 0 || m.Bounds().Size() != image.Pt(w, h) {
			t.Errorf("ico %s: %s with alpha %d in %v", name, got, a, m.Bounds().Size())
		}
		if kind, pic, err := b.probe(t, original); err != nil || kind != icoType || pic == nil || !pic.Alpha || !pic.Drawn {
			t.Errorf("ico %s: probed as %q %+v, %v", name, kind, pic, err)
		}
	}
}

func masked(w, h int) *image.NRGBA {
	m := quarters(w, h)
	draw.Draw(m, image.Rect(w/2, h/2, w, h), image.Transparent, image.Point{}, draw.Src)
	return m
}

// runs writes the quarters with run lengths: the upper half as runs, the lower half as pixels.
func runs(w, h, depth int) (b []byte) {
	pair := func(index int) byte { return byte(index * map[int]int{8: 1, 4: 17}[depth]) }
	for y := h - 1; y >= 0; y-- {
		top := y * 2 / h * 2
		if top == 0 {
			b = append(b, byte(w/2), pair(0), byte(w/2), pair(1), 0, 0)
			continue
		}
		for _, index := range []int{top, top + 1} {
			row := bytes.Repeat([]byte{pair(index)}, (w/2*depth+15)/16*2)
			b = append(append(b, 0, byte(w/2)), row...)
		}
		b = append(b, 0, 0)
	}
	return append(b, 0, 1)
}

// TestFormatsCut: cut at every byte, a file is a clean fault or, where nothing but padding is gone, a picture.
func TestFormatsCut(t *testing.T) {
	b := newBench(t, nil)
	drawing := svgOf(`width="40" height="30"`)
	for name, original := range map[string][]byte{
		"jxl": b.jxl(t, quarters(24, 16)), "jxl in a box": boxed(b.jxl(t, quarters(24, 16)), 2),
		"bmp": bmpLibrary(t, quarters(9, 7)), "bmp with runs": bmpOf(info(22, 14, 8, 1, 4), quarterColors[:], runs(22, 14, 8)),
		"ico": icoOf(iconOf(8, 8, 4)), "ico with a png": icoOf(iconOf(4, 4, 4), pngOf(t, quarters(9, 7))),
		"svg": drawing,
	} {
		for n := range len(original) {
			_, err := b.render(t, original[:n], asset.Variant{Width: 5, Format: asset.PNG})
			if _, ok := errors.AsType[*asset.Fault](err); !ok {
				t.Errorf("%s of %d bytes cut at %d: %v", name, len(original), n, err)
			}
		}
		if _, err := b.render(t, original, asset.Variant{Width: 5, Format: asset.PNG}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if lost := b.log.lost; len(lost) > 0 {
		t.Errorf("workers were lost: %v", lost)
	}
}

// TestGoldenFormats: SVG, JXL, BMP and ICO look as they did when somebody looked at them.
func TestGoldenFormats(t *testing.T) {
	b := newBench(t, nil)
	small := asset.Variant{Width: 160, Height: 120, Fit: asset.Contain, Background: asset.Color{R: 230, G: 230, B: 240, A: 255, Set: true}, Format: asset.JPEG}
	cut := small
	cut.Rect = asset.Rect{X: asset.Length{Percent: true, Value: 50_000}, W: asset.Length{Percent: true, Value: 50_000}, H: asset.Length{Percent: true, Value: 50_000}}
	for name, f := range map[string]struct {
		original []byte
		variant  asset.Variant
	}{
		"svg": {svgOf(`width="40" height="30"`), small}, "svg-rect": {svgOf(`width="40" height="30"`), cut},
		"jxl": {b.jxl(t, scene(320, 240)), small}, "bmp": {bmpLibrary(t, scene(320, 240)), small},
		"ico": {icoOf(iconOf(16, 16, 4), pngOf(t, masked(64, 48))), small},
	} {
		out, err := b.render(t, f.original, f.variant)
		if err != nil {
			t.Fatal(name, err)
		}
		golden(t, filepath.Join("testdata", name+".jpeg"), out)
	}
}

// TestSVGSharp: a drawing is made at the size asked for: lines have sharp edges however small the drawing says that it is, a part
// of it, too.
func TestSVGSharp(t *testing.T) {
	b := newBench(t, nil)
	f := func(v asset.Variant, w, h int) {
		t.Helper()
		v.Format = asset.PNG
		m := b.picture(t, svgOf(`width="40" height="30"`), v)
		if m.Bounds().Size() != image.Pt(w, h) {
			t.Fatalf("%+v: %v", v, m.Bounds().Size())
		}
		soft := 0 // pixels of a row whose alpha is neither 0 nor full
		for x := range w {
			if _, _, _, a := m.At(x, h/2).RGBA(); a > 0 && a < 0xffff {
				soft++
			}
		}
		if soft > 14 { // two at most for each of the edges
			t.Errorf("%+v: %d soft pixels", v, soft)
		}
	}
	f(asset.Variant{Width: 1600, Fit: asset.Contain}, 1600, 1200)
	f(asset.Variant{Width: 1601, Height: 900, Fit: asset.Squeeze}, 1601, 900)
	f(asset.Variant{Width: 1200, Rotate: 90, Fit: asset.Contain}, 1200, 1600)
	f(asset.Variant{Width: 800, Height: 800, Fit: asset.Cover}, 800, 800)
	half := asset.Length{Percent: true, Value: 50_000}
	f(asset.Variant{Rect: asset.Rect{X: half, W: half, H: half}, Width: 1600, Fit: asset.Contain}, 1600, 1200)
	one := asset.Length{Percent: true, Value: 1_000}
	m := b.picture(t, svgOf(`width="400" height="300" viewBox="0 0 40 30"`), asset.Variant{Rect: asset.Rect{X: half, Y: half, W: one, H: one}, Width: 4000, Fit: asset.Contain, Format: asset.PNG})
	if m.Bounds().Size() != image.Pt(4000, 3000) {
		t.Errorf("a hundredth: %v", m.Bounds().Size())
	}
}

// TestSVGProbe: a drawing is a picture.
func TestSVGProbe(t *testing.T) {
	b := newBench(t, nil)
	f := func(original string, alpha bool, w, h int) {
		t.Helper()
		kind, pic, err := b.probe(t, []byte(original))
		if err != nil || kind != svgType || pic == nil || !pic.Drawn || pic.Alpha != alpha || pic.Width != w || pic.Height != h || pic.Pages != 1 || pic.Animated {
			t.Errorf("%s: %q, %+v, %v", original, kind, pic, err)
		}
	}
	const space = svgSpaceAttribute
	f(string(svgOf(`width="40" height="30"`)), true, 40, 30)
	f(string(svgOf(`width="100%"`)), true, 300, 150)
	f("<svg "+space+" viewBox='0 0 40 30'><path d='M0 0h40v30h-40z'/></svg>", false, 40, 30)
	f("\xef\xbb\xbf \n<s:svg xmlns:s='http://www.w3.org/2000/svg' width='1in' height='1in'><s:path d='M0 0h96v96H0z'/></s:svg>", false, 96, 96)
	f("<?xml version='1.0' encoding='iso-8859-1'?><svg "+space+" width='9' height = \"9\" id='\xe9'><path d='M0 0h9v9H0z'/></svg>", false, 9, 9)
	f("<svg "+space+" width='9' height='9' title='a > b'/>", true, 9, 9)
}

// TestSVGInert: nothing is loaded from the network or from files, and nothing runs.
func TestSVGInert(t *testing.T) {
	b := newBench(t, nil)
	var visits atomic.Int64
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			visits.Add(1)
			_ = c.Close()
		}
	}()
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret.png")
	red := image.NewNRGBA(image.Rect(0, 0, 40, 40))
	draw.Draw(red, red.Rect, image.NewUniform(quarterColors[0]), image.Point{}, draw.Src)
	shape := filepath.Join(dir, "shape.svg")
	for name, content := range map[string][]byte{secret: pngOf(t, red), shape: []byte("<svg " + svgSpaceAttribute + " id='a' width='40' height='40'><path id='b' fill='red' d='M0 0h40v40H0z'/></svg>")} {
		if err := os.WriteFile(name, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	remote := "http://" + ln.Addr().String() + "/x"
	for name, body := range map[string]string{
		"image over HTTP":  `<image width="40" height="40" xlink:href="` + remote + `.png"/>`,
		"href over HTTP":   `<image width="40" height="40" href="` + remote + `.png"/>`,
		"image in a file":  `<image width="40" height="40" href="file://` + secret + `"/>`,
		"path":             `<image width="40" height="40" href="` + secret + `"/>`,
		"climbing path":    `<image width="40" height="40" href="../../../../../../..` + secret + `"/>`,
		"passwd":           `<image width="40" height="40" href="file:///etc/passwd"/>`,
		"use over HTTP":    `<use href="` + remote + `.svg#b"/>`,
		"use of a file":    `<use href="file://` + shape + `#b"/><use xlink:href="` + shape + `#b"/>`,
		"filter":           `<filter id="f"><feImage href="file://` + secret + `"/></filter><path filter="url(#f)" d="M0 0h40v40H0z"/>`,
		"paint elsewhere":  `<path fill="url(file://` + shape + `#b) none" d="M0 0h40v40H0z"/>`,
		"XInclude":         `<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file://` + shape + `"/><xi:include xmlns:xi="http://www.w3.org/2001/XInclude" parse="text" href="` + remote + `"/>`,
		"style sheet":      `<style>@import url(` + remote + `.css); @import url(file://` + dir + `/x.css); path{fill:none}</style><path d="M0 0h40v40H0z"/>`,
		"script":           `<script>document.documentElement.innerHTML = '&lt;path fill="red" d="M0 0h40v40H0z"/>'</script><script href="` + remote + `.js"/>`,
		"handler":          `<g onload="fetch('` + remote + `')"/>`,
		"foreign object":   `<foreignObject width="40" height="40"><body xmlns="http://www.w3.org/1999/xhtml" style="background:red"><img src="` + remote + `"/><iframe src="` + remote + `"/></body></foreignObject>`,
		"animation":        `<path fill="none" d="M0 0h40v40H0z"><set attributeName="fill" to="red"/></path>`,
		"xml:base":         `<g xml:base="` + remote + `"><image width="40" height="40" href="y.png"/></g>`,
		"another's colour": `<color-profile href="` + remote + `" name="p"/>`,
	} {
		original := `<?xml-stylesheet href="` + remote + `.css"?><!DOCTYPE svg SYSTEM "` + remote + `.dtd"><svg ` + svgSpaceAttribute + ` xmlns:xlink="http://www.w3.org/1999/xlink" width="40" height="40">` + body + `</svg>`
		m := b.picture(t, []byte(original), asset.Variant{Format: asset.PNG})
		for _, at := range [][2]float64{{.1, .1}, {.5, .5}, {.9, .9}} {
			if _, _, _, a := middle(m, at[0], at[1]).RGBA(); a != 0 {
				t.Errorf("%s: something was drawn: %v", name, middle(m, at[0], at[1]))
			}
		}
	}
	time.Sleep(50 * time.Millisecond) // what was sent arrives
	if n := visits.Load(); n > 0 {
		t.Errorf("%d connections were made", n)
	}
}

// TestSVGEmbedded: what stands in the document itself is drawn, within bounds.
func TestSVGEmbedded(t *testing.T) {
	b := newBench(t, nil)
	of := func(body string) []byte {
		return []byte(`<svg ` + svgSpaceAttribute + ` xmlns:xlink="http://www.w3.org/1999/xlink" width="40" height="40">` + body + `</svg>`)
	}
	data := func(kind string, p []byte) string {
		return "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(p)
	}
	in := func(url string) []byte { return of(`<image width="40" height="40" xlink:href="` + url + `"/>`) }
	for name, p := range map[string]string{"png": data("image/png", pngOf(t, quarters(20, 20))), "jpeg": data("image/jpeg", jpegOf(t, quarters(32, 32)))} {
		if m := b.picture(t, in(p), asset.Variant{Format: asset.PNG}); whichQuarters(m) != "rgby" {
			t.Errorf("%s: %s", name, whichQuarters(m))
		}
	}
	f := func(name string, original []byte, kind error) {
		t.Helper()
		_, err := b.render(t, original, asset.Variant{Width: 20, Format: asset.PNG})
		fault, ok := errors.AsType[*asset.Fault](err)
		if !ok || !errors.Is(err, kind) || fault.Allowed == "" && kind == asset.ErrTooLarge {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := b.probe(t, original); !errors.Is(err, kind) {
			t.Errorf("%s: probed: %v", name, err)
		}
	}
	bomb := data("image/png", pngClaiming(30000, 30000))
	f("a bomb", in(bomb), asset.ErrTooLarge)
	f("a hidden bomb", in("&#x20;&#100;ATA:image/svg+xml"+strings.TrimPrefix(bomb, "data:image/png")), asset.ErrTooLarge)
	f("an escaped bomb", in("data:,"+escaped(pngClaiming(30000, 30000))), asset.ErrTooLarge)
	f("many", of(strings.Repeat(`<image href="`+data("image/png", pngClaiming(2000, 2000))+`"/>`, 5)), asset.ErrTooLarge)
	f("in a filter", of(`<filter id="f"><feImage href="`+bomb+`"/></filter>`), asset.ErrTooLarge)
	f("another document", of(`<use href="`+data("image/svg+xml", svgOf(""))+`#a"/>`), asset.ErrUndecodable)
	f("no picture", in("data:text/plain,hello"), asset.ErrUndecodable)
	f("no base64", in("data:image/png;base64,!!"), asset.ErrUndecodable)
	f("entities", []byte(`<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><svg `+svgSpaceAttribute+` width="9" height="9"><text>&b;</text></svg>`), asset.ErrUndecodable)
	f("an entity", of(`<text>&b;</text>`), asset.ErrUndecodable)
	f("a late document type", of(`<g/><!DOCTYPE svg [<!ENTITY b "c">]>`), asset.ErrUndecodable)
	deep := of(strings.Repeat("<g>", maxSVGDepth) + strings.Repeat("</g>", maxSVGDepth)) // and the root
	f("too deep", deep, asset.ErrUndecodable)
	if _, err := b.render(t, deep, asset.Variant{Format: asset.PNG}); !strings.Contains(fmt.Sprint(err), "nested too deep") {
		t.Errorf("too deep: %v", err)
	}
	f("UTF-7", []byte(`<?xml version="1.0" encoding="UTF-7"?><svg `+svgSpaceAttribute+` width="9" height="9"/>`), asset.ErrUndecodable)
	f("too wide", []byte(`<svg `+svgSpaceAttribute+` width="40000" height="9"/>`), asset.ErrTooLarge)
	f("too many pixels", []byte(`<svg `+svgSpaceAttribute+` width="20000" height="20000"/>`), asset.ErrTooLarge)
	f("no size", []byte(`<svg `+svgSpaceAttribute+` width="0" height="9"/>`), asset.ErrUndecodable)
	f("unclosed", []byte(`<svg `+svgSpaceAttribute+` width="9" height="9"><g>`), asset.ErrUndecodable)
	f("too long", of("<!--"+strings.Repeat(" ", maxSVGBytes)+"-->"), asset.ErrTooLarge)
}

func escaped(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		fmt.Fprintf(&s, "%%%02x", c)
	}
	return s.String()
}

// TestJXLOrientation: what EXIF says of a JXL does not count (ISO/IEC 18181-2 §9.3): its codestream says it.
func TestJXLOrientation(t *testing.T) {
	b := newBench(t, nil)
	exif := []byte{'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0}
	m := b.picture(t, boxed(b.jxl(t, quarters(64, 40)), 1, exif), asset.Variant{Format: asset.PNG})
	if m.Bounds().Size() != image.Pt(64, 40) || whichQuarters(m) != "rgby" {
		t.Errorf("%s in %v", whichQuarters(m), m.Bounds().Size())
	}
}

// TestProbeFormats: the remaining types are described.
func TestProbeFormats(t *testing.T) {
	b := newBench(t, nil)
	kind, pic, err := b.probe(t, b.jxl(t, photo(64, 40)))
	if err != nil || kind != jxlType || pic == nil || pic.Width != 64 || pic.Height != 40 || pic.Alpha || pic.Drawn || pic.Pages != 1 {
		t.Errorf("%q, %+v, %v", kind, pic, err)
	}
	kind, pic, err = b.probe(t, b.jxl(t, masked(64, 40)))
	if err != nil || kind != jxlType || pic == nil || !pic.Alpha {
		t.Errorf("%q, %+v, %v", kind, pic, err)
	}
	kind, pic, err = b.probe(t, bmpLibrary(t, photo(64, 40)))
	if err != nil || kind != bmpType || pic == nil || pic.Drawn || pic.Alpha {
		t.Errorf("%q, %+v, %v", kind, pic, err)
	}
}

// TestUnknownFormat: who sends what is no picture learns what would be one, and so it is with a type that this libvips lacks.
func TestUnknownFormat(t *testing.T) {
	b := newBench(t, nil)
	f := func(original []byte, detail string) {
		t.Helper()
		_, err := b.render(t, original, asset.Variant{Width: 20, Format: asset.PNG})
		fault, ok := errors.AsType[*asset.Fault](err)
		if !ok || !errors.Is(err, asset.ErrMediaType) || !strings.Contains(fault.Detail, detail) || !strings.Contains(fault.Allowed, "image/bmp, image/gif") {
			t.Errorf("%v", err)
		}
	}
	f([]byte("hello"), "no picture")
	if written, read, err := b.Missing(); err != nil || len(written)+len(read) > 0 {
		t.Errorf("libvips of Debian has all, but not %v, %v, %v", written, read, err)
	}
	b.types = strings.Split(strings.ReplaceAll(strings.Join(b.types, " "), " image/jxl", ""), " ")
	f(append([]byte(jxlCode), packed([][2]int{{1, 1}, {3, 5}, {1, 3}, {1, 1}})...), "image/jxl cannot be rendered here")
	if _, read, _ := b.Missing(); len(read) != 1 || read[0] != jxlType {
		t.Errorf("missing: %v", read)
	}
}

// A heifItem is a picture in a HEIF file.
type heifItem struct {
	size         asset.Size
	config, data []byte
	turned       bool // anticlockwise by a quarter when it is shown (irot)
}

// itemOf takes the first picture out of an AVIF that libvips wrote.
func itemOf(t testing.TB, avif []byte, size asset.Size) heifItem {
	t.Helper()
	config, iloc := bytes.Index(avif, []byte("av1C")), bytes.Index(avif, []byte("iloc"))
	if config < 0 || iloc < 0 {
		t.Fatal("no AVIF as it was known")
	}
	length := int(binary.BigEndian.Uint32(avif[config-4:]))
	extent := avif[iloc+12:] // behind version, sizes and count: id, data reference, base, count, offset, length
	if !bytes.HasPrefix(avif[iloc+4:], []byte("\x00\x00\x00\x00\x44\x40")) {
		t.Fatal("no iloc as it was known")
	}
	off := binary.BigEndian.Uint32(extent[4:]) + binary.BigEndian.Uint32(extent[10:])
	return heifItem{size: size, config: avif[config-4 : config-4+length], data: avif[off : off+binary.BigEndian.Uint32(extent[14:])]}
}

// heifOf writes a file of pictures, of which the others are small ones of the first (ISO/IEC 23008-12 §6).
func heifOf(items ...heifItem) []byte {
	box := func(kind string, body ...[]byte) []byte {
		b := bytes.Join(body, nil)
		return append(append(binary.BigEndian.AppendUint32(nil, uint32(8+len(b))), kind...), b...)
	}
	full := make([]byte, 4)
	u16 := func(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }
	u32 := func(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }
	ftyp := box("ftyp", []byte("avif\x00\x00\x00\x00avifmif1"))
	meta := func(start int) []byte {
		iloc, infe, ipco, ipma, thmb := [][]byte{full, {0x44, 0}, u16(len(items))}, [][]byte{full, u16(len(items))}, [][]byte(nil), [][]byte{full, u32(len(items))}, [][]byte{full}
		for i, item := range items {
			iloc = append(iloc, u16(i+1), u16(0), u16(1), u32(start), u32(len(item.data)))
			start += len(item.data)
			infe = append(infe, box("infe", []byte{2, 0, 0, 0}, u16(i+1), u16(0), []byte("av01\x00")))
			first := byte(len(ipco) + 1)
			turn := byte(0)
			if item.turned {
				turn = 1
			}
			ipco = append(ipco, item.config, box("ispe", full, u32(item.size.Width), u32(item.size.Height)), box("irot", []byte{turn}))
			ipma = append(ipma, u16(i+1), []byte{3, 0x80 | first, first + 1, 0x80 | first + 2})
			if i > 0 {
				thmb = append(thmb, box("thmb", u16(i+1), u16(1), u16(1)))
			}
		}
		hdlr := box("hdlr", full, full, []byte("pict"), make([]byte, 13))
		return box("meta", full, hdlr, box("pitm", full, u16(1)), box("iloc", iloc...), box("iinf", infe...), box("iref", thmb...), box("iprp", box("ipco", ipco...), box("ipma", ipma...)))
	}
	out := append(ftyp, meta(len(ftyp)+len(meta(0))+8)...)
	var data [][]byte
	for _, item := range items {
		data = append(data, item.data)
	}
	return append(out, box("mdat", data...)...)
}

func (b *bench) heifItem(t testing.TB, m *image.NRGBA, turned bool) heifItem {
	t.Helper()
	avif, err := b.render(t, pngOf(t, m), asset.Variant{Format: asset.AVIF, Quality: 90})
	if err != nil {
		t.Fatal(err)
	}
	i := itemOf(t, avif, asset.Size{Width: m.Rect.Dx(), Height: m.Rect.Dy()})
	i.turned = turned
	return i
}

// TestHEIFTurned: how a picture is to be turned is said once, by irot, and done once.
func TestHEIFTurned(t *testing.T) {
	b := newBench(t, nil)
	original := heifOf(b.heifItem(t, quarters(96, 64), true))
	if h, err := Header(bytes.NewReader(original), int64(len(original))); err != nil || h.Width != 96 || h.Height != 64 {
		t.Errorf("%+v, %v", h, err)
	}
	m := b.picture(t, original, asset.Variant{Format: asset.PNG})
	if m.Bounds().Size() != image.Pt(64, 96) || whichQuarters(m) != "gyrb" { // the right side comes to the top
		t.Errorf("%s in %v", whichQuarters(m), m.Bounds().Size())
	}
	if _, pic, err := b.probe(t, original); err != nil || pic.Width != 64 || pic.Height != 96 || pic.Orientation != 1 {
		t.Errorf("%+v, %v", pic, err)
	}
}

// TestHEIFSmall: a small picture in the file is decoded in place of the large one, where it is large enough and the same.
func TestHEIFSmall(t *testing.T) {
	b := newBench(t, nil)
	flat := func(w, h int) *image.NRGBA { // so that it can be told
		m := image.NewNRGBA(image.Rect(0, 0, w, h))
		draw.Draw(m, m.Rect, image.NewUniform(quarterColors[3]), image.Point{}, draw.Src)
		return m
	}
	large, small, other := b.heifItem(t, quarters(640, 480), false), b.heifItem(t, flat(160, 120), false), b.heifItem(t, flat(160, 112), false)
	f := func(original []byte, v asset.Variant, want string) {
		t.Helper()
		v.Format = asset.PNG
		if got := whichQuarters(b.picture(t, original, v)); got != want {
			t.Errorf("%+v: %s, want %s", v, got, want)
		}
	}
	both := heifOf(large, small)
	f(both, asset.Variant{Width: 160}, "yyyy")
	f(both, asset.Variant{Width: 120, Height: 120, Fit: asset.Cover}, "yyyy")
	f(both, asset.Variant{Width: 161}, "rgby")
	f(both, asset.Variant{Width: 161, Height: 60, Fit: asset.Squeeze}, "rgby")
	f(both, asset.Variant{Width: 120, Height: 121, Fit: asset.Cover}, "rgby")
	f(both, asset.Variant{Width: 100, Rect: asset.Rect{W: asset.Length{Percent: true, Value: 100_000}, H: asset.Length{Percent: true, Value: 100_000}}}, "rgby")
	f(heifOf(large, other), asset.Variant{Width: 100}, "rgby")
	f(heifOf(large), asset.Variant{Width: 100}, "rgby")
	turned, turnedSmall := b.heifItem(t, quarters(640, 480), true), b.heifItem(t, quarters(160, 120), true)
	f(heifOf(turned, turnedSmall), asset.Variant{Width: 100}, "gyrb")
	_, alone, err := b.probe(t, heifOf(large))
	if err != nil {
		t.Fatal(err)
	}
	if _, pic, err := b.probe(t, both); err != nil || *pic != *alone {
		t.Errorf("a probe looked at the small one: %+v, not %+v, %v", pic, alone, err)
	}
}
