package bench

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// browser asks as a browser that knows WebP does, over connections that it keeps.
var browser = &http.Client{
	Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
	Timeout:   time.Minute,
}

// An answer is what a front door answered with status 200.
type answer struct {
	header http.Header
	body   []byte // of a GET
}

// ask gets an asset of a product with options at a front door. Every other status than 200 is an error that quotes it.
func ask(ctx context.Context, front, product, options, name, query string) (answer, error) {
	return request(ctx, http.MethodGet, front, product, options, name, query)
}

// shows returns the digest of the original that a product shows under a name.
func shows(ctx context.Context, front, product, name, query string) (digest asset.Digest, err error) {
	a, err := request(ctx, http.MethodHead, front, product, "original", name, query)
	if err != nil {
		return digest, err
	}
	field := a.header.Get("Repr-Digest")
	text, ok := strings.CutPrefix(strings.TrimSuffix(field, ":"), "sha-256=:")
	raw, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(raw) != len(digest) {
		return digest, fmt.Errorf("%s/%s: Repr-Digest is %q", product, name, field)
	}
	return asset.Digest(raw), nil
}

func request(ctx context.Context, method, front, product, options, name, query string) (a answer, err error) {
	url := "http://" + front + "/" + product + "/" + options + "/" + name + query
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return a, err
	}
	req.Header.Set("Accept", "image/webp,image/*,*/*;q=0.8")
	resp, err := browser.Do(req)
	if err != nil {
		return a, err
	}
	defer func() { _ = resp.Body.Close() }()
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		return a, fmt.Errorf("%s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return a, fmt.Errorf("%s answers %d: %.200s", url, resp.StatusCode, a.body)
	}
	a.header = resp.Header
	return a, nil
}
