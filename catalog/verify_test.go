package catalog

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/assetmatrix/assetmatrix/asset"
)

func TestVerifyBackup(t *testing.T) {
	_, want, file := backedUp(t)
	if m, err := VerifyBackup(bytes.NewReader(file)); err != nil || m.Revision != want.Revision || m.SHA256 != want.SHA256 {
		t.Fatal(m, err)
	}
	refused := func(what string, at int, data []byte) {
		t.Helper()
		if _, err := VerifyBackup(bytes.NewReader(data)); !errors.Is(err, asset.ErrCorrupt) {
			t.Fatalf("%s at %d: %v", what, at, err)
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	for cut := 0; cut < len(file); cut += 1 + r.IntN(1+cut/4) {
		refused("cut", cut, file[:cut])
	}
	refused("cut", len(file)-1, file[:len(file)-1])
	refused("more", len(file), append(bytes.Clone(file), 0))
	for bit := 0; bit < 8*len(file); bit += 1 + r.IntN(1+bit/8) {
		flipped := bytes.Clone(file)
		flipped[bit/8] ^= 1 << (bit % 8)
		refused("flip", bit, flipped)
	}
	if _, err := VerifyBackup(io.MultiReader(bytes.NewReader(file[:len(file)-1]), iotest.ErrReader(io.ErrNoProgress))); !errors.Is(err, io.ErrNoProgress) {
		t.Fatal(err)
	}
}
