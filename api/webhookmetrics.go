package api

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-alerts/tocsin"
)

// backlogShown is how many webhooks have series of their own, those that owe most; the
// others are summed, so that the number of series does not grow with that of webhooks.
const backlogShown = 100

// restLabel is the id and the name of the others. No webhook has that id: ids begin with a
// prefix.
const restLabel = "(other)"

// backlogStore is what the metrics of webhooks are read from.
type backlogStore interface {
	tocsin.Facts
	ListWebhooks(ctx context.Context) (revision int64, all []tocsin.Webhook, err error)
}

// webhookReading is what the metrics of webhooks are made from: read when somebody scrapes,
// and kept for as long as the ledger is.
type webhookReading struct {
	store backlogStore
	log   *slog.Logger

	mu         sync.Mutex
	read       time.Time
	unreadable bool
	top        []tocsin.Backlog
	total      tocsin.BacklogTotal
	frequency  map[string]tocsin.Frequency // of webhooks, by id
	counts     map[kind]int
}

// kind is what webhooks are counted by.
type kind struct {
	state   tocsin.State
	channel string
}

// refresh reads where what was read last is too old, and reports whether there is anything;
// a failure counts as a reading. It is called with the lock held.
func (r *webhookReading) refresh(now time.Time) bool {
	if !r.read.IsZero() && now.Sub(r.read) < ledgerFresh {
		return !r.unreadable
	}
	r.read = now
	ctx, cancel := context.WithTimeout(context.Background(), ledgerTimeout)
	defer cancel()
	top, total, err := r.store.Backlog(ctx, backlogShown)
	var all []tocsin.Webhook
	if err == nil {
		_, all, err = r.store.ListWebhooks(ctx)
	}
	if r.unreadable = err != nil; r.unreadable {
		r.log.Warn("reading the webhooks for their metrics", "error", err)
		return false
	}
	r.top, r.total, r.frequency, r.counts = top, total, make(map[string]tocsin.Frequency, len(all)), map[kind]int{}
	for _, w := range all {
		r.frequency[w.ID] = w.Frequency
		r.counts[kind{w.State, w.Channel}]++
	}
	return true
}

// webhookCounts says how many webhooks there are. While the store is away it is absent, as
// the others are.
type webhookCounts struct {
	*webhookReading
	webhooks *prometheus.Desc
}

func newWebhookCounts(r *webhookReading) webhookCounts {
	return webhookCounts{r, prometheus.NewDesc("tocsin_webhooks", "Webhooks that are not deleted, by state and channel.", []string{"state", "channel"}, nil)}
}

// Describe implements prometheus.Collector.
func (m webhookCounts) Describe(ch chan<- *prometheus.Desc) { ch <- m.webhooks }

// Collect implements prometheus.Collector.
func (m webhookCounts) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.refresh(time.Now()) {
		return
	}
	for k, n := range m.counts {
		ch <- prometheus.MustNewConstMetric(m.webhooks, prometheus.GaugeValue, float64(n), string(k.state), k.channel)
	}
}

// webhookBacklog says what single webhooks owe, by their names: not for everybody.
type webhookBacklog struct {
	*webhookReading
	pending, oldest *prometheus.Desc
}

func newWebhookBacklog(r *webhookReading) webhookBacklog {
	labels := []string{"webhook_id", "webhook", "channel", "frequency", "state"}
	return webhookBacklog{
		r,
		prometheus.NewDesc("tocsin_webhook_pending_events", "Pending events of the 100 webhooks that owe most; (other) is the sum of the rest.", labels, nil),
		prometheus.NewDesc("tocsin_webhook_oldest_pending_seconds", "For how long the first of what a webhook owes has waited; (other) where that is longer than with any that is listed.", labels, nil),
	}
}

// Describe implements prometheus.Collector.
func (m webhookBacklog) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.pending
	ch <- m.oldest
}

// Collect implements prometheus.Collector.
func (m webhookBacklog) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if !m.refresh(now) {
		return
	}
	send := func(desc *prometheus.Desc, value float64, b tocsin.Backlog) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, b.WebhookID, b.Name, b.Channel, string(m.frequency[b.WebhookID]), string(b.State))
	}
	rest, earliest := m.total.Pending, now.Add(time.Hour)
	for _, b := range m.top {
		rest -= b.Pending
		send(m.pending, float64(b.Pending), b)
		if b.OldestAt != nil {
			send(m.oldest, age(now, *b.OldestAt), b)
			if b.OldestAt.Before(earliest) {
				earliest = *b.OldestAt
			}
		}
	}
	if m.total.Owing <= len(m.top) {
		return
	}
	others := tocsin.Backlog{WebhookID: restLabel, Name: restLabel}
	send(m.pending, float64(max(0, rest)), others)
	if at := m.total.OldestAt; at != nil && at.Before(earliest) {
		send(m.oldest, age(now, *at), others)
	}
}

// age is how long ago something was; the store's clock may be a little ahead.
func age(now, at time.Time) float64 { return max(0, now.Sub(at).Seconds()) }
