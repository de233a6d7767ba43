package api

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are this package's; their names are part of the interface.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func (m *metrics) register(registry *prometheus.Registry) error {
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tocsin_http_requests_total", Help: "Requests answered, by route and status code.",
	}, []string{"route", "code"})
	m.seconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tocsin_http_request_duration_seconds", Help: "Time to answer a request, by route.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"route"})
	for _, c := range []prometheus.Collector{m.requests, m.seconds} {
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

// registerStored registers what is read from the store when it is scraped.
func (s *server) registerStored() error {
	reading := &webhookReading{store: s.Store, log: s.Logger}
	return errors.Join(
		s.Registry.Register(newLedgerMetrics(s.Store, s.Logger)),
		s.Registry.Register(newWebhookCounts(reading)),
		s.Named.Register(newWebhookBacklog(reading)),
	)
}

// serveMetrics answers everybody, and those with more who may read: names of webhooks are
// their business alone. A key that is not good is refused, since whoever sends one expects
// more.
func (s *server) serveMetrics() func(http.ResponseWriter, *http.Request) error {
	public := promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{})
	whole := promhttp.HandlerFor(prometheus.Gatherers{s.Registry, s.Named}, promhttp.HandlerOpts{})
	return func(w http.ResponseWriter, r *http.Request) error {
		if !s.Open && r.Header.Get("Authorization") == "" {
			public.ServeHTTP(w, r)
			return nil
		}
		if _, err := s.authorize(r, ScopeRead); err != nil {
			return err
		}
		whole.ServeHTTP(w, r)
		return nil
	}
}
