package api

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-alerts/tocsin/ingest"
)

// metrics are this package's; their names are part of the interface.
type metrics struct {
	requests  *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	accepted  prometheus.Counter
	duplicate prometheus.Counter
	conflict  prometheus.Counter
}

func (m *metrics) register(registry *prometheus.Registry) error {
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tocsin_http_requests_total", Help: "Requests answered, by route and status code.",
	}, []string{"route", "code"})
	m.seconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tocsin_http_request_duration_seconds", Help: "Time to answer a request, by route.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"route"})
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m.accepted = counter("tocsin_events_accepted_total", "Events committed for the first time by a POST.")
	m.duplicate = counter("tocsin_events_duplicates_total", "Events posted again with the same content.")
	m.conflict = counter("tocsin_events_conflicts_total", "Events posted again with other content; the first won.")
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.accepted, m.duplicate, m.conflict} {
		if err := registry.Register(c); err != nil {
			return fmt.Errorf("registering the API's metrics: %w", err)
		}
	}
	return nil
}

func (m *metrics) done(route string, status int, took time.Duration) {
	if status == 0 {
		status = 200
	}
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

func (m *metrics) events(r ingest.Result) {
	m.accepted.Add(float64(r.Accepted))
	m.duplicate.Add(float64(r.Duplicates))
	m.conflict.Add(float64(r.Conflicts))
}
