package transform

import (
	"image"

	"github.com/assetmatrix/assetmatrix/asset"
)

// drawText draws a text in its colour on nothing, broken into lines that are at most width px wide.
func drawText(t asset.Text, width int) (*image.NRGBA, error) { return nil, notRendered("text", "text") }
