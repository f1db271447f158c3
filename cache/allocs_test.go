//go:build !race

package cache

import (
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

// Under -race a sync.Pool forgets on purpose.

func TestMemoryLoadDoesNotAllocate(t *testing.T) {
	m := newMemory(t, 1<<20)
	mustPut(t, m, testObject(1, 100))
	ctx, k, missing := t.Context(), testKey(1), testKey(2)
	if n := testing.AllocsPerRun(1000, func() { _, _ = m.Load(ctx, k) }); n != 0 {
		t.Errorf("a hit allocates %v times", n)
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = m.Load(ctx, missing) }); n != 0 {
		t.Errorf("a miss allocates %v times", n)
	}
}

func TestTierHitDoesNotAllocate(t *testing.T) {
	m := newMemory(t, 1<<20)
	mustPut(t, m, testObject(1, 100))
	tier := NewTier(asset.MemoryTier, m, neverLoads(t), Events{Hit: func(asset.Room) {}})
	trace, k := &asset.Trace{Context: t.Context()}, testKey(1)
	if n := testing.AllocsPerRun(1000, func() { load(t, tier, trace, k).Release() }); n != 0 {
		t.Errorf("a hit allocates %v times", n)
	}
}
