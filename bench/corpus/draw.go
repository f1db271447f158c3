package corpus

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"runtime"
	"sync"
	"time"
)

// epoch is the date of everything that is drawn.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Landscape draws a picture with the statistics of a photograph: smooth sky, fractal clouds, ridges that fade with
// distance, and grain, so that encoders and resamplers have the work that a camera's pictures give them.
func Landscape(seed uint64, width, height int) *image.RGBA {
	s := newScene(seed)
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	var bands sync.WaitGroup
	cores := runtime.GOMAXPROCS(0)
	for i := range cores {
		bands.Go(func() { s.draw(img, width*i/cores, width*(i+1)/cores) })
	}
	bands.Wait()
	return img
}

// draw draws the columns from x0 to before x1.
func (s scene) draw(img *image.RGBA, x0, x1 int) {
	height := img.Rect.Dy()
	for x := x0; x < x1; x++ {
		u := float64(x) / float64(height) // one unit is the picture's height, at any aspect
		ridges := s.ridgeline(u)
		for y := range height {
			c := s.at(u, float64(y)/float64(height), ridges)
			grain := (s.hash(x, y) - 0.5) * 0.035
			img.SetRGBA(x, y, c.add(grain).rgba())
		}
	}
}

const ridgeCount = 6

// A scene is what the seed decides.
type scene struct {
	seed              uint64
	zenith, horizon   rgb
	near, far         rgb
	sunX, sunY, cloud float64
}

func newScene(seed uint64) scene {
	s := scene{seed: seed}
	p := palettes[seed%uint64(len(palettes))]
	s.zenith, s.horizon, s.near, s.far = p[0], p[1], p[2], p[3]
	s.sunX = 0.25 + 0.8*s.hash(1, 1)
	s.sunY = 0.22 + 0.2*s.hash(2, 2)
	s.cloud = 0.35 + 0.3*s.hash(3, 3)
	return s
}

var palettes = [][4]rgb{
	{{0.13, 0.27, 0.55}, {0.98, 0.78, 0.55}, {0.06, 0.11, 0.10}, {0.55, 0.50, 0.58}}, // dawn
	{{0.16, 0.42, 0.75}, {0.80, 0.90, 0.97}, {0.10, 0.24, 0.09}, {0.52, 0.64, 0.74}}, // noon
	{{0.20, 0.12, 0.33}, {0.97, 0.45, 0.30}, {0.08, 0.05, 0.10}, {0.56, 0.30, 0.38}}, // dusk
	{{0.30, 0.38, 0.44}, {0.84, 0.87, 0.86}, {0.09, 0.15, 0.15}, {0.60, 0.67, 0.68}}, // mist
}

// ridgeline returns the height of each ridge at u, the farthest first, 0 the top of the picture.
func (s scene) ridgeline(u float64) (r [ridgeCount]float64) {
	for i := range r {
		depth := float64(i) / (ridgeCount - 1)
		rough := s.fbm(u*(1.3+1.6*depth)+float64(i)*17.3, float64(i)*5.1, 7)
		r[i] = 0.44 + 0.46*depth + (0.36-0.18*depth)*(0.5-rough)
	}
	return r
}

// at returns the colour of the point (u, v).
func (s scene) at(u, v float64, ridges [ridgeCount]float64) rgb {
	for i := ridgeCount - 1; i >= 0; i-- {
		if v < ridges[i] {
			continue
		}
		depth := float64(i) / (ridgeCount - 1)
		c := s.far.mix(s.near, depth)
		texture := s.fbm(u*22+float64(i)*7, v*30, 4) - 0.5
		mist := math.Exp(-(v-ridges[i])*9) * 0.22 * (1 - depth)
		return c.add(texture*(0.05+0.16*depth)).mix(s.horizon, mist)
	}
	return s.sky(u, v)
}

func (s scene) sky(u, v float64) rgb {
	c := s.zenith.mix(s.horizon, math.Pow(min(1, v/0.55), 1.4))
	d := math.Hypot(u-s.sunX, v-s.sunY)
	glow := math.Exp(-d*5)*0.55 + smooth((0.052-d)/0.006)
	cloud := smooth((s.fbm(u*2.2+3, v*5.5, 6) - s.cloud - 0.12) * 4)
	c = c.mix(rgb{1, 0.97, 0.92}.mix(s.horizon, 0.35), cloud*0.6)
	return c.mix(rgb{1, 0.95, 0.82}, min(1, glow))
}

// Badge draws a flat emblem with few colours on a transparent ground, size px wide and high.
func Badge(size int) *image.NRGBA { return logo.draw(size) }

// logo is the emblem of assetmatrix.
var logo = emblem{ground: rgb{0.09, 0.16, 0.27}, cell: rgb{0.87, 0.92, 0.97}, lit: rgb{1, 0.55, 0.15}, row: 1, col: 2}

// An emblem is a disc with a 3 × 3 matrix of cells, one of them lit.
type emblem struct {
	ground, cell, lit rgb
	row, col          int // of the lit cell
}

