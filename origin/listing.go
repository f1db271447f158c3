package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"gocloud.dev/blob"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A Stored is what a provider has of an original.
type Stored struct {
	Digest   asset.Digest
	Provider string
	Size     int64     // bytes
	Modified time.Time // when it was written, or last put again
	// Stray: it is no original but what a writer that was killed, or is still at it, has written of one.
	Stray bool

	name string // of the object
}

// List calls take with everything that the providers which can be written have, one provider after the other. It goes on
// with the next one when one fails, and returns what went wrong, joined ([asset.ErrUnavailable]); an error of take ends
// it.
func (p *Providers) List(ctx context.Context, take func(Stored) error) error {
	var failures []error
	for i := range p.list {
		each := &p.list[i]
		if each.bucket == nil {
			continue
		}
		stop, err := each.list(ctx, take)
		if stop {
			return err
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

// list goes shard by shard, so that take runs outside of the breaker's watch and little is held at once. stop says that
// the error is take's.
func (p *provider) list(ctx context.Context, take func(Stored) error) (stop bool, err error) {
	for shard := range 256 {
		var found []Stored
		err := p.breaker.do(ctx, func(ctx context.Context) (err error) {
			found, err = p.bucket.list(ctx, fmt.Sprintf("sha256/%02x/", shard))
			return err
		})
		if err != nil {
			return false, fmt.Errorf("provider %s: %w", p.name, err)
		}
		for _, s := range found {
			s.Provider = p.name
			if err := take(s); err != nil {
				return true, err
			}
		}
	}
	return false, nil
}

// Stat returns what each provider that can be written has of the original, nothing when none has it. It fails when one
// of them cannot say ([asset.ErrUnavailable]), and with [asset.ErrInvalid] for a rendition.
func (p *Providers) Stat(ctx context.Context, k asset.Key) (all []Stored, err error) {
	for i := range p.list {
		each := &p.list[i]
		if each.bucket == nil {
			continue
		}
		var s Stored
		err := each.breaker.do(ctx, func(ctx context.Context) (err error) {
			s, err = each.bucket.stat(ctx, k)
			return err
		})
		switch {
		case err == nil:
			s.Provider = each.name
			all = append(all, s)
		case !errors.Is(err, asset.ErrNotFound):
			return nil, fmt.Errorf("provider %s: %w", each.name, err)
		}
	}
	return all, nil
}

// RemoveStray removes s, a stray, unless its writer has gone on since it was listed.
func (p *Providers) RemoveStray(ctx context.Context, s Stored) error {
	from := p.named(s.Provider)
	if !s.Stray || from == nil || from.bucket == nil {
		return fmt.Errorf("remove stray %s: %w: it is none", s.name, asset.ErrInvalid)
	}
	err := from.breaker.do(ctx, func(context.Context) error { return from.bucket.removeStray(s) })
	if err != nil {
		return fmt.Errorf("provider %s: remove stray %s: %w", s.Provider, s.name, err)
	}
	return nil
}

// stat returns what is known about the object without reading it.
func (b *Bucket) stat(ctx context.Context, k asset.Key) (Stored, error) {
	name, err := objectName(k)
	if err != nil {
		return Stored{}, err
	}
	is, err := b.bucket.Attributes(ctx, name)
	if err != nil {
		return Stored{}, b.failure(ctx, "stat", k, err)
	}
	return Stored{Digest: k.Original, Size: is.Size, Modified: is.ModTime, name: name}, nil
}

// list returns the objects of one shard.
func (b *Bucket) list(ctx context.Context, shard string) ([]Stored, error) {
	found, err := b.listShard(ctx, shard)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("bucket list %s: %w", shard, ctx.Err())
	case err != nil:
		return nil, fmt.Errorf("bucket list %s: %w: %w", shard, asset.ErrUnavailable, err)
	}
	return found, nil
}

func (b *Bucket) listShard(ctx context.Context, shard string) (found []Stored, err error) {
	if b.dir != "" {
		return b.listDir(ctx, shard)
	}
	objects := b.bucket.List(&blob.ListOptions{Prefix: shard})
	for {
		o, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		beatOf(ctx)()
		found = appendStored(found, o.Key, o.Size, o.ModTime)
	}
}

// listDir reads the shard's directory itself: fileblob walks it anew for every thousand names, takes a directory that
// cannot be read for an empty one, and fails over a file that is renamed meanwhile.
func (b *Bucket) listDir(ctx context.Context, shard string) (found []Stored, err error) {
	if err := b.present(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(b.dir, shard))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		beatOf(ctx)()
		info, err := e.Info()
		switch {
		case err == nil && info.Mode().IsRegular():
			found = appendStored(found, path.Join(shard, e.Name()), info.Size(), info.ModTime())
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return found, nil
}

// strayEnd is how fileblob ends the name of a file that is still being written: digest.time.tmp.
const strayEnd = ".tmp"

// appendStored appends the object unless it is none of ours.
func appendStored(all []Stored, name string, size int64, modified time.Time) []Stored {
	digest, rest, _ := strings.Cut(path.Base(name), ".")
	s := Stored{Size: size, Modified: modified, Stray: strings.HasSuffix(rest, strayEnd), name: name}
	if s.Digest.UnmarshalText([]byte(digest)) != nil || s.Digest.String() != digest || rest != "" && !s.Stray {
		return all
	}
	return append(all, s)
}

func (b *Bucket) removeStray(s Stored) error {
	at := filepath.Join(b.dir, s.name)
	info, err := os.Stat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !info.ModTime().Equal(s.Modified):
		return nil
	case err == nil:
		err = os.Remove(at)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", asset.ErrUnavailable, err)
	}
	return nil
}
