package control

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/assetmatrix/assetmatrix/asset"
)

// nameOf returns the name at the end of the request's path, /v1/products/{product}/{collection}/{name}.
func nameOf(r *http.Request) (string, error) {
	name, ok := parseName(strings.SplitN(r.URL.EscapedPath(), "/", 6)[5])
	if !ok {
		return "", fault(asset.ErrInvalid, "name", "the name cannot be used",
			"1 to 512 bytes of UTF-8 in segments parted by /, none of them empty, . or .., without control characters and encoded slashes")
	}
	return name, nil
}

func parseName(escaped string) (string, bool) {
	if strings.Contains(strings.ToLower(escaped), "%2f") {
		return "", false
	}
	name, err := url.PathUnescape(escaped)
	if err != nil || name == "" || len(name) > 512 || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return "", false
	}
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return "", false
		}
	}
	return name, true
}

var productName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

func checkProductName(name string) error {
	if !productName.MatchString(name) {
		return fault(asset.ErrInvalid, "product", "the product's name cannot be used", "1 to 63 of a-z, 0-9 and -, not beginning with -")
	}
	return nil
}

func checkPreset(name, _ string) error {
	if !productName.MatchString(name) {
		return fault(errContent, "/presets/"+escapePointer(name), "the preset's name cannot be used", "1 to 63 of a-z, 0-9 and -, not beginning with -")
	}
	return nil
}

func lower(s string) string { return strings.ToLower(s) }
