package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/control/client"
)

// What only the management API can refuse.
var (
	errFraming     = errors.New("malformed request")
	errHeadersLong = errors.New("headers too large")
	errCoding      = errors.New("transfer coding unknown")
	errVersion     = errors.New("HTTP version not supported")
	errMethod      = errors.New("method not allowed")
	errSlow        = errors.New("request too slow")
	errContent     = errors.New("content cannot be used")
	errNotReady    = errors.New("not ready")
	errPanic       = errors.New("panic")
)

// A class is what the client is told of one kind of error.
type class struct {
	kind   error
	status int
	name   string // the last segment of the problem type
	title  string
	// retry is the least number of seconds after which to come back; up to as many again are added at random, so that
	// those who were refused together do not return together. 0 is no Retry-After.
	retry int
}

// classes is the one table of errors. The first kind that the error is, in this order, decides.
var classes = []class{
	{kind: errFraming, status: 400, name: "malformed-request", title: "The request is not well-formed HTTP"},
	{kind: errHeadersLong, status: 431, name: "headers-too-large", title: "The headers are too large"},
	{kind: errCoding, status: 501, name: "transfer-coding", title: "This transfer coding is not known"},
	{kind: errVersion, status: 505, name: "http-version", title: "This version of HTTP is not spoken here"},
	{kind: errMethod, status: 405, name: "method-not-allowed", title: "This method is not allowed here"},
	{kind: errSlow, status: 408, name: "request-timeout", title: "The request did not arrive in time"},
	{kind: errContent, status: 422, name: "invalid-content", title: "The body says something that cannot be"},
	{kind: errNotReady, status: 503, name: "not-ready", title: "The server is not ready", retry: 1},
	{kind: asset.ErrInvalid, status: 400, name: "invalid-request", title: "The request is malformed or out of range"},
	{kind: asset.ErrForbidden, status: 403, name: "forbidden", title: "This may not be done from here"},
	{kind: asset.ErrNotFound, status: 404, name: "not-found", title: "There is no such thing here"},
	{kind: asset.ErrConflict, status: 409, name: "conflict", title: "This collides with what is there"},
	{kind: asset.ErrGone, status: 410, name: "gone", title: "This was withdrawn"},
	{kind: asset.ErrPrecondition, status: 412, name: "precondition-failed", title: "A precondition does not hold"},
	{kind: asset.ErrTooLarge, status: 413, name: "too-large", title: "This is over a limit"},
	{kind: asset.ErrMediaType, status: 415, name: "unsupported-media-type", title: "This kind of content cannot be used so"},
	{kind: asset.ErrUndecodable, status: 422, name: "undecodable", title: "The file is damaged"},
	{kind: asset.ErrNotImplemented, status: 501, name: "not-implemented", title: "This version does not do that yet"},
	{kind: asset.ErrOverloaded, status: 503, name: "overloaded", title: "Too much is being asked for", retry: 2},
	{kind: asset.ErrUnavailable, status: 503, name: "unavailable", title: "This cannot be answered now", retry: 2},
	{kind: asset.ErrCorrupt, status: 503, name: "unavailable", title: "This cannot be answered now", retry: 5},
	{kind: asset.ErrTimeout, status: 504, name: "timeout", title: "This took too long", retry: 5},
	{kind: context.DeadlineExceeded, status: 504, name: "timeout", title: "This took too long", retry: 5},
	{kind: context.Canceled, status: 503, name: "unavailable", title: "This cannot be answered now", retry: 2},
}

// unforeseen is the class of every error that the table does not have.
var unforeseen = class{status: 500, name: "internal", title: "Something went wrong here"}

// problemBase is what the problem types have in common.
const problemBase = "https://assetmatrix.dev/problems/"

func classify(err error) class {
	for _, c := range classes {
		if errors.Is(err, c.kind) {
			return c
		}
	}
	return unforeseen
}

// A problem is the answer to an error. It has what huma asks of one.
type problem struct {
	client.Problem
	class class
}

const problemType = "application/problem+json"

// problemOf returns the answer to err. Only a Fault has words of its own to show.
func problemOf(err error) *problem {
	c := classify(err)
	p := &problem{client.Problem{Type: problemBase + c.name, Title: c.title, Status: c.status}, c}
	if f, ok := errors.AsType[*asset.Fault](err); ok && c.status != unforeseen.status {
		p.Detail, p.Part, p.Allowed = f.Detail, f.Part, f.Allowed
	}
	return p
}

// GetStatus returns the answer's status.
func (p *problem) GetStatus() int { return p.Status }

// ContentType returns the media type of every problem.
func (p *problem) ContentType(string) string { return problemType }

// GetHeaders returns the headers that go with the problem.
func (p *problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.class.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(p.class.retry+rand.IntN(p.class.retry+1)))
	}
	if p.class.kind == errMethod {
		h.Set("Allow", p.Allowed)
	}
	return h
}

// text returns the document.
func (p *problem) text() []byte {
	text, _ := json.Marshal(p.Problem) // strings and a number: it cannot fail
	return append(text, '\n')
}

// write answers with the problem.
func (p *problem) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), p.GetHeaders())
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	_, _ = w.Write(p.text())
}

// message returns the problem as a whole HTTP message that ends its connection.
func (p *problem) message() []byte {
	text := p.text()
	h := p.GetHeaders()
	h.Set("Content-Type", problemType)
	setAlways(h)
	var b bytes.Buffer
	_ = (&http.Response{ // into memory: it cannot fail
		StatusCode: p.Status, ProtoMajor: 1, ProtoMinor: 1, Header: h, Close: true,
		ContentLength: int64(len(text)), Body: io.NopCloser(bytes.NewReader(text)),
	}).Write(&b)
	return b.Bytes()
}

// setAlways sets the headers that every answer has.
func setAlways(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}

// problem returns the answer to err, and tells of it when it is the server's fault.
func (s *Server) problem(r *http.Request, err error) *problem {
	p := problemOf(err)
	left := errors.Is(err, context.Canceled) && r.Context().Err() != nil
	if p.Status >= 500 && !left && s.deps.Events.Failed != nil {
		s.deps.Events.Failed(r.Method, r.URL.Path, err)
	}
	return p
}

func fault(kind error, part, detail, allowed string) error {
	return &asset.Fault{Kind: kind, Part: part, Detail: detail, Allowed: allowed}
}
