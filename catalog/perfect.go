package catalog

import (
	"container/heap"
	"math"
	"math/bits"
	"slices"
)

// A perfect is a perfect hash function: it gives each key of a set a cell of its own, and there are few more cells than
// keys. It is PtrHash in its plain form (Groot Koerkamp 2025, arXiv:2502.15539): a key belongs to a part, and in it to a
// group of some four; the group's pilot, a byte that was searched for until no two keys had the same cell, leads from the
// key to its cell. What is read to find a cell is one byte of a table that has a quarter of a byte for each key, and so
// stays in the caches of a processor.
//
// All parts have as many groups and as many cells. A part is what is searched for at a time.
type perfect struct {
	seed   uint64 // secret, so that nobody can choose names which are hard to keep apart
	parts  uint64
	groups uint64 // of a part
	cells  uint64 // of a part
}

const (
	partKeys  = 1 << 16 // of a part, about
	groupKeys = 4       // of a group, on average
	allPilots = 1 << 8
	// maxLoad is how full the cells of the fullest part are, unless no pilots are found with so few.
	maxLoad = 0.98
	// maxEvictions is how often a group may lose its pilot again before there are to be more cells, per group.
	maxEvictions = 20

	goldenRatio = 0x9e3779b97f4a7c15 // 2^64 divided by it
	mixer       = 0xd6e8feb86659fd93
)

// perfectFor returns a function for so many keys that has no cells yet.
func perfectFor(seed, keys uint64) perfect {
	parts := keys/partKeys + 1
	return perfect{seed: seed, parts: parts, groups: keys/parts/groupKeys + 1}
}

// key returns the key of a hash.
func (p *perfect) key(hash uint64) uint64 {
	high, low := bits.Mul64(hash^p.seed, mixer)
	return high ^ low
}

// part returns the part of a key, and what is left of the key to choose the group by.
func (p *perfect) part(key uint64) (part, rest uint64) { return bits.Mul64(key, p.parts) }

// group returns the group, in its part. They are not equally large: of what is left of the key, as a fraction x, it is
// x²(1+x)/2, and a little of x itself, that chooses. The large ones find their pilots while most cells are free, and the
// last have one key.
func (p *perfect) group(rest uint64) uint64 {
	square, _ := bits.Mul64(rest, rest)
	cube, _ := bits.Mul64(square, rest>>1|1<<63)
	group, _ := bits.Mul64(cube-cube>>8+rest>>8, p.groups)
	return group
}

// cell returns the cell, in the part, to which a pilot leads a key.
func (p *perfect) cell(key uint64, pilot byte) uint64 {
	cell, _ := bits.Mul64((key^uint64(pilot)*goldenRatio)*mixer, p.cells)
	return cell
}

// A pilotSearch looks for the pilots of one part.
type pilotSearch struct {
	*perfect
	keys   []uint64 // by group
	starts []int32  // where each group begins in keys, and the end
	pilots []byte   // of the groups
	owners []int32  // of each cell: a group, or noGroup
	// waiting are groups without a pilot, the largest first.
	waiting []int32
	// lately are groups that were moved last: they stay, or two could go on to move each other.
	lately [16]int32
	moved  int
}

const noGroup = -1

// findPilots sets pilots, one for each group of a part, for keys that are in order and all different. It returns false when
// it does not find any; with more cells there are.
func (p *perfect) findPilots(pilots []byte, keys []uint64) bool {
	s := &pilotSearch{perfect: p, pilots: pilots, keys: keys, starts: make([]int32, p.groups+1), owners: make([]int32, p.cells)}
	for _, key := range keys { // a group's are together, as the groups are in the order of the keys
		_, rest := p.part(key)
		s.starts[p.group(rest)+1]++
	}
	for g := range p.groups {
		s.starts[g+1] += s.starts[g]
	}
	for i := range s.owners {
		s.owners[i] = noGroup
	}
	for i := range s.lately {
		s.lately[i] = noGroup
	}
	for g := range int32(p.groups) {
		if len(s.of(g)) > 0 {
			s.waiting = append(s.waiting, g)
		}
	}
	heap.Init(s)
	for limit := maxEvictions * (len(s.waiting) + 1); len(s.waiting) > 0; limit-- {
		if limit == 0 || !s.settle(heap.Pop(s).(int32)) {
			return false
		}
	}
	return true
}

// of returns a group's keys.
func (s *pilotSearch) of(group int32) []uint64 { return s.keys[s.starts[group]:s.starts[group+1]] }

// The groups that wait are a heap.
func (s *pilotSearch) Len() int           { return len(s.waiting) }
func (s *pilotSearch) Less(i, k int) bool { return len(s.of(s.waiting[i])) > len(s.of(s.waiting[k])) }
func (s *pilotSearch) Swap(i, k int)      { s.waiting[i], s.waiting[k] = s.waiting[k], s.waiting[i] }
func (s *pilotSearch) Push(g any)         { s.waiting = append(s.waiting, g.(int32)) }
func (s *pilotSearch) Pop() any {
	last := len(s.waiting) - 1
	g := s.waiting[last]
	s.waiting = s.waiting[:last]
	return g
}

// settle gives a group the first pilot that leads all its keys to free cells; where there is none, the one that takes
// their cells from the fewest other keys. It returns false when every one takes some from its own, or from those that
// were moved lately.
func (s *pilotSearch) settle(group int32) bool {
	pilot, cost := s.cheapest(group, 1) // it is found sooner when nothing is weighed
	if cost > 0 {
		pilot, cost = s.cheapest(group, impossible)
	}
	if cost == impossible {
		return false
	}
	s.pilots[group] = pilot
	if cost > 0 {
		for _, key := range s.of(group) {
			s.evict(s.owners[s.cell(key, pilot)])
		}
		s.lately[s.moved%len(s.lately)] = group
		s.moved++
	}
	s.own(group, group)
	return true
}

// cheapest returns the first pilot of those that cost a group least, if that is less than the limit.
func (s *pilotSearch) cheapest(group int32, limit int) (best byte, lowest int) {
	lowest = impossible
	for i := 0; i < allPilots && lowest > 0; i++ {
		pilot := byte(i + s.moved) // or what was moved would come back to the same place
		if cost := s.cost(group, pilot, min(lowest, limit)); cost < lowest {
			best, lowest = pilot, cost
		}
	}
	return best, lowest
}

const impossible = math.MaxInt

// cost returns what a group's keys take from others with a pilot: the squares of the sizes of those groups. Where that is
// the limit or more, or cannot be, it is impossible.
func (s *pilotSearch) cost(group int32, pilot byte, limit int) (cost int) {
	keys := s.of(group)
	for i, key := range keys {
		cell := s.cell(key, pilot)
		if owner := s.owners[cell]; owner != noGroup {
			n := len(s.of(owner))
			if cost += n * n; cost >= limit || slices.Contains(s.lately[:], owner) {
				return impossible
			}
		}
		for _, other := range keys[:i] {
			if s.cell(other, pilot) == cell {
				return impossible
			}
		}
	}
	return cost
}

// own makes an owner of the cells to which a group's pilot leads.
func (s *pilotSearch) own(group, owner int32) {
	for _, key := range s.of(group) {
		s.owners[s.cell(key, s.pilots[group])] = owner
	}
}

// evict takes a group's cells from it, and lets it wait.
func (s *pilotSearch) evict(group int32) {
	if group != noGroup {
		s.own(group, noGroup)
		heap.Push(s, group)
	}
}
