package ingest

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count what an Ingest does; their names are part of the interface. A nil one counts
// nothing.
type Metrics struct {
	accepted, duplicates, conflicts prometheus.Counter
	events, requests                prometheus.Histogram
	wait, took                      prometheus.Histogram
	failures                        prometheus.Counter
	queuedEvents, queuedBytes       prometheus.Gauge
	marks, rings                    prometheus.Counter
	ringFailures                    *prometheus.CounterVec
}

// commitSeconds are the bounds of what takes about as long as a commit: a millisecond, where
// all is well.
var commitSeconds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// NewMetrics registers the metrics of one Ingest. An error when there are some of the same
// names already.
func NewMetrics(registry prometheus.Registerer) (*Metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	}
	m := &Metrics{
		accepted:   counter("tocsin_events_accepted_total", "Events committed for the first time."),
		duplicates: counter("tocsin_events_duplicates_total", "Events submitted again with the same content."),
		conflicts:  counter("tocsin_events_conflicts_total", "Events submitted again with other content; the first won."),
		events: histogram("tocsin_group_commit_events", "Events in one group commit.",
			[]float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000}),
		requests: histogram("tocsin_group_commit_requests", "Requests in one group commit.",
			[]float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}),
		wait:         histogram("tocsin_group_commit_wait_seconds", "How long a request waited for the turn of its group.", commitSeconds),
		took:         histogram("tocsin_group_commit_duration_seconds", "How long a group commit took, with matching anew where the configuration changed.", commitSeconds),
		failures:     counter("tocsin_group_commit_failures_total", "Group commits that failed; their requests were refused, or tried one by one."),
		queuedEvents: gauge("tocsin_ingest_queued_events", "Events that wait for a group commit."),
		queuedBytes:  gauge("tocsin_ingest_queued_bytes", "Bytes of the events that wait for a group commit; beyond 268435456 producers get 503."),
		marks:        counter("tocsin_doorbell_marks_total", "Webhooks that were told in the store that they are owed something, after a commit."),
		rings:        counter("tocsin_doorbell_rings_total", "Webhooks that were asleep then, and were sent a signal."),
		ringFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_doorbell_failures_total", Help: "Calls to the store (mark) and to Temporal (signal, incidents) after a commit that failed; the sweeper makes up for them.",
		}, []string{"step"}),
	}
	for _, c := range []prometheus.Collector{
		m.accepted, m.duplicates, m.conflicts, m.events, m.requests, m.wait, m.took, m.failures,
		m.queuedEvents, m.queuedBytes, m.marks, m.rings, m.ringFailures,
	} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("registering ingest's metrics: %w", err)
		}
	}
	for _, step := range []string{stepMark, stepSignal, stepIncidents} {
		m.ringFailures.WithLabelValues(step)
	}
	return m, nil
}

// What may fail after a commit.
const (
	stepMark      = "mark"
	stepSignal    = "signal"
	stepIncidents = "incidents"
)

// begun counts a group whose commit begins.
func (m *Metrics) begun(group []*request, now time.Time) {
	if m == nil {
		return
	}
	events := 0
	for _, r := range group {
		events += len(r.batch)
		m.wait.Observe(now.Sub(r.queued).Seconds())
	}
	m.events.Observe(float64(events))
	m.requests.Observe(float64(len(group)))
}

// committed counts the end of a commit that began at a moment.
func (m *Metrics) committed(began time.Time, err error) {
	if m == nil {
		return
	}
	m.took.Observe(time.Since(began).Seconds())
	if err != nil {
		m.failures.Inc()
	}
}

func (m *Metrics) count(r Result) {
	if m == nil {
		return
	}
	m.accepted.Add(float64(r.Accepted))
	m.duplicates.Add(float64(r.Duplicates))
	m.conflicts.Add(float64(r.Conflicts))
}

// queued says what waits.
func (m *Metrics) queued(events, bytes int) {
	if m == nil {
		return
	}
	m.queuedEvents.Set(float64(events))
	m.queuedBytes.Set(float64(bytes))
}

// marked counts webhooks that were marked, and those of them that are signalled.
func (m *Metrics) marked(all, asleep int) {
	if m == nil {
		return
	}
	m.marks.Add(float64(all))
	m.rings.Add(float64(asleep))
}

func (m *Metrics) failed(step string) {
	if m == nil {
		return
	}
	m.ringFailures.WithLabelValues(step).Inc()
}
