package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control/client"
)

type nameWrite struct {
	call
	Conditional
	Product string `path:"product" doc:"the product's name"`
	Name    string `path:"name" doc:"the product's name for the asset: all that is left of the path, slashes included"`
}

// operation returns the operation that the path and the conditions say.
func (in *nameWrite) operation(op string) (client.Operation, error) {
	name, err := nameOf(in.request)
	if err != nil {
		return client.Operation{}, err
	}
	o := client.Operation{Op: op, Product: in.Product, Name: name}
	return o, readConditions(in.request, &o)
}

type linkOutput struct {
	Status int
	Written
	ETag     string `header:"ETag" doc:"the asset's current version, for If-Match"`
	Location string `header:"Location" doc:"where the front door delivers the original"`
	Body     client.Link
}

type deletedOutput struct {
	Written
	Body client.Deleted
}

func (s *Server) routeLinks(api huma.API) {
	const one = "/v1/products/{product}/links/{name}"
	put := &linkWriter{Server: s}
	register(s, api, huma.Operation{
		OperationID: "putLink", Method: http.MethodPut, Path: one, Summary: "Share an asset with a product",
		Description: "Gives an asset, named by its id or by a name that it has, a name in the product, or changes which version an existing name of it " +
			"is pinned to. Answers 201 when the name is new, 200 otherwise, and 409 when the name is another asset's.",
	}, put.put)
	answersToo(api, http.MethodPut, one, http.StatusCreated)
	put.specs = jsonBody[client.LinkSpec](api, http.MethodPut, one)
	register(s, api, huma.Operation{
		OperationID: "deleteLink", Method: http.MethodDelete, Path: one, Summary: "Take a name from a product",
		Description: "Does what deleteAsset does: the asset goes with its last name, in whatever product.",
	}, s.deleteName(client.OpDeleteLink))
}

// A linkWriter is the operation that links.
type linkWriter struct {
	*Server
	specs content[client.LinkSpec]
}

func (w *linkWriter) put(ctx context.Context, in *nameWrite) (*linkOutput, error) {
	op, err := in.operation(client.OpPutLink)
	if err != nil {
		return nil, err
	}
	spec, err := w.specs.read(in.request)
	if err != nil {
		return nil, err
	}
	if op.Asset, op.Version = spec.Asset, spec.Version; spec.Product != "" || spec.Name != "" {
		op.Target = &client.NameRef{Product: spec.Product, Name: spec.Name}
	}
	out := &linkOutput{Location: deliveryPath(op.Product, op.Name)}
	revision, err := w.one(ctx, op, func(v *catalog.View, r client.Result) {
		l, a, _ := v.Lookup(op.Product, op.Name)
		out.Body, out.ETag, out.Status = linkOf(l), etagOf(a.Current), http.StatusOK
		if r.Created {
			out.Status = http.StatusCreated
		}
	})
	if err != nil {
		return nil, err
	}
	out.Body.Revision = revision
	out.Written, err = w.written(ctx, in.Writing, revision)
	out.Body.Edges = out.edges
	return out, err
}

// deleteName returns what answers the calls that take a name away.
func (s *Server) deleteName(kind string) func(context.Context, *nameWrite) (*deletedOutput, error) {
	return func(ctx context.Context, in *nameWrite) (*deletedOutput, error) {
		op, err := in.operation(kind)
		if err != nil {
			return nil, err
		}
		out := &deletedOutput{}
		revision, err := s.one(ctx, op, func(_ *catalog.View, r client.Result) {
			out.Body = client.Deleted{Asset: r.Asset, AssetDeleted: r.AssetDeleted}
		})
		if err != nil {
			return nil, err
		}
		out.Body.Revision = revision
		out.Written, err = s.written(ctx, in.Writing, revision)
		out.Body.Edges = out.edges
		return out, err
	}
}

