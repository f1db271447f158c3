package transform

import (
	"bytes"
	"errors"
	"image"
	"strings"
	"testing"

	_ "image/gif"

	"golang.org/x/image/tiff"

	"github.com/assetmatrix/assetmatrix/asset"
)

func TestSniff(t *testing.T) {
	f := func(head, want string) {
		t.Helper()
		if got := Sniff([]byte(head)); got != want {
			t.Errorf("%q: %q, want %q", head, got, want)
		}
	}
	f("\xff\xd8\xff\xe0", jpegType)
	f("\x89PNG\r\n\x1a\n", pngType)
	f("GIF87a", gifType)
	f("GIF89a", gifType)
	f("II*\x00", tiffType)
	f("MM\x00*", tiffType)
	f("%PDF-1.7", pdfType)
	f("RIFF\x00\x00\x00\x00WEBPVP8 ", webpType)
	f("\x00\x00\x00\x1cftypavif\x00\x00\x00\x00", avifType)
	f("\x00\x00\x00\x1cftypavis\x00\x00\x00\x00", avifType)
	f("\x00\x00\x00\x1cftypheic\x00\x00\x00\x00", heicType)
	f("\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1avif", avifType)
	f("\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1heic", heicType)
	f("\x00\x00\x00\x14ftypmif1\x00\x00\x00\x00mif1heic", heifType) // heic is outside the box
	f("\x00\x00\x00\x1cftypisom\x00\x00\x00\x00avif", "")
	f("RIFF\x00\x00\x00\x00WAVEfmt ", "")
	f("<svg>", "")
	f("<?xml version='1.0'?><svg>", "")
	f(" %PDF-1.7", "")
	f("\xff\xd8", "")
	f("BM", "")
	f("", "")
}

