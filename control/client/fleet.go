package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A Replica is a process that follows the matrix.
type Replica struct {
	ID       string       `json:"id"`
	Role     string       `json:"role" enum:"all,control,edge"`
	Revision uint64       `json:"revision" doc:"what its view shows"`
	Hash     asset.Digest `json:"hash" doc:"the hash of the history up to there"`
	// Lag is how many revisions it is behind, LagSeconds for how long it has been behind; 0 when it is not. A replica that
	// hears of no writer does not know how many it lacks, and says since when.
	Lag        uint64  `json:"lag" doc:"how many revisions it is behind"`
	LagSeconds float64 `json:"lag_seconds" doc:"for how long it has been behind, or has heard of no writer"`
	// Seen is when it was last heard of.
	Seen time.Time `json:"seen" doc:"when it was last heard of"`
	// Frozen says why it does not follow any more, "" when it does.
	Frozen  string `json:"frozen,omitempty" doc:"why it does not follow any more"`
	Version string `json:"version,omitempty" doc:"of the program"`
}

// Replicas are all replicas that were heard of lately, by id.
type Replicas struct {
	Replicas []Replica `json:"replicas" nullable:"false"`
	// Revision is what the view of the answering process shows.
	Revision uint64 `json:"revision" doc:"what the view of the answering process shows"`
}

// A Change is one step of the matrix's history.
type Change struct {
	Revision    uint64    `json:"revision"`
	CommittedAt time.Time `json:"committed_at"`
	// Changes are what it did, in order, as far as the caller may read it.
	Changes []Mutation `json:"changes" nullable:"false"`
}

// A Mutation is one thing that a change did. Which fields there are follows from Kind.
type Mutation struct {
	Kind string `json:"kind" enum:"put_product,delete_product,put_asset,add_version,change_asset,delete_asset,put_link,delete_link,purge,condemn_original,forget_original"`
	// Product is the owner of an asset, the product of a link, or what a purge names.
	Product string `json:"product,omitempty"`
	Name    string `json:"name,omitempty" doc:"the product's name for the asset"`
	Asset   string `json:"asset,omitempty" doc:"the asset's id"`
	// Version is the one that was added or became current, or that a link is pinned to.
	Version  int           `json:"version,omitempty" doc:"the one that was added or became current, or that a link is pinned to"`
	Status   asset.Status  `json:"status,omitempty"`
	Tag      string        `json:"tag,omitempty" doc:"what a purge names"`
	Original *asset.Digest `json:"original,omitempty"`
}

// A Resolution is what a delivery URL means at one revision.
type Resolution struct {
	// URL is the path on the front door that will always mean this: it names the version, and no preset. Only a watermark in it
	// shows its asset's current version.
	URL string `json:"url" doc:"the path on the front door that will always mean this, but for the version of a watermark in it"`
	// Unpinned is the path that was asked for.
	Unpinned string `json:"unpinned" doc:"the path on the front door that was asked for"`
	ID       string `json:"id" doc:"of the asset"`
	Version  int    `json:"version"`
	// Digest is the original's.
	Digest asset.Digest `json:"digest" doc:"SHA-256 of the original, hexadecimal"`
	// MediaType is what the URL delivers for the Accept that was given.
	MediaType string `json:"type" doc:"what the URL delivers for the Accept that was given"`
	// Width and Height are those of what is delivered, in px; 0 when it is no picture.
	Width  int `json:"width,omitempty" doc:"of what is delivered, px"`
	Height int `json:"height,omitempty" doc:"of what is delivered, px; neither is there when it is trimmed, as nobody knows before it is made"`
	// ThumbHash and Dominant are what can be shown until the picture is there.
	ThumbHash string `json:"thumbhash,omitempty" doc:"placeholder of the picture, ThumbHash in base64"`
	Dominant  string `json:"dominant,omitempty" doc:"its dominant colour, #rrggbb"`
	Revision  uint64 `json:"revision"`
	// Expiry is when the URL stops to work, nil for never.
	Expiry *time.Time `json:"expiry" doc:"when the URL stops to work; null: never"`
}

// A Manifest says what a snapshot or a backup holds.
type Manifest struct {
	Revision uint64       `json:"revision"`
	Epoch    string       `json:"epoch"`
	Hash     asset.Digest `json:"hash"`
	SHA256   asset.Digest `json:"sha256"`
	Size     int64        `json:"size"` // bytes
	Created  time.Time    `json:"created"`
}

// Edges say what became of a write that was asked to wait for them.
type Edges struct {
	Waited bool `json:"waited"`
	// Behind are the ids of the replicas that did not show the write in time.
	Behind []string `json:"behind" nullable:"false" doc:"the ids of the replicas that did not show the write in time"`
}

// ResolveOptions are what a resolution may depend on. The zero value depends on nothing.
type ResolveOptions struct {
	// Accept is the Accept header of who will ask for the URL.
	Accept string
	// MinRevision is the revision that the answer must have seen.
	MinRevision uint64
}

