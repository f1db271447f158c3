package corpus

import (
	"bytes"
	"image"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/transform"
)

func TestSized(t *testing.T) {
	for _, want := range []int{minSized, 1500, 2 << 10, 5000, 37 << 10} {
		for seed := range uint64(8) {
			sized(t, seed, want)
		}
	}
	sized(t, 1, 1<<20)
}

func sized(t *testing.T, seed uint64, want int) {
	t.Helper()
	b, err := Sized(seed, want)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) != want {
		t.Errorf("seed %d: %d bytes, want %d", seed, len(b), want)
	}
	if _, err := transform.Header(bytes.NewReader(b), int64(len(b))); err != nil {
		t.Errorf("seed %d, %d bytes: %v", seed, want, err)
	}
	if _, _, err := image.Decode(bytes.NewReader(b)); err != nil {
		t.Errorf("seed %d, %d bytes: %v", seed, want, err)
	}
}

func TestSizedRefuses(t *testing.T) {
	for _, bytes := range []int{-1, 0, minSized - 1, maxSized + 1} {
		if _, err := Sized(1, bytes); err == nil || !strings.Contains(err.Error(), "1024 to") {
			t.Errorf("%d bytes: %v", bytes, err)
		}
	}
}

func TestComment(t *testing.T) {
	jpg, err := JPEG(Landscape(1, 16, 16), 80)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 4, 5, maxComment, maxComment + 1, maxComment + 5, 3*maxComment + 2} {
		out := withComment(jpg, n)
		if _, _, err := image.Decode(bytes.NewReader(out)); err != nil || len(out) != len(jpg)+n {
			t.Errorf("a comment of %d: %d more, %v", n, len(out)-len(jpg), err)
		}
	}
}
