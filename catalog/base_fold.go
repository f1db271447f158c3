package catalog

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"strings"

	"github.com/assetmatrix/assetmatrix/asset"
)

// writeBase writes v as a base file at path, all or nothing; a file that was there is replaced. The base is of the given
// epoch, or of v's when it is "". The heap it takes grows with what v has beside its base, not with the base.
func writeBase(ctx context.Context, path string, v *View, epoch string) error {
	if epoch == "" {
		epoch = v.epoch
	}
	at := baseHead{revision: v.revision, epoch: epoch, hash: v.hash, committed: v.committing}
	f := &folding{view: v, written: map[string]bool{}}
	return build(ctx, path, at, v.rest(), f.records, f.missing)
}

// rest returns what v has that is no record.
func (v *View) rest() meta {
	m := meta{Retired: v.retired, Tags: v.tagPurges()}
	for o := range v.Orphans() {
		m.Orphans = append(m.Orphans, o)
	}
	return m
}

// A folding goes through a view's records in the order in which a base has them.
type folding struct {
	view  *View
	yield func(Mutation) bool
	err   error

	// What has been written: assets of the base by ordinal, others by id.
	writtenBase []uint64
	written     map[string]bool
}

// missing says why the records were not all.
func (f *folding) missing() error {
	if err := f.view.Err(); err != nil {
		return err
	}
	return f.err
}

func (f *folding) records(yield func(Mutation) bool) {
	f.yield = yield
	if b := f.view.base; b != nil {
		f.writtenBase = make([]uint64, (b.nAssets+63)/64)
	}
	for p := range f.view.Products() {
		if !yield(Mutation{PutProduct: p}) {
			return
		}
	}
	if f.links() && f.baseAssets() {
		f.changedAssets()
	}
	runtime.KeepAlive(f.view)
}

// links yields all links, and each asset before its first. It returns false when no more is wanted.
func (f *folding) links() bool {
	changed, stop := iter.Pull(f.view.changedLinks())
	defer stop()
	l, more := changed()
	for r := range f.view.baseLinks() {
		product := f.view.base.meta.Names[r.product()].Name
		for ; more && linkBefore(l.Product, l.Name, product, borrow(r.name())); l, more = changed() {
			if !f.changedLink(l) {
				return false
			}
		}
		if !f.baseLink(r) {
			return false
		}
	}
	for ; more; l, more = changed() {
		if !f.changedLink(l) {
			return false
		}
	}
	return true
}

// linkBefore reports whether one link stands before another.
func linkBefore(product, name, otherProduct, otherName string) bool {
	if c := strings.Compare(product, otherProduct); c != 0 {
		return c < 0
	}
	return name < otherName
}

func (f *folding) changedLink(l *asset.Link) bool {
	if a, ok := f.view.assets.Get(l.Asset); ok {
		return f.changedAsset(a) && f.yield(Mutation{PutLink: l})
	}
	if b := f.view.base; b != nil {
		if r, at, ok := b.findAsset(l.Asset); ok && !f.view.hiddenAssets.has(r.ordinal()) {
			return f.baseAsset(at, r) && f.yield(Mutation{PutLink: l})
		}
	}
	f.err = fmt.Errorf("link %q of %q is to nothing", l.Name, l.Product)
	return false
}

func (f *folding) baseLink(r linkRecord) bool {
	l, ok := f.view.base.decodeLink(r)
	if !ok {
		return false
	}
	at := r.asset()
	a, ok := f.view.base.asset(at)
	if !ok {
		return false
	}
	if !f.view.hiddenAssets.has(a.ordinal()) {
		return f.baseAsset(at, a) && f.yield(Mutation{PutLink: l})
	}
	return f.changedLink(l)
}

// baseAsset yields the base's asset at an offset, once.
func (f *folding) baseAsset(at uint64, r assetRecord) bool {
	word, bit := r.ordinal()/64, uint64(1)<<(r.ordinal()%64)
	if f.writtenBase[word]&bit != 0 {
		return true
	}
	f.writtenBase[word] |= bit
	a, ok := f.view.base.decodeAsset(at, r)
	return ok && f.yield(Mutation{PutAsset: a})
}

func (f *folding) changedAsset(a *asset.Asset) bool {
	if f.written[a.ID] {
		return true
	}
	f.written[a.ID] = true
	return f.yield(Mutation{PutAsset: a})
}

// baseAssets yields the base's assets that no link led to.
func (f *folding) baseAssets() bool {
	b := f.view.base
	if b == nil {
		return true
	}
	for off, r := range b.allAssets() {
		if !f.view.hiddenAssets.has(r.ordinal()) && !f.baseAsset(off, r) {
			return false
		}
	}
	return true
}

func (f *folding) changedAssets() {
	f.view.assets.Scan(func(_ string, a *asset.Asset) bool { return f.changedAsset(a) })
}

// changedLinks returns the links that v has beside its base, in order.
func (v *View) changedLinks() iter.Seq[*asset.Link] {
	return func(yield func(*asset.Link) bool) {
		v.links.Scan(func(_ string, n *names) (more bool) {
			n.m.Scan(func(_ string, l *asset.Link) bool {
				more = yield(l)
				return more
			})
			return more
		})
	}
}

// baseLinks returns the base's links that v has not changed, in order.
func (v *View) baseLinks() iter.Seq[linkRecord] {
	return func(yield func(linkRecord) bool) {
		if v.base == nil {
			return
		}
		for i := range int(v.base.nLinks) {
			r, ok := v.base.linkNumber(i)
			if !ok || !v.hiddenLinks.has(r.ordinal()) && !yield(r) {
				return
			}
		}
	}
}
