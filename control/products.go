package control

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control/client"
)

type productInput struct {
	call
	Product string `path:"product" doc:"the product's name: 1 to 63 of a-z, 0-9 and -, not beginning with -"`
}

type productOutput struct {
	Status int
	Body   client.Product
}

type productsOutput struct{ Body client.Products }

func (s *Server) routeProducts(api huma.API) {
	const one = "/v1/products/{product}"
	register(s, api, huma.Operation{OperationID: "listProducts", Method: http.MethodGet, Path: "/v1/products", Summary: "All products"}, s.listProducts)
	register(s, api, huma.Operation{OperationID: "getProduct", Method: http.MethodGet, Path: one, Summary: "A product"}, s.getProduct)
	put := &productWriter{Server: s}
	register(s, api, huma.Operation{
		OperationID: "putProduct", Method: http.MethodPut, Path: one, Summary: "Define a product",
		Description: "Makes the product, or gives the existing one this shape: what is left out is unset. Answers 201 when the product is new, 200 otherwise.",
	}, put.put)
	put.specs = jsonBody[client.ProductSpec](api, one)
}

func (s *Server) listProducts(_ context.Context, _ *struct{ call }) (*productsOutput, error) {
	v := s.deps.Matrix.View()
	out := &productsOutput{client.Products{Products: []client.Product{}, Revision: v.Revision()}}
	for p := range v.Products() {
		out.Body.Products = append(out.Body.Products, productOf(p, v.Revision()))
	}
	return out, nil
}

func (s *Server) getProduct(_ context.Context, in *productInput) (*productOutput, error) {
	v := s.deps.Matrix.View()
	p, err := productIn(v, in.Product)
	if err != nil {
		return nil, err
	}
	return &productOutput{http.StatusOK, productOf(p, v.Revision())}, nil
}

// productIn returns the product, or the error that says that there is none.
func productIn(v *catalog.View, name string) (*asset.Product, error) {
	if p, ok := v.Product(name); ok {
		return p, nil
	}
	return nil, fault(asset.ErrNotFound, "product", fmt.Sprintf("there is no product %q", name), "the products of /v1/products")
}

func productOf(p *asset.Product, revision uint64) client.Product {
	out := client.Product{
		Name: p.Name, Created: p.Created, Revision: revision,
		ProductSpec: client.ProductSpec{Presets: p.Presets, Origins: p.Origins},
	}
	if p.Lifetimes != (asset.Lifetimes{}) {
		l := client.Lifetimes(p.Lifetimes)
		out.Lifetimes = &l
	}
	return out
}

// A productWriter is the operation that defines products.
type productWriter struct {
	*Server
	specs content[client.ProductSpec]
}

func (w *productWriter) put(ctx context.Context, in *productInput) (*productOutput, error) {
	if err := asset.CheckProductName("product", in.Product); err != nil {
		return nil, err
	}
	spec, err := w.specs.read(in.request)
	if err != nil {
		return nil, err
	}
	if err := checkLifetimes(spec.Lifetimes); err != nil {
		return nil, err
	}
	next := asset.Product{Name: in.Product, Presets: spec.Presets, Origins: spec.Origins}
	if spec.Lifetimes != nil {
		next.Lifetimes = asset.Lifetimes(*spec.Lifetimes)
	}
	if err := next.Validate(); err != nil {
		return nil, aboutContent(err)
	}
	return w.define(ctx, next)
}

// define brings the matrix to hold the product, and writes nothing when it does already.
func (w *productWriter) define(ctx context.Context, next asset.Product) (*productOutput, error) {
	out := &productOutput{}
	now := time.Now().UTC().Truncate(time.Millisecond)
	revision, err := w.deps.Matrix.Update(ctx, func(v *catalog.View) ([]catalog.Mutation, error) {
		p := next // as the closure may be run again, and a record that was handed over must not be changed
		p.Created, out.Status = now, http.StatusCreated
		if old, ok := v.Product(p.Name); ok {
			p.Created, p.Updated, out.Status = old.Created, now, http.StatusOK
			if sameProduct(old, &p) {
				out.Body = productOf(old, 0)
				return nil, nil
			}
		}
		out.Body = productOf(&p, 0)
		return []catalog.Mutation{{PutProduct: &p}}, nil
	})
	out.Body.Revision = revision
	return out, err
}

// sameProduct compares all but the times.
func sameProduct(a, b *asset.Product) bool {
	x, y := *a, *b
	if !maps.Equal(x.Presets, y.Presets) || !slices.Equal(x.Origins, y.Origins) {
		return false
	}
	x.Presets, x.Origins, x.Created, x.Updated = y.Presets, y.Origins, y.Created, y.Updated
	return reflect.DeepEqual(x, y)
}

// checkLifetimes refuses what the record could not tell from no lifetimes.
func checkLifetimes(l *client.Lifetimes) error {
	if l != nil && *l == (client.Lifetimes{}) {
		return fault(errContent, "/lifetimes", "lifetimes that are all 0 cannot be told from none", "at least one above 0, or no lifetimes at all for the server's defaults")
	}
	return nil
}
