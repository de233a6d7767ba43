package activities_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/ingest"
)

// rerun is a webhook to replay to.
type rerun struct {
	t         *testing.T
	store     tocsin.Store
	receiver  *receiver
	conductor *conductor
	acts      *activities.Activities
	hook      tocsin.Webhook
}

func newRerun(t *testing.T, s tocsin.Store, change func(*tocsin.Webhook)) *rerun {
	t.Helper()
	c := &rerun{t: t, store: s, receiver: newReceiver(), conductor: &conductor{}}
	c.hook = newWebhook(t, s, change)
	c.acts = newActivities(s, c.receiver)
	c.acts.Matcher, c.acts.Conductor = ingestInto(t, s), c.conductor
	return c
}

func (c *rerun) create(what tocsin.ReplayWhat, rate float64) string {
	c.t.Helper()
	r, err := c.store.CreateReplay(c.t.Context(), tocsin.Replay{
		ID: tocsin.NewID(tocsin.PrefixReplay), ReplaySelection: tocsin.ReplaySelection{WebhookID: c.hook.ID, What: what},
		MaxRate: rate, Total: -1, Author: "test",
	})
	if err != nil {
		c.t.Fatalf("creating replay: %v", err)
	}
	return r.ID
}

func (c *rerun) step(id string) activities.ReplayResult {
	c.t.Helper()
	out, err := c.acts.ReplayStep(c.t.Context(), activities.ReplayInput{ReplayID: id})
	if err != nil {
		c.t.Fatalf("replaying: %v", err)
	}
	return out
}

// kill submits events and lets each die alone.
func (c *rerun) kill(ids ...string) {
	c.t.Helper()
	c.receiver.answer = func(tocsin.Notification) (tocsin.Receipt, error) {
		return tocsin.Receipt{}, tocsin.Permanent(errors.New("status 422"))
	}
	submit(c.t, c.store, c.hook, ids...)
	deliver(c.t, c.acts, c.hook)
	c.receiver.answer = nil
	if b := balance(c.t, c.store, c.hook); b.Dead != int64(len(ids)) {
		c.t.Fatalf("ledger %+v, want %d dead", b, len(ids))
	}
	c.forget()
}

func (c *rerun) forget() {
	c.receiver.mu.Lock()
	defer c.receiver.mu.Unlock()
	c.receiver.sent = nil
}

// Dead deliveries are sent again under their ids, and the webhook is rung for them.
func TestReplayOfDeliveriesKeepsTheirIDs(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		c := newRerun(t, s, func(w *tocsin.Webhook) { w.BatchSize = 1 })
		c.kill("a", "b", "c")
		dead, _, err := s.Deliveries(t.Context(), tocsin.DeliveryQuery{WebhookID: c.hook.ID, State: tocsin.DeliveryDead, Page: tocsin.Page{Limit: 10}})
		if err != nil {
			t.Fatal(err)
		}
		id := c.create(tocsin.ReplayDead, 0)
		got := c.step(id)
		want := activities.ReplayResult{
			Webhook: c.hook.Name, WebhookID: c.hook.ID, What: tocsin.ReplayDead, State: tocsin.ReplayDone, Author: "test",
			Total: -1, Replayed: 3, Deliveries: 3, Done: true,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("result (-want +got):\n%s", diff)
		}
		if rung := c.conductor.takeRung(); !slices.Equal(rung, []string{c.hook.ID}) {
			t.Errorf("rang %v, want the webhook", rung)
		}
		deliver(t, c.acts, c.hook)
		var sent, were []string
		for _, n := range c.receiver.notifications() {
			sent = append(sent, n.DeliveryID)
		}
		for _, d := range dead {
			were = append(were, d.ID)
		}
		slices.Sort(sent)
		slices.Sort(were)
		if diff := cmp.Diff(were, sent); diff != "" {
			t.Errorf("ids of deliveries (-dead +sent again):\n%s", diff)
		}
		if b := balance(t, s, c.hook); b.Delivered != 3 || b.Accepted != 3 {
			t.Errorf("ledger %+v, want 3 delivered of 3", b)
		}
	})
}

// appendUnowed stores events that nobody is owed.
func appendUnowed(t *testing.T, s tocsin.Store, kind string, ids ...string) {
	t.Helper()
	revision, _, err := s.ListWebhooks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		raw := fmt.Appendf(nil, `{"id":%q,"source":"/test","type":%q}`, id, kind)
		e := tocsin.Event{ID: id, Source: "/test", Type: kind, Severity: tocsin.SeverityLow, Status: tocsin.Firing, Time: time.Now().UTC(), DedupKey: id, Raw: raw}
		if _, err := s.Append(t.Context(), revision, []tocsin.NewEvent{{Event: e, Fingerprint: []byte(id)}}); err != nil {
			t.Fatalf("appending: %v", err)
		}
	}
}

