package catalog

import (
	"maps"
	"slices"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A Purge makes renditions unreachable at once, everywhere: its revision becomes a part of the keys of what it concerns,
// so what was kept under the old keys cannot be named any more. Exactly one thing is named.
type Purge struct {
	// Product alone purges all that is delivered as the product's; with Name, one link of it; with Tag, the product's own
	// assets that have the tag.
	Product string `json:"product,omitempty"`
	Name    string `json:"name,omitempty"`
	// Tag alone purges the assets that have the tag, whoever owns them.
	Tag string `json:"tag,omitempty"`
	// Asset is an asset's id.
	Asset string `json:"asset,omitempty"`
}

func (v *View) checkPurge(p *Purge) error {
	switch {
	case p.Asset != "" && (p.Product != "" || p.Name != "" || p.Tag != ""), p.Name != "" && (p.Tag != "" || p.Product == ""), *p == Purge{}:
		return invalid("/purge", "it does not name one thing", "product, product and name, product and tag, tag, or asset")
	}
	if p.Product != "" {
		if _, ok := v.Product(p.Product); !ok {
			return notFound("/product", "there is no product %q", p.Product)
		}
	}
	switch {
	case p.Asset != "":
		if _, ok := v.Asset(p.Asset); !ok {
			return notFound("/asset", "there is no asset %q", p.Asset)
		}
	case p.Name != "":
		if _, ok := v.Link(p.Product, p.Name); !ok {
			return notFound("/name", "product %q has no %q", p.Product, p.Name)
		}
	case p.Tag != "":
		return asset.CheckTag("/tag", p.Tag)
	}
	return nil
}

// purge gives p its effect on v.
func (v *View) purge(p *Purge) {
	generation := v.revision + 1
	switch {
	case p.Asset != "":
		v.changeAsset(place{}, p.Asset, func(old *asset.Asset) *asset.Asset {
			a := *old
			a.Generation = generation
			return &a
		})
	case p.Name != "":
		if old, ok := v.Link(p.Product, p.Name); ok {
			l := *old
			l.Generation = generation
			v.putLink(place{}, &l)
		}
	case p.Tag != "":
		v.purgeTag(tagPurge{p.Tag, p.Product, generation})
	default:
		if old, ok := v.Product(p.Product); ok {
			next := *old
			next.Generation = generation
			v.products.Set(next.Name, &next)
		}
	}
}

// A tagPurge is the last purge of a tag among a product's own assets, or among all when Product is "".
type tagPurge struct {
	Tag        string `json:"tag"`
	Product    string `json:"product,omitempty"`
	Generation uint64 `json:"generation"`
}

// tagPurges are the last purges of one tag. They are not changed any more once a view has them.
type tagPurges struct {
	all uint64            // of the tag, whoever owns the asset
	of  map[string]uint64 // by product
}

func (t *tagPurges) generation(owner string) uint64 { return max(t.all, t.of[owner]) }

func (v *View) purgeTag(p tagPurge) {
	next := new(tagPurges)
	if old, ok := v.tags.Get(p.Tag); ok {
		*next = tagPurges{old.all, maps.Clone(old.of)}
	}
	if p.Product == "" {
		next.all = p.Generation
	} else {
		if next.of == nil {
			next.of = map[string]uint64{}
		}
		next.of[p.Product] = p.Generation
	}
	v.tags.Set(p.Tag, next)
}

// tagPurges returns all of them, in the order of tags and products.
func (v *View) tagPurges() (all []tagPurge) {
	v.tags.Scan(func(tag string, t *tagPurges) bool {
		if t.all != 0 {
			all = append(all, tagPurge{tag, "", t.all})
		}
		for _, product := range slices.Sorted(maps.Keys(t.of)) {
			all = append(all, tagPurge{tag, product, t.of[product]})
		}
		return true
	})
	return all
}

// tagGeneration returns the newest purge of one of the tags of an owner's asset.
func (v *View) tagGeneration(owner string, tags []string) (generation uint64) {
	if v.tags.Len() == 0 {
		return 0
	}
	for _, tag := range tags {
		if t, ok := v.tags.Get(tag); ok {
			generation = max(generation, t.generation(owner))
		}
	}
	return generation
}

// addTags adds the purges of the tags of the base's asset at an offset to e. It returns false when it cannot read them.
func (v *View) addTags(e *asset.Entry, at uint64, r assetRecord) bool {
	if v.tags.Len() == 0 {
		return true
	}
	owner, tags := v.base.meta.Names[r.owner()].Name, v.base.tags(at, r)
	for n := tags.next(1)[0]; n > 0; n-- {
		if t, ok := v.tags.Get(borrow(tags.short())); ok {
			e.Generation = max(e.Generation, t.generation(owner))
		}
	}
	return !tags.bad || v.base.malformed(at)
}
