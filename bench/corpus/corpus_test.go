package corpus

import (
	"bytes"
	"crypto/sha256"
	"image"
	"testing"

	_ "image/jpeg"
	_ "image/png"
)

func TestSameSeedSameBytes(t *testing.T) {
	for name, make := range map[string]func() ([]byte, error){
		"jpeg": func() ([]byte, error) { return JPEG(Landscape(3, 120, 80), 90) },
		"png":  func() ([]byte, error) { return PNG(Badge(64)) },
		"pdf":  func() ([]byte, error) { return Brochure(2) },
		"gif":  func() ([]byte, error) { return animated(4, 60, 40) },
	} {
		a, err := make()
		if err != nil {
			t.Fatal(name, err)
		}
		b, err := make()
		if err != nil {
			t.Fatal(name, err)
		}
		if sha256.Sum256(a) != sha256.Sum256(b) {
			t.Errorf("%s: two drawings differ", name)
		}
	}
}

func TestSeedsDiffer(t *testing.T) {
	if bytes.Equal(Landscape(1, 64, 48).Pix, Landscape(5, 64, 48).Pix) {
		t.Error("seeds 1 and 5 share a palette and must still differ")
	}
}

func TestSizes(t *testing.T) {
	for _, size := range []image.Point{{1, 1}, {1, 97}, {640, 3}} {
		jpg, err := JPEG(Landscape(2, size.X, size.Y), 80)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := image.DecodeConfig(bytes.NewReader(jpg))
		if err != nil || got.Width != size.X || got.Height != size.Y {
			t.Errorf("size %v: got %dx%d, %v", size, got.Width, got.Height, err)
		}
	}
}

func TestBadgeIsTransparentOutside(t *testing.T) {
	img := Badge(100)
	if a := img.NRGBAAt(0, 0).A; a != 0 {
		t.Errorf("corner alpha %d, want 0", a)
	}
	if a := img.NRGBAAt(50, 50).A; a != 255 {
		t.Errorf("centre alpha %d, want 255", a)
	}
}