// Missing events that the webhook matches now are owed, the others are passed over.
func TestReplayOfMissingEventsMatches(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		c := newRerun(t, s, func(w *tocsin.Webhook) { w.Events = []tocsin.Selector{{Type: "custom.wanted"}} })
		appendUnowed(t, s, "custom.wanted", "a", "b")
		appendUnowed(t, s, "custom.other", "c")
		id := c.create(tocsin.ReplayMissing, 0)
		got := c.step(id)
		if got.State != tocsin.ReplayDone || got.Replayed != 2 || got.Skipped != 1 {
			t.Errorf("got %+v, want 2 replayed and 1 skipped", got)
		}
		deliver(t, c.acts, c.hook)
		if ids := c.receiver.ids(); !slices.Equal(ids, []string{"a", "b"}) {
			t.Errorf("delivered %v, want a and b", ids)
		}
		if again := c.step(c.create(tocsin.ReplayMissing, 0)); again.Replayed != 0 {
			t.Errorf("a second replay found %d events missing", again.Replayed)
		}
	})
}

// Each step is what the rate allows for 2 s, and says how long that lasts.
func TestReplayKeepsItsRate(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		c := newRerun(t, s, func(w *tocsin.Webhook) { w.BatchSize = 3 })
		submit(t, s, c.hook, "a", "b", "c", "d", "e", "f")
		deliver(t, c.acts, c.hook)
		var steps []string
		for id := c.create(tocsin.ReplayDelivered, 2); ; {
			got := c.step(id)
			steps = append(steps, fmt.Sprint(got.Replayed, got.Wait))
			if got.Done || len(steps) > 9 {
				break
			}
		}
		// 4 events are allowed at once; a delivery has three, and goes alone.
		if last := steps[len(steps)-1]; len(steps) < 2 || steps[0] != "3 1.5s" || steps[1] != "6 1.5s" || !strings.HasPrefix(last, "6 ") {
			t.Errorf("steps %v, want 3 events each 1.5 s", steps)
		}

		appendUnowed(t, s, "custom.test", "g", "h", "i")
		got := c.step(c.create(tocsin.ReplayMissing, 0.5))
		if got.Replayed != 1 || got.Wait != 2*time.Second {
			t.Errorf("got %+v, want one event in 2 s", got)
		}
	})
}

func TestReplayStopsWhenItIsNotRunning(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		c := newRerun(t, s, nil)
		c.kill("a")
		id := c.create(tocsin.ReplayDead, 0)
		look, err := c.acts.ReplayStep(t.Context(), activities.ReplayInput{ReplayID: id, Look: true})
		if err != nil || look.State != tocsin.ReplayRunning || look.Replayed != 0 {
			t.Errorf("looking did %+v (%v)", look, err)
		}
		set := func(to tocsin.ReplayState) {
			t.Helper()
			if _, err := s.SetReplayState(t.Context(), id, to, "by hand"); err != nil {
				t.Fatal(err)
			}
		}
		set(tocsin.ReplayPaused)
		if got := c.step(id); got.State != tocsin.ReplayPaused || got.Done || got.Replayed != 0 {
			t.Errorf("paused it did %+v", got)
		}
		set(tocsin.ReplayCancelled)
		if got := c.step(id); got.State != tocsin.ReplayCancelled || !got.Done || got.Replayed != 0 || got.Reason != "by hand" {
			t.Errorf("cancelled it did %+v", got)
		}
		if got := c.step("replay_none"); !got.Done || got.State != tocsin.ReplayFailed {
			t.Errorf("one that is not there: %+v", got)
		}
	})
}

// A replay fails, and says why, when its webhook is deleted or its filter not understood.
func TestReplayThatCannotGoOnFails(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		c := newRerun(t, s, func(w *tocsin.Webhook) { w.Filter = "this is no CEL" })
		appendUnowed(t, s, "custom.test", "a")
		if got := c.step(c.create(tocsin.ReplayMissing, 0)); got.State != tocsin.ReplayFailed || got.Reason == "" || !got.Done {
			t.Errorf("with a broken filter: %+v", got)
		}
		id := c.create(tocsin.ReplayDead, 0)
		if _, err := s.SetState(t.Context(), c.hook.ID, tocsin.StateDeleted, ""); err != nil {
			t.Fatal(err)
		}
		if got := c.step(id); got.State != tocsin.ReplayFailed || got.Reason == "" || !got.Done {
			t.Errorf("with a deleted webhook: %+v", got)
		}
	})
}

