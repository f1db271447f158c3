package ingest

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
)

// record makes the version known, in one transaction.
func (j *job) record(ctx context.Context) error {
	revision, err := j.matrix.Update(context.WithoutCancel(ctx), func(v *catalog.View) (mutations []catalog.Mutation, err error) {
		j.receipt, mutations, err = j.plan(v)
		return mutations, err
	})
	if err != nil {
		_, j.decided = errors.AsType[*asset.Fault](err) // every other error leaves it open
		return fmt.Errorf("record: %w", err)
	}
	j.receipt.Revision = revision
	return nil
}

// plan decides what the upload makes of v. It is run again when another write came between.
func (j *job) plan(v *catalog.View) (asset.Receipt, []catalog.Mutation, error) {
	old, err := j.target(v)
	if err != nil {
		return asset.Receipt{}, nil, err
	}
	n := catalog.NewVersion{Product: j.Product, Name: j.Name, Asset: j.id, Version: j.version, Status: j.Status}
	mutations, version, err := n.To(old)
	if err != nil {
		return asset.Receipt{}, nil, aboutStatus(err)
	}
	id := j.id
	if old != nil {
		id = old.ID
	}
	r := j.receiptOf(id, version)
	r.Unchanged = old != nil && version.Number <= len(old.Versions)
	return r, mutations, nil
}

// aboutStatus names the parameter where the catalog names a field.
func aboutStatus(err error) error {
	if f, ok := errors.AsType[*asset.Fault](err); ok && f.Part == "/status" {
		return &asset.Fault{Kind: f.Kind, Part: "status", Detail: f.Detail, Allowed: f.Allowed}
	}
	return err
}

func (j *job) receiptOf(id string, v *asset.Version) asset.Receipt {
	r := asset.Receipt{
		ID: id, Product: j.Product, Name: j.Name, Version: v.Number,
		Digest: v.Digest, Size: v.Size, MediaType: v.MediaType, Created: id == j.id,
	}
	if v.Picture != nil {
		r.Width, r.Height = v.Picture.Width, v.Picture.Height
	}
	return r
}

// target returns the asset that the name leads to, nil for a name that is free, when v allows the upload.
func (j *job) target(v *catalog.View) (*asset.Asset, error) {
	if _, ok := v.Product(j.Product); !ok {
		return nil, fault(asset.ErrNotFound, "product", "there is no product %q", j.Product)
	}
	_, a, _ := v.Lookup(j.Product, j.Name)
	if err := j.preconditions(a); err != nil {
		return nil, err
	}
	switch {
	case a == nil:
	case a.Owner != j.Product:
		return nil, fault(asset.ErrConflict, "name", "the name leads to an asset of product %q, and only its owner can give it versions", a.Owner)
	case a.Status == asset.Archived:
		return nil, fault(asset.ErrConflict, "name", "the name leads to an asset that is archived")
	}
	return a, nil
}

// preconditions holds a, nil when there is none, against what the upload demands.
func (j *job) preconditions(a *asset.Asset) error {
	switch {
	case j.CreateOnly && a != nil:
		return refused("If-None-Match", fmt.Sprintf("the name is taken, its current version is %d", a.Current), "a name that is free")
	case j.IfVersion == nil:
		return nil
	case a == nil:
		return refused("If-Match", fmt.Sprintf("the name is free, there is no version %d", *j.IfVersion), "no condition, or If-None-Match: *")
	case a.Current != *j.IfVersion:
		return refused("If-Match", fmt.Sprintf("the current version is %d, not %d", a.Current, *j.IfVersion), strconv.Quote(strconv.Itoa(a.Current)))
	}
	return nil
}

func refused(part, detail, allowed string) error {
	return &asset.Fault{Kind: asset.ErrPrecondition, Part: part, Detail: detail, Allowed: allowed}
}

func fault(kind error, part, format string, args ...any) error {
	return &asset.Fault{Kind: kind, Part: part, Detail: fmt.Sprintf(format, args...)}
}
