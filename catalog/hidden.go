package catalog

// hiddenPageBits is how many records of a base one page speaks of. A page is what one change copies.
const hiddenPageBits = 1 << 13

// hidden is a set of a base's records, by their ordinals: those that the view has replaced or deleted. A reader pays a
// bit test for it, and a fork nothing: what is shared is copied page by page when it is changed.
type hidden struct {
	edit  *edit // whose the slice of pages is
	pages []*hiddenPage
	n     int // how many are in the set
}

type hiddenPage struct {
	edit  *edit // whose the page is
	words [hiddenPageBits / 64]uint64
}

// has reports whether the set has the record with that ordinal.
func (h *hidden) has(ordinal uint32) bool {
	i := int(ordinal / hiddenPageBits)
	if i >= len(h.pages) || h.pages[i] == nil {
		return false
	}
	return h.pages[i].words[ordinal%hiddenPageBits/64]>>(ordinal%64)&1 != 0
}

// hide puts a record into the set, in the course of an edit. of is how many records the base has.
func (h *hidden) hide(e *edit, ordinal uint32, of int) {
	if h.has(ordinal) {
		return
	}
	if h.pages == nil || h.edit != e {
		pages := make([]*hiddenPage, (of+hiddenPageBits-1)/hiddenPageBits)
		copy(pages, h.pages)
		h.edit, h.pages = e, pages
	}
	i := ordinal / hiddenPageBits
	switch page := h.pages[i]; {
	case page == nil:
		h.pages[i] = &hiddenPage{edit: e}
	case page.edit != e:
		own := *page
		own.edit = e
		h.pages[i] = &own
	}
	h.pages[i].words[ordinal%hiddenPageBits/64] |= 1 << (ordinal % 64)
	h.n++
}
