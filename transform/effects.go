package transform

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"

	"github.com/davidbyttow/govips/v2/vips"

	"github.com/assetmatrix/assetmatrix/asset"
)

// adjust changes brightness, contrast, saturation and gamma, in this order, as CSS defines the first three for sRGB values
// (Filter Effects Module 1 §6.3, §6.4, §6.11). Alpha stays as it is.
func adjust(x *rendering) error {
	g := &x.group
	if g.Brightness == 0 && g.Contrast == 0 && g.Saturation == 0 && g.Gamma == 0 {
		return nil
	}
	tone, gamma := tones(g.Brightness.Float(), g.Contrast.Float()), gammas(g.Gamma.Float())
	s := g.Saturation.Float()
	return x.eachPixels(func(m *image.NRGBA) error {
		for i := 0; i < len(m.Pix); i += 4 {
			r, g, b := tone[m.Pix[i]], tone[m.Pix[i+1]], tone[m.Pix[i+2]]
			grey := (1 - s) * (0.213*r + 0.715*g + 0.072*b)
			m.Pix[i], m.Pix[i+1], m.Pix[i+2] = gamma[level(grey+s*r)], gamma[level(grey+s*g)], gamma[level(grey+s*b)]
		}
		return nil
	})
}

// tones has what brightness and contrast make of each value. They are limited to what there is in between, as a chain of CSS
// filters is.
func tones(brightness, contrast float64) (t [256]float64) {
	for v := range t {
		bright := min(float64(v)*brightness, 255)
		t[v] = min(max((bright-127.5)*contrast+127.5, 0), 255)
	}
	return t
}

// gammas has what gamma makes of each value: v^(1/gamma) of 0–1, so that more is lighter; 0 leaves nothing but white.
func gammas(gamma float64) (t [256]uint8) {
	for v := range t {
		t[v] = level(255 * math.Pow(float64(v)/255, 1/max(gamma, 1e-3)))
	}
	return t
}

func level(v float64) uint8 { return uint8(math.Round(min(max(v, 0), 255))) }

// pixelate gives each block of so many px the mean of its pixels.
func pixelate(x *rendering) error {
	side := x.group.Pixelate
	if side < 2 {
		return nil
	}
	return x.eachPixels(func(m *image.NRGBA) error {
		for top := 0; top < m.Rect.Dy(); top += side {
			for left := 0; left < m.Rect.Dx(); left += side {
				average(m, image.Rect(left, top, left+side, top+side).Intersect(m.Rect))
			}
		}
		return nil
	})
}

// average gives all pixels of r their mean.
func average(m *image.NRGBA, r image.Rectangle) {
	c := mean(m, r)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			copy(m.Pix[m.PixOffset(x, y):][:4], []uint8{c.R, c.G, c.B, c.A})
		}
	}
}

// mean is that of the pixels of r, in which one counts as much as it is seen.
func mean(m *image.NRGBA, r image.Rectangle) color.NRGBA {
	var sum [4]int
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			p := m.Pix[m.PixOffset(x, y):][:4]
			a := int(p[3])
			sum[0], sum[1], sum[2], sum[3] = sum[0]+int(p[0])*a, sum[1]+int(p[1])*a, sum[2]+int(p[2])*a, sum[3]+a
		}
	}
	if sum[3] == 0 {
		return color.NRGBA{}
	}
	n := r.Dx() * r.Dy()
	share := func(v int) uint8 { return uint8((v + sum[3]/2) / sum[3]) }
	return color.NRGBA{share(sum[0]), share(sum[1]), share(sum[2]), uint8((sum[3] + n/2) / n)}
}

// blur is vips_gaussblur with alpha premultiplied; faces alone are made unrecognisable by blurFaces.
func blur(x *rendering) error {
	switch sigma := x.group.Blur; {
	case sigma == asset.BlurFaces:
		return x.blurFaces()
	case sigma == 0:
		return nil
	default:
		return x.filter(func(p *vips.ImageRef) error { return p.GaussianBlur(sigma.Float()) })
	}
}

