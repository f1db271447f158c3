package catalog

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"math"
	"slices"
)

// A keyed is a link by its key.
type keyed struct {
	key  uint64
	link uint64 // the ordinal
}

const entryBytes = 16

// layOut finds the perfect hash function, and how large cells are to be. In the notes it replaces hashes by keys.
func (b *builder) layOut(ctx context.Context) error {
	notes, err := b.notes.mapAll()
	if err != nil {
		return err
	}
	var seed [8]byte
	_, _ = rand.Read(seed[:]) // it always succeeds
	b.perfect = perfectFor(le.Uint64(seed[:]), b.nLinks)
	for i := range b.nLinks {
		le.PutUint64(notes[i*noteBytes:], b.key(noteAt(notes, i).key))
	}
	if err := b.sortEntries(ctx, notes); err != nil {
		return err
	}
	if err := b.findAllPilots(ctx); err != nil {
		return err
	}
	b.chooseCell(notes)
	return nil
}

// sortEntries makes the entries, by part, and in the order of their keys.
func (b *builder) sortEntries(ctx context.Context, notes []byte) error {
	if err := b.entries.grow(entryBytes * b.nLinks); err != nil {
		return err
	}
	b.ends = make([]uint64, b.parts+1)
	for i := range b.nLinks {
		part, _ := b.part(noteAt(notes, i).key)
		b.ends[part+1]++
	}
	for part := range b.parts {
		b.ends[part+1] += b.ends[part]
	}
	next := slices.Clone(b.ends)
	for i := range b.nLinks {
		key := noteAt(notes, i).key
		part, _ := b.part(key)
		keyed{key, i}.put(b.entries.mapped[entryBytes*next[part]:])
		next[part]++
	}
	for part := range b.parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		b.fullest = max(b.fullest, b.sortPart(part))
	}
	return nil
}

func (e keyed) put(b []byte) {
	le.PutUint64(b, e.key)
	le.PutUint64(b[8:], e.link)
}

// entriesOf returns the entries of a part.
func (b *builder) entriesOf(part uint64) []keyed {
	entries := make([]keyed, b.ends[part+1]-b.ends[part])
	for i := range entries {
		e := b.entries.mapped[entryBytes*(b.ends[part]+uint64(i)):]
		entries[i] = keyed{le.Uint64(e), le.Uint64(e[8:])}
	}
	return entries
}

// sortPart sorts the entries of a part, and finds the keys that are there more than once. It returns how many different ones
// there are.
func (b *builder) sortPart(part uint64) (different uint64) {
	entries := b.entriesOf(part)
	slices.SortFunc(entries, func(e, f keyed) int { return cmp.Or(cmp.Compare(e.key, f.key), cmp.Compare(e.link, f.link)) })
	for i, e := range entries {
		e.put(b.entries.mapped[entryBytes*(b.ends[part]+uint64(i)):])
		if i > 0 && e.key == entries[i-1].key {
			b.twice[e.key] = true
		} else {
			different++
		}
	}
	return different
}

// findAllPilots sets b's pilots, and how many cells a part has.
func (b *builder) findAllPilots(ctx context.Context) error {
	b.pilots = make([]byte, b.pilotsLen())
	for b.cells = uint64(float64(b.fullest)/maxLoad) + 1; ; b.cells += b.cells/64 + 1 {
		switch found, err := b.findPilotsOfParts(ctx); {
		case err != nil || found:
			return err
		case b.cells > 2*b.fullest+100:
			return fmt.Errorf("no perfect hash function was found for %d links", b.nLinks)
		}
	}
}

func (b *builder) findPilotsOfParts(ctx context.Context) (found bool, err error) {
	var keys []uint64
	for part := range b.parts {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		keys = keys[:0]
		for _, e := range b.entriesOf(part) {
			keys = append(keys, e.key)
		}
		if !b.findPilots(b.pilotsOf(part), slices.Compact(keys)) {
			return false, nil
		}
	}
	return true, nil
}

// pilotsOf returns the pilots of a part.
func (b *builder) pilotsOf(part uint64) []byte { return b.pilots[part*b.groups:][:b.groups] }

// chooseCell sets the size of a cell to what makes the file smallest, where a byte that is in no cell counts for one and a
// half, as it takes one more load from memory.
func (b *builder) chooseCell(notes []byte) {
	const most = maxCell / cellStep
	var needs [most + 2]uint64 // bytes that need a cell of so many steps; the last needs too many
	outside := uint64(0)
	for i := range b.nLinks {
		n := noteAt(notes, i)
		if b.twice[n.key] {
			continue
		}
		link, own := uint64(n.link), uint64(n.own)
		needs[min((link+cellStep-1)/cellStep, most+1)] += link
		needs[min((link+own+cellStep-1)/cellStep, most+1)] += own
		outside += link + own
	}
	lowest := uint64(math.MaxUint64)
	for steps := uint64(1); steps <= most; steps++ {
		outside -= needs[steps]
		if cost := steps*cellStep*b.cellsLen() + outside*3/2; cost < lowest {
			lowest, b.cellBytes = cost, steps*cellStep
		}
	}
}
