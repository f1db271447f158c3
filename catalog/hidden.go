package catalog

import (
	"math/bits"
	"slices"
)

// hiddenPageBits is how many records of a base one page speaks of. A page is what a change copies.
const hiddenPageBits = 1 << 12

// hidden is a set of a base's records, by their ordinals: those that the view has replaced, and by what, or deleted. A
// reader pays a bit test for it, and finds a successor without looking for its name; a fork pays nothing, as what is
// shared is copied page by page when it is changed.
type hidden[T any] struct {
	edit  *edit // whose the slice of pages is
	pages []hiddenEntry[T]
	n     int // how many are in the set
}

// A hiddenEntry says of a page which of its words have a bit set, a bit for each: most lookups end with that, which is in
// a cache nearer than all the words of ten million records.
type hiddenEntry[T any] struct {
	filled uint64
	*hiddenPage[T]
}

type hiddenPage[T any] struct {
	edit  *edit // whose the page is; the lists are everybody's, and never changed
	words [hiddenPageBits / 64]uint64
	lists [hiddenPageBits / 64][]*T // for each bit that is set in the word, in their order, what took the record's place, or nil
}

// has reports whether the set has the record with that ordinal.
func (h *hidden[T]) has(ordinal uint32) bool {
	i, word := int(ordinal/hiddenPageBits), ordinal%hiddenPageBits/64
	if i >= len(h.pages) || h.pages[i].filled>>word&1 == 0 {
		return false
	}
	return h.pages[i].words[word]>>(ordinal%64)&1 != 0
}

// successor returns what took the place of a record that the set has; nil when it was deleted.
func (h *hidden[T]) successor(ordinal uint32) *T {
	page, word := h.pages[ordinal/hiddenPageBits], ordinal%hiddenPageBits/64
	return page.lists[word][rank(page.words[word], ordinal)]
}

// rank returns how many bits are set in a word below an ordinal's.
func rank(word uint64, ordinal uint32) int {
	return bits.OnesCount64(word & (1<<(ordinal%64) - 1))
}

// hide puts a record into the set, in the course of an edit; by takes its place, nil when it is deleted. of is how many
// records the base has.
func (h *hidden[T]) hide(e *edit, ordinal uint32, of int, by *T) {
	had := h.has(ordinal)
	page, word := h.page(e, ordinal, of), ordinal%hiddenPageBits/64
	i := rank(page.words[word], ordinal)
	if had {
		page.lists[word] = slices.Clone(page.lists[word])
		page.lists[word][i] = by
		return
	}
	page.lists[word] = slices.Insert(slices.Clip(page.lists[word]), i, by)
	page.words[word] |= 1 << (ordinal % 64)
	h.pages[ordinal/hiddenPageBits].filled |= 1 << word
	h.n++
}

// page returns an ordinal's page for changing.
func (h *hidden[T]) page(e *edit, ordinal uint32, of int) *hiddenPage[T] {
	if h.pages == nil || h.edit != e {
		pages := make([]hiddenEntry[T], (of+hiddenPageBits-1)/hiddenPageBits)
		copy(pages, h.pages)
		h.edit, h.pages = e, pages
	}
	i := ordinal / hiddenPageBits
	entry := &h.pages[i]
	switch page := entry.hiddenPage; {
	case page == nil:
		entry.hiddenPage = &hiddenPage[T]{edit: e}
	case page.edit != e:
		own := *page
		own.edit = e
		entry.hiddenPage = &own
	}
	return entry.hiddenPage
}
