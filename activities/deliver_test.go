package activities_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
)

func TestInstantDeliversInBatchesAndGoesIdle(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r := newReceiver()
		a := newActivities(s, r)
		w := newWebhook(t, s, func(w *tocsin.Webhook) { w.BatchSize = 2 })
		submit(t, s, w, "1", "2", "3", "4", "5")
		out := deliver(t, a, w)
		if out.Next != activities.NextIdle || out.Deliveries != 3 || out.Events != 5 {
			t.Errorf("got %+v, want idle after 3 deliveries of 5 events", out)
		}
		if diff := cmp.Diff([]string{"1", "2", "3", "4", "5"}, r.ids()); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
		if b := balance(t, s, w); b.Accepted != 5 || b.Delivered != 5 {
			t.Errorf("ledger %+v, want 5 accepted and delivered", b)
		}
		if rung := submit(t, s, w, "6"); len(rung) != 1 {
			t.Errorf("after going idle, ringing woke %v, want the webhook", rung)
		}
	})
}

func TestFailureHoldsAndKeepsTheDeliveryID(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r := newReceiver()
		a := newActivities(s, r)
		w := newWebhook(t, s, nil)
		r.answer = func(tocsin.Notification) (tocsin.Receipt, error) {
			return tocsin.Receipt{}, tocsin.Unsure(errors.New("status 503"))
		}
		submit(t, s, w, "1", "2")
		out := deliver(t, a, w)
		if out.Next != activities.NextWait || out.Wait != time.Hour || out.Failures != 1 {
			t.Fatalf("got %+v, want to wait an hour", out)
		}
		// due_at outlives the activity: another Deliver does not try before it.
		if out = deliver(t, a, w); out.Next != activities.NextWait || out.Wait < 59*time.Minute || len(r.notifications()) != 1 {
			t.Fatalf("got %+v after %d attempts, want to wait on", out, len(r.notifications()))
		}
		if b := balance(t, s, w); b.InFlight != 2 {
			t.Errorf("ledger %+v, want 2 in flight", b)
		}
		r.answer = nil
		if err := s.RunNow(t.Context(), w.ID); err != nil {
			t.Fatalf("asking for a run: %v", err)
		}
		if out = deliver(t, a, w); out.Next != activities.NextIdle || out.Events != 2 || out.Failures != 0 {
			t.Fatalf("got %+v, want 2 events delivered", out)
		}
		sent := r.notifications()
		if sent[0].DeliveryID != sent[1].DeliveryID || sent[1].Attempt != 2 || !sent[1].Uncertain {
			t.Errorf("second attempt was %s/%d (uncertain %v), first %s/%d", sent[1].DeliveryID, sent[1].Attempt, sent[1].Uncertain, sent[0].DeliveryID, sent[0].Attempt)
		}
	})
}

