package webhooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

// rest puts a webhook to sleep, as its Deliver does when nothing is owed.
func (k *kit) rest(t *testing.T, id string) {
	t.Helper()
	lease, err := k.store.Begin(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if owed, err := k.store.Rest(t.Context(), lease.Fence); err != nil || owed {
		t.Fatalf("got %v, %v; want to rest", owed, err)
	}
}

func TestPauseAndResumeTellTheWorkflowAfterTheCommit(t *testing.T) {
	k := newKit(t)
	id := k.mustCreate(t, "soc", nil).Webhook.ID
	k.rest(t, id)
	k.conductor.take()

	w, err := k.Pause(t.Context(), "soc")
	if err != nil || w.State != tocsin.StatePaused || w.Version != 2 {
		t.Fatalf("got %+v, %v", w, err)
	}
	if diff := cmp.Diff([]string{"pause " + id + " 2"}, k.conductor.take()); diff != "" {
		t.Error(diff)
	}
	if again, err := k.Pause(t.Context(), id); err != nil || again.Version != 2 {
		t.Errorf("pausing again: got version %d, %v", again.Version, err)
	}
	k.conductor.take()

	w, err = k.Resume(t.Context(), "soc")
	if err != nil || w.State != tocsin.StateActive || w.Version != 3 {
		t.Fatalf("got %+v, %v", w, err)
	}
	// It slept, so the doorbell is rung as well, by exactly the one that woke it.
	if diff := cmp.Diff([]string{"resume " + id + " 3", "ring [" + id + "]"}, k.conductor.take()); diff != "" {
		t.Error(diff)
	}
}

func TestResumeDeliversOrDiscardsWhatWasHeld(t *testing.T) {
	for _, test := range []struct {
		onResume string
		want     tocsin.Balance
	}{
		{"deliver", tocsin.Balance{Accepted: 3, Pending: 3}},
		{"discard", tocsin.Balance{Accepted: 3, Suppressed: 3}},
	} {
		t.Run(test.onResume, func(t *testing.T) {
			k := newKit(t)
			id := k.mustCreate(t, "soc", map[string]any{"on_resume": test.onResume}).Webhook.ID
			if _, err := k.Pause(t.Context(), "soc"); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				k.owe(t, id, fmt.Sprint("event-", i))
			}
			if _, err := k.Resume(t.Context(), "soc"); err != nil {
				t.Fatal(err)
			}
			got := k.balance(t, id)
			got.WebhookID, got.Webhook = "", ""
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			// What comes after the resume is owed, whatever became of what was held.
			k.owe(t, id, "later")
			if after := k.balance(t, id); after.Pending != test.want.Pending+1 || after.Difference() != 0 {
				t.Errorf("got %+v", after)
			}
		})
	}
}

// interrupted is a store whose webhook a Deliver takes over in the midst of discarding.
type interrupted struct {
	tocsin.Store
	times int
}

func (i *interrupted) Discard(ctx context.Context, f tocsin.Fence, before time.Time, reason string, limit int) (int, error) {
	if i.times--; i.times >= 0 {
		if _, err := i.Begin(ctx, f.WebhookID); err != nil {
			return 0, err
		}
	}
	return i.Store.Discard(ctx, f, before, reason, limit)
}

func TestDiscardingGoesOnAfterADeliverCameBetween(t *testing.T) {
	for _, test := range []struct {
		times int
		code  tocsin.Code
		state tocsin.State
		want  int64
	}{{1, "", tocsin.StateActive, 1}, {100, tocsin.CodeConflict, tocsin.StatePaused, 0}} {
		k := newKit(t, func(c *webhooks.Config) { c.Store = &interrupted{c.Store, test.times} })
		id := k.mustCreate(t, "soc", map[string]any{"on_resume": "discard"}).Webhook.ID
		if _, err := k.Pause(t.Context(), "soc"); err != nil {
			t.Fatal(err)
		}
		k.owe(t, id, "one")
		if _, err := k.Resume(t.Context(), "soc"); tocsin.CodeOf(err) != test.code {
			t.Errorf("got %v, want code %q", err, test.code)
		}
		w, err := k.Get(t.Context(), id)
		if err != nil || w.State != test.state {
			t.Errorf("got %s, %v; want %s", w.State, err, test.state)
		}
		if got := k.balance(t, id); got.Suppressed != test.want || got.Difference() != 0 {
			t.Errorf("got %+v, want %d suppressed", got, test.want)
		}
	}
}

