package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
	"weak"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A Manifest says what a snapshot file holds.
type Manifest struct {
	// Revision, Epoch and Hash are the position in the history that the snapshot shows.
	Revision uint64       `json:"revision"`
	Epoch    string       `json:"epoch"`
	Hash     asset.Digest `json:"hash"`
	// SHA256 and Size (bytes) are the file's.
	SHA256  asset.Digest `json:"sha256"`
	Size    int64        `json:"size"`
	Created time.Time    `json:"created"`
}

// A Source is where a replica that has nothing gets a snapshot from.
type Source interface {
	// Newest returns the newest snapshot; [asset.ErrNotFound] when there is none.
	Newest(ctx context.Context) (Manifest, io.ReadCloser, error)
}

// snapshotAge is how old the newest snapshot may be: a replica that lost its way needs one that is past that place.
const snapshotAge = time.Minute

// Snapshot returns the newest snapshot file, open for reading; it makes one when there is none yet, or when much may have
// come since. The caller closes it.
func (c *Catalog) Snapshot(ctx context.Context) (Manifest, *os.File, error) {
	r := c.replica
	m, f, err := r.newest(ctx)
	if err == nil && (m.Revision == r.view().revision || time.Since(m.Created) < snapshotAge) {
		return m, f, nil
	}
	if err == nil {
		_ = f.Close()
	}
	if err := r.fold(ctx); err != nil {
		return Manifest{}, nil, fmt.Errorf("catalog snapshot: %w", err)
	}
	if m, f, err = r.newest(ctx); err != nil {
		return Manifest{}, nil, fmt.Errorf("catalog snapshot: %w", err)
	}
	return m, f, nil
}

// newest opens the base file that the view stands on, which is verified when its manifest is made; [asset.ErrNotFound] when it
// stands on none.
func (r *replica) newest(ctx context.Context) (Manifest, *os.File, error) {
	for range 3 { // it may be replaced before it is opened
		r.applying.Lock()
		g := r.ground
		r.applying.Unlock()
		if g.base == nil {
			return Manifest{}, nil, fmt.Errorf("%w: there is no snapshot yet", asset.ErrNotFound)
		}
		f, err := os.Open(r.dir.base(g.at.revision))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return Manifest{}, nil, err
		}
		m, err := r.sums.manifest(ctx, g, f)
		if err != nil {
			_ = f.Close()
			return Manifest{}, nil, err
		}
		return m, f, nil
	}
	return Manifest{}, nil, fmt.Errorf("%w: the snapshot is being replaced", asset.ErrUnavailable)
}

// sums remember the manifest of the newest base, whose hash takes seconds when it is large. Two bases of one position are not the
// same bytes.
type sums struct {
	mu   sync.Mutex // guards the rest; held while a file is read, so that it is read once
	base weak.Pointer[base]
	of   Manifest
}

