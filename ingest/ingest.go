// Package ingest is the write path: it takes an upload in, makes sure that it is what it is said to be, stores it, and
// records it in the matrix. What that brings is made ahead by a [Deriver], in the background.
//
// Its one invariant: a version is in the matrix only when its bytes are stored, and an upload that is refused leaves
// nothing behind: no spooled file, no stored bytes, no record.
//
//	in, err := ingest.New(cfg, catalog, providers, pool.Probe)
//	if err != nil { … }
//	receipt, err := in.Put(ctx, asset.Upload{Product: "shop", Name: "banners/hero.jpg", Body: body, Size: -1})
package ingest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/origin"
)

// Config configures an Ingester.
type Config struct {
	// SpoolDir is where uploads are received, in files without names. It is created when missing.
	SpoolDir string `yaml:"spool_dir"`
	// MaxBytes is the largest upload.
	MaxBytes int64 `yaml:"max_bytes"`
	// Garbage is when originals that no version uses are deleted.
	Garbage GarbageConfig `yaml:"garbage"`
}

// DefaultConfig returns the defaults; SpoolDir has none.
func DefaultConfig() Config { return Config{MaxBytes: 512 << 20, Garbage: defaultGarbage()} }

// Validate returns what is wrong with c, naming the key.
func (c Config) Validate() error {
	if c.SpoolDir == "" {
		return asset.BadKey("spool_dir", "empty", "a directory")
	}
	if c.MaxBytes < 1 {
		return asset.BadKey("max_bytes", c.MaxBytes, "1 or more")
	}
	return c.Garbage.validate()
}

// An Ingester takes uploads in. It is safe for concurrent use.
type Ingester struct {
	cfg       Config
	matrix    Matrix
	originals Originals
	probe     Probe
	digests   locks         // held from storing an original until it is recorded, and while one is being deleted
	patience  time.Duration // maxCondemned
}

// A Matrix is what an Ingester needs of the catalog; *catalog.Catalog has it.
type Matrix interface {
	View() *catalog.View
	Update(ctx context.Context, f func(*catalog.View) ([]catalog.Mutation, error)) (revision uint64, err error)
	Await(ctx context.Context, revision uint64) error
}

// Originals is where uploads are stored; *origin.Providers has it.
type Originals interface {
	Put(ctx context.Context, o *asset.Object) (names []string, err error)
	Delete(ctx context.Context, k asset.Key, names []string) error
	Stat(ctx context.Context, k asset.Key) ([]origin.Stored, error)
}

// A Probe looks at a picture: what it is, and that all of it can be decoded within the limits. It returns "" and nil
// for what is no picture, [asset.ErrUndecodable] for a damaged one, [asset.ErrTooLarge] for one over the limits.
type Probe func(ctx context.Context, f *os.File, size int64) (mediaType string, pic *asset.Picture, err error)

// New returns an Ingester, with its spool directory made and emptied of what a killed process left there.
func New(cfg Config, matrix Matrix, originals Originals, probe Probe) (*Ingester, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	if err := os.MkdirAll(cfg.SpoolDir, 0o700); err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	left, _ := filepath.Glob(filepath.Join(cfg.SpoolDir, spoolPrefix+"*"))
	for _, name := range left {
		if err := os.Remove(name); err != nil {
			return nil, fmt.Errorf("ingest: %w", err)
		}
	}
	return &Ingester{cfg: cfg, matrix: matrix, originals: originals, probe: probe, patience: maxCondemned}, nil
}

// Put takes an upload in. The first upload to a name makes an asset that the product owns and links the name to it; the
// next ones make versions, and the current version moves along. Bytes that are stored already, under whatever name, are
// stored no second time, and bytes of the current version with its type make no version.
//
// What a client can mend is an [asset.Fault]: [asset.ErrNotFound] for a product that is not there, [asset.ErrInvalid]
// for a bad name, an empty or truncated body, or a digest that does not hold, [asset.ErrTooLarge], [asset.ErrMediaType]
// when the bytes are not what they are said to be, [asset.ErrUndecodable], [asset.ErrPrecondition], and
// [asset.ErrConflict] for a name that leads to an asset which is archived, another product's (only an asset's owner gives
// it versions), or ACTIVE when it is to be PENDING. [asset.ErrUnavailable] says that a disk, a provider or the catalog failed, or
// that the same bytes are being deleted and this did not end in time.
//
// From the moment that the bytes are verified the caller's leaving changes nothing. When the catalog cannot say whether
// the version was recorded, the stored bytes stay, as a version may need them; repeating the upload finds out.
func (i *Ingester) Put(ctx context.Context, u asset.Upload) (asset.Receipt, error) {
	j := &job{Ingester: i, Upload: u, id: newID(), now: time.Now().UTC()}
	defer j.close()
	for _, step := range []func(context.Context) error{j.admit, j.receive, j.verify, j.store, j.settle, j.confirm} {
		if err := step(ctx); err != nil {
			return asset.Receipt{}, fmt.Errorf("put %s/%s: %w", u.Product, u.Name, errors.Join(err, j.undo(ctx)))
		}
	}
	return j.receipt, nil
}

