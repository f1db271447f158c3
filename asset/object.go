package asset

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// An Object is immutable bytes with what is needed to describe them. It is safe for concurrent use.
//
// An object holds resources (a file descriptor) while it has references: whoever is given one calls Release when done,
// whoever hands one to a further goroutine calls Retain first. Objects in memory hold nothing, but the same rule goes.
type Object struct {
	// Key names the object.
	Key Key
	// MediaType is the decoded type, never one guessed from a name.
	MediaType string
	// Size is the number of bytes.
	Size int64
	// Width and Height are in px; 0 when the object is no picture.
	Width, Height int
	// Quality is the encoder's, 1–100, that was chosen for quality=auto or max-bytes; 0 when it was not chosen.
	Quality int
	// Kept is a file of this machine that holds the bytes and nothing else, until it is removed; "" when there is none. What
	// keeps the object may keep this in the place of the bytes, with what it takes to verify them.
	Kept string

	memory []byte
	body   Body
	refs   atomic.Int32
	memo   atomic.Value
}

// A Body is the bytes of an object that are not in memory.
type Body interface {
	// ReadAt fails with [ErrCorrupt] rather than return bytes whose checksum does not hold.
	io.ReaderAt
	// File returns an open file whose first Size bytes are the object's, verified; it stays open until Close. Where others
	// may write to the file it is verified in every call, so a reader that takes its time calls File once more when it is
	// done. A reader must not rely on (or move) the file offset.
	File() (*os.File, error)
	io.Closer
}

// NewObject returns an object over b, which must not change any more.
func NewObject(k Key, mediaType string, b []byte) *Object {
	o := &Object{Key: k, MediaType: mediaType, Size: int64(len(b)), memory: b}
	o.refs.Store(1)
	return o
}

// NewBodyObject returns an object over body, closed when the last reference is released.
func NewBodyObject(k Key, mediaType string, size int64, body Body) *Object {
	o := &Object{Key: k, MediaType: mediaType, Size: size, body: body}
	o.refs.Store(1)
	return o
}

// Bytes returns the object's bytes when they are in memory, else nil and false. They must not be changed.
func (o *Object) Bytes() ([]byte, bool) { return o.memory, o.body == nil }

// ReadAt implements [io.ReaderAt] over the object's bytes.
func (o *Object) ReadAt(p []byte, off int64) (int, error) {
	if o.body != nil {
		return io.NewSectionReader(o.body, 0, o.Size).ReadAt(p, off)
	}
	if off < 0 || off >= o.Size {
		return 0, io.EOF
	}
	n := copy(p, o.memory[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// File returns a file whose first Size bytes are the object's, or nil when the object is in memory.
// It is valid until the caller's reference is released.
func (o *Object) File() (*os.File, error) {
	if o.body == nil {
		return nil, nil
	}
	f, err := o.body.File()
	if err != nil {
		return nil, fmt.Errorf("file of %s: %w", o.Key, err)
	}
	return f, nil
}

// Retain adds a reference and returns o.
func (o *Object) Retain() *Object {
	if o.body != nil && o.refs.Add(1) < 2 {
		panic("asset: Retain of a released object")
	}
	return o
}

// Release gives a reference back; the last one closes the body.
func (o *Object) Release() {
	if o.body == nil {
		return
	}
	switch n := o.refs.Add(-1); {
	case n == 0:
		_ = o.body.Close()
	case n < 0:
		panic("asset: Release of a released object")
	}
}

// Memo returns what build made of the object the first time it was asked. The front door keeps the header block it
// needs for every answer there. All callers must use one type.
func (o *Object) Memo(build func(*Object) any) any {
	if m := o.memo.Load(); m != nil {
		return m
	}
	m := build(o)
	if !o.memo.CompareAndSwap(nil, m) {
		return o.memo.Load()
	}
	return m
}
