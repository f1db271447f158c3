package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"

	"github.com/assetmatrix/assetmatrix/asset"
)

// drainGrace is how long a connection without a request is kept once the drain has begun, so that a request that was
// already on its way is answered and not reset.
const drainGrace = 100 * time.Millisecond

// lingerTime is how long a refused client is listened to, so that the kernel does not answer the rest of what it sends
// with a reset that would take our answer from it.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 1 << 20
)

// A listener hands fasthttp connections of our own and knows all of them.
type listener struct {
	inner    net.Listener
	maxConns int
	timeout  time.Duration // of writes
	shed     func()        // told of a connection over the limit
	draining atomic.Bool

	mu    sync.Mutex // guards conns and empty
	conns map[*conn]struct{}
	empty chan struct{} // closed when draining and no connection is left
}

var _ net.Listener = (*listener)(nil)

func newListener(inner net.Listener, cfg Config, shed func()) *listener {
	return &listener{
		inner: inner, maxConns: cfg.MaxConnections, timeout: cfg.WriteTimeout, shed: shed,
		conns: map[*conn]struct{}{}, empty: make(chan struct{}),
	}
}

// Accept returns the next connection. It waits out what passes (no file descriptors left, a client that was gone before
// it was accepted): fasthttp takes every error for the end. A connection over the limit is told so and closed.
func (l *listener) Accept() (net.Conn, error) {
	pause := time.Millisecond
	for {
		c, err := l.inner.Accept()
		switch {
		case passes(err):
			time.Sleep(pause)
			pause = min(2*pause, time.Second)
			continue
		case err != nil:
			return nil, err
		}
		if own := l.admit(c); own != nil {
			return own, nil
		}
		l.shed()
		refuse(c)
	}
}

// passes reports whether Accept may well succeed if it is tried again.
func passes(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// admit wraps and remembers c, or returns nil when there are too many.
func (l *listener) admit(c net.Conn) *conn {
	own := &conn{inner: c, listener: l}
	own.awaiting.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.conns) >= l.maxConns {
		return nil
	}
	l.conns[own] = struct{}{}
	return own
}

// forget is called once by every connection as it closes.
func (l *listener) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	l.signalEmpty()
}

// signalEmpty tells the drain that the last connection is gone. l.mu is held.
func (l *listener) signalEmpty() {
	if !l.draining.Load() || len(l.conns) > 0 {
		return
	}
	select {
	case <-l.empty:
	default:
		close(l.empty)
	}
}

// drain stops accepting and gives the connections that have no request their grace. The channel is closed when all
// connections are.
//
// A connection may go idle while drain runs. Read arms its deadline first and looks at draining afterwards, drain sets
// draining first and the deadlines afterwards: whichever comes last, the short deadline stands.
func (l *listener) drain() <-chan struct{} {
	l.draining.Store(true)
	_ = l.inner.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		if c.awaiting.Load() {
			_ = c.inner.SetReadDeadline(time.Now().Add(drainGrace))
		}
	}
	l.signalEmpty()
	return l.empty
}

// abort closes what is still open.
func (l *listener) abort() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.inner.Close()
	}
}

// Close implements [net.Listener].
func (l *listener) Close() error { return l.inner.Close() }

// Addr implements [net.Listener].
func (l *listener) Addr() net.Addr { return l.inner.Addr() }

// A conn is a client's connection with deadlines of its own making:
//
//   - Each write has a rolling deadline. A client may take as long as it likes while it keeps reading; one that takes
//     nothing off the send queue for the write timeout is closed. (fasthttp's WriteTimeout is one deadline for a whole
//     answer, and cuts slow large downloads.)
//   - Read deadlines are set on the socket only when they have moved by an eighth, and only before a read that may
//     block: fasthttp sets two per request.
type conn struct {
	inner    net.Conn
	listener *listener

	// awaiting: no byte of a next request has come since the last answer.
	awaiting atomic.Bool
	// linger: the client may still be sending what we refused to read.
	linger bool
	closed atomic.Bool

	readBy, readArmed time.Time // as fasthttp wants it, as it is set
	writeArmed        time.Time
	unended           int // bytes read since the last line feed

	out    held        // the body in memory that is being sent
	corked bool        // Write keeps in head
	head   []byte      // what is sent before a body, see writeAfter
	parts  [2][]byte   // backs vector
	vector net.Buffers // what writeAfter has left to send
}

var _ net.Conn = (*conn)(nil)

// Read implements [net.Conn]. A connection that times out, or drains, without a byte of a request just ends.
func (c *conn) Read(p []byte) (int, error) {
	if err := c.armRead(); err != nil {
		return 0, err
	}
	n, err := c.inner.Read(p)
	if n > 0 {
		c.awaiting.Store(false)
		c.count(p[:n])
	} else if errors.Is(err, os.ErrDeadlineExceeded) && c.awaiting.Load() {
		err = io.EOF
	}
	return n, err
}

