// Package assetmatrix puts the rooms together: it is the only place where they are wired to one another, to the
// metrics and to the log.
//
// Its one invariant: what is opened is closed, in the opposite order, and after nothing uses it any more.
//
//	cfg, err := assetmatrix.LoadConfig("config.yaml", os.Environ())
//	if err != nil { … }
//	system, err := assetmatrix.New(ctx, cfg, "v1", os.Stderr)
//	if err != nil { … }
//	err = system.Run(ctx) // until ctx ends, then drained and closed
package assetmatrix

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/cache"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control"
	"github.com/assetmatrix/assetmatrix/ingest"
	"github.com/assetmatrix/assetmatrix/origin"
	"github.com/assetmatrix/assetmatrix/proxy"
	"github.com/assetmatrix/assetmatrix/resolve"
	"github.com/assetmatrix/assetmatrix/transform"
)

// WorkerCommand is the one argument with which the program's main function must call [transform.Work] and nothing else.
const WorkerCommand = "render-worker"

// A System is everything in one process. Make it with [New].
type System struct {
	cfg      Config
	logs     io.Writer
	log      *slog.Logger
	metrics  *metrics
	draining atomic.Bool
	frozen   atomic.Bool // the view does not follow the log

	catalog       *catalog.Catalog
	catalogOpened func() error // waits for the catalog
	providers     *origin.Providers
	pool          *transform.Pool
	front         *cache.Tier
	back          *cache.Tier // on disk, behind front
	memory        *cache.Memory
	disk          *cache.Disk
	resolver      *resolve.Resolver
	ingester      *ingest.Ingester // nil on an edge, like the collector
	collector     *ingest.Collector
	delivery      *proxy.Server // nil in the role control
	control       *control.Server
	deriver       atomic.Pointer[ingest.Deriver] // nil until it runs, and where nothing is derived
	served        served                         // kept at an edge

	deliveryListener, controlListener net.Listener

	closers []closer // in the order of opening
}

// A closer ends something that was opened; ctx bounds how long it may wait.
type closer struct {
	name  string
	close func(ctx context.Context) error
}

