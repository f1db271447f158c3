// Package control is the management API and the operations of a server: products, uploads and links over JSON, health,
// metrics and profiles, on a listener of their own.
//
// Its one invariant: nothing of a request is ignored. A field, a query parameter or a condition that this version does
// not know is refused and named, and whatever is refused is a problem document (RFC 9457) by the one table of
// [asset.Classify].
//
//	server, err := control.New(control.DefaultConfig(), control.Deps{Matrix: catalog, Ingester: ingester, …})
//	if err != nil { … }
//	go server.Serve(listener)
//	…
//	err = server.Shutdown(ctx)
//
// Callers present a bearer token ([Token]). Where none is configured the API asks nobody who they are, so it is reachable
// from its own machine alone, and not by the pages that a browser on that machine happens to show.
package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/resolve"
)

// Config is the management API's part of the configuration.
type Config struct {
	// Listen is the TCP address, host:port; of a loopback interface while there are no tokens.
	Listen string `yaml:"listen"`
	// Tokens are those that callers may present. Without any, everybody who reaches the API may do everything.
	Tokens []Token `yaml:"tokens"`
	// HeaderTimeout is how long a request's head may take to arrive.
	HeaderTimeout time.Duration `yaml:"header_timeout"`
	// StallTimeout is how long a client may send nothing of its body, or take nothing of its answer. It rolls: an upload
	// may take any time while it moves.
	StallTimeout time.Duration `yaml:"stall_timeout"`
	// IdleTimeout is how long a connection is kept between two requests.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
	// CheckTimeout is how long one check of /readyz may take; one that takes longer is not ready.
	CheckTimeout time.Duration `yaml:"check_timeout"`
	// RevisionWait is how long a read waits for the revision that it demands, and a write for the edges, when the request
	// does not say.
	RevisionWait time.Duration `yaml:"revision_wait"`
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{
		Listen:        "127.0.0.1:9090",
		HeaderTimeout: 10 * time.Second,
		StallTimeout:  30 * time.Second,
		IdleTimeout:   2 * time.Minute,
		CheckTimeout:  2 * time.Second,
		RevisionWait:  2 * time.Second,
	}
}

// Validate reports the first value that cannot be used: by its key, what was given, and what is allowed.
func (c Config) Validate() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil || len(c.Tokens) == 0 && !isLoopback(host) {
		return asset.BadKey("listen", strconv.Quote(c.Listen), allowedListen)
	}
	if err := validateTokens(c.Tokens); err != nil {
		return err
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"header_timeout", c.HeaderTimeout},
		{"stall_timeout", c.StallTimeout},
		{"idle_timeout", c.IdleTimeout},
		{"check_timeout", c.CheckTimeout},
		{"revision_wait", c.RevisionWait},
	} {
		if d.value < time.Millisecond {
			return asset.BadKey(d.key, d.value, "at least 1ms")
		}
	}
	return nil
}

// maxHeaderBytes is the largest head of a request.
const maxHeaderBytes = 64 << 10

const allowedListen = "a loopback address and a port, such as 127.0.0.1:9090, [::1]:9090 or localhost:9090, " +
	"as there are no tokens; with tokens any address"

// isLoopback reports whether host names this machine to itself. No other name is looked up: what it leads to may change.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// A Matrix is the catalog; *catalog.Catalog has it.
type Matrix interface {
	View() *catalog.View
	Update(ctx context.Context, f func(*catalog.View) ([]catalog.Mutation, error)) (revision uint64, err error)
	Fleet
	History
}

// A Fleet is what is known of the matrix's replicas.
type Fleet interface {
	Await(ctx context.Context, revision uint64) error
	AwaitReplicas(ctx context.Context, revision uint64) (behind []string, err error)
	Replicas() []catalog.Replica
}

// A History is how the matrix came to be as it is.
type History interface {
	Changes(ctx context.Context, after uint64, take func(catalog.Change) error) error
	Snapshot(ctx context.Context) (catalog.Manifest, *os.File, error)
	Backup(ctx context.Context, w io.Writer) (catalog.Manifest, error)
}

