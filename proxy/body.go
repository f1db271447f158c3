package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A body streams a span of an object that is not in memory, and releases the object when fasthttp closes it, which it
// does after the write, after a failed one, and after HEAD.
//
// It never ends early without an error: an error makes fasthttp drop the connection, so that a client that counts
// Content-Length sees a broken message.
type body struct {
	object *asset.Object
	span   span
	broken func(asset.Key, error) // told of bytes that could not be read
}

var (
	_ io.ReadCloser = (*body)(nil)
	_ io.WriterTo   = (*body)(nil)
)

// chunks are the buffers of bodies on their way out.
var chunks = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	if b.span.length() <= 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), b.span.length())]
	n, err := b.object.ReadAt(p, b.span.start)
	b.span.start += int64(n)
	if n == len(p) {
		return n, nil // io.ReaderAt may say io.EOF with the last byte
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	b.broken(b.object.Key, err)
	return n, fmt.Errorf("read %s: %w", b.object.Key, err)
}

// WriteTo implements [io.WriterTo]; without it fasthttp copies 4 KiB at a time.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	chunk := chunks.Get().(*[64 << 10]byte)
	defer chunks.Put(chunk)
	var sum int64
	for b.span.length() > 0 {
		n, err := b.Read(chunk[:])
		if err != nil {
			return sum, err
		}
		m, err := w.Write(chunk[:n])
		sum += int64(m)
		if err != nil {
			return sum, err
		}
	}
	return sum, nil
}

// Close releases the object.
func (b *body) Close() error {
	b.object.Release()
	return nil
}

// A held body is bytes in memory that are more than fasthttp's buffer takes. They go out with the headers in one system
// call, uncopied. It is part of its conn, which sends one answer at a time.
type held struct {
	bytes.Reader
	conn *conn
	text []byte
}

var _ io.WriterTo = (*held)(nil)

// hold makes text the body that the connection sends next.
func (c *conn) hold(text []byte) *held {
	c.out.conn, c.out.text = c, text
	c.out.Reset(text)
	return &c.out
}

// WriteTo implements [io.WriterTo].
func (h *held) WriteTo(w io.Writer) (int64, error) {
	buffered, ok := w.(*bufio.Writer)
	if !ok {
		return h.Reader.WriteTo(w)
	}
	n, err := h.conn.writeAfter(buffered, h.text)
	return int64(n), err
}

// Close lets go of the bytes.
func (h *held) Close() error {
	h.text = nil
	h.Reset(nil)
	return nil
}