// The process dies between the receiver's 200 and the record. The next Deliver sends the
// same delivery again, under the same id, and says that it may have been accepted.
func TestCrashBetweenSendAndRecord(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		w := newWebhook(t, s, nil)
		submit(t, s, w, "1")
		lease, err := s.Begin(t.Context(), w.ID)
		if err != nil {
			t.Fatal(err)
		}
		_, pending, err := s.Owed(t.Context(), lease.Fence, time.Time{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Advance(t.Context(), lease.Fence, tocsin.Step{Plan: []tocsin.NewDelivery{{ID: "dlv_crash", Events: pending}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Advance(t.Context(), lease.Fence, tocsin.Step{Claim: "dlv_crash"}); err != nil {
			t.Fatal(err)
		}

		r := newReceiver()
		deliver(t, newActivities(s, r), w)
		sent := r.notifications()
		if len(sent) != 1 || sent[0].DeliveryID != "dlv_crash" || sent[0].Attempt != 2 || !sent[0].Uncertain {
			t.Errorf("sent %+v, want dlv_crash again as an uncertain second attempt", sent)
		}
		balance(t, s, w)
	})
}

// A worker that was cut off comes back while another has taken the webhook over: it can
// neither plan, nor send, nor record a failure, but a success it saw is a success.
func TestCutOffWorkerIsFenced(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r := newReceiver()
		a := newActivities(s, r)
		w := newWebhook(t, s, func(w *tocsin.Webhook) { w.BatchSize = 1 })
		submit(t, s, w, "1", "2")
		// The first send is the moment the other worker begins.
		r.answer = func(tocsin.Notification) (tocsin.Receipt, error) {
			_, err := s.Begin(t.Context(), w.ID)
			return tocsin.Receipt{}, err
		}
		_, err := a.Deliver(t.Context(), activities.DeliverInput{WebhookID: w.ID})
		if !errors.Is(err, tocsin.ErrFenced) {
			t.Errorf("the cut-off Deliver returned %v, want ErrFenced", err)
		}
		if got := len(r.notifications()); got != 1 {
			t.Errorf("it sent %d times, want once", got)
		}
		if b := balance(t, s, w); b.Delivered != 1 {
			t.Errorf("ledger %+v, want the one it sent delivered", b)
		}
		r.answer = nil
		deliver(t, a, w)
		if diff := cmp.Diff([]string{"1", "2"}, r.ids()); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}

func TestNothingIsSentAfterPauseHasAnswered(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r := newReceiver()
		a := newActivities(s, r)
		w := newWebhook(t, s, func(w *tocsin.Webhook) { w.BatchSize = 1 })
		submit(t, s, w, "1", "2", "3")
		r.answer = func(n tocsin.Notification) (tocsin.Receipt, error) {
			_, err := s.SetState(t.Context(), w.ID, tocsin.StatePaused, "by a test")
			return tocsin.Receipt{}, err
		}
		if out := deliver(t, a, w); out.Next != activities.NextAgain {
			t.Errorf("got %+v, want to look again", out)
		}
		if out := deliver(t, a, w); out.Next != activities.NextParked || len(r.ids()) != 1 {
			t.Errorf("got %+v after sending %v, want parked after 1", out, r.ids())
		}
		if b := balance(t, s, w); b.Delivered != 1 || b.Pending+b.InFlight != 2 {
			t.Errorf("ledger %+v, want 2 held", b)
		}
		r.answer = nil
		if _, err := s.SetState(t.Context(), w.ID, tocsin.StateActive, ""); err != nil {
			t.Fatal(err)
		}
		deliver(t, a, w)
		if diff := cmp.Diff([]string{"1", "2", "3"}, r.ids()); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}

// One bad event in a batch: halving finds it, the others arrive in their order, and only
// it is dead.
func TestHalvingIsolatesTheBadEvent(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r := newReceiver()
		a := newActivities(s, r)
		w := newWebhook(t, s, nil)
		var taken []string
		r.answer = func(n tocsin.Notification) (tocsin.Receipt, error) {
			for _, e := range n.Events {
				if e.ID == "k/5" {
					return tocsin.Receipt{}, tocsin.Permanent(errors.New("status 422"))
				}
			}
			for _, e := range n.Events {
				taken = append(taken, e.ID)
			}
			return tocsin.Receipt{}, nil
		}
		var ids, want []string
		for i := range 13 {
			ids = append(ids, fmt.Sprintf("k/%d", i))
		}
		submit(t, s, w, ids...)
		submit(t, s, w, "k/13", "k/14") // the same dedup key: must not overtake the halves
		deliver(t, a, w)
		for i := range 15 {
			if i != 5 {
				want = append(want, fmt.Sprintf("k/%d", i))
			}
		}
		if diff := cmp.Diff(want, taken); diff != "" {
			t.Errorf("accepted (-want +got):\n%s", diff)
		}
		if b := balance(t, s, w); b.Dead != 1 || b.Delivered != 14 {
			t.Errorf("ledger %+v, want 1 dead and 14 delivered", b)
		}
	})
}

func TestRefusedCredentialsMakeItFailingAndProbe(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r := newReceiver()
		a := newActivities(s, r)
		a.Backoff = func(int, time.Duration) time.Duration { return time.Millisecond }
		w := newWebhook(t, s, func(w *tocsin.Webhook) { w.BatchSize = 1 })
		r.answer = func(tocsin.Notification) (tocsin.Receipt, error) {
			return tocsin.Receipt{}, tocsin.Refused(errors.New("status 401"))
		}
		submit(t, s, w, "1", "2", "3")
		for range 3 {
			if out := deliver(t, a, w); out.State != tocsin.StateFailing || out.Next != activities.NextWait {
				t.Fatalf("got %+v, want failing", out)
			}
		}
		if sent := r.notifications(); len(sent) != 3 || sent[0].DeliveryID != sent[2].DeliveryID {
			t.Errorf("sent %d times, want the head alone three times", len(sent))
		}
		r.answer = nil
		out := deliver(t, a, w)
		if out.State != tocsin.StateActive || out.Events != 3 {
			t.Errorf("got %+v, want the backlog drained at the first success", out)
		}
		if b := balance(t, s, w); b.Delivered != 3 || b.Dead != 0 {
			t.Errorf("ledger %+v, want nothing dead", b)
		}
	})
}

