package activities

import (
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-alerts/tocsin"
)

// Metrics count deliveries; their names are part of the interface. Labels are the channel,
// of which there is one for each kind, and words of this package: never what a webhook, an
// event or a receiver brings. A nil one counts nothing.
type Metrics struct {
	deliveries, events, attempts, failures *prometheus.CounterVec
	took, latency                          *prometheus.HistogramVec
	running                                prometheus.Gauge

	kinds sync.Map // kind → *counts
}

// NewMetrics registers the metrics of one Activities with so many slots. An error when there
// are some of the same names already.
func NewMetrics(registry prometheus.Registerer, slots int) (*Metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: buckets,
			// Scrapers that ask for native histograms get those too, a tenth fine.
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
		}, labels)
	}
	m := &Metrics{
		deliveries: counter("tocsin_deliveries_total", "Deliveries that ended, by how: delivered, dead, split.", "channel", "outcome"),
		events:     counter("tocsin_delivery_events_total", "Events that were accepted by the receiver (delivered), or given up (dead).", "channel", "outcome"),
		attempts:   counter("tocsin_delivery_attempts_total", "Attempts, by how they ended: delivered, retryable, permanent, refused, gone, partial.", "channel", "outcome"),
		failures:   counter("tocsin_delivery_failures_total", "Attempts that were not accepted as a whole, by the class of the error.", "channel", "reason"),
		took: histogram("tocsin_delivery_attempt_duration_seconds", "How long attempts took, whatever came of them.",
			[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30}, "channel"),
		latency: histogram("tocsin_delivery_latency_seconds", "From the receipt of an event to its being accepted by the receiver; one observation for each event. Replayed events are left out.",
			[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400}, "channel", "frequency"),
		running: prometheus.NewGauge(prometheus.GaugeOpts{Name: "tocsin_delivers_running", Help: "Deliver activities under way, those that linger too."}),
	}
	most := prometheus.NewGauge(prometheus.GaugeOpts{Name: "tocsin_deliver_slots", Help: "How many activities this worker runs at once."})
	most.Set(float64(slots))
	for _, c := range []prometheus.Collector{m.deliveries, m.events, m.attempts, m.failures, m.took, m.latency, m.running, most} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("registering the metrics of deliveries: %w", err)
		}
	}
	return m, nil
}

// began counts a Deliver until the returned function is called.
func (m *Metrics) began() (ended func()) {
	if m == nil {
		return func() {}
	}
	m.running.Inc()
	return m.running.Dec
}

// kind is what the counters of a webhook are found by.
type kind struct {
	channel   string
	frequency tocsin.Frequency
}

// counts are the metrics of one channel and frequency, found once: an attempt takes none
// of the maps that vectors do.
type counts struct {
	m       *Metrics
	channel string
	took    prometheus.Observer
	latency prometheus.Observer
	// Of what nearly all attempts come to.
	attempts, deliveries, events prometheus.Counter
}

// of returns the metrics of a webhook; nil counts nothing.
func (m *Metrics) of(w tocsin.Webhook) *counts {
	if m == nil {
		return nil
	}
	key := kind{w.Channel, w.Frequency}
	if c, ok := m.kinds.Load(key); ok {
		return c.(*counts)
	}
	c, _ := m.kinds.LoadOrStore(key, &counts{
		m: m, channel: w.Channel,
		took: m.took.WithLabelValues(w.Channel), latency: m.latency.WithLabelValues(w.Channel, string(w.Frequency)),
		attempts:   m.attempts.WithLabelValues(w.Channel, string(tocsin.DeliveryDelivered)),
		deliveries: m.deliveries.WithLabelValues(w.Channel, string(tocsin.DeliveryDelivered)),
		events:     m.events.WithLabelValues(w.Channel, string(tocsin.DeliveryDelivered)),
	})
	return c.(*counts)
}

// recorded counts an attempt whose outcome is stored.
func (c *counts) recorded(claimed tocsin.Claimed, o tocsin.Outcome) {
	if c == nil {
		return
	}
	c.took.Observe(o.Attempt.FinishedAt.Sub(o.Attempt.StartedAt).Seconds())
	if o.State == tocsin.DeliveryDelivered {
		c.attempts.Inc()
		c.deliveries.Inc()
	} else {
		c.failed(o)
	}
	if dead := deadOf(claimed, o); dead > 0 {
		c.m.events.WithLabelValues(c.channel, string(tocsin.DeliveryDead)).Add(float64(dead))
	}
	c.accepted(claimed, o)
}

// failed counts an attempt that was not accepted as a whole.
func (c *counts) failed(o tocsin.Outcome) {
	c.m.attempts.WithLabelValues(c.channel, o.Attempt.Outcome).Inc()
	c.m.failures.WithLabelValues(c.channel, reasonOf(o.Attempt)).Inc()
	if o.State == tocsin.DeliveryDead || o.State == tocsin.DeliverySplit {
		c.m.deliveries.WithLabelValues(c.channel, string(o.State)).Inc()
	}
}

// deadOf is how many events died with the outcome.
func deadOf(claimed tocsin.Claimed, o tocsin.Outcome) int {
	if o.State == tocsin.DeliveryDead {
		return len(claimed.Events)
	}
	return len(o.Dead)
}

// accepted counts the events that the receiver took, and how long they were under way: both
// moments are the store's.
func (c *counts) accepted(claimed tocsin.Claimed, o tocsin.Outcome) {
	if o.State != tocsin.DeliveryDelivered && o.State != tocsin.DeliverySplit {
		return
	}
	var again map[int]bool // children have these
	for _, child := range o.Children {
		for _, place := range child.Places {
			if again == nil {
				again = make(map[int]bool, len(claimed.Events))
			}
			again[place] = true
		}
	}
	n := 0
	for i := range claimed.Events {
		if _, dead := o.Dead[i]; dead || again[i] {
			continue
		}
		n++
		if i >= len(claimed.Generations) || claimed.Generations[i] == 0 {
			c.latency.Observe(max(0, o.Attempt.FinishedAt.Sub(claimed.Events[i].ReceivedAt).Seconds()))
		}
	}
	c.events.Add(float64(n))
}

// classes are those of [tocsin.Attempt] that are reasons as they are.
var classes = map[string]bool{
	"dns": true, "connect": true, "tls": true, "timeout": true, "reset": true, "egress": true, "render": true, "body": true, "internal": true,
}

// reasonOf says in one of few words why an attempt failed.
func reasonOf(a tocsin.Attempt) string {
	switch {
	case classes[a.ErrorClass]:
		return a.ErrorClass
	case a.ErrorClass == "status":
		if n := len(a.Exchanges); n > 0 {
			return ofStatus(a.Exchanges[n-1].Status)
		}
	case a.ErrorClass == "" && (a.Outcome == "partial" || a.Outcome == "permanent" || a.Outcome == "refused"):
		return "rejected" // by the vendor's results for each event
	}
	return "other"
}

// ofStatus is the reason that an answer's status is: of HTTP, and of SMTP, whose codes
// mean about the same.
func ofStatus(status int) string {
	switch {
	case status == 429:
		return "status_429"
	case status >= 300 && status < 600:
		return [...]string{"status_3xx", "status_4xx", "status_5xx"}[status/100-3]
	}
	return "other"
}
