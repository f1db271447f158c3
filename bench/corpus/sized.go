package corpus

import (
	"encoding/binary"
	"fmt"
	"image"
	"math"
)

const (
	// sizedQuality is high, so that few pixels need be drawn for many bytes.
	sizedQuality = 97
	// sizedPerPixel is what a pixel of a large landscape takes at that quality, in bytes.
	sizedPerPixel = 0.363
	// tables is how long a JPEG is before its first pixel, in bytes.
	tables = 623
	// minSized is the least that holds the tables and a picture, in bytes.
	minSized = 1024
	// maxSized keeps the drawing within the sides that a JPEG can have, and within memory.
	maxSized = 32 << 20
)

// Sized returns a JPEG of a landscape that is exactly so many bytes long, 1 KiB to 32 MiB. The landscape is as large as
// fits, and a comment fills the rest: less than a sixteenth, or a few hundred bytes.
func Sized(seed uint64, bytes int) ([]byte, error) {
	if bytes < minSized || bytes > maxSized {
		return nil, fmt.Errorf("corpus: a JPEG of %d bytes is not drawn, only of %d to %d", bytes, minSized, maxSized)
	}
	var longest []byte // that fits
	wanted := float64(bytes - tables)
	pixels, fits, tooMany := wanted/sizedPerPixel, 1.0, math.Inf(1)
	for range 8 { // one or two do, except for small ones, which grow by steps: the blocks of 8 × 8
		jpg, err := JPEG(threeByTwo(seed, pixels), sizedQuality)
		if err != nil {
			return nil, err
		}
		if spare := bytes - len(jpg); spare != 0 && spare < emptyComment {
			tooMany = pixels
		} else if fits = pixels; len(jpg) > len(longest) {
			longest = jpg
		}
		if 16*len(longest) >= 15*bytes {
			break
		}
		pixels *= 0.97 * wanted / float64(len(jpg)-tables)
		if pixels <= fits || pixels >= tooMany {
			pixels = math.Sqrt(fits * tooMany)
		}
	}
	if longest == nil {
		return nil, fmt.Errorf("corpus: no landscape of seed %d has %d bytes", seed, bytes)
	}
	return withComment(longest, bytes-len(longest)), nil
}

// threeByTwo draws a landscape of about so many pixels.
func threeByTwo(seed uint64, pixels float64) image.Image {
	height := max(1, math.Round(math.Sqrt(pixels/1.5)))
	return Landscape(seed, max(1, int(math.Round(pixels/height))), int(height))
}

const (
	emptyComment = 4
	maxComment   = 2 + 0xffff
)

// withComment puts COM segments (ITU-T T.81 §B.2.4.5) of so many bytes in all, none or at least 4, behind SOI.
func withComment(jpg []byte, bytes int) []byte {
	out := append(make([]byte, 0, len(jpg)+bytes), jpg[:2]...)
	for bytes > 0 {
		n := bytes
		if n > maxComment {
			n = min(maxComment, bytes-emptyComment) // the next one has a length too
		}
		out = binary.BigEndian.AppendUint16(append(out, 0xff, 0xfe), uint16(n-2))
		out = append(out, make([]byte, n-emptyComment)...)
		bytes -= n
	}
	return append(out, jpg[2:]...)
}
