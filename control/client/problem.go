package client

import (
	"encoding/json"
	"mime"
	"net/http"

	"github.com/assetmatrix/assetmatrix/asset"
)

// problemOf reads a refusal. One that is no problem document comes from something between us and the server.
func problemOf(resp *http.Response, text []byte) *asset.Problem {
	p := &asset.Problem{}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if mediaType != asset.ProblemMediaType || json.Unmarshal(text, p) != nil || p.Title == "" {
		return &asset.Problem{Type: "about:blank", Title: http.StatusText(resp.StatusCode), Status: resp.StatusCode}
	}
	p.Status = resp.StatusCode
	return p
}
