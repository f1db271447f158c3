package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control/client"
)

// A kind is one kind of operations.
type kind struct {
	op   string
	verb Verb
	over reach
	do   func(*write) error
	// must and may are the fields that it has to have and can have.
	must, may []string
}

// kinds are all of them. Each has a call of its own as well, and that of the assets an upload in the place of put_asset.
var kinds = []kind{
	{client.OpPutProduct, Admin, named, (*write).putProduct, []string{"product"}, []string{"presets", "lifetimes", "origins", "client_hints", "if_state", "create_only"}},
	{client.OpDeleteProduct, Admin, named, (*write).deleteProduct, []string{"product"}, []string{"if_state"}},
	{client.OpPutAsset, Write, named, (*write).putAsset, []string{"product", "name", "digest"}, []string{"status", "if_version", "if_state", "create_only"}},
	{client.OpPatchAsset, Write, named, (*write).patchAsset, []string{"product", "name"}, []string{"status", "current", "tags", "focal", "if_version", "if_state"}},
	{client.OpDeleteAsset, Delete, named, (*write).deleteName, []string{"product", "name"}, []string{"if_version", "if_state"}},
	{client.OpPutLink, Write, named, (*write).putLink, []string{"product", "name"}, []string{"asset", "target", "version", "if_version", "if_state", "create_only"}},
	{client.OpDeleteLink, Delete, named, (*write).deleteName, []string{"product", "name"}, []string{"if_version", "if_state"}},
	{client.OpPurge, Purge, some, (*write).purge, nil, []string{"product", "asset", "tag", "url"}},
}

func kindOf(op string) *kind {
	return &kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.op == op })]
}

type transactInput struct {
	call
	Writing
}

type transactOutput struct {
	Written
	Body client.Transacted
}

func (s *Server) routeTransactions(api huma.API) {
	const all = "/v1/transactions"
	t := &transactor{Server: s}
	register(s, api, huma.Operation{
		OperationID: "transact", Method: http.MethodPost, Path: all, Summary: "Do several writes at once",
		Description: fmt.Sprintf("Does up to %d operations, one after another and visible at one revision, or none of them. Each does what the call does that "+
			"it is named after, and finds what those before it made. A refusal names the fault by a JSON pointer, such as /operations/3/asset.", client.MaxOperations),
	}, t.transact)
	t.bodies = jsonBody[client.Transaction](api, http.MethodPost, all)
	parted(t.bodies.registry)
}

// parted makes one schema for each kind of the schema that all operations have in common.
func parted(registry huma.Registry) {
	common := registry.SchemaFromRef(registry.Schema(reflect.TypeFor[client.Operation](), true, "").Ref)
	nullable(registry, common, "focal")
	all := &huma.Schema{Discriminator: &huma.Discriminator{PropertyName: "op", Mapping: map[string]string{}}}
	for _, k := range kinds {
		name := k.schemaName()
		registry.Map()[name] = k.schema(common)
		ref := "#/components/schemas/" + name
		all.OneOf = append(all.OneOf, &huma.Schema{Ref: ref})
		all.Discriminator.Mapping[k.op] = ref
	}
	*common = *all
}

// schemaName returns "PutLinkOperation" for put_link.
func (k *kind) schemaName() string {
	var name string
	for word := range strings.SplitSeq(k.op, "_") {
		name += strings.ToUpper(word[:1]) + word[1:]
	}
	return name + "Operation"
}

// schema returns the schema of the kind.
func (k *kind) schema(common *huma.Schema) *huma.Schema {
	op := *common.Properties["op"]
	op.Enum = []any{k.op}
	s := &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false, Required: append([]string{"op"}, k.must...),
		Properties: map[string]*huma.Schema{"op": &op},
	}
	for _, field := range slices.Concat(k.must, k.may) {
		s.Properties[field] = common.Properties[field]
	}
	return s
}

