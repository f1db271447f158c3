package ssim

import (
	"errors"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"testing"
)

// drawing is soft waves and an edge.
func drawing(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			v := uint8(110 + 60*math.Sin(float64(x)/7)*math.Cos(float64(y)/9))
			c := color.NRGBA{v, 255 - v, v / 2, 255}
			if x > 2*y {
				c = color.NRGBA{240, 230, 40, 255}
			}
			m.SetNRGBA(x, y, c)
		}
	}
	return m
}

func noisy(m *image.NRGBA, by int) *image.NRGBA {
	r := rand.New(rand.NewPCG(3, 4))
	n := image.NewNRGBA(m.Rect)
	for i, v := range m.Pix {
		n.Pix[i] = v
		if i%4 < 3 {
			n.Pix[i] = uint8(min(max(int(v)+r.IntN(2*by+1)-by, 0), 255))
		}
	}
	return n
}

func shifted(m *image.NRGBA, by int) *image.NRGBA {
	n := image.NewNRGBA(m.Rect)
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			n.SetNRGBA(x, y, m.NRGBAAt(min(x+by, m.Rect.Dx()-1), y))
		}
	}
	return n
}

func similarity(t *testing.T, a, b image.Image) float64 {
	t.Helper()
	s, err := Luma(a, b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// reference is the paper's formula as it is printed, for one window after the other, with its own luma.
func reference(a, b *image.NRGBA) float64 {
	gray := func(m *image.NRGBA, x, y int) float64 {
		c := m.NRGBAAt(x, y)
		return math.Round(0.299*float64(c.R) + 0.587*float64(c.G) + 0.114*float64(c.B))
	}
	w, h := a.Rect.Dx(), a.Rect.Dy()
	wide, high := min(8, w), min(8, h)
	total, windows := 0.0, 0.0
	for top := 0; top+high <= h; top++ {
		for left := 0; left+wide <= w; left++ {
			var xs, ys []float64
			for y := range high {
				for x := range wide {
					xs, ys = append(xs, gray(a, left+x, top+y)), append(ys, gray(b, left+x, top+y))
				}
			}
			n, mx, my := float64(len(xs)), 0.0, 0.0
			for i := range xs {
				mx, my = mx+xs[i]/n, my+ys[i]/n
			}
			sx, sy, sxy := 0.0, 0.0, 0.0
			for i := range xs {
				sx, sy, sxy = sx+(xs[i]-mx)*(xs[i]-mx)/n, sy+(ys[i]-my)*(ys[i]-my)/n, sxy+(xs[i]-mx)*(ys[i]-my)/n
			}
			luminance := (2*mx*my + 6.5025) / (mx*mx + my*my + 6.5025)
			structure := (2*sxy + 58.5225) / (sx + sy + 58.5225)
			total, windows = total+luminance*structure, windows+1
		}
	}
	return total / windows
}

func TestLuma(t *testing.T) {
	for _, size := range []image.Point{{1, 1}, {3, 40}, {40, 5}, {8, 8}, {61, 47}} {
		m := drawing(size.X, size.Y)
		if s := similarity(t, m, m); math.Abs(s-1) > 1e-12 {
			t.Errorf("%v with itself: %v", size, s)
		}
		for name, other := range map[string]*image.NRGBA{"noise": noisy(m, 20), "shift": shifted(m, 2), "white": blank(size, 255)} {
			if got, want := similarity(t, m, other), reference(m, other); math.Abs(got-want) > 1e-9 {
				t.Errorf("%v with %s: %v, by the formula %v", size, name, got, want)
			}
		}
	}
}

func blank(size image.Point, v uint8) *image.NRGBA {
	m := image.NewNRGBA(image.Rectangle{Max: size})
	for i := range m.Pix {
		m.Pix[i] = v
		if i%4 == 3 {
			m.Pix[i] = 255
		}
	}
	return m
}

// TestLess: more noise and a longer shift look less alike.
func TestLess(t *testing.T) {
	m := drawing(120, 90)
	for name, change := range map[string]func(*image.NRGBA, int) *image.NRGBA{"noise": noisy, "shift": shifted} {
		last := 1.0
		for _, by := range []int{1, 3, 8} {
			s := similarity(t, m, change(m, by))
			if s >= last {
				t.Errorf("%s of %d: %v after %v", name, by, s, last)
			}
			last = s
		}
	}
	if s := similarity(t, blank(image.Pt(20, 20), 0), blank(image.Pt(20, 20), 255)); s > 0.001 {
		t.Errorf("black and white: %v", s)
	}
}

// TestSeen: a clear pixel is white, whatever its colour; its alpha is told apart by Alpha alone.
func TestSeen(t *testing.T) {
	clear, white := image.NewNRGBA(image.Rect(0, 0, 30, 20)), blank(image.Pt(30, 20), 255)
	for i := range clear.Pix {
		if i%4 < 3 {
			clear.Pix[i] = uint8(7 * i)
		}
	}
	if s := similarity(t, clear, white); math.Abs(s-1) > 1e-12 {
		t.Errorf("clear is no white: %v", s)
	}
	half := blank(image.Pt(30, 20), 0)
	for i := 3; i < len(half.Pix); i += 4 {
		half.Pix[i] = 51 // black, a fifth of it
	}
	if got := luma(half)[0]; got != 204 {
		t.Errorf("a fifth of black on white is %d", got)
	}
	if s, err := Alpha(clear, white); err != nil || s > 0.001 {
		t.Errorf("alpha of clear and opaque: %v %v", s, err)
	}
	if s, err := Alpha(half, half); err != nil || math.Abs(s-1) > 1e-12 {
		t.Errorf("alpha with itself: %v %v", s, err)
	}
}

// TestKinds: what kind of picture it is, and where its corner lies, makes no difference.
func TestKinds(t *testing.T) {
	m := drawing(50, 40)
	part := m.SubImage(image.Rect(10, 5, 40, 35))
	whole := image.NewNRGBA64(image.Rect(0, 0, 30, 30))
	for y := range 30 {
		for x := range 30 {
			whole.Set(x, y, m.At(10+x, 5+y))
		}
	}
	if s := similarity(t, part, whole); math.Abs(s-1) > 1e-12 {
		t.Errorf("a part and its copy: %v", s)
	}
}

func TestSizes(t *testing.T) {
	for _, other := range []image.Image{drawing(10, 9), drawing(9, 10), image.NewGray(image.Rectangle{})} {
		_, err := Luma(drawing(10, 10), other)
		_, alphaErr := Alpha(drawing(10, 10), other)
		if !errors.Is(err, ErrUnlike) || !errors.Is(alphaErr, ErrUnlike) {
			t.Errorf("%v: %v, %v", other.Bounds(), err, alphaErr)
		}
	}
	if _, err := Luma(image.NewGray(image.Rectangle{}), image.NewGray(image.Rectangle{})); !errors.Is(err, ErrUnlike) {
		t.Error(err)
	}
}

func BenchmarkLuma(b *testing.B) {
	m := drawing(1250, 800)
	n := noisy(m, 5)
	for b.Loop() {
		_, _ = Luma(m, n)
	}
}
