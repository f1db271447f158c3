package asset

import "slices"

// Canonical returns the one variant that stands for all spellings of the same pixels of pic: DPR and Aspect are folded into
// what they decide, and what changes nothing on this picture is dropped. Canonical().Layout equals v.Layout. A nil pic
// drops nothing. Format should be concrete; while it is Auto, what some format would need is kept.
func (v Variant) Canonical(pic *Picture) Variant {
	if v.Then != "" {
		groups := v.Groups()
		for i := range groups {
			groups[i].fold()
		}
		v = Chain(groups)
	}
	v.fold()
	if v.Format == PNG || v.Format == GIF || v.Format == TIFF {
		v.Quality = 0 // lossless, but for GIF's colours
	}
	if pic == nil {
		return v
	}
	v.dropPage(pic)
	if v.Rect == (Rect{}) && v.Trim == 0 { // these change the picture before Layout sees it
		l := v.Layout(pic.Size())
		v.dropFit(pic, l)
		v.dropBackground(pic, l)
	}
	return v
}

// fold leaves one spelling of a group that holds on any picture.
func (v *Variant) fold() {
	v.foldDPR()
	if v.Aspect != (Ratio{}) && v.Width+v.Height > 0 {
		f := v.frame()
		v.Width, v.Height, v.Aspect = f.w, f.h, Ratio{}
	}
	if v.Watermark.Name == "" {
		v.Watermark = Watermark{}
	}
	if v.Text.Text == "" {
		v.Text = Text{}
	}
}

// foldDPR multiplies everything that DPR multiplies.
func (v *Variant) foldDPR() {
	if v.DPR == 0 {
		return
	}
	v.Width, v.Height = v.box()
	v.Padding = v.padding()
	if v.Radius != RadiusMax {
		v.Radius = times(v.Radius, v.DPR)
	}
	v.DPR = 0
}

// dropPage leaves one spelling of the page. One frame of an animation is a still, as all is that does not move, and the first
// page is the default.
func (v *Variant) dropPage(pic *Picture) {
	v.Still = pic.Animated && (v.Still || v.Page > 0) && v.Format.Moves()
	if v.Page == 1 {
		v.Page = 0
	}
}

// dropFit leaves the plainest size, fit and gravity that have the layout l, which is all that the three decide, but
// for the place of what is cut out or laid on a canvas.
func (v *Variant) dropFit(pic *Picture, l Layout) {
	switch w, h, crop := l.Resize.Width, l.Resize.Height, l.Crop; {
	case crop != l.Resize && max(crop.Width, crop.Height) > MaxSide: // of a picture that is larger than what can be asked for
	case crop != l.Resize:
		v.plainest(pic, l, frame{w: crop.Width, h: crop.Height, fit: Cover}, frame{w: crop.Width, h: crop.Height, fit: Crop})
	case l.Frame == crop:
		v.plainest(pic, l, frame{}, frame{w: w}, frame{w: w, fit: Contain}, frame{h: h}, frame{h: h, fit: Contain}, frame{w: w, h: h, fit: Squeeze})
	}
	v.dropGravity(l)
}

// plainest takes the first of the frames that has the layout l on pic, padding aside.
func (v *Variant) plainest(pic *Picture, l Layout, frames ...frame) {
	src := pic.Size().rotated(v.Rotate)
	l.Canvas = l.Frame
	for _, f := range frames {
		if f.layout(src) == l {
			v.Width, v.Height, v.Fit, v.Aspect = f.w, f.h, f.fit, Ratio{}
			return
		}
	}
}

// directions are where the compass points lie; x grows to the east, y to the south.
var directions = [...]struct{ x, y int }{
	AnchorCenter: {0, 0},
	AnchorNorth:  {0, -1}, AnchorNorthEast: {1, -1}, AnchorEast: {1, 0}, AnchorSouthEast: {1, 1},
	AnchorSouth: {0, 1}, AnchorSouthWest: {-1, 1}, AnchorWest: {-1, 0}, AnchorNorthWest: {-1, -1},
}

// dropGravity centres the gravity along an axis that leaves it no room.
func (v *Variant) dropGravity(l Layout) {
	roomX, roomY := l.Frame.Width != l.Resize.Width, l.Frame.Height != l.Resize.Height
	g := &v.Gravity
	if !roomX && !roomY {
		*g = Gravity{}
	}
	if g.Anchor == AnchorPoint {
		if !roomX {
			g.X = 500
		}
		if !roomY {
			g.Y = 500
		}
	}
	if int(g.Anchor) >= len(directions) {
		return
	}
	d := directions[g.Anchor]
	if !roomX {
		d.x = 0
	}
	if !roomY {
		d.y = 0
	}
	g.Anchor = Anchor(slices.Index(directions[:], d))
}

// dropBackground drops a colour that no pixel can get.
func (v *Variant) dropBackground(pic *Picture, l Layout) {
	seeThrough := !v.Format.HasAlpha() || v.Format == Auto
	if seeThrough && (pic.Alpha || pic.Pages > 1 || v.Radius != 0 || v.Then != "") { // Alpha is known of the first page alone
		return
	}
	if l.Canvas == l.Crop {
		v.Background = Color{}
	}
}
