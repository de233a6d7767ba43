package activities_test

import (
	"slices"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// However low the rate, the pause between two steps stays one that a timer can wait for.
func TestReplayWithATinyRateGoesOn(t *testing.T) {
	t.Parallel()
	c := newRerun(t, stores["sqlite"](t), nil)
	appendUnowed(t, c.store, "custom.test", "a", "b")
	for _, rate := range []float64{1e-4, 1e-12, 5e-324} {
		if got := c.step(c.create(tocsin.ReplayAll, rate)); got.Replayed != 1 || got.Wait != time.Hour {
			t.Errorf("at %g events a second got %+v, want one event and a wait of an hour", rate, got)
		}
		deliver(t, c.acts, c.hook)
	}
}

// owedToBoth stores an event that two webhooks are owed.
func owedToBoth(t *testing.T, s tocsin.Store, id string, a, b tocsin.Webhook) {
	t.Helper()
	revision, _, err := s.ListWebhooks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e := tocsin.Event{ID: id, Source: "/test", Type: "custom.test", Severity: tocsin.SeverityLow, Status: tocsin.Firing, Time: time.Now().UTC(), DedupKey: id, Raw: []byte(`{}`)}
	n := tocsin.NewEvent{Event: e, Fingerprint: []byte(id), Owed: []tocsin.Obligation{{WebhookID: a.ID}, {WebhookID: b.ID}}}
	if _, err := s.Append(t.Context(), revision, []tocsin.NewEvent{n}); err != nil {
		t.Fatalf("appending: %v", err)
	}
}

// A replay of what is missing is paused until what was delivered is pruned. The event is
// still there, because another webhook is owed it; it was not missing.
func TestReplayOfMissingEventsPassesOverWhatWasPruned(t *testing.T) {
	t.Parallel()
	const keep = 30 * 24 * time.Hour
	s, pass := clocked(t)
	pass(100 * 365 * 24 * time.Hour) // the store's clock decides, not ours
	c := newRerun(t, s, nil)
	held := newWebhook(t, s, func(w *tocsin.Webhook) { w.Name = "held" })
	if _, err := s.SetState(t.Context(), held.ID, tocsin.StatePaused, ""); err != nil {
		t.Fatal(err)
	}
	owedToBoth(t, s, "delivered", c.hook, held)
	deliver(t, c.acts, c.hook)
	pass(keep - 4*time.Minute)
	appendUnowed(t, s, "custom.test", "missing")
	pass(time.Second)
	id := c.create(tocsin.ReplayMissing, 0)
	set := func(to tocsin.ReplayState) {
		t.Helper()
		if _, err := s.SetReplayState(t.Context(), id, to, ""); err != nil {
			t.Fatal(err)
		}
	}
	set(tocsin.ReplayPaused)
	pass(5 * time.Minute)
	c.acts.Retention = tocsin.Retention{History: keep, Keys: keep}
	if got, err := c.acts.Prune(t.Context()); err != nil || got.Deliveries != 1 || got.Events != 0 {
		t.Fatalf("pruned %+v (%v), want the delivery and not its event", got, err)
	}
	set(tocsin.ReplayRunning)
	if got := c.step(id); got.Replayed != 1 || !got.Done {
		t.Errorf("got %+v, want one event replayed", got)
	}
	deliver(t, c.acts, c.hook)
	if ids := c.receiver.ids(); !slices.Equal(ids, []string{"delivered", "missing"}) {
		t.Errorf("sent %v, want each once", ids)
	}
}
