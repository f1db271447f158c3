package origin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"
	"gocloud.dev/gcerrors"

	"github.com/assetmatrix/assetmatrix/asset"
)

const (
	// maxMemoryBytes is the largest object that is loaded into memory; larger ones go into a file.
	maxMemoryBytes = 1 << 20
	// maxUnsyncedBytes is how much is written between two fsyncs, so that the last one cannot take longer than Timeout.
	maxUnsyncedBytes = 32 << 20
)

// A Bucket keeps originals, and nothing else, in a bucket of gocloud.dev/blob: the object with digest abcdef… is
// sha256/ab/abcdef…. It has the bytes alone: loaded objects have no media type. That is for the catalog to say.
//
// A file:// bucket is durable: Put returns after the file, and every directory on the way to it, were fsynced. When
// its root directory is gone, that is an outage ([asset.ErrUnavailable]) and not a great number of missing objects;
// it is not created again before the next Open, because what is gone may be a mount.
type Bucket struct {
	bucket  *blob.Bucket
	dir     string // root of a file:// bucket, else ""
	scratch string
}

var _ asset.Store = (*Bucket)(nil)

// OpenBucket opens the bucket that cfg.URL names. The directory of a file:// bucket is created when it is missing.
func OpenBucket(_ context.Context, cfg Config) (*Bucket, error) {
	dir, err := cfg.place()
	if err != nil {
		return nil, fmt.Errorf("provider %s: url: %w", cfg.Name, err)
	}
	b := &Bucket{dir: dir, scratch: cfg.ScratchDir}
	if b.scratch != "" {
		if err := os.MkdirAll(b.scratch, 0o700); err != nil {
			return nil, fmt.Errorf("provider %s: scratch_dir: %w", cfg.Name, err)
		}
	}
	if dir == "" {
		b.bucket = memblob.OpenBucket(nil)
		return b, nil
	}
	if err := mkdirDurably(dir); err != nil {
		return nil, fmt.Errorf("provider %s: %w", cfg.Name, err)
	}
	// Temporary files stand beside their targets: a rename does not cross file systems. Metadata would be one more
	// file for each object.
	b.bucket, err = fileblob.OpenBucket(dir, &fileblob.Options{NoTempDir: true, Metadata: fileblob.MetadataDontWrite, DirFileMode: dirMode})
	if err != nil {
		return nil, fmt.Errorf("provider %s: %w", cfg.Name, err)
	}
	return b, nil
}

// Close closes the bucket.
func (b *Bucket) Close() error { return b.bucket.Close() }

// objectName returns where the original is; renditions have no place here.
func objectName(k asset.Key) (string, error) {
	if !k.IsOriginal() {
		return "", fmt.Errorf("%w: %s is a rendition, providers keep originals", asset.ErrInvalid, k)
	}
	digest := k.Original.String()
	return path.Join("sha256", digest[:2], digest), nil
}

// Load reads the original, verifies it, and returns it in memory when it is at most 1 MiB, else over a file without a
// name. It returns [asset.ErrNotFound], [asset.ErrCorrupt], [asset.ErrInvalid] for a rendition's key, and
// [asset.ErrUnavailable] when the bucket fails.
func (b *Bucket) Load(ctx context.Context, k asset.Key) (*asset.Object, error) {
	name, err := objectName(k)
	if err != nil {
		return nil, err
	}
	r, err := b.bucket.NewReader(ctx, name, nil)
	if err != nil {
		return nil, b.failure(ctx, "load", k, err)
	}
	defer func() { _ = r.Close() }()
	o, err := fetch(ctx, b.scratch, k, r, r.Size())
	if err != nil {
		return nil, b.failure(ctx, "load", k, err)
	}
	if b.dir != "" {
		o.Kept = keptAt(filepath.Join(b.dir, name))
	}
	return o, nil
}

// Put writes the original, verifying its bytes on the way: when they do not have the digest of o.Key, or end early,
// nothing becomes visible and the error is an [asset.ErrCorrupt]. What is there already, and is right, is not written
// again where it can be said in another way that it is wanted from now on: it counts as modified now. What is there and
// wrong is replaced, so that an upload mends a damaged original.
func (b *Bucket) Put(ctx context.Context, o *asset.Object) error {
	name, err := objectName(o.Key)
	if err != nil {
		return err
	}
	if err := b.present(); err != nil { // fileblob would make the directory
		return b.failure(ctx, "put", o.Key, err)
	}
	held, err := b.holds(ctx, name, o)
	if err == nil && held {
		held, err = b.refresh(name)
	}
	if err == nil && !held {
		err = b.write(ctx, name, o)
	}
	if err == nil {
		err = b.settle(name) // also what is there: its writer may have been killed before it came to this
	}
	if err != nil {
		return b.failure(ctx, "put", o.Key, err)
	}
	return nil
}

