package activities_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
)

// A process is killed between the commit of a resumption and the update that tells the
// workflow. The webhook is awake, as it was left when it was paused, so that no event
// that comes later rings it either: the sweeper alone finds it.
func TestKillBetweenResumeAndItsUpdate(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r, bell := newReceiver(), &conductor{}
		a := newActivities(s, r)
		a.Conductor, a.Grace = bell, time.Microsecond
		w := newWebhook(t, s, nil)
		if _, err := s.SetState(t.Context(), w.ID, tocsin.StatePaused, ""); err != nil {
			t.Fatal(err)
		}
		submit(t, s, w, "held")
		if got := deliver(t, a, w); got.Next != activities.NextParked {
			t.Fatalf("got %+v, want parked", got)
		}
		if _, err := s.SetState(t.Context(), w.ID, tocsin.StateActive, ""); err != nil {
			t.Fatal(err)
		} // and here it dies
		if asleep := submit(t, s, w, "later"); len(asleep) > 0 {
			t.Fatalf("the doorbell would have rung %v: this shows nothing", asleep)
		}
		becomesOverdue(t, s)
		if got, err := a.Sweep(t.Context()); err != nil || got.Rung != 1 || !slices.Equal(bell.takeRung(), []string{w.ID}) {
			t.Errorf("the sweeper did %+v (%v), want it to ring the webhook", got, err)
		}
		deliver(t, a, w)
		if diff := cmp.Diff([]string{"held", "later"}, r.ids()); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}

// crossing is a batch that two workers have: one sent it and was cut off, the other took the
// webhook over and sends it again, and is told that it is rejected. at runs at that
// moment; record stores the success that the first worker saw.
func crossing(t *testing.T, s tocsin.Store, at func(record func())) (*receiver, *activities.Activities, tocsin.Webhook, func()) {
	t.Helper()
	r := newReceiver()
	a := newActivities(s, r)
	w := newWebhook(t, s, nil)
	submit(t, s, w, "1", "2")
	lease, err := s.Begin(t.Context(), w.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, pending, err := s.Owed(t.Context(), lease.Fence, time.Time{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Advance(t.Context(), lease.Fence, tocsin.Step{Plan: []tocsin.NewDelivery{{ID: "dlv_parent", Events: pending}}}); err != nil {
		t.Fatal(err)
	}
	c, err := s.Advance(t.Context(), lease.Fence, tocsin.Step{Claim: "dlv_parent"})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	success := tocsin.Outcome{DeliveryID: "dlv_parent", State: tocsin.DeliveryDelivered, Attempt: tocsin.Attempt{Number: c.Attempt, StartedAt: now, FinishedAt: &now, Outcome: "delivered"}}
	record := func() {
		if _, err := s.Advance(t.Context(), lease.Fence, tocsin.Step{Record: &success}); err != nil {
			t.Errorf("the first worker's success was refused: %v", err)
		}
	}
	r.answer = func(n tocsin.Notification) (tocsin.Receipt, error) {
		if n.DeliveryID != "dlv_parent" {
			return tocsin.Receipt{}, nil
		}
		if at != nil {
			at(record)
		}
		return tocsin.Receipt{}, tocsin.Permanent(errors.New("status 400"))
	}
	return r, a, w, record
}

// The parent of a split was accepted: the first worker records that while the second is
// told of a rejection. Nothing is split any more, and no event is sent again or counted twice.
func TestSplitOfAParentThatWasAccepted(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r, a, w, _ := crossing(t, s, func(record func()) { record() })
		deliver(t, a, w)
		if n := len(r.notifications()); n != 1 {
			t.Errorf("sent %d times, want once: the events had been accepted", n)
		}
		if b := balance(t, s, w); b.Accepted != 2 || b.Delivered != 2 {
			t.Errorf("ledger %+v, want both delivered", b)
		}
	})
}

// The other order: the split commits first. The first worker's success changes nothing then;
// the children are owed, and each event counts once.
func TestAcceptanceOfAParentThatWasSplit(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r, a, w, record := crossing(t, s, nil)
		deliver(t, a, w)
		record()
		if n := len(r.notifications()); n != 3 {
			t.Errorf("sent %d times, want the parent and its halves", n)
		}
		if b := balance(t, s, w); b.Accepted != 2 || b.Delivered != 2 {
			t.Errorf("ledger %+v, want both delivered, once", b)
		}
	})
}
