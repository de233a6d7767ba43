package app

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// registerOwn registers what is true of the process as a whole.
func (a *App) registerOwn() error {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tocsin_build_info", Help: "1, with the version of Tocsin, and that of Go it was built with.",
		ConstLabels: prometheus.Labels{"version": a.cfg.Version, "goversion": runtime.Version()},
	})
	build.Set(1)
	all := []prometheus.Collector{build, newStoreMetrics(a.store, a.log)}
	if a.cfg.Roles&Work != 0 {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tocsin_worker_polling", Help: "1 while the worker takes tasks from Temporal, 0 while it waits for it.",
		}, func() float64 {
			if a.working.Load() {
				return 1
			}
			return 0
		}))
	}
	for _, c := range all {
		if err := a.registry.Register(c); err != nil {
			return fmt.Errorf("registering the process's metrics: %w", err)
		}
	}
	return nil
}

const (
	// pingFresh is how long an answer of the store is given to later scrapes.
	pingFresh = 5 * time.Second
	// pingTimeout bounds how long a scrape waits for it.
	pingTimeout = 2 * time.Second
)

// storeMetrics asks the store when it is scraped.
type storeMetrics struct {
	store tocsin.Store
	log   *slog.Logger

	up, connections, limit, acquires, waits, waited *prometheus.Desc

	mu    sync.Mutex
	asked time.Time
	err   error
}

func newStoreMetrics(store tocsin.Store, log *slog.Logger) *storeMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &storeMetrics{
		store: store, log: log,
		up:          desc("tocsin_store_up", "1 when the store answered this process, 0 when not, or when it lacks a migration."),
		connections: desc("tocsin_store_connections", "Connections to the store, by pool and what they do.", "pool", "state"),
		limit:       desc("tocsin_store_connections_max", "How many connections a pool has at most.", "pool"),
		acquires:    desc("tocsin_store_acquires_total", "How often a connection was asked for.", "pool"),
		waits:       desc("tocsin_store_acquire_waits_total", "How often one had to be waited for.", "pool"),
		waited:      desc("tocsin_store_acquire_wait_seconds_total", "How long connections were waited for together.", "pool"),
	}
}

// Describe implements prometheus.Collector.
func (m *storeMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.up, m.connections, m.limit, m.acquires, m.waits, m.waited} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *storeMetrics) Collect(ch chan<- prometheus.Metric) {
	up := 1.0
	if m.ping(time.Now()) != nil {
		up = 0
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge(m.up, up)
	pooled, ok := m.store.(tocsin.Pooled)
	if !ok {
		return
	}
	for _, p := range pooled.Pools() {
		gauge(m.connections, float64(p.Acquired), p.Name, "acquired")
		gauge(m.connections, float64(p.Idle), p.Name, "idle")
		gauge(m.connections, float64(p.Constructing), p.Name, "constructing")
		gauge(m.limit, float64(p.Max), p.Name)
		counter(m.acquires, float64(p.Acquires), p.Name)
		counter(m.waits, float64(p.Waits), p.Name)
		counter(m.waited, p.Waited.Seconds(), p.Name)
	}
}

// ping asks the store, unless it was asked a moment ago.
func (m *storeMetrics) ping(now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.asked.IsZero() && now.Sub(m.asked) < pingFresh {
		return m.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
	defer cancel()
	m.asked, m.err = now, m.store.Ping(ctx)
	if m.err != nil {
		m.log.Warn("asking the store for its metrics", "error", m.err)
	}
	return m.err
}
