package asset

import (
	"math"
	"slices"
)

// An Area is a rectangle of a picture, in px from its left and top.
type Area struct{ Left, Top, Width, Height int }

// Size returns the area's width and height.
func (a Area) Size() Size { return Size{a.Width, a.Height} }

// Area returns the whole of s.
func (s Size) Area() Area { return Area{Width: s.Width, Height: s.Height} }

// A Size is a width and a height in px.
type Size struct{ Width, Height int }

// Pixels returns the area in px.
func (s Size) Pixels() int64 { return int64(s.Width) * int64(s.Height) }

// A Layout is the geometry of one group of options on a picture of known size: scale Source to Resize, cut Crop out of it,
// lay that on a background of Frame, which padding widens to Canvas. Equal neighbours mean that the step does nothing.
type Layout struct {
	// Source is what is used of the picture ([Variant.Cut]), after EXIF orientation and Rotate, before scaling.
	Source, Resize, Crop, Frame, Canvas Size
}

// Layout returns the geometry of v's first group on a picture of size src (in px, after EXIF orientation). It is pure, so
// that the front door can state a rendition's size before it exists, and the renderer makes exactly that; but what Trim
// takes away is known to the renderer alone ([Variant.LayoutOf]).
//
// With one of Width and Height the other follows from Aspect, and without that from the picture's; with neither nothing is
// scaled, and Aspect cuts.
func (v Variant) Layout(src Size) Layout { return v.LayoutOf(v.Cut(src).Size()) }

// LayoutOf is Layout on what Rect and Trim have left of the picture.
func (v Variant) LayoutOf(cut Size) Layout {
	l := v.frame().layout(cut.rotated(v.Rotate))
	p := v.padding()
	l.Canvas = Size{p.Left + l.Frame.Width + p.Right, p.Top + l.Frame.Height + p.Bottom}
	return l
}

// Cut returns the part of a picture of size src that Rect takes, all of it without one. What of it lies outside is left out;
// when all of it does, the area is empty.
func (v Variant) Cut(src Size) Area {
	if v.Rect == (Rect{}) {
		return src.Area()
	}
	left, top := v.Rect.X.of(src.Width), v.Rect.Y.of(src.Height)
	a := Area{left, top, max(1, v.Rect.W.of(src.Width)), max(1, v.Rect.H.of(src.Height))}
	a.Width, a.Height = min(a.Width, src.Width-left), min(a.Height, src.Height-top)
	if a.Width <= 0 || a.Height <= 0 {
		return Area{}
	}
	return a
}

// of returns a length in px on a side of n px.
func (l Length) of(n int) int {
	if l.Percent {
		return int(math.Round(l.Value.Float() * float64(n) / 100))
	}
	return int(l.Value / 1000)
}

// Result returns the size of what all groups of v make of a picture of size src, unless Trim takes something away.
func (v Variant) Result(src Size) Size {
	if v.Then == "" {
		return v.Layout(src).Canvas
	}
	for _, group := range v.Groups() {
		src = group.Layout(src).Canvas
	}
	return src
}

// Trims reports whether some group trims, so that the size of the result is not known before it is made.
func (v Variant) Trims() bool {
	return slices.ContainsFunc(v.Groups(), func(group Variant) bool { return group.Trim > 0 })
}

// Clears reports whether the group can make something transparent of an opaque picture: around it, or at its corners.
func (v Variant) Clears() bool {
	around := v.Fit == Pad || v.Padding != Box{}
	return v.Radius != 0 || around && v.Background.Set && v.Background.A < 255
}

// padding returns Padding with DPR applied.
func (v *Variant) padding() Box {
	p := v.Padding
	return Box{times(p.Top, v.DPR), times(p.Right, v.DPR), times(p.Bottom, v.DPR), times(p.Left, v.DPR)}
}

// frame returns what decides the layout but for the rotation and the padding.
func (v *Variant) frame() frame {
	f := frame{fit: v.Fit, ratio: v.Aspect}
	f.w, f.h = v.box()
	switch {
	case f.ratio == Ratio{}:
	case f.w > 0 && f.h == 0:
		f.h = round(float64(f.w) * float64(f.ratio.H) / float64(f.ratio.W))
	case f.h > 0 && f.w == 0:
		f.w = round(float64(f.h) * float64(f.ratio.W) / float64(f.ratio.H))
	}
	return f
}

// rotated returns the size behind a rotation by a multiple of 90 degrees.
func (s Size) rotated(degrees int) Size {
	if degrees%180 != 0 {
		return Size{s.Height, s.Width}
	}
	return s
}

// A frame is a width and a height in px, 0 where unset, and what is done with them; without both, ratio is cut to, if there is
// one.
type frame struct {
	w, h  int
	fit   Fit
	ratio Ratio
}

func (f frame) layout(src Size) Layout {
	w, h := f.w, f.h
	l := Layout{Source: src, Resize: src}
	switch sx, sy := ratio(w, src.Width), ratio(h, src.Height); {
	case w == 0 && h == 0:
		l.Crop = f.ratio.largest(src)
		l.Frame = l.Crop
	case w == 0 || h == 0:
		scale := max(sx, sy)
		l.Resize = src.scale(f.limit(scale)).pin(w, h, f.limit(scale) == scale)
		l.Crop, l.Frame = l.Resize, l.Resize
	case f.fit == Squeeze:
		l.Resize = Size{w, h}
		l.Crop, l.Frame = l.Resize, l.Resize
	case f.fit == Cover || f.fit == Crop:
		scale := max(sx, sy)
		l.Resize = src.scale(f.limit(scale))
		if f.limit(scale) == scale { // rounding must not leave the box unfilled
			l.Resize = Size{max(l.Resize.Width, w), max(l.Resize.Height, h)}
		}
		l.Crop = Size{min(w, l.Resize.Width), min(h, l.Resize.Height)}
		l.Frame = l.Crop
	default:
		l.Resize = src.scale(f.limit(min(sx, sy)))
		l.Resize = Size{min(l.Resize.Width, w), min(l.Resize.Height, h)}
		l.Crop, l.Frame = l.Resize, l.Resize
		if f.fit == Pad {
			l.Frame = Size{w, h}
		}
	}
	l.Canvas = l.Frame
	return l
}

// largest returns the largest size of this ratio inside another; that one when there is no ratio.
func (r Ratio) largest(inside Size) Size {
	switch {
	case r == Ratio{}:
		return inside
	case inside.Width*r.H > inside.Height*r.W: // too wide
		return Size{min(inside.Width, round(float64(inside.Height)*float64(r.W)/float64(r.H))), inside.Height}
	default:
		return Size{inside.Width, min(inside.Height, round(float64(inside.Width)*float64(r.H)/float64(r.W)))}
	}
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
