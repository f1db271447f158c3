package control

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control/client"
	"github.com/assetmatrix/assetmatrix/resolve"
)

type purgeInput struct {
	call
	Writing
}

func (s *Server) routePurge(api huma.API) {
	const all = "/v1/purge"
	p := &purger{Server: s}
	register(s, api, huma.Operation{
		OperationID: "purge", Method: http.MethodPost, Path: all, Summary: "Have what was delivered made anew",
		Description: "Names one thing: a product, an asset, a tag (with a product: of the product's own assets), or a delivery URL. Once it answers, what was " +
			"kept of that can never be served again by this server, and by no other one that shows the revision.",
	}, p.purge)
	p.specs = jsonBody[client.PurgeSpec](api, http.MethodPost, all)
}

// A purger is the operation that purges.
type purger struct {
	*Server
	specs content[client.PurgeSpec]
}

func (p *purger) purge(ctx context.Context, in *purgeInput) (*doneOutput, error) {
	spec, err := p.specs.read(in.request)
	if err != nil {
		return nil, err
	}
	op := client.Operation{Op: client.OpPurge, Product: spec.Product, Asset: spec.Asset, Tag: spec.Tag, URL: spec.URL}
	revision, err := p.one(ctx, op, func(*catalog.View, client.Result) {})
	if err != nil {
		return nil, err
	}
	w, err := p.written(ctx, in.Writing, revision)
	return &doneOutput{w, client.Done{Revision: revision, Edges: w.edges}}, err
}

// purge adds the purge of the one thing that is named.
func (w *write) purge() error {
	m, err := w.purged()
	if err != nil {
		return err
	}
	if err := w.server.allow(w.ctx, Purge, w.concerned(m)); err != nil {
		return err
	}
	if m.Product != "" {
		if _, ok := w.View().Product(m.Product); !ok {
			return noProduct("/product", m.Product)
		}
	}
	return w.Add(catalog.Mutation{Purge: m})
}

// purged returns what the operation names.
func (w *write) purged() (*catalog.Purge, error) {
	op, named := w.op, 0
	for _, one := range []string{op.Asset, op.URL, op.Product + op.Tag} {
		if one != "" {
			named++
		}
	}
	switch {
	case named != 1:
		return nil, fault(errContent, "", "it does not name one thing", "one of product, asset, tag and url, or tag together with product")
	case op.URL != "":
		return w.purgedURL()
	case op.Tag != "":
		if err := asset.CheckTag("/tag", op.Tag); err != nil {
			return nil, aboutContent(err)
		}
	case op.Asset != "":
		if _, ok := w.View().Asset(op.Asset); !ok {
			return nil, fault(asset.ErrNotFound, "/asset", "there is no such asset", "the id that an upload's answer and the assets of a product have")
		}
	}
	return &catalog.Purge{Product: op.Product, Tag: op.Tag, Asset: op.Asset}, nil
}

// purgedURL returns the name that is delivered under the URL.
func (w *write) purgedURL() (*catalog.Purge, error) {
	const allowed = "a delivery URL, or its path: /{product}/{options}/{name}"
	u, err := url.Parse(w.op.URL)
	if err != nil {
		return nil, fault(errContent, "/url", "this is no URL", allowed)
	}
	t, err := resolve.Parse(u.EscapedPath(), u.RawQuery)
	if f, ok := errors.AsType[*asset.Fault](err); ok {
		return nil, fault(errContent, "/url", "this is no delivery URL: "+f.Detail, allowed)
	}
	if err := w.server.allow(w.ctx, Purge, t.Product); err != nil {
		return nil, err // which names there are is for those alone who may purge them
	}
	if _, ok := w.View().Link(t.Product, t.Name); !ok {
		return nil, fault(asset.ErrNotFound, "/url", "there is nothing under this URL", "the URL of a name that a product has")
	}
	return &catalog.Purge{Product: t.Product, Name: t.Name}, nil
}

// concerned returns the product whose token may do the purge, [everyProduct] when it goes over more than one.
func (w *write) concerned(p *catalog.Purge) string {
	if a, ok := w.View().Asset(p.Asset); ok {
		return a.Owner
	}
	if p.Product == "" {
		return everyProduct
	}
	return p.Product
}
