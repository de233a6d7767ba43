package api

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-alerts/tocsin"
)

const (
	// ledgerFresh is how long a scrape's numbers are given to later ones: /metrics asks
	// for no key, and must not be a way to keep the store busy.
	ledgerFresh = 15 * time.Second
	// ledgerTimeout bounds how long a scrape waits for the store.
	ledgerTimeout = 5 * time.Second
)

// ledgerMetrics reads the ledger when it is scraped. While the store is away its metrics
// are absent: 0 would say that all is well. They are totals, so that their number does
// not grow with that of the webhooks; GET /v1/ledger tells these apart.
type ledgerMetrics struct {
	store tocsin.Ledger
	log   *slog.Logger

	difference, events *prometheus.Desc

	mu         sync.Mutex
	read       time.Time
	total      tocsin.Balance
	off        int64
	unreadable bool
}

func newLedgerMetrics(store tocsin.Ledger, log *slog.Logger) *ledgerMetrics {
	return &ledgerMetrics{
		store: store, log: log,
		difference: prometheus.NewDesc("tocsin_ledger_difference", "What does not add up in the ledger, over all webhooks, without signs: 0, or there is a bug.", nil, nil),
		events:     prometheus.NewDesc("tocsin_ledger_events", "Obligations of all webhooks, by bucket of the ledger.", []string{"bucket"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *ledgerMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.difference
	ch <- m.events
}

// Collect implements prometheus.Collector.
func (m *ledgerMetrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refresh(time.Now())
	if m.unreadable {
		return
	}
	ch <- prometheus.MustNewConstMetric(m.difference, prometheus.GaugeValue, float64(m.off))
	for bucket, n := range map[string]int64{
		"accepted": m.total.Accepted, "delivered": m.total.Delivered, "pending": m.total.Pending,
		"in_flight": m.total.InFlight, "dead": m.total.Dead, "suppressed": m.total.Suppressed,
	} {
		ch <- prometheus.MustNewConstMetric(m.events, prometheus.GaugeValue, float64(n), bucket)
	}
}

// refresh reads the ledger where what was read last is too old; a failure counts as a
// reading, so that a store that is away is not asked by every scrape.
func (m *ledgerMetrics) refresh(now time.Time) {
	if !m.read.IsZero() && now.Sub(m.read) < ledgerFresh {
		return
	}
	m.read = now
	ctx, cancel := context.WithTimeout(context.Background(), ledgerTimeout)
	defer cancel()
	balances, err := m.store.Balances(ctx)
	m.unreadable = err != nil
	if err != nil {
		m.log.Warn("reading the ledger for its metrics", "error", err)
		return
	}
	m.total, m.off = tocsin.Balance{}, 0
	for _, b := range balances {
		m.total = m.total.Add(b)
		m.off += max(b.Difference(), -b.Difference()) // one too many must not hide one too few
	}
}
