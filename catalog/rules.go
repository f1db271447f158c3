package catalog

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"

	"github.com/assetmatrix/assetmatrix/asset"
)

// check decides whether m is allowed on v. What it returns is an [asset.Fault].
func (v *View) check(m *Mutation) error {
	if err := m.single(); err != nil {
		return &asset.Fault{Kind: asset.ErrInvalid, Detail: "there is " + err.Error(), Allowed: "one put or delete in each mutation"}
	}
	switch {
	case m.PutProduct != nil:
		return asset.CheckProductName("/name", m.PutProduct.Name)
	case m.DeleteProduct != "":
		return v.checkDeleteProduct(m.DeleteProduct)
	case m.PutAsset != nil:
		return v.checkPutAsset(m.PutAsset)
	case m.AddVersion != nil:
		return v.checkAddVersion(m.AddVersion)
	case m.DeleteAsset != "":
		return v.checkDeleteAsset(m.DeleteAsset)
	case m.PutLink != nil:
		return v.checkPutLink(m.PutLink)
	case m.DeleteLink != nil:
		return v.checkDeleteLink(m.DeleteLink)
	case m.ChangeAsset != nil:
		return v.checkChangeAsset(m.ChangeAsset)
	case m.Purge != nil:
		return v.checkPurge(m.Purge)
	case m.CondemnOriginal != nil:
		return v.checkCondemn(*m.CondemnOriginal)
	default:
		return v.checkForget(*m.ForgetOriginal)
	}
}

func (v *View) checkDeleteProduct(name string) error {
	if _, ok := v.Product(name); !ok {
		return notFound("/product", "there is no product %q", name)
	}
	links, _ := v.linked.Get(name)
	owned, _ := v.owned.Get(name)
	if links+owned > 0 {
		return &asset.Fault{
			Kind: asset.ErrConflict, Part: "/product", Detail: fmt.Sprintf("product %q still owns assets (%d) and has links (%d)", name, owned, links),
			Allowed: "a product without either; an asset that it owns and has no name for has one in another product, as in the links that an upload's answer or the listing there leads to",
		}
	}
	return nil
}

func (v *View) checkPutAsset(a *asset.Asset) error {
	if err := checkAsset(a); err != nil {
		return err
	}
	if _, ok := v.Product(a.Owner); !ok {
		return notFound("/owner", "there is no product %q to own the asset", a.Owner)
	}
	if err := v.checkOriginals(a.Versions); err != nil {
		return err
	}
	old, ok := v.Asset(a.ID)
	if !ok {
		return checkStatus("", a.Status)
	}
	return checkSuccession(old, a)
}

func (v *View) checkAddVersion(n *AddedVersion) error {
	a, ok := v.Asset(n.Asset)
	if !ok {
		return notFound("/asset", "there is no asset %q", n.Asset)
	}
	if want := len(a.Versions) + 1; n.Version.Number != want {
		return conflict("/version/version", "version %d cannot follow %d versions", n.Version.Number, len(a.Versions))
	}
	if err := checkPicture("/version/picture", n.Version.Picture); err != nil {
		return err
	}
	if err := v.checkOriginals([]asset.Version{n.Version}); err != nil {
		return err
	}
	return checkStatus(a.Status, asset.Active)
}

func (v *View) checkChangeAsset(c *AssetChange) error {
	a, ok := v.Asset(c.Asset)
	if !ok {
		return notFound("/asset", "there is no asset %q", c.Asset)
	}
	if a.Status == asset.Archived {
		return conflict("/status", "the asset was archived on %s and cannot be changed", a.ArchivedAt.Format(time.DateOnly))
	}
	next := c.to(a)
	if err := checkAsset(next); err != nil {
		return err
	}
	return checkStatus(a.Status, next.Status)
}

// checkAsset looks at the record by itself.
func checkAsset(a *asset.Asset) error {
	if a.ID == "" || len(a.ID) > 64 || strings.ContainsFunc(a.ID, unicode.IsControl) {
		return invalid("/id", "the asset's id cannot be used", "a UUID version 7")
	}
	for i := range a.Versions {
		if a.Versions[i].Number != i+1 {
			return invalid(fmt.Sprintf("/versions/%d", i), fmt.Sprintf("version %d stands where %d should", a.Versions[i].Number, i+1), "versions 1, 2, 3 … without a gap")
		}
		if err := checkPicture(fmt.Sprintf("/versions/%d/picture", i), a.Versions[i].Picture); err != nil {
			return err
		}
	}
	if len(a.Versions) == 0 && a.Status != asset.Pending {
		return invalid("/versions", "an asset that is "+string(a.Status)+" has no version", "no version only while PENDING")
	}
	if a.Version(a.Current) == nil && len(a.Versions) > 0 || a.Current != 0 && len(a.Versions) == 0 {
		return invalid("/current", fmt.Sprintf("there is no version %d", a.Current), fmt.Sprintf("1 to %d", len(a.Versions)))
	}
	if f := a.Focal; f != nil && !(f.X >= 0 && f.X <= 1 && f.Y >= 0 && f.Y <= 1) {
		return invalid("/focal", "the focal point is outside the picture", "x and y from 0 to 1")
	}
	return asset.CheckTags("/tags", a.Tags)
}

