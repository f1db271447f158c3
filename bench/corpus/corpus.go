// Package corpus draws the pictures and files that demonstrations, tests and load runs use, so that none has to be
// downloaded and none is anybody else's.
//
// Its one invariant: a seed and a size give the same pixels on every machine, and the same bytes of what Go's own
// encoders make. WebP, AVIF, and JPEG that is progressive or has a profile or an orientation are libvips' work: their
// bytes are the same where libvips and the codecs under it are.
//
//	jpg, err := corpus.JPEG(corpus.Landscape(7, 4000, 3000), 90)
//	files, err := corpus.Set(true, 7, nil)
package corpus

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"

	"github.com/go-pdf/fpdf"
)

// JPEG encodes img as a baseline JPEG of the given quality, 1–100.
func JPEG(img image.Image, quality int) ([]byte, error) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		return nil, fmt.Errorf("corpus: %w", err)
	}
	return b.Bytes(), nil
}

// PNG encodes img as a PNG.
func PNG(img image.Image) ([]byte, error) {
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, fmt.Errorf("corpus: %w", err)
	}
	return b.Bytes(), nil
}

// Brochure returns a PDF in A5 landscape with one page for each of the landscapes with seeds 1 to pages.
func Brochure(pages int) ([]byte, error) { return brochure(1, pages) }

// brochure has the landscapes from the first seed on.
func brochure(first uint64, pages int) ([]byte, error) {
	pdf := fpdf.New("L", "mm", "A5", "")
	pdf.SetCreationDate(epoch)
	pdf.SetModificationDate(epoch)
	pdf.SetCatalogSort(true)
	for page := range pages {
		if err := addPage(pdf, page+1, first+uint64(page)); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	if err := pdf.Output(&b); err != nil {
		return nil, fmt.Errorf("corpus: %w", err)
	}
	return b.Bytes(), nil
}

func addPage(pdf *fpdf.Fpdf, page int, seed uint64) error {
	jpg, err := JPEG(Landscape(seed, 1000+page, 560), 85) // fpdf orders its objects by width: none may tie
	if err != nil {
		return err
	}
	name := fmt.Sprintf("landscape-%d", seed)
	pdf.AddPage()
	pdf.RegisterImageOptionsReader(name, fpdf.ImageOptions{ImageType: "JPG"}, bytes.NewReader(jpg))
	pdf.ImageOptions(name, 10, 10, 190, 0, false, fpdf.ImageOptions{}, 0, "")
	pdf.SetFont("Helvetica", "B", 16)
	pdf.Text(10, 128, fmt.Sprintf("Landscape no. %d", seed))
	pdf.SetFont("Helvetica", "", 10)
	pdf.Text(10, 135, "Drawn by github.com/assetmatrix/assetmatrix/bench/corpus")
	return nil
}
