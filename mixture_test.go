package assetmatrix

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/resolve"
)

// Transactions move ten links from version 1 to version 2 and back, again and again, while 8 readers resolve all ten:
// each of them sees ten links at one version. Fails when a view is changed after it was shown.
func TestTransactionsAreNeverMixed(t *testing.T) {
	matrix, names := tenLinks(t)
	deadline := time.Now().Add(time.Duration(soak(3, 60)) * time.Second)
	var rounds, moves atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for time.Now().Before(deadline) && !t.Failed() {
				resolveTogether(t, matrix.View(), names)
				rounds.Add(1)
			}
		})
	}
	for time.Now().Before(deadline) && !t.Failed() {
		moveTogether(t, matrix, names, int(moves.Add(1)%2)+1)
	}
	group.Wait()
	t.Logf("%d moves, %d rounds of ten resolutions", moves.Load(), rounds.Load())
	if moves.Load() < 20 || rounds.Load() < 1000 {
		t.Error("too few to prove anything")
	}
}

// resolveTogether resolves all names on one view.
func resolveTogether(t *testing.T, v *catalog.View, names []string) {
	r, err := resolve.New(resolve.DefaultConfig(), func() resolve.View { return v })
	if err != nil {
		t.Error(err)
		return
	}
	first := 0
	for i, name := range names {
		found, err := r.Resolve(resolve.Target{Product: "shop", Name: name, Mode: resolve.ModeOriginal}, resolve.Client{})
		switch {
		case err != nil:
			t.Error(err)
			return
		case i == 0:
			first = found.Entry.Number
		case found.Entry.Number != first:
			t.Errorf("revision %d: %s shows version %d, %s version %d", v.Revision(), names[0], first, name, found.Entry.Number)
			return
		}
	}
}

// moveTogether pins all links to a version in one transaction.
func moveTogether(t *testing.T, matrix *catalog.Catalog, names []string, version int) {
	_, err := matrix.Update(t.Context(), func(v *catalog.View) (moved []catalog.Mutation, _ error) {
		for _, name := range names {
			old, ok := v.Link("shop", name)
			if !ok {
				return nil, fmt.Errorf("%s is not there", name)
			}
			l := *old
			l.Pin = version
			moved = append(moved, catalog.Mutation{PutLink: &l})
		}
		return moved, nil
	})
	if err != nil {
		t.Error(err)
	}
}

// tenLinks opens a catalog with ten assets of two versions, each linked at version 1.
func tenLinks(t *testing.T) (matrix *catalog.Catalog, names []string) {
	t.Helper()
	cfg := catalog.DefaultConfig()
	cfg.Dir = t.TempDir()
	matrix, err := catalog.Open(t.Context(), cfg, catalog.Events{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := matrix.Close(); err != nil {
			t.Error(err)
		}
	})
	now := time.Now().UTC()
	_, err = matrix.Update(t.Context(), func(*catalog.View) ([]catalog.Mutation, error) {
		made := []catalog.Mutation{{PutProduct: &asset.Product{Name: "shop", Created: now}}}
		names = nil
		for i := range 10 {
			id, name := fmt.Sprintf("0193c0de-0000-7000-8000-%012d", i), fmt.Sprintf("banners/%d.bin", i)
			names = append(names, name)
			a := &asset.Asset{ID: id, Owner: "shop", Status: asset.Active, Current: 2, Created: now, Updated: now}
			for n := 1; n <= 2; n++ {
				a.Versions = append(a.Versions, asset.Version{Number: n, Digest: asset.Digest{byte(i), byte(n)}, Size: 1, MediaType: "application/octet-stream", Created: now})
			}
			made = append(made, catalog.Mutation{PutAsset: a}, catalog.Mutation{PutLink: &asset.Link{Product: "shop", Name: name, Asset: id, Pin: 1, Created: now}})
		}
		return made, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return matrix, names
}
