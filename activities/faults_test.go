package activities_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
)

// fails answers an attempt whose outcome nobody knows.
func fails(tocsin.Notification) (tocsin.Receipt, error) {
	return tocsin.Receipt{}, tocsin.Unsure(errors.New("status 503"))
}

// everyDay makes a webhook wait long enough that nothing happens by its tick.
func everyDay(w *tocsin.Webhook) {
	w.Frequency, w.RunEvery = tocsin.Periodic, tocsin.Duration(24*time.Hour)
}

// becomesOverdue waits until the sweeper would ring the webhook.
func becomesOverdue(t *testing.T, s tocsin.Store) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		ids, err := s.Overdue(t.Context(), time.Microsecond, 10)
		if err != nil {
			t.Fatalf("looking for overdue webhooks: %v", err)
		}
		if len(ids) == 1 {
			return
		}
	}
	t.Error("the sweeper does not see it")
}

// One delivery whose receiver always fails, alone when the webhook became failing, must
// not keep what came later from being tried.
func TestPoisonHeadDoesNotBlockWhatCameLater(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r := newReceiver()
		a := newActivities(s, r)
		a.Backoff = func(int, time.Duration) time.Duration { return time.Millisecond }
		w := newWebhook(t, s, nil)
		r.answer = func(n tocsin.Notification) (tocsin.Receipt, error) {
			if n.Events[0].ID == "poison" {
				return fails(n)
			}
			return tocsin.Receipt{}, nil
		}
		submit(t, s, w, "poison")
		for range 5 {
			deliver(t, a, w)
		}
		submit(t, s, w, "good1", "good2")
		for range 3 {
			deliver(t, a, w)
		}
		if b := balance(t, s, w); b.Delivered != 2 || b.InFlight != 1 {
			t.Errorf("ledger %+v after %d attempts, want 2 delivered and the head held", b, len(r.notifications()))
		}
	})
}

// clocked is a store whose clock the test moves.
func clocked(t *testing.T) (s tocsin.Store, pass func(time.Duration)) {
	began := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	var ahead atomic.Int64
	now := func() time.Time { return began.Add(time.Duration(ahead.Load())) }
	db, err := sqlite.Open(t.Context(), t.TempDir()+"/tocsin.db", sqlite.Options{Now: now})
	return migrated(t, db, err), func(d time.Duration) { ahead.Add(int64(d)) }
}

// A delivery that is given up holds the others back as any failure does: its receiver is
// down, or has asked for patience.
func TestADeliveryThatIsGivenUpHoldsTheOthersBack(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r := newReceiver()
		a := newActivities(s, r)
		a.Backoff = func(_ int, after time.Duration) time.Duration { return after }
		w := newWebhook(t, s, func(w *tocsin.Webhook) { w.BatchSize, w.RetryFor = 1, 1 })
		r.answer = func(n tocsin.Notification) (tocsin.Receipt, error) {
			switch {
			case n.Events[0].ID != "a":
				return tocsin.Receipt{}, nil
			case len(r.notifications()) <= 5:
				return fails(n)
			}
			return tocsin.Receipt{}, tocsin.RetryAfter(errors.New("status 429"), time.Hour)
		}
		submit(t, s, w, "a", "b", "c", "d")
		var got activities.DeliverResult
		for range 10 {
			if got = deliver(t, a, w); got.Next == activities.NextWait && got.Wait > 0 {
				break
			}
		}
		if b := balance(t, s, w); b.Dead != 1 || b.Pending+b.InFlight == 0 {
			t.Fatalf("ledger %+v, want one given up and others held", b)
		}
		sent := len(r.notifications())
		if again := deliver(t, a, w); again.Next != activities.NextWait || again.Wait < 59*time.Minute || got.Wait != time.Hour {
			t.Errorf("it waits %s, then %+v, want an hour", got.Wait, again)
		}
		if n := len(r.notifications()); n != sent {
			t.Errorf("%d deliveries were sent after a Retry-After of an hour", n-sent)
		}
	})
}

