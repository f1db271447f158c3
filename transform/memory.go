package transform

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/assetmatrix/assetmatrix/asset"
)

// inMemory is the largest rendition, in bytes, that is kept on the heap rather than in its memory file.
const inMemory = 1 << 20

// A memoryFile is the body of a rendition: a sealed memfd(2), which is no part of our heap and has no name on a disk.
type memoryFile struct{ f *os.File }

var _ asset.Body = memoryFile{}

// ReadAt implements io.ReaderAt.
func (m memoryFile) ReadAt(p []byte, off int64) (int, error) { return m.f.ReadAt(p, off) }

// File returns the memory file.
func (m memoryFile) File() (*os.File, error) { return m.f, nil }

// Close gives the memory back.
func (m memoryFile) Close() error { return m.f.Close() }

func newMemory(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memory file: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// seal makes a memory file immutable. It fails while somebody has it mapped for writing.
func seal(f *os.File) error {
	const all = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, all); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	return nil
}

// objectOf makes the object of a result, and closes the file unless the object has it.
func objectOf(k asset.Key, r reply, f *os.File) (*asset.Object, error) {
	o := asset.NewBodyObject(k, k.Variant.Format.MediaType(), r.Size, memoryFile{f})
	if r.Size <= inMemory {
		defer o.Release()
		b := make([]byte, r.Size)
		if _, err := o.ReadAt(b, 0); err != nil {
			return nil, fmt.Errorf("read rendition: %w", err)
		}
		o = asset.NewObject(k, o.MediaType, b)
	}
	o.Width, o.Height, o.Quality = r.Width, r.Height, r.Quality
	return o, nil
}

// An original is held from when it is loaded until it is put down, and is loaded again when it is needed again.
type original struct {
	from asset.Loader
	key  asset.Key
	held *asset.Object
	free func() // called when it is put down, more than once
}

func (o *original) load(ctx context.Context) (*asset.Object, error) {
	if o.held != nil {
		return o.held, nil
	}
	var err error
	o.held, err = o.from.Load(ctx, o.key)
	return o.held, err
}

func (o *original) putDown() {
	if o.held != nil {
		o.held.Release()
		o.held = nil
	}
	o.free()
}

// file puts the original down for a file with its bytes, which the caller closes.
func (o *original) file(ctx context.Context) (*input, error) {
	held, err := o.load(ctx)
	if err != nil {
		return nil, err
	}
	defer o.putDown()
	return inputOf(held)
}

// An input is a file with the bytes of an original.
type input struct {
	*os.File
	of *asset.Object // nil when nobody can change the file
}

// unchanged fails when the file is not what it was any more. A worker maps it, so what others write to it meanwhile is in
// the rendition.
func (in *input) unchanged() error {
	if in.of == nil {
		return nil
	}
	if _, err := in.of.File(); err != nil {
		return fmt.Errorf("the original was changed while it was rendered: %w", err)
	}
	return nil
}

// Close closes the file.
func (in *input) Close() error {
	if in.of != nil {
		in.of.Release()
	}
	return in.File.Close()
}

// inputOf returns a file with the bytes of an original, which the caller closes; those in memory are copied into a
// memory file.
func inputOf(o *asset.Object) (*input, error) {
	f, err := o.File()
	switch {
	case err != nil:
		return nil, err
	case f == nil:
		f, err = copyOf(o)
		return &input{File: f}, err
	}
	if f, err = readOnly(f); err != nil {
		return nil, err
	}
	return &input{f, o.Retain()}, nil
}

// copyOf returns a memory file with the bytes of an object in memory.
func copyOf(o *asset.Object) (*os.File, error) {
	f, err := newMemory("original")
	if err != nil {
		return nil, err
	}
	b, _ := o.Bytes()
	if _, err := f.WriteAt(b, 0); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("copy original: %w", err)
	}
	return f, seal(f)
}

// readOnly opens a file once more, for reading alone: a worker cannot change what it was handed. The link in /proc
// works for files that have lost their name, too.
func readOnly(f *os.File) (*os.File, error) {
	ro, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		return nil, fmt.Errorf("open for a worker: %w", err)
	}
	return ro, nil
}
