package transform

import "github.com/assetmatrix/assetmatrix/asset"

// A dihedral is one of the eight ways to lay a rectangle onto itself: mirror left and right first, then turn clockwise
// by quarters. The zero dihedral does nothing. EXIF's orientations are these eight.
type dihedral struct {
	mirrored bool
	quarters int // any integer, modulo 4
}

// orientations has the dihedral of each EXIF orientation, the one that shows the picture upright (TIFF/EP, tag 274).
var orientations = [9]dihedral{
	1: {}, 2: {true, 0}, 3: {false, 2}, 4: {true, 2},
	5: {true, 3}, 6: {false, 1}, 7: {true, 1}, 8: {false, 3},
}

// fromEXIF returns the dihedral of an orientation; what is none does nothing.
func fromEXIF(orientation int) dihedral {
	if orientation < 1 || orientation > 8 {
		return dihedral{}
	}
	return orientations[orientation]
}

// exif returns the EXIF orientation that means d.
func (d dihedral) exif() int {
	d.quarters &= 3
	for i, o := range orientations {
		if i > 0 && o == d {
			return i
		}
	}
	return 1
}

// then returns d followed by e. A mirror changes the sense of the turn before it.
func (d dihedral) then(e dihedral) dihedral {
	if e.mirrored {
		d.quarters = -d.quarters
	}
	return dihedral{d.mirrored != e.mirrored, (d.quarters + e.quarters) & 3}
}

// size returns what becomes of a size.
func (d dihedral) size(s asset.Size) asset.Size {
	if d.quarters&1 == 0 {
		return s
	}
	return asset.Size{Width: s.Height, Height: s.Width}
}

// inverse returns what undoes d. A mirrored one undoes itself.
func (d dihedral) inverse() dihedral {
	if d.mirrored {
		return d
	}
	return dihedral{quarters: -d.quarters & 3}
}

// area returns what becomes of an area in a picture of size s.
func (d dihedral) area(a asset.Area, s asset.Size) asset.Area {
	if d.mirrored {
		a.Left = s.Width - a.Left - a.Width
	}
	for range d.quarters & 3 {
		a = asset.Area{Left: s.Height - a.Top - a.Height, Top: a.Left, Width: a.Height, Height: a.Width}
		s = asset.Size{Width: s.Height, Height: s.Width}
	}
	return a
}