func TestRetryForStopsWhilePaused(t *testing.T) {
	t.Parallel()
	s, pass := clocked(t)
	r := newReceiver()
	a := newActivities(s, r)
	a.Backoff = func(int, time.Duration) time.Duration { return time.Millisecond }
	w := newWebhook(t, s, func(w *tocsin.Webhook) { w.BatchSize = 1 })
	r.answer = func(n tocsin.Notification) (tocsin.Receipt, error) {
		if n.Events[0].ID == "1" {
			return fails(n)
		}
		return tocsin.Receipt{}, nil
	}
	submit(t, s, w, "1", "2")
	for range 7 { // five failures, then the other one takes a turn
		deliver(t, a, w)
		pass(time.Second)
	}
	if _, err := s.SetState(t.Context(), w.ID, tocsin.StatePaused, ""); err != nil {
		t.Fatal(err)
	}
	pass(96 * time.Hour)
	if _, err := s.SetState(t.Context(), w.ID, tocsin.StateActive, ""); err != nil {
		t.Fatal(err)
	}
	deliver(t, a, w)
	if b := balance(t, s, w); b.Dead != 0 || b.InFlight != 1 {
		t.Errorf("ledger %+v: it is dead for the time it was paused", b)
	}
	pass(80 * time.Hour)
	submit(t, s, w, "3")
	for range 7 { // until the other one takes its turn again
		deliver(t, a, w)
		pass(time.Second)
	}
	if b := balance(t, s, w); b.Dead != 1 {
		t.Errorf("ledger %+v, want the head dead after 80 h of failing while others were delivered", b)
	}
}

// Asked for again after days, a delivery has its full retry_for.
func TestRedeliveryHasItsTimeAgain(t *testing.T) {
	t.Parallel()
	s, pass := clocked(t)
	r := newReceiver()
	a := newActivities(s, r)
	w := newWebhook(t, s, nil)
	submit(t, s, w, "1")
	deliver(t, a, w)
	id := r.notifications()[0].DeliveryID
	pass(96 * time.Hour)
	submit(t, s, w, "2")
	deliver(t, a, w)
	if _, err := s.Redeliver(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	r.answer = fails
	deliver(t, a, w)
	if d, _, _, err := s.Delivery(t.Context(), id); err != nil || d.State != tocsin.DeliveryReady {
		t.Errorf("after one 503 it is %s %q (%v)", d.State, d.Reason, err)
	}
}

// The vendor took one event and asked for an hour for the others.
func TestPartialAcceptanceHeedsRetryAfter(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r := newReceiver()
		a := newActivities(s, r)
		a.Backoff = func(_ int, after time.Duration) time.Duration { return after }
		w := newWebhook(t, s, nil)
		r.answer = func(n tocsin.Notification) (tocsin.Receipt, error) {
			results := make([]tocsin.Result, len(n.Events))
			for i := 1; i < len(results); i++ {
				results[i].Err = tocsin.RetryAfter(errors.New("status 429"), time.Hour)
			}
			return tocsin.Receipt{Results: results}, nil
		}
		submit(t, s, w, "1", "2", "3")
		out := deliver(t, a, w)
		if out.Next != activities.NextWait || out.Wait != time.Hour || out.Events != 1 || len(r.notifications()) != 1 {
			t.Errorf("got %+v after %d requests, want an hour's wait after one", out, len(r.notifications()))
		}
		if out = deliver(t, a, w); out.Next != activities.NextWait || len(r.notifications()) != 1 {
			t.Errorf("got %+v: the store has forgotten the wait", out)
		}
		if b := balance(t, s, w); b.Delivered != 1 || b.InFlight != 2 {
			t.Errorf("ledger %+v, want 1 delivered and 2 held", b)
		}
	})
}

// A run that is asked for while one is under way, by a process that dies before it tells
// the workflow: the sweeper finds it, whatever tick comes next.
func TestRunNowDuringARunIsNotHidden(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r := newReceiver()
		a := newActivities(s, r)
		w := newWebhook(t, s, everyDay)
		submit(t, s, w, "1")
		if err := s.RunNow(t.Context(), w.ID); err != nil {
			t.Fatal(err)
		}
		r.answer = func(tocsin.Notification) (tocsin.Receipt, error) {
			submit(t, s, w, "2")
			return tocsin.Receipt{}, s.RunNow(t.Context(), w.ID)
		}
		if out := deliver(t, a, w); out.Events != 1 {
			t.Fatalf("got %+v, want one event delivered", out)
		}
		becomesOverdue(t, s)
		r.answer = nil
		if out := deliver(t, a, w); out.Events != 1 || out.Next != activities.NextIdle {
			t.Errorf("got %+v, want the second run", out)
		}
	})
}

// A webhook that was periodic keeps no tick that would hide it from the sweeper.
func TestAFormerTickHidesNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		a := newActivities(s, newReceiver())
		w := newWebhook(t, s, everyDay)
		submit(t, s, w, "1")
		if out := deliver(t, a, w); out.Next != activities.NextWait {
			t.Fatalf("got %+v, want to wait for the tick", out)
		}
		w.Frequency = tocsin.Instant
		w, err := s.UpdateWebhook(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		if out := deliver(t, a, w); out.Next != activities.NextIdle || out.Events != 1 {
			t.Fatalf("got %+v, want idle", out)
		}
		submit(t, s, w, "2") // committed and rung, and the process dies before its signal
		becomesOverdue(t, s)
	})
}

