package assetmatrix

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/cache"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control"
	"github.com/assetmatrix/assetmatrix/ingest"
	"github.com/assetmatrix/assetmatrix/origin"
	"github.com/assetmatrix/assetmatrix/proxy"
	"github.com/assetmatrix/assetmatrix/transform"
)

// This file is where the rooms' events become log lines and metrics; the rooms know neither.

func (s *System) catalogEvents() catalog.Events {
	return catalog.Events{
		Frozen: func(err error) {
			s.frozen.Store(err != nil)
			if err != nil {
				s.log.Error("the matrix is frozen", "error", err)
				return
			}
			s.log.Info("the matrix is followed again")
		},
		Copy: func(err error) {
			if err != nil {
				s.log.Error("the copy of the matrix on the disk", "error", err)
				return
			}
			s.log.Info("the copy of the matrix on the disk is whole again")
		},
		Verified: func(revision uint64, took time.Duration) {
			s.log.Info("the copy of the matrix was read as a whole and is sound", "revision", revision, "took", took)
		},
		Folded: func(revision uint64, took time.Duration) {
			s.log.Info("the matrix is folded", "revision", revision, "took", took)
		},
		Adopted: func(from, to uint64) {
			s.log.Warn("the matrix goes on from a snapshot", "revision_before", from, "revision", to)
		},
		Connection: func(err error) {
			if err != nil {
				s.log.Error("connection to the log lost", "error", err)
				return
			}
			s.log.Info("connection to the log is back")
		},
		Outage: func(err error) {
			if err != nil {
				s.log.Error("the matrix cannot be written", "error", err)
				return
			}
			s.log.Info("the matrix can be written again")
		},
		Server: func(line string) { s.log.Warn("nats", "line", line) },
		Committed: func(transactions int, took time.Duration) {
			s.metrics.transactions.Add(float64(transactions))
			s.metrics.commitSeconds.Observe(took.Seconds())
		},
		Changed: s.changed,
	}
}

func (s *System) garbageEvents() ingest.GarbageEvents {
	return ingest.GarbageEvents{Swept: func(deleted []asset.Garbage, took time.Duration, err error) {
		var bytes int64
		for _, g := range deleted {
			bytes += g.Size
		}
		s.metrics.garbageBytes.Add(float64(bytes))
		switch {
		case err != nil:
			s.log.Error("garbage is left", "deleted", len(deleted), "bytes", bytes, "error", err)
		case len(deleted) > 0:
			s.log.Info("garbage collected", "deleted", len(deleted), "bytes", bytes, "took", took)
		}
	}}
}

func (s *System) originEvents() origin.Events {
	return origin.Events{
		Read: s.metrics.read,
		BreakerChanged: func(provider string, state origin.State) {
			s.log.Warn("breaker", "provider", provider, "state", state.String())
		},
		Corrupt: func(provider string, k asset.Key) {
			s.log.Error("a provider holds bytes that do not have their digest", "provider", provider, "key", k.String())
		},
	}
}

func (s *System) cacheEvents() cache.Events {
	return cache.Events{
		Hit: func(r asset.Room) { s.metrics.hits.WithLabelValues(r.String()).Inc() },
		Miss: func(r asset.Room) {
			if r == asset.DiskTier { // the last cache; a miss of the tiers before it is not one yet
				s.metrics.misses.Inc()
			}
		},
		Joined: func(asset.Room) { s.metrics.collapsed.Inc() },
		Failed: func(r asset.Room, err error) {
			s.metrics.storeErrors.WithLabelValues(r.String()).Inc()
			s.log.Warn("cache", "tier", r.String(), "error", err)
		},
		Corrupt: func(err error) {
			s.metrics.corrupt.WithLabelValues(asset.DiskTier.String()).Inc()
			s.log.Error("a cached file was damaged and removed", "error", err)
		},
		Evicted: func(bytes int64) { s.metrics.evictedBytes.Add(float64(bytes)) },
		Panicked: func(r asset.Room, k asset.Key, value any, stack []byte) {
			s.panicked("fill "+k.String(), value, stack)
		},
	}
}

func (s *System) transformEvents() transform.Events {
	return transform.Events{
		Rendered:  s.metrics.rendered,
		Reduction: func(bytes int64) { s.metrics.reducedBytes.Add(float64(bytes)) },
		Diagnosed: func(what, outcome, library string) {
			s.log.Warn("not rendered", "what", what, "outcome", outcome, "library", library)
		},
		WorkerStarted: func(pid int) { s.log.Debug("render worker started", "pid", pid) },
		WorkerLost:    s.workerLost,
		Reduced:       s.metrics.reduced.Inc,
		Shed:          func(reason string) { s.metrics.shed.WithLabelValues(reason).Inc() },
	}
}

func (s *System) deriveEvents() ingest.DeriveEvents {
	return ingest.DeriveEvents{
		Derived: func(outcome string, k asset.Key, err error) {
			s.metrics.derived.WithLabelValues(outcome).Inc()
			if err != nil {
				s.log.Debug("not derived", "key", k.String(), "error", err)
			}
		},
		Dropped: func(id string) {
			s.metrics.derived.WithLabelValues("dropped").Inc()
			s.log.Debug("not derived: too many assets have changed", "asset", id)
		},
		Paused: func(pause time.Duration) {
			s.log.Debug("nothing is derived, as it is not kept", "pause", pause)
		},
	}
}

// workerLost counts a worker that ended, and says so where it did not end in good order.
func (s *System) workerLost(reason, stderr string) {
	s.metrics.workersLost.WithLabelValues(reason).Inc()
	level := slog.LevelWarn
	if reason == "recycled" || reason == "closed" {
		level = slog.LevelDebug
	}
	s.log.Log(context.Background(), level, "render worker ended", "reason", reason, "stderr", stderr)
}

func (s *System) proxyEvents() proxy.Events {
	request := s.metrics.request
	if s.cfg.Role == RoleEdge {
		request = func(product string, status int, took time.Duration, bytes int64) {
			s.metrics.request(product, status, took, bytes)
			if status < http.StatusBadRequest && product != "" {
				s.served.note(product)
			}
		}
	}
	return proxy.Events{
		Request:  request,
		Panicked: func(value any, stack []byte) { s.panicked("request", value, stack) },
		Broken: func(k asset.Key, err error) {
			s.log.Error("an answer was cut off", "key", k.String(), "error", err)
		},
		Shed: func(reason string) { s.metrics.shed.WithLabelValues(reason).Inc() },
	}
}

func (s *System) controlEvents() control.Events {
	return control.Events{
		Failed: func(method, path string, err error) {
			s.log.Error("management request failed", "method", method, "path", path, "error", err)
		},
		Panicked: func(value any, stack []byte) { s.panicked("management request", value, stack) },
	}
}

func (s *System) panicked(where string, value any, stack []byte) {
	s.metrics.panics.Inc()
	s.log.Error("panic", "where", where, "value", value, "stack", string(stack))
}

// accessLog returns the logger of requests, nil when they are not logged. Its lines are gathered, because a system call
// for each would halve the hits that a core can answer.
func (s *System) accessLog() (*slog.Logger, error) {
	if !s.cfg.Log.Access {
		return nil, nil
	}
	buffered := newBufferedLog(s.logs, accessLogEvery)
	s.onClose("access log", func(context.Context) error { return buffered.Flush() })
	return s.cfg.Log.logger(buffered)
}
