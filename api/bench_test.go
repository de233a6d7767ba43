package api_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/integrations"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

// forgetful is a store that keeps all but events.
type forgetful struct{ tocsin.Store }

func (forgetful) Append(_ context.Context, _ int64, batch []tocsin.NewEvent) (tocsin.AppendResult, error) {
	return tocsin.AppendResult{Events: slices.Repeat([]tocsin.Appended{tocsin.AppendedNew}, len(batch))}, nil
}

// benchAPI is a handler over such a store, and a key to send events with.
func benchAPI(b *testing.B) (handler http.Handler, key string) {
	db, err := sqlite.Open(b.Context(), ":memory:", sqlite.Options{})
	must(b, err)
	b.Cleanup(func() { db.Close() })
	must(b, db.Migrate(b.Context()))
	key, hash := api.NewKey()
	_, err = db.CreateKey(b.Context(), tocsin.Key{ID: tocsin.NewID(tocsin.PrefixKey), Name: "bench", Scopes: []string{"ingest"}}, hash)
	must(b, err)
	store, logger := forgetful{db}, slog.New(slog.DiscardHandler)
	in, err := ingest.New(ingest.Config{Store: store, Conductor: &conductor{}})
	must(b, err)
	b.Cleanup(in.Close)
	ring, err := tocsin.ParseKeyRing(tocsin.GenerateKey("test"))
	must(b, err)
	service, err := webhooks.New(webhooks.Config{
		Store: store, Conductor: &conductor{}, KeyRing: ring, Logger: logger, Matches: in.Matches, Channels: integrations.Channels(integrations.Options{Logger: logger}),
		CheckFilter: func(string) error { return nil },
	})
	must(b, err)
	handler, err = api.New(api.Config{Store: store, Ingest: in, Webhooks: service, Logger: logger})
	must(b, err)
	return handler, key
}

// BenchmarkSubmit answers POST /v1/events: everything but net/http and the store.
func BenchmarkSubmit(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			handler, key := benchAPI(b)
			all := make([]string, n)
			for i := range all {
				all[i] = fmt.Sprintf(`{"id":"evt-%d","source":"/collections/hr-assistants","type":"agent.discovered","severity":"medium","time":"2026-03-02T08:30:00Z","subject":"agent/leave-planner",`+
					`"title":"New agent: leave-planner","labels":{"collection":"hr-assistants","environment":"production"},`+
					`"data":{"framework":"CrewAI","llm_provider":"anthropic","capabilities":["tool_use","retrieval"],"shadow":true,"note":"%s"}}`, i, strings.Repeat("Seen in the traffic of the gateway. ", 15))
			}
			body := []byte("[" + strings.Join(all, ",") + "]")
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/v1/events", bytes.NewReader(body))
				r.Header.Set("Authorization", "Bearer "+key)
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				if handler.ServeHTTP(w, r); w.Code != http.StatusAccepted {
					b.Fatalf("%d: %s", w.Code, w.Body)
				}
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
