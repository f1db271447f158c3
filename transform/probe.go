package transform

import (
	"encoding/base64"
	"fmt"
	"image"
	"math"

	"github.com/davidbyttow/govips/v2/vips"
	"github.com/galdor/go-thumbhash"

	"github.com/assetmatrix/assetmatrix/asset"
)

// thumbSide is the largest side of what ThumbHash looks at, in px.
const thumbSide = 100

// probePicture decodes the whole original once, small, and describes it.
func probePicture(r *request, b []byte) (reply, error) {
	thumb := *r
	thumb.Variant = asset.Variant{Width: thumbSide, Height: thumbSide, Format: asset.PNG}
	x := &rendering{request: &thumb, bytes: b, group: thumb.Variant}
	defer x.close()
	if err := x.run(loading); err != nil {
		return reply{}, err
	}
	small, err := x.frames[0].pixels()
	if err != nil {
		return reply{}, err
	}
	size := x.turned.size(x.source)
	pic := &asset.Picture{
		Width: size.Width, Height: size.Height, Pages: x.pages, Orientation: x.turned.exif(),
		ThumbHash: base64.StdEncoding.EncodeToString(thumbhash.EncodeImage(small)), Dominant: dominant(small),
	}
	return reply{Picture: pic}, x.lookAtAll(pic)
}

// lookAtAll fills in what can only be said after every pixel was seen at its full size. A JPEG needs no second look:
// it has no alpha, the small picture was made of all its blocks, and its artefacts leave no flat colours.
func (x *rendering) lookAtAll(pic *asset.Picture) (err error) {
	if x.MediaType == jpegType {
		return nil
	}
	if pic.Alpha, err = x.transparent(); err != nil {
		return err
	}
	if pic.Drawn = x.MediaType == svgType; pic.Drawn {
		return nil
	}
	if pic.Drawn, err = x.drawn(); err != nil {
		return err
	}
	return x.decodeFrames()
}

// decodeFrames decodes every frame of an animation, because damage may stand behind the first.
func (x *rendering) decodeFrames() error {
	if x.pages < 2 || x.MediaType != gifType && x.MediaType != webpType {
		return nil
	}
	params := x.params(0)
	params.NumPages.Set(-1)
	p, err := x.loadWith(params)
	if err != nil {
		return err
	}
	defer p.Close()
	_, err = p.Average()
	return err
}

// transparent reports whether some pixel is not opaque. A page of a PDF is always on paper.
func (x *rendering) transparent() (bool, error) {
	p, err := x.loadWith(x.params(0))
	if err != nil {
		return false, err
	}
	defer p.Close()
	if !p.HasAlpha() || x.MediaType == pdfType {
		return false, nil
	}
	opaque := 255.0
	if p.BandFormat() == vips.BandFormatUshort {
		opaque = 65535
	}
	if err := p.ExtractBand(p.Bands()-1, 1); err != nil {
		return false, err
	}
	least, _, _, err := p.Min()
	return least < opaque, err
}

// drawn looks at pixels of the picture, not at means of them: resampling would mix new colours.
func (x *rendering) drawn() (bool, error) {
	p, err := x.loadWith(x.params(0))
	if err != nil {
		return false, err
	}
	defer p.Close()
	scale := func(n int) float64 { return math.Min(1, sampleSide/float64(n)) }
	if err := p.ResizeWithVScale(scale(p.Width()), scale(p.Height()), vips.KernelNearest); err != nil {
		return false, err
	}
	b, err := p.ToBytes()
	if err != nil {
		return false, err
	}
	return fewColors(b, len(b)/(p.Width()*p.Height())), nil
}

// sampleSide is the largest side of the sample that is searched for flat colours, in px.
const sampleSide = 256

// fewColors reports whether a sample of pixels, each of that many bytes, looks drawn. The commonest colour is taken for
// the background and left out; of what remains, sixteen colours make up at least half of a drawing (the rest are
// its smoothed edges), but of a photograph, even of one object on white, only a small part.
func fewColors(sample []byte, perPixel int) bool {
	count := map[string]int{}
	for i := 0; i+perPixel <= len(sample); i += perPixel {
		count[string(sample[i:i+perPixel])]++
	}
	var top [17]int // descending; top[0] is the background
	rest := len(sample) / perPixel
	for _, n := range count {
		for i, t := range top {
			if n > t {
				copy(top[i+1:], top[i:])
				top[i] = n
				break
			}
		}
	}
	common := 0
	for _, n := range top[1:] {
		common += n
	}
	rest -= top[0]
	return 2*common >= rest
}

// dominant returns the mean of the fullest of 512 cubes of colours, as "#rrggbb"; "" when every pixel is transparent.
func dominant(m *image.NRGBA) string {
	var n, r, g, b [512]int
	best := 0
	for i := 0; i < len(m.Pix); i += 4 {
		c := m.Pix[i : i+4]
		if c[3] < 128 {
			continue
		}
		cube := int(c[0]>>5)<<6 | int(c[1]>>5)<<3 | int(c[2]>>5)
		n[cube]++
		r[cube], g[cube], b[cube] = r[cube]+int(c[0]), g[cube]+int(c[1]), b[cube]+int(c[2])
		if n[cube] > n[best] {
			best = cube
		}
	}
	if n[best] == 0 {
		return ""
	}
	return fmt.Sprintf("#%02x%02x%02x", r[best]/n[best], g[best]/n[best], b[best]/n[best])
}