// sharpen is vips_sharpen, on lightness.
func sharpen(x *rendering) error {
	sigma := x.group.Sharpen
	if sigma == 0 {
		return nil
	}
	return x.filter(func(p *vips.ImageRef) error { return p.Sharpen(sigma.Float(), sharpenFlat, sharpenJaggy) })
}

// The defaults of vips_sharpen: where lightness differs by less than the first, nothing is sharpened, and the second is the
// slope behind it.
const (
	sharpenFlat  = 2
	sharpenJaggy = 3
)

// filter does what reads the neighbours of a pixel, with alpha premultiplied.
func (x *rendering) filter(do func(*vips.ImageRef) error) error {
	for _, f := range x.frames {
		if err := f.settle(); err != nil {
			return err
		}
	}
	return x.each(func(p *vips.ImageRef) error {
		if err := p.PremultiplyAlpha(); err != nil {
			return err
		}
		if err := do(p); err != nil {
			return err
		}
		if err := p.UnpremultiplyAlpha(); err != nil {
			return err
		}
		return p.ToColorSpace(p.Interpretation()) // back to 8 bits
	})
}

// round takes the corners off: what lies outside is transparent. RadiusMax is an ellipse, a circle of a square.
func round(x *rendering) error {
	g := x.group.Canonical(nil) // in px of the rendition
	if g.Radius == 0 {
		return nil
	}
	return x.eachPixels(func(m *image.NRGBA) error {
		w, h := float64(m.Rect.Dx()), float64(m.Rect.Dy())
		rx, ry := w/2, h/2
		if g.Radius != asset.RadiusMax {
			rx = min(float64(g.Radius), rx, ry)
			ry = rx
		}
		corners(m, rx, ry)
		return nil
	})
}

// corners scales the alpha of what lies in the corners of m by how much of the pixel is inside an ellipse with the radii rx
// and ry.
func corners(m *image.NRGBA, rx, ry float64) {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	for y := range min(int(math.Ceil(ry)), (h+1)/2) {
		for x := range min(int(math.Ceil(rx)), (w+1)/2) {
			inside := covered(float64(x), float64(y), rx, ry)
			if inside == 1 {
				break // and all to the right of it
			}
			corner := [...]image.Point{{x, y}, {w - 1 - x, y}, {x, h - 1 - y}, {w - 1 - x, h - 1 - y}}
			for i, p := range corner {
				if slices.Contains(corner[:i], p) { // in the middle they are one
					continue
				}
				a := &m.Pix[m.PixOffset(p.X, p.Y)+3]
				*a = level(float64(*a) * inside)
			}
		}
	}
}

// covered is how much of the pixel at x, y lies inside the ellipse with radii rx, ry around the point (rx, ry): the share of
// 4 × 4 points.
func covered(x, y, rx, ry float64) float64 {
	n := 0
	for i := range 16 {
		dx, dy := (x+float64(i%4)/4+1./8-rx)/rx, (y+float64(i/4)/4+1./8-ry)/ry
		if dx > 0 || dy > 0 || dx*dx+dy*dy <= 1 {
			n++
		}
	}
	return float64(n) / 16
}

// watermark lays a picture over this one.
func watermark(x *rendering) error {
	w := x.group.Watermark
	if w.Name == "" {
		return nil
	}
	over, err := x.overlay(w)
	if err != nil {
		return err
	}
	defer over.Close()
	canvas, size := x.layout.Canvas, asset.Size{Width: over.Width(), Height: over.Height()}
	if w.Tiled {
		return x.tile(over, w)
	}
	left, top := beside(w.Gravity, canvas, size, w.X, w.Y)
	return x.lay(over, left, top)
}

// overlay renders the next watermark: as wide as it should be, and no larger than the picture. What is wrong with it is a fault
// that says so.
func (x *rendering) overlay(w asset.Watermark) (*vips.ImageRef, error) {
	mediaType := x.Overlays[0].MediaType
	p, err := x.drawOverlay(w)
	if err == nil {
		return p, nil
	}
	if fault := overlayFault(err); fault != err {
		return nil, fault
	}
	return nil, fmt.Errorf("%w: %w", overlayFault(damaged(mediaType)), err)
}

