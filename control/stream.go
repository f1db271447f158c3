package control

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A body is a request's body whose deadline rolls: it is cut when nothing arrives for a while, however long it takes
// when something does.
type body struct {
	inner io.ReadCloser
	conn  *http.ResponseController
	stall time.Duration
	ended bool // nothing more is to come
	cut   bool // nothing arrived for too long
}

// newBody sets the first deadline: it also ends the moment for which package http reads on after a refusal.
func newBody(inner io.ReadCloser, conn *http.ResponseController, stall time.Duration) *body {
	b := &body{inner: inner, conn: conn, stall: stall, ended: inner == http.NoBody}
	b.move()
	return b
}

// Read reads on.
func (b *body) Read(p []byte) (int, error) {
	if b.move(); b.ended {
		return 0, io.EOF
	}
	n, err := b.inner.Read(p)
	b.ended = errors.Is(err, io.EOF)
	b.cut = errors.Is(err, os.ErrDeadlineExceeded)
	return n, err
}

// move sets the deadline anew, except behind the end: from there on package http reads the connection without one, to
// notice that the client leaves, and would take a deadline for that. Setting it fails only when the connection is
// closed, which reading finds out.
func (b *body) move() {
	if !b.ended {
		_ = b.conn.SetReadDeadline(time.Now().Add(b.stall))
	}
}

// Close closes the body.
func (b *body) Close() error { return b.inner.Close() }

// explain puts the reason in the place of err when the body was cut.
func (b *body) explain(err error) error {
	if err == nil || !b.cut {
		return err
	}
	return fault(asset.ErrSlow, "body", "nothing of the body arrived for too long", fmt.Sprintf("pauses of up to %s", b.stall))
}

// bodyOf returns the body that serve gave the request.
func bodyOf(r *http.Request) *body { return r.Body.(*body) }

// readSmall reads a body of at most limit bytes.
func readSmall(r *http.Request, limit int64) ([]byte, error) {
	tooLarge := fault(asset.ErrTooLarge, "body", "the body is too large", fmt.Sprintf("up to %d bytes", limit))
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	switch {
	case err != nil:
		return nil, bodyOf(r).explain(fault(asset.ErrInvalid, "body", "the body was truncated", ""))
	case int64(len(data)) > limit:
		return nil, tooLarge
	}
	return data, nil
}

// An answer is a response whose deadline rolls in the same way, and that knows whether it has begun.
type answer struct {
	inner http.ResponseWriter
	conn  *http.ResponseController
	stall time.Duration
	begun bool
}

// newAnswer returns an answer that has no deadline before it begins; package http takes the last one away at its end.
func newAnswer(inner http.ResponseWriter, stall time.Duration) *answer {
	return &answer{inner: inner, conn: http.NewResponseController(inner), stall: stall}
}

// Header returns the header.
func (a *answer) Header() http.Header { return a.inner.Header() }

// WriteHeader begins the answer.
func (a *answer) WriteHeader(status int) {
	a.move()
	a.inner.WriteHeader(status)
}

// Write sends a part of the answer.
func (a *answer) Write(p []byte) (int, error) {
	a.move()
	return a.inner.Write(p)
}

// move sets the deadline anew. It is twice as long as that of the body, because package http may wait for the rest of
// a body that was refused before it sends anything.
func (a *answer) move() {
	a.begun = true
	_ = a.conn.SetWriteDeadline(time.Now().Add(2 * a.stall))
}

// Unwrap returns the response, for [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.inner }
