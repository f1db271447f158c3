package assetmatrix

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/ingest"
	"github.com/assetmatrix/assetmatrix/resolve"
)

// derivedShare is how much of the disk cache may be in use, in percent, when something is made that nobody has asked for: what is live
// has never to go for it.
const derivedShare = 90

// openDeriver starts what makes presets ahead, unless that is off (decision 015). It loads from the disk tier, where live requests come
// by as well: what is in memory was asked for.
func (s *System) openDeriver(context.Context) error {
	atOnce := int(s.cfg.Render.Derive)
	if atOnce == 0 {
		return nil
	}
	wanted := func(string) bool { return true }
	if s.cfg.Role == RoleEdge {
		wanted = s.served.lately
	}
	d := ingest.NewDeriver(ingest.DeriveDeps{
		View: func() ingest.DeriveView { return s.catalog.View() },
		Resolve: func(t resolve.Target, accept string) (resolve.Resolution, error) {
			return s.resolver.Resolve(t, resolve.Client{Accept: accept})
		}, Renditions: s.back, Idle: s.pool.Idle, Wanted: wanted,
		Room: func() bool { return s.disk.Bytes() < s.cfg.Cache.Disk.MaxBytes/100*derivedShare },
	}, s.deriveEvents())
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx, atOnce) })
	s.deriver.Store(d)
	s.onClose("derivations", func(context.Context) error {
		stop()
		running.Wait()
		return nil
	})
	return nil
}

// changed passes on what has changed in the matrix. The catalog follows the log before there is anybody to pass it to.
func (s *System) changed(mutations []catalog.Mutation) {
	d := s.deriver.Load()
	if d == nil || s.cfg.Role == RoleEdge && !s.served.anything() {
		return
	}
	d.Changed(mutations)
}

// served knows which products this process has served, and when last. The zero value is ready.
type served struct {
	at     atomic.Pointer[map[string]*atomic.Int64] // minutes since 1970, by product
	newest atomic.Int64                             // of those
	mu     sync.Mutex                               // held to add a product
}

// servedFor is for how long a product counts as being served.
const servedFor = time.Hour

func minute() int64 { return time.Now().Unix() / 60 }

// note notes that the product is served now. It allocates for a product's first time alone.
func (s *served) note(product string) {
	now, last := minute(), s.of(product)
	if last == nil {
		last = s.add(product)
	}
	if last.Load() != now { // or all cores would write to it for each request
		last.Store(now)
		s.newest.Store(now)
	}
}

func (s *served) of(product string) *atomic.Int64 {
	if m := s.at.Load(); m != nil {
		return (*m)[product]
	}
	return nil
}

func (s *served) add(product string) *atomic.Int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := s.of(product); last != nil {
		return last
	}
	next := map[string]*atomic.Int64{}
	if m := s.at.Load(); m != nil {
		next = maps.Clone(*m)
	}
	next[product] = new(atomic.Int64)
	s.at.Store(&next)
	return next[product]
}

// lately reports whether the product was served within the last hour.
func (s *served) lately(product string) bool {
	last := s.of(product)
	return last != nil && recent(last.Load())
}

// anything reports whether any product was.
func (s *served) anything() bool { return recent(s.newest.Load()) }

func recent(minutes int64) bool { return minute()-minutes <= int64(servedFor/time.Minute) }
