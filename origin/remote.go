package origin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A remote reads originals from a control plane: GET {base}/v1/originals/{digest} with a bearer token. What arrives is
// believed by its digest alone.
type remote struct {
	base    *url.URL
	token   string
	scratch string
	client  *http.Client
}

var _ asset.Store = (*remote)(nil)

// errReadOnly is returned by what would write where nothing can be written.
var errReadOnly = fmt.Errorf("%w: it can only be read", asset.ErrUnavailable)

// openRemote contacts nobody: an edge starts without its control plane.
func openRemote(cfg Config) (*remote, error) {
	base, err := cfg.control()
	if err != nil {
		return nil, fmt.Errorf("provider %s: url: %w", cfg.Name, err)
	}
	if cfg.ScratchDir != "" {
		if err := os.MkdirAll(cfg.ScratchDir, 0o700); err != nil {
			return nil, fmt.Errorf("provider %s: scratch_dir: %w", cfg.Name, err)
		}
	}
	// Timeouts are the breaker's, by the context. A redirect would carry the token to who knows where.
	client := &http.Client{
		Transport: &http.Transport{
			DisableCompression:  true, // a length is needed, and pictures do not get smaller
			MaxIdleConnsPerHost: cfg.filled().MaxConcurrent,
			IdleConnTimeout:     90 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &remote{base: base, token: cfg.Token, scratch: cfg.ScratchDir, client: client}, nil
}

// Load reads the original and verifies it, as [Bucket.Load] does. 404 is [asset.ErrNotFound]; every other refusal, that
// of the token (401, 403) too, is [asset.ErrUnavailable] and named.
func (r *remote) Load(ctx context.Context, k asset.Key) (*asset.Object, error) {
	if !k.IsOriginal() {
		return nil, fmt.Errorf("%w: %s is a rendition, providers keep originals", asset.ErrInvalid, k)
	}
	answer, err := r.get(ctx, k)
	if err != nil {
		return nil, r.failure(ctx, k, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if err := refusal(answer); err != nil {
		return nil, r.failure(ctx, k, err)
	}
	o, err := fetch(ctx, r.scratch, k, answer.Body, answer.ContentLength)
	if err != nil {
		return nil, r.failure(ctx, k, err)
	}
	return o, nil
}

func (r *remote) get(ctx context.Context, k asset.Key) (*http.Response, error) {
	at := r.base.JoinPath("v1", "originals", k.Original.String())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	if r.token != "" {
		request.Header.Set("Authorization", "Bearer "+r.token)
	}
	answer, err := r.client.Do(request)
	beatOf(ctx)()
	return answer, err
}

// refusal says why the answer is not the original.
func refusal(answer *http.Response) error {
	switch {
	case answer.StatusCode == http.StatusNotFound:
		return asset.ErrNotFound
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("the control plane answered %s", answer.Status)
	case answer.ContentLength < 0:
		return errors.New("the control plane answered without Content-Length")
	}
	return nil
}

// failure gives err its sentinel, as [Bucket] does.
func (r *remote) failure(ctx context.Context, k asset.Key, err error) error {
	wrap := func(err error) error { return fmt.Errorf("control plane load %s: %w", k, err) }
	switch {
	case ctx.Err() != nil:
		return wrap(ctx.Err())
	case errors.Is(err, asset.ErrNotFound), errors.Is(err, asset.ErrCorrupt):
		return wrap(err)
	}
	return wrap(fmt.Errorf("%w: %w", asset.ErrUnavailable, err))
}

// Put fails.
func (r *remote) Put(_ context.Context, o *asset.Object) error {
	return fmt.Errorf("control plane put %s: %w", o.Key, errReadOnly)
}

// Delete fails.
func (r *remote) Delete(_ context.Context, k asset.Key) error {
	return fmt.Errorf("control plane delete %s: %w", k, errReadOnly)
}
