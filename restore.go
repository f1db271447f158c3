package assetmatrix

import (
	"context"
	"fmt"
	"io"

	"github.com/assetmatrix/assetmatrix/catalog"
)

// Restore makes the matrix of a backup in the empty system that cfg describes, while no server runs in it. See
// [catalog.Restore].
func Restore(ctx context.Context, cfg Config, backup io.Reader) (catalog.Manifest, error) {
	cfg = cfg.placed()
	if err := cfg.Validate(); err != nil {
		return catalog.Manifest{}, fmt.Errorf("config: %w", err)
	}
	return catalog.Restore(ctx, cfg.Catalog, backup)
}
