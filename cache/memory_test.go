package cache

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/asset/assettest"
)

func newMemory(t testing.TB, maxBytes int64) *Memory {
	t.Helper()
	m, err := NewMemory(MemoryConfig{MaxBytes: maxBytes, MaxObjectBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// testKey returns one of many keys.
func testKey(n int) asset.Key { return assettest.Rendition(fmt.Sprint("key", n), nil) }

func testObject(n, size int) *asset.Object {
	return asset.NewObject(testKey(n), "image/webp", assettest.Bytes(size, uint64(n)))
}

func mustPut(t testing.TB, s asset.Store, o *asset.Object) {
	t.Helper()
	if err := s.Put(context.Background(), o); err != nil {
		t.Fatal(err)
	}
}

func TestMemoryConforms(t *testing.T) {
	assettest.TestStore(t, func(t *testing.T) asset.Store { return newMemory(t, 16<<20) }, assettest.Options{Lossy: true})
}

// What is put is there when Put returns, and is the same object: its memo is built once.
func TestMemoryReturnsTheObjectItself(t *testing.T) {
	m := newMemory(t, 1<<20)
	for n := range 100 {
		put := testObject(n, 100)
		mustPut(t, m, put)
		if got, err := m.Load(t.Context(), put.Key); err != nil || got != put {
			t.Fatalf("object %d: %p, %v, put was %p", n, got, err, put)
		}
	}
}

// What is still queued when it is deleted does not come up afterwards.
func TestMemoryDeletesWhatIsQueued(t *testing.T) {
	m := newMemory(t, 1<<20)
	for n := range 2000 {
		o := testObject(n, 10)
		m.kept.Set(o.Key.Hash(), o, 10)
		if err := m.Delete(t.Context(), o.Key); err != nil {
			t.Fatal(err)
		}
		mustMiss(t, m, o.Key)
	}
}

func TestMemoryLeavesOut(t *testing.T) {
	m := newMemory(t, 8<<20)
	large := testObject(1, 1<<20+1)
	body := asset.NewBodyObject(testKey(2), "image/webp", 10, assettest.NewBody(t, make([]byte, 10)))
	for _, o := range []*asset.Object{large, body} {
		mustPut(t, m, o)
		if _, err := m.Load(t.Context(), o.Key); !errors.Is(err, asset.ErrNotFound) {
			t.Errorf("object of %d bytes: %v, wanted ErrNotFound", o.Size, err)
		}
	}
	if m.Bytes() != 0 {
		t.Errorf("%d bytes kept", m.Bytes())
	}
}

func TestMemoryKeepsItsCap(t *testing.T) {
	const maxBytes = 1 << 20
	m := newMemory(t, maxBytes)
	for n := range 500 {
		mustPut(t, m, testObject(n, 10_000))
		if m.Bytes() > maxBytes {
			t.Fatalf("%d bytes after %d objects", m.Bytes(), n+1)
		}
	}
	if m.Bytes() < maxBytes/2 {
		t.Errorf("only %d bytes kept", m.Bytes())
	}
}

// Loads and Puts under way while the cache is closed neither panic nor race.
func TestMemoryCloseUnderUse(t *testing.T) {
	m := newMemory(t, 1<<20)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			mustPut(t, m, testObject(n%50, 100))
			_, _ = m.Load(context.Background(), testKey(n%50))
			_ = m.Delete(context.Background(), testKey(n%50))
		}
	}()
	for range 2 {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	<-stopped
	if _, err := m.Load(t.Context(), testKey(1)); !errors.Is(err, asset.ErrNotFound) {
		t.Errorf("after Close: %v", err)
	}
	if m.Bytes() != 0 {
		t.Errorf("after Close: %d bytes", m.Bytes())
	}
}

func BenchmarkMemoryLoad(b *testing.B) {
	m := newMemory(b, 64<<20)
	const objects = 1024
	keys := make([]asset.Key, objects)
	for n := range keys {
		keys[n] = testKey(n)
		mustPut(b, m, testObject(n, 2048))
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for n := 0; pb.Next(); n++ {
			if _, err := m.Load(context.Background(), keys[n%objects]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
