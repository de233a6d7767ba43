package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
)

// backlogged is a store whose backlog is made up.
type backlogged struct {
	tocsin.Store
	top   []tocsin.Backlog
	total tocsin.BacklogTotal
	all   []tocsin.Webhook
	err   error
	asked int
	limit int
}

func (b *backlogged) Backlog(_ context.Context, limit int) ([]tocsin.Backlog, tocsin.BacklogTotal, error) {
	b.asked, b.limit = b.asked+1, limit
	return b.top[:min(limit, len(b.top))], b.total, b.err
}

func (b *backlogged) ListWebhooks(context.Context) (int64, []tocsin.Webhook, error) {
	return 1, b.all, b.err
}

func (b *backlogged) Balances(context.Context) ([]tocsin.Balance, error) { return nil, b.err }

// owing makes n webhooks, the first of which owes most; each waits since a moment of its own.
func owing(n int, name func(int) string) *backlogged {
	b := &backlogged{}
	for i := range n {
		at := time.Now().Add(-time.Duration(i+1) * time.Minute)
		one := tocsin.Backlog{
			WebhookID: fmt.Sprintf("wh_%d", i), Name: name(i), Channel: "slack", State: tocsin.StateActive, Pending: int64(n - i), OldestAt: &at,
		}
		b.top, b.total.Pending, b.total.Owing, b.total.OldestAt = append(b.top, one), b.total.Pending+one.Pending, n, &at
		w := tocsin.Webhook{ID: one.WebhookID, State: one.State}
		w.Name, w.Channel, w.Frequency = one.Name, one.Channel, tocsin.Instant
		b.all = append(b.all, w)
	}
	return b
}

// named returns the handler's registry of metrics that name webhooks.
func named(t *testing.T, store tocsin.Store) (named, all *prometheus.Registry) {
	t.Helper()
	k := newKit(t)
	named, all = prometheus.NewRegistry(), prometheus.NewRegistry()
	_, err := api.New(api.Config{Store: store, Ingest: k.ingest, Webhooks: k.webhooks, Registry: all, Named: named})
	must(t, err)
	return named, all
}

func TestTheBacklogsSeriesAreBounded(t *testing.T) {
	store := owing(1000, func(i int) string { return fmt.Sprintf("hook %d", i) })
	registry, all := named(t, store)
	if n, err := testutil.GatherAndCount(registry, "tocsin_webhook_pending_events"); err != nil || n != 101 {
		t.Errorf("%d series (%v), want 100 webhooks and the rest", n, err)
	}
	if n, err := testutil.GatherAndCount(all, "tocsin_webhooks"); err != nil || n != 1 {
		t.Errorf("%d series of webhooks (%v), want one state and channel", n, err)
	}
	got := map[string]float64{}
	families, err := registry.Gather()
	must(t, err)
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			got[f.GetName()+" "+labels["webhook_id"]] = m.GetGauge().GetValue()
			if f.GetName() == "tocsin_webhook_pending_events" {
				sum += m.GetGauge().GetValue()
			}
		}
	}
	if want := 1000.0 * 1001 / 2; sum != want {
		t.Errorf("pending together %v, want %v", sum, want)
	}
	if oldest := got["tocsin_webhook_oldest_pending_seconds (other)"]; oldest < 999*60 || oldest > 1001*60 {
		t.Errorf("the oldest of the rest waits for %v s, want 1000 minutes", oldest)
	}
	if store.asked != 1 || store.limit != 100 {
		t.Errorf("the store was asked %d times for %d, want once for 100", store.asked, store.limit)
	}
}

func TestHostileNamesAreOneSeriesEach(t *testing.T) {
	names := []string{"(other)", "a\nb{x=\"1\"} 7", `quote " and \`, strings.Repeat("x", 200), "(other)", "ü 雪"}
	registry, _ := named(t, owing(len(names), func(i int) string { return names[i] }))
	if n, err := testutil.GatherAndCount(registry, "tocsin_webhook_pending_events"); err != nil || n != len(names) {
		t.Errorf("%d series (%v), want %d", n, err, len(names))
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

func TestWithoutTheStoreTheBacklogIsAbsent(t *testing.T) {
	registry, all := named(t, &backlogged{err: errors.New("away")})
	for _, r := range []*prometheus.Registry{registry, all} {
		if n, err := testutil.GatherAndCount(r, "tocsin_webhook_pending_events", "tocsin_webhooks"); err != nil || n != 0 {
			t.Errorf("%d series (%v), want none", n, err)
		}
	}
}

func TestNamesOfWebhooksAreForThoseWhoMayRead(t *testing.T) {
	k := newKit(t)
	k.want(http.StatusCreated, nil, "POST", "/v1/webhooks", `{"name":"secret plans","channel":"webhook","config":{"url":"`+k.receiver.URL+`"}}`)
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", event("one", ""))
	if r := k.want(http.StatusOK, nil, "GET", "/metrics", ""); !strings.Contains(string(r.body), `webhook="secret plans"`) || !strings.Contains(string(r.body), `tocsin_webhooks{channel="webhook",state="active"} 1`) {
		t.Errorf("with a key:\n%s", r.body)
	}
	k.key = k.newKey("producer", "ingest")
	k.want(http.StatusForbidden, nil, "GET", "/metrics", "")
	k.key = "tk_nobody"
	k.want(http.StatusUnauthorized, nil, "GET", "/metrics", "")
	k.key = ""
	if r := k.want(http.StatusOK, nil, "GET", "/metrics", ""); strings.Contains(string(r.body), "secret plans") || !strings.Contains(string(r.body), "tocsin_webhooks{") {
		t.Errorf("without a key:\n%s", r.body)
	}
}
