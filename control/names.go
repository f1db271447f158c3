package control

import (
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
