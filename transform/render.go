package transform

import (
	"bytes"
	"fmt"
	"image"
	"math"

	"github.com/davidbyttow/govips/v2/vips"

	"github.com/assetmatrix/assetmatrix/asset"
)

// The way from an original to a rendition. The first group of options begins with loading, each later one with reworking what
// the one before has made; then it draws. Nothing is decoded before a step needs pixels, mostly the encoder, which pulls them
// through.
//
// Gravity, width and height refer to the picture as orient, cut, trim, rotate and flip leave it.
var (
	loading   = []step{open, orient, cut, rotate, flip, layOut, load, extract, resize, convert, turn}
	reworking = []step{reopen, cut, trim, rotate, flip, layOut, extract, resize, turn}
	drawing   = []step{crop, adjust, pixelate, blur, sharpen, round, pad, watermark, text}
	finishing = []step{flatten, ready, join, strip, encode}
	// reducing is the way to a reduction.
	reducing = []step{open, shrink, save}
)

type step func(*rendering) error

// A rendering is one request on its way through the steps.
type rendering struct {
	*request
	bytes    []byte
	overlays [][]byte      // the originals of watermarks, in the order of the groups that have one
	group    asset.Variant // whose options are at work
	last     bool          // it is the last one
	ground   asset.Color   // the background that was asked for last

	frames []*frame       // one, but of an animation
	pages  int            // of the original
	delays []int          // ms, of an animation's frames
	loops  int            // how often it is shown, 0 for ever
	notes  *vips.ImageRef // has what of the original's metadata is kept, nil when that is nothing

	decoded *image.NRGBA // the original, where Go decodes it

	source  asset.Size // the picture as stored
	exif    int
	upright dihedral   // what shows the stored picture upright
	turned  dihedral   // what is to be done to it, turns of the group included
	cut     asset.Area // what is used of the upright picture
	layout  asset.Layout

	result  asset.Size
	quality int // that the encoder was given
	encoded []byte
}

// render makes r of the original b and of the originals of its watermarks, which are only read.
func render(r *request, b []byte, overlays [][]byte) (*rendering, error) {
	x := &rendering{request: r, bytes: b, overlays: overlays}
	defer x.close()
	if r.Variant.Format == asset.Reduced {
		return x, x.run(reducing)
	}
	groups := r.Variant.Groups()
	if groups[0].Trim > 0 { // border is looked for in the whole picture
		groups = append([]asset.Variant{{}}, groups...)
	}
	for i, group := range groups {
		x.group, x.last = group, i == len(groups)-1
		if group.Background.Set {
			x.ground = group.Background
		}
		begin := reworking
		if i == 0 {
			begin = loading
		}
		if err := x.run(begin, drawing); err != nil {
			return nil, err
		}
	}
	return x, x.run(finishing)
}

