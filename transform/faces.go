package transform

import (
	"cmp"
	_ "embed"
	"image"
	"image/color"
	"math"
	"slices"
	"sync"

	pigo "github.com/esimov/pigo/core"
	"golang.org/x/image/draw"

	"github.com/assetmatrix/assetmatrix/asset"
)

// cascade has the decision trees that tell faces from all else; cascade/LICENSE says where they come from.
//
//go:embed cascade/facefinder
var cascade []byte

var classifier = sync.OnceValues(func() (*pigo.Pigo, error) { return pigo.NewPigo().Unpack(cascade) })

// A face is the square that the classifier takes for one: from the forehead to below the mouth, and from ear to ear, with its
// centre at x, y, in px.
type face struct{ x, y, side float64 }

// head is what is kept of a face: with its hair and its chin.
func (f face) head() image.Rectangle {
	at := func(v, by float64) int { return int(math.Round(v + by*f.side)) }
	return image.Rect(at(f.x, -0.55), at(f.y, -0.8), at(f.x, 0.55), at(f.y, 0.7))
}

// A look is how faces are looked for. It is taken at a grey copy, so that its time is bounded and what it finds hardly depends on
// the size of the rendition.
type look struct {
	longest int       // px, the copy's longer side
	least   float64   // a face's side, as a part of the copy's shorter side
	score   float32   // sum over the detections of a face: a face has 15 to 700, what looks like one seldom 10
	tilts   []float64 // of heads that are looked for too, if twice as large, in turns; each also finds those 15° beside it
}

var (
	// toKeep would rather miss a face than take a leaf for one.
	toKeep = look{longest: 640, least: 1. / 20, score: 10}
	// toHide would rather blur a leaf than miss a face.
	toHide = look{longest: 1024, score: 5, tilts: []float64{1. / 16, 15. / 16}}
)

const (
	minFace    = 20 // px of the copy: smaller ones are not told from noise
	maxEnlarge = 3  // of a small picture to its copy
)

// among is the look at one of so many frames: up to 9 take as long together as one picture does, and each of more a ninth of that.
// Smaller faces are missed for it.
func (l look) among(frames int) look {
	l.longest = max(l.longest/3, int(float64(l.longest)/math.Sqrt(float64(frames))))
	return l
}

// find returns the faces in m, the largest first.
func (l look) find(m *image.NRGBA) ([]face, error) {
	c, err := classifier()
	if err != nil {
		return nil, err
	}
	copied := l.copy(m)
	width, height := copied.Rect.Dx(), copied.Rect.Dy()
	least, most := max(minFace, int(l.least*float64(min(width, height)))), min(width, height)
	params := pigo.CascadeParams{MinSize: least, MaxSize: most, ShiftFactor: 0.1, ScaleFactor: 1.1}
	params.ImageParams = pigo.ImageParams{Pixels: copied.Pix, Rows: height, Cols: width, Dim: width}
	all := c.RunCascade(params, 0)
	for _, tilt := range l.tilts {
		params.MinSize, params.ImageParams = 2*least, squared(copied)
		all = append(all, c.RunCascade(params, tilt)...)
	}
	scale := float64(m.Rect.Dx()) / float64(width)
	var faces []face
	for _, d := range c.ClusterDetections(all, 0.2) {
		if d.Q >= l.score && d.Col < width && d.Row < height {
			faces = append(faces, face{float64(d.Col) * scale, float64(d.Row) * scale, float64(d.Scale) * scale})
		}
	}
	slices.SortFunc(faces, func(a, b face) int { return -cmp.Compare(a.side, b.side) })
	return faces, nil
}

// squared lays a picture on a black square: with a tilt, pigo 1.4.6 takes the number of rows for that of columns too.
func squared(m *image.Gray) pigo.ImageParams {
	side := max(m.Rect.Dx(), m.Rect.Dy())
	s := image.NewGray(image.Rect(0, 0, side, side))
	draw.Copy(s, image.Point{}, m, m.Rect, draw.Src, nil)
	return pigo.ImageParams{Pixels: s.Pix, Rows: side, Cols: m.Rect.Dx(), Dim: side}
}

// copy makes the grey copy of m: each pixel is the mean of those that it stands for, on white. Small pictures are enlarged, because
// the classifier does not find faces of few pixels.
func (l look) copy(m *image.NRGBA) *image.Gray {
	from := m.Rect.Size()
	scale := min(float64(l.longest)/float64(max(from.X, from.Y)), maxEnlarge)
	size := func(v int) int { return max(1, int(math.Round(float64(v)*scale))) }
	to := image.Rect(0, 0, size(from.X), size(from.Y))
	if scale <= 1 {
		return shrunk(m, to)
	}
	out := image.NewGray(to)
	draw.ApproxBiLinear.Scale(out, to, shrunk(m, m.Rect), m.Rect, draw.Src, nil)
	return out
}

