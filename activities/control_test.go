package activities_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"go.temporal.io/sdk/temporal"

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

// What is refused says of what it speaks: it is all that Temporal's tools show.
func TestUpdatesByHandThatAreRefused(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		w, gone := newWebhook(t, s, nil), newWebhook(t, s, func(w *tocsin.Webhook) { w.Name = "gone" })
		if _, err := s.SetState(t.Context(), gone.ID, tocsin.StateDeleted, ""); err != nil {
			t.Fatal(err)
		}
		a := &activities.Activities{Store: s, Control: byStore{s}}
		tests := []struct {
			in   activities.ControlInput
			want string
		}{
			{activities.ControlInput{WebhookID: w.ID, Update: "redeliver", Delivery: "dlv_nope"}, `there is no delivery "dlv_nope"`},
			{activities.ControlInput{WebhookID: gone.ID, Update: "pause"}, "the webhook gone is deleted"},
			{activities.ControlInput{WebhookID: w.ID, Update: "explode"}, `"explode" is not known`},
		}
		for _, tt := range tests {
			_, err := a.Do(t.Context(), tt.in)
			var refused *temporal.ApplicationError
			if !errors.As(err, &refused) || !refused.NonRetryable() || !strings.Contains(refused.Message(), tt.want) {
				t.Errorf("%s: got %v, want %q, not retried", tt.in.Update, err, tt.want)
			}
		}
	})
}
