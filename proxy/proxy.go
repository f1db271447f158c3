// Package proxy is the front door: it answers GET, HEAD and OPTIONS for delivery URLs over HTTP/1.1 on fasthttp.
//
// Its one invariant: nothing of a request outlives it. What fasthttp hands out is a view into a buffer that the next
// request on the connection overwrites, so the path is copied once at the door and all else is read and forgotten; and
// of the whole request only the path, the query, the class of formats in Accept and the steps of client hints reach a resolution.
//
//	server, err := proxy.New(proxy.DefaultConfig(), resolver, matrix, memoryTier, proxy.Events{}, logger)
//	if err != nil { … }
//	go server.Serve(listener)
//	…
//	err = server.Shutdown(ctx)
//
// The answer to a request is a list of steps, see [New]. Whatever a step returns as an error becomes a problem document
// (RFC 9457) by the one table in errors.go.
package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/resolve"
)

// Config is the front door's part of the configuration.
type Config struct {
	// Listen is the TCP address, host:port.
	Listen string `yaml:"listen"`
	// MaxPathBytes is the longest request target, path and query together; longer ones get 414.
	MaxPathBytes int `yaml:"max_path_bytes"`
	// MaxHeaderBytes is the largest header block; larger ones get 431. Each open connection holds a buffer of both
	// limits together.
	MaxHeaderBytes int `yaml:"max_header_bytes"`
	// MaxConnections is how many may be open at once; further ones get 503 and are closed.
	MaxConnections int `yaml:"max_connections"`
	// ReadTimeout is how long a request may take to arrive, from its first byte.
	ReadTimeout time.Duration `yaml:"read_timeout"`
	// IdleTimeout is how long a connection is kept between two requests.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
	// WriteTimeout is how long a client may take nothing of its answer. It rolls: an answer may take any time while its
	// reader keeps reading.
	WriteTimeout time.Duration `yaml:"write_timeout"`
	// RevisionWait is how long a request waits at most for the revision that it demands; 0 waits for none.
	RevisionWait time.Duration `yaml:"revision_wait"`
	// MaxAge, StaleWhileRevalidate and StaleIfError are the lifetimes of unpinned URLs of products that set none, in
	// whole seconds. MaxAge is short because nobody can purge a browser, and asking again costs a 304 from memory.
	MaxAge               time.Duration `yaml:"max_age"`
	StaleWhileRevalidate time.Duration `yaml:"stale_while_revalidate"`
	StaleIfError         time.Duration `yaml:"stale_if_error"`
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{
		Listen:               ":8080",
		MaxPathBytes:         8 << 10,
		MaxHeaderBytes:       16 << 10,
		MaxConnections:       16384,
		ReadTimeout:          10 * time.Second,
		IdleTimeout:          75 * time.Second,
		WriteTimeout:         30 * time.Second,
		RevisionWait:         2 * time.Second,
		MaxAge:               5 * time.Minute,
		StaleWhileRevalidate: time.Hour,
		StaleIfError:         24 * time.Hour,
	}
}

// Validate reports the first value that cannot be used: by its key, what was given, and what is allowed.
func (c Config) Validate() error {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return asset.BadKey("listen", strconv.Quote(c.Listen), "host:port or :port")
	}
	for _, n := range []struct {
		key             string
		value, min, max int
	}{
		{"max_path_bytes", c.MaxPathBytes, 256, 1 << 20},
		{"max_header_bytes", c.MaxHeaderBytes, 1024, 1 << 20},
		{"max_connections", c.MaxConnections, 1, 1 << 20},
	} {
		if n.value < n.min || n.value > n.max {
			return asset.BadKey(n.key, n.value, fmt.Sprintf("%d–%d", n.min, n.max))
		}
	}
	return c.validateTimes()
}

func (c Config) validateTimes() error {
	for _, d := range []struct {
		key        string
		value, min time.Duration
	}{
		{"read_timeout", c.ReadTimeout, time.Millisecond},
		{"idle_timeout", c.IdleTimeout, time.Millisecond},
		{"write_timeout", c.WriteTimeout, time.Millisecond},
		{"revision_wait", c.RevisionWait, 0},
		{"max_age", c.MaxAge, 0},
		{"stale_while_revalidate", c.StaleWhileRevalidate, 0},
		{"stale_if_error", c.StaleIfError, 0},
	} {
		if d.value < d.min {
			return asset.BadKey(d.key, d.value, fmt.Sprintf("at least %s", d.min))
		}
	}
	return nil
}

