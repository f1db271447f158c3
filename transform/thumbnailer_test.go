package transform

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A profile of a monitor is three colours, in XYZ under D50, and a curve (ICC.1:2022 §8.3).
type monitor struct {
	colors [3][3]float64
	gamma  float64 // 0 for the curve of sRGB
}

var (
	adobeRGB  = monitor{[3][3]float64{{0.60974, 0.31111, 0.01947}, {0.20528, 0.62567, 0.06087}, {0.14919, 0.06322, 0.74457}}, 563. / 256}
	displayP3 = monitor{[3][3]float64{{0.51512, 0.24120, -0.00105}, {0.29198, 0.69225, 0.04189}, {0.15710, 0.06657, 0.78407}}, 0}
)

// profile makes an ICC profile of it, version 4, with nothing but what is needed.
func (m monitor) profile() []byte {
	be := binary.BigEndian
	fixed := func(b []byte, f float64) []byte { return be.AppendUint32(b, uint32(int32(math.Round(f*65536)))) }
	xyz := func(v [3]float64) []byte {
		b := []byte("XYZ \x00\x00\x00\x00")
		for _, f := range v {
			b = fixed(b, f)
		}
		return b
	}
	curve := []byte("para\x00\x00\x00\x00\x00\x03\x00\x00") // §10.18, function type 3
	for _, f := range []float64{2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045} {
		curve = fixed(curve, f)
	}
	if m.gamma > 0 {
		curve = fixed([]byte("para\x00\x00\x00\x00\x00\x00\x00\x00"), m.gamma)
	}
	name := []byte("mluc\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x0cenUS\x00\x00\x00\x02\x00\x00\x00\x1c\x00T\x00\x00")
	tags := []struct {
		name string
		body []byte
	}{
		{"desc", name}, {"cprt", name}, {"wtpt", xyz([3]float64{0.9642, 1, 0.8249})}, {"rXYZ", xyz(m.colors[0])}, {"gXYZ", xyz(m.colors[1])}, {"bXYZ", xyz(m.colors[2])},
		{"rTRC", curve}, {"gTRC", curve}, {"bTRC", curve},
	}
	out := make([]byte, iccHeader)
	copy(out[8:], "\x04\x00\x00\x00mntrRGB XYZ ")
	copy(out[24:], "\x07\xea\x00\x01\x00\x01")
	copy(out[36:], "acsp")
	copy(out[68:], xyz([3]float64{0.9642, 1, 0.8249})[8:])
	out = be.AppendUint32(out, uint32(len(tags)))
	at := len(out) + 12*len(tags)
	var data []byte
	for _, t := range tags {
		out = be.AppendUint32(be.AppendUint32(append(out, t.name...), uint32(at+len(data))), uint32(len(t.body)))
		data = append(data, t.body...)
	}
	out = append(out, data...)
	be.PutUint32(out, uint32(len(out)))
	return out
}

// profiledPNG puts a profile into a PNG (W3C PNG §11.3.2.3).
func profiledPNG(b, profile []byte) []byte {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, _ = w.Write(profile)
	_ = w.Close()
	body := append([]byte("iCCPT\x00\x00"), z.Bytes()...)
	chunk := append(binary.BigEndian.AppendUint32(nil, uint32(len(body)-4)), body...)
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(body))
	const head = 8 + 25 // signature and IHDR
	return bytes.Join([][]byte{b[:head], chunk, b[head:]}, nil)
}

func profiledJPEG(b, profile []byte) []byte {
	return withSegments(b, map[byte][]string{0xe2: {"ICC_PROFILE\x00\x01\x01" + string(profile)}})
}

// linear undoes the curve of sRGB, or of a gamma, and curved does it again.
func linear(v, gamma float64) float64 {
	switch {
	case gamma > 0:
		return math.Pow(v, gamma)
	case v <= 0.04045:
		return v / 12.92
	}
	return math.Pow((v+0.055)/1.055, 2.4)
}

func curved(v float64) float64 {
	if v <= 0.0031308 {
		return 12.92 * v
	}
	return 1.055*math.Pow(v, 1/2.4) - 0.055
}

// inSRGB is what a colour of a monitor is in sRGB, by the matrices alone.
func (m monitor) inSRGB(c color.NRGBA) color.NRGBA {
	fromD50 := [3][3]float64{{3.1338561, -1.6168667, -0.4906146}, {-0.9787684, 1.9161415, 0.0334540}, {0.0719453, -0.2289914, 1.4052427}}
	var xyz, out [3]float64
	for i, v := range []uint8{c.R, c.G, c.B} {
		for k := range 3 {
			xyz[k] += linear(float64(v)/255, m.gamma) * m.colors[i][k]
		}
	}
	for i := range 3 {
		for k := range 3 {
			out[i] += fromD50[i][k] * xyz[k]
		}
		out[i] = 255 * curved(math.Min(1, math.Max(0, out[i])))
	}
	return color.NRGBA{level(out[0]), level(out[1]), level(out[2]), 255}
}