func (x *rendering) drawOverlay(w asset.Watermark) (*vips.ImageRef, error) {
	o := x.Overlays[0]
	r := &request{MediaType: o.MediaType, Size: o.Size, MaxPixels: x.MaxPixels, Variant: asset.Variant{Format: asset.PNG}}
	r.Variant.Width, r.Variant.Height = x.layout.Canvas.Width, x.layout.Canvas.Height
	if w.Scale > 0 {
		r.Variant.Width, r.Variant.Fit = max(1, int(math.Round(w.Scale.Float()*float64(r.Variant.Width)))), asset.Contain
	}
	y := &rendering{request: r, bytes: x.overlays[0], group: r.Variant}
	defer y.close()
	x.Overlays, x.overlays = x.Overlays[1:], x.overlays[1:]
	if err := y.run(loading); err != nil {
		return nil, err
	}
	err := y.eachPixels(func(m *image.NRGBA) error {
		for i := 3; i < len(m.Pix) && w.Opacity != 0; i += 4 {
			m.Pix[i] = level(float64(m.Pix[i]) * w.Opacity.Float())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	p, err := y.frames[0].picture()
	if err != nil {
		return nil, err
	}
	y.frames[0].ref = nil // it is the caller's
	return p, colored(p)
}

// beside places an overlay at a gravity, moved away from the edges that it lies at, to the right and down otherwise.
func beside(g asset.Gravity, canvas, size asset.Size, dx, dy int) (left, top int) {
	left, top = place(g, canvas, size)
	switch g.Anchor {
	case asset.AnchorNorthEast, asset.AnchorEast, asset.AnchorSouthEast:
		dx = -dx
	}
	switch g.Anchor {
	case asset.AnchorSouthWest, asset.AnchorSouth, asset.AnchorSouthEast:
		dy = -dy
	}
	return left + dx, top + dy
}

// lay composites a picture over all frames.
func (x *rendering) lay(over *vips.ImageRef, left, top int) error {
	return x.each(func(p *vips.ImageRef) error {
		opaque := !p.HasAlpha()
		if err := colored(p); err != nil {
			return err
		}
		if err := p.Composite(over, vips.BlendModeOver, left, top); err != nil {
			return err
		}
		if err := to8Bit(p); err != nil {
			return err
		}
		if opaque { // as it was
			return p.ExtractBand(0, 3)
		}
		return nil
	})
}

// tile lays copies of a picture beside and below each other over all frames, X and Y px apart.
func (x *rendering) tile(over *vips.ImageRef, w asset.Watermark) error {
	if err := over.AddAlpha(); err != nil {
		return err
	}
	clear := vips.ColorRGBA{}
	if err := over.EmbedBackgroundRGBA(0, 0, over.Width()+w.X, over.Height()+w.Y, &clear); err != nil {
		return err
	}
	across := (x.layout.Canvas.Width + over.Width() - 1) / over.Width()
	down := (x.layout.Canvas.Height + over.Height() - 1) / over.Height()
	if err := over.Replicate(across, down); err != nil {
		return err
	}
	return x.lay(over, 0, 0)
}

// text draws a text over the picture.
func text(x *rendering) error {
	t := x.group.Text
	if t.Text == "" {
		return nil
	}
	canvas := x.layout.Canvas
	m, err := drawText(t, canvas.Width, canvas.Height)
	if err != nil {
		return err
	}
	over, err := vips.NewImageFromGoImage(m)
	if err != nil {
		return err
	}
	defer over.Close()
	left, top := place(t.Gravity, canvas, asset.Size{Width: over.Width(), Height: over.Height()})
	return x.lay(over, left, top)
}

// nrgbaOf is a colour of the grammar.
func nrgbaOf(c asset.Color) color.NRGBA { return color.NRGBA{c.R, c.G, c.B, c.A} }
