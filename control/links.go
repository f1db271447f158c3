package control

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control/client"
)

type linkOutput struct {
	Status   int
	Location string `header:"Location" doc:"where the front door delivers the original"`
	Body     client.Link
}

func (s *Server) routeLinks(api huma.API) {
	const one = "/v1/products/{product}/links/{name}"
	put := &linkWriter{Server: s}
	register(s, api, huma.Operation{
		OperationID: "putLink", Method: http.MethodPut, Path: one, Summary: "Share an asset with a product",
		Description: "Gives the asset a name in the product, or changes which version an existing name of it is pinned to. " +
			"Answers 201 when the name is new, 200 otherwise, and 409 when the name is another asset's.",
	}, put.put)
	put.specs = jsonBody[client.LinkSpec](api, one)
}

// A linkWriter is the operation that links.
type linkWriter struct {
	*Server
	specs content[client.LinkSpec]
}

func (w *linkWriter) put(ctx context.Context, in *nameInput) (*linkOutput, error) {
	name, err := nameOf(in.request)
	if err != nil {
		return nil, err
	}
	spec, err := w.specs.read(in.request)
	if err != nil {
		return nil, err
	}
	return w.link(ctx, asset.Link{Product: in.Product, Name: name, Asset: spec.Asset, Pin: spec.Version})
}

// link brings the matrix to hold the link, and writes nothing when it does already.
func (w *linkWriter) link(ctx context.Context, next asset.Link) (*linkOutput, error) {
	out := &linkOutput{Location: deliveryPath(next.Product, next.Name)}
	now := time.Now().UTC().Truncate(time.Millisecond)
	revision, err := w.deps.Matrix.Update(ctx, func(v *catalog.View) ([]catalog.Mutation, error) {
		if err := checkLink(v, &next); err != nil {
			return nil, err
		}
		l := next // as the closure may be run again, and a record that was handed over must not be changed
		l.Created, out.Status = now, http.StatusCreated
		if old, _, ok := v.Lookup(l.Product, l.Name); ok {
			l.Created, l.Updated, out.Status = old.Created, now, http.StatusOK
			if old.Pin == l.Pin {
				out.Body = linkOf(old)
				return nil, nil
			}
		}
		out.Body = linkOf(&l)
		return []catalog.Mutation{{PutLink: &l}}, nil
	})
	out.Body.Revision = revision
	return out, err
}

// checkLink refuses what the catalog would, in the words of this API.
func checkLink(v *catalog.View, l *asset.Link) error {
	if _, err := productIn(v, l.Product); err != nil {
		return err
	}
	a, ok := v.Asset(l.Asset)
	if !ok {
		return fault(asset.ErrNotFound, "/asset", fmt.Sprintf("there is no asset %q", l.Asset), "the id that an upload's answer and the assets of a product have")
	}
	if old, _, taken := v.Lookup(l.Product, l.Name); taken && old.Asset != l.Asset {
		return fault(asset.ErrConflict, "name", fmt.Sprintf("%q of product %q is the name of asset %s", l.Name, l.Product, old.Asset), "a name that is free, or the asset's own")
	}
	if l.Pin != 0 && a.Version(l.Pin) == nil {
		return fault(errContent, "/version", fmt.Sprintf("the asset has no version %d", l.Pin), fmt.Sprintf("1 to %d, or 0 for the current one", len(a.Versions)))
	}
	return nil
}

func linkOf(l *asset.Link) client.Link {
	return client.Link{Product: l.Product, Name: l.Name, Asset: l.Asset, Version: l.Pin, Created: l.Created}
}
