package control

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// A need is what a route asks of its caller's token: a verb, for one product or more.
type need struct {
	verb Verb // "": nothing, not even a token
	over reach
	// reads: it is answered from a view, whose revision the caller may demand and is told.
	reads bool
}

// A reach says for which products the verb is needed.
type reach uint8

const (
	named reach = iota // the product in the path
	every              // all products
	some               // any one; what is answered, or done, is held against each product by itself
)

// needs are the needs of all operations by their id, and of the routes that /openapi.json does not show by their names.
var needs = map[string]need{
	"listProducts": {verb: Read, over: some, reads: true},
	"getProduct":   {verb: Read, reads: true},
	"putProduct":   {verb: Admin},
	"listAssets":   {verb: Read, reads: true},
	"getAsset":     {verb: Read, reads: true},
	"putAsset":     {verb: Write},
	"putLink":      {verb: Write},
	"resolve":      {verb: Read, reads: true},

	"changes":        {verb: Read, over: some, reads: true},
	"replicas":       {verb: Read, over: every, reads: true},
	"newestSnapshot": {verb: Replicate, over: every},
	"getOriginal":    {verb: Replicate, over: every, reads: true},
	"backup":         {verb: Admin, over: every},

	"deleteProduct":  {verb: Admin},
	"patchAsset":     {verb: Write},
	"deleteAsset":    {verb: Delete},
	"deleteLink":     {verb: Delete},
	"transact":       {verb: Write, over: some}, // and for each operation what its call needs
	"purge":          {verb: Purge, over: some},
	"collectGarbage": {verb: Delete, over: every},

	"livez":   {},
	"readyz":  {},
	"index":   {},
	"openapi": {},
	"metrics": {verb: Read, over: every},
	"pprof":   {verb: Read, over: every},
}

// needOf returns the need of an operation or a route. One without a need is a mistake of whoever wrote the route.
func needOf(id string) need {
	n, ok := needs[id]
	if !ok {
		panic("control: " + id + " is not in the table of needs")
	}
	return n
}

// bearerScheme is the name of the tokens in /openapi.json.
const bearerScheme = "bearer"

// document says in an operation's description what it needs.
func (n need) document(op *huma.Operation) {
	op.Security = []map[string][]string{{}}
	if n.verb != "" {
		op.Security = []map[string][]string{{bearerScheme: {string(n.verb)}}}
	}
	if n.reads {
		demandable(op)
	}
}

// meets fails unless the caller may use the route.
func (s *Server) meets(r *http.Request, n need, product string) error {
	switch {
	case n.verb == "":
		return nil
	case n.over == every:
		product = everyProduct
	case n.over == some:
		product = ""
	}
	return s.allow(r.Context(), n.verb, product)
}

// guardNeed refuses callers that may not use the operation.
func (s *Server) guardNeed(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	if err := s.meets(r, needOf(ctx.Operation().OperationID), ctx.Param("product")); err != nil {
		s.problem(r, err).write(w)
		return
	}
	next(ctx)
}

// handle registers a route that /openapi.json does not show.
func (s *Server) handle(id, pattern string, h http.HandlerFunc) {
	n := needOf(id)
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if err := s.meets(r, n, ""); err != nil {
			s.problem(r, err).write(w)
			return
		}
		h(w, r)
	})
}