// putLink brings the matrix to hold the link, and adds nothing when it does already.
func (w *write) putLink() error {
	op := w.op
	if _, err := w.product(); err != nil {
		return err
	}
	if err := checkName(op.Name); err != nil {
		return err
	}
	a, err := w.linked()
	if err != nil {
		return err
	}
	next := asset.Link{Product: op.Product, Name: op.Name, Asset: a.ID, Pin: op.Version, Created: w.now}
	old, was, taken := w.View().Lookup(op.Product, op.Name)
	if err := w.meets(old, was); err != nil {
		return err
	}
	w.result.Asset, w.result.Version, w.result.Created = a.ID, versionOf(&next, a), !taken
	if taken {
		if old.Asset != a.ID {
			return fault(asset.ErrConflict, "/name", fmt.Sprintf("%q of product %q is the name of asset %s", op.Name, op.Product, old.Asset), "a name that is free, or the asset's own")
		}
		next.Created, next.Updated, next.Generation = old.Created, w.now, old.Generation
		w.result.Unchanged = old.Pin == next.Pin
	}
	if op.Version != 0 && a.Version(op.Version) == nil {
		return fault(errContent, "/version", fmt.Sprintf("the asset has no version %d", op.Version), fmt.Sprintf("1 to %d, or 0 for the current one", len(a.Versions)))
	}
	if w.result.Unchanged {
		return nil
	}
	return w.Add(catalog.Mutation{PutLink: &next})
}

// linked returns the asset that the link is to lead to.
func (w *write) linked() (*asset.Asset, error) {
	op := w.op
	switch {
	case (op.Asset == "") == (op.Target == nil):
		return nil, fault(errContent, "/asset", "what the link leads to is not given in one way", "an asset's id, or a product and its name for the asset")
	case op.Target != nil:
		return w.targeted()
	}
	a, ok := w.View().Asset(op.Asset)
	if !ok {
		return nil, fault(asset.ErrNotFound, "/asset", fmt.Sprintf("there is no asset %q", op.Asset), "the id that an upload's answer and the assets of a product have")
	}
	return a, w.maySee(a)
}

// maySee fails unless the caller may read a product that owns the asset or has a name for it.
func (w *write) maySee(a *asset.Asset) error {
	for _, l := range w.View().LinksOf(a.ID) {
		if w.server.sees(w.ctx, l.Product) {
			return nil
		}
	}
	return w.server.allow(w.ctx, Read, a.Owner)
}

// targeted returns what the link's target leads to.
func (w *write) targeted() (*asset.Asset, error) {
	t := w.op.Target
	switch {
	case t.Product == "":
		return nil, fault(errContent, "/target/product", "this field is missing", "the product whose name leads to the asset")
	case t.Name == "":
		return nil, fault(errContent, "/target/name", "this field is missing", "that product's name for the asset")
	case *t == client.NameRef{Product: w.op.Product, Name: w.op.Name}:
		return nil, fault(errContent, "/target/name", "the link refers to itself", "another name")
	}
	if err := w.server.allow(w.ctx, Read, t.Product); err != nil {
		return nil, err
	}
	if _, ok := w.View().Product(t.Product); !ok {
		return nil, noProduct("/target/product", t.Product)
	}
	_, a, ok := w.View().Lookup(t.Product, t.Name)
	if !ok {
		return nil, fault(asset.ErrNotFound, "/target/name", fmt.Sprintf("product %q has no %q", t.Product, t.Name), "the names of "+assetsPath(t.Product))
	}
	return a, nil
}

// deleteName takes the name away, and the asset when that was its last.
func (w *write) deleteName() error {
	l, a, err := w.named()
	if err != nil {
		return err
	}
	if err := w.meets(l, a); err != nil {
		return err
	}
	if err := w.Add(catalog.Mutation{DeleteLink: &catalog.LinkRef{Product: l.Product, Name: l.Name}}); err != nil {
		return err
	}
	if len(w.View().LinksOf(a.ID)) > 0 {
		return nil
	}
	w.result.AssetDeleted = true
	return w.Add(catalog.Mutation{DeleteAsset: a.ID})
}

func checkName(name string) error {
	if err := asset.CheckName(name); err != nil {
		f, _ := errors.AsType[*asset.Fault](err)
		return fault(f.Kind, "/name", f.Detail, f.Allowed)
	}
	return nil
}

func linkOf(l *asset.Link) client.Link {
	return client.Link{Product: l.Product, Name: l.Name, Asset: l.Asset, Version: l.Pin, Created: l.Created}
}
