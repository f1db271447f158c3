// Package asset holds the nouns and the contracts that every other room shares: keys, variants, objects, the records
// of the matrix, the sentinel errors, and the two interfaces that almost everything else is.
//
// Its one invariant: a [Key] determines its bytes completely. An [Object] therefore never goes stale; what changes
// over time is only which key a name resolves to, and that is the business of packages resolve and catalog.
//
//	k := asset.Key{Original: version.Digest, Variant: asset.Variant{Width: 400, Format: asset.WebP}}
//	o, err := renditions.Load(ctx, k)
//	if err != nil { … }
//	defer o.Release()
package asset

import "context"

// A Loader returns the object for a key. The caller owns the returned object and must Release it.
//
// It returns [ErrNotFound] when there is no such object here. A loader that makes or fetches objects may return any
// of the other sentinels, wrapped with its verb and the key.
type Loader interface {
	Load(ctx context.Context, k Key) (*Object, error)
}

// A Store is a Loader that can be written. Implementations run the conformance suite in package assettest.
type Store interface {
	Loader

	// Put keeps a copy of o under o.Key, replacing what was there. It does not take ownership of o: the caller still
	// releases it. When Put returns nil, a store that promises durability can Load the object; a cache may have
	// chosen not to keep it. On an error nothing is visible under the key that was not visible before.
	Put(ctx context.Context, o *Object) error

	// Delete forgets the object. Deleting what is not there is no error.
	Delete(ctx context.Context, k Key) error
}

// LoaderFunc is a function that is a [Loader].
type LoaderFunc func(ctx context.Context, k Key) (*Object, error)

// Load calls f.
func (f LoaderFunc) Load(ctx context.Context, k Key) (*Object, error) { return f(ctx, k) }