// TestHeader: the size read without decoding is the size that decoders find.
func TestHeader(t *testing.T) {
	f := func(name string, original []byte, want Head) {
		t.Helper()
		h, err := Header(bytes.NewReader(original), int64(len(original)))
		h.held, h.perPixel, h.kept = 0, 0, 0
		if err != nil || h != want {
			t.Errorf("%s: %+v, %v, want %+v", name, h, err, want)
		}
	}
	m := photo(37, 23)
	f("jpeg", jpegOf(t, m), Head{jpegType, 37, 23, 1, false, 0, 0, 0, 0})
	f("jpeg with EXIF", oriented(jpegOf(t, m), 6), Head{jpegType, 37, 23, 1, false, 0, 0, 6, 0})
	f("png", pngOf(t, m), Head{pngType, 37, 23, 1, false, 0, 0, 0, 0})
	f("tiff", tiffOf(t, m), Head{tiffType, 37, 23, 1, false, 0, 0, 0, 0})
	f("gif", gifOf(t, 37, 23, 1), Head{gifType, 37, 23, 1, false, 0, 0, 0, 0})
	f("animated gif", gifOf(t, 37, 23, 9), Head{gifType, 37, 23, 9, true, 0, 0, 0, 0})
	f("pdf", pdfOf(37, 23, 2), Head{pdfType, 0, 0, 1, false, 0, 0, 0, 0})
	b := newBench(t, nil)
	for _, format := range []asset.Format{asset.JPEG, asset.PNG, asset.WebP, asset.AVIF} {
		out, err := b.render(t, pngOf(t, m), asset.Variant{Format: format})
		if err != nil {
			t.Fatal(err)
		}
		f(format.String(), out, Head{format.MediaType(), 37, 23, 1, false, 0, 0, 0, 0})
	}
	f("animated webp", webpAnimation(300, 200, 3), Head{webpType, 300, 200, 3, true, 0, 0, 0, 0})
	f("lossless webp", []byte("RIFF\x1a\x00\x00\x00WEBPVP8L\x0e\x00\x00\x00\x2f\x24\x80\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), Head{webpType, 37, 23, 1, false, 0, 0, 0, 0})
}

// webpAnimation returns the chunks of an animation, without its pixels.
func webpAnimation(w, h, frames int) []byte {
	b := []byte("VP8X\x0a\x00\x00\x00\x02\x00\x00\x00")
	for _, side := range []int{w - 1, h - 1} {
		b = append(b, byte(side), byte(side>>8), byte(side>>16))
	}
	for range frames {
		b = append(b, "ANMF\x03\x00\x00\x00abc\x00"...)
	}
	return append([]byte{'R', 'I', 'F', 'F', byte(len(b) + 4), 0, 0, 0, 'W', 'E', 'B', 'P'}, b...)
}

// TestHeaderHostile: headers that lie end soon, with a clean fault.
func TestHeaderHostile(t *testing.T) {
	circle := []byte("II*\x00\x08\x00\x00\x00" + "\x00\x00" + "\x08\x00\x00\x00")
	deep := []byte("\x00\x00\x00\x10ftypavif\x00\x00\x00\x00" + strings.Repeat("\x00\x00\x00\x00meta\x00\x00\x00\x00", 10000))
	many := []byte("\x00\x00\x00\x10ftypavif\x00\x00\x00\x00" + strings.Repeat("\x00\x00\x00\x08free", 1<<18))
	markers := []byte("\xff\xd8\xff" + strings.Repeat("\xff", 1<<20))
	for name, original := range map[string][]byte{
		"circle": circle, "deep": deep, "many": many, "markers": markers,
		"wide ispe":     []byte("\x00\x00\x00\x10ftypavif\x00\x00\x00\x00\x00\x00\x00\x14ispe\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"),
		"no frame":      []byte("\xff\xd8\xff\xda\x00\x02"),
		"empty segment": []byte("\xff\xd8\xff\xe0\x00\x00"),
		"no IHDR":       []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIDAT0123456789012"),
		"gif frames":    []byte("GIF89a\x01\x00\x01\x00\x00\x00\x00\x3b"),
		"no frames":     webpAnimation(1, 1, 0),
		"zero":          pngClaiming(0, 5),
		"huge":          pngClaiming(1<<31, 5),
		"gif block":     []byte("GIF89a\x01\x00\x01\x00\x00\x00\x00\x99"),
		"webp chunk":    []byte("RIFF\x16\x00\x00\x00WEBPWHAT\x0e\x00\x00\x00\x2f\x24\x80\x05\x00\x00\x00\x00\x00\x00"),
	} {
		_, err := Header(bytes.NewReader(original), int64(len(original)))
		if fault := (*asset.Fault)(nil); !errors.As(err, &fault) || !errors.Is(err, asset.ErrUndecodable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("disk on fire")
	if _, err := Header(failing{broken}, 100); !errors.Is(err, broken) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// TestEstimate: shrink-on-load makes a large JPEG cheap, and what must be held is counted.
func TestEstimate(t *testing.T) {
	large := Head{MediaType: jpegType, Width: 12000, Height: 8000, Frames: 1, perPixel: 4}
	progressive, thumb := large, asset.Variant{Width: 400, Format: asset.WebP}
	progressive.held = 6
	if n := estimate(large, thumb); n > 64<<20 {
		t.Errorf("a baseline JPEG of 96 MP: %d MiB", n>>20)
	}
	if n := estimate(progressive, thumb); n < 96*6<<20 {
		t.Errorf("a progressive one: %d MiB", n>>20)
	}
	if a, b := estimate(large, asset.Variant{Width: 8000, Format: asset.WebP}), estimate(large, thumb); a < b+8000*5333*12 {
		t.Errorf("a large rendition: %d MiB", a>>20)
	}
	if n := estimate(Head{MediaType: pdfType}, asset.Variant{Width: 8000, Height: 8000, Fit: asset.Contain, Format: asset.PNG}); n < 64_000_000*4 {
		t.Errorf("a page: %d MiB", n>>20)
	}
}

// seeds are small files of every type.
func seeds(f *testing.F) [][]byte {
	f.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, 3, 2))
	var tif bytes.Buffer
	if err := tiff.Encode(&tif, m, nil); err != nil {
		f.Fatal(err)
	}
	code := append([]byte(jxlCode), packed([][2]int{{0, 1}, {0, 2}, {1, 9}, {0, 3}, {0, 2}, {2, 9}, {0, 1}, {1, 1}, {0, 3}, {1, 1}, {1, 1}, {3, 5}, {7, 3}, {0, 1}, {1, 1}})...)
	return [][]byte{
		jpegOf(f, m), pngOf(f, m), gifOf(f, 3, 2, 2), tif.Bytes(), pdfOf(9, 9, 1), webpAnimation(3, 2, 2),
		[]byte("\x00\x00\x00\x10ftypavif\x00\x00\x00\x00\x00\x00\x00\x14ispe\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x02"),
		[]byte("\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic\x00\x00\x00\x30meta\x00\x00\x00\x00\x00\x00\x00\x24iprp\x00\x00\x00\x1cipco\x00\x00\x00\x14ispe\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x02"),
		code, boxed(code, 1), boxed(code, 2),
		bmpLibrary(f, m), bmpOf(info(22, 14, 8, 1, 4), quarterColors[:], runs(22, 14, 8)), bmpOf([]byte{12, 0, 0, 0, 3, 0, 2, 0, 1, 0, 24, 0}, nil, make([]byte, 24)),
		icoOf(iconOf(8, 8, 4)), icoOf(iconOf(4, 4, 32), pngOf(f, m)),
		svgOf(`width="3" height="2"`), []byte("\xef\xbb\xbf<s:svg xmlns:s='http://www.w3.org/2000/svg' viewBox='0 0 3 2'/>"),
	}
}

func FuzzHeader(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		mediaType := Sniff(b)
		h, err := Header(bytes.NewReader(b), int64(len(b)))
		if err == nil && (h.MediaType != mediaType || h.Frames < 1 || mediaType != pdfType && (h.Width < 1 || h.Height < 1)) {
			t.Errorf("%q: %+v", mediaType, h)
		}
		if fault := (*asset.Fault)(nil); err != nil && !errors.As(err, &fault) {
			t.Errorf("%v is no fault", err)
		}
		if (mediaType == "") != errors.Is(err, asset.ErrMediaType) {
			t.Errorf("%q: %v", mediaType, err)
		}
		if err == nil && DefaultConfig().check(h) == nil && estimate(h, asset.Variant{Width: 400, Format: asset.AVIF}) < 0 {
			t.Errorf("%+v costs less than nothing", h)
		}
	})
}

// FuzzSniff: no bytes make it panic, and nothing but the beginning decides.
func FuzzSniff(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		mediaType := Sniff(b)
		if mediaType != "" && headers[mediaType] == nil {
			t.Errorf("%q has no header", mediaType)
		}
		if len(b) >= sniffLen && Sniff(append(bytes.Clone(b), "<svg more"...)) != mediaType {
			t.Errorf("%q by what follows", mediaType)
		}
	})
}

// FuzzDecode: the decoders that are in Go return an error or all pixels, of whatever Header lets through.
func FuzzDecode(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := Header(bytes.NewReader(b), int64(len(b)))
		if err != nil || int64(h.Width)*int64(h.Height) > 1<<20 {
			return
		}
		if h.MediaType == svgType {
			document, err := svgDocument(b)
			if err == nil && Sniff(document) != svgType {
				t.Errorf("%q became %q", b, document)
			}
		}
		if decode := decoders[h.MediaType]; decode != nil {
			m, err := decode(&scanner{r: bytes.NewReader(b), size: int64(len(b))}, b)
			if err == nil && (m.Rect.Dx() != h.Width || m.Rect.Dy() != h.Height) {
				t.Errorf("%v of %+v", m.Rect, h)
			}
		}
	})
}
