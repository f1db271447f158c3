package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
)

// A writer writes as ingest does: an upload, which makes an asset with its link, then another upload under the same name,
// which makes a version, and so on. What it has written follows from how many transactions it has made.
type writer struct {
	id      int
	product string
	began   time.Time
	made    int // transactions that were acknowledged
}

func newWriter(id int, product string) *writer {
	return &writer{id: id, product: product, began: time.Now()}
}

// write commits the writer's next transaction.
func (w *writer) write(ctx context.Context, c *catalog.Catalog) (revision uint64, err error) {
	revision, err = c.Update(ctx, w.transaction(w.made))
	if err == nil {
		w.made++
	}
	return revision, err
}

// transaction returns the writer's transaction i, as an Update.
func (w *writer) transaction(i int) func(v *catalog.View) ([]catalog.Mutation, error) {
	name := w.name(i / 2)
	version := w.version(i)
	return func(v *catalog.View) ([]catalog.Mutation, error) {
		link, a, ok := v.Lookup(w.product, name)
		if ok {
			version.Number = len(a.Versions) + 1
			return []catalog.Mutation{{AddVersion: &catalog.AddedVersion{Asset: link.Asset, Version: version}}}, nil
		}
		id := w.asset(i / 2)
		return []catalog.Mutation{
			{PutAsset: newAsset(id, w.product, version)},
			{PutLink: &asset.Link{Product: w.product, Name: name, Asset: id, Created: version.Created}},
		}, nil
	}
}

func (w *writer) name(k int) string {
	return fmt.Sprintf("uploads/%03d/%08d-%s.jpg", w.id, k, words[k%len(words)])
}

func (w *writer) asset(k int) string { return idOf(w.began, uint64(w.id)+1<<32, uint64(k)) }

// version returns the one that transaction i uploads, as number 1.
func (w *writer) version(i int) asset.Version {
	return newVersion(kindOf(uint64(i/2)), uint64(w.id)+1<<32, uint64(i), 1, time.Now().UTC())
}

// missing returns how many of the acknowledged transactions v does not show.
func (w *writer) missing(v *catalog.View) (n int) {
	for i := range w.made {
		_, a, ok := v.Lookup(w.product, w.name(i/2))
		if !ok || len(a.Versions) <= i%2 || a.Versions[i%2].Digest != w.version(i).Digest {
			n++
		}
	}
	return n
}

// addProducts makes the products that are missing.
func addProducts(ctx context.Context, c *catalog.Catalog, names ...string) error {
	_, err := c.Update(ctx, func(v *catalog.View) (missing []catalog.Mutation, _ error) {
		for _, name := range names {
			if _, ok := v.Product(name); !ok {
				missing = append(missing, catalog.Mutation{PutProduct: newProduct(name, time.Now().UTC())})
			}
		}
		return missing, nil
	})
	return err
}
