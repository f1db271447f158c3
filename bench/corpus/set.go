package corpus

import (
	"bytes"
	"context"
	"fmt"
	"image/gif"
	"runtime"
	"sync"
)

// A File is a picture or a document as somebody would upload it.
type File struct {
	// Name is a path with slashes.
	Name string
	// Type is the media type.
	Type string
	// Width and Height are in px as shown, after EXIF orientation; 0 for PDF.
	Width, Height int
	Data          []byte
}

// Set draws pictures of every kind that is served: photographs of 0.3 to 50 megapixels and drawings, as JPEG
// (baseline, progressive, with a Display P3 profile, with EXIF orientation 6), PNG, WebP, AVIF and GIF (still and
// animated), and a PDF. The quick set has all of these kinds in at most 4 megapixels. Sets of two seeds share no picture.
//
// Progress, which may be nil, is told how many files are drawn, never twice at the same time. When ctx ends it draws no further
// file, and fails with ctx's error.
func Set(ctx context.Context, quick bool, seed uint64, progress func(done, total int)) ([]File, error) {
	recipes := full
	if quick {
		recipes = small
	}
	files, errs := make([]File, len(recipes)), make([]error, len(recipes))
	next, done := make(chan int), 0
	var mu sync.Mutex // guards done
	var drawing sync.WaitGroup
	for range runtime.GOMAXPROCS(0) { // an encoder uses one core
		drawing.Go(func() {
			for i := range next {
				files[i], errs[i] = recipes[i].file(257*seed + uint64(i)) // odd, so that palettes take turns
				mu.Lock()
				done++
				if progress != nil {
					progress(done, len(recipes))
				}
				mu.Unlock()
			}
		})
	}
	for i := 0; i < len(recipes) && ctx.Err() == nil; i++ {
		next <- i
	}
	close(next)
	drawing.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// A recipe says how to make a file.
type recipe struct {
	name, mediaType string
	width, height   int // px as shown
	make            func(seed uint64, width, height int) ([]byte, error)
}

func (r recipe) file(seed uint64) (File, error) {
	data, err := r.make(seed, r.width, r.height)
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", r.name, err)
	}
	return File{Name: r.name, Type: r.mediaType, Width: r.width, Height: r.height, Data: data}, nil
}

// full has the largest first, so that no core waits for one of them at the end.
var full = []recipe{
	{"photo-50mp.jpg", "image/jpeg", 8688, 5792, photo},
	{"photo-8mp.png", "image/png", 3840, 2160, photoPNG},
	{"photo-15mp-progressive.jpg", "image/jpeg", 4752, 3168, saved(saveProgressive)},
	{"photo-12mp.jpg", "image/jpeg", 4032, 3024, photo},
	{"photo-8mp.webp", "image/webp", 3504, 2336, saved(saveWebP)},
	{"photo-4mp.avif", "image/avif", 2448, 1632, saved(saveAVIF)},
	{"photo-8mp.jpg", "image/jpeg", 3264, 2448, photo},
	{"photo-8mp-turned.jpg", "image/jpeg", 2448, 3264, saved(saveTurned)},
	{"photo-4mp.jpg", "image/jpeg", 2448, 1632, photo},
	{"photo-4mp-p3.jpg", "image/jpeg", 2448, 1632, saved(saveP3)},
	{"photo-2mp.jpg", "image/jpeg", 1080, 1920, photo},
	{"photo-1mp.jpg", "image/jpeg", 1224, 816, photo},
	{"photo-0.3mp.jpg", "image/jpeg", 640, 480, photo},
	{"drawing.png", "image/png", 1024, 1024, drawing},
	{"chart.gif", "image/gif", 1200, 800, still},
	{"chart-animated.gif", "image/gif", 600, 400, animated},
	{"brochure.pdf", "application/pdf", 0, 0, document},
}

var small = []recipe{
	{"photo-4mp.jpg", "image/jpeg", 2448, 1632, photo},
	{"photo-2mp-progressive.jpg", "image/jpeg", 1728, 1152, saved(saveProgressive)},
	{"photo-2mp.png", "image/png", 1728, 1152, photoPNG},
	{"photo-2mp.webp", "image/webp", 1728, 1152, saved(saveWebP)},
	{"photo-1mp.avif", "image/avif", 1224, 816, saved(saveAVIF)},
	{"photo-1mp-turned.jpg", "image/jpeg", 816, 1224, saved(saveTurned)},
	{"photo-1mp-p3.jpg", "image/jpeg", 1224, 816, saved(saveP3)},
	{"photo-0.3mp.jpg", "image/jpeg", 640, 480, photo},
	{"drawing.png", "image/png", 512, 512, drawing},
	{"chart.gif", "image/gif", 600, 400, still},
	{"chart-animated.gif", "image/gif", 300, 200, animated},
	{"brochure.pdf", "application/pdf", 0, 0, document},
}

// photoQuality makes JPEGs of a landscape about as large as a camera's, 0.27 bytes for each pixel.
const photoQuality = 95

func photo(seed uint64, width, height int) ([]byte, error) {
	return JPEG(Landscape(seed, width, height), photoQuality)
}

func photoPNG(seed uint64, width, height int) ([]byte, error) {
	return PNG(Landscape(seed, width, height))
}

// saved makes photographs with libvips.
func saved(encode saver) func(seed uint64, width, height int) ([]byte, error) {
	return func(seed uint64, width, height int) ([]byte, error) {
		return save(Landscape(seed, width, height), encode)
	}
}

func drawing(seed uint64, size, _ int) ([]byte, error) { return PNG(newEmblem(seed).draw(size)) }

func document(seed uint64, _, _ int) ([]byte, error) { return brochure(seed, 3) }

func still(seed uint64, width, height int) ([]byte, error) { return charts(seed, width, height, 1) }

func animated(seed uint64, width, height int) ([]byte, error) { return charts(seed, width, height, 24) }

// charts is a GIF of a chart whose bars grow over the frames, the last of which has all of them.
func charts(seed uint64, width, height, frames int) ([]byte, error) {
	var g gif.GIF
	for i := range frames {
		g.Image = append(g.Image, chart(seed, width, height, float64(i+1)/float64(frames)))
		g.Delay = append(g.Delay, 8) // hundredths of a second
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &g); err != nil {
		return nil, fmt.Errorf("corpus: %w", err)
	}
	return b.Bytes(), nil
}
