package control

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/assetmatrix/assetmatrix/asset"
)

// routeAPI registers what /openapi.json shows.
func (s *Server) routeAPI() {
	api := s.newAPI()
	s.routeProducts(api)
	s.routeAssets(api)
	s.routeLinks(api)
	s.routeHealth(api)
	s.routeOpenAPI(api)
}

func (s *Server) newAPI() huma.API {
	api := humago.New(tails{s.mux}, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: "assetmatrix", Version: s.deps.Version, Description: "The management API."},
			Components: &huma.Components{
				Schemas:         huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{bearerScheme: {Type: "http", Scheme: "bearer", Description: "A token of the server's configuration. Where none is configured, none is needed."}},
			},
		},
		Formats: map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
	})
	api.UseMiddleware(s.guardNeed, s.guardQuery)
	return api
}

// tails is a mux for paths whose parameter {name} is all that is left of the path. OpenAPI has no spelling for that.
type tails struct{ *http.ServeMux }

// HandleFunc registers a handler.
func (t tails) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	t.ServeMux.HandleFunc(strings.Replace(pattern, "{name}", "{name...}", 1), handler)
}

// routeOpenAPI serves the description of what was registered before.
func (s *Server) routeOpenAPI(api huma.API) {
	for _, own := range []string{"ErrorModel", "ErrorDetail"} { // huma's problems, which nobody gets to see
		delete(api.OpenAPI().Components.Schemas.Map(), own)
	}
	text, err := json.MarshalIndent(api.OpenAPI(), "", "  ")
	if err != nil {
		panic("control: " + err.Error())
	}
	s.handle("openapi", "GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text)
	})
}

// register adds an operation whose errors go through the table.
func register[I, O any, P interface {
	*I
	caller
}](s *Server, api huma.API, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	op.Responses = responses(api)
	needOf(op.OperationID).document(&op)
	op.SkipValidateParams = true // guardQuery has done it
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, s.problem(P(in).taken(), err)
		}
		return out, nil
	})
}

// responses documents the answer that every operation may give.
func responses(api huma.API) map[string]*huma.Response {
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[asset.Problem](), true, "")
	return map[string]*huma.Response{"default": {
		Description: "A problem (RFC 9457)",
		Content:     map[string]*huma.MediaType{asset.ProblemMediaType: {Schema: schema}},
	}}
}

// document describes the request body of an operation that reads it by itself.
func document(api huma.API, path, mediaType, description string, schema *huma.Schema) {
	api.OpenAPI().Paths[path].Put.RequestBody = &huma.RequestBody{
		Required: true, Description: description,
		Content: map[string]*huma.MediaType{mediaType: {Schema: schema}},
	}
}

// jsonBody documents an operation's body, and returns what reads it.
func jsonBody[T any](api huma.API, path string) content[T] {
	registry := api.OpenAPI().Components.Schemas
	schema := registry.Schema(reflect.TypeFor[T](), true, "")
	document(api, path, "application/json", "", schema)
	return content[T]{registry, schema}
}

// A call is the part of an operation's input that is the request itself. huma does not touch the body of an operation
// that has no field for it.
type call struct{ request *http.Request }

// A caller is an input with a call.
type caller interface{ taken() *http.Request }

func (c *call) taken() *http.Request { return c.request }

// Resolve takes the request.
func (c *call) Resolve(ctx huma.Context) []error {
	c.request, _ = humago.Unwrap(ctx)
	return nil
}

// guardQuery refuses query parameters that the operation does not have or cannot use, and those that are given twice.
// What it lets through huma reads without an error.
func (s *Server) guardQuery(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	if err := checkQuery(r, ctx.Operation()); err != nil {
		s.problem(r, err).write(w)
		return
	}
	next(ctx)
}

func checkQuery(r *http.Request, op *huma.Operation) error {
	known := map[string]*huma.Schema{}
	for _, p := range op.Parameters {
		if p.In == "query" {
			known[p.Name] = p.Schema
		}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fault(asset.ErrInvalid, "query", "the query cannot be read", "name=value, percent-encoded, parted by &")
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch schema, ok := known[name]; {
		case !ok:
			return fault(asset.ErrInvalid, name, "this query parameter is not known", orNone(slices.Sorted(maps.Keys(known))))
		case len(query[name]) > 1:
			return fault(asset.ErrInvalid, name, "this query parameter is given twice", "once")
		case schema.Type == huma.TypeInteger && !inRange(schema, query[name][0]):
			return fault(asset.ErrInvalid, name, "this query parameter is out of range", describe(nil, schema))
		}
	}
	return nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