// lifetimes are the configured defaults in the unit of the matrix.
func (c Config) lifetimes() asset.Lifetimes {
	return asset.Lifetimes{
		MaxAge:               int(c.MaxAge / time.Second),
		StaleWhileRevalidate: int(c.StaleWhileRevalidate / time.Second),
		StaleIfError:         int(c.StaleIfError / time.Second),
	}
}

// A Resolver says what a target means. [resolve.Resolver] is one.
type Resolver interface {
	Resolve(t resolve.Target, c resolve.Client) (resolve.Resolution, error)
}

// A Replica is the snapshot of the matrix that the resolver reads, as it follows. The catalog is one.
type Replica interface {
	// Await returns when the snapshot has the revision, and fails when ctx ends before or when it never will.
	Await(ctx context.Context, revision uint64) error
}

// A Server is the front door. It is safe for concurrent use.
type Server struct {
	config   Config
	resolver Resolver
	replica  Replica
	loader   asset.Loader
	events   Events
	access   *slog.Logger
	fallback asset.Lifetimes
	steps    []step
	http     *fasthttp.Server

	// life is the context of every load: it ends when the server has, not when a client leaves. fasthttp's own context
	// ends at shutdown only as well, and cannot be kept.
	life context.Context
	end  context.CancelFunc

	waiting atomic.Int32 // requests that wait for a revision

	exchanges sync.Pool // of *exchange

	mu       sync.Mutex // guards listener and stopped
	listener *listener
	stopped  bool
}

// New returns a server over the resolver, the replica that it reads, and the loader. access gets one line per request; nil writes none.
func New(cfg Config, resolver Resolver, replica Replica, loader asset.Loader, ev Events, access *slog.Logger) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	s := &Server{config: cfg, resolver: resolver, replica: replica, loader: loader, events: ev, access: access, fallback: cfg.lifetimes()}
	s.life, s.end = context.WithCancel(context.Background())
	s.exchanges.New = func() any { return &exchange{trace: asset.Trace{Context: s.life}} }
	s.steps = []step{
		s.guard,     // method, framing, limits
		s.parse,     // path and query → target
		s.resolve,   // target → key, once the revision that it demands is here
		s.describe,  // the answer of info
		s.condition, // 304 and 412 from metadata alone
		s.load,      // key → object
		s.slice,     // range
		s.respond,
	}
	s.http = s.newHTTP()
	return s, nil
}

// newHTTP sets fasthttp up. Its own timeouts end at the conn, which rolls them; its body limit is as small as it can
// be, because the front door takes no bodies (0 would mean 4 MB).
func (s *Server) newHTTP() *fasthttp.Server {
	return &fasthttp.Server{
		Handler:                      s.serve,
		ErrorHandler:                 s.serveUnparsed,
		ExpectHandler:                s.serveExpect,
		Logger:                       silent{},
		Concurrency:                  s.config.MaxConnections + 1, // the listener refuses before fasthttp does
		ReadBufferSize:               s.config.MaxPathBytes + s.config.MaxHeaderBytes,
		ReadTimeout:                  s.config.ReadTimeout,
		IdleTimeout:                  s.config.IdleTimeout,
		MaxRequestBodySize:           1,
		DisablePreParseMultipartForm: true,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		SecureErrorLogMessage:        true,
	}
}

// silent is fasthttp's logger: what it would say is in the events and in the access log.
type silent struct{}

func (silent) Printf(string, ...any) {}

// ErrServing is returned by [Server.Serve] when the server already has a listener, or was shut down.
var ErrServing = fmt.Errorf("%w: serving already, or shut down", asset.ErrConflict)

// Serve answers the listener's connections until [Server.Shutdown], then returns nil. It may be called once.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	if s.listener != nil || s.stopped {
		s.mu.Unlock()
		return ErrServing
	}
	s.listener = newListener(ln, s.config, func() { s.events.shed("connections") })
	s.mu.Unlock()
	if err := s.http.Serve(s.listener); err != nil {
		return fmt.Errorf("proxy serve: %w", err)
	}
	return nil
}

// Shutdown stops accepting, lets every request that has begun be answered, closes idle connections, and returns when
// none is left. When ctx ends first, the rest is cut off and ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	ln := s.listener
	s.mu.Unlock()
	defer s.end()
	if ln == nil {
		return nil
	}
	select {
	case <-ln.drain():
		return nil
	case <-ctx.Done():
		ln.abort()
		return fmt.Errorf("proxy shutdown: %w", ctx.Err())
	}
}

// draining reports whether Shutdown has begun.
func draining(ctx *fasthttp.RequestCtx) bool {
	c, ok := ctx.Conn().(*conn)
	return ok && c.listener.draining.Load()
}