// quietRing is a store of which the doorbell fails once: as a process that dies between
// the replay's step and the ring.
type quietRing struct {
	tocsin.Store
	dead atomic.Bool
}

func (s *quietRing) Ring(ctx context.Context, ids []string) ([]string, error) {
	if s.dead.Load() {
		return nil, &tocsin.Error{Code: tocsin.CodeUnavailable, Message: "away"}
	}
	return s.Store.Ring(ctx, ids)
}

// A process dies after the last step and before its ring. The call that follows has
// nothing to do, and rings all the same.
func TestReplayRingsForWhatAnEarlierCallMoved(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		c := newRerun(t, s, nil)
		c.kill("a")
		broken := &quietRing{Store: s}
		c.acts.Store = broken
		broken.dead.Store(true)
		id := c.create(tocsin.ReplayDead, 0)
		if _, err := c.acts.ReplayStep(t.Context(), activities.ReplayInput{ReplayID: id}); err == nil {
			t.Fatal("the ring was lost, and nobody said so")
		}
		broken.dead.Store(false)
		if got := c.step(id); got.Replayed != 1 || !got.Done {
			t.Errorf("got %+v, want the one step that was made", got)
		}
		if rung := c.conductor.takeRung(); len(rung) != 1 {
			t.Errorf("rang %v, want the webhook", rung)
		}
		deliver(t, c.acts, c.hook)
		if ids := c.receiver.ids(); !slices.Equal(ids, []string{"a"}) {
			t.Errorf("delivered %v, want a once", ids)
		}
	})
}

// A periodic webhook that waits for its tick is awake, and nobody would signal it:
// deliveries sent again do not wait for the tick.
func TestReplayWakesAWebhookThatWaitsForItsTick(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		c := newRerun(t, s, func(w *tocsin.Webhook) { everyDay(w) })
		submit(t, s, c.hook, "a")
		if err := s.RunNow(t.Context(), c.hook.ID); err != nil {
			t.Fatal(err)
		}
		deliver(t, c.acts, c.hook)
		submit(t, s, c.hook, "b")
		if got := deliver(t, c.acts, c.hook); got.Next != activities.NextWait {
			t.Fatalf("got %+v, want it to wait for its tick", got)
		}
		c.forget()
		c.step(c.create(tocsin.ReplayDelivered, 0))
		if rung := c.conductor.takeRung(); len(rung) != 1 {
			t.Errorf("rang %v, want the webhook although it is awake", rung)
		}
		deliver(t, c.acts, c.hook)
		if ids := c.receiver.ids(); !slices.Equal(ids, []string{"a"}) {
			t.Errorf("delivered %v, want a and not b, which waits for the tick", ids)
		}
	})
}

// keyed is a channel whose events share a delivery only with those of their type.
type keyed struct{ tocsin.Channel }

func (keyed) Name() string                    { return "webhook" }
func (keyed) BatchKey(e *tocsin.Event) string { return e.Type }

// Suppressed events matched when they came, whatever the webhook selects now; they keep
// their batch key.
func TestReplayOfSuppressedEventsKeepsBatchKeys(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		c := newRerun(t, s, func(w *tocsin.Webhook) { w.Events = []tocsin.Selector{{Type: "custom.now"}} })
		in, err := ingest.New(ingest.Config{Store: s, Conductor: c.conductor, Channels: []tocsin.Channel{keyed{}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(in.Close)
		c.acts.Matcher = in
		revision, _, err := s.ListWebhooks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"custom.one", "custom.two"} {
			e := tocsin.Event{ID: kind, Source: "/test", Type: kind, Severity: tocsin.SeverityLow, Status: tocsin.Firing, Time: time.Now().UTC(), DedupKey: kind, Raw: []byte(`{}`)}
			n := tocsin.NewEvent{Event: e, Fingerprint: []byte(kind), Owed: []tocsin.Obligation{{WebhookID: c.hook.ID, BatchKey: kind, Suppressed: tocsin.MutedBy("mute_1")}}}
			if _, err := s.Append(t.Context(), revision, []tocsin.NewEvent{n}); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.step(c.create(tocsin.ReplaySuppressed, 0)); got.Replayed != 2 {
			t.Fatalf("got %+v, want both replayed", got)
		}
		deliver(t, c.acts, c.hook)
		if n := len(c.receiver.notifications()); n != 2 {
			t.Errorf("they went in %d deliveries, want one for each batch key", n)
		}
	})
}
