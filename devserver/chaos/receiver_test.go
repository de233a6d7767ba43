package chaos_test

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// webhookSpec is a webhook under test and how its receiver behaves.
type webhookSpec struct {
	name        string
	batch       int
	concurrency int
	periodic    bool
	slow        time.Duration // at most, before each answer
	flaky       float64       // the part of requests that is answered 503
	picky       bool          // 400 for whatever holds a bad event
}

// prompt webhooks have their events at once, unless something is killed.
func (s webhookSpec) prompt() bool { return !s.periodic && s.flaky == 0 && !s.picky }

// specs are the webhooks of every kind of round: small and large batches, slow ones,
// one that fails at times, one that refuses single events, and one that waits for a tick.
func specs() []webhookSpec {
	return []webhookSpec{
		{name: "single", batch: 1, concurrency: 2, slow: 5 * time.Millisecond},
		{name: "slow", batch: 100, concurrency: 1, slow: 200 * time.Millisecond},
		{name: "flaky", batch: 20, concurrency: 1, slow: 5 * time.Millisecond, flaky: 0.05},
		{name: "picky", batch: 16, concurrency: 4, slow: 5 * time.Millisecond, picky: true},
		{name: "periodic", batch: 50, concurrency: 1, slow: 20 * time.Millisecond, periodic: true},
	}
}

// configuration is the webhook as the API takes it.
func (s webhookSpec) configuration(url string) map[string]any {
	w := map[string]any{
		"name": s.name, "channel": "webhook", "frequency": "instant", "batch_size": s.batch, "max_concurrent": s.concurrency,
		"config": map[string]any{"url": url},
	}
	if s.periodic {
		w["frequency"], w["run_every"] = "periodic", "24h" // run by hand
	}
	return w
}

// startReceiver returns the URL of a receiver that behaves as the webhooks' specs say,
// by path, and tells the tally what it accepted.
func startReceiver(t *testing.T, list []webhookSpec, tally *tally) string {
	t.Helper()
	mux := http.NewServeMux()
	for _, s := range list {
		mux.HandleFunc("POST /"+s.name, func(w http.ResponseWriter, r *http.Request) { receive(s, tally, w, r) })
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func receive(s webhookSpec, tally *tally, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender was killed halfway: not received
	}
	if s.slow > 0 {
		// It takes its time, and what it took it keeps, whether or not the sender still lives.
		<-time.After(time.Duration(rand.Int64N(int64(s.slow))))
	}
	ids := eventIDs(body)
	switch {
	case rand.Float64() < s.flaky:
		w.WriteHeader(http.StatusServiceUnavailable)
	case s.picky && slices.ContainsFunc(ids, func(id string) bool { return strings.HasSuffix(id, "-bad") }):
		w.WriteHeader(http.StatusBadRequest)
	default:
		tally.accept(s.name, r.Header.Get("webhook-id"), r.UserAgent(), ids)
	}
}

// eventIDs reads the ids of the events in a delivery.
func eventIDs(body []byte) (ids []string) {
	var b struct {
		Data struct {
			Alerts []struct {
				ID string `json:"id"`
			} `json:"alerts"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &b) != nil {
		return nil
	}
	for _, a := range b.Data.Alerts {
		ids = append(ids, a.ID)
	}
	return ids
}
