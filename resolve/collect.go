package resolve

import (
	"math"

	"github.com/assetmatrix/assetmatrix/asset"
)

// collect puts what the matrix knows into v: the asset's focal point in the place of a gravity that asks for it, and the digests
// of originals in that of the names of watermarks. So a key says all that the pixels depend on.
func (res *Resolution) collect(view View, v *asset.Variant) error {
	if v.Watermark.Name == "" && v.Gravity.Anchor != asset.AnchorAuto && v.Then == "" {
		return nil
	}
	groups := v.Groups()
	for i := range groups {
		g := &groups[i]
		if g.Gravity.Anchor == asset.AnchorAuto {
			g.Gravity = asset.Gravity{Anchor: asset.AnchorAttention}
			if i == 0 { // later groups see another picture
				res.focus(g)
			}
		}
		if g.Watermark.Name != "" {
			if err := res.overlay(view, g); err != nil {
				return err
			}
		}
	}
	*v = asset.Chain(groups)
	return nil
}

// focus takes the asset's focal point for the gravity, when it has one and it is in what is used of the picture.
func (res *Resolution) focus(g *asset.Variant) {
	a := res.Entry.Record.Asset(res.Entry.At)
	if a == nil || a.Focal == nil || g.Trim > 0 {
		return
	}
	size := res.Entry.Picture.Size()
	cut := g.Cut(size)
	x := (a.Focal.X*float64(size.Width) - float64(cut.Left)) / float64(max(1, cut.Width))
	y := (a.Focal.Y*float64(size.Height) - float64(cut.Top)) / float64(max(1, cut.Height))
	for range g.Rotate / 90 {
		x, y = 1-y, x
	}
	if g.Flip&asset.FlipH != 0 {
		x = 1 - x
	}
	if g.Flip&asset.FlipV != 0 {
		y = 1 - y
	}
	if x < 0 || x > 1 || y < 0 || y > 1 {
		return
	}
	thousandths := func(v float64) int { return int(math.Round(1000 * v)) }
	g.Gravity = asset.Gravity{Anchor: asset.AnchorPoint, X: thousandths(x), Y: thousandths(y)}
}

// overlay finds the watermark of a group. What changes or purges it, changes or purges what it lies on.
func (res *Resolution) overlay(view View, g *asset.Variant) error {
	name := g.Watermark.Name
	e, ok := view.Find(res.Product.Name, name, 0)
	switch {
	case !ok || e.Status != asset.Active && e.Status != asset.Archived || e.Number == 0:
		return notFound("watermark", "product %q has no %q for a watermark", res.Product.Name, name)
	case e.Status == asset.Archived:
		return &asset.Fault{Kind: asset.ErrGone, Part: "watermark", Detail: "the watermark " + gone(name, e.Archived).Error()}
	case !e.IsPicture():
		return &asset.Fault{
			Kind: asset.ErrMediaType, Part: "watermark", Detail: "the watermark is " + e.MediaType + ", which is not rendered here", Allowed: "the name of a picture",
		}
	}
	g.Watermark.Name = e.Digest.String()
	res.overlays.generation = max(res.overlays.generation, e.Generation)
	res.overlays.changed = latest(res.overlays.changed, e.Created, e.Changed)
	return nil
}
