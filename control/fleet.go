package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control/client"
)

type replicasOutput struct{ Body client.Replicas }

func (s *Server) routeReplicas(api huma.API) {
	register(s, api, huma.Operation{
		OperationID: "replicas", Method: http.MethodGet, Path: "/v1/replicas", Summary: "The processes that follow the matrix",
		Description: "Those that were heard of lately, and how far each is behind. An edge hears of no other edge.",
	}, s.replicas)
}

func (s *Server) replicas(_ context.Context, in *struct{ call }) (*replicasOutput, error) {
	out := &replicasOutput{client.Replicas{Replicas: []client.Replica{}, Revision: in.view.Revision()}}
	for _, r := range s.deps.Matrix.Replicas() {
		out.Body.Replicas = append(out.Body.Replicas, client.Replica(r))
	}
	return out, nil
}

// routeFleet registers what edges, and those who keep backups, ask for.
func (s *Server) routeFleet(api huma.API) {
	const binary, snapshot, original = "application/octet-stream", "/v1/snapshots/newest", "/v1/originals/{digest}"
	stream(s, api, huma.Operation{
		OperationID: "newestSnapshot", Method: http.MethodGet, Path: snapshot, Summary: "The newest snapshot of the matrix",
		Description: "The file, or ranges of it. The header Asset-Snapshot says in JSON what it holds; a range goes with If-Range, as there may be a newer one.",
	}, binary, s.snapshot)
	answersToo(api, http.MethodGet, snapshot, http.StatusPartialContent)
	stream(s, api, huma.Operation{
		OperationID: "getOriginal", Method: http.MethodGet, Path: original, Summary: "The bytes of an original",
		Description: "The file, or ranges of it, of an original that a version in the matrix has.",
	}, binary, s.original)
	answersToo(api, http.MethodGet, original, http.StatusPartialContent)
	stream(s, api, huma.Operation{
		OperationID: "backup", Method: http.MethodGet, Path: "/v1/backup", Summary: "A backup of the matrix",
		Description: "One file, from which the command restore makes the matrix anew. The trailer Asset-Snapshot says in JSON what it holds; an answer without it broke off.",
	}, binary, s.backup)
}

func (s *Server) snapshot(ctx context.Context, _ *struct{ call }) (*streamed, error) {
	m, f, err := s.deps.Matrix.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return &streamed{func(hc huma.Context) {
		defer func() { _ = f.Close() }()
		hc.SetHeader(client.ManifestHeader, manifestHeader(m))
		s.serveFile(hc, m.SHA256, f)
	}}, nil
}

// manifestHeader returns the manifest as the value of a header.
func manifestHeader(m catalog.Manifest) string {
	text, _ := json.Marshal(client.Manifest(m)) // strings, numbers and a time: it cannot fail
	return string(text)
}

type originalInput struct {
	call
	Digest string `path:"digest" doc:"its SHA-256, hexadecimal"`
}

func (s *Server) original(ctx context.Context, in *originalInput) (*streamed, error) {
	var d asset.Digest
	if err := d.UnmarshalText([]byte(in.Digest)); err != nil {
		return nil, fault(asset.ErrInvalid, "digest", "this is no digest", "a SHA-256 in 64 hexadecimal digits")
	}
	if _, ok := in.view.Original(d); !ok {
		return nil, fault(asset.ErrNotFound, "digest", "no version in the matrix has this original", "the digest of a version")
	}
	o, err := s.deps.Originals.Load(ctx, asset.Key{Original: d})
	if err != nil {
		return nil, fmt.Errorf("original: %w", err)
	}
	return &streamed{func(hc huma.Context) {
		defer o.Release()
		s.serveFile(hc, d, io.NewSectionReader(o, 0, o.Size))
	}}, nil
}

// serveFile serves bytes by their digest, whole or in ranges. They have no type here: a page among them is not to be shown
// by a browser as one of this server's own.
func (s *Server) serveFile(hc huma.Context, digest asset.Digest, content io.ReadSeeker) {
	r, w := humago.Unwrap(hc)
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", "attachment")
	h.Set("ETag", `"`+digest.String()+`"`)
	a := &ranged{inner: w, refuse: func() {
		h.Del("Content-Disposition")
		setAlways(h) // which package http takes away
		s.problem(r, fault(errRange, "Range", "there is no such range", "ranges within the size that Content-Range says")).write(w)
	}}
	http.ServeContent(a, r, "", time.Time{}, content)
}

// A ranged makes a problem of what package http says of a range that is not there.
type ranged struct {
	inner   http.ResponseWriter
	refuse  func()
	refused bool
}

// Header returns the header.
func (a *ranged) Header() http.Header { return a.inner.Header() }

// WriteHeader begins the answer, or refuses.
func (a *ranged) WriteHeader(status int) {
	if a.refused = status == http.StatusRequestedRangeNotSatisfiable; a.refused {
		a.refuse()
		return
	}
	a.inner.WriteHeader(status)
}

// Write sends a part of the answer.
func (a *ranged) Write(p []byte) (int, error) {
	if a.refused {
		return len(p), nil
	}
	return a.inner.Write(p)
}

// backup sends its answer's head with the first byte, so that what fails before can still be told.
func (s *Server) backup(_ context.Context, _ *struct{ call }) (*streamed, error) {
	return &streamed{func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		a := w.(*answer)
		a.Header().Set("Content-Type", "application/octet-stream")
		a.Header().Set("Content-Disposition", `attachment; filename="assetmatrix.backup"`)
		a.Header().Set("Trailer", client.ManifestHeader)
		if r.Method == http.MethodHead {
			return
		}
		m, err := s.deps.Matrix.Backup(r.Context(), a)
		if err == nil {
			a.Header().Set(client.ManifestHeader, manifestHeader(m))
			return
		}
		p := s.problem(r, err)
		if a.begun {
			panic(http.ErrAbortHandler) // the client must see that it broke off
		}
		a.Header().Del("Content-Disposition")
		a.Header().Del("Trailer")
		p.write(a)
	}}, nil
}

// Snapshots are those of a control plane, by its management API.
type Snapshots struct{ client *client.Client }

var _ catalog.Source = (*Snapshots)(nil)

// NewSnapshots returns the snapshots of the server at baseURL. The token needs the verb replicate for all products. It
// fails with [asset.ErrInvalid] when baseURL is no URL; nothing is sent.
func NewSnapshots(baseURL string, token Secret) (*Snapshots, error) {
	c, err := client.New(baseURL)
	if err != nil {
		return nil, err
	}
	return &Snapshots{c.WithToken(string(token))}, nil
}

// Newest opens the newest snapshot.
func (s *Snapshots) Newest(ctx context.Context) (catalog.Manifest, io.ReadCloser, error) {
	m, body, err := s.client.Snapshot(ctx)
	return catalog.Manifest(m), body, err
}