// A transactor is the operation that does several.
type transactor struct {
	*Server
	bodies content[client.Transaction]
}

func (t *transactor) transact(ctx context.Context, in *transactInput) (*transactOutput, error) {
	body, err := t.bodies.read(in.request)
	if err != nil {
		return nil, err
	}
	out := &transactOutput{}
	now := instant()
	revision, err := t.update(ctx, func(d *catalog.Draft) (err error) {
		out.Body.Results, err = t.all(ctx, d, body.Operations, now)
		return err
	})
	if err != nil {
		return nil, ofTransaction(err)
	}
	out.Body.Revision = revision
	out.Written, err = t.written(ctx, in.Writing, revision)
	out.Body.Edges = out.edges
	return out, err
}

// all adds the operations to the draft, one after another.
func (t *transactor) all(ctx context.Context, d *catalog.Draft, operations []client.Operation, now time.Time) ([]client.Result, error) {
	results := make([]client.Result, 0, len(operations))
	for i := range operations {
		w := write{Draft: d, server: t.Server, ctx: ctx, op: &operations[i], now: now}
		if err := w.do(); err != nil {
			return nil, ofOperation(i, later(operations, i, err))
		}
		results = append(results, w.result)
	}
	return results, nil
}

// ofOperation names the part of a refused operation as the transaction has it. What cannot be in a path is something that
// cannot be in a body here.
func ofOperation(i int, err error) error {
	f, ok := errors.AsType[*asset.Fault](err)
	if !ok || f.Part != "" && f.Part[0] != '/' {
		return err
	}
	part := fmt.Sprintf("/operations/%d%s", i, f.Part)
	return aboutContent(fault(f.Kind, part, f.Detail, f.Allowed))
}

// ofTransaction names the transaction where the catalog refuses it as a whole: by its size.
func ofTransaction(err error) error {
	if f, ok := errors.AsType[*asset.Fault](err); ok && f.Part == "" && errors.Is(f.Kind, asset.ErrTooLarge) {
		return fault(f.Kind, "/operations", f.Detail, f.Allowed)
	}
	return err
}

// later gives the reason when the name that operation i refers to, and did not find, is made by one behind it: that has
// to come first, or cannot, as the links refer to one another.
func later(operations []client.Operation, i int, err error) error {
	f, ok := errors.AsType[*asset.Fault](err)
	if !ok || f.Part != "/target/name" && f.Part != "/target/product" || !errors.Is(f.Kind, asset.ErrNotFound) {
		return err
	}
	first := client.NameRef{Product: operations[i].Product, Name: operations[i].Name}
	way := []client.NameRef{first}
	for at := i; operations[at].Target != nil; {
		target := *operations[at].Target
		way = append(way, target)
		if target == first {
			return fault(errContent, "/target/name", "the links refer to one another: "+spelled(way), "a link that ends at an asset")
		}
		if at = makes(operations, i, target); at < 0 || len(way) > len(operations) {
			break
		}
	}
	if at := makes(operations, i, way[1]); at >= 0 {
		return fault(errContent, "/target/name", fmt.Sprintf("operation %d makes this name, and comes later", at), "a name that is there, or that an operation before makes")
	}
	return err
}

// makes returns the operation behind i that makes the name, -1 when there is none.
func makes(operations []client.Operation, i int, name client.NameRef) int {
	for at := i + 1; at < len(operations); at++ {
		op := &operations[at]
		if (op.Op == client.OpPutLink || op.Op == client.OpPutAsset) && op.Product == name.Product && op.Name == name.Name {
			return at
		}
	}
	return -1
}

func spelled(way []client.NameRef) string {
	var b strings.Builder
	for i, n := range way {
		if i == 8 {
			return b.String() + " → …"
		}
		if i > 0 {
			b.WriteString(" → ")
		}
		b.WriteString(n.Product + "/" + n.Name)
	}
	return b.String()
}
