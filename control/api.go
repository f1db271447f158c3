package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
)

// routeAPI registers what /openapi.json shows.
func (s *Server) routeAPI() {
	api := s.newAPI()
	if !s.deps.Edge {
		s.routeMatrix(api)
	}
	s.routeResolve(api)
	s.routeReplicas(api)
	s.routeHealth(api)
	s.routeOpenAPI(api)
}

// routeMatrix registers what only those do who manage the matrix.
func (s *Server) routeMatrix(api huma.API) {
	s.routeProducts(api)
	s.routeAssets(api)
	s.routeLinks(api)
	s.routeTransactions(api)
	s.routePurge(api)
	s.routeGarbage(api)
	s.routeChanges(api)
	s.routeFleet(api)
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
	n := needOf(op.OperationID)
	n.document(&op)
	op.SkipValidateParams = true // guardQuery has done it
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		c := P(in).called()
		if n.reads {
			if err := s.read(ctx, c); err != nil {
				return nil, s.problem(c.request, err)
			}
		}
		out, err := handle(ctx, in)
		if err != nil {
			return nil, s.problem(c.request, c.doubted(err))
		}
		return out, nil
	})
	if n.reads {
		revealing(op.Responses["200"])
	}
}

// A streamed is an answer whose body is written by a function, from the head on.
type streamed struct{ Body func(huma.Context) }

// stream adds an operation whose body is no JSON.
func stream[I any, P interface {
	*I
	caller
}](s *Server, api huma.API, op huma.Operation, mediaType string, handle func(context.Context, *I) (*streamed, error)) {
	register[I, streamed, P](s, api, op, handle)
	api.OpenAPI().Paths[op.Path].Get.Responses["200"].Content = map[string]*huma.MediaType{
		mediaType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
	}
}

// responses documents the answer that every operation may give.
func responses(api huma.API) map[string]*huma.Response {
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[asset.Problem](), true, "")
	return map[string]*huma.Response{"default": {
		Description: "A problem (RFC 9457)",
		Content:     map[string]*huma.MediaType{asset.ProblemMediaType: {Schema: schema}},
	}}
}

// operationOf returns what is documented of a method and a path.
func operationOf(api huma.API, method, path string) *huma.Operation {
	item := api.OpenAPI().Paths[path]
	return map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodPut: item.Put, http.MethodPatch: item.Patch, http.MethodPost: item.Post}[method]
}

// answersToo documents that an operation answers with a status beside 200, in the same form. Without it, whoever generates
// a client takes that answer for a problem.
func answersToo(api huma.API, method, path string, status int) {
	responses := operationOf(api, method, path).Responses
	also := *responses["200"]
	also.Description = http.StatusText(status)
	responses[strconv.Itoa(status)] = &also
}

// document describes the request body of an operation that reads it by itself.
func document(api huma.API, method, path, mediaType, description string, schema *huma.Schema) {
	operationOf(api, method, path).RequestBody = &huma.RequestBody{
		Required: true, Description: description,
		Content: map[string]*huma.MediaType{mediaType: {Schema: schema}},
	}
}

// jsonBody documents an operation's body, and returns what reads it.
func jsonBody[T any](api huma.API, method, path string) content[T] {
	registry := api.OpenAPI().Components.Schemas
	schema := registry.Schema(reflect.TypeFor[T](), true, "")
	document(api, method, path, "application/json", "", schema)
	return content[T]{registry, schema}
}

// A call is the part of an operation's input that is the request itself. huma does not touch the body of an operation
// that has no field for it.
type call struct {
	request *http.Request
	header  http.Header   // the answer's
	view    *catalog.View // what operations that read the matrix answer from
}

// A caller is an input with a call.
type caller interface{ called() *call }

func (c *call) called() *call { return c }

// shows says which revision the answer has seen.
func (c *call) shows(revision uint64) {
	c.header.Set(revisionHeader, strconv.FormatUint(revision, 10))
}

// doubted returns why what was not found may be there all the same, if it may.
func (c *call) doubted(err error) error {
	if c.view != nil && errors.Is(err, asset.ErrNotFound) && c.view.Err() != nil {
		return c.view.Err()
	}
	return err
}

// Resolve takes the request.
func (c *call) Resolve(ctx huma.Context) []error {
	r, w := humago.Unwrap(ctx)
	c.request, c.header = r, w.Header()
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
	if query.Has("wait_timeout") && !query.Has("wait") && known["wait"] != nil {
		return fault(asset.ErrInvalid, "wait_timeout", "nothing is waited for", "wait=edges beside it")
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch schema, ok := known[name]; {
		case !ok:
			return fault(asset.ErrInvalid, name, "this query parameter is not known", orNone(slices.Sorted(maps.Keys(known))))
		case len(query[name]) > 1:
			return fault(asset.ErrInvalid, name, "this query parameter is given twice", "once")
		case schema.Format == "duration" && !isDuration(query[name][0]):
			return fault(asset.ErrInvalid, name, "this query parameter is out of range", fmt.Sprintf("a duration of up to %s, such as 5s", maxWait))
		case schema.Type == huma.TypeInteger && !inRange(schema, query[name][0]), schema.Type == huma.TypeString && !isOf(schema, query[name][0]):
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
