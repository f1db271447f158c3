package cache

// A sieve knows the entries of the disk cache, how much they take, and which goes next. It is the SIEVE of Zhang et al.
// (NSDI '24): a queue in order of arrival, a bit that a hit sets, and a hand that goes from the old to the new, clears
// the bits that are set and takes the first entry whose bit was not. A hit moves nothing, and a burst of entries that
// are never asked for again does not drive out those that are.
type sieve struct {
	nodes       map[uint64]*node // by hash of the key
	newest, old *node
	hand        *node // nil: start at the oldest
	used        int64 // units, reservations included
}

// A node is an entry in the queue.
type node struct {
	hash         uint64
	units        int64
	visited      bool
	newer, older *node
}

func newSieve() *sieve { return &sieve{nodes: map[uint64]*node{}} }

// touch notes a hit and reports whether the entry is known.
func (s *sieve) touch(hash uint64) bool {
	n := s.nodes[hash]
	if n == nil {
		return false
	}
	n.visited = true
	return true
}

// add makes hash the newest entry, in place of an older one. Its units are in used already, by a reservation.
func (s *sieve) add(hash uint64, units int64) {
	s.drop(hash)
	n := &node{hash: hash, units: units, older: s.newest}
	if s.newest != nil {
		s.newest.newer = n
	} else {
		s.old = n
	}
	s.newest = n
	s.nodes[hash] = n
}

// adopt makes hash the oldest entry, unless it is known, and adds its units.
func (s *sieve) adopt(hash uint64, units int64) {
	if s.nodes[hash] != nil {
		return
	}
	n := &node{hash: hash, units: units, newer: s.old}
	if s.old != nil {
		s.old.older = n
	} else {
		s.newest = n
	}
	s.old = n
	s.nodes[hash] = n
	s.used += units
}

// drop forgets the entry and gives back its units.
func (s *sieve) drop(hash uint64) {
	n := s.nodes[hash]
	if n == nil {
		return
	}
	if s.hand == n {
		s.hand = n.newer
	}
	if n.newer != nil {
		n.newer.older = n.older
	} else {
		s.newest = n.older
	}
	if n.older != nil {
		n.older.newer = n.newer
	} else {
		s.old = n.newer
	}
	delete(s.nodes, hash)
	s.used -= n.units
}

// victim returns the entry that goes next, nil when there is none. It stays until it is dropped.
func (s *sieve) victim() *node {
	if s.old == nil {
		return nil
	}
	if s.hand == nil {
		s.hand = s.old
	}
	for s.hand.visited {
		s.hand.visited = false
		if s.hand = s.hand.newer; s.hand == nil {
			s.hand = s.old
		}
	}
	return s.hand
}
