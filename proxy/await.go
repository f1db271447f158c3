package proxy

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/assetmatrix/assetmatrix/asset"
)

// minRevision is the header that demands a revision, as min_revision does in the query.
const minRevision = "Asset-Min-Revision"

// maxWaiting is how many requests wait for a revision at once. Each of them is woken by every commit, and a revision
// that will not come for years can be demanded by anybody.
const maxWaiting = 1024

// demand reads the header, which is none when it is empty; of it and the query the larger counts.
func (x *exchange) demand() error {
	if x.request.minRevision == nil {
		return nil
	}
	n, err := strconv.ParseUint(string(x.request.minRevision), 10, 64)
	if err != nil {
		return errors.Join(errHeader, &asset.Fault{
			Kind: asset.ErrInvalid, Part: minRevision, Detail: fmt.Sprintf("%s cannot be %.48q", minRevision, x.request.minRevision),
			Allowed: "a revision: a decimal number, once",
		})
	}
	x.target.MinRevision = max(x.target.MinRevision, n)
	return nil
}

// await waits, at most for RevisionWait, until the replica has the revision that x demands, and reports whether it is
// worth looking again. All that waits is the client's connection. The wait ends early when the client leaves, and when
// the server is cut off; while it drains the request is one that has begun.
func (s *Server) await(x *exchange) bool {
	if s.config.RevisionWait == 0 {
		return false
	}
	defer s.waiting.Add(-1)
	if s.waiting.Add(1) > maxWaiting {
		s.events.shed("revision")
		return false
	}
	ctx, cancel := context.WithTimeout(s.life, s.config.RevisionWait)
	defer cancel()
	if c, ok := x.ctx.Conn().(*conn); ok {
		defer c.watch(cancel)()
	}
	return s.replica.Await(ctx, x.target.MinRevision) == nil
}

// watch calls left when the client closes its side, until stop is called. What the client sends meanwhile stays in the
// socket, and proves that it is there. Nobody else may read from the connection before stop has returned.
func (c *conn) watch(left func()) (stop func()) {
	socket, ok := c.inner.(syscall.Conn)
	if !ok {
		return func() {}
	}
	raw, err := socket.SyscallConn()
	if err != nil || c.inner.SetReadDeadline(time.Time{}) != nil {
		return func() {}
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = raw.Read(func(fd uintptr) bool { return peek(int(fd), left) })
	}()
	return func() {
		c.readArmed = time.Unix(1, 0) // long past, so that the read ends, and the next one sets its own
		_ = c.inner.SetReadDeadline(c.readArmed)
		<-over
	}
}

// peek reports whether there is something to know: that the client sent more, or that it left.
func peek(fd int, left func()) (known bool) {
	n, _, err := unix.Recvfrom(fd, make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	switch {
	case err == unix.EAGAIN, err == unix.EINTR:
		return false
	case err != nil, n == 0:
		left()
	}
	return true
}
