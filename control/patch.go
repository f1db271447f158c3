package control

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control/client"
)

type patchOutput struct {
	Written
	ETag string `header:"ETag" doc:"the current version, for If-Match"`
	Body client.Entry
}

func (s *Server) routePatch(api huma.API, one string) {
	p := &patcher{Server: s}
	register(s, api, huma.Operation{
		OperationID: "patchAsset", Method: http.MethodPatch, Path: one, Summary: "Change an asset",
		Description: "Changes what is given and nothing else (RFC 7396): the status, the current version, the tags, the focal point. Only the product that owns " +
			"the asset can do so. An ARCHIVED asset cannot be changed any more.",
	}, p.patch)
	p.patches = jsonBody[client.AssetPatch](api, http.MethodPatch, one)
	nullable(p.patches.registry, deref(p.patches.registry, p.patches.schema), "focal")
}

// A patcher is the operation that changes assets.
type patcher struct {
	*Server
	patches content[client.AssetPatch]
}

func (p *patcher) patch(ctx context.Context, in *nameWrite) (*patchOutput, error) {
	op, err := in.operation(client.OpPatchAsset)
	if err != nil {
		return nil, err
	}
	patch, err := p.patches.read(in.request)
	if err != nil {
		return nil, err
	}
	op.Status, op.Current, op.Tags, op.Focal, op.NoFocal = patch.Status, patch.Current, patch.Tags, patch.Focal, patch.NoFocal
	out := &patchOutput{}
	revision, err := p.one(ctx, op, func(v *catalog.View, _ client.Result) {
		l, a, _ := v.Lookup(op.Product, op.Name)
		out.Body, out.ETag = p.entryOf(ctx, v, l, a), etagOf(a.Current)
	})
	if err != nil {
		return nil, err
	}
	out.Body.Revision = revision
	out.Written, err = p.written(ctx, in.Writing, revision)
	out.Body.Edges = out.edges
	return out, err
}

// patchAsset brings the asset to be as the patch says, and adds nothing when it is already.
func (w *write) patchAsset() error {
	l, a, err := w.named()
	if err != nil {
		return err
	}
	if err := w.owns(a); err != nil {
		return err
	}
	if err := w.meets(l, a); err != nil {
		return err
	}
	change, err := w.change(a)
	if err != nil {
		return err
	}
	if w.result.Unchanged = change == nil; change == nil {
		return nil
	}
	if a.Status == asset.Archived {
		return archived("/name", a)
	}
	if err := w.Add(catalog.Mutation{ChangeAsset: change}); err != nil {
		return err
	}
	a, _ = w.View().Asset(a.ID)
	w.result.Version = versionOf(l, a)
	return nil
}

// owns fails unless the operation's product owns the asset.
func (w *write) owns(a *asset.Asset) error {
	if a.Owner == w.op.Product {
		return nil
	}
	return fault(asset.ErrConflict, "/name", fmt.Sprintf("the name leads to an asset of product %q, and only its owner can change it", a.Owner), fmt.Sprintf("a name of product %q for the asset", a.Owner))
}

func archived(part string, a *asset.Asset) error {
	return fault(asset.ErrConflict, part, fmt.Sprintf("the asset was archived on %s and cannot be changed any more", a.ArchivedAt.Format(time.DateOnly)), "an asset that is PENDING or ACTIVE")
}

// change returns what of a would be another than the operation says, nil when nothing would.
func (w *write) change(a *asset.Asset) (*catalog.AssetChange, error) {
	op, c, any := w.op, &catalog.AssetChange{Asset: a.ID, At: w.now}, false
	if op.Status != "" && op.Status != a.Status {
		if a.Status == asset.Archived {
			return nil, archived("/status", a)
		}
		c.Status, any = op.Status, true
	}
	if op.Current != 0 && op.Current != a.Current {
		if a.Version(op.Current) == nil {
			return nil, fault(errContent, "/current", fmt.Sprintf("the asset has no version %d", op.Current), fmt.Sprintf("1 to %d", len(a.Versions)))
		}
		c.Current, any = op.Current, true
	}
	if op.Tags != nil && !slices.Equal(*op.Tags, a.Tags) {
		if err := asset.CheckTags("/tags", *op.Tags); err != nil {
			return nil, aboutContent(err)
		}
		tags := slices.Clone(*op.Tags)
		c.Tags, any = &tags, true
	}
	if focal := pointOf(op); op.NoFocal && a.Focal != nil || focal != nil && (a.Focal == nil || *focal != *a.Focal) {
		c.Focal, c.NoFocal, any = focal, focal == nil, true
	}
	if !any {
		return nil, nil
	}
	return c, nil
}

func pointOf(op *client.Operation) *asset.Point {
	if op.Focal == nil {
		return nil
	}
	return &asset.Point{X: op.Focal.X, Y: op.Focal.Y}
}

// putAsset does what an upload does, with an original that is stored already.
func (w *write) putAsset() error {
	op := w.op
	if _, err := w.product(); err != nil {
		return err
	}
	if err := checkName(op.Name); err != nil {
		return err
	}
	l, a, _ := w.View().Lookup(op.Product, op.Name)
	if a != nil {
		if err := w.owns(a); err != nil {
			return err
		}
	}
	if err := w.meets(l, a); err != nil {
		return err
	}
	n, err := w.newVersion()
	if err != nil {
		return err
	}
	if a != nil && a.Status == asset.Archived {
		return archived("/name", a)
	}
	mutations, version, err := n.To(a)
	if err != nil {
		return err
	}
	for _, m := range mutations {
		if err := w.Add(m); err != nil {
			return err
		}
	}
	w.result.Asset, w.result.Created, w.result.Unchanged = n.Asset, a == nil, len(mutations) == 0
	if w.result.Version = version.Number; a != nil {
		w.result.Asset = a.ID
	}
	return nil
}

// newVersion returns the version that an operation makes of an original. Whoever may read all products may use every
// original; to all others a digest would open what they may not see.
func (w *write) newVersion() (*catalog.NewVersion, error) {
	op := w.op
	if err := w.server.allow(w.ctx, Read, everyProduct); err != nil {
		return nil, err
	}
	if op.Status == asset.Archived {
		return nil, fault(errContent, "/status", "a new version cannot be archived", "PENDING, ACTIVE")
	}
	known, ok := w.View().Original(*op.Digest)
	if !ok {
		return nil, fault(asset.ErrNotFound, "/digest", "no version has this original", "the digest of a version; other originals have to be uploaded")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	version := *known
	version.Number, version.Created = 0, w.now
	return &catalog.NewVersion{Product: op.Product, Name: op.Name, Asset: id.String(), Version: version, Status: op.Status}, nil
}
