package control

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"

	"github.com/assetmatrix/assetmatrix/asset"
)

// What only the management API can refuse.
var (
	errCoding   = errors.New("transfer coding unknown")
	errContent  = errors.New("content cannot be used")
	errNotReady = errors.New("not ready")
	errRange    = errors.New("range not satisfiable")
	errEdge     = errors.New("not on an edge")
	errNoToken  = errors.New("no token")
	errToken    = errors.New("token unknown")
	errScope    = errors.New("token does not reach so far")
	errPanic    = errors.New("panic")
)

// refusals are their classes; those of the sentinels are in package asset, and a panic is something that nobody foresaw.
var refusals = []asset.Class{
	{Kind: errCoding, Status: 501, Name: "transfer-coding", Title: "This transfer coding is not known"},
	{Kind: errContent, Status: 422, Name: "invalid-content", Title: "The body says something that cannot be"},
	{Kind: errRange, Status: 416, Name: "range-not-satisfiable", Title: "There is no such range"},
	{Kind: errEdge, Status: 421, Name: "edge", Title: "This process is an edge, and does not manage the matrix"},
	{Kind: errNoToken, Status: 401, Name: "unauthorized", Title: "A token is needed here"},
	{Kind: errToken, Status: 401, Name: "unauthorized", Title: "A token is needed here"},
	{Kind: errScope, Status: 403, Name: "forbidden", Title: "The token does not allow this"},
	{Kind: errNotReady, Status: 503, Name: "not-ready", Title: "The server is not ready", Retry: 1},
}

// A problem is the answer to an error. It has what huma asks of one.
type problem struct {
	asset.Problem
	class asset.Class
}

func problemOf(err error) *problem {
	c := asset.Classify(err, refusals)
	return &problem{c.Problem(err), c}
}

// GetStatus returns the answer's status.
func (p *problem) GetStatus() int { return p.Status }

// ContentType returns the media type of every problem.
func (p *problem) ContentType(string) string { return asset.ProblemMediaType }

// GetHeaders returns the headers that go with the problem.
func (p *problem) GetHeaders() http.Header {
	h := http.Header{}
	if seconds := p.class.RetryAfter(); seconds > 0 {
		h.Set("Retry-After", strconv.Itoa(seconds))
	}
	if p.class.Kind == asset.ErrMethod {
		h.Set("Allow", p.Allowed)
	}
	if challenge := challenges[p.class.Kind]; challenge != "" {
		h.Set("WWW-Authenticate", challenge)
	}
	return h
}

// challenges are the values of WWW-Authenticate (RFC 6750 §3).
var challenges = map[error]string{
	errNoToken: `Bearer realm="assetmatrix"`,
	errToken:   `Bearer realm="assetmatrix", error="invalid_token"`,
	errScope:   `Bearer realm="assetmatrix", error="insufficient_scope"`,
}

// write answers with the problem.
func (p *problem) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), p.GetHeaders())
	w.Header().Set("Content-Type", asset.ProblemMediaType)
	w.WriteHeader(p.Status)
	_, _ = w.Write(p.Document())
}

// message returns the problem as a whole HTTP message that ends its connection.
func (p *problem) message() []byte {
	text := p.Document()
	h := p.GetHeaders()
	h.Set("Content-Type", asset.ProblemMediaType)
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