// newEmblem has about the colours of the seed's landscape; shades of them, as there are few landscapes' palettes.
func newEmblem(seed uint64) emblem {
	s := newScene(seed)
	shade := func(c rgb, i int) rgb { return c.add(0.2 * (s.hash(i, 7) - 0.5)) }
	return emblem{
		ground: shade(s.near, 1), cell: shade(s.horizon, 2), lit: shade(s.zenith, 3),
		row: int(3 * s.hash(4, 7)), col: int(3 * s.hash(5, 7)),
	}
}

func (e emblem) draw(size int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, size, size))
	for y := range size {
		for x := range size {
			img.SetNRGBA(x, y, e.at(x, y, float64(size)))
		}
	}
	return img
}

// at smooths edges over a pixel.
func (e emblem) at(x, y int, size float64) color.NRGBA {
	u, v := (float64(x)+0.5)/size*2-1, (float64(y)+0.5)/size*2-1
	edge := size / 2
	inside := clamp((0.96-math.Hypot(u, v))*edge + 0.5)
	c := e.ground
	for row := range 3 {
		for col := range 3 {
			cell := e.cell
			if row == e.row && col == e.col {
				cell = e.lit
			}
			d := max(math.Abs(u-float64(col-1)*0.4), math.Abs(v-float64(row-1)*0.4))
			c = c.mix(cell, clamp((0.155-d)*edge+0.5))
		}
	}
	px := c.rgba()
	return color.NRGBA{px.R, px.G, px.B, uint8(math.Round(inside * 255))}
}

// Colours of a chart.
const (
	paper = iota
	rule
	firstBar
	chartBars = 12
)

// chart draws bars over ruled lines, with hard edges and five colours, as a GIF has them. Grown is how far the bars have
// grown, 0–1.
func chart(seed uint64, width, height int, grown float64) *image.Paletted {
	s := newScene(seed)
	img := image.NewPaletted(image.Rect(0, 0, width, height), s.chartColors())
	rules := image.NewUniform(img.Palette[rule])
	for i := range 8 {
		y := height * (i + 1) / 9
		draw.Draw(img, image.Rect(0, y, width, y+max(1, height/300)), rules, image.Point{}, draw.Src)
	}
	for i := range chartBars {
		tall := int(float64(height) * (0.1 + 0.8*s.hash(i, 6)) * grown)
		bar := image.Rect(width*(8*i+1)/(8*chartBars), height-tall, width*(8*i+7)/(8*chartBars), height)
		draw.Draw(img, bar, image.NewUniform(img.Palette[firstBar+i%3]), image.Point{}, draw.Src)
	}
	return img
}

func (s scene) chartColors() color.Palette {
	return color.Palette{color.White, color.Gray{200}, s.zenith.rgba(), s.horizon.rgba(), s.near.rgba()}
}

// rgb is a colour with channels 0–1.
type rgb [3]float64

func (c rgb) mix(d rgb, t float64) rgb {
	for i := range c {
		c[i] += (d[i] - c[i]) * t
	}
	return c
}

func (c rgb) add(t float64) rgb {
	for i := range c {
		c[i] += t
	}
	return c
}

func (c rgb) rgba() color.RGBA {
	return color.RGBA{level(c[0]), level(c[1]), level(c[2]), 255}
}

func level(f float64) uint8 { return uint8(math.Round(clamp(f) * 255)) }

func clamp(f float64) float64 { return max(0, min(1, f)) }

func smooth(t float64) float64 {
	t = clamp(t)
	return t * t * (3 - 2*t)
}

// hash returns a number 0–1 for a lattice point (splitmix64's finaliser).
func (s scene) hash(x, y int) float64 {
	h := s.seed*0x9e3779b97f4a7c15 ^ uint64(x)*0xbf58476d1ce4e5b9 ^ uint64(y)*0x94d049bb133111eb
	h ^= h >> 30
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 27
	h *= 0x94d049bb133111eb
	h ^= h >> 31
	return float64(h>>11) / (1 << 53)
}

// fbm is value noise summed over octaves, 0–1.
func (s scene) fbm(x, y float64, octaves int) float64 {
	sum, amplitude, total := 0.0, 1.0, 0.0
	for range octaves {
		sum += amplitude * s.noise(x, y)
		total += amplitude
		x, y, amplitude = x*2.03+11.7, y*2.03+5.3, amplitude*0.5
	}
	return sum / total
}

func (s scene) noise(x, y float64) float64 {
	fx, fy := math.Floor(x), math.Floor(y)
	ix, iy := int(fx), int(fy)
	tx, ty := smooth(x-fx), smooth(y-fy)
	top := lerp(s.hash(ix, iy), s.hash(ix+1, iy), tx)
	bottom := lerp(s.hash(ix, iy+1), s.hash(ix+1, iy+1), tx)
	return lerp(top, bottom, ty)
}

func lerp(a, b, t float64) float64 { return a + (b-a)*t }