func TestResumingAnActiveWebhookDiscardsNothing(t *testing.T) {
	k := newKit(t)
	id := k.mustCreate(t, "soc", map[string]any{"on_resume": "discard"}).Webhook.ID
	k.owe(t, id, "one")
	if _, err := k.Resume(t.Context(), "soc"); err != nil {
		t.Fatal(err)
	}
	if got := k.balance(t, id); got.Pending != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestRunNow(t *testing.T) {
	k := newKit(t)
	id := k.mustCreate(t, "soc", nil).Webhook.ID
	k.rest(t, id)
	k.conductor.take()
	if _, err := k.RunNow(t.Context(), "soc"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ring [" + id + "]", "run-now " + id + " 1"}, k.conductor.take()); diff != "" {
		t.Error(diff)
	}
	lease, err := k.store.Begin(t.Context(), id)
	if err != nil || !lease.RunNow {
		t.Errorf("got %+v, %v; want the request stored", lease, err)
	}
	if _, err := k.Pause(t.Context(), "soc"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.RunNow(t.Context(), "soc"); tocsin.CodeOf(err) != tocsin.CodeConflict || !strings.Contains(err.Error(), "paused") {
		t.Errorf("got %v, want a conflict", err)
	}
}

func TestDelete(t *testing.T) {
	k := newKit(t)
	id := k.mustCreate(t, "soc", nil).Webhook.ID
	k.conductor.take()
	if err := k.Delete(t.Context(), "soc"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ring [" + id + "]"}, k.conductor.take()); diff != "" {
		t.Error(diff)
	}
	for _, call := range []func() error{
		func() error { return k.Delete(t.Context(), id) },
		func() error { _, err := k.Get(t.Context(), "soc"); return err },
		func() error { _, err := k.Get(t.Context(), id); return err },
		func() error { _, err := k.Pause(t.Context(), id); return err },
		func() error { _, err := k.Resume(t.Context(), id); return err },
		func() error { _, err := k.RunNow(t.Context(), id); return err },
		func() error { _, err := k.Test(t.Context(), id); return err },
		func() error { _, err := k.Preview(t.Context(), id); return err },
	} {
		if err := call(); tocsin.CodeOf(err) != tocsin.CodeNotFound || !errors.Is(err, tocsin.ErrNotFound) {
			t.Errorf("got %v, want not found", err)
		}
	}
}

func TestTestSendsAMarkedEventAndStoresNothing(t *testing.T) {
	k := newKit(t)
	id := k.mustCreate(t, "soc", map[string]any{"events": []any{"operational"}}).Webhook.ID
	receipt, err := k.Test(t.Context(), "soc")
	if err != nil {
		t.Fatal(err)
	}
	bodies, heads := k.receiver.got()
	if len(bodies) != 1 || len(receipt.Exchanges) != 1 || receipt.Exchanges[0].Status != http.StatusOK {
		t.Fatalf("got %d requests and %+v", len(bodies), receipt)
	}
	if heads[0].Get("webhook-id") == "" || heads[0].Get("webhook-signature") == "" {
		t.Errorf("not signed: %v", heads[0])
	}
	var envelope struct {
		Data struct{ Alerts []tocsin.Event }
	}
	if err := json.Unmarshal([]byte(bodies[0]), &envelope); err != nil {
		t.Fatal(err)
	}
	e := envelope.Data.Alerts[0]
	if got := strings.Count(bodies[0], "[TEST]"); got == 0 || strings.Contains(bodies[0], "[TEST] [TEST]") {
		t.Errorf("got %d marks in %s", got, bodies[0])
	}
	if e.Type != "traffic.stopped" && e.Type != "anomaly.detected" && e.Type != "performance.degraded" {
		t.Errorf("got a %s, want a type that the webhook selects", e.Type)
	}
	if got := k.balance(t, id); got.Accepted != 0 {
		t.Errorf("got %+v, want nothing stored", got)
	}

	k.receiver.mu.Lock()
	k.receiver.status = http.StatusForbidden
	k.receiver.mu.Unlock()
	receipt, err = k.Test(t.Context(), "soc")
	if tocsin.Classify(err).Fault != tocsin.FaultWebhook || receipt.Exchanges[0].Status != http.StatusForbidden {
		t.Errorf("got %+v, %v; want the refusal with its exchange", receipt, err)
	}
}

func TestPreviewShowsWhatWouldBeSent(t *testing.T) {
	k := newKit(t)
	created := k.mustCreate(t, "soc", map[string]any{"config": map[string]any{"url": k.receiver.URL, "headers": map[string]any{"Authorization": "Bearer hush"}}})
	id := created.Webhook.ID
	exchanges, err := k.Preview(t.Context(), "soc")
	if err != nil || len(exchanges) != 1 {
		t.Fatalf("got %v, %v", exchanges, err)
	}
	if all := fmt.Sprint(exchanges); strings.Contains(all, "hush") || strings.Contains(all, created.Generated["signing_secret"]) {
		t.Errorf("shows a secret: %v", all)
	}

	// With a delivery there, its own events are shown, with today's configuration.
	k.owe(t, id, "the-real-one")
	lease, err := k.store.Begin(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	_, pending, err := k.store.Owed(t.Context(), lease.Fence, lease.Now.AddDate(0, 0, 1), 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.store.Advance(t.Context(), lease.Fence, tocsin.Step{Plan: []tocsin.NewDelivery{{ID: tocsin.NewID(tocsin.PrefixDelivery), Events: pending}}}); err != nil {
		t.Fatal(err)
	}
	k.mustChange(t, "soc", `{"config": {"body_template": "{\"ids\": [{{range $i, $e := .Events}}{{if $i}},{{end}}{{toJSON $e.id}}{{end}}]}"}}`)
	exchanges, err = k.Preview(t.Context(), "soc")
	if err != nil || exchanges[0].RequestBody != `{"ids": ["the-real-one"]}` {
		t.Errorf("got %+v, %v", exchanges, err)
	}
	if bodies, _ := k.receiver.got(); len(bodies) != 0 {
		t.Errorf("sent %v", bodies)
	}
}

func TestSenderIsKeptUntilTheVersionChanges(t *testing.T) {
	opened := 0
	k := newKit(t, func(c *webhooks.Config) {
		for i, ch := range c.Channels {
			c.Channels[i] = counting{ch, &opened}
		}
	})
	w := k.mustCreate(t, "soc", nil).Webhook
	for range 3 {
		if _, err := k.Sender(w); err != nil {
			t.Fatal(err)
		}
	}
	if opened != 1 {
		t.Errorf("opened %d times, want once", opened)
	}
	changed := k.mustChange(t, "soc", `{"config": {"method": "PUT"}}`).Webhook
	if _, err := k.Sender(changed); err != nil || opened != 2 {
		t.Errorf("opened %d times, %v; want a second for the new version", opened, err)
	}
	// An old version is served and does not push the new one out.
	if _, err := k.Sender(w); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Sender(changed); err != nil || opened != 3 {
		t.Errorf("opened %d times, %v", opened, err)
	}
	// What is sealed for one webhook does not open as another's.
	stolen := w
	stolen.ID = "wh_other"
	if _, err := k.Sender(stolen); err == nil {
		t.Error("opened under another id")
	}
	stolen.Channel = "fax"
	if _, err := k.Sender(stolen); err == nil || !strings.Contains(err.Error(), "fax") {
		t.Errorf("got %v", err)
	}
}

type counting struct {
	tocsin.Channel
	opened *int
}

func (c counting) Open(config json.RawMessage) (tocsin.Sender, error) {
	*c.opened++
	return c.Channel.Open(config)
}
