package catalog

import (
	"fmt"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A NewVersion is a version for a product's name. It makes the asset when the name is free.
type NewVersion struct {
	Product, Name string
	// Asset is the id of the asset, should the version make one.
	Asset string
	// Version has no number yet. It was made at its Created.
	Version asset.Version
	// Status is what the asset is to be: ACTIVE, or PENDING until somebody makes it ACTIVE. "" leaves an asset as it is,
	// and makes a new one, or one that had no version before, ACTIVE.
	Status asset.Status
}

// To returns the mutations that give the version to a, the asset that the name leads to, nil when the name is free; and
// the version as it is then. When a shows the version already, there is nothing to do but perhaps to change the status.
// It fails with [asset.ErrConflict] when a cannot get the status.
func (n *NewVersion) To(a *asset.Asset) ([]Mutation, *asset.Version, error) {
	if a == nil {
		return n.first()
	}
	if n.Status == asset.Pending && a.Status != asset.Pending {
		return nil, nil, &asset.Fault{Kind: asset.ErrConflict, Part: "/status", Detail: fmt.Sprintf("the asset is %s already", a.Status), Allowed: string(a.Status)}
	}
	if now := a.Version(0); now != nil && now.Digest == n.Version.Digest && now.MediaType == n.Version.MediaType {
		if n.Status == "" || n.Status == a.Status {
			return nil, now, nil
		}
		return []Mutation{{ChangeAsset: &AssetChange{Asset: a.ID, Status: n.Status, At: n.Version.Created}}}, now, nil
	}
	version := n.Version
	version.Number = len(a.Versions) + 1
	added := &AddedVersion{Asset: a.ID, Version: version}
	if a.Status == asset.Pending && (n.Status == asset.Pending || n.Status == "" && len(a.Versions) > 0) {
		pending := added.to(a)
		pending.Status = asset.Pending
		return []Mutation{{PutAsset: pending}}, &version, nil
	}
	return []Mutation{{AddVersion: added}}, &version, nil
}

// first makes the asset and the link that leads to it.
func (n *NewVersion) first() ([]Mutation, *asset.Version, error) {
	version := n.Version
	version.Number = 1
	a := &asset.Asset{
		ID: n.Asset, Owner: n.Product, Status: asset.Active, Current: 1, Versions: []asset.Version{version},
		Created: version.Created, Updated: version.Created,
	}
	if n.Status != "" {
		a.Status = n.Status
	}
	l := &asset.Link{Product: n.Product, Name: n.Name, Asset: n.Asset, Created: version.Created}
	return []Mutation{{PutAsset: a}, {PutLink: l}}, &version, nil
}
