package asset

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
)

// A spiedBody is a file whose Close is counted.
type spiedBody struct {
	file   *os.File
	closed atomic.Int32
	broken error // what File fails with
}

var _ Body = (*spiedBody)(nil)

func (b *spiedBody) ReadAt(p []byte, off int64) (int, error) { return b.file.ReadAt(p, off) }

func (b *spiedBody) File() (*os.File, error) { return b.file, b.broken }

func (b *spiedBody) Close() error {
	b.closed.Add(1)
	return b.file.Close()
}

const objectText = "0123456789"

// newBody returns an object over a file that is longer than the object.
func newBody(t *testing.T) (*Object, *spiedBody) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(path, []byte(objectText+"beyond"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	body := &spiedBody{file: f}
	return NewBodyObject(Key{}, "text/plain", int64(len(objectText)), body), body
}

func TestObjectReadAt(t *testing.T) {
	onDisk, _ := newBody(t)
	for _, o := range []*Object{NewObject(Key{}, "text/plain", []byte(objectText)), onDisk} {
		r := io.NewSectionReader(o, 0, o.Size)
		if err := iotest.TestReader(r, []byte(objectText)); err != nil {
			t.Error(err)
		}
		f := func(off int64, n int, want string, wantErr error) {
			t.Helper()
			p := make([]byte, n)
			got, err := o.ReadAt(p, off)
			if string(p[:got]) != want || err != wantErr {
				t.Errorf("ReadAt(%d, %d): %q, %v, want %q, %v", off, n, p[:got], err, want, wantErr)
			}
		}
		f(0, 10, objectText, nil)
		f(2, 3, "234", nil)
		f(8, 5, "89", io.EOF)
		f(10, 1, "", io.EOF)
		f(99, 1, "", io.EOF)
		o.Release()
	}
}

func TestObjectInMemory(t *testing.T) {
	o := NewObject(Key{}, "text/plain", []byte(objectText))
	if b, ok := o.Bytes(); !ok || !bytes.Equal(b, []byte(objectText)) {
		t.Errorf("%q, %v", b, ok)
	}
	if f, err := o.File(); f != nil || err != nil {
		t.Errorf("%v, %v", f, err)
	}
	for range 3 { // it holds nothing
		o.Release()
	}
	o.Retain().Release()

	empty := NewObject(Key{}, "text/plain", nil)
	if b, ok := empty.Bytes(); !ok || len(b) != 0 || empty.Size != 0 {
		t.Errorf("an empty object is %q, %v", b, ok)
	}
}

func TestObjectFile(t *testing.T) {
	o, body := newBody(t)
	if b, ok := o.Bytes(); ok || b != nil {
		t.Errorf("%q is in memory", b)
	}
	if f, err := o.File(); err != nil || f != body.file {
		t.Errorf("%v, %v", f, err)
	}
	body.broken = ErrCorrupt
	if f, err := o.File(); !errors.Is(err, ErrCorrupt) || f != nil {
		t.Errorf("%v, %v", f, err)
	}
}

func TestLastReleaseClosesOnce(t *testing.T) {
	o, body := newBody(t)
	const holders = 50
	for range holders {
		o.Retain()
	}
	o.Release()
	var wg sync.WaitGroup
	for range holders {
		if body.closed.Load() != 0 {
			t.Fatal("closed while it is held")
		}
		wg.Go(o.Release)
		wg.Wait()
	}
	if n := body.closed.Load(); n != 1 {
		t.Fatalf("closed %d times", n)
	}
	panics(t, "Release of a released object", func() { o.Release() })
	o, _ = newBody(t)
	o.Release()
	panics(t, "Retain of a released object", func() { o.Retain() })
}

func TestReleaseFromManyGoroutines(t *testing.T) {
	o, body := newBody(t)
	var wg sync.WaitGroup
	for range 100 {
		o.Retain()
		wg.Go(func() {
			p := make([]byte, 4)
			if _, err := o.ReadAt(p, 3); err != nil || string(p) != "3456" {
				t.Errorf("%q, %v", p, err)
			}
			o.Release()
		})
	}
	o.Release()
	wg.Wait()
	if n := body.closed.Load(); n != 1 {
		t.Errorf("closed %d times", n)
	}
}

func TestMemoIsBuiltOnceForAll(t *testing.T) {
	o := NewObject(Key{}, "", nil)
	got := make([]any, 20)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() { got[i] = o.Memo(func(*Object) any { return new(int) }) })
	}
	wg.Wait()
	for _, m := range got {
		if m != got[0] {
			t.Fatal("two memos")
		}
	}
	if o.Memo(func(*Object) any { t.Error("built again"); return new(int) }) != got[0] {
		t.Error("another memo")
	}
}

func panics(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	f()
}