// A Resolver finds what a delivery URL means; *resolve.Resolver is one.
type Resolver interface {
	Resolve(t resolve.Target, c resolve.Client) (resolve.Resolution, error)
}

// An Ingester takes uploads in; *ingest.Ingester is one.
type Ingester interface {
	Put(ctx context.Context, u asset.Upload) (asset.Receipt, error)
}

// A Garbage collects it; *ingest.Collector is one.
type Garbage interface {
	// Collect deletes the originals that no version has used for the grace period, and returns them; in a dry run it only
	// looks.
	Collect(ctx context.Context, grace time.Duration, dryRun bool) ([]asset.Garbage, error)
	// Grace is the grace period where nobody asks for another.
	Grace() time.Duration
}

// A Check says whether a part of the server can do its work.
type Check struct {
	Name string
	// Ready returns why not. Only the words of an [asset.Fault] are shown to clients. ctx ends with the check's time.
	Ready func(ctx context.Context) error
}

// Events are rare events. A nil func is not called; the others must return soon.
type Events struct {
	// Failed: a request was answered with a status of 500 or more, because of err.
	Failed func(method, path string, err error)
	// Panicked: a request's handler did.
	Panicked func(v any, stack []byte)
}

// Deps is what a Server works on. Every field but Events is needed, and Checks may be empty; an edge needs neither
// Ingester nor Originals.
type Deps struct {
	Matrix   Matrix
	Ingester Ingester
	Garbage  Garbage
	Resolver Resolver
	// Originals loads what edges ask for.
	Originals asset.Loader
	Metrics   prometheus.Gatherer
	Checks    []Check
	// Edge: this process has a replica of the matrix and does not manage it. It answers operations, resolutions and the
	// list of replicas; of all else it says that it belongs to ControlURL, which may be empty.
	Edge       bool
	ControlURL string
	// Version is the program's, for /openapi.json and /.
	Version string
	Events  Events
}

// A Server is the management API. It is safe for concurrent use.
type Server struct {
	config Config
	deps   Deps
	grants []grant
	mux    *http.ServeMux
	guards []func(*http.Request) error
	http   *http.Server
	// streams ends when the server is being stopped: streams of changes have no end of their own.
	streams context.Context
}

// New returns a server.
func New(cfg Config, deps Deps) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	grants, err := grantsOf(cfg.Tokens)
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	s := &Server{config: cfg, deps: deps, grants: grants, mux: http.NewServeMux()}
	s.guards = []func(*http.Request) error{
		s.guardHost, // for whom the request is
		guardOrigin, // who made the browser send it
		guardPath,   // a path that means what it says
		s.guardRoute,
	}
	s.routeAPI()
	s.routeOperations()
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: cfg.HeaderTimeout,
		IdleTimeout:       cfg.IdleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(io.Discard, "", 0), // what it would say is in the events
	}
	var stop context.CancelFunc
	s.streams, stop = context.WithCancel(context.Background())
	s.http.RegisterOnShutdown(stop)
	return s, nil
}

// Serve answers the listener's connections until [Server.Shutdown], then returns nil. It fails with
// [asset.ErrForbidden], and closes the listener, when that is reachable from another machine though there are no tokens.
func (s *Server) Serve(ln net.Listener) error {
	if host, _, _ := net.SplitHostPort(ln.Addr().String()); len(s.grants) == 0 && !isLoopback(host) {
		return errors.Join(fmt.Errorf("control: %w: listening on %s; allowed: %s", asset.ErrForbidden, ln.Addr(), allowedListen), ln.Close())
	}
	if err := s.http.Serve(listener{ln}); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// Shutdown stops listening and waits for the requests that are being answered. Those that are not done when ctx ends
// are cut off, and ctx's error is returned.
func (s *Server) Shutdown(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("control: %w", err), s.http.Close())
	}
	return nil
}