func (x *rendering) run(stages ...[]step) error {
	for _, steps := range stages {
		for _, s := range steps {
			if err := s(x); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *rendering) close() {
	for _, f := range x.frames {
		f.close()
	}
	x.frames = nil
	x.dropNotes()
}

func (x *rendering) dropNotes() {
	if x.notes != nil {
		x.notes.Close()
		x.notes = nil
	}
}

// each does the same to all frames, as libvips has them.
func (x *rendering) each(do func(*vips.ImageRef) error) error {
	for _, f := range x.frames {
		p, err := f.picture()
		if err != nil {
			return err
		}
		if err := do(p); err != nil {
			return err
		}
	}
	return nil
}

// eachPixels does the same to the pixels of all frames.
func (x *rendering) eachPixels(do func(*image.NRGBA) error) error {
	for _, f := range x.frames {
		m, err := f.pixels()
		if err != nil {
			return err
		}
		if err := do(m); err != nil {
			return err
		}
	}
	return nil
}

// open reads the header with libvips, which has the last word on the size and on the number of pages.
func open(x *rendering) (err error) {
	if x.MediaType == svgType {
		if x.bytes, err = svgDocument(x.bytes); err != nil {
			return err
		}
	}
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
	if x.Whole != (asset.Size{}) {
		x.source = x.Whole
	}
	if x.source.Pixels() > x.MaxPixels {
		return tooLarge("the picture", x.source, x.MaxPixels)
	}
	x.dropNotes()
	x.notes, err = notesOf(p, &x.Variant)
	return err
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
	if decode := decoders[x.MediaType]; decode != nil {
		return x.decode(decode)
	}
	if got := vips.DetermineImageType(x.bytes); got != loaders[x.MediaType] {
		return nil, fmt.Errorf("libvips takes the %s for type %d", x.MediaType, got)
	}
	return vips.LoadImageFromBuffer(x.bytes, params)
}

// decode is for what libvips does not load. The pixels are kept, as the original is loaded more than once.
func (x *rendering) decode(how func(*scanner, []byte) (*image.NRGBA, error)) (p *vips.ImageRef, err error) {
	if x.decoded == nil {
		if x.decoded, err = how(&scanner{r: bytes.NewReader(x.bytes), size: int64(len(x.bytes))}, x.bytes); err != nil {
			return nil, err
		}
	}
	f := frame{pix: x.decoded, bands: 3} // alpha stays where there is some
	return f.picture()
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

// moves reports whether the rendition is an animation: that the original is one, and the format can be. Others show the
// first frame.
func (x *rendering) moves() bool {
	v := &x.Variant
	return x.pages > 1 && (x.MediaType == gifType || x.MediaType == webpType) && !v.Still && v.Page == 0 && encoders[v.Format].moves
}

// orient begins with what EXIF says.
func orient(x *rendering) error {
	if !x.oriented() {
		x.upright = fromEXIF(x.exif)
	}
	return nil
}

// oriented reports whether the loader has turned the picture: libheif and libjxl do as their files say, where EXIF has no say.
func (x *rendering) oriented() bool {
	switch x.MediaType {
	case heicType, heifType, avifType, jxlType:
		return true
	}
	return false
}

// reopen begins anew with what the group before has made, which is upright and in memory.
func reopen(x *rendering) error {
	for _, f := range x.frames {
		if err := f.settle(); err != nil {
			return err
		}
	}
	x.source, x.upright = x.frames[0].size(), dihedral{}
	return nil
}

// cut finds what of the picture is used; the turns of the group come behind it.
func cut(x *rendering) error {
	whole := x.upright.size(x.source)
	x.cut, x.turned = x.group.Cut(whole), x.upright
	if x.cut.Size().Pixels() == 0 {
		return &asset.Fault{
			Kind: asset.ErrInvalid, Part: "rect",
			Detail:  fmt.Sprintf("the rectangle lies outside the picture of %d × %d pixels", whole.Width, whole.Height),
			Allowed: "a rectangle that has some of the picture",
		}
	}
	return nil
}

// rotate turns clockwise; it comes before the resize, so that width and height refer to the turned picture.
func rotate(x *rendering) error {
	x.turned = x.turned.then(dihedral{quarters: x.group.Rotate / 90})
	return nil
}

func flip(x *rendering) error {
	if x.group.Flip&asset.FlipH != 0 {
		x.turned = x.turned.then(dihedral{mirrored: true})
	}
	if x.group.Flip&asset.FlipV != 0 {
		x.turned = x.turned.then(dihedral{mirrored: true, quarters: 2})
	}
	return nil
}

// layOut computes the geometry and refuses what no encoder can hold.
func layOut(x *rendering) error {
	x.layout = x.group.LayoutOf(x.cut.Size())
	x.result = x.layout.Canvas
	e := encoders[x.Variant.Format]
	if s := x.result; x.last && (s.Width > e.maxSide || s.Height > e.maxSide) {
		return &asset.Fault{
			Kind: asset.ErrInvalid, Part: "format",
			Detail:  fmt.Sprintf("the rendition would be %d × %d pixels, too large for %s", s.Width, s.Height, x.Variant.Format),
			Allowed: fmt.Sprintf("sides of at most %d pixels", e.maxSide),
		}
	}
	if x.result.Pixels() > x.MaxPixels {
		return tooLarge("the rendition", x.result, x.MaxPixels)
	}
	if s := x.layout.Resize; s.Width > maxCoordinate || s.Height > maxCoordinate {
		return &asset.Fault{
			Kind: asset.ErrInvalid, Part: "width",
			Detail:  fmt.Sprintf("the picture of %d × %d pixels is too narrow to be enlarged so far", x.cut.Width, x.cut.Height),
			Allowed: fmt.Sprintf("an enlargement to sides of at most %d pixels", maxCoordinate),
		}
	}
	return nil
}

// maxCoordinate is VIPS_MAX_COORD.
const maxCoordinate = 10_000_000

// load opens the original again, shrunk by its decoder to what is still at least the size to resize to.
func load(x *rendering) error {
	target, from := x.turned.size(x.layout.Resize), x.stored().Size() // a turn is its own way back, as far as sizes go
	scale := max(float64(target.Width)/float64(from.Width), float64(target.Height)/float64(from.Height))
	params := x.params(x.Variant.Page)
	switch x.MediaType {
	case jpegType:
		params.JpegShrinkFactor.Set(jpegShrink(1 / scale))
	case webpType:
		if n := webpShrink(1/scale, from != x.source); n > 1 {
			params.WebpScaleFactor.Set(webpScale(x.source.Width, n))
		}
	case pdfType:
		params.Density.Set(int(math.Ceil(72 * scale)))
	case heicType, heifType, avifType:
		if p, err := x.smallHEIF(params, target); p != nil || err != nil {
			if err != nil {
				return err
			}
			return x.split(p)
		}
	case svgType:
		p, err := x.drawSVG(target, from)
		if err != nil {
			return err
		}
		return x.split(p)
	}
	if x.moves() {
		params.NumPages.Set(-1)
	}
	p, err := x.loadWith(params)
	if err != nil {
		return err
	}
	return x.split(p)
}

// smallHEIF opens the small picture that a HEIF file has beside the large one (ISO/IEC 23008-12 §6.4.4), as cameras make it, where
// that is the same picture and large enough; nil where it is not. A probe looks at the large one: it must be whole.
func (x *rendering) smallHEIF(params *vips.ImportParams, target asset.Size) (*vips.ImageRef, error) {
	if x.Probe || x.group.Rect != (asset.Rect{}) {
		return nil, nil
	}
	small := *params
	small.HeifThumbnail.Set(true)
	p, err := x.loadWith(&small)
	if err != nil {
		return nil, err
	}
	w, h := p.Width(), p.Height()
	skew := math.Abs(float64(w)*float64(x.source.Height) - float64(h)*float64(x.source.Width))
	if w < target.Width || h < target.Height || skew > float64(max(x.source.Width, x.source.Height)) { // by more than rounding does
		p.Close()
		return nil, nil
	}
	return p, nil
}

// stored is what is used of the stored picture.
func (x *rendering) stored() asset.Area {
	return x.upright.inverse().area(x.cut, x.upright.size(x.source))
}

// split makes the frames of a loaded picture, which it takes over. Those of an animation are pixels of their own in Go's memory:
// thousands of pictures that libvips takes out of one would cost the square of their number.
func (x *rendering) split(roll *vips.ImageRef) (err error) {
	if !x.moves() {
		x.frames = []*frame{{ref: roll}}
		if roll.Pages() > 1 { // one page was loaded; later steps must not take it for a roll of pages
			return roll.SetPages(1)
		}
		return nil
	}
	defer roll.Close()
	if x.delays, err = roll.PageDelay(); err != nil {
		return err
	}
	x.loops = roll.Loop()
	size := asset.Size{Width: roll.Width(), Height: roll.PageHeight()}
	if err := toSRGB(roll); err != nil {
		return err
	}
	all, err := pixels(roll)
	if err != nil {
		return err
	}
	for rest := all.Pix; len(rest) >= size.Height*all.Stride; rest = rest[size.Height*all.Stride:] {
		m := &image.NRGBA{Pix: rest[:size.Height*all.Stride], Stride: all.Stride, Rect: image.Rect(0, 0, size.Width, size.Height)}
		x.frames = append(x.frames, &frame{pix: m, bands: roll.Bands()})
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

// webpShrink returns by how much the decoder shrinks a WebP: by half as often as leaves what is asked for, and of a cut twice that, as
// parts cannot be taken of shrunk pixels.
func webpShrink(shrink float64, cut bool) int {
	if cut {
		shrink /= 2
	}
	return largest(shrink, 8, 4, 2)
}

// webpScale is what the decoder is told to shrink a width in px by n.
func webpScale(width, n int) float64 { return float64((width+n-1)/n) / float64(width) }

// extract takes what is used out of the picture, which its decoder may have shrunk.
func extract(x *rendering) error {
	used := x.stored()
	if used == x.source.Area() {
		return nil
	}
	return x.each(func(p *vips.ImageRef) error {
		h, v := float64(p.Width())/float64(x.source.Width), float64(p.Height())/float64(x.source.Height)
		left, top := min(int(math.Round(float64(used.Left)*h)), p.Width()-1), min(int(math.Round(float64(used.Top)*v)), p.Height()-1)
		width, height := int(math.Round(float64(used.Width)*h)), int(math.Round(float64(used.Height)*v))
		return p.ExtractArea(left, top, min(max(width, 1), p.Width()-left), min(max(height, 1), p.Height()-top))
	})
}

// resize resamples to exactly the layout's size, with alpha premultiplied (vips_resize, Lanczos 3).
func resize(x *rendering) error {
	target := x.turned.size(x.layout.Resize)
	return x.each(func(p *vips.ImageRef) error {
		if p.Coding() != vips.CodingNone { // LabQ and Radiance are packed
			if err := p.ToColorSpace(vips.InterpretationSRGB); err != nil {
				return err
			}
		}
		h := float64(target.Width) / float64(p.Width())
		v := float64(target.Height) / float64(p.Height())
		if h == 1 && v == 1 {
			return nil
		}
		return p.ResizeWithVScale(h, v, vips.KernelLanczos3)
	})
}

// turn does orientation, rotation and flip in one, on the small picture. libvips reads the result out of order, so it
// is made in memory first: that is what vips_thumbnail does for a picture with an EXIF orientation, and its only part
// in this.
func turn(x *rendering) error {
	code, s := x.turned.exif(), x.layout.Resize
	if code == 1 {
		return nil
	}
	return x.each(func(p *vips.ImageRef) error {
		if err := p.SetOrientation(code); err != nil {
			return err
		}
		return p.ThumbnailWithSize(s.Width, s.Height, vips.InterestingNone, vips.SizeForce)
	})
}

func crop(x *rendering) error {
	from, to := x.layout.Resize, x.layout.Crop
	if from == to {
		return nil
	}
	left, top, err := x.keep(from, to)
	if err != nil {
		return err
	}
	return x.each(func(p *vips.ImageRef) error { return p.ExtractArea(left, top, to.Width, to.Height) })
}

// keep returns the top left corner of what a crop keeps. An animation keeps what its first frame does.
func (x *rendering) keep(from, to asset.Size) (left, top int, err error) {
	g := x.group.Gravity
	interesting, looks := interests[g.Anchor]
	if !looks {
		left, top = place(g, from, to)
		return left, top, nil
	}
	for _, f := range x.frames { // pixels are looked at twice
		if err := f.settle(); err != nil {
			return 0, 0, err
		}
	}
	if g.Anchor == asset.AnchorFace {
		if at, ok, err := x.faces(to); ok || err != nil {
			left, top = place(at, from, to)
			return left, top, err
		}
	}
	first, err := x.frames[0].picture()
	if err != nil {
		return 0, 0, err
	}
	p, err := first.Copy()
	if err != nil {
		return 0, 0, err
	}
	defer p.Close()
	if err := p.SmartCrop(to.Width, to.Height, interesting); err != nil {
		return 0, 0, err
	}
	return -p.OffsetX(), -p.OffsetY(), nil // where vips_extract_area came from
}

// interests has what vips_smartcrop looks for at each anchor that is found in the pixels. Without a face it is what draws
// attention, as with an asset that has no focal point.
var interests = map[asset.Anchor]vips.Interesting{
	asset.AnchorAuto:      vips.InterestingAttention,
	asset.AnchorAttention: vips.InterestingAttention,
	asset.AnchorEntropy:   vips.InterestingEntropy,
	asset.AnchorFace:      vips.InterestingAttention,
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
// kept point as the picture allows. What looks at the content keeps the centre where nothing is cut.
func place(g asset.Gravity, from, to asset.Size) (left, top int) {
	at, ok := compass[g.Anchor]
	if !ok {
		at = compass[asset.AnchorCenter]
	}
	if g.Anchor == asset.AnchorPoint {
		at = [2]int{g.X, g.Y}
	}
	axis := func(thousandths, from, to int) int {
		centre := float64(from) * float64(thousandths) / 1000
		return min(max(int(math.Round(centre-float64(to)/2)), 0), from-to)
	}
	return axis(at[0], from.Width, to.Width), axis(at[1], from.Height, to.Height)
}

// pad lays the picture on the canvas: on what its fit leaves free, at the gravity's place, and on the padding.
func pad(x *rendering) error {
	from, frame, to := x.layout.Crop, x.layout.Frame, x.layout.Canvas
	if from == to {
		return nil
	}
	c := background(x.group.Background)
	if !x.Variant.Format.HasAlpha() {
		c = onWhite(c)
	}
	left, top := place(x.group.Gravity, frame, from)
	edge := x.group.Canonical(nil).Padding // in px of the rendition
	return x.each(func(p *vips.ImageRef) error {
		if c.A < 255 {
			if err := p.AddAlpha(); err != nil {
				return err
			}
		}
		if err := colored(p); err != nil {
			return err
		}
		return p.EmbedBackgroundRGBA(edge.Left+left, edge.Top+top, to.Width, to.Height, &c)
	})
}

// colored makes a grey picture one with three bands.
func colored(p *vips.ImageRef) error {
	if p.Bands() >= 3 {
		return nil
	}
	return p.ToColorSpace(vips.InterpretationSRGB)
}

// background is white unless told.
func background(c asset.Color) vips.ColorRGBA {
	if !c.Set {
		return vips.ColorRGBA{R: 255, G: 255, B: 255, A: 255}
	}
	return vips.ColorRGBA{R: c.R, G: c.G, B: c.B, A: c.A}
}

// onWhite is what a colour with alpha looks like on white.
func onWhite(c vips.ColorRGBA) vips.ColorRGBA {
	over := func(v uint8) uint8 { return uint8((int(v)*int(c.A) + 255*(255-int(c.A)) + 127) / 255) }
	return vips.ColorRGBA{R: over(c.R), G: over(c.G), B: over(c.B), A: 255}
}

// flatten lays a picture with alpha on the background when the format has none.
func flatten(x *rendering) error {
	if x.Variant.Format.HasAlpha() {
		return nil
	}
	c := onWhite(background(x.ground))
	return x.each(func(p *vips.ImageRef) error {
		if !p.HasAlpha() {
			return nil
		}
		return p.Flatten(&vips.Color{R: c.R, G: c.G, B: c.B})
	})
}

// join makes an animation of the frames: one picture below the other, with their height and delays.
func join(x *rendering) error {
	if len(x.frames) == 1 {
		return nil
	}
	roll := &frame{pix: image.NewNRGBA(image.Rect(0, 0, x.result.Width, x.result.Height*len(x.frames)))}
	for at, f := range x.frames {
		m, err := f.pixels()
		if err != nil {
			return err
		}
		copy(roll.pix.Pix[at*len(m.Pix):], m.Pix)
		roll.bands, f.pix = max(roll.bands, f.bands), nil
	}
	x.frames[0] = roll
	p, err := roll.picture()
	if err != nil {
		return err
	}
	if err := p.SetPageHeight(x.result.Height); err != nil {
		return err
	}
	if err := p.SetPages(len(x.frames)); err != nil {
		return err
	}
	if err := p.SetPageDelay(x.delays); err != nil {
		return err
	}
	return p.SetLoop(x.loops)
}
