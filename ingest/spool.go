package ingest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/assetmatrix/assetmatrix/asset"
)

const spoolPrefix = "upload-"

// A spool is an upload in a file that has no name: it is gone when it is closed, or when the process dies.
type spool struct{ file *os.File }

// ReadAt reads from the file.
func (s spool) ReadAt(p []byte, off int64) (int, error) { return s.file.ReadAt(p, off) }

// File returns the file.
func (s spool) File() (*os.File, error) { return s.file, nil }

// Close closes the file, which ends it.
func (s spool) Close() error { return s.file.Close() }

func newSpool(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, spoolPrefix+"*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// receive streams a body of size bytes (-1: unknown) into the spool while it is hashed.
func receive(ctx context.Context, cfg Config, body io.Reader, size int64) (*asset.Object, error) {
	f, err := newSpool(cfg.SpoolDir)
	if err != nil {
		return nil, fmt.Errorf("spool: %w: %w", asset.ErrUnavailable, err)
	}
	sum := sha256.New()
	src := &source{ctx: ctx, r: body}
	n, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(src, cfg.MaxBytes+1))
	if err = received(cfg, src.err, err, n, size); err != nil {
		_ = f.Close()
		return nil, err
	}
	k := asset.Key{Original: asset.Digest(sum.Sum(nil))}
	return asset.NewBodyObject(k, "", n, spool{f}), nil
}

// received judges n bytes of a body that was to have size, and what ended it.
func received(cfg Config, readErr, err error, n, size int64) error {
	switch {
	case errors.Is(readErr, context.Canceled), errors.Is(readErr, context.DeadlineExceeded):
		return readErr
	case readErr != nil && size < 0:
		return fault(asset.ErrInvalid, "body", "the body was truncated, it broke off after %d bytes", n)
	case readErr != nil, err == nil && size >= 0 && n < size:
		return fault(asset.ErrInvalid, "body", "the body was truncated, it ended after %d of %d bytes", n, size)
	case err != nil:
		return fmt.Errorf("spool: %w: %w", asset.ErrUnavailable, err)
	case n > cfg.MaxBytes:
		return errTooLarge(cfg.MaxBytes)
	case n == 0:
		return errEmpty()
	case size >= 0 && n > size:
		return fault(asset.ErrInvalid, "body", "the body is longer than the %d bytes that were announced", size)
	}
	return nil
}

func errEmpty() error { return fault(asset.ErrInvalid, "body", "the body is empty") }

func errTooLarge(limit int64) error {
	return &asset.Fault{
		Kind: asset.ErrTooLarge, Part: "body", Detail: "the body is too large", Allowed: fmt.Sprintf("up to %d bytes", limit),
	}
}

// A source is the body. It ends with its context and remembers that reading failed, so that a client who broke off can
// be told from a disk that is full.
type source struct {
	ctx context.Context
	r   io.Reader
	err error
}

// Read reads from the body.
func (s *source) Read(p []byte) (int, error) {
	if s.err = s.ctx.Err(); s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// locks are one lock for each digest that is on its way. The zero value has none.
type locks struct {
	mu   sync.Mutex                     // guards held
	held map[asset.Digest]chan struct{} // closed when the lock is given back
}

func (l *locks) lock(d asset.Digest) {
	for {
		l.mu.Lock()
		busy, held := l.held[d]
		if !held {
			if l.held == nil {
				l.held = map[asset.Digest]chan struct{}{}
			}
			l.held[d] = make(chan struct{})
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		<-busy
	}
}

func (l *locks) unlock(d asset.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.held[d])
	delete(l.held, d)
}
