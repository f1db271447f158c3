package transform

import "github.com/assetmatrix/assetmatrix/asset"

// autoQuality returns the lowest quality of a format at which f looks as good as it should.
func autoQuality(f *frame, format asset.Format) (int, error) {
	return 0, notRendered("quality", "auto")
}
