package asset

import "math"

// A Size is a width and a height in px.
type Size struct{ Width, Height int }

// Pixels returns the area in px.
func (s Size) Pixels() int64 { return int64(s.Width) * int64(s.Height) }

// A Layout is the geometry of a variant on an original of known size: scale the whole picture to Resize, cut Crop out
// of it, lay that on a background of Canvas. Equal neighbours mean that the step does nothing.
type Layout struct {
	// Source is the picture after EXIF orientation and Rotate, before scaling.
	Source, Resize, Crop, Canvas Size
}

// Layout returns the geometry of v on a picture of size src (in px, after EXIF orientation). It is pure, so that the
// front door can state a rendition's size before it exists, and the renderer makes exactly that.
//
// With one of Width and Height the other follows from the aspect of the picture; with neither nothing is scaled.
func (v Variant) Layout(src Size) Layout {
	w, h := v.box()
	return frame{w, h, v.Fit}.layout(src.rotated(v.Rotate))
}

// rotated returns the size behind a rotation by a multiple of 90 degrees.
func (s Size) rotated(degrees int) Size {
	if degrees%180 != 0 {
		return Size{s.Height, s.Width}
	}
	return s
}

// A frame is what decides a layout but for the rotation: a width and a height in px, 0 where unset, and what is done with
// them.
type frame struct {
	w, h int
	fit  Fit
}

func (f frame) layout(src Size) Layout {
	w, h := f.w, f.h
	l := Layout{Source: src, Resize: src}
	switch sx, sy := ratio(w, src.Width), ratio(h, src.Height); {
	case w == 0 && h == 0:
		l.Crop, l.Canvas = src, src
	case w == 0 || h == 0:
		scale := max(sx, sy)
		l.Resize = src.scale(f.limit(scale)).pin(w, h, f.limit(scale) == scale)
		l.Crop, l.Canvas = l.Resize, l.Resize
	case f.fit == Squeeze:
		l.Resize = Size{w, h}
		l.Crop, l.Canvas = l.Resize, l.Resize
	case f.fit == Cover || f.fit == Crop:
		scale := max(sx, sy)
		l.Resize = src.scale(f.limit(scale))
		if f.limit(scale) == scale { // rounding must not leave the box unfilled
			l.Resize = Size{max(l.Resize.Width, w), max(l.Resize.Height, h)}
		}
		l.Crop = Size{min(w, l.Resize.Width), min(h, l.Resize.Height)}
		l.Canvas = l.Crop
	default:
		l.Resize = src.scale(f.limit(min(sx, sy)))
		l.Resize = Size{min(l.Resize.Width, w), min(l.Resize.Height, h)}
		l.Crop, l.Canvas = l.Resize, l.Resize
		if f.fit == Pad {
			l.Canvas = Size{w, h}
		}
	}
	return l
}

// box returns Width and Height with DPR applied, 0 where unset.
func (v *Variant) box() (w, h int) {
	return times(v.Width, v.DPR), times(v.Height, v.DPR)
}

// limit caps a scale at 1 for the fits that never enlarge.
func (f frame) limit(scale float64) float64 {
	if f.fit == ScaleDown || f.fit == Crop {
		return min(scale, 1)
	}
	return scale
}

func (s Size) scale(by float64) Size {
	return Size{round(float64(s.Width) * by), round(float64(s.Height) * by)}
}

// pin sets the side that was asked for exactly, when it was reached.
func (s Size) pin(w, h int, reached bool) Size {
	if !reached {
		return s
	}
	if w > 0 {
		s.Width = w
	}
	if h > 0 {
		s.Height = h
	}
	return s
}

// times multiplies n px by a factor; what is set stays at least 1.
func times(n int, by Factor) int {
	if n == 0 || by == 0 {
		return n
	}
	return round(float64(n) * by.Float())
}

func ratio(want, have int) float64 {
	if want == 0 || have == 0 {
		return 0
	}
	return float64(want) / float64(have)
}

func round(f float64) int { return max(1, int(math.Round(f))) }
