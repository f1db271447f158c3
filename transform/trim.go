package transform

import (
	"image"

	"github.com/assetmatrix/assetmatrix/asset"
)

// trim leaves away border: rows and columns in which all pixels are like the one in the top left corner. What is all border stays
// as it is. Of an animation stays what any frame has.
func trim(x *rendering) error {
	if x.group.Trim == 0 {
		return nil
	}
	used := image.Rect(x.cut.Left, x.cut.Top, x.cut.Left+x.cut.Width, x.cut.Top+x.cut.Height)
	var content image.Rectangle
	err := x.eachPixels(func(m *image.NRGBA) error {
		content = content.Union(contentOf(m, used, x.group.Trim))
		return nil
	})
	if !content.Empty() {
		x.cut = asset.Area{Left: content.Min.X, Top: content.Min.Y, Width: content.Dx(), Height: content.Dy()}
	}
	return err
}

// contentOf returns the smallest rectangle in r that holds every pixel that differs from its top left one by more than tolerance
// in a channel; it is empty when there is none.
func contentOf(m *image.NRGBA, r image.Rectangle, tolerance int) (content image.Rectangle) {
	border := weighed(m.Pix[m.PixOffset(r.Min.X, r.Min.Y):])
	for y := r.Min.Y; y < r.Max.Y; y++ {
		row := m.Pix[m.PixOffset(r.Min.X, y):][:4*r.Dx()]
		first, last := -1, -1
		for i := 0; i < len(row); i += 4 {
			if differs(weighed(row[i:]), border, tolerance) {
				if first < 0 {
					first = i / 4
				}
				last = i / 4
			}
		}
		if first >= 0 {
			content = content.Union(image.Rect(r.Min.X+first, y, r.Min.X+last+1, y+1))
		}
	}
	return content
}

// weighed is a pixel's colour as far as it is seen, and its alpha.
func weighed(p []byte) (c [4]int) {
	a := int(p[3])
	return [4]int{int(p[0]) * a / 255, int(p[1]) * a / 255, int(p[2]) * a / 255, a}
}

func differs(a, b [4]int, tolerance int) bool {
	for i := range a {
		if d := a[i] - b[i]; d > tolerance || -d > tolerance {
			return true
		}
	}
	return false
}
