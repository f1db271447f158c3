package transform

import (
	"image"

	"github.com/assetmatrix/assetmatrix/asset"
)

// faces returns the point between the faces of the first frame, and whether there are any.
func (x *rendering) faces() (at asset.Gravity, ok bool, err error) {
	return at, false, notRendered("gravity", "face")
}

// blurFaces makes faces unrecognisable.
func blurFaces(*image.NRGBA) error { return notRendered("blur", "faces") }

func notRendered(part, what string) error {
	return &asset.Fault{Kind: asset.ErrNotImplemented, Part: part, Detail: what + " is not rendered yet"}
}
