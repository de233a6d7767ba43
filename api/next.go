package api

import (
	"fmt"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// nextOf says whether a delivery will be tried again, when, and why.
func nextOf(d tocsin.Delivery, o owner) string {
	switch d.State {
	case tocsin.DeliveryDelivered:
		return "Delivered. It is not sent again unless somebody redelivers it."
	case tocsin.DeliveryDead:
		return "Dead" + because(d.Reason) + ". It is not sent again unless somebody redelivers it."
	case tocsin.DeliveryCancelled:
		return "Cancelled" + because(d.Reason) + ". It is not sent again unless somebody redelivers it."
	case tocsin.DeliverySplit:
		return "Split" + because(d.Reason) + ". Its events go on in deliveries of their own."
	}
	if held := held(o); held != "" {
		return held
	}
	until := ""
	if d.FirstAttempt != nil {
		until = fmt.Sprintf("; it is given up no earlier than %s", at(d.FirstAttempt.Add(o.webhook.RetryFor.Std())))
	}
	if o.webhook.State == tocsin.StateFailing {
		until += turns
	}
	switch {
	case d.State == tocsin.DeliverySending && !waits(o):
		return fmt.Sprintf("Attempt %d is under way.", d.Attempts)
	case waits(o):
		return fmt.Sprintf("Attempt %d follows at %s at the earliest, after %s in a row%s.", d.Attempts+1, at(*o.activity.DueAt), failures(o.activity.Failures), until)
	case d.Attempts > 0:
		return fmt.Sprintf("Attempt %d follows as soon as it is its turn%s.", d.Attempts+1, until)
	}
	return "It is sent as soon as it is its turn" + until + "."
}

// turns is why a delivery may not be the next one that is tried.
const turns = ". While its webhook is failing one delivery is tried at a time, the oldest first; when that has failed 5 times others take every other turn"

// nextOfPending says when an event that is in no delivery yet gets into one.
func nextOfPending(o owner) string {
	if held := held(o); held != "" {
		return held
	}
	switch next := o.activity.NextRun; {
	case waits(o):
		return fmt.Sprintf("It waits until %s at the earliest, after %s in a row.", at(*o.activity.DueAt), failures(o.activity.Failures))
	case o.webhook.Frequency == tocsin.Periodic && next != nil && next.After(o.now):
		return fmt.Sprintf("It goes out with the run at %s.", at(*next))
	case o.webhook.Frequency == tocsin.Periodic:
		return fmt.Sprintf("It goes out with the next run; runs are %s apart.", o.webhook.RunEvery)
	}
	return "It is sent as soon as it is its turn."
}

// settled says what a bucket that is not pending means for one event.
func settled(bucket, reason string) string {
	switch bucket {
	case "delivered":
		return "Delivered."
	case "dead":
		return "Dead" + because(reason) + "."
	case "suppressed":
		return "Not sent" + because(reason) + "."
	}
	return "It is under way."
}

// held says why a webhook sends nothing at all, "" when it does.
func held(o owner) string {
	switch o.webhook.State {
	case tocsin.StatePaused:
		return "Held while the webhook is paused; it goes out after a resume."
	case tocsin.StateDisabled:
		return "Held while the webhook is disabled" + because(o.webhook.StateReason) + "; it goes out after a resume."
	case tocsin.StateDeleted:
		return "The webhook is deleted; it will be suppressed."
	}
	return ""
}

// waits reports whether backoff or Retry-After is still running.
func waits(o owner) bool { return o.activity.DueAt != nil && o.activity.DueAt.After(o.now) }

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

func failures(n int) string {
	if n == 1 {
		return "1 failure"
	}
	return fmt.Sprintf("%d failures", n)
}

func at(t time.Time) string { return t.UTC().Format(time.RFC3339) }
