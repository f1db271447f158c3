package catalog

import (
	"context"
	"iter"

	"github.com/assetmatrix/assetmatrix/asset"
)

// writeBase writes v as a base file at path, all or nothing; a file that was there is replaced. The base is of the given
// epoch, or of v's when it is "".
func writeBase(ctx context.Context, path string, v *View, epoch string) error {
	return asset.ErrNotImplemented
}

// Import writes the base file of a matrix at m's Revision, Epoch and Hash into dir. The records come as mutations: all
// PutProduct, then each asset's PutAsset with the PutLink that follows it, links in the order of (product, name).
func Import(ctx context.Context, dir string, m Manifest, records iter.Seq[Mutation]) error {
	return asset.ErrNotImplemented
}
