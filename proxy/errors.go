package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strconv"

	"github.com/assetmatrix/assetmatrix/asset"
)

// What only the front door can refuse.
var (
	errFraming     = errors.New("malformed request")
	errMethod      = errors.New("method not allowed")
	errUnknown     = errors.New("method unknown")
	errPathLong    = errors.New("path too long")
	errHeadersLong = errors.New("headers too large")
	errVersion     = errors.New("HTTP version not supported")
	errRange       = errors.New("range not satisfiable")
	errNotCached   = errors.New("not in a cache")
	errSlow        = errors.New("request too slow")
	errExpectation = errors.New("expectation failed")
)

// A class is what the client is told of one kind of error.
type class struct {
	kind   error
	status int
	name   string // the last segment of the problem type
	title  string
	// fresh is how long the answer may be cached, in seconds; 0 is no-store. What a client's next upload would mend is
	// kept so briefly that nobody waits for it, and long enough that a crowd on a dead URL is held off by the CDN.
	fresh int
	// retry is the least number of seconds after which to come back; up to as many again are added at random, so that
	// those who were refused together do not return together. 0 is no Retry-After.
	retry int
	// close ends the connection, because what follows on it cannot be trusted to be a request.
	close bool
}

// classes is the one table of errors. The first kind that the error is, in this order, decides.
var classes = []class{
	{kind: errFraming, status: 400, name: "malformed-request", title: "The request is not well-formed HTTP", close: true},
	{kind: errMethod, status: 405, name: "method-not-allowed", title: "This method is not allowed here"},
	{kind: errUnknown, status: 501, name: "method-unknown", title: "This method is not known"},
	{kind: errPathLong, status: 414, name: "path-too-long", title: "The path is too long", close: true},
	{kind: errHeadersLong, status: 431, name: "headers-too-large", title: "The headers are too large", close: true},
	{kind: errVersion, status: 505, name: "http-version", title: "This version of HTTP is not spoken here", close: true},
	{kind: errRange, status: 416, name: "range-not-satisfiable", title: "The range lies outside"},
	{kind: errNotCached, status: 504, name: "not-cached", title: "Not in a cache, and only-if-cached was asked for"},
	{kind: errSlow, status: 408, name: "request-timeout", title: "The request did not arrive in time", close: true},
	{kind: errExpectation, status: 417, name: "expectation-failed", title: "This expectation cannot be met", close: true},
	{kind: asset.ErrInvalid, status: 400, name: "invalid-request", title: "The URL is malformed or out of range", fresh: 10},
	{kind: asset.ErrForbidden, status: 403, name: "forbidden", title: "This may not be had"},
	{kind: asset.ErrNotFound, status: 404, name: "not-found", title: "There is no such thing here", fresh: 10},
	{kind: asset.ErrConflict, status: 409, name: "conflict", title: "This collides with what is there"},
	{kind: asset.ErrGone, status: 410, name: "gone", title: "This was withdrawn", fresh: 10},
	{kind: asset.ErrPrecondition, status: 412, name: "precondition-failed", title: "A precondition does not hold"},
	{kind: asset.ErrTooLarge, status: 413, name: "too-large", title: "The picture is over a limit", fresh: 60},
	{kind: asset.ErrMediaType, status: 415, name: "unsupported-media-type", title: "This kind of file cannot be used so", fresh: 60},
	{kind: asset.ErrUndecodable, status: 422, name: "undecodable", title: "The stored file is damaged", fresh: 60},
	{kind: asset.ErrNotImplemented, status: 501, name: "not-implemented", title: "This version does not do that yet", fresh: 60},
	{kind: asset.ErrOverloaded, status: 503, name: "overloaded", title: "Too much is being asked for", retry: 2},
	{kind: asset.ErrUnavailable, status: 503, name: "unavailable", title: "This cannot be answered now", retry: 2},
	{kind: asset.ErrCorrupt, status: 503, name: "unavailable", title: "This cannot be answered now", retry: 5},
	{kind: asset.ErrTimeout, status: 504, name: "timeout", title: "This took too long", retry: 5},
	{kind: context.DeadlineExceeded, status: 504, name: "timeout", title: "This took too long", retry: 5},
	{kind: context.Canceled, status: 503, name: "unavailable", title: "This cannot be answered now", retry: 2},
}

// unforeseen is the class of every error that the table does not have.
var unforeseen = class{status: 500, name: "internal", title: "Something went wrong here"}

// classify finds an error's row.
func classify(err error) class {
	for _, c := range classes {
		if errors.Is(err, c.kind) {
			return c
		}
	}
	return unforeseen
}

// problemBase is what the problem types have in common.
const problemBase = "https://assetmatrix.dev/problems/"

// A problem is the body of an error (RFC 9457). Only a Fault has words of its own to show.
type problem struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	Status  int    `json:"status"`
	Detail  string `json:"detail,omitempty"`
	Part    string `json:"part,omitempty"`
	Allowed string `json:"allowed,omitempty"`
}

// problemOf returns the row and the body for an error.
func problemOf(err error) (class, []byte) {
	c := classify(err)
	p := problem{Type: problemBase + c.name, Title: c.title, Status: c.status}
	if f, ok := errors.AsType[*asset.Fault](err); ok && c.status != unforeseen.status {
		p.Detail, p.Part, p.Allowed = f.Detail, f.Part, f.Allowed
	}
	text, _ := json.Marshal(p) // strings and a number: it cannot fail
	return c, append(text, '\n')
}

// cacheControl is the row's Cache-Control.
func (c class) cacheControl() string {
	if c.fresh == 0 {
		return "no-store"
	}
	return "public, max-age=" + strconv.Itoa(c.fresh)
}

// retryAfter is the row's Retry-After in seconds, different each time; 0 when there is none.
func (c class) retryAfter() int {
	if c.retry == 0 {
		return 0
	}
	return c.retry + rand.IntN(c.retry+1)
}