// armRead sets the deadline for the read that comes.
func (c *conn) armRead() error {
	now := time.Now()
	if drift := c.readBy.Sub(c.readArmed); drift < 0 || drift > c.readBy.Sub(now)/8 {
		if err := c.inner.SetReadDeadline(c.readBy); err != nil {
			return err
		}
		c.readArmed = c.readBy
	}
	if c.listener.draining.Load() && c.awaiting.Load() {
		c.readArmed = now.Add(drainGrace)
		return c.inner.SetReadDeadline(c.readArmed)
	}
	return nil
}

// count keeps the length of the line that is being read.
func (c *conn) count(p []byte) {
	if i := bytes.LastIndexByte(p, '\n'); i >= 0 {
		c.unended = len(p) - 1 - i
	} else {
		c.unended += len(p)
	}
}

// Write implements [net.Conn].
func (c *conn) Write(p []byte) (int, error) {
	c.awaiting.Store(true)
	if c.corked {
		c.head = append(c.head, p...)
		return len(p), nil
	}
	sum := 0
	return sum, c.roll(func() (int, error) {
		n, err := c.inner.Write(p[sum:])
		sum += n
		return n, err
	})
}

// writeAfter sends what w has buffered for c and then p, in one system call where the system allows it.
func (c *conn) writeAfter(w *bufio.Writer, p []byte) (int, error) {
	c.head, c.corked = c.head[:0], true
	err := w.Flush()
	c.corked = false
	if err != nil {
		return 0, err
	}
	c.parts = [2][]byte{c.head, p}
	c.vector = c.parts[:]
	err = c.roll(func() (int, error) {
		n, err := c.vector.WriteTo(c.inner)
		return int(n), err
	})
	left := min(size(c.vector), len(p))
	c.parts, c.vector = [2][]byte{}, nil
	return len(p) - left, err
}

func size(parts [][]byte) (n int) {
	for _, p := range parts {
		n += len(p)
	}
	return n
}

// roll repeats write, which does the rest of its work each time, until it is done or failed. It gives up when half the
// write timeout passes twice in which the client took nothing.
func (c *conn) roll(write func() (int, error)) error {
	for queued := -1; ; {
		if err := c.armWrite(); err != nil {
			return err
		}
		n, err := write()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		left := c.unsent()
		if n == 0 && queued >= 0 && left >= queued {
			return err
		}
		queued = left
	}
}

// armWrite moves the write deadline when a quarter of its time is gone.
func (c *conn) armWrite() error {
	now, half := time.Now(), c.listener.timeout/2
	if c.writeArmed.Sub(now) > half-half/4 {
		return nil
	}
	c.writeArmed = now.Add(half)
	return c.inner.SetWriteDeadline(c.writeArmed)
}

// unsent returns the bytes in the socket's send queue, 0 where that cannot be known.
func (c *conn) unsent() int {
	queued := 0
	if sc, ok := c.inner.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { queued, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
		}
	}
	return queued
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	defer c.listener.forget(c)
	if half, ok := c.inner.(interface{ CloseWrite() error }); ok && c.linger && half.CloseWrite() == nil {
		_ = c.inner.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, c.inner, lingerBytes)
	}
	return c.inner.Close()
}

// LocalAddr implements [net.Conn].
func (c *conn) LocalAddr() net.Addr { return c.inner.LocalAddr() }

// RemoteAddr implements [net.Conn].
func (c *conn) RemoteAddr() net.Addr { return c.inner.RemoteAddr() }

// SetDeadline implements [net.Conn].
func (c *conn) SetDeadline(t time.Time) error {
	c.readBy = t
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements [net.Conn]: the next Read sets it.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.readBy = t
	return nil
}

// SetWriteDeadline implements [net.Conn]. The rolling deadline of Write is the only one.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// refuse answers a connection over the limit without reading from it, and closes it.
func refuse(c net.Conn) {
	row, text := problemOf(&asset.Fault{Kind: asset.ErrOverloaded, Detail: "Too many connections are open."})
	_ = c.SetWriteDeadline(time.Now().Add(lingerTime))
	_, _ = fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Type: "+asset.ProblemMediaType+"\r\nContent-Length: %d\r\n"+
		"Cache-Control: no-store\r\nRetry-After: %d\r\nConnection: close\r\n\r\n%s",
		row.Status, fasthttp.StatusMessage(row.Status), len(text), row.RetryAfter(), text)
	_ = c.Close()
}
