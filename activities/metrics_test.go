package activities_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
)

// classed is an error of a class.
type classed struct {
	error
	class string
}

func (c classed) ErrorClass() string { return c.class }

// TestWhatDeliveriesCount: four deliveries of one event each, of which one is refused, and
// one fails.
func TestWhatDeliveriesCount(t *testing.T) {
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		registry := prometheus.NewRegistry()
		metrics, err := activities.NewMetrics(registry, 7)
		if err != nil {
			t.Fatal(err)
		}
		r := newReceiver()
		r.answer = func(n tocsin.Notification) (tocsin.Receipt, error) {
			switch n.Events[0].ID {
			case "refused":
				receipt := tocsin.Receipt{Exchanges: []tocsin.Exchange{{Method: "POST", URL: "https://example.com", Status: 422}}}
				return receipt, tocsin.Permanent(classed{errors.New("no"), "status"})
			case "failing":
				return tocsin.Receipt{}, classed{errors.New("reset"), "reset"}
			}
			return tocsin.Receipt{}, nil
		}
		a := newActivities(s, r)
		a.Metrics = metrics
		w := newWebhook(t, s, func(w *tocsin.Webhook) { w.BatchSize = 1 })
		submit(t, s, w, "one", "two", "refused", "failing")
		deliver(t, a, w)
		const want = `
# HELP tocsin_deliveries_total Deliveries that ended, by how: delivered, dead, split.
# TYPE tocsin_deliveries_total counter
tocsin_deliveries_total{channel="webhook",outcome="dead"} 1
tocsin_deliveries_total{channel="webhook",outcome="delivered"} 2
# HELP tocsin_delivery_events_total Events that were accepted by the receiver (delivered), or given up (dead).
# TYPE tocsin_delivery_events_total counter
tocsin_delivery_events_total{channel="webhook",outcome="dead"} 1
tocsin_delivery_events_total{channel="webhook",outcome="delivered"} 2
# HELP tocsin_delivery_attempts_total Attempts, by how they ended: delivered, retryable, permanent, refused, gone, partial.
# TYPE tocsin_delivery_attempts_total counter
tocsin_delivery_attempts_total{channel="webhook",outcome="delivered"} 2
tocsin_delivery_attempts_total{channel="webhook",outcome="permanent"} 1
tocsin_delivery_attempts_total{channel="webhook",outcome="retryable"} 1
# HELP tocsin_delivery_failures_total Attempts that were not accepted as a whole, by the class of the error.
# TYPE tocsin_delivery_failures_total counter
tocsin_delivery_failures_total{channel="webhook",reason="reset"} 1
tocsin_delivery_failures_total{channel="webhook",reason="status_4xx"} 1
# HELP tocsin_deliver_slots How many activities this worker runs at once.
# TYPE tocsin_deliver_slots gauge
tocsin_deliver_slots 7
# HELP tocsin_delivers_running Deliver activities under way, those that linger too.
# TYPE tocsin_delivers_running gauge
tocsin_delivers_running 0
`
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "tocsin_deliveries_total", "tocsin_delivery_events_total",
			"tocsin_delivery_attempts_total", "tocsin_delivery_failures_total", "tocsin_deliver_slots", "tocsin_delivers_running"); err != nil {
			t.Error(err)
		}
		if n := observed(t, registry, "tocsin_delivery_latency_seconds"); n != 2 {
			t.Errorf("%d latencies, want those of the 2 events that were accepted", n)
		}
		if n := observed(t, registry, "tocsin_delivery_attempt_duration_seconds"); n != 4 {
			t.Errorf("%d durations, want 4 attempts'", n)
		}
	})
}

// observed is how often a histogram was, over all labels.
func observed(t *testing.T, registry *prometheus.Registry, name string) (n uint64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				n += m.GetHistogram().GetSampleCount()
			}
		}
	}
	return n
}

// TestReasonsAreFew: whatever senders say, and whatever receivers answer, reasons are of a
// list, and nothing of what was said is in a label.
func TestReasonsAreFew(t *testing.T) {
	s := stores["sqlite"](t)
	registry := prometheus.NewRegistry()
	metrics, err := activities.NewMetrics(registry, 1)
	if err != nil {
		t.Fatal(err)
	}
	r := newReceiver()
	n := 0
	r.answer = func(tocsin.Notification) (tocsin.Receipt, error) {
		n++
		class := []string{"dns", "status", "secret-" + fmt.Sprint(n), ""}[n%4]
		receipt := tocsin.Receipt{Exchanges: []tocsin.Exchange{{Method: "POST", URL: "https://example.com", Status: []int{301, 404, 429, 503, 599, 200}[n/4%6]}}}
		return receipt, tocsin.Permanent(classed{errors.New("secret"), class})
	}
	a := newActivities(s, r)
	a.Metrics = metrics
	for range 40 { // a webhook holds after ten refusals in a row
		w := newWebhook(t, s, func(w *tocsin.Webhook) { w.BatchSize = 1 })
		submit(t, s, w, tocsin.NewID("e"))
		deliver(t, a, w)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{
		"dns", "connect", "tls", "timeout", "reset", "egress", "render", "body", "internal",
		"status_3xx", "status_4xx", "status_429", "status_5xx", "rejected", "other",
	}
	seen := map[string]bool{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if strings.Contains(l.GetValue(), "secret") {
					t.Errorf("%s has the label %s=%q", f.GetName(), l.GetName(), l.GetValue())
				}
				if l.GetName() == "reason" {
					seen[l.GetValue()] = true
					if !slices.Contains(allowed, l.GetValue()) {
						t.Errorf("%s has the reason %q", f.GetName(), l.GetValue())
					}
				}
			}
		}
	}
	for _, reason := range []string{"dns", "status_3xx", "status_4xx", "status_429", "status_5xx", "rejected", "other"} {
		if !seen[reason] {
			t.Errorf("no reason %q among %v", reason, seen)
		}
	}
}
