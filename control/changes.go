package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control/client"
)

// heartbeat is how often a stream of changes says something though there is nothing to say, so that both sides notice
// when the other is gone.
const heartbeat = 15 * time.Second

type changesInput struct {
	call
	After       uint64 `query:"after" minimum:"0" doc:"the revision behind which to begin; left out: what is to come"`
	LastEventID string `header:"Last-Event-ID" doc:"the same, as a browser sends it when it comes back; it goes before after"`
}

func (s *Server) routeChanges(api huma.API) {
	stream(s, api, huma.Operation{
		OperationID: "changes", Method: http.MethodGet, Path: "/v1/changes", Summary: "The matrix's history, as it goes on",
		Description: "Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) without an end: one of the type change for each revision, whose id is " +
			"the revision and whose data is a Change in JSON, with what concerns the products that the caller may read. An id without data comes every 15 seconds. " +
			"Answers 410 when the history does not go back so far any more. A reader that does not keep up is cut off, and can come back.",
	}, "text/event-stream", s.changes)
	api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[client.Change](), true, "")
}

// changes waits for a revision that has not arrived here yet, as a client that comes back to another server may know more.
func (s *Server) changes(ctx context.Context, in *changesInput) (*streamed, error) {
	after, part, err := in.after()
	if err != nil {
		return nil, err
	}
	if err := s.await(ctx, after, part); err != nil {
		return nil, err
	}
	return &streamed{func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		s.stream(w.(*answer), r, after)
	}}, nil
}

// after returns the revision behind which to begin, and the part of the request that says so.
func (in *changesInput) after() (revision uint64, part string, err error) {
	const query, header = "after", "Last-Event-ID"
	if in.LastEventID == "" {
		if !in.request.URL.Query().Has(query) {
			return in.view.Revision(), query, nil
		}
		return in.After, query, nil
	}
	n, err := strconv.ParseUint(in.LastEventID, 10, 64)
	if err != nil {
		return 0, header, fault(asset.ErrInvalid, header, "this is no event's id", "a revision")
	}
	return n, header, nil
}

// stream sends changes until the client leaves, does not keep up, or the server is being stopped.
func (s *Server) stream(w *answer, r *http.Request, after uint64) {
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	defer context.AfterFunc(s.streams, stop)()
	e := &events{w: w, last: after}
	if r.Method == http.MethodHead {
		_ = e.begin()
		return
	}
	if s.deps.Matrix.View().Revision() == after {
		_ = e.begin() // nothing can be missing, and nothing has to come; otherwise the first change begins it
	}
	var beats sync.WaitGroup
	beats.Go(func() { e.beat(ctx) })
	err := s.deps.Matrix.Changes(ctx, after, func(c catalog.Change) error {
		return e.send(c, s.visible(r.Context(), c))
	})
	stop()
	beats.Wait()
	if !e.begun && err != nil {
		s.problem(r, err).write(w)
	}
}

// events is an answer that is a stream of them.
type events struct {
	w     http.ResponseWriter
	mu    sync.Mutex // guards what is below, and that events are written whole
	begun bool
	last  uint64 // the revision of the last change, whether the caller could see anything of it or not
}

// begin sends the head of the answer.
func (e *events) begin() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.write("")
}

// write sends text at once. What the client does not take within the answer's deadline ends the stream.
func (e *events) write(text string) error {
	if !e.begun {
		e.begun = true
		e.w.Header().Set("Content-Type", "text/event-stream")
		e.w.WriteHeader(http.StatusOK)
	}
	if _, err := e.w.Write([]byte(text)); err != nil {
		return err
	}
	return http.NewResponseController(e.w).Flush()
}

// send sends what the caller may see of a change, or only remembers that there was one.
func (e *events) send(c catalog.Change, visible []client.Mutation) error {
	data, err := json.Marshal(client.Change{Revision: c.Revision, CommittedAt: c.CommittedAt, Changes: visible})
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last = c.Revision
	if len(visible) == 0 && e.begun {
		return nil
	}
	if len(visible) == 0 {
		return e.write("")
	}
	return e.write(fmt.Sprintf("id: %d\nevent: change\ndata: %s\n\n", c.Revision, data))
}

// beat sends the last revision from time to time, until ctx ends: a client that comes back need not hear again of what it
// could not see.
func (e *events) beat(ctx context.Context) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		e.mu.Lock()
		if e.begun {
			_ = e.write(fmt.Sprintf(": alive\nid: %d\n\n", e.last)) // the next change finds out that nobody reads
		}
		e.mu.Unlock()
	}
}

// visible returns what the caller may see of a change: what concerns a product that it may read.
func (s *Server) visible(ctx context.Context, c catalog.Change) []client.Mutation {
	v, out := s.deps.Matrix.View(), []client.Mutation{}
	all := s.sees(ctx, everyProduct)
	for i := range c.Mutations {
		m := mutationOf(&c.Mutations[i])
		if m.Product == "" && m.Asset != "" {
			if a, ok := v.Asset(m.Asset); ok {
				m.Product = a.Owner
			}
		}
		if all || s.concerns(ctx, v, &m) {
			out = append(out, m)
		}
	}
	return out
}

// concerns reports whether a mutation does with a product that the caller may read, as the matrix is now: it is the
// product's, or of an asset that has a name there. A purge of a tag, whoever has it, concerns everybody.
func (s *Server) concerns(ctx context.Context, v *catalog.View, m *client.Mutation) bool {
	switch {
	case m.Product != "" && s.sees(ctx, m.Product), m.Tag != "" && m.Product == "":
		return true
	case m.Asset == "" || m.Name != "":
		return false
	}
	for _, l := range v.LinksOf(m.Asset) {
		if s.sees(ctx, l.Product) {
			return true
		}
	}
	return false
}

// mutationOf tells of a mutation.
func mutationOf(m *catalog.Mutation) client.Mutation {
	switch {
	case m.PutProduct != nil:
		return client.Mutation{Kind: "put_product", Product: m.PutProduct.Name}
	case m.DeleteProduct != "":
		return client.Mutation{Kind: "delete_product", Product: m.DeleteProduct}
	case m.PutAsset != nil:
		a := m.PutAsset
		return client.Mutation{Kind: "put_asset", Product: a.Owner, Asset: a.ID, Version: a.Current, Status: a.Status}
	case m.AddVersion != nil:
		return client.Mutation{Kind: "add_version", Asset: m.AddVersion.Asset, Version: m.AddVersion.Version.Number, Status: asset.Active}
	case m.ChangeAsset != nil:
		c := m.ChangeAsset
		return client.Mutation{Kind: "change_asset", Asset: c.Asset, Version: c.Current, Status: c.Status}
	case m.DeleteAsset != "":
		return client.Mutation{Kind: "delete_asset", Asset: m.DeleteAsset}
	case m.PutLink != nil:
		l := m.PutLink
		return client.Mutation{Kind: "put_link", Product: l.Product, Name: l.Name, Asset: l.Asset, Version: l.Pin}
	case m.DeleteLink != nil:
		return client.Mutation{Kind: "delete_link", Product: m.DeleteLink.Product, Name: m.DeleteLink.Name}
	case m.Purge != nil:
		p := m.Purge
		return client.Mutation{Kind: "purge", Product: p.Product, Name: p.Name, Tag: p.Tag, Asset: p.Asset}
	case m.CondemnOriginal != nil:
		return client.Mutation{Kind: "condemn_original", Original: m.CondemnOriginal}
	}
	return client.Mutation{Kind: "forget_original", Original: m.ForgetOriginal}
}