func (s *sums) manifest(ctx context.Context, g ground, f *os.File) (Manifest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.base == weak.Make(g.base) && s.of.Size > 0 {
		return s.of, nil
	}
	if err := g.base.verify(ctx); err != nil { // or the hash would be that of something damaged
		return Manifest{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return Manifest{}, err
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(f, 0, info.Size())); err != nil {
		return Manifest{}, err
	}
	m := Manifest{Revision: g.at.revision, Epoch: g.at.epoch, Hash: g.at.hash, Size: info.Size(), Created: info.ModTime().UTC()}
	hash.Sum(m.SHA256[:0])
	s.base, s.of = weak.Make(g.base), m
	return m, nil
}

// A snapshot is a base that was received, with the view of it. It stands in the directory under its revision.
type snapshot struct {
	base *base
	view *View
}

// fetch receives the source's newest snapshot, if its manifest is one that is wanted. Nothing of it is believed before
// all of it was read and verified.
func (r *replica) fetch(ctx context.Context, wanted func(*Manifest) bool) (*snapshot, error) {
	if r.source == nil {
		return nil, asset.ErrNotFound
	}
	m, body, err := r.source.Newest(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	if !wanted(&m) {
		return nil, fmt.Errorf("%w: the newest snapshot is no better than what is here", asset.ErrNotFound)
	}
	path := r.dir.download()
	defer func() { _ = os.Remove(path) }() // there when it failed
	if err := receive(path, &m, body); err != nil {
		return nil, fmt.Errorf("snapshot of revision %d: %w", m.Revision, err)
	}
	if err := check(ctx, path, &m); err != nil {
		return nil, fmt.Errorf("snapshot of revision %d: %w", m.Revision, err)
	}
	return r.dir.keep(path, m.Revision)
}

// keep gives a verified snapshot its name.
func (d directory) keep(path string, revision uint64) (*snapshot, error) {
	if err := os.Rename(path, d.base(revision)); err != nil {
		return nil, err
	}
	if err := d.sync(); err != nil {
		return nil, err
	}
	b, v, err := openView(d.base(revision))
	if err != nil {
		return nil, err
	}
	return &snapshot{b, v}, nil
}

// receive writes what m describes from body to path, and flushes it. It fails with [asset.ErrCorrupt] when it is anything
// else, or more.
func receive(path string, m *Manifest, body io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, hash), io.LimitReader(body, m.Size))
	if err != nil {
		return err
	}
	if extra, _ := io.CopyN(io.Discard, body, 1); n < m.Size || extra > 0 {
		return fmt.Errorf("%w: it does not have the %d bytes that its manifest says", asset.ErrCorrupt, m.Size)
	}
	if sum := asset.Digest(hash.Sum(nil)); sum != m.SHA256 {
		return fmt.Errorf("%w: its bytes have the hash %s, its manifest says %s", asset.ErrCorrupt, sum, m.SHA256)
	}
	return f.Sync()
}

// check fails unless the file at path is a base, whole, and the one that m describes.
func check(ctx context.Context, path string, m *Manifest) error {
	b, v, err := openView(path)
	if err != nil {
		return err
	}
	if v.position() != (position{m.Revision, m.Epoch, m.Hash}) {
		return fmt.Errorf("%w: it is the snapshot of another position than its manifest says", asset.ErrCorrupt)
	}
	return b.verify(ctx)
}

// Backup writes the matrix as it is now: one file from which [Restore] makes it anew, verified by hash.
func (c *Catalog) Backup(ctx context.Context, w io.Writer) (Manifest, error) {
	m, f, err := c.replica.foldNow(ctx)
	if err != nil {
		return Manifest{}, fmt.Errorf("catalog backup: %w", err)
	}
	defer func() { _ = f.Close() }()
	head, err := encodeBackup(&m)
	if err == nil {
		_, err = w.Write(head)
	}
	if err == nil {
		_, err = io.Copy(w, io.NewSectionReader(f, 0, m.Size))
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("catalog backup: %w", err)
	}
	return m, nil
}

// foldNow returns a snapshot of what the view shows, or of something newer, verified now. When it is damaged it is being made
// anew from then on.
func (r *replica) foldNow(ctx context.Context) (Manifest, *os.File, error) {
	if err := r.fold(ctx); err != nil {
		return Manifest{}, nil, err
	}
	r.applying.Lock()
	b := r.ground.base
	r.applying.Unlock()
	if b != nil {
		if err := b.verify(ctx); err != nil {
			return Manifest{}, nil, err
		}
	}
	return r.newest(ctx)
}

// backupMagic begins a backup. Behind it stand the SHA-256 of the manifest's line, that line, and the base file.
const backupMagic = "assetmatrix backup 1 "

func encodeBackup(m *Manifest) ([]byte, error) {
	line, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	line = append(line, '\n')
	return append(fmt.Appendf(nil, "%s%s\n", backupMagic, asset.Digest(sha256.Sum256(line))), line...), nil
}
