package origin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/assetmatrix/assetmatrix/asset"
)

// dirMode is the mode of directories that are made.
const dirMode = 0o755

// A body is the bytes of an object in a file that has no name, so that nobody else can change it.
type body struct{ file *os.File }

// ReadAt reads from the file.
func (b body) ReadAt(p []byte, off int64) (int, error) { return b.file.ReadAt(p, off) }

// File returns the file.
func (b body) File() (*os.File, error) { return b.file, nil }

// Close closes the file, which ends it.
func (b body) Close() error { return b.file.Close() }

// keptAt returns path if the file is on a disk of this machine. A network file system (or one of FUSE) may hang and is slow: what
// reads it must stand behind a breaker, and what came from it is worth a copy. A file system that is not known is taken for one.
func keptAt(path string) string {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil || !local[int64(s.Type)] {
		return ""
	}
	return path
}

// local are the file systems that need nothing but this machine.
var local = map[int64]bool{
	unix.EXT4_SUPER_MAGIC: true,                                                                              // and ext2, ext3
	unix.XFS_SUPER_MAGIC:  true, unix.BTRFS_SUPER_MAGIC: true, unix.F2FS_SUPER_MAGIC: true, 0x2fc12fc1: true, // ZFS
	0xca451a4e:       true, // bcachefs
	unix.TMPFS_MAGIC: true, unix.OVERLAYFS_SUPER_MAGIC: true,
}

// nameless returns a new file in dir that is gone when it is closed, or when the process dies.
func nameless(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "original-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// fetch reads the size bytes of k from r into an object, verified: in memory when it is at most 1 MiB, else over a
// nameless file in scratch.
func fetch(ctx context.Context, scratch string, k asset.Key, r io.Reader, size int64) (*asset.Object, error) {
	sum := sha256.New()
	src := &source{r: &beating{ctx, r, beatOf(ctx)}}
	o, err := spool(scratch, k, io.TeeReader(src, sum), size)
	switch {
	case src.err != nil:
		return nil, src.err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("%w: it ends before its %d bytes", asset.ErrCorrupt, size)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errScratch, err)
	}
	if found := asset.Digest(sum.Sum(nil)); found != k.Original {
		o.Release()
		return nil, fmt.Errorf("%w: the bytes have the digest %s", asset.ErrCorrupt, found)
	}
	return o, nil
}

func spool(scratch string, k asset.Key, r io.Reader, size int64) (*asset.Object, error) {
	if size <= maxMemoryBytes {
		p := make([]byte, size)
		if _, err := io.ReadFull(r, p); err != nil {
			return nil, err
		}
		return asset.NewObject(k, "", p), nil
	}
	f, err := nameless(scratch)
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(f, r, size); err != nil {
		_ = f.Close()
		return nil, err
	}
	return asset.NewBodyObject(k, "", size, body{f}), nil
}

// A beating reader reports progress, and ends with its context.
type beating struct {
	ctx  context.Context
	r    io.Reader
	beat func()
}

// Read reads from the inner reader.
func (b *beating) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p)
	b.beat()
	return n, err
}

// A source remembers that reading failed, so that it can be told from a failing write.
type source struct {
	r   io.Reader
	err error
}

// Read reads from the inner reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// A syncing writer syncs the file that it writes to, when there is one, every maxUnsyncedBytes.
type syncing struct {
	w        io.Writer
	file     *os.File
	unsynced int
}

// Write writes to the inner writer.
func (s *syncing) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.unsynced += n
	if err == nil && s.unsynced >= maxUnsyncedBytes {
		err = s.sync()
	}
	return n, err
}

func (s *syncing) sync() error {
	s.unsynced = 0
	if s.file == nil {
		return nil
	}
	return s.file.Sync()
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// mkdirDurably is os.MkdirAll whose directories survive a power loss.
func mkdirDurably(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := mkdirDurably(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}
