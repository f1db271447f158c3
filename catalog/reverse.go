package catalog

import (
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A reverse is the way from assets to links and from originals to versions, for what a view has in memory; the base has
// its own. Requests never go it, so it is made when somebody does: an edge that starts again has no use for it, and making
// it is most of the work of reading a journal. Once made it is kept in step, and forks inherit it.
type reverse struct {
	making sync.Mutex
	index  atomic.Pointer[reverseIndex]
}

type reverseIndex struct {
	// linksOf is "asset\x00product\x00name" → link; originals is "digest asset\x00number" → the version that uses the
	// original.
	linksOf   btree.Map[string, *asset.Link]
	originals btree.Map[string, use]
}

// A use is a version that uses an original.
type use struct {
	asset  string
	number int
}

// made returns the index, nil while nobody has asked for it.
func (r *reverse) made() *reverseIndex {
	if r == nil {
		return nil
	}
	return r.index.Load()
}

// fork returns one for a fork of the view.
func (r *reverse) fork() *reverse {
	next := new(reverse)
	if x := r.made(); x != nil {
		next.index.Store(&reverseIndex{linksOf: forkMap(x.linksOf), originals: forkMap(x.originals)})
	}
	return next
}

// reversed returns the index, made now if it has to be.
func (v *View) reversed() *reverseIndex {
	if v.reverse == nil { // the zero view
		return new(reverseIndex)
	}
	if x := v.reverse.made(); x != nil {
		return x
	}
	v.reverse.making.Lock()
	defer v.reverse.making.Unlock()
	x := v.reverse.made()
	if x == nil {
		x = v.makeReverse()
		v.reverse.index.Store(x)
	}
	return x
}

func (v *View) makeReverse() *reverseIndex {
	x := &reverseIndex{linksOf: newMap[*asset.Link](), originals: newMap[use]()}
	v.assets.Scan(func(_ string, a *asset.Asset) bool {
		x.reindex(nil, a, 0, false)
		return true
	})
	v.links.Scan(func(_ string, n *names) bool {
		n.m.Scan(func(_ string, l *asset.Link) bool {
			x.linksOf.Set(linkKey(l), l)
			return true
		})
		return true
	})
	return x
}

// reindex brings originals from the versions of old to those of a, of which the first same are alike; nil has none. hid
// says that those of old were the base's, and were hidden with its record.
func (x *reverseIndex) reindex(old, a *asset.Asset, same int, hid bool) {
	for i := same; i < len(versions(old)) && !hid; i++ {
		x.originals.Delete(originalKey(old, i))
	}
	if hid {
		same = 0
	}
	for i := same; i < len(versions(a)); i++ {
		x.originals.Set(originalKey(a, i), use{a.ID, a.Versions[i].Number})
	}
}

func originalKey(a *asset.Asset, i int) string {
	return string(a.Versions[i].Digest[:]) + a.ID + "\x00" + strconv.Itoa(a.Versions[i].Number)
}

func linkKey(l *asset.Link) string { return l.Asset + "\x00" + l.Product + "\x00" + l.Name }
