package catalog

import (
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
		if old, ok := v.Asset(p.Asset); ok {
			a := *old
			a.Generation = generation
			v.putAsset(&a)
		}
	case p.Name != "":
		if old, ok := v.Link(p.Product, p.Name); ok {
			l := *old
			l.Generation = generation
			v.putLink(&l)
		}
	case p.Tag != "":
		v.tags.Set(tagKey(p.Product, p.Tag), generation)
	default:
		if old, ok := v.Product(p.Product); ok {
			next := *old
			next.Generation = generation
			v.products.Set(next.Name, &next)
		}
	}
}

// tagGeneration returns the newest purge of one of the tags of an owner's asset.
func (v *View) tagGeneration(owner string, tags []string) (generation uint64) {
	if v.tags.Len() == 0 {
		return 0
	}
	for _, tag := range tags {
		for _, scope := range [...]string{"", owner} {
			g, _ := v.tags.Get(tagKey(scope, tag))
			generation = max(generation, g)
		}
	}
	return generation
}

func tagKey(product, tag string) string { return product + "\x00" + tag }
