// Package ssim measures how alike two pictures look: the structural similarity of Wang, Bovik, Sheikh and Simoncelli,
// "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE Transactions on Image Processing
// 13(4), 2004.
//
// Its one invariant: sums are whole numbers, so that nothing adds up while the windows slide, and a picture is exactly as
// like itself as it can be.
//
//	mean, err := ssim.Luma(original, rendition) // 1: the same; photographs at usual qualities have 0.95 to 0.99
package ssim

import (
	"errors"
	"fmt"
	"image"
	"image/draw"
)

// ErrUnlike is of pictures that cannot be compared.
var ErrUnlike = errors.New("ssim: two pictures of the same size with pixels are needed")

// window is the side of the windows in px. They are uniform, and there is one at every pixel that has room for it.
const window = 8

// The constants of the paper (§III.B) for 8 bits: K1 = 0.01, K2 = 0.03.
const (
	c1 = (0.01 * 255) * (0.01 * 255)
	c2 = (0.03 * 255) * (0.03 * 255)
)

// Luma returns the mean similarity of the luma (ITU-R BT.601) of two pictures as they are seen on white: 1 when they are
// the same, less the less they look alike, down to −1. In a picture narrower or lower than 8 px, windows are as wide or high
// as it is.
//
// It fails with [ErrUnlike] when the sizes differ or there are no pixels.
func Luma(a, b image.Image) (mean float64, err error) {
	if a.Bounds().Size() != b.Bounds().Size() || a.Bounds().Empty() {
		return 0, fmt.Errorf("%w: %v and %v", ErrUnlike, a.Bounds().Size(), b.Bounds().Size())
	}
	return planes(luma(a), luma(b), a.Bounds().Dx(), a.Bounds().Dy()), nil
}

// Alpha is [Luma] of the alpha of two pictures: white where they are opaque, black where they are clear.
func Alpha(a, b image.Image) (mean float64, err error) {
	if a.Bounds().Size() != b.Bounds().Size() || a.Bounds().Empty() {
		return Luma(a, b)
	}
	return planes(alpha(a), alpha(b), a.Bounds().Dx(), a.Bounds().Dy()), nil
}

// luma returns one byte for each pixel, in rows.
func luma(m image.Image) []uint8 {
	n := nrgba(m)
	out := make([]uint8, n.Rect.Dx()*n.Rect.Dy())
	for i := range out {
		p := n.Pix[4*i : 4*i+4 : 4*i+4]
		y := 19595*uint32(p[0]) + 38470*uint32(p[1]) + 7471*uint32(p[2]) // of 65536
		if a := uint32(p[3]); a < 255 {
			y = (y*a + 65536*255*(255-a)) / 255
		}
		out[i] = uint8((y + 1<<15) >> 16)
	}
	return out
}

func alpha(m image.Image) []uint8 {
	n := nrgba(m)
	out := make([]uint8, n.Rect.Dx()*n.Rect.Dy())
	for i := range out {
		out[i] = n.Pix[4*i+3]
	}
	return out
}

// nrgba returns a picture without gaps between its rows.
func nrgba(m image.Image) *image.NRGBA {
	if n, ok := m.(*image.NRGBA); ok && n.Stride == 4*n.Rect.Dx() {
		return n
	}
	n := image.NewNRGBA(image.Rectangle{Max: m.Bounds().Size()})
	if part, ok := m.(*image.NRGBA); ok { // as it is, and quicker
		for y := range n.Rect.Dy() {
			copy(n.Pix[y*n.Stride:(y+1)*n.Stride], part.Pix[y*part.Stride:])
		}
		return n
	}
	draw.Draw(n, n.Rect, m, m.Bounds().Min, draw.Src)
	return n
}

// moments are sums over pixels of two pictures.
type moments struct{ a, b, aa, bb, ab int32 }

// slide adds the sums of one part and takes those of another away.
func (m *moments) slide(in, out *moments) {
	m.a += in.a - out.a
	m.b += in.b - out.b
	m.aa += in.aa - out.aa
	m.bb += in.bb - out.bb
	m.ab += in.ab - out.ab
}

// planes returns the mean over all windows. Each column's sums slide down, and the window's slide along them.
func planes(a, b []uint8, w, h int) float64 {
	wide, high := min(window, w), min(window, h)
	columns := make([]moments, w)
	nothing := make([]uint8, w) // above the first row
	sum := 0.0
	for y := range h {
		outA, outB := nothing, nothing
		if y >= high {
			outA, outB = a[(y-high)*w:], b[(y-high)*w:]
		}
		down(columns, a[y*w:], b[y*w:], outA, outB)
		if y >= high-1 {
			sum += along(columns, wide, wide*high)
		}
	}
	return sum / float64((w-wide+1)*(h-high+1))
}

// down adds a row of pixels to the columns and takes another away.
func down(columns []moments, inA, inB, outA, outB []uint8) {
	n := len(columns)
	inA, inB, outA, outB = inA[:n], inB[:n], outA[:n], outB[:n]
	for x := range columns {
		p, q, r, s, c := int32(inA[x]), int32(inB[x]), int32(outA[x]), int32(outB[x]), &columns[x]
		c.a += p - r
		c.b += q - s
		c.aa += p*p - r*r
		c.bb += q*q - s*s
		c.ab += p*q - r*s
	}
}

// along returns the sum over the windows of n pixels, as wide as so many columns.
func along(columns []moments, wide, n int) (sum float64) {
	var in, none moments
	for x := range columns {
		out := &none
		if x >= wide {
			out = &columns[x-wide]
		}
		if in.slide(&columns[x], out); x >= wide-1 {
			sum += in.similarity(float64(n))
		}
	}
	return sum
}

// similarity is equation 13 of the paper for a window of n pixels, both sides of the fraction times n⁴.
func (m *moments) similarity(n float64) float64 {
	a, b := float64(m.a), float64(m.b)
	squares, product := a*a+b*b, 2*a*b
	covariance := 2*n*float64(m.ab) - product
	variances := n*float64(m.aa+m.bb) - squares
	k1, k2 := c1*n*n, c2*n*n
	return (product + k1) * (covariance + k2) / ((squares + k1) * (variances + k2))
}
