package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
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
	body   []byte
}

// ask gets an asset of a product with options at a front door. Every other status than 200 is an error that quotes it.
func ask(ctx context.Context, front, product, options, name, query string) (a answer, err error) {
	url := "http://" + front + "/" + product + "/" + options + "/" + name + query
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
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

// shows returns the digest of the original that a product shows under a name, which the front door says without touching it.
func shows(ctx context.Context, front, product, name, query string) (asset.Digest, error) {
	var info struct{ Digest asset.Digest }
	a, err := ask(ctx, front, product, "info", name, query)
	if err == nil {
		err = json.Unmarshal(a.body, &info)
	}
	return info.Digest, err
}
