package activities_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
)

// shown delivers for a workflow whose lists say so.
func shown(t *testing.T, a *activities.Activities, w tocsin.Webhook, state tocsin.State) activities.DeliverResult {
	t.Helper()
	out, err := a.Deliver(t.Context(), activities.DeliverInput{WebhookID: w.ID, Shown: state})
	if err != nil {
		t.Fatalf("delivering: %v", err)
	}
	return out
}

// What is owed is counted when Temporal's lists must change, and then only.
func TestOwedIsCountedAtTransitions(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		a := newActivities(s, newReceiver())
		w := newWebhook(t, s, nil)
		submit(t, s, w, "1")
		want := func(what string, out activities.DeliverResult, pending int64) {
			t.Helper()
			if out.Counted == nil || out.Counted.Pending != pending || out.Counted.At.IsZero() {
				t.Errorf("%s: counted %+v, want %d pending", what, out.Counted, pending)
			}
		}
		want("never shown", shown(t, a, w, ""), 0)
		if out := shown(t, a, w, tocsin.StateActive); out.Counted != nil {
			t.Errorf("without a transition it counted %+v", out.Counted)
		}
		if _, err := s.SetState(t.Context(), w.ID, tocsin.StatePaused, ""); err != nil {
			t.Fatal(err)
		}
		submit(t, s, w, "2", "3")
		want("paused", shown(t, a, w, tocsin.StateActive), 2)
		if out := shown(t, a, w, tocsin.StatePaused); out.Counted != nil {
			t.Errorf("still paused it counted %+v", out.Counted)
		}
	})
}

// The tenth failure is as good as the fifth for the lists.
func TestOwedIsCountedWhenAWebhookStartsToFail(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r := newReceiver()
		r.answer = func(tocsin.Notification) (tocsin.Receipt, error) { return tocsin.Receipt{}, errors.New("away") }
		a := newActivities(s, r)
		a.Backoff = func(int, time.Duration) time.Duration { return 0 }
		w := newWebhook(t, s, nil)
		submit(t, s, w, "1", "2", "3")
		for range 4 {
			if out := shown(t, a, w, tocsin.StateActive); out.Counted != nil {
				t.Fatalf("counted %+v while active", out.Counted)
			}
		}
		out := shown(t, a, w, tocsin.StateActive)
		if out.State != tocsin.StateFailing || out.Counted == nil || out.Counted.Pending+out.Counted.InFlight != 3 {
			t.Errorf("got %s, counted %+v, want failing with 3 owed", out.State, out.Counted)
		}
		if out = shown(t, a, w, tocsin.StateFailing); out.Counted != nil {
			t.Errorf("still failing it counted %+v", out.Counted)
		}
	})
}

// A webhook that the lists know in another state, or not at all, is not lingered for.
func TestLingerWaitsUntilTheStateIsShown(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r := newReceiver()
		a := newActivities(s, r)
		a.Linger, a.Budget = time.Hour, time.Hour
		w := newWebhook(t, s, nil)
		for _, state := range []tocsin.State{"", tocsin.StateFailing} {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			out, err := a.Deliver(ctx, activities.DeliverInput{WebhookID: w.ID, Shown: state})
			if err != nil || out.Next != activities.NextIdle || ctx.Err() != nil {
				t.Errorf("with %q shown it ends with %+v (%v, %v), want it to rest at once", state, out, err, ctx.Err())
			}
			cancel()
		}

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan activities.DeliverResult, 1)
		submit(t, s, w, "1")
		go func() {
			out, err := a.Deliver(ctx, activities.DeliverInput{WebhookID: w.ID, Shown: tocsin.StateActive})
			if err != nil {
				t.Errorf("delivering: %v", err)
			}
			ended <- out
		}()
		<-r.got
		if asleep := submit(t, s, w, "2"); len(asleep) > 0 {
			t.Errorf("%v is asleep while it is lingered for", asleep)
		}
		<-r.got
		cancel()
		if out := <-ended; out.Events != 2 {
			t.Errorf("got %+v, want both events in one call", out)
		}
	})
}

// A failure after a cancellation is no error: the server tries nothing again that was to be
// cancelled, so an error would stand in the history as the activity's end.
func TestFailureOfACancelledDeliverIsNoError(t *testing.T) {
	t.Parallel()
	s := stores["sqlite"](t)
	r := newReceiver()
	a := newActivities(s, r)
	w := newWebhook(t, s, nil)
	submit(t, s, w, "1")
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	try := func(cancelled bool) (activities.DeliverResult, error) {
		env.RegisterActivityWithOptions(func(ctx context.Context, in activities.DeliverInput) (activities.DeliverResult, error) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			r.answer = func(tocsin.Notification) (tocsin.Receipt, error) {
				if cancelled {
					cancel()
				}
				return tocsin.Receipt{}, errors.New("away")
			}
			return a.Deliver(ctx, in)
		}, activity.RegisterOptions{Name: "Deliver", DisableAlreadyRegisteredCheck: true})
		var out activities.DeliverResult
		v, err := env.ExecuteActivity("Deliver", activities.DeliverInput{WebhookID: w.ID, Shown: tocsin.StateActive})
		if err == nil {
			err = v.Get(&out)
		}
		return out, err
	}
	if out, err := try(true); err != nil || out.Next != activities.NextWait || out.Failures != 1 {
		t.Errorf("cancelled, it ends with %+v (%v), want to wait for the retry", out, err)
	}
	if err := s.RunNow(t.Context(), w.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := try(false); err == nil {
		t.Error("a failure was no error, so that the Web UI shows no attempt")
	}
}
