package catalog

import (
	"context"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A base is the matrix at one revision as a file: immutable, mapped into memory, verified where it is touched. It is
// unmapped when nothing in the program reaches it any more.
type base struct {
	failed chan struct{} // closed when a block did not verify
}

// openBase maps the base at path and checks its header. It fails with [asset.ErrCorrupt] when that cannot be a base.
func openBase(path string) (*base, error) {
	return nil, asset.ErrNotImplemented
}

// verify reads and checks all of it; a fault also damages b.
func (b *base) verify(ctx context.Context) error { return ctx.Err() }

// damaged is closed at the first block that does not verify.
func (b *base) damaged() <-chan struct{} { return b.failed }
