package corpus

import (
	"errors"
	"fmt"
	"image"
	"slices"
	"strings"
	"sync"

	"github.com/davidbyttow/govips/v2/vips"
)

// StartVips starts libvips in this process, once however often it is called: one thread for each picture, no cache of
// operations, which would answer a second measurement from memory, and nothing in the log.
func StartVips() error { return startVips() }

var startVips = sync.OnceValue(func() error {
	vips.LoggingSettings(func(string, vips.LogLevel, string) {}, vips.LogLevelCritical)
	if err := vips.Startup(&vips.Config{ConcurrencyLevel: 1}); err != nil {
		return fmt.Errorf("corpus: libvips does not start: %w", Plain(err))
	}
	return nil
})

// Plain takes off the stack that govips writes below its errors, and puts the lines of libvips into one.
func Plain(err error) error {
	why, _, _ := strings.Cut(err.Error(), "\nStack:")
	lines := strings.Split(strings.TrimSpace(why), "\n")
	return errors.New(strings.Join(slices.Compact(lines), "; "))
}

// A saver changes a picture of libvips as its format wants it, and encodes it.
type saver func(p *vips.ImageRef) ([]byte, *vips.ImageMetadata, error)

// save lets libvips encode what it gets of an opaque picture: three bands, as a camera's.
func save(img *image.RGBA, encode saver) ([]byte, error) {
	if err := StartVips(); err != nil {
		return nil, err
	}
	b, err := encodeOpaque(img, encode)
	if err != nil {
		return nil, fmt.Errorf("corpus: libvips cannot encode a picture of %v: %w", img.Rect.Size(), Plain(err))
	}
	return b, nil
}

func encodeOpaque(img *image.RGBA, encode saver) ([]byte, error) {
	// Without transparency both types have the same bytes, and govips copies only this one quickly.
	p, err := vips.NewImageFromGoImage(&image.NRGBA{Pix: img.Pix, Stride: img.Stride, Rect: img.Rect})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	if err := p.ExtractBand(0, 3); err != nil {
		return nil, err
	}
	b, _, err := encode(p)
	return b, err
}

func saveProgressive(p *vips.ImageRef) ([]byte, *vips.ImageMetadata, error) {
	params := cameraJPEG()
	params.Interlace, params.OptimizeCoding = true, true
	return p.ExportJpeg(params)
}

// saveP3 converts the picture to Display P3, so that it looks as before to whoever reads the profile.
func saveP3(p *vips.ImageRef) ([]byte, *vips.ImageMetadata, error) {
	if err := p.TransformICCProfileWithFallback("p3", "srgb"); err != nil { // profiles that libvips has built in
		return nil, nil, err
	}
	return p.ExportJpeg(cameraJPEG())
}

// saveTurned stores the picture as a camera held upright does: a quarter anticlockwise, and EXIF orientation 6 to turn
// it back.
func saveTurned(p *vips.ImageRef) ([]byte, *vips.ImageMetadata, error) {
	if err := p.Rotate(vips.Angle270); err != nil {
		return nil, nil, err
	}
	if err := p.SetOrientation(6); err != nil {
		return nil, nil, err
	}
	return p.ExportJpeg(cameraJPEG())
}

// cameraJPEG halves the chroma, as image/jpeg does; libvips would not at this quality.
func cameraJPEG() *vips.JpegExportParams {
	return &vips.JpegExportParams{Quality: photoQuality, SubsampleMode: vips.VipsForeignSubsampleOn}
}

func saveWebP(p *vips.ImageRef) ([]byte, *vips.ImageMetadata, error) {
	return p.ExportWebp(&vips.WebpExportParams{Quality: 92, ReductionEffort: 2})
}

// saveAVIF makes the least effort: it is the decoder's time that a load run measures.
func saveAVIF(p *vips.ImageRef) ([]byte, *vips.ImageMetadata, error) {
	return p.ExportAvif(&vips.AvifExportParams{Quality: 82, Bitdepth: 8, Effort: 1})
}
