package control

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control/client"
)

type productInput struct {
	call
	Product string `path:"product" doc:"the product's name: 1 to 63 of a-z, 0-9 and -, not beginning with -"`
}

type productWrite struct {
	call
	Conditional
	Product string `path:"product" doc:"the product's name: 1 to 63 of a-z, 0-9 and -, not beginning with -"`
}

type productOutput struct {
	ETag string `header:"ETag" doc:"the product's state, for If-Match"`
	Body client.Product
}

type putProductOutput struct {
	Status int
	Written
	ETag string `header:"ETag" doc:"the product's state, for If-Match"`
	Body client.Product
}

type doneOutput struct {
	Written
	Body client.Done
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
	answersToo(api, http.MethodPut, one, http.StatusCreated)
	put.specs = jsonBody[client.ProductSpec](api, http.MethodPut, one)
	register(s, api, huma.Operation{
		OperationID: "deleteProduct", Method: http.MethodDelete, Path: one, Summary: "Delete a product",
		Description: "Answers 409 and says what there is while the product owns assets or has links.",
	}, s.deleteProduct)
}

func (s *Server) listProducts(ctx context.Context, in *struct{ call }) (*productsOutput, error) {
	v := in.view
	out := &productsOutput{client.Products{Products: []client.Product{}, Revision: v.Revision()}}
	for p := range v.Products() {
		if !s.sees(ctx, p.Name) {
			continue
		}
		out.Body.Products = append(out.Body.Products, productOf(p, v.Revision()))
	}
	return out, nil
}

func (s *Server) getProduct(_ context.Context, in *productInput) (*productOutput, error) {
	v := in.view
	p, err := productIn(v, in.Product)
	if err != nil {
		return nil, err
	}
	return &productOutput{strconv.Quote(stateOfProduct(p)), productOf(p, v.Revision())}, nil
}

// productIn returns the product, or the error that says that there is none.
func productIn(v *catalog.View, name string) (*asset.Product, error) {
	if p, ok := v.Product(name); ok {
		return p, nil
	}
	return nil, noProduct("product", name)
}

func productOf(p *asset.Product, revision uint64) client.Product {
	out := client.Product{
		Name: p.Name, Created: p.Created, State: stateOfProduct(p), Revision: revision,
		ProductSpec: client.ProductSpec{Presets: p.Presets, Origins: p.Origins, ClientHints: p.ClientHints},
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

func (w *productWriter) put(ctx context.Context, in *productWrite) (*putProductOutput, error) {
	spec, err := w.specs.read(in.request)
	if err != nil {
		return nil, err
	}
	op := client.Operation{Op: client.OpPutProduct, Product: in.Product, Presets: spec.Presets, Lifetimes: spec.Lifetimes, Origins: spec.Origins, ClientHints: spec.ClientHints}
	if err := readConditions(in.request, &op); err != nil {
		return nil, err
	}
	out := &putProductOutput{}
	revision, err := w.one(ctx, op, func(v *catalog.View, r client.Result) {
		p, _ := v.Product(in.Product)
		out.Body, out.Status = productOf(p, 0), http.StatusOK
		if r.Created {
			out.Status = http.StatusCreated
		}
	})
	if err != nil {
		return nil, err
	}
	out.ETag, out.Body.Revision = strconv.Quote(out.Body.State), revision
	out.Written, err = w.written(ctx, in.Writing, revision)
	out.Body.Edges = out.edges
	return out, err
}

func (s *Server) deleteProduct(ctx context.Context, in *productWrite) (*doneOutput, error) {
	op := client.Operation{Op: client.OpDeleteProduct, Product: in.Product}
	if err := readConditions(in.request, &op); err != nil {
		return nil, err
	}
	revision, err := s.one(ctx, op, func(*catalog.View, client.Result) {})
	if err != nil {
		return nil, err
	}
	w, err := s.written(ctx, in.Writing, revision)
	return &doneOutput{w, client.Done{Revision: revision, Edges: w.edges}}, err
}

// putProduct brings the matrix to hold the product, and adds nothing when it does already.
func (w *write) putProduct() error {
	next, err := productOfSpec(w.op)
	if err != nil {
		return err
	}
	old, ok := w.View().Product(next.Name)
	if err := w.meetsProduct(old); err != nil {
		return err
	}
	w.result.Created, next.Created = !ok, w.now
	if ok {
		next.Created, next.Updated, next.Generation = old.Created, w.now, old.Generation
		w.result.Unchanged = sameProduct(old, &next)
	}
	if w.result.Unchanged {
		return nil
	}
	return w.Add(catalog.Mutation{PutProduct: &next})
}

// productOfSpec returns the product that an operation defines.
func productOfSpec(op *client.Operation) (asset.Product, error) {
	p := asset.Product{Name: op.Product, Presets: op.Presets, Origins: op.Origins, ClientHints: op.ClientHints}
	if err := asset.CheckProductName("/product", p.Name); err != nil {
		return p, err
	}
	if err := checkLifetimes(op.Lifetimes); err != nil {
		return p, err
	}
	if op.Lifetimes != nil {
		p.Lifetimes = asset.Lifetimes(*op.Lifetimes)
	}
	return p, aboutContent(p.Validate())
}

func (w *write) deleteProduct() error {
	p, err := w.product()
	if err != nil {
		return err
	}
	if err := w.meetsProduct(p); err != nil {
		return err
	}
	return w.Add(catalog.Mutation{DeleteProduct: p.Name})
}

// meetsProduct holds a product, nil for none, against the operation's conditions.
func (w *write) meetsProduct(p *asset.Product) error {
	op := w.op
	switch {
	case p == nil && op.IfState != "":
		return fault(asset.ErrPrecondition, "/if_state", "there is no such product", "no condition, or that there is none")
	case p == nil:
		return nil
	case op.CreateOnly:
		return fault(asset.ErrPrecondition, "/create_only", fmt.Sprintf("the product is there, in the state %q", stateOfProduct(p)), "the name of a new product")
	case op.IfState != "" && op.IfState != stateOfProduct(p):
		return fault(asset.ErrPrecondition, "/if_state", fmt.Sprintf("the product is in the state %q", stateOfProduct(p)), strconv.Quote(stateOfProduct(p)))
	}
	return nil
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
