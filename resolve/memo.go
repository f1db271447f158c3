package resolve

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// A memo remembers what texts mean that come again and again: a site has a few option strings in thousands of URLs, and
// browsers have a few Accept headers. A text is kept when it comes a second time, in the one slot that its hash gives it,
// until another one takes that. So texts that somebody makes up cost no memory. The zero memo is empty.
type memo[T any] struct {
	seen  [memoSlots]atomic.Uint64 // the hashes of those that came last
	slots [memoSlots]atomic.Pointer[remembered[T]]
}

type remembered[T any] struct {
	text string
	is   *T
}

const (
	memoSlots = 1 << 10
	// maxMemoBytes is the longest text that is remembered.
	maxMemoBytes = 256
)

var memoSeed = maphash.MakeSeed()

// get returns what read makes of the text, remembered or now. Nobody may change it. read is given a text of its own when
// the result is to be remembered; what is an error never is.
func (m *memo[T]) get(text string, read func(text string) (*T, error)) (*T, error) {
	if len(text) > maxMemoBytes {
		return read(text)
	}
	hash := maphash.String(memoSeed, text)
	slot := &m.slots[hash%memoSlots]
	if r := slot.Load(); r != nil && r.text == text {
		return r.is, nil
	}
	if m.seen[hash%memoSlots].Swap(hash) != hash {
		return read(text)
	}
	own := strings.Clone(text)
	is, err := read(own)
	if err == nil {
		slot.Store(&remembered[T]{own, is})
	}
	return is, err
}
