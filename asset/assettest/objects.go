package assettest

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

// Bytes returns n bytes that are the same for the same seed.
func Bytes(n int, seed uint64) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(sha256.Sum256(binary.LittleEndian.AppendUint64(nil, seed))).Read(b) // never fails
	return b
}

// Rendition returns a key that depends on the name alone.
func Rendition(name string, _ []byte) asset.Key {
	return asset.Key{
		Original:   sha256.Sum256([]byte(name)),
		Variant:    asset.Variant{Width: 320, Format: asset.JPEG},
		Generation: 3,
	}
}

// Original returns the key of an original with these bytes.
func Original(_ string, b []byte) asset.Key { return asset.Key{Original: sha256.Sum256(b)} }

// A Body is an [asset.Body] over a file that counts how often it is closed and can fail half-way.
type Body struct {
	file *os.File
	// FailAt is the offset from which reads fail with Err, when Err is set.
	FailAt int64
	Err    error
	closed atomic.Int32
}

var _ asset.Body = (*Body)(nil)

// NewBody returns a body of these bytes. Its file is closed when t ends, so that reading a closed body shows in Closed
// and not as another error.
func NewBody(t testing.TB, b []byte) *Body {
	t.Helper()
	name := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return &Body{file: f}
}

// ReadAt reads from the file, up to FailAt.
func (b *Body) ReadAt(p []byte, off int64) (int, error) {
	if b.closed.Load() > 0 {
		return 0, errors.New("assettest: read of a closed body")
	}
	if b.Err == nil || off+int64(len(p)) <= b.FailAt {
		return b.file.ReadAt(p, off)
	}
	n, _ := b.file.ReadAt(p[:max(0, b.FailAt-off)], off)
	return n, b.Err
}

// File returns the file, or Err.
func (b *Body) File() (*os.File, error) { return b.file, b.Err }

// Close counts.
func (b *Body) Close() error {
	b.closed.Add(1)
	return nil
}

// Closed returns how often the body was closed.
func (b *Body) Closed() int { return int(b.closed.Load()) }

// A sample is an object of the suite that can be put again and again.
type sample struct {
	key    asset.Key
	bytes  []byte
	onDisk bool
	// failAt and err make its body fail.
	failAt int64
	err    error
}

const (
	mediaType     = "image/x-assettest"
	width, height = 640, 480
	quality       = 63
)

// object makes the object, and its body when it is not in memory.
func (x sample) object(t testing.TB) (*asset.Object, *Body) {
	t.Helper()
	var body *Body
	o := asset.NewObject(x.key, mediaType, x.bytes)
	if x.onDisk {
		body = NewBody(t, x.bytes)
		body.FailAt, body.Err = x.failAt, x.err
		o = asset.NewBodyObject(x.key, mediaType, int64(len(x.bytes)), body)
	}
	o.Width, o.Height, o.Quality = width, height, quality
	return o, body
}

// breaks returns what x is when its reads fail after n bytes; with io.EOF it is shorter than its size.
func (x sample) breaks(n int, err error) sample {
	x.onDisk, x.failAt, x.err = true, int64(n), err
	return x
}

func (x sample) String() string {
	where := "memory"
	if x.onDisk {
		where = "a file"
	}
	if x.err == nil {
		return fmt.Sprintf("%d bytes in %s", len(x.bytes), where)
	}
	if x.err == io.EOF {
		return fmt.Sprintf("%d bytes that end at %d", len(x.bytes), x.failAt)
	}
	return fmt.Sprintf("%d bytes that fail at %d", len(x.bytes), x.failAt)
}