// TestProfiles: colours are converted to sRGB as the profile says, in every kind of file that has one.
func TestProfiles(t *testing.T) {
	b := newBench(t, nil)
	for name, m := range map[string]monitor{"Adobe RGB": adobeRGB, "Display P3": displayP3} {
		for _, c := range []color.NRGBA{{150, 120, 90, 255}, {128, 128, 128, 255}, {90, 140, 130, 255}, {200, 180, 190, 255}, {20, 20, 30, 255}} {
			flat := canvas(64, 48, c)
			for kind, original := range map[string][]byte{"png": profiledPNG(pngOf(t, flat), m.profile()), "jpeg": profiledJPEG(jpegOf(t, flat), m.profile())} {
				for _, text := range []string{"f=png", "w=20", "trim=1", "blur=1", "f=jpeg,q=95"} {
					if got := b.make(t, original, text).NRGBAAt(5, 5); !near(got, m.inSRGB(c), 3) {
						t.Errorf("%s %s, %s: %v becomes %v, want %v", name, kind, text, c, got, m.inSRGB(c))
					}
				}
			}
		}
	}
}

// A likeness is how alike two pictures are: the mean of SSIM over blocks of 8 × 8 of luma (Wang et al. 2004), and of each
// channel's absolute difference, as they are seen on grey.
type likeness struct{ ssim, worst float64 }

func alike(a, b *image.NRGBA) (l likeness) {
	seen := func(p []uint8, i int) float64 { return 128 + (float64(p[i])-128)*float64(p[3])/255 }
	w, h := a.Rect.Dx(), a.Rect.Dy()
	for channel := range 4 {
		sum := 0.0
		for i := 0; i < len(a.Pix); i += 4 {
			if channel == 3 {
				sum += math.Abs(float64(a.Pix[i+3]) - float64(b.Pix[i+3]))
			} else {
				sum += math.Abs(seen(a.Pix[i:], channel) - seen(b.Pix[i:], channel))
			}
		}
		l.worst = math.Max(l.worst, sum/float64(w*h))
	}
	luma := func(m *image.NRGBA, x, y int) float64 {
		p := m.Pix[m.PixOffset(x, y):]
		return 0.299*seen(p, 0) + 0.587*seen(p, 1) + 0.114*seen(p, 2)
	}
	blocks := 0.0
	for top := 0; top < h; top += 8 {
		for left := 0; left < w; left += 8 {
			var n, sa, sb, saa, sbb, sab float64
			for y := top; y < min(top+8, h); y++ {
				for x := left; x < min(left+8, w); x++ {
					p, q := luma(a, x, y), luma(b, x, y)
					n, sa, sb, saa, sbb, sab = n+1, sa+p, sb+q, saa+p*p, sbb+q*q, sab+p*q
				}
			}
			ma, mb := sa/n, sb/n
			va, vb, cov := saa/n-ma*ma, sbb/n-mb*mb, sab/n-ma*mb
			const c1, c2 = 6.5025, 58.5225
			l.ssim, blocks = l.ssim+(2*ma*mb+c1)*(2*cov+c2)/((ma*ma+mb*mb+c1)*(va+vb+c2)), blocks+1
		}
	}
	l.ssim /= blocks
	return l
}

