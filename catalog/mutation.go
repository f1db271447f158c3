package catalog

import (
	"errors"
	"slices"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A Mutation puts or deletes one whole record, or gives an asset a version. Exactly one exported field is set. Mutations of a transaction take effect one
// after another, and each is checked against what those before it made: put a product before its assets and an asset
// before its links; delete in the opposite order.
//
// A record that was handed over in a mutation must not be changed any more, nor may one that came from a View: copy
// it, change the copy, put the copy.
type Mutation struct {
	PutProduct *asset.Product `json:"put_product,omitempty"`
	// DeleteProduct is a product's name. The product must own no assets and have no links.
	DeleteProduct string       `json:"delete_product,omitempty"`
	PutAsset      *asset.Asset `json:"put_asset,omitempty"`
	// AddVersion is one version more, the current one from then on, so that the log does not carry all others again.
	AddVersion *AddedVersion `json:"add_version,omitempty"`
	// DeleteAsset is an asset's id. No link may point at it.
	DeleteAsset string      `json:"delete_asset,omitempty"`
	PutLink     *asset.Link `json:"put_link,omitempty"`
	DeleteLink  *LinkRef    `json:"delete_link,omitempty"`
	// ChangeAsset changes what is given and nothing else.
	ChangeAsset *AssetChange `json:"change_asset,omitempty"`
	Purge       *Purge       `json:"purge,omitempty"`
	// CondemnOriginal and ForgetOriginal are the first and the last step of deleting an [Orphan].
	CondemnOriginal *asset.Digest `json:"condemn_original,omitempty"`
	ForgetOriginal  *asset.Digest `json:"forget_original,omitempty"`

	place place // where the base has it, once that was looked up
}

// An AssetChange is a change of an asset; what is zero stays as it is.
type AssetChange struct {
	Asset  string       `json:"asset"` // id
	Status asset.Status `json:"status,omitempty"`
	// Current is the version that unpinned URLs get from now on.
	Current int `json:"current,omitempty"`
	// Tags are all tags from now on; an empty list takes them off.
	Tags *[]string `json:"tags,omitempty"`
	// Focal is the focal point from now on; NoFocal takes it off.
	Focal   *asset.Point `json:"focal,omitempty"`
	NoFocal bool         `json:"no_focal,omitempty"`
	At      time.Time    `json:"at"`
}

// to returns a with the change.
func (c *AssetChange) to(a *asset.Asset) *asset.Asset {
	next := *a
	next.Updated = c.At
	if c.Status != "" {
		next.Status = c.Status
	}
	if c.Status == asset.Archived && a.Status != asset.Archived {
		next.ArchivedAt = c.At
	}
	if c.Current != 0 {
		next.Current = c.Current
	}
	if c.Tags != nil {
		next.Tags = slices.Clip(*c.Tags)
	}
	if c.Focal != nil || c.NoFocal {
		next.Focal = c.Focal
	}
	return &next
}

// An AddedVersion makes an asset ACTIVE with Version as its current one. The version's number is one more than the
// asset's last.
type AddedVersion struct {
	Asset   string        `json:"asset"` // id
	Version asset.Version `json:"version"`
}

// to returns a with the version.
func (n *AddedVersion) to(a *asset.Asset) *asset.Asset {
	next := *a
	next.Versions = slices.Clip(append(slices.Clip(a.Versions), n.Version))
	next.Current, next.Status, next.Updated = n.Version.Number, asset.Active, n.Version.Created
	return &next
}

// A LinkRef names a link.
type LinkRef struct {
	Product string `json:"product"`
	Name    string `json:"name"`
}

// errNoMutation says that a mutation has no field set that this program knows.
var errNoMutation = errors.New("a mutation of a kind that this program does not know: it needs a newer one")

// single fails unless exactly one field of m is set.
func (m *Mutation) single() error {
	n := 0
	for _, set := range [...]bool{
		m.PutProduct != nil, m.DeleteProduct != "", m.PutAsset != nil, m.AddVersion != nil, m.DeleteAsset != "", m.PutLink != nil, m.DeleteLink != nil,
		m.ChangeAsset != nil, m.Purge != nil, m.CondemnOriginal != nil, m.ForgetOriginal != nil,
	} {
		if set {
			n++
		}
	}
	switch n {
	case 0:
		return errNoMutation
	case 1:
		return nil
	}
	return errors.New("a mutation of several kinds at once")
}

// clip takes the spare capacity off the record's slices, so that an append to a copy of it can never write into the
// array that all copies share.
func (m *Mutation) clip() {
	if a := m.PutAsset; a != nil {
		a.Versions, a.Tags = slices.Clip(a.Versions), slices.Clip(a.Tags)
	}
	if p := m.PutProduct; p != nil {
		p.Origins = slices.Clip(p.Origins)
	}
}

// apply gives m its effect on v, which must not be published yet. It cannot fail: whether m is allowed was decided
// when it was written, by the rules of that day, and the log is the truth.
func (v *View) apply(m *Mutation) {
	switch {
	case m.PutProduct != nil:
		v.putProduct(m.PutProduct)
	case m.DeleteProduct != "":
		v.deleteProduct(m.DeleteProduct)
	case m.PutAsset != nil:
		v.putAsset(m.place, m.PutAsset)
	case m.AddVersion != nil:
		v.changeAsset(m.place, m.AddVersion.Asset, m.AddVersion.to)
	case m.DeleteAsset != "":
		v.deleteAsset(m.DeleteAsset)
	case m.PutLink != nil:
		v.putLink(m.place, m.PutLink)
	case m.DeleteLink != nil:
		v.deleteLink(m.DeleteLink.Product, m.DeleteLink.Name)
	case m.ChangeAsset != nil:
		v.changeAsset(m.place, m.ChangeAsset.Asset, m.ChangeAsset.to)
	case m.Purge != nil:
		v.purge(m.Purge)
	case m.CondemnOriginal != nil:
		v.condemn(*m.CondemnOriginal)
	case m.ForgetOriginal != nil:
		v.orphans.Delete(string(m.ForgetOriginal[:]))
	}
}
