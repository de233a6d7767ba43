package activities_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
)

// byStore pauses and resumes as the configuration service would; it configures nothing.
type byStore struct{ tocsin.Store }

func (s byStore) Pause(ctx context.Context, id string) (tocsin.Webhook, error) {
	return s.SetState(ctx, id, tocsin.StatePaused, "by hand")
}

func (s byStore) Resume(ctx context.Context, id string) (tocsin.Webhook, error) {
	return s.SetState(ctx, id, tocsin.StateActive, "")
}

func (s byStore) Configure(context.Context, string, json.RawMessage) (tocsin.Webhook, error) {
	return tocsin.Webhook{}, tocsin.Invalid("batch_size", "5000 is not allowed")
}

// Updates sent by Temporal's own tools are in the audit log, refusals included.
func TestUpdatesByHandAreAudited(t *testing.T) {
	onBoth(t, func(t *testing.T, store tocsin.Store) {
		w, err := store.CreateWebhook(t.Context(), tocsin.Webhook{
			ID: "wh_1", Settings: tocsin.Settings{Name: "soc", Channel: "webhook"}, Config: json.RawMessage(`{}`), Sealed: []byte("sealed"),
		})
		if err != nil {
			t.Fatal(err)
		}
		a := &activities.Activities{Store: store, Control: byStore{store}}
		if _, err := a.Do(t.Context(), activities.ControlInput{WebhookID: w.ID, Update: "pause"}); err != nil {
			t.Fatalf("pausing: %v", err)
		}
		if _, err := a.Do(t.Context(), activities.ControlInput{WebhookID: w.ID, Update: "configure", Settings: json.RawMessage(`{"batch_size": 5000}`)}); err == nil {
			t.Error("nothing is wrong with 5000")
		}
		entries, _, err := store.AuditEntries(t.Context(), tocsin.AuditQuery{Page: tocsin.Page{Limit: 10}, Actor: "temporal", Object: w.ID})
		if err != nil || len(entries) != 2 {
			t.Fatalf("got %+v, %v, want two entries", entries, err)
		}
		if e := entries[1]; e.Action != "webhook.pause" || e.Outcome != tocsin.AuditDone || e.Name != "soc" || !strings.Contains(string(e.Before), `"active"`) || !strings.Contains(string(e.After), `"paused"`) {
			t.Errorf("got %+v", e)
		}
		if e := entries[0]; e.Action != "webhook.change" || e.Outcome != tocsin.AuditRefused || !strings.Contains(e.Detail, "batch_size") || e.After != nil {
			t.Errorf("got %+v", e)
		}
	})
}