// New opens everything and binds both listeners, but answers nobody yet. On an error all that was opened is closed.
// ctx bounds the opening. The log goes to logs.
func New(ctx context.Context, cfg Config, version string, logs io.Writer) (*System, error) {
	cfg = cfg.placed()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	log, err := cfg.Log.logger(logs)
	if err != nil {
		return nil, fmt.Errorf("config: log.%w", err)
	}
	s := &System{cfg: cfg, logs: logs, log: log, metrics: newMetrics(prometheus.NewRegistry())}
	for _, open := range s.rooms(version) {
		if err := open(ctx); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	s.metrics.gauge(s)
	return s, nil
}

// rooms are what the role opens, in order.
func (s *System) rooms(version string) []func(context.Context) error {
	s.cfg.Catalog.Version = version
	openControl := func(context.Context) error { return s.openControl(version) }
	switch s.cfg.Role {
	case RoleEdge:
		return []func(context.Context) error{
			s.openData, s.openCatalog, s.openProviders, s.awaitCatalog, s.openCaches, s.openResolver, s.openDeriver, s.openDelivery, openControl,
		}
	case RoleControl:
		return []func(context.Context) error{
			s.openData, s.openCatalog, s.openProviders, s.awaitCatalog, s.openCaches, s.openResolver, s.openIngest, openControl, s.createProducts,
		}
	default:
		return []func(context.Context) error{
			s.openData, s.openCatalog, s.openProviders, s.awaitCatalog, s.openCaches, s.openResolver, s.openIngest, s.openDeriver, s.openDelivery, openControl, s.createProducts,
		}
	}
}

func (s *System) onClose(name string, f func(ctx context.Context) error) {
	s.closers = append(s.closers, closer{name, f})
}

func (s *System) openData(context.Context) error {
	if err := os.MkdirAll(s.cfg.DataDir, 0o750); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	return nil
}

// openCatalog begins to open the catalog. That takes every core there is, so the render workers, which have more libraries
// to link than the rest of a start takes, are started behind it.
func (s *System) openCatalog(ctx context.Context) error {
	if s.cfg.Role == RoleEdge && s.cfg.ControlURL != "" {
		snapshots, err := control.NewSnapshots(s.cfg.ControlURL, control.Secret(s.cfg.ControlToken))
		if err != nil {
			return fmt.Errorf("control_url: %w", err)
		}
		s.cfg.Catalog.Source = snapshots
	}
	opened := make(chan error, 1)
	go func() {
		var err error
		s.catalog, err = catalog.Open(ctx, s.cfg.Catalog, s.catalogEvents())
		opened <- err
	}()
	s.catalogOpened = sync.OnceValue(func() error { return <-opened })
	s.onClose("catalog", func(context.Context) error {
		if s.catalogOpened() != nil {
			return nil
		}
		return s.catalog.Close()
	})
	return nil
}

// awaitCatalog ends what openCatalog began; until then s.catalog must not be touched.
func (s *System) awaitCatalog(context.Context) error { return s.catalogOpened() }

func (s *System) openProviders(ctx context.Context) (err error) {
	if s.providers, err = origin.Open(ctx, s.cfg.Providers, s.originEvents()); err != nil {
		return err
	}
	s.onClose("providers", func(context.Context) error { return s.providers.Close() })
	return nil
}

// openCaches builds the read path: memory → disk → maker, where the maker of a rendition asks the disk tier for its
// original, whose maker is a provider.
func (s *System) openCaches(context.Context) (err error) {
	if s.memory, err = cache.NewMemory(s.cfg.Cache.Memory); err != nil {
		return err
	}
	s.onClose("memory cache", func(context.Context) error { return s.memory.Close() })
	if s.disk, err = cache.NewDisk(s.cfg.Cache.Disk, s.cacheEvents()); err != nil {
		return err
	}
	s.onClose("disk cache", func(context.Context) error { return s.disk.Close() })
	s.back = cache.NewTier(asset.DiskTier, s.disk, asset.LoaderFunc(s.make), s.cacheEvents())
	if s.pool, err = transform.NewPool(s.cfg.Render, s.back, s.transformEvents()); err != nil {
		return err
	}
	s.onClose("render workers", func(context.Context) error { return s.pool.Close() })
	s.onClose("disk tier", s.back.Close)
	s.front = cache.NewTier(asset.MemoryTier, s.memory, s.back, s.cacheEvents())
	s.onClose("memory tier", s.front.Close)
	return nil
}

// make gets what no cache has.
func (s *System) make(ctx context.Context, k asset.Key) (*asset.Object, error) {
	if k.IsOriginal() {
		return s.providers.Load(ctx, k)
	}
	return s.pool.Load(ctx, k)
}

func (s *System) openIngest(context.Context) (err error) {
	if err := s.pool.Ready(); err != nil { // uploads are looked at by its workers
		return err
	}
	if s.ingester, err = ingest.New(s.cfg.Ingest, s.catalog, s.providers, s.pool.Probe); err != nil {
		return err
	}
	s.collector = ingest.NewCollector(s.ingester, s.providers, s.garbageEvents())
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.collector.Run(ctx) })
	s.onClose("garbage", func(context.Context) error {
		stop()
		running.Wait()
		return nil
	})
	return nil
}

func (s *System) openResolver(context.Context) (err error) {
	s.cfg.Resolve.Epoch = transform.Epoch
	s.cfg.Resolve.Lacks = func(f asset.Format) bool {
		written, _, err := s.pool.Formats()
		return err == nil && !slices.Contains(written, f.String())
	}
	s.resolver, err = resolve.New(s.cfg.Resolve, func() resolve.View { return s.catalog.View() })
	return err
}

func (s *System) openDelivery(context.Context) (err error) {
	access, err := s.accessLog()
	if err != nil {
		return err
	}
	if s.delivery, err = proxy.New(s.cfg.Delivery, s.resolver, s.catalog, s.front, s.proxyEvents(), access); err != nil {
		return err
	}
	s.deliveryListener, err = s.listen("delivery.listen", s.cfg.Delivery.Listen)
	return err
}

func (s *System) openControl(version string) (err error) {
	s.control, err = control.New(s.cfg.Control, control.Deps{
		Matrix:     s.catalog,
		Ingester:   s.ingester,
		Garbage:    s.collector,
		Resolver:   s.resolver,
		Originals:  s.providers,
		Edge:       s.cfg.Role == RoleEdge,
		ControlURL: s.cfg.ControlURL,
		Metrics:    s.metrics.registry,
		// A provider that is away is no reason to send clients elsewhere: what is cached is served, and the next node has
		// the same provider. Its breaker is in the metrics.
		Checks: []control.Check{
			{Name: "serving", Ready: s.serving},
			{Name: "catalog", Ready: s.informed},
		},
		Version: version,
		Events:  s.controlEvents(),
	})
	if err != nil {
		return err
	}
	s.controlListener, err = s.listen("control.listen", s.cfg.Control.Listen)
	return err
}

