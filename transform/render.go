package transform

import (
	"fmt"
	"math"

	"github.com/davidbyttow/govips/v2/vips"

	"github.com/assetmatrix/assetmatrix/asset"
)

// steps is the way from an original to a rendition. Nothing is decoded before encode pulls the pixels through, except
// where a picture is turned.
//
// Gravity, width and height refer to the picture as orient, rotate and flip leave it.
var steps = []step{open, orient, rotate, flip, layOut, load, resize, convert, turn, crop, pad, flatten, strip, encode}

type step func(*rendering) error

// A rendering is one request on its way through the steps.
type rendering struct {
	*request
	bytes   []byte
	picture *vips.ImageRef
	source  asset.Size // as stored
	exif    int
	turned  dihedral // what is to be done to the stored picture
	layout  asset.Layout
	pages   int
	encoded []byte
}

// render makes r of the original b, which is only read.
func render(r *request, b []byte) (asset.Size, []byte, error) {
	x := &rendering{request: r, bytes: b}
	defer x.close()
	if err := x.run(steps); err != nil {
		return asset.Size{}, nil, err
	}
	return x.layout.Canvas, x.encoded, nil
}

func (x *rendering) run(steps []step) error {
	for _, s := range steps {
		if err := s(x); err != nil {
			return err
		}
	}
	return nil
}

func (x *rendering) close() {
	if x.picture != nil {
		x.picture.Close()
	}
}

// open reads the header with libvips, which has the last word on the size and on the number of pages.
func open(x *rendering) error {
	if err := x.openPage(0); err != nil {
		return err
	}
	if x.Variant.Page > x.pages {
		return &asset.Fault{
			Kind: asset.ErrInvalid, Part: "page",
			Detail:  fmt.Sprintf("page %d does not exist", x.Variant.Page),
			Allowed: fmt.Sprintf("1 to %d", x.pages),
		}
	}
	if x.Variant.Page > 1 { // pages of a document differ in size
		return x.openPage(x.Variant.Page)
	}
	return nil
}

func (x *rendering) openPage(page int) error {
	p, err := x.loadWith(x.params(page))
	if err != nil {
		return err
	}
	defer p.Close()
	x.source, x.pages, x.exif = asset.Size{Width: p.Width(), Height: p.Height()}, p.Pages(), p.Orientation()
	if x.source.Pixels() > x.MaxPixels {
		return tooLarge("the picture", x.source, x.MaxPixels)
	}
	return nil
}

func tooLarge(what string, s asset.Size, limit int64) error {
	return &asset.Fault{
		Kind:    asset.ErrTooLarge,
		Detail:  fmt.Sprintf("%s has %d × %d = %d pixels", what, s.Width, s.Height, s.Pixels()),
		Allowed: fmt.Sprintf("at most %d pixels", limit),
	}
}

// loadWith opens the original with the loader of its media type. The loader that govips chooses by the magic bytes is
// the same, because both look at the same bytes at offset 0.
func (x *rendering) loadWith(params *vips.ImportParams) (*vips.ImageRef, error) {
	if got := vips.DetermineImageType(x.bytes); got != loaders[x.MediaType] {
		return nil, fmt.Errorf("libvips takes the %s for type %d", x.MediaType, got)
	}
	return vips.LoadImageFromBuffer(x.bytes, params)
}

// params are the loader's options: each loader knows only its own. A truncated picture is an error everywhere.
func (x *rendering) params(page int) *vips.ImportParams {
	p := vips.NewImportParams()
	p.Access.Set(vips.AccessSequential)
	if page > 1 {
		p.Page.Set(page - 1)
	}
	return p
}

// orient begins with what EXIF says; libheif has done so already with the pictures that it loads.
func orient(x *rendering) error {
	switch x.MediaType {
	case heicType, heifType, avifType:
	default:
		x.turned = fromEXIF(x.exif)
	}
	return nil
}

// rotate turns clockwise; it comes before the resize, so that width and height refer to the turned picture.
func rotate(x *rendering) error {
	x.turned = x.turned.then(dihedral{quarters: x.Variant.Rotate / 90})
	return nil
}

func flip(x *rendering) error {
	if x.Variant.Flip&asset.FlipH != 0 {
		x.turned = x.turned.then(dihedral{mirrored: true})
	}
	if x.Variant.Flip&asset.FlipV != 0 {
		x.turned = x.turned.then(dihedral{mirrored: true, quarters: 2})
	}
	return nil
}

// layOut computes the geometry and refuses what no encoder can hold.
func layOut(x *rendering) error {
	upright := x.turned
	if x.Variant.Rotate%180 != 0 { // Layout does this quarter itself
		upright.quarters++
	}
	x.layout = x.Variant.Layout(upright.size(x.source))
	e := encoders[x.Variant.Format]
	if s := x.layout.Canvas; s.Width > e.maxSide || s.Height > e.maxSide {
		return &asset.Fault{
			Kind: asset.ErrInvalid, Part: "format",
			Detail:  fmt.Sprintf("the rendition would be %d × %d pixels, too large for %s", s.Width, s.Height, x.Variant.Format),
			Allowed: fmt.Sprintf("sides of at most %d pixels", e.maxSide),
		}
	}
	if x.layout.Canvas.Pixels() > x.MaxPixels {
		return tooLarge("the rendition", x.layout.Canvas, x.MaxPixels)
	}
	if s := x.layout.Resize; s.Width > maxCoordinate || s.Height > maxCoordinate {
		return &asset.Fault{
			Kind: asset.ErrInvalid, Part: "width",
			Detail:  fmt.Sprintf("the picture of %d × %d pixels is too narrow to be enlarged so far", x.source.Width, x.source.Height),
			Allowed: fmt.Sprintf("an enlargement to sides of at most %d pixels", maxCoordinate),
		}
	}
	return nil
}