// checkPicture refuses what no probe finds, and a base has no room for.
func checkPicture(part string, p *asset.Picture) error {
	if p == nil || fits(p) && len(p.ThumbHash) <= math.MaxUint8 && len(p.Dominant) <= math.MaxUint8 {
		return nil
	}
	return invalid(part, "the picture's description cannot be", "sizes and counts from 0, an orientation of 1 to 8, a ThumbHash and a colour")
}

// checkSuccession decides whether a may take the place of old.
func checkSuccession(old, a *asset.Asset) error {
	if len(a.Versions) < len(old.Versions) {
		return conflict("/versions", "the asset has %d versions already, not %d", len(old.Versions), len(a.Versions))
	}
	for i := range old.Versions {
		if !sameVersion(&old.Versions[i], &a.Versions[i]) {
			return conflict(fmt.Sprintf("/versions/%d", i), "version %d was written already and cannot be changed", i+1)
		}
	}
	if a.Generation < old.Generation {
		return conflict("/generation", "the generation cannot fall from %d to %d", old.Generation, a.Generation)
	}
	return checkStatus(old.Status, a.Status)
}

// sameVersion reports whether a and b differ in nothing but where the original is stored.
func sameVersion(a, b *asset.Version) bool {
	return a.Digest == b.Digest && a.Size == b.Size && a.MediaType == b.MediaType && a.Created.Equal(b.Created) && samePicture(a.Picture, b.Picture)
}

func samePicture(a, b *asset.Picture) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// next holds the steps of a status; "" is an asset that is not there yet.
var next = map[asset.Status][]asset.Status{
	"":             {asset.Pending, asset.Active},
	asset.Pending:  {asset.Pending, asset.Active},
	asset.Active:   {asset.Active, asset.Archived},
	asset.Archived: {asset.Archived},
}

func checkStatus(old, status asset.Status) error {
	var allowed []string
	for _, s := range next[old] {
		if s == status {
			return nil
		}
		allowed = append(allowed, string(s))
	}
	kind, from := asset.ErrConflict, string(old)
	if old == "" {
		kind, from = asset.ErrInvalid, "new"
	}
	return &asset.Fault{
		Kind: kind, Part: "/status", Detail: fmt.Sprintf("an asset that is %s cannot become %q", from, status), Allowed: strings.Join(allowed, ", "),
	}
}

func (v *View) checkDeleteAsset(id string) error {
	if _, ok := v.Asset(id); !ok {
		return notFound("/asset", "there is no asset %q", id)
	}
	if links := v.LinksOf(id); len(links) > 0 {
		return conflict("/asset", "asset %q is still linked as %q of product %q", id, links[0].Name, links[0].Product)
	}
	return nil
}

func (v *View) checkPutLink(l *asset.Link) error {
	if err := asset.CheckName(l.Name); err != nil {
		return err
	}
	if _, ok := v.Product(l.Product); !ok {
		return notFound("/product", "there is no product %q", l.Product)
	}
	a, ok := v.Asset(l.Asset)
	if !ok {
		return notFound("/asset", "there is no asset %q", l.Asset)
	}
	if l.Pin != 0 && a.Version(l.Pin) == nil {
		return invalid("/pin", fmt.Sprintf("asset %q has no version %d", l.Asset, l.Pin), fmt.Sprintf("1 to %d, or 0 for the current one", len(a.Versions)))
	}
	if old, taken := v.Link(l.Product, l.Name); taken && old.Asset != l.Asset {
		return conflict("/name", "%q of product %q is another asset's name already", l.Name, l.Product)
	}
	return nil
}

func (v *View) checkDeleteLink(l *LinkRef) error {
	if _, ok := v.Link(l.Product, l.Name); !ok {
		return notFound("/name", "product %q has no %q", l.Product, l.Name)
	}
	return nil
}

func invalid(part, detail, allowed string) error {
	return &asset.Fault{Kind: asset.ErrInvalid, Part: part, Detail: detail, Allowed: allowed}
}

func notFound(part, format string, args ...any) error {
	return &asset.Fault{Kind: asset.ErrNotFound, Part: part, Detail: fmt.Sprintf(format, args...)}
}

func conflict(part, format string, args ...any) error {
	return &asset.Fault{Kind: asset.ErrConflict, Part: part, Detail: fmt.Sprintf(format, args...)}
}
