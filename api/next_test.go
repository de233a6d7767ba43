package api_test

import (
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
)

func TestNextSaysWhyItWillOrWillNotBeTriedAgain(t *testing.T) {
	now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	soon, past := now.Add(time.Minute), now.Add(-time.Minute)
	turns := "While its webhook is failing one delivery is tried at a time, the oldest first; when that has failed 5 times others take every other turn."
	active := tocsin.Webhook{State: tocsin.StateActive, Settings: tocsin.Settings{RetryFor: tocsin.Duration(72 * time.Hour), RunEvery: tocsin.Duration(15 * time.Minute)}}
	in := func(state tocsin.State, reason string) tocsin.Webhook {
		w := active
		w.State, w.StateReason = state, reason
		return w
	}
	ready := tocsin.Delivery{State: tocsin.DeliveryReady}
	tried := tocsin.Delivery{State: tocsin.DeliveryReady, Attempts: 2, FirstAttempt: &past}
	sending := tocsin.Delivery{State: tocsin.DeliverySending, Attempts: 3, FirstAttempt: &past}
	for _, test := range []struct {
		name     string
		delivery tocsin.Delivery
		webhook  tocsin.Webhook
		activity tocsin.Activity
		want     string
	}{
		{"fresh", ready, active, tocsin.Activity{}, "It is sent as soon as it is its turn."},
		{"backoff over", tried, active, tocsin.Activity{Failures: 2, DueAt: &past}, "Attempt 3 follows as soon as it is its turn; it is given up no earlier than 2026-11-23T08:59:00Z."},
		{"backoff", tried, in(tocsin.StateFailing, "503"), tocsin.Activity{Failures: 2, DueAt: &soon},
			"Attempt 3 follows at 2026-11-20T09:01:00Z at the earliest, after 2 failures in a row; it is given up no earlier than 2026-11-23T08:59:00Z. " + turns},
		{"fresh, while another is tried", ready, in(tocsin.StateFailing, "503"), tocsin.Activity{}, "It is sent as soon as it is its turn. " + turns},
		{"under way", sending, active, tocsin.Activity{}, "Attempt 3 is under way."},
		{"paused", tried, in(tocsin.StatePaused, ""), tocsin.Activity{DueAt: &soon}, "Held while the webhook is paused; it goes out after a resume."},
		{"disabled", tried, in(tocsin.StateDisabled, "410 Gone"), tocsin.Activity{}, "Held while the webhook is disabled (410 Gone); it goes out after a resume."},
		{"deleted", tried, in(tocsin.StateDeleted, ""), tocsin.Activity{}, "The webhook is deleted; it will be suppressed."},
		{"delivered", tocsin.Delivery{State: tocsin.DeliveryDelivered}, in(tocsin.StatePaused, ""), tocsin.Activity{}, "Delivered. It is not sent again unless somebody redelivers it."},
		{"dead", tocsin.Delivery{State: tocsin.DeliveryDead, Reason: "422"}, active, tocsin.Activity{}, "Dead (422). It is not sent again unless somebody redelivers it."},
		{"cancelled", tocsin.Delivery{State: tocsin.DeliveryCancelled, Reason: "discarded"}, active, tocsin.Activity{}, "Cancelled (discarded). It is not sent again unless somebody redelivers it."},
		{"split", tocsin.Delivery{State: tocsin.DeliverySplit}, active, tocsin.Activity{}, "Split. Its events go on in deliveries of their own."},
	} {
		if got := api.NextOf(test.delivery, test.webhook, test.activity, now); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestNextOfAPendingEvent(t *testing.T) {
	now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	soon := now.Add(time.Minute)
	webhook := func(f tocsin.Frequency, s tocsin.State) tocsin.Webhook {
		return tocsin.Webhook{State: s, Settings: tocsin.Settings{Frequency: f, RunEvery: tocsin.Duration(15 * time.Minute)}}
	}
	for _, test := range []struct {
		webhook  tocsin.Webhook
		activity tocsin.Activity
		want     string
	}{
		{webhook(tocsin.Instant, tocsin.StateActive), tocsin.Activity{}, "It is sent as soon as it is its turn."},
		{webhook(tocsin.Instant, tocsin.StateFailing), tocsin.Activity{Failures: 1, DueAt: &soon}, "It waits until 2026-11-20T09:01:00Z at the earliest, after 1 failure in a row."},
		{webhook(tocsin.Periodic, tocsin.StateActive), tocsin.Activity{NextRun: &soon}, "It goes out with the run at 2026-11-20T09:01:00Z."},
		{webhook(tocsin.Periodic, tocsin.StateActive), tocsin.Activity{}, "It goes out with the next run; runs are 15m apart."},
		{webhook(tocsin.Periodic, tocsin.StatePaused), tocsin.Activity{NextRun: &soon}, "Held while the webhook is paused; it goes out after a resume."},
	} {
		if got := api.NextOfPending(test.webhook, test.activity, now); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
