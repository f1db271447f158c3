package assetmatrix

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/ingest"
	"github.com/assetmatrix/assetmatrix/origin"
)

// metrics are what /metrics shows. The names are part of the product: dashboards and alerts depend on them.
type metrics struct {
	registry *prometheus.Registry
	make     promauto.Factory

	requests        *prometheus.CounterVec
	requestSeconds  prometheus.Histogram
	sentBytes       *prometheus.CounterVec
	hits            *prometheus.CounterVec
	misses          prometheus.Counter
	collapsed       prometheus.Counter
	evictedBytes    prometheus.Counter
	corrupt         *prometheus.CounterVec
	storeErrors     *prometheus.CounterVec
	renders         *prometheus.CounterVec
	renderSeconds   *prometheus.HistogramVec
	reducedBytes    prometheus.Counter
	reduced         prometheus.Counter
	derived         *prometheus.CounterVec
	probes          *prometheus.CounterVec
	workersLost     *prometheus.CounterVec
	shed            *prometheus.CounterVec
	providerReads   *prometheus.CounterVec
	providerSeconds *prometheus.HistogramVec
	transactions    prometheus.Counter
	commitSeconds   prometheus.Histogram
	garbageBytes    prometheus.Counter
	panics          prometheus.Counter
}

func newMetrics(registry *prometheus.Registry) *metrics {
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	make := promauto.With(registry)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return make.NewCounterVec(prometheus.CounterOpts{Namespace: "assetmatrix", Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return make.NewHistogramVec(prometheus.HistogramOpts{Namespace: "assetmatrix", Name: name, Help: help, Buckets: buckets}, labels)
	}
	return &metrics{
		registry:        registry,
		make:            make,
		requests:        counter("requests_total", "Answers of the front door. product is empty when none that exists was named.", "product", "code"),
		requestSeconds:  histogram("request_duration_seconds", "From a request's arrival to the begin of its answer.", prometheus.ExponentialBuckets(25e-6, 4, 11)).WithLabelValues().(prometheus.Histogram),
		sentBytes:       counter("response_bytes_total", "Bytes of bodies of the front door.", "product"),
		hits:            counter("cache_hits_total", "Loads that a tier's store answered.", "tier"),
		misses:          counter("cache_misses_total", "Loads that no cache answered, so that an object was rendered or fetched.").WithLabelValues(),
		collapsed:       counter("collapsed_total", "Loads that waited for a fill which another had started.").WithLabelValues(),
		evictedBytes:    counter("cache_evicted_bytes_total", "Bytes that the disk cache gave up to make room.").WithLabelValues(),
		corrupt:         counter("corrupt_total", "Stored objects whose checksum or digest did not hold; none was served.", "where"),
		storeErrors:     counter("cache_errors_total", "Failures of a tier's store that cost no answer.", "tier"),
		renders:         counter("renders_total", "Renders that reached a worker.", "format", "outcome"),
		renderSeconds:   histogram("render_seconds", "Time of a render in its worker.", prometheus.ExponentialBuckets(1e-3, 2, 15), "format"),
		reducedBytes:    counter("reduced_bytes_total", "Bytes of reductions that were made, of which renditions are made in the place of their originals.").WithLabelValues(),
		reduced:         counter("renders_from_reduction_total", "Renders that began with a reduction, which has most of the work done, rather than with the original.").WithLabelValues(),
		derived:         counter("derived_total", "Renditions of presets that were to be made before anybody asked: made, had already, failed; and assets that were dropped because too many waited.", "outcome"),
		probes:          counter("probes_total", "Uploads that a worker looked at.", "outcome"),
		workersLost:     counter("render_workers_lost_total", "Render workers that ended.", "reason"),
		shed:            counter("shed_total", "Work refused before it was started.", "reason"),
		providerReads:   counter("provider_reads_total", "Originals asked of a provider.", "provider", "outcome"),
		providerSeconds: histogram("provider_read_seconds", "Time of a provider's answer.", prometheus.ExponentialBuckets(1e-4, 4, 10), "provider"),
		transactions:    counter("catalog_transactions_total", "Transactions committed to the matrix.").WithLabelValues(),
		commitSeconds:   histogram("catalog_commit_seconds", "From the append to the log to the visible view.", prometheus.ExponentialBuckets(2.5e-4, 2, 14)).WithLabelValues().(prometheus.Histogram),
		garbageBytes:    counter("garbage_bytes_total", "Bytes of originals that no version used and that were deleted.").WithLabelValues(),
		panics:          counter("panics_total", "Panics that were turned into errors. Each is a bug.").WithLabelValues(),
	}
}

// gauge registers what is read when it is asked for.
func (m *metrics) gauge(s *System) {
	read := func(name, help string, labels prometheus.Labels, f func() float64) {
		m.make.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "assetmatrix", Name: name, Help: help, ConstLabels: labels}, f)
	}
	const bytesHelp = "Bytes kept by a tier."
	read("cache_bytes", bytesHelp, prometheus.Labels{"tier": asset.MemoryTier.String()}, func() float64 { return float64(s.memory.Bytes()) })
	read("cache_bytes", bytesHelp, prometheus.Labels{"tier": asset.DiskTier.String()}, func() float64 { return float64(s.disk.Bytes()) })
	read("queue_depth", "Renders that wait for a worker.", nil, func() float64 { return float64(s.pool.Queued()) })
	read("derive_queue_depth", "Assets that wait for the renditions of presets to be made.", nil, func() float64 {
		if d := s.deriver.Load(); d != nil {
			return float64(d.Waiting())
		}
		return 0
	})
	read("catalog_revision", "Position in the matrix's history that requests see.", nil, func() float64 { return float64(s.catalog.View().Revision()) })
	read("catalog_lag_seconds", "For how long the view has not been known to show all that was committed.", nil, func() float64 { return s.catalog.Age().Seconds() })
	read("catalog_frozen", "1 while the view does not follow the log, because a message does not fit.", nil, func() float64 {
		if s.frozen.Load() {
			return 1
		}
		return 0
	})
	for _, f := range []asset.Format{asset.JPEG, asset.PNG, asset.WebP, asset.AVIF} {
		m.renders.WithLabelValues(f.String(), "ok") // a series that is not there cannot be seen to rise
	}
	for _, outcome := range []string{ingest.DeriveMade, ingest.DeriveHad, ingest.DeriveFailed, "dropped"} {
		m.derived.WithLabelValues(outcome)
	}
	for name := range s.providers.States() {
		m.providerReads.WithLabelValues(name, origin.OutcomeHit)
		read("breaker_state", "0 closed, 1 half open, 2 open.", prometheus.Labels{"provider": name}, func() float64 { return float64(s.providers.States()[name]) })
	}
}

// request counts an answer of the front door.
func (m *metrics) request(product string, status int, took time.Duration, bytes int64) {
	m.requests.WithLabelValues(product, strconv.Itoa(status)).Inc()
	m.requestSeconds.Observe(took.Seconds())
	m.sentBytes.WithLabelValues(product).Add(float64(bytes))
}

// rendered counts a render, or the look at an upload, which a worker takes as well.
func (m *metrics) rendered(format, outcome string, took time.Duration) {
	if format == "probe" {
		m.probes.WithLabelValues(outcome).Inc()
		return
	}
	m.renders.WithLabelValues(format, outcome).Inc()
	m.renderSeconds.WithLabelValues(format).Observe(took.Seconds())
}

// read counts a provider's answer.
func (m *metrics) read(provider, outcome string, took time.Duration) {
	m.providerReads.WithLabelValues(provider, outcome).Inc()
	m.providerSeconds.WithLabelValues(provider).Observe(took.Seconds())
	if outcome == origin.OutcomeCorrupt {
		m.corrupt.WithLabelValues(provider).Inc()
	}
}
