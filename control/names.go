package control

import (
	"errors"
	"net/http"
	"strings"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/resolve"
)

// nameOf returns the name at the end of the request's path, /v1/products/{product}/{collection}/{name}. It is read as
// the front door will read it, so that whatever is given here can be asked for there by the same spelling.
func nameOf(r *http.Request) (string, error) {
	escaped := strings.SplitN(r.URL.EscapedPath(), "/", 6)[5]
	if escaped == "" {
		return "", asset.CheckName("")
	}
	t, err := resolve.Parse("/x/original/"+escaped, "")
	return t.Name, err
}

func checkProductName(name string) error {
	if asset.ValidProductName(name) {
		return nil
	}
	return fault(asset.ErrInvalid, "product", "the product's name cannot be used", "1 to 63 of a-z, 0-9 and -, not beginning with -")
}

// checkPreset passes what a delivery URL can name and mean.
func checkPreset(name, options string) error {
	part := "/presets/" + escapePointer(name)
	if !resolve.ValidPresetName(name) {
		return fault(errContent, part, "the preset's name cannot be used",
			"1 to 63 of a-z, 0-9 and -, not beginning with -, and neither original, info nor an option's name")
	}
	_, err := asset.ParseVariant(options)
	if f, ok := errors.AsType[*asset.Fault](err); ok {
		return fault(errContent, part, f.Detail, f.Allowed)
	}
	return err
}