// Resolve returns what a product's name means with the options, which are spelled as in a delivery URL ("original",
// "w=400,f=webp", "thumb").
func (c *Client) Resolve(ctx context.Context, product, options, name string, o ResolveOptions) (Resolution, error) {
	if strings.ContainsAny(options, "/?# ") {
		return Resolution{}, fmt.Errorf("%w: options %q given; allowed: those of one segment of a path", asset.ErrInvalid, options)
	}
	q := url.Values{}
	if o.Accept != "" {
		q.Set("accept", o.Accept)
	}
	if o.MinRevision != 0 {
		q.Set("min_revision", strconv.FormatUint(o.MinRevision, 10))
	}
	path := "/v1/resolve/" + url.PathEscape(product) + "/" + options + "/" + EscapeName(name)
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return get[Resolution](ctx, c, path)
}

// Replicas returns the replicas that were heard of lately.
func (c *Client) Replicas(ctx context.Context) (Replicas, error) {
	return get[Replicas](ctx, c, "/v1/replicas")
}

// Snapshot opens the newest snapshot of the matrix; the caller closes it. It fails with [asset.ErrNotFound] when there
// is none.
func (c *Client) Snapshot(ctx context.Context) (Manifest, io.ReadCloser, error) {
	resp, err := c.open(ctx, "/v1/snapshots/newest")
	if p, ok := errors.AsType[*asset.Problem](err); ok && p.Status == http.StatusNotFound {
		return Manifest{}, nil, fmt.Errorf("%w: %w", asset.ErrNotFound, err)
	}
	if err != nil {
		return Manifest{}, nil, err
	}
	m, err := manifestOf(resp.Header, resp.Request.URL.Host)
	if err != nil {
		_ = resp.Body.Close()
		return m, nil, err
	}
	return m, resp.Body, nil
}

// Backup writes a backup of the matrix to w. After an error what was written is of no use.
func (c *Client) Backup(ctx context.Context, w io.Writer) (Manifest, error) {
	resp, err := c.open(ctx, "/v1/backup")
	if err != nil {
		return Manifest{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return Manifest{}, fmt.Errorf("backup: %w", err)
	}
	return manifestOf(resp.Trailer, resp.Request.URL.Host)
}

// open sends a GET and returns the answer once it is known to be no refusal.
func (c *Client) open(ctx context.Context, path string) (*http.Response, error) {
	reading, end := context.WithCancel(ctx)
	req, err := c.request(reading, http.MethodGet, path, nil)
	if err != nil {
		end()
		return nil, err
	}
	req.Header.Set("Accept", "*/*")
	resp, err := c.http.Do(req)
	if err != nil {
		end()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", asset.ErrUnavailable, err)
	}
	resp.Body = watch(resp.Body, end)
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%w: the answer of %s: %w", asset.ErrUnavailable, req.URL.Host, err)
	}
	return nil, problemOf(resp, text)
}

// ManifestHeader is the header, or the trailer, that a manifest is sent in.
const ManifestHeader = "Asset-Snapshot"

func manifestOf(h http.Header, host string) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal([]byte(h.Get(ManifestHeader)), &m); err != nil {
		return m, fmt.Errorf("%w: %s does not say what its answer holds", asset.ErrUnavailable, host)
	}
	return m, nil
}

// silence is how long an answer may send nothing: three heartbeats of the stream of changes.
const silence = 45 * time.Second

// A watched is a body that ends when nothing arrives for too long: its server may be gone without a word.
type watched struct {
	inner io.ReadCloser
	end   context.CancelFunc
	timer *time.Timer
}

func watch(inner io.ReadCloser, end context.CancelFunc) *watched {
	w := &watched{inner, end, time.AfterFunc(silence, end)}
	w.timer.Stop()
	return w
}

// Read reads on.
func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(silence)
	defer w.timer.Stop()
	return w.inner.Read(p)
}

// Close closes the body.
func (w *watched) Close() error {
	w.end()
	return w.inner.Close()
}

// Changes calls take with every change behind revision after, in order, those to come included. It returns the error of
// take; ctx's, when that ends; an [*asset.Problem] when the server refused, of status 410 when its history does not go
// back so far; and [asset.ErrUnavailable] when the connection broke: call again, with the revision of the last change.
func (c *Client) Changes(ctx context.Context, after uint64, take func(Change) error) error {
	resp, err := c.open(ctx, "/v1/changes?after="+strconv.FormatUint(after, 10))
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxAnswer)
	for lines.Scan() {
		if err := takeLine(lines.Bytes(), take); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: the stream of changes broke off: %w", asset.ErrUnavailable, cmp.Or(lines.Err(), io.EOF))
}

// takeLine reads a line of an event: an event here has one line of data, which is the change.
func takeLine(line []byte, take func(Change) error) error {
	data, ok := bytes.CutPrefix(line, []byte("data: "))
	if !ok {
		return nil
	}
	var change Change
	if err := json.Unmarshal(data, &change); err != nil {
		return fmt.Errorf("%w: a change that cannot be read: %w", asset.ErrUnavailable, err)
	}
	return take(change)
}
