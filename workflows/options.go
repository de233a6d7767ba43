package workflows

import (
	"math/rand/v2"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/tocsin-alerts/tocsin/activities"
)

// Retry policy lives in this file alone.

const (
	// firstBackoff is the wait after a first failed attempt; it doubles with each
	// further one up to maxBackoff.
	firstBackoff = 2 * time.Second
	maxBackoff   = time.Hour
	// maxRetryAfter is the longest Retry-After taken seriously: a week. A longer one
	// counts as garbage, and our own backoff holds.
	maxRetryAfter = 7 * 24 * time.Hour
)

// Backoff is how long to wait before the next attempt after so many failures in a row
// (from 1): exponential with 20 % of jitter, so that webhooks that failed together do
// not come back together, and never less than the receiver asked for.
func Backoff(failures int, after time.Duration) time.Duration {
	d := maxBackoff
	if shift := max(failures, 1) - 1; shift < 12 {
		d = min(maxBackoff, firstBackoff<<shift)
	}
	d -= time.Duration(rand.Int64N(int64(d) / 5)) // #nosec G404 -- jitter, no secret
	if after > maxRetryAfter {
		after = 0
	}
	return max(d, after)
}

// deliverOptions: no ScheduleToClose, because nothing is given up for the time it took;
// a Deliver lasts about a minute at most, and one that is not heard of for 10 s is
// taken for dead and begun again under a new fence.
func deliverOptions(summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		StartToCloseTimeout: 5 * time.Minute,
		HeartbeatTimeout:    10 * time.Second,
		WaitForCancellation: true,
		Summary:             summary,
		// For errors of ours, such as a store that is away. A receiver's failure brings its
		// own NextRetryDelay.
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	}
}

// storeOptions are for short activities on the store alone.
func storeOptions(summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		StartToCloseTimeout: time.Minute,
		Summary:             summary,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	}
}

// replayOptions: a step lasts seconds, and one that is not heard of for 20 s is taken for
// dead; the store knows how far it came. What fails is tried again for as long as it takes.
func replayOptions(summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		StartToCloseTimeout: 2 * time.Minute,
		HeartbeatTimeout:    20 * time.Second,
		Summary:             summary,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	}
}

// incidentOptions: a step lasts moments, and one that is not heard of for 20 s is taken for
// dead. Whatever fails is tried again for as long as it takes, at least every 15 s: somebody
// waits to be paged.
func incidentOptions(summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		StartToCloseTimeout: time.Minute,
		HeartbeatTimeout:    20 * time.Second,
		Summary:             summary,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 15 * time.Second},
	}
}

// askedOptions are for what somebody asked for about an incident. They end after a minute:
// whoever asks comes again.
func askedOptions(summary string) workflow.ActivityOptions {
	o := storeOptions(summary)
	o.ScheduleToCloseTimeout, o.StartToCloseTimeout = time.Minute, 30*time.Second
	return o
}

// choreOptions are for one of the housekeeping's activities.
func choreOptions(summary string, longest time.Duration) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		StartToCloseTimeout: longest,
		HeartbeatTimeout:    min(longest, time.Minute),
		Summary:             summary,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumAttempts: 3},
	}
}

// acts names the activities by their methods; it is never called.
var acts *activities.Activities
