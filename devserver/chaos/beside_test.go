package chaos_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/devserver/devtest"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// A worker dies between submitting an announcement and noting that it did. It is
// announced again, and converges: people are told once that the webhook fails and once
// that it is back.
func TestFailpointOfAnnouncements(t *testing.T) {
	t.Parallel()
	s := newSmall(t)
	s.arm(pointAnnounced, 1)
	s.serve.start()
	s.worker.start()
	api := devtest.NewClient(t, s.serve.url, s.key)
	troubled, told := devtest.NewReceiver(t), devtest.NewReceiver(t)
	troubled.Fail(http.StatusNotFound)
	api.MustCreate(map[string]any{"name": "on-call", "channel": "webhook", "frequency": "instant", "events": []string{"none"},
		"config": map[string]any{"url": told.URL("on-call")}})
	api.MustCreate(map[string]any{"name": "troubled", "channel": "webhook", "frequency": "instant", "fallback": "on-call",
		"config": map[string]any{"url": troubled.URL("troubled")}})
	ids := api.MustSend(devtest.Events("custom.test", 10)...)
	s.worker.MustDie()
	s.worker.env = s.env
	s.worker.start()

	told.MustCount(1)
	troubled.Recover()
	troubled.MustGet(ids...)
	devtest.Until(t, "people to be told of the failure and of the recovery", func() error {
		got := typesOf(told)
		if !slices.Contains(got, "webhook.failing") || !slices.Contains(got, "webhook.recovered") {
			return fmt.Errorf("they were told %v", got)
		}
		return nil
	})
	for name, events := range map[string]int64{"on-call": 2, "troubled": 10} {
		if b := api.MustSettle(name); b.Accepted != events || b.Delivered != events {
			t.Errorf("the ledger of %s says %+v, want %d accepted and delivered", name, b, events)
		}
	}
	if got := typesOf(told); len(got) != 2 {
		t.Errorf("people were told %v, want each once", got)
	}
	if err := s.recount(); err != nil {
		t.Errorf("counting again: %v", err)
	}
}

// typesOf lists the types of the events that a receiver got.
func typesOf(r *devtest.Receiver) (types []string) {
	for _, got := range r.All() {
		var b struct {
			Data struct {
				Alerts []struct {
					Type string `json:"type"`
				} `json:"alerts"`
			} `json:"data"`
		}
		if json.Unmarshal(got.Body, &b) == nil {
			for _, a := range b.Data.Alerts {
				types = append(types, a.Type)
			}
		}
	}
	return types
}

// A worker dies between a step of a replay and what it does about it. The replay goes on
// behind that step: every event is owed again once, and comes in a new delivery.
func TestFailpointOfReplays(t *testing.T) {
	t.Parallel()
	const events = 60
	s := newSmall(t)
	s.arm(pointReplayed, 2)
	s.serve.start()
	s.worker.start()
	api := devtest.NewClient(t, s.serve.url, s.key)
	receiver := devtest.NewReceiver(t)
	w := api.MustCreate(map[string]any{"name": "again", "channel": "webhook", "frequency": "instant", "config": map[string]any{"url": receiver.URL("again")}})
	ids := api.MustSend(devtest.Events("custom.test", events)...)
	receiver.MustGet(ids...)
	api.MustSettle("again")
	s.mustSleep(w)

	rep, err := s.store.CreateReplay(t.Context(), tocsin.Replay{
		ID: tocsin.NewID("rpl"), ReplaySelection: tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplayAll}, MaxRate: 20, Total: events, Author: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := workflows.NewConductor(s.temporal, nil).Replay(t.Context(), rep.ID); err != nil {
		t.Fatal(err)
	}
	s.worker.MustDie()
	s.worker.env = s.env
	s.worker.start()
	devtest.Until(t, "the replay to be done", func() error {
		if rep, err = s.store.Replay(t.Context(), rep.ID); err == nil && rep.State != tocsin.ReplayDone {
			err = fmt.Errorf("it is %+v", rep)
		}
		return err
	})
	if rep.Replayed != events {
		t.Errorf("the replay says %+v, want %d replayed", rep, events)
	}
	if b := api.MustSettle("again"); b.Accepted != 2*events || b.Delivered != 2*events {
		t.Errorf("the ledger says %+v, want %d accepted and delivered", b, 2*events)
	}
	under := deliveriesOf(receiver)
	for _, id := range ids {
		if len(under[id]) != 2 {
			t.Errorf("event %s came under %d webhook-ids, want 2: its own and the replay's", id, len(under[id]))
		}
	}
	if err := s.recount(); err != nil {
		t.Errorf("counting again: %v", err)
	}
}

// deliveriesOf lists the different webhook-ids that each event came under.
func deliveriesOf(r *devtest.Receiver) map[string][]string {
	under := map[string][]string{}
	for _, got := range r.All() {
		for _, id := range got.Events {
			if !slices.Contains(under[id], got.WebhookID) {
				under[id] = append(under[id], got.WebhookID)
			}
		}
	}
	return under
}