// run runs a program of libvips-tools.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// TestLikeVipsthumbnail: renditions are those that libvips' own program makes, in whatever way we get there. The differences are
// measured without loss, at two sizes; what was seen is beside each bound.
func TestLikeVipsthumbnail(t *testing.T) {
	if _, err := exec.LookPath("vipsthumbnail"); err != nil {
		t.Skip("libvips-tools is not installed")
	}
	b := newBench(t, nil)
	dir := t.TempDir()
	big := photo(1009, 701)
	deep := image.NewNRGBA64(image.Rect(0, 0, 331, 223))
	grey, palette := image.NewGray(image.Rect(0, 0, 499, 353)), image.NewPaletted(image.Rect(0, 0, 499, 353), color.Palette{none, red, green, blue, gold, white, grey})
	for y := range 353 {
		for x := range 499 {
			grey.SetGray(x, y, color.Gray{big.NRGBAAt(x, y).G})
			palette.SetColorIndex(x, y, uint8((x/23+y/17)%7))
			if x < 331 && y < 223 {
				c := big.NRGBAAt(2*x, 2*y)
				deep.SetNRGBA64(x, y, color.NRGBA64{uint16(c.R) * 250, uint16(c.G) * 251, uint16(c.B) * 252, 65535})
			}
		}
	}
	soft := image.NewNRGBA(image.Rect(0, 0, 401, 307))
	for y := range 307 {
		for x := range 401 {
			c := big.NRGBAAt(x, y)
			c.A = clamp(300 - 1.5*math.Hypot(float64(x-200), float64(y-150)))
			soft.SetNRGBA(x, y, c)
		}
	}
	corpus := map[string][]byte{
		"photo.jpg":     jpegOf(t, big),
		"photo.png":     pngOf(t, big),
		"scene.jpg":     jpegOf(t, scene(900, 600)),
		"soft.png":      pngOf(t, soft),
		"deep.png":      pngOf(t, deep),
		"grey.jpg":      jpegOf(t, grey),
		"grey.png":      pngOf(t, grey),
		"palette.png":   pngOf(t, palette),
		"adobe.jpg":     profiledJPEG(jpegOf(t, big), adobeRGB.profile()),
		"p3.png":        profiledPNG(pngOf(t, photo(401, 307)), displayP3.profile()),
		"tall.png":      pngOf(t, photo(1, 997)),
		"wide.png":      pngOf(t, photo(997, 1)),
		"prime.jpg":     jpegOf(t, photo(823, 547)),
		"cmyk.jpg":      nil,
		"bare cmyk.jpg": nil,
	}
	marked := scene(800, 533)
	for o := 1; o <= 8; o++ {
		corpus["exif"+itoa(o)+".jpg"] = oriented(jpegOf(t, turnedPixels(marked, o)), o)
	}
	source := filepath.Join(dir, "source.png")
	if err := os.WriteFile(source, pngOf(t, photo(500, 333)), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "vips", "icc_transform", source, filepath.Join(dir, "cmyk.jpg[Q=95]"), "cmyk", "--input-profile", "srgb")
	run(t, "vips", "icc_transform", source, filepath.Join(dir, "bare cmyk.jpg[Q=95,strip]"), "cmyk", "--input-profile", "srgb")
	for name, original := range corpus {
		path := filepath.Join(dir, name)
		if original == nil {
			var err error
			if original, err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
			if bare := strings.HasPrefix(name, "bare"); bare == bytes.Contains(original, []byte("ICC_PROFILE")) {
				t.Errorf("%s has a profile or lacks one", name)
			}
		} else if err := os.WriteFile(path, original, 0o600); err != nil {
			t.Fatal(err)
		}
		widths := []int{301, 40}
		if strings.HasPrefix(name, "exif") {
			widths = []int{97}
		}
		for _, width := range widths {
			b.compare(t, path, original, width)
		}
	}
}

// compare makes one rendition with us and with vipsthumbnail.
func (b *bench) compare(t *testing.T, path string, original []byte, width int) {
	t.Helper()
	_, pic, err := b.probe(t, original)
	if err != nil {
		t.Fatal(path, err)
	}
	v := asset.Variant{Width: width, Format: asset.PNG}
	size := v.Layout(pic.Size()).Canvas
	ours, name := straight(b.picture(t, original, v)), filepath.Base(path)
	most := likeness{0.9995, 0.05} // 1.0000 and 0.00 were seen
	out := filepath.Join(filepath.Dir(path), "theirs.png")
	var profile []string
	switch {
	case strings.HasSuffix(name, "cmyk.jpg"): // vipsthumbnail of 8.14 finds its own profile incompatible with CMYK
		run(t, "vips", "icc_transform", path, path+".png", "srgb", "--embedded", "--input-profile", "cmyk")
		path, most = path+".png", likeness{0.995, 1.2} // 0.9955 and 1.06: profiles are for what is resized
	case name == "deep.png":
		most = likeness{0.998, 0.5} // 0.9984 and 0.44: they leave it at 16 bits
	case name == "adobe.jpg" || name == "p3.png":
		profile = []string{"--export-profile", "srgb"}
	}
	run(t, "vipsthumbnail", append([]string{path, "-s", fmt.Sprintf("%dx%d!", size.Width, size.Height), "-o", out + "[strip]"}, profile...)...)
	f, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	m, err := png.Decode(bytes.NewReader(f))
	if err != nil || m.Bounds().Size() != ours.Rect.Size() {
		t.Fatalf("%s at %d: %v of ours, %v", name, width, ours.Rect.Size(), err)
	}
	if got := alike(ours, straight(m)); got.ssim < most.ssim || got.worst > most.worst {
		t.Errorf("%s at %d: SSIM %.4f and a mean difference of %.2f, want %.4f and %.2f", name, width, got.ssim, got.worst, most.ssim, most.worst)
	}
}
