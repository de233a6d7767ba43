package storetest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// Epoch is the time of Event(0); each further event is a second later.
var Epoch = time.Date(2026, 3, 1, 9, 30, 0, 123456000, time.UTC)

// Event returns the n-th event: valid, different from every other, with every field
// set that ingest sets, seven incidents in turn, and bytes that do not survive being
// decoded and encoded again.
func Event(n int) tocsin.Event {
	// Spaces, escapes, the order of keys and the form of numbers are all on purpose.
	data := fmt.Sprintf("{ \"z\": %d,\t\"a\": \"\\u00fc <&> ü 雪\", \"big\": 12345678901234567890.10, \"apiCollectionId\":%d }", n, n%3)
	e := tocsin.Event{
		ID: fmt.Sprintf("evt-%06d", n), Source: "storetest", Type: "custom.storetest", Subject: fmt.Sprintf("agent-%d", n%5),
		Severity: tocsin.Severity(1 + n%5), Status: tocsin.Firing, Time: Epoch.Add(time.Duration(n) * time.Second),
		DedupKey: fmt.Sprintf("incident-%d", n%7), Title: fmt.Sprintf("Event %d", n), Summary: "A summary, übrig",
		Link: fmt.Sprintf("https://example.com/events/%d", n), Labels: map[string]string{"n": fmt.Sprint(n), "team": "sécurité"},
		Data: json.RawMessage(data),
	}
	if n%4 == 3 {
		e.Status = tocsin.Resolved
	}
	if n%2 == 0 {
		e.TraceParent = fmt.Sprintf("00-0af7651916cd43dd8448eb211c80319c-%016x-01", n+1)
	}
	e.Raw = json.RawMessage(fmt.Sprintf("{\"id\":%q ,  \"source\":\"storetest\",\"data\":%s,\n\"extra\": null}", e.ID, data))
	return e
}

// Owe returns e to be appended, with its fingerprint, owed to the webhooks.
func Owe(e tocsin.Event, webhookIDs ...string) tocsin.NewEvent {
	sum := sha256.Sum256(e.Raw)
	n := tocsin.NewEvent{Event: e, Fingerprint: sum[:]}
	for _, id := range webhookIDs {
		n.Owed = append(n.Owed, tocsin.Obligation{WebhookID: id})
	}
	return n
}

// Webhook returns a valid instant webhook on the channel "webhook" with a fresh id,
// ready for CreateWebhook.
func Webhook(name string) tocsin.Webhook {
	return tocsin.Webhook{
		ID: tocsin.NewID(tocsin.PrefixWebhook),
		Settings: tocsin.Settings{
			Name: name, Channel: "webhook", Frequency: tocsin.Instant, RunEvery: tocsin.Duration(15 * time.Minute),
			Events:   []tocsin.Selector{{Type: "custom.storetest"}, {Type: "security", Collections: []string{"7"}}},
			Anchor:   Epoch,
			RetryFor: tocsin.Duration(72 * time.Hour), DisableFor: tocsin.Duration(120 * time.Hour),
			BatchSize: 20, OnResume: "deliver", Concurrency: 1, Labels: map[string]string{"owner": "secops"},
		},
		Config: json.RawMessage(`{"url":"https://example.com/in","signing_secret":"[redacted]"}`),
		Sealed: []byte{0, 1, 2, 0xff, 0xfe},
	}
}

// MustCreate stores Webhook(name).
func MustCreate(t testing.TB, s tocsin.Webhooks, name string) tocsin.Webhook {
	t.Helper()
	w, err := s.CreateWebhook(t.Context(), Webhook(name))
	if err != nil {
		t.Fatalf("creating webhook %q: %v", name, err)
	}
	return w
}

// MustAppend appends the batch by the configuration of this moment and returns the
// answers.
func MustAppend(t testing.TB, s tocsin.Store, batch ...tocsin.NewEvent) []tocsin.Appended {
	t.Helper()
	revision, _, err := s.ListWebhooks(t.Context())
	if err != nil {
		t.Fatalf("listing webhooks: %v", err)
	}
	result, err := s.Append(t.Context(), revision, batch)
	if err != nil {
		t.Fatalf("appending %d events: %v", len(batch), err)
	}
	if len(result.Events) != len(batch) {
		t.Fatalf("appending %d events: got %d answers", len(batch), len(result.Events))
	}
	return result.Events
}

// MustOwe appends events from to from+n-1, owed to the webhooks, and fails when one
// is not accepted.
func MustOwe(t testing.TB, s tocsin.Store, from, n int, webhookIDs ...string) {
	t.Helper()
	batch := make([]tocsin.NewEvent, n)
	for i := range batch {
		batch[i] = Owe(Event(from+i), webhookIDs...)
	}
	for i, a := range MustAppend(t, s, batch...) {
		if a != tocsin.AppendedNew {
			t.Fatalf("appending event %d: got %q, want %q", from+i, a, tocsin.AppendedNew)
		}
	}
}