// holds reports whether the bucket has the object, with the right size and digest.
func (b *Bucket) holds(ctx context.Context, name string, o *asset.Object) (bool, error) {
	r, err := b.bucket.NewReader(ctx, name, nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = r.Close() }()
	if r.Size() != o.Size {
		return false, nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, &beating{ctx, r, beatOf(ctx)}); err != nil {
		return false, err
	}
	return asset.Digest(sum.Sum(nil)) == o.Key.Original, nil
}

// refresh makes the object one that was modified now, so that nobody takes it for one that was left behind long ago.
// It reports false when that needs writing it again.
func (b *Bucket) refresh(name string) (held bool, err error) {
	if b.dir == "" {
		return false, nil
	}
	now := time.Now()
	err = os.Chtimes(filepath.Join(b.dir, name), now, now)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) { // deleted since; another user's
		return false, nil
	}
	return err == nil, err
}

// write streams o into the bucket. Cancelling the context before Close is how gocloud.dev/blob aborts a write.
func (b *Bucket) write(ctx context.Context, name string, o *asset.Object) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var file *os.File // stays nil where there is none
	w, err := b.bucket.NewWriter(ctx, name, &blob.WriterOptions{
		DisableContentTypeDetection: true,
		BeforeWrite:                 func(as func(any) bool) error { as(&file); return nil },
	})
	if err != nil {
		return err
	}
	if err := stream(ctx, &syncing{w: w, file: file}, o); err != nil {
		cancel()
		_ = w.Close()
		return err
	}
	return w.Close()
}

// stream copies o to w and syncs it, when the bytes are those that o.Key promises.
func stream(ctx context.Context, w *syncing, o *asset.Object) error {
	sum := sha256.New()
	src := &source{r: io.NewSectionReader(o, 0, o.Size)}
	n, err := io.Copy(w, io.TeeReader(&beating{ctx, src, beatOf(ctx)}, sum))
	switch {
	case src.err != nil:
		return fmt.Errorf("%w: %w", errSource, src.err)
	case err != nil:
		return err
	case n != o.Size:
		return fmt.Errorf("%w: it ends after %d of its %d bytes", asset.ErrCorrupt, n, o.Size)
	}
	if found := asset.Digest(sum.Sum(nil)); found != o.Key.Original {
		return fmt.Errorf("%w: the bytes have the digest %s", asset.ErrCorrupt, found)
	}
	return w.sync()
}

// Delete forgets the original.
func (b *Bucket) Delete(ctx context.Context, k asset.Key) error {
	name, err := objectName(k)
	if err != nil {
		return err
	}
	if err := b.bucket.Delete(ctx, name); err != nil {
		err = b.failure(ctx, "delete", k, err)
		if !errors.Is(err, asset.ErrNotFound) {
			return err
		}
	}
	return nil
}

// failure gives err its sentinel: the caller's leaving, corrupt bytes and an unreadable source keep theirs, a missing
// object is ErrNotFound as long as the bucket itself is there, and everything else is the bucket's failing.
func (b *Bucket) failure(ctx context.Context, verb string, k asset.Key, err error) error {
	wrap := func(err error) error { return fmt.Errorf("bucket %s %s: %w", verb, k, err) }
	switch {
	case ctx.Err() != nil:
		return wrap(ctx.Err())
	case errors.Is(err, asset.ErrCorrupt), errors.Is(err, errSource):
		return wrap(err)
	case gcerrors.Code(err) != gcerrors.NotFound:
		return wrap(fmt.Errorf("%w: %w", asset.ErrUnavailable, err))
	}
	if err := b.present(); err != nil {
		return wrap(fmt.Errorf("%w: %w", asset.ErrUnavailable, err))
	}
	return wrap(asset.ErrNotFound)
}

// present fails when the root of a file:// bucket is not there.
func (b *Bucket) present() error {
	if b.dir == "" {
		return nil
	}
	info, err := os.Stat(b.dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no directory", b.dir)
	}
	return err
}

// settle makes the names on the way to the object durable.
func (b *Bucket) settle(name string) error {
	if b.dir == "" {
		return nil
	}
	for name != "." {
		name = path.Dir(name)
		if err := syncDir(filepath.Join(b.dir, name)); err != nil {
			return err
		}
	}
	return nil
}