func (s *System) listen(key, address string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	s.onClose(key, func(context.Context) error {
		if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return ln, nil
}

// serving fails while the system is being drained, so that a load balancer looks elsewhere.
func (s *System) serving(context.Context) error {
	if s.draining.Load() {
		return &asset.Fault{Kind: asset.ErrUnavailable, Detail: "the server is being stopped"}
	}
	return nil
}

// informed fails when the matrix cannot be read, or where this process writes it, be written. An edge without a control plane
// serves what it knows, and one that has never heard of the matrix knows nothing.
func (s *System) informed(context.Context) error {
	if s.cfg.Role != RoleEdge {
		return s.catalog.Healthy()
	}
	view := s.catalog.View()
	err := view.Err()
	if err != nil && view.Revision() == 0 {
		return &asset.Fault{Kind: asset.ErrUnavailable, Detail: "the matrix has not arrived here yet"}
	}
	return err
}

// createProducts makes the configured products that are missing. A copy of the matrix that was found to be damaged is
// being made anew meanwhile, which is waited for.
func (s *System) createProducts(ctx context.Context) error {
	missing := func(v *catalog.View) (missing []catalog.Mutation, _ error) {
		for _, p := range s.cfg.Products {
			if _, there := v.Product(p.Name); !there {
				p.Created = time.Now().UTC()
				missing = append(missing, catalog.Mutation{PutProduct: &p})
			}
		}
		return missing, nil
	}
	for deadline := time.Now().Add(productsTimeout); ; {
		view := s.catalog.View()
		if m, _ := missing(view); len(m) == 0 {
			return nil
		}
		_, err := s.catalog.Update(ctx, missing)
		switch {
		case err == nil:
			return nil
		case view.Err() == nil || ctx.Err() != nil || time.Now().After(deadline):
			return fmt.Errorf("products: %w", err)
		}
		time.Sleep(productsWait)
	}
}

const (
	productsTimeout = 30 * time.Second
	productsWait    = 50 * time.Millisecond
)

// DeliveryAddr is the address of the front door; nil in the role control.
func (s *System) DeliveryAddr() net.Addr {
	if s.deliveryListener == nil {
		return nil
	}
	return s.deliveryListener.Addr()
}

func spelled(a net.Addr) string {
	if a == nil {
		return "none"
	}
	return a.String()
}

// ControlAddr is the address of the management API.
func (s *System) ControlAddr() net.Addr { return s.controlListener.Addr() }

// Run answers until ctx ends; then it lets the answers under way end, at most for DrainTimeout, and closes everything.
// It may be called once. It returns nil after an orderly stop.
func (s *System) Run(ctx context.Context) error {
	failed := make(chan error, 3)
	go func() {
		if err := s.logFormats(); err != nil { // an edge does not wait for it to begin with what needs no rendering
			failed <- err
		}
	}()
	if s.delivery != nil {
		go func() { failed <- s.delivery.Serve(s.deliveryListener) }()
	}
	go func() { failed <- s.control.Serve(s.controlListener) }()
	s.log.Info("serving", "role", s.cfg.Role, "delivery", spelled(s.DeliveryAddr()), "control", s.ControlAddr().String(), "revision", s.catalog.View().Revision())
	var err error
	select {
	case <-ctx.Done():
		s.log.Info("draining", "timeout", s.cfg.DrainTimeout)
	case err = <-failed:
	}
	err = errors.Join(err, s.drain(), s.close())
	s.log.Info("stopped")
	return err
}

// logFormats says, when the first render worker has come up, what its libvips reads and writes, and what it lacks.
func (s *System) logFormats() error {
	written, read, err := s.pool.Formats()
	if err != nil {
		return err
	}
	s.log.Info("formats", "reads", read, "writes", written)
	if written, read, err = s.pool.Missing(); err == nil && len(written)+len(read) > 0 {
		s.log.Warn("formats that this libvips lacks", "reads", read, "writes", written)
	}
	return err
}

// drain ends both servers. The management API goes last: until then it says that the server is being stopped.
func (s *System) drain() error {
	s.draining.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.DrainTimeout)
	defer cancel()
	var err error
	if s.delivery != nil {
		err = s.delivery.Shutdown(ctx)
	}
	return errors.Join(err, s.control.Shutdown(ctx))
}

// close closes what was opened, the last first.
func (s *System) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.DrainTimeout)
	defer cancel()
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		if err := s.closers[i].close(ctx); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", s.closers[i].name, err))
		}
	}
	s.closers = nil
	return errors.Join(errs...)
}
