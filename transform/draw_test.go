package transform

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/tiff"
)

// photo draws something with the statistics of a photograph: soft shapes, light, and noise in every pixel.
func photo(w, h int) *image.NRGBA { return waves(w, h, 14) }

func waves(w, h int, noise float64) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	r := rand.New(rand.NewPCG(1, 2))
	for y := range h {
		for x := range w {
			fx, fy := float64(x)/float64(w), float64(y)/float64(h)
			n := (r.Float64() - 0.5) * noise
			wave := 40 * math.Sin(9*fx+4*math.Sin(6*fy))
			m.SetNRGBA(x, y, color.NRGBA{
				clamp(60 + 150*fx + wave + n), clamp(80 + 120*fy - wave + n), clamp(200 - 140*fx*fy + wave/2 + n), 255,
			})
		}
	}
	return m
}

func clamp(f float64) uint8 { return uint8(math.Max(0, math.Min(255, f))) }

// quarters draws four flat colours: red, green / blue, yellow from the top left. Any turn of it can be told.
func quarters(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetNRGBA(x, y, quarterColors[x*2/w+y*2/h*2])
		}
	}
	return m
}

var quarterColors = [4]color.NRGBA{{220, 30, 30, 255}, {30, 180, 40, 255}, {30, 50, 220, 255}, {240, 220, 40, 255}}

// scene draws what shows distortion and cutting: a circle, compass marks, and a frame that reaches the edges.
func scene(w, h int) *image.NRGBA {
	m := waves(w, h, 2)
	k := max(1, min(w, h)/120) // letters k times basicfont's size, lines to match
	cx, cy, radius := w/2, h/2, float64(min(w, h)*2/5)
	for y := range h {
		for x := range w {
			d := math.Hypot(float64(x-cx), float64(y-cy))
			switch {
			case math.Abs(d-radius) < 1.2*float64(k):
				m.SetNRGBA(x, y, color.NRGBA{255, 255, 255, 255})
			case min(x, y, w-1-x, h-1-y) < 3*k/2:
				m.SetNRGBA(x, y, color.NRGBA{230, 40, 40, 255})
			}
		}
	}
	for _, mark := range []struct {
		s    string
		x, y int
	}{{"N", cx, 9 * k}, {"S", cx, h - 9*k}, {"W", 7 * k, cy}, {"E", w - 7*k, cy}, {"NW", 12 * k, 9 * k}, {"SE", w - 12*k, h - 9*k}, {"+", cx, cy}} {
		enlarged(m, mark.s, mark.x, mark.y, k)
	}
	return m
}

func enlarged(m *image.NRGBA, s string, cx, cy, k int) {
	t := image.NewAlpha(image.Rect(0, 0, 7*len(s), 13))
	label(t, s, 0, 11, color.Opaque)
	for y := range 13 * k {
		for x := range 7 * len(s) * k {
			if t.AlphaAt(x/k, y/k).A > 0 {
				m.SetNRGBA(cx-7*len(s)*k/2+x, cy-13*k/2+y, color.NRGBA{20, 20, 30, 255})
			}
		}
	}
}

func label(dst draw.Image, s string, x, y int, c color.Color) {
	d := font.Drawer{Dst: dst, Src: image.NewUniform(c), Face: basicfont.Face7x13, Dot: fixed.P(x, y)}
	d.DrawString(s)
}

func jpegOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 92}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pngOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tiffOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := tiff.Encode(&b, m, &tiff.Options{Compression: tiff.Deflate}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// gifOf makes an animation whose frames differ.
func gifOf(t testing.TB, w, h, frames int) []byte {
	t.Helper()
	g := gif.GIF{}
	for i := range frames {
		p := image.NewPaletted(image.Rect(0, 0, w, h), color.Palette{color.White, quarterColors[i%4], color.Black})
		draw.Draw(p, p.Rect, image.NewUniform(quarterColors[i%4]), image.Point{}, draw.Src)
		g.Image, g.Delay = append(g.Image, p), append(g.Delay, 10)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// oriented puts an EXIF block with an orientation behind the SOI of a JPEG.
func oriented(jpg []byte, orientation int) []byte {
	tiff := []byte{'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, byte(orientation), 0, 0, 0, 0, 0, 0}
	body := append([]byte("Exif\x00\x00"), tiff...)
	seg := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(body)+2))
	return bytes.Join([][]byte{jpg[:2], seg, body, jpg[2:]}, nil)
}

// pngClaiming returns the head of a PNG that says it is w × h.
func pngClaiming(w, h uint32) []byte {
	ihdr := binary.BigEndian.AppendUint32([]byte("IHDR"), w)
	ihdr = append(binary.BigEndian.AppendUint32(ihdr, h), 8, 2, 0, 0, 0)
	b := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), ihdr...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(ihdr))
	return append(b, "\x00\x00\x00\x00IEND\xae\x42\x60\x82"...)
}

// undrawable is a whole document that needs a password which nobody has.
func undrawable() []byte {
	plain := string(pdfOf(50, 50, 1))
	locked := "/Encrypt<</Filter/Standard/V 2/R 3/Length 128/P -44/O<" + strings.Repeat("ab", 32) + ">/U<" + strings.Repeat("cd", 32) + ">>>/ID[<00><00>]/Root"
	return []byte(strings.Replace(plain, "/Root", locked, 1))
}

// pdfOf makes a document of pages of w × h points, each with one rectangle further to the right.
func pdfOf(w, h, pages int) []byte {
	var b bytes.Buffer
	var offsets []int
	object := func(format string) {
		offsets = append(offsets, b.Len())
		b.WriteString(format)
	}
	b.WriteString("%PDF-1.4\n")
	kids := ""
	for i := range pages {
		kids += itoa(3+2*i) + " 0 R "
	}
	object("1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n")
	object("2 0 obj\n<</Type/Pages/Kids[" + kids + "]/Count " + itoa(pages) + ">>\nendobj\n")
	for i := range pages {
		draw := "1 0 0 rg " + itoa(10+40*i) + " 10 30 30 re f"
		object(itoa(3+2*i) + " 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 " + itoa(w) + " " + itoa(h) + "]/Contents " + itoa(4+2*i) + " 0 R>>\nendobj\n")
		object(itoa(4+2*i) + " 0 obj\n<</Length " + itoa(len(draw)) + ">>\nstream\n" + draw + "\nendstream\nendobj\n")
	}
	xref := b.Len()
	b.WriteString("xref\n0 " + itoa(len(offsets)+1) + "\n0000000000 65535 f \n")
	for _, o := range offsets {
		s := "0000000000" + itoa(o)
		b.WriteString(s[len(s)-10:] + " 00000 n \n")
	}
	b.WriteString("trailer\n<</Size " + itoa(len(offsets)+1) + "/Root 1 0 R>>\nstartxref\n" + itoa(xref) + "\n%%EOF\n")
	return b.Bytes()
}
