package assettest_test

import (
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/asset/assettest"
)

func TestCollide(t *testing.T) {
	for _, v := range []asset.Variant{{}, {Width: 400, Format: asset.WebP}} {
		if a, b := assettest.Collide(v); a == b || a.Hash() != b.Hash() {
			t.Errorf("%s and %s: hashes %016x and %016x", a, b, a.Hash(), b.Hash())
		}
	}
}
