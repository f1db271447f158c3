package transform

import (
	"sync"

	"github.com/assetmatrix/assetmatrix/asset"
)

// maxHeads is how many heads are remembered, of about 150 bytes each.
const maxHeads = 20_000

// A headMemory remembers the heads of originals that could be rendered when they were looked at lately. What is made of a reduction
// needs no more of its original. A digest has one head, so none goes stale.
type headMemory struct {
	mu          sync.Mutex // guards the rest
	young, aged map[asset.Digest]known
}

// What is known of an original: its head, and its size in bytes.
type known struct {
	Head
	size int64
}

func (m *headMemory) get(d asset.Digest) (known, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, ok := m.young[d]
	if !ok {
		if h, ok = m.aged[d]; ok {
			m.keep(d, h)
		}
	}
	return h, ok
}

func (m *headMemory) put(d asset.Digest, h known) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(d, h)
}

// keep makes a head one of the young; when there are enough of those, they are the aged, and those that were are forgotten.
func (m *headMemory) keep(d asset.Digest, h known) {
	if len(m.young) >= maxHeads/2 {
		m.aged, m.young = m.young, nil
	}
	if m.young == nil {
		m.young = make(map[asset.Digest]known)
	}
	m.young[d] = h
}
