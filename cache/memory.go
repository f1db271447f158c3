package cache

import (
	"context"
	"fmt"
	"sync"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/assetmatrix/assetmatrix/asset"
)

// Memory keeps small objects in memory. It returns the very object that was put, so that its [asset.Object.Memo] is
// built once. It chooses by TinyLFU what is worth keeping, so an object that was put may not be there.
type Memory struct {
	mu             sync.RWMutex // held for reading by every use of kept: ristretto panics when it is used while it is closed
	kept           *ristretto.Cache[uint64, *asset.Object]
	maxObjectBytes int64
}

var _ asset.Store = (*Memory)(nil)

const (
	// overheadBytes is what an object costs beside its bytes: itself with its key, the header block of the front door,
	// and its places in ristretto's maps.
	overheadBytes = 1 << 10

	// bytesPerCounter: ristretto wants ten frequency counters for each object that it can hold. Renditions are about
	// 10 KiB and more in the mean, so there is one for each KiB; at 3 bytes a counter that is 0.3 % on top of MaxBytes.
	bytesPerCounter = 1 << 10

	// bufferItems is how many reads a P collects before the policy counts them in one go. 64 is what ristretto advises;
	// a full buffer is handed over and made anew, so a read costs 8 bytes of garbage in the mean whatever the number.
	bufferItems = 64
)

// NewMemory returns an empty cache.
func NewMemory(cfg MemoryConfig) (*Memory, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	kept, err := ristretto.NewCache(&ristretto.Config[uint64, *asset.Object]{
		NumCounters:        max(cfg.MaxBytes/bytesPerCounter, 1<<10),
		MaxCost:            cfg.MaxBytes,
		BufferItems:        bufferItems,
		IgnoreInternalCost: true, // overheadBytes has it
		// The key is a hash already. There is no second one to tell collisions by: Load compares the whole key.
		KeyToHash: func(h uint64) (uint64, uint64) { return h, 0 },
	})
	if err != nil {
		return nil, fmt.Errorf("memory cache: %w", err)
	}
	return &Memory{kept: kept, maxObjectBytes: cfg.MaxObjectBytes}, nil
}

// Load returns the object, or the bare [asset.ErrNotFound]. A hit does not allocate.
func (m *Memory) Load(_ context.Context, k asset.Key) (*asset.Object, error) {
	h := k.Hash()
	m.mu.RLock()
	o, ok := m.kept.Get(h)
	m.mu.RUnlock()
	if !ok || o.Key != k {
		return nil, asset.ErrNotFound
	}
	return o, nil
}

// Put offers o to the cache. Objects that are not in memory, or are larger than MaxObjectBytes, are not kept, and what
// was there before them is forgotten.
//
// Ristretto queues what is set, and until its queue is worked off even a kept object is not there. Put waits for that
// (some µs), so that whoever fills a key holds the object until others can find it.
func (m *Memory) Put(ctx context.Context, o *asset.Object) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory put %s: %w", o.Key, err)
	}
	b, ok := o.Bytes()
	if !ok || o.Size > m.maxObjectBytes {
		return m.Delete(ctx, o.Key)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	m.kept.Set(o.Key.Hash(), o, int64(cap(b))+overheadBytes)
	m.kept.Wait()
	return nil
}

// Delete forgets the object, and with it one whose key has the same hash.
func (m *Memory) Delete(_ context.Context, k asset.Key) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	m.kept.Del(k.Hash())
	m.kept.Wait() // a Set that is queued before the Del would show for a moment
	return nil
}

// Bytes returns the cost of what is kept, in bytes.
func (m *Memory) Bytes() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.kept.MaxCost() - m.kept.RemainingCost()
}

// Close forgets everything. The cache stays usable and is empty.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept.Close()
	return nil
}
