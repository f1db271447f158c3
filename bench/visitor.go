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

// An answer is what a front door answered.
type answer struct {
	header http.Header
	body   []byte
}

// ask gets an asset of a product with options at a front door. Every other status than 200 is an error that quotes it.
func ask(ctx context.Context, front, product, options, name, query string) (answer, error) {
	url := "http://" + front + "/" + product + "/" + options + "/" + name + query
	return askOnce(ctx, &shot{url: url, header: [2]string{"Accept", "image/webp,image/*,*/*;q=0.8"}, status: http.StatusOK, length: anyLength})
}

// askOnce fires a shot once. An answer that is not what the shot says is an error that quotes it.
func askOnce(ctx context.Context, s *shot) (a answer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return a, err
	}
	if s.header[0] != "" {
		req.Header.Set(s.header[0], s.header[1])
	}
	resp, err := browser.Do(req)
	if err != nil {
		return a, err
	}
	defer func() { _ = resp.Body.Close() }()
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		return a, fmt.Errorf("%s: %w", s.url, err)
	}
	a.header = resp.Header
	return a, s.judge(resp.StatusCode, a.header.Get("ETag"), a.body)
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