// newID fails only when the system has no randomness, and then nothing can go on.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// A job is one upload on its way.
type job struct {
	*Ingester
	asset.Upload
	id  string // of the asset, should it become one
	now time.Time

	spool   *asset.Object // received; the version that is made of it
	version asset.Version
	locked  bool
	decided bool // the catalog refused the version: it is not recorded, and will not be
	receipt asset.Receipt
}

// admit refuses what can be refused before the body is read.
func (j *job) admit(context.Context) error {
	if err := asset.CheckName(j.Name); err != nil {
		return err
	}
	if _, err := j.target(j.matrix.View()); err != nil {
		return err
	}
	switch {
	case j.Size == 0:
		return errEmpty()
	case j.Size > j.cfg.MaxBytes:
		return errTooLarge(j.cfg.MaxBytes)
	}
	return nil
}

// receive spools the body.
func (j *job) receive(ctx context.Context) error {
	var err error
	j.spool, err = receive(ctx, j.cfg, j.Body, j.Size)
	return err
}

// verify finds out what the bytes are, and that they are what they are said to be.
func (j *job) verify(ctx context.Context) error {
	digest := j.spool.Key.Original
	if j.Digest != nil && *j.Digest != digest {
		return &asset.Fault{
			Kind: asset.ErrInvalid, Part: "Repr-Digest",
			Detail: fmt.Sprintf("the body has the SHA-256 %s, not %s", digest, *j.Digest),
		}
	}
	f, err := j.spool.File()
	if err != nil {
		return err
	}
	mediaType, pic, err := j.probe(ctx, f, j.spool.Size)
	if err != nil {
		return err
	}
	if mediaType, err = settleType(f, j.spool.Size, mediaType, j.Upload); err != nil {
		return err
	}
	j.version = asset.Version{Digest: digest, Size: j.spool.Size, MediaType: mediaType, Picture: pic, Created: j.now}
	return nil
}

// store gives the original to the providers. It does so also when the matrix has the digest already: the providers do
// not write again what they hold, what they have lost an upload brings back, and what nobody has used for long is used
// from now on.
func (j *job) store(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if err := j.reserve(ctx); err != nil {
		return err
	}
	j.spool.MediaType = j.version.MediaType
	if pic := j.version.Picture; pic != nil {
		j.spool.Width, j.spool.Height = pic.Width, pic.Height
	}
	var err error
	j.version.Providers, err = j.originals.Put(ctx, j.spool)
	return err
}

// reserve takes the digest's lock when the original is not being deleted. It waits without the lock, because whoever
// deletes the original needs it.
func (j *job) reserve(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, j.patience)
	defer cancel()
	for {
		if !j.locked {
			j.digests.lock(j.version.Digest)
			j.locked = true
		}
		v := j.matrix.View()
		if o, ok := v.Orphan(j.version.Digest); !ok || !o.Condemned {
			return nil
		}
		j.unlock()
		if j.matrix.Await(ctx, v.Revision()+1) != nil {
			return &asset.Fault{Kind: asset.ErrUnavailable, Part: "body", Detail: "the same bytes are being deleted at this moment", Allowed: "the same upload again in a while"}
		}
	}
}

// maxCondemned is how long an upload waits at most for the deletion of the same bytes to end.
const maxCondemned = 10 * time.Second

// settle records the version. When another process began to delete the original after it was stored, it is stored and
// recorded once more.
func (j *job) settle(ctx context.Context) error {
	err := j.record(ctx)
	if f, ok := errors.AsType[*asset.Fault](err); !ok || !errors.Is(f, asset.ErrUnavailable) || f.Part != "/digest" {
		return err
	}
	if err := j.store(ctx); err != nil {
		return err
	}
	j.decided = false
	return j.record(ctx)
}

// confirm looks whether the original is there still, and stores it again when it is not: another process may have deleted
// it after it was stored, when no version used it yet. No more can happen to it now that one does. A provider that cannot
// say has verified it when it was stored.
func (j *job) confirm(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if all, err := j.originals.Stat(ctx, j.spool.Key); err != nil || len(all) > 0 {
		return nil
	}
	_, err := j.originals.Put(ctx, j.spool)
	return err
}

// undo deletes what was stored for a version that the matrix refused, unless another version uses it or did: then that is
// the collector's to do. The digest's lock is held, so no upload of the same bytes is between storing and recording them.
func (j *job) undo(ctx context.Context) error {
	v := j.matrix.View()
	_, orphan := v.Orphan(j.version.Digest)
	if !j.decided || !j.locked || orphan || v.References(j.version.Digest) > 0 || v.Err() != nil {
		return nil
	}
	return j.originals.Delete(context.WithoutCancel(ctx), j.spool.Key, j.version.Providers)
}

func (j *job) unlock() {
	if j.locked {
		j.locked = false
		j.digests.unlock(j.version.Digest)
	}
}

func (j *job) close() {
	j.unlock()
	if j.spool != nil {
		j.spool.Release()
	}
}
