package control

import (
	"bytes"
	"fmt"
	"net"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A listener makes problems of what package http refuses by itself.
type listener struct{ inner net.Listener }

// Accept returns the next connection.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.inner.Accept()
	if tcp, ok := c.(*net.TCPConn); ok && err == nil {
		return conn{tcp}, nil
	}
	return c, err
}

// Close stops listening.
func (l listener) Close() error { return l.inner.Close() }

// Addr returns the address.
func (l listener) Addr() net.Addr { return l.inner.Addr() }

// A conn puts a problem in the place of the plain text that package http writes, past every handler and in one piece,
// for a request that it cannot read.
type conn struct{ inner *net.TCPConn }

// plainHead is what stands behind the status line of such an answer, and of no other.
var plainHead = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

// Write writes p, or the problem that it stands for.
func (c conn) Write(p []byte) (int, error) {
	line, _, plain := bytes.Cut(p, plainHead)
	if !plain || !bytes.HasPrefix(p, []byte("HTTP/1.1 ")) || bytes.IndexByte(line, '\n') >= 0 {
		return c.inner.Write(p)
	}
	answer := unparsed(string(line[len("HTTP/1.1 "):][:3]))
	if _, err := c.inner.Write(answer); err != nil {
		return 0, err
	}
	return len(p), nil
}

// unparsed returns the whole answer to a request that package http refused with that status.
func unparsed(status string) []byte {
	err := fault(asset.ErrMalformed, "request", "the request cannot be read", "HTTP/1.1 with one Host and a path that is percent-encoded well")
	switch status {
	case "431":
		err = fault(asset.ErrHeadersTooLarge, "headers", "the headers are too large", fmt.Sprintf("up to %d bytes", maxHeaderBytes))
	case "501":
		err = fault(errCoding, "Transfer-Encoding", "this coding is not known", "chunked, or a Content-Length")
	case "505":
		err = fault(asset.ErrHTTPVersion, "version", "this version is not spoken", "HTTP/1.1")
	}
	return problemOf(err).message()
}

// Read reads.
func (c conn) Read(p []byte) (int, error) { return c.inner.Read(p) }

// Close closes the connection.
func (c conn) Close() error { return c.inner.Close() }

// CloseWrite ends what is sent; package http does so to let a refusal arrive.
func (c conn) CloseWrite() error { return c.inner.CloseWrite() }

// LocalAddr returns our address.
func (c conn) LocalAddr() net.Addr { return c.inner.LocalAddr() }

// RemoteAddr returns the client's address.
func (c conn) RemoteAddr() net.Addr { return c.inner.RemoteAddr() }

// SetDeadline bounds reads and writes.
func (c conn) SetDeadline(t time.Time) error { return c.inner.SetDeadline(t) }

// SetReadDeadline bounds reads.
func (c conn) SetReadDeadline(t time.Time) error { return c.inner.SetReadDeadline(t) }

// SetWriteDeadline bounds writes.
func (c conn) SetWriteDeadline(t time.Time) error { return c.inner.SetWriteDeadline(t) }
