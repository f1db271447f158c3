package catalog

import (
	"context"
	"io"
	"os"
	"time"

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

// Snapshot returns the newest snapshot file, open for reading; it makes one when there is none yet. The caller closes it.
func (c *Catalog) Snapshot(ctx context.Context) (Manifest, *os.File, error) {
	return Manifest{}, nil, asset.ErrNotImplemented
}

// Backup writes the matrix as it is now: one file from which [Restore] makes it anew, verified by hash.
func (c *Catalog) Backup(ctx context.Context, w io.Writer) (Manifest, error) {
	return Manifest{}, asset.ErrNotImplemented
}

// Restore makes the matrix of a backup in an empty system: cfg.Dir must hold no log, or cfg.NATS.URL lead to a cluster
// without one. The restored matrix has the backup's revision and an epoch of its own, so that replicas which have seen
// more than the backup notice. Nothing is left behind when it fails.
func Restore(ctx context.Context, cfg Config, r io.Reader) (Manifest, error) {
	return Manifest{}, asset.ErrNotImplemented
}
