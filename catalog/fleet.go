package catalog

import (
	"context"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A Replica is what is known of a process that follows the matrix.
type Replica struct {
	// ID is the replica's own name for itself, unique among those that live.
	ID   string `json:"id"`
	Role string `json:"role"` // all, control or edge
	// Revision and Hash are what its view shows.
	Revision uint64       `json:"revision"`
	Hash     asset.Digest `json:"hash"`
	// Lag is how many revisions it is behind, LagSeconds for how long it has been behind; 0 when it is not.
	Lag        uint64  `json:"lag"`
	LagSeconds float64 `json:"lag_seconds"`
	// Seen is when it was last heard of.
	Seen time.Time `json:"seen"`
	// Frozen says why it does not follow any more, "" when it does.
	Frozen string `json:"frozen,omitempty"`
	// Version is the program's.
	Version string `json:"version,omitempty"`
}

// Replicas returns the replicas that were heard of lately, this one included, by id.
func (c *Catalog) Replicas() []Replica { return nil }

// AwaitReplicas returns when every replica that is known to live shows the revision, or ctx ends; then behind has the
// ids of those that do not show it yet, and err is ctx's.
func (c *Catalog) AwaitReplicas(ctx context.Context, revision uint64) (behind []string, err error) {
	return nil, c.replica.await(ctx, revision)
}

// Await returns when the view shows the revision. It fails when ctx ends before, or when the view is frozen
// ([FrozenError]).
func (c *Catalog) Await(ctx context.Context, revision uint64) error {
	return c.replica.await(ctx, revision)
}

// Age returns how long ago the view was last known to show all that was committed; 0 while nothing can be missing. It
// is what assetmatrix_catalog_lag_seconds says.
func (c *Catalog) Age() time.Duration { return 0 }

// A Change is one message of the log.
type Change struct {
	Revision    uint64
	CommittedAt time.Time
	Mutations   []Mutation
}

// Changes calls take with every change behind revision after, in order, those to come included, until take fails or ctx
// ends. It fails with [asset.ErrGone] when the log does not go back so far.
func (c *Catalog) Changes(ctx context.Context, after uint64, take func(Change) error) error {
	return asset.ErrNotImplemented
}