func shrunk(m *image.NRGBA, to image.Rectangle) *image.Gray {
	out := image.NewGray(to)
	from, size := m.Rect.Size(), to.Size()
	for y := range size.Y {
		top, bottom := y*from.Y/size.Y, (y+1)*from.Y/size.Y
		for x := range size.X {
			left, right := x*from.X/size.X, (x+1)*from.X/size.X
			sum := 0
			for row := top; row < bottom; row++ {
				for p := m.Pix[row*m.Stride+4*left : row*m.Stride+4*right]; len(p) >= 4; p = p[4:] {
					sum += (int(p[0])*77+int(p[1])*150+int(p[2])*29)*int(p[3]) + (255-int(p[3]))*(255<<8) // Rec. 601, as pigo has it
				}
			}
			out.Pix[y*out.Stride+x] = uint8(sum / ((bottom - top) * (right - left) * (255 << 8)))
		}
	}
	return out
}

// faces returns the point that a crop of size to keeps: the centre of the largest head and of all others that have room beside it;
// and whether there are any.
func (x *rendering) faces(to asset.Size) (at asset.Gravity, ok bool, err error) {
	m, err := x.frames[0].pixels()
	if err != nil {
		return at, false, err
	}
	found, err := toKeep.find(m)
	if len(found) == 0 || err != nil {
		return at, false, err
	}
	kept := found[0].head().Intersect(m.Rect)
	for _, f := range found[1:] {
		if both := kept.Union(f.head().Intersect(m.Rect)); both.Dx() <= to.Width && both.Dy() <= to.Height {
			kept = both
		}
	}
	thousandths := func(a, b, of int) int { return int(math.Round(float64(a+b) / 2 / float64(of) * 1000)) }
	return asset.Gravity{
		Anchor: asset.AnchorPoint,
		X:      thousandths(kept.Min.X, kept.Max.X, m.Rect.Dx()),
		Y:      thousandths(kept.Min.Y, kept.Max.Y, m.Rect.Dy()),
	}, true, nil
}

// blurFaces makes faces unrecognisable and leaves all else as it is. It is a best effort: found are faces that look into the camera,
// tilted by no more than about 35°, from about 1/50 of the picture's longer side; in profile, covered or lying ones are not, and
// sometimes what is no face is taken for one. In an animation, a frame is also blurred where the ones beside it have faces, so that
// one that is missed in a single frame does not flash up.
func (x *rendering) blurFaces() error {
	l := toHide.among(len(x.frames))
	found := make([][]face, len(x.frames))
	for i, f := range x.frames {
		m, err := f.pixels()
		if err != nil {
			return err
		}
		if found[i], err = l.find(m); err != nil {
			return err
		}
	}
	for i, f := range x.frames {
		m, err := f.pixels()
		if err != nil {
			return err
		}
		for _, face := range slices.Concat(found[max(i-1, 0):min(i+2, len(found))]...) {
			hide(m, face)
		}
	}
	return nil
}

// The ellipse around a face that is blurred, its radii as a part of the face's side, and what is left of it: so many means across and
// down. Of 8 × 10 the classifier still knows that there was a face. In the outermost fifth the blur goes over into the picture.
const (
	hiddenAcross, hiddenDown = 0.7, 0.9
	blocksAcross, blocksDown = 5, 7
	softEdge                 = 0.2
)

// hide replaces a face with what can be told of the means of a few blocks, and a soft edge around it. Alpha stays as it is.
func hide(m *image.NRGBA, f face) {
	rx, ry := hiddenAcross*f.side, hiddenDown*f.side
	r := image.Rect(int(f.x-rx), int(f.y-ry), int(f.x+rx)+1, int(f.y+ry)+1).Intersect(m.Rect)
	if r.Empty() {
		return
	}
	blurred := blocks(m, r)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			distance := math.Hypot((float64(x)+0.5-f.x)/rx, (float64(y)+0.5-f.y)/ry)
			share := min((1-distance)/softEdge, 1)
			c := color.NRGBAModel.Convert(blurred.RGBAAt(x, y)).(color.NRGBA)
			if share <= 0 || c.A == 0 {
				continue
			}
			p := m.Pix[m.PixOffset(x, y):]
			for i, v := range [3]uint8{c.R, c.G, c.B} {
				p[i] = level(float64(p[i])*(1-share) + float64(v)*share)
			}
		}
	}
}

// blocks draws the means of the blocks of r, and in between what lies between them.
func blocks(m *image.NRGBA, r image.Rectangle) *image.RGBA {
	few := image.NewNRGBA(image.Rect(0, 0, min(blocksAcross, r.Dx()), min(blocksDown, r.Dy())))
	for y := range few.Rect.Dy() {
		for x := range few.Rect.Dx() {
			part := func(i, length, of int) int { return i * length / of }
			few.SetNRGBA(x, y, mean(m, image.Rect(
				part(x, r.Dx(), few.Rect.Dx()), part(y, r.Dy(), few.Rect.Dy()),
				part(x+1, r.Dx(), few.Rect.Dx()), part(y+1, r.Dy(), few.Rect.Dy()),
			).Add(r.Min)))
		}
	}
	out := image.NewRGBA(r)
	draw.ApproxBiLinear.Scale(out, r, few, few.Rect, draw.Src, nil)
	return out
}
