package activities_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/integrations"
	"github.com/tocsin-alerts/tocsin/integrations/webhook"
	"github.com/tocsin-alerts/tocsin/store/postgres"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
)

// BenchmarkDeliver is one Deliver that drains a backlog of b.N deliveries to an HTTP
// receiver: everything but ingest and Temporal. Events are of about 1 KB, each of an
// incident of its own.
func BenchmarkDeliver(b *testing.B) {
	open := map[string]func(*testing.B) (tocsin.Store, error){
		"sqlite": func(b *testing.B) (tocsin.Store, error) {
			return sqlite.Open(b.Context(), b.TempDir()+"/tocsin.db", sqlite.Options{})
		},
		"postgres": func(b *testing.B) (tocsin.Store, error) {
			return postgres.Open(b.Context(), pgtest.URL(b), postgres.Options{})
		},
	}
	for _, name := range []string{"postgres", "sqlite"} {
		for _, size := range []int{1, 100, 500} {
			b.Run(fmt.Sprintf("store=%s/batch=%d", name, size), func(b *testing.B) {
				s, err := open[name](b)
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close() //nolint:errcheck // what was measured is over
				if err := s.Migrate(b.Context()); err != nil {
					b.Fatal(err)
				}
				benchmarkDeliver(b, s, size)
			})
		}
	}
}

func benchmarkDeliver(b *testing.B, s tocsin.Store, size int) {
	var requests atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		requests.Add(1)
	}))
	defer receiver.Close()
	config := json.RawMessage(fmt.Sprintf(`{"url":%q,"method":"POST","signing_secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}`, receiver.URL))
	sender, err := loopbackWebhook(b).Open(config)
	if err != nil {
		b.Fatal(err)
	}
	a := newActivities(s, nil)
	a.Sender = func(tocsin.Webhook) (tocsin.Sender, error) { return sender, nil }
	a.Budget = time.Hour
	if a.Metrics, err = activities.NewMetrics(prometheus.NewRegistry(), a.MaxSlots()); err != nil {
		b.Fatal(err)
	}
	w := benchWebhook(b, s, size)
	owe(b, s, w, b.N*size)
	b.ResetTimer()
	out, err := a.Deliver(b.Context(), activities.DeliverInput{WebhookID: w.ID})
	b.StopTimer()
	if err != nil || out.Next != activities.NextIdle || out.Events != b.N*size {
		b.Fatalf("delivered %+v (%v), want %d events", out, err, b.N*size)
	}
	b.ReportMetric(float64(out.Events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(requests.Load())/b.Elapsed().Seconds(), "deliveries/s")
}

// loopbackWebhook is the channel "webhook" that may send to this machine, with a signing key of
// the installation, as in production.
func loopbackWebhook(b *testing.B) tocsin.Channel {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range integrations.Channels(integrations.Options{
		AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Signers:    signers(key),
	}) {
		if c.Name() == "webhook" {
			return c
		}
	}
	b.Fatal("no channel webhook")
	return nil
}

func signers(key ed25519.PrivateKey) webhook.Signers {
	return func(context.Context) ([]webhook.Signer, error) { return []webhook.Signer{{ID: "bench", Key: key}}, nil }
}

func benchWebhook(b *testing.B, s tocsin.Store, size int) tocsin.Webhook {
	w, err := s.CreateWebhook(b.Context(), tocsin.Webhook{
		ID: tocsin.NewID(tocsin.PrefixWebhook),
		Settings: tocsin.Settings{
			Name: "bench", Channel: "webhook", Frequency: tocsin.Instant, BatchSize: size, Concurrency: 1,
			RunEvery: tocsin.Duration(15 * time.Minute), RetryFor: tocsin.Duration(72 * time.Hour), OnResume: "deliver",
		},
		Config: json.RawMessage(`{}`), Sealed: []byte("sealed"),
	})
	if err != nil {
		b.Fatal(err)
	}
	return w
}

// owe appends n events in batches of 500.
func owe(b *testing.B, s tocsin.Store, w tocsin.Webhook, n int) {
	revision, _, err := s.ListWebhooks(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	data := json.RawMessage(`{"component":"agent","text":"` + strings.Repeat("x", 700) + `"}`)
	for from := 0; from < n; from += 500 {
		var batch []tocsin.NewEvent
		for i := from; i < min(n, from+500); i++ {
			id := fmt.Sprintf("evt-%08d", i)
			raw := json.RawMessage(fmt.Sprintf(`{"id":%q,"source":"/bench","type":"custom.bench","severity":"high","title":"An event of the benchmark","data":%s}`, id, data))
			batch = append(batch, tocsin.NewEvent{
				Event: tocsin.Event{
					ID: id, Source: "/bench", Type: "custom.bench", Subject: "agent-" + id, Severity: tocsin.SeverityHigh, Status: tocsin.Firing,
					Time: time.Now().UTC(), DedupKey: "incident-" + id, Title: "An event of the benchmark", Data: data, Raw: raw,
					Labels: map[string]string{"team": "bench"},
				},
				Fingerprint: []byte(id), Owed: []tocsin.Obligation{{WebhookID: w.ID}},
			})
		}
		if _, err := s.Append(b.Context(), revision, batch); err != nil {
			b.Fatal(err)
		}
	}
}