// maxCoordinate is VIPS_MAX_COORD.
const maxCoordinate = 10_000_000

// load opens the original again, shrunk by its decoder to what is still at least the size to resize to.
func load(x *rendering) error {
	params, target := x.params(x.Variant.Page), x.turned.size(x.layout.Resize) // a turn is its own way back, as far as sizes go
	scale := max(float64(target.Width)/float64(x.source.Width), float64(target.Height)/float64(x.source.Height))
	switch x.MediaType {
	case jpegType:
		params.JpegShrinkFactor.Set(jpegShrink(1 / scale))
	case webpType:
		if scale < 1 {
			params.WebpScaleFactor.Set(scale)
		}
	case pdfType:
		params.Density.Set(int(math.Ceil(72 * scale)))
	}
	p, err := x.loadWith(params)
	if err != nil {
		return err
	}
	x.picture = p
	if p.Pages() > 1 { // one page was loaded; later steps must not take it for a roll of pages
		return p.SetPages(1)
	}
	return nil
}

// jpegShrink returns the largest DCT scaling that leaves the resampler a factor of two, as vips_thumbnail does: the
// block shrink alone is too sharp.
func jpegShrink(shrink float64) int {
	switch {
	case shrink >= 16:
		return 8
	case shrink >= 8:
		return 4
	case shrink >= 4:
		return 2
	}
	return 1
}

// resize resamples to exactly the layout's size, with alpha premultiplied (vips_resize, Lanczos 3).
func resize(x *rendering) error {
	target := x.turned.size(x.layout.Resize)
	if x.picture.Coding() != vips.CodingNone { // LabQ and Radiance are packed
		if err := x.picture.ToColorSpace(vips.InterpretationSRGB); err != nil {
			return err
		}
	}
	h := float64(target.Width) / float64(x.picture.Width())
	v := float64(target.Height) / float64(x.picture.Height())
	if h == 1 && v == 1 {
		return nil
	}
	return x.picture.ResizeWithVScale(h, v, vips.KernelLanczos3)
}

// turn does orientation, rotation and flip in one, on the small picture. libvips reads the result out of order, so it
// is made in memory first: that is what vips_thumbnail does for a picture with an EXIF orientation, and its only part
// in this.
func turn(x *rendering) error {
	code := x.turned.exif()
	if code == 1 {
		return nil
	}
	if err := x.picture.SetOrientation(code); err != nil {
		return err
	}
	s := x.layout.Resize
	return x.picture.ThumbnailWithSize(s.Width, s.Height, vips.InterestingNone, vips.SizeForce)
}

func crop(x *rendering) error {
	from, to := x.layout.Resize, x.layout.Crop
	if from == to {
		return nil
	}
	left, top := place(x.Variant.Gravity, from, to)
	return x.picture.ExtractArea(left, top, to.Width, to.Height)
}

// compass has the point of the picture that each anchor keeps, in thousandths.
var compass = map[asset.Anchor][2]int{
	asset.AnchorCenter:    {500, 500},
	asset.AnchorNorth:     {500, 0},
	asset.AnchorNorthEast: {1000, 0},
	asset.AnchorEast:      {1000, 500},
	asset.AnchorSouthEast: {1000, 1000},
	asset.AnchorSouth:     {500, 1000},
	asset.AnchorSouthWest: {0, 1000},
	asset.AnchorWest:      {0, 500},
	asset.AnchorNorthWest: {0, 0},
}

// place returns the top left corner of a window of size to in a picture of size from: its centre is as near to the
// kept point as the picture allows.
func place(g asset.Gravity, from, to asset.Size) (left, top int) {
	at := compass[g.Anchor]
	if g.Anchor == asset.AnchorPoint {
		at = [2]int{g.X, g.Y}
	}
	axis := func(thousandths, from, to int) int {
		centre := float64(from) * float64(thousandths) / 1000
		return min(max(int(math.Round(centre-float64(to)/2)), 0), from-to)
	}
	return axis(at[0], from.Width, to.Width), axis(at[1], from.Height, to.Height)
}

// pad lays the picture on the canvas, at the gravity's place.
func pad(x *rendering) error {
	from, to := x.layout.Crop, x.layout.Canvas
	if from == to {
		return nil
	}
	c := background(x.Variant)
	if c.A < 255 {
		if err := x.picture.AddAlpha(); err != nil {
			return err
		}
	}
	if x.picture.Bands() < 3 {
		if err := x.picture.ToColorSpace(vips.InterpretationSRGB); err != nil {
			return err
		}
	}
	left, top := place(x.Variant.Gravity, to, from)
	return x.picture.EmbedBackgroundRGBA(left, top, to.Width, to.Height, &c)
}

// background is white unless told.
func background(v asset.Variant) vips.ColorRGBA {
	c := v.Background
	if !c.Set {
		return vips.ColorRGBA{R: 255, G: 255, B: 255, A: 255}
	}
	return vips.ColorRGBA{R: c.R, G: c.G, B: c.B, A: c.A}
}

// flatten lays a picture with alpha on the background when the format has none.
func flatten(x *rendering) error {
	if x.Variant.Format.HasAlpha() || !x.picture.HasAlpha() {
		return nil
	}
	c := background(x.Variant)
	over := func(v uint8) uint8 { return uint8((int(v)*int(c.A) + 255*(255-int(c.A)) + 127) / 255) } // on white
	return x.picture.Flatten(&vips.Color{R: over(c.R), G: over(c.G), B: over(c.B)})
}

func encode(x *rendering) (err error) {
	x.encoded, err = encoders[x.Variant.Format].encode(x.picture, quality(x.Variant), x.layout.Canvas)
	return err
}
