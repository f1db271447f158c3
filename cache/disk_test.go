package cache

import (
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/asset/assettest"
)

func openDisk(t testing.TB, dir string, maxBytes int64, ev Events) *Disk {
	t.Helper()
	cfg := DefaultConfig().Disk
	cfg.Dir, cfg.MaxBytes = dir, maxBytes
	d, err := NewDisk(cfg, ev)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	<-d.Ready()
	return d
}

func TestDiskConforms(t *testing.T) {
	assettest.TestStore(t, func(t *testing.T) asset.Store { return openDisk(t, t.TempDir(), 256<<20, Events{}) }, assettest.Options{})
}