func TestGoneDisablesAndHolds(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r := newReceiver()
		a := newActivities(s, r)
		w := newWebhook(t, s, nil)
		r.answer = func(tocsin.Notification) (tocsin.Receipt, error) {
			return tocsin.Receipt{}, tocsin.Gone(errors.New("status 410"))
		}
		submit(t, s, w, "1")
		deliver(t, a, w)
		if out := deliver(t, a, w); out.Next != activities.NextParked || out.State != tocsin.StateDisabled {
			t.Errorf("got %+v, want parked and disabled", out)
		}
		got, err := s.Webhook(t.Context(), w.ID)
		if err != nil || got.State != tocsin.StateDisabled || got.StateReason == "" {
			t.Errorf("webhook is %s %q (%v), want disabled with a reason", got.State, got.StateReason, err)
		}
		if b := balance(t, s, w); b.InFlight != 1 {
			t.Errorf("ledger %+v, want the event held", b)
		}
	})
}

func TestDeletedWebhookSettlesWhatItOwed(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		a := newActivities(s, newReceiver())
		w := newWebhook(t, s, nil)
		submit(t, s, w, "1", "2")
		if _, err := s.SetState(t.Context(), w.ID, tocsin.StateDeleted, "by a test"); err != nil {
			t.Fatal(err)
		}
		if out := deliver(t, a, w); out.Next != activities.NextEnded {
			t.Errorf("got %+v, want ended", out)
		}
		if b := balance(t, s, w); b.Suppressed != 2 {
			t.Errorf("ledger %+v, want 2 suppressed", b)
		}
	})
}

// With max_concurrent, deliveries overlap, but never two with an incident in common.
func TestConcurrentDeliveriesKeepTheOrderOfAKey(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r := newReceiver()
		a := newActivities(s, r)
		w := newWebhook(t, s, func(w *tocsin.Webhook) { w.BatchSize, w.Concurrency = 1, 8 })
		var ids []string
		for i := range 60 {
			ids = append(ids, fmt.Sprintf("%c/%02d", 'a'+i%5, i))
		}
		submit(t, s, w, ids...)
		if out := deliver(t, a, w); out.Events != 60 {
			t.Fatalf("got %+v, want 60 events", out)
		}
		byKey := map[string][]string{}
		for _, id := range r.ids() {
			byKey[keyOf(id)] = append(byKey[keyOf(id)], id)
		}
		for key, got := range byKey {
			if !slices.IsSorted(got) {
				t.Errorf("key %s was sent as %v", key, got)
			}
		}
		balance(t, s, w)
	})
}

func TestPaceIsATimerWhenItIsLong(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r := newReceiver()
		a := newActivities(s, r)
		w := newWebhook(t, s, func(w *tocsin.Webhook) { w.BatchSize, w.MaxRate = 1, 0.001 })
		submit(t, s, w, "1", "2")
		out := deliver(t, a, w)
		if out.Next != activities.NextWait || out.Why != "max_per_second" || len(r.ids()) != 1 || out.Failures != 0 {
			t.Errorf("got %+v after sending %v, want to wait for the pace", out, r.ids())
		}
	})
}

// TestASenderThatPanics has failed, and the worker goes on.
func TestASenderThatPanics(t *testing.T) {
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		w := newWebhook(t, s, nil)
		submit(t, s, w, "a/1")
		r := newReceiver()
		r.answer = func(tocsin.Notification) (tocsin.Receipt, error) { panic("poison") }
		out := deliver(t, newActivities(s, r), w)
		if out.Failures != 1 || out.Failure != "internal" {
			t.Errorf("got %+v, want one failure of class internal", out)
		}
		r.answer = nil
	})
}