func TestAPacedWebhookIsNotOverdue(t *testing.T) {
	t.Parallel()
	s, pass := clocked(t)
	a := newActivities(s, newReceiver())
	w := newWebhook(t, s, func(w *tocsin.Webhook) { w.BatchSize, w.MaxRate = 1, 0.001 })
	submit(t, s, w, "1", "2")
	deliver(t, a, w)
	pass(5 * time.Minute)
	if ids, err := s.Overdue(t.Context(), time.Minute, 10); err != nil || len(ids) != 0 {
		t.Errorf("the sweeper rings %v (%v), which waits for its pace", ids, err)
	}
	pass(15 * time.Minute)
	if ids, err := s.Overdue(t.Context(), time.Minute, 10); err != nil || len(ids) != 1 {
		t.Errorf("the sweeper rings %v (%v), though its turn has come", ids, err)
	}
}

// A 410 that was the answer to an older configuration does not disable the new one.
func TestGoneUnderAnOlderConfiguration(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r := newReceiver()
		a := newActivities(s, r)
		w := newWebhook(t, s, nil)
		r.answer = func(tocsin.Notification) (tocsin.Receipt, error) {
			if _, err := s.UpdateWebhook(t.Context(), w); err != nil {
				t.Errorf("updating: %v", err)
			}
			return tocsin.Receipt{}, tocsin.Gone(errors.New("status 410"))
		}
		submit(t, s, w, "1")
		if out := deliver(t, a, w); out.Next != activities.NextAgain {
			t.Errorf("got %+v, want to look again", out)
		}
		r.answer = nil
		if out := deliver(t, a, w); out.State != tocsin.StateActive || out.Events != 1 {
			t.Errorf("got %+v, want it delivered under the new configuration", out)
		}
	})
}

// A receiver that refuses everything costs nine events, not all of them; then it is
// probed soon, and the rest arrives when it is mended.
func TestAReceiverThatRefusesEverythingIsHeld(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r := newReceiver()
		a := newActivities(s, r)
		a.Backoff = func(failures int, _ time.Duration) time.Duration {
			return time.Duration(failures) * time.Millisecond
		}
		w := newWebhook(t, s, func(w *tocsin.Webhook) { w.BatchSize = 4 })
		r.answer = func(tocsin.Notification) (tocsin.Receipt, error) {
			return tocsin.Receipt{}, tocsin.Permanent(errors.New("status 400"))
		}
		submit(t, s, w, "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16")
		out := deliver(t, a, w)
		if out.State != tocsin.StateFailing || out.Wait != time.Millisecond || out.Failures != 1 {
			t.Errorf("got %+v, want failing, with a probe soon", out)
		}
		deliver(t, a, w)
		if b := balance(t, s, w); b.Dead != 9 || b.Delivered != 0 {
			t.Errorf("ledger %+v, want 9 dead and the others held", b)
		}
		r.answer = nil
		deliver(t, a, w)
		if b := balance(t, s, w); b.Dead != 9 || b.Delivered != 7 {
			t.Errorf("ledger %+v, want the others delivered", b)
		}
	})
}

func TestRedeliverByHandIsForTheWebhooksOwn(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r := newReceiver()
		a := newActivities(s, r)
		w, other := newWebhook(t, s, nil), newWebhook(t, s, nil)
		submit(t, s, w, "1")
		deliver(t, a, w)
		id := r.notifications()[0].DeliveryID
		_, err := a.Do(t.Context(), activities.ControlInput{WebhookID: other.ID, Update: "redeliver", Delivery: id})
		if tocsin.CodeOf(err) != tocsin.CodeInvalid {
			t.Errorf("by another webhook's workflow: got %v, want a refusal", err)
		}
		if _, err := a.Do(t.Context(), activities.ControlInput{WebhookID: w.ID, Update: "redeliver", Delivery: id}); err != nil {
			t.Fatalf("redelivering: %v", err)
		}
		deliver(t, a, w)
		if sent := r.notifications(); len(sent) != 2 || sent[1].DeliveryID != id {
			t.Errorf("sent %d times, want twice under one id", len(sent))
		}
		if b := balance(t, s, w); b.Accepted != 1 || b.Delivered != 1 {
			t.Errorf("ledger %+v, want no bucket moved", b)
		}
	})
}
