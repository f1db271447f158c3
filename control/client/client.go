// Package client speaks the management API of an assetmatrix server. Its types are the bodies that the API sends and
// takes; the server uses the same ones, so the two cannot differ.
//
// Its one invariant: whatever the server refuses comes back as a [*asset.Problem], in the server's own words.
//
//	c, err := client.New("http://127.0.0.1:9090")
//	if err != nil { … }
//	_, err = c.PutProduct(ctx, "shop", client.ProductSpec{Presets: map[string]string{"thumb": "w=200,h=200,fit=cover"}})
//	if err != nil { … }
//	f, err := os.Open("hero.jpg")
//	if err != nil { … }
//	receipt, err := c.PutAsset(ctx, "shop", "banners/hero.jpg", f, -1, client.PutOptions{})
package client

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A Client is a client of one server. It is safe for concurrent use.
type Client struct {
	base  string
	token string
	edges bool // writes wait for them
	http  *http.Client
}

// New returns a client of the server at baseURL, such as "http://127.0.0.1:9090". It fails with [asset.ErrInvalid] when
// that is no such URL; nothing is sent.
func New(baseURL string) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%w: server %q given; allowed: http://host:port", asset.ErrInvalid, baseURL)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ExpectContinueTimeout = 2 * time.Second // how long an upload waits for the server's word
	return &Client{base: strings.TrimRight(baseURL, "/"), http: &http.Client{Transport: transport}}, nil
}

// WithToken returns a client of the same server that presents the token; "" presents none.
func (c *Client) WithToken(token string) *Client {
	with := *c
	with.token = token
	return &with
}

// WaitingForEdges returns a client of the same server whose writes are answered when every replica shows them, or when
// the server's patience is over; the answers' Edges say which.
func (c *Client) WaitingForEdges() *Client {
	with := *c
	with.edges = true
	return &with
}

// PutProduct makes a product, or gives an existing one this shape.
func (c *Client) PutProduct(ctx context.Context, product string, spec ProductSpec) (Product, error) {
	return c.PutProductIf(ctx, product, spec, Condition{})
}

// Product returns a product.
func (c *Client) Product(ctx context.Context, product string) (Product, error) {
	return get[Product](ctx, c, productPath(product))
}

// Products returns all products in the order of their names.
func (c *Client) Products(ctx context.Context) (Products, error) {
	return get[Products](ctx, c, "/v1/products")
}

// PutOptions are what an upload may demand and declare. The zero value demands nothing.
type PutOptions struct {
	// MediaType is the declared type; "" leaves it to the server to look.
	MediaType string
	// IfVersion demands that this is the current version; 0 demands nothing.
	IfVersion int
	// CreateOnly demands that the name is free.
	CreateOnly bool
	// Digest demands that the bytes have it.
	Digest *asset.Digest
	// Status is what the first upload to a name makes: ACTIVE, which "" is too, or PENDING, which is not delivered before
	// [Client.PatchAsset] makes it ACTIVE.
	Status asset.Status
}

func (o PutOptions) apply(h http.Header) {
	if o.MediaType != "" {
		h.Set("Content-Type", o.MediaType)
	}
	if o.IfVersion != 0 {
		h.Set("If-Match", strconv.Quote(strconv.Itoa(o.IfVersion)))
	}
	if o.CreateOnly {
		h.Set("If-None-Match", "*")
	}
	if o.Digest != nil {
		h.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(o.Digest[:sha256.Size])+":")
	}
}

// PutAsset uploads body, of size bytes (-1 when that is not known), as the product's name. The body is streamed, and
// nothing of it is sent when the server refuses the request by its head. Body is not closed.
func (c *Client) PutAsset(ctx context.Context, product, name string, body io.Reader, size int64, o PutOptions) (Receipt, error) {
	path := assetPath(product, name)
	if o.Status != "" {
		path += "?status=" + url.QueryEscape(string(o.Status))
	}
	req, err := c.request(ctx, http.MethodPut, path, upload(body, size))
	if err != nil {
		return Receipt{}, err
	}
	req.ContentLength = size
	o.apply(req.Header)
	req.Header.Set("Expect", "100-continue")
	return do[Receipt](c, req)
}

// upload hides that body can be closed: it is the caller's.
func upload(body io.Reader, size int64) io.Reader {
	if size == 0 {
		return http.NoBody // any other body of length 0 has an unknown length for package http
	}
	return io.NopCloser(body)
}

// Asset returns what a product's name leads to.
func (c *Client) Asset(ctx context.Context, product, name string) (Entry, error) {
	return get[Entry](ctx, c, assetPath(product, name))
}

// ListOptions choose from a product's names. The zero value is the first page of all.
type ListOptions struct {
	// Prefix is what the names begin with.
	Prefix string
	// Limit is the number of names on a page, 1–1000; 0 leaves it to the server.
	Limit int
	// Cursor is the Next of the page before.
	Cursor string
}

// List returns a page of a product's assets in the order of their names (bytewise).
func (c *Client) List(ctx context.Context, product string, o ListOptions) (Page, error) {
	q := url.Values{}
	if o.Prefix != "" {
		q.Set("prefix", o.Prefix)
	}
	if o.Limit != 0 {
		q.Set("limit", strconv.Itoa(o.Limit))
	}
	if o.Cursor != "" {
		q.Set("cursor", o.Cursor)
	}
	path := productPath(product) + "/assets"
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return get[Page](ctx, c, path)
}

// PutLink shares an asset with a product under a name, or changes which version that name is pinned to.
func (c *Client) PutLink(ctx context.Context, product, name string, spec LinkSpec) (Link, error) {
	return c.PutLinkIf(ctx, product, name, spec, Condition{})
}

func productPath(product string) string { return "/v1/products/" + url.PathEscape(product) }

func assetPath(product, name string) string {
	return productPath(product) + "/assets/" + EscapeName(name)
}

// EscapeName spells a name for a path: each segment percent-encoded, the slashes between them kept.
func EscapeName(name string) string {
	segments := strings.Split(name, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return strings.Join(segments, "/")
}

func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	req, err := c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return *new(T), err
	}
	return do[T](c, req)
}

func (c *Client) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", asset.ErrInvalid, err)
	}
	if c.edges && method != http.MethodGet {
		q := req.URL.Query()
		q.Set("wait", "edges")
		req.URL.RawQuery = q.Encode()
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return req, nil
}

// maxAnswer is the largest answer that is read, in bytes: a page of a thousand names of half a kilobyte has room.
const maxAnswer = 16 << 20

// do sends a request and reads its answer. It fails with [*asset.Problem] when the server refused.
func do[T any](c *Client, req *http.Request) (T, error) {
	var answer T
	resp, err := c.http.Do(req)
	if err != nil {
		return answer, fmt.Errorf("%w: %w", asset.ErrUnavailable, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer, fmt.Errorf("%w: the answer of %s: %w", asset.ErrUnavailable, req.URL.Host, err)
	}
	if resp.StatusCode >= 300 {
		return answer, problemOf(resp, text)
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return answer, fmt.Errorf("%w: %s does not answer like an assetmatrix server: %w", asset.ErrUnavailable, req.URL.Host, err)
	}
	return answer, nil
}
