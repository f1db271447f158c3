package bench

import (
	"fmt"
	"time"

	"github.com/davidbyttow/govips/v2/vips"
	"golang.org/x/sys/unix"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/bench/corpus"
	"github.com/assetmatrix/assetmatrix/transform"
)

// maxCoord is libvips' VIPS_MAX_COORD: a height that bounds nothing.
const maxCoord = 10_000_000

// thumbnail makes a rendition with nothing but vips_thumbnail_buffer and an encoder, as the program's own are set.
func thumbnail(original []byte, w want) ([]byte, error) {
	picture, err := vips.NewThumbnailWithSizeFromBuffer(original, w.width, maxCoord, vips.InterestingNone, vips.SizeDown)
	if err != nil {
		return nil, fmt.Errorf("libvips: %w", corpus.Plain(err))
	}
	defer picture.Close()
	return exportAs(picture, w)
}

func exportAs(picture *vips.ImageRef, w want) (body []byte, err error) {
	switch w.format {
	case asset.JPEG:
		body, _, err = picture.ExportJpeg(&vips.JpegExportParams{
			StripMetadata: true, Quality: w.quality, Interlace: true, OptimizeCoding: true, SubsampleMode: vips.VipsForeignSubsampleAuto,
		})
	case asset.WebP:
		body, _, err = picture.ExportWebp(&vips.WebpExportParams{StripMetadata: true, Quality: w.quality, ReductionEffort: 4})
	case asset.AVIF:
		body, _, err = picture.ExportAvif(&vips.AvifExportParams{StripMetadata: true, Quality: w.quality, Bitdepth: 8, Effort: transform.AVIFEffort})
	default:
		return nil, errNotOffered
	}
	if err != nil {
		return nil, fmt.Errorf("libvips: %w", corpus.Plain(err))
	}
	return body, nil
}

func vipsVersion() string { return "libvips " + vips.Version }

// selfCPU is the CPU time of this process (getrusage(2)).
func selfCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0 // it fails for wrong arguments only
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
