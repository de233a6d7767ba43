package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/internal/failpoint"
)

// DeliverInput is what the workflow asks Deliver. Stored in histories: fields are
// added, never renamed.
type DeliverInput struct {
	WebhookID string `json:"webhook_id"`
	// Shown is the state that the workflow's search attributes say; "" when none was shown.
	Shown tocsin.State `json:"shown,omitempty"`
}

// Next says what the workflow does after a Deliver.
type Next string

// What follows.
const (
	NextAgain  Next = "again"  // there is more to do, or the configuration changed
	NextWait   Next = "wait"   // a timer, for Wait
	NextIdle   Next = "idle"   // nothing is owed; the doorbell will ring
	NextParked Next = "parked" // paused or disabled; an update will come
	NextEnded  Next = "ended"  // the webhook is deleted and owes nothing
)

// DeliverResult is what Deliver did. Stored in histories: fields are added, never
// renamed; it holds no event, secret or URL.
type DeliverResult struct {
	Name    string       `json:"name"`
	Channel string       `json:"channel"`
	State   tocsin.State `json:"state"`
	Version int64        `json:"version"`
	// Deliveries and Events count what was accepted in this call.
	Deliveries int `json:"deliveries"`
	Events     int `json:"events"`
	// Failures counts failed attempts in a row; Failure is the last one in
	// short: a status or a class of errors.
	Failures     int        `json:"failures,omitempty"`
	Failure      string     `json:"failure,omitempty"`
	LastDelivery *time.Time `json:"last_delivery,omitempty"`
	// Counted is what was owed when the state became another one than was shown; nil when
	// it is the same.
	Counted *Counted `json:"counted,omitempty"`

	Next Next `json:"next"`
	// Wait is how long from now, and Why what for, as a timer's summary.
	Wait time.Duration `json:"wait,omitempty"`
	Why  string        `json:"why,omitempty"`
}

// Progress is Deliver's heartbeat.
type Progress struct {
	Deliveries int    `json:"deliveries"`
	Events     int    `json:"events"`
	Doing      string `json:"doing"`
}

// FailureType is the Temporal application error type of a Deliver in which nothing was
// accepted.
const FailureType = "DeliveryFailed"

// dueSlack is how far ahead a deadline may be for Deliver to wait for it by itself: a
// retry that the server starts a little early is then still the same activity.
const dueSlack = 2 * time.Second

// Deliver takes one webhook over, delivers what is owed and due, and returns when there
// is nothing more, when the webhook must wait, or when its time is up. It may die on any
// line: what it had claimed stays sending, and the next Deliver sends it again under
// the same id.
//
// A retryable failure before anything was accepted in this call is returned as an error
// with NextRetryDelay, so that the Web UI shows the attempt and the failure. Everything
// that the next call must know is in the store before it returns.
func (a *Activities) Deliver(ctx context.Context, in DeliverInput) (DeliverResult, error) {
	a.busy.Add(1)
	defer a.busy.Add(-1)
	defer a.Metrics.began()()

	lease, err := a.Store.Begin(ctx, in.WebhookID)
	if errors.Is(err, tocsin.ErrNotFound) {
		return DeliverResult{Next: NextEnded, Why: "no such webhook"}, nil
	}
	if err != nil {
		return DeliverResult{}, fmt.Errorf("beginning: %w", err)
	}
	failpoint.Hit("deliver.begun")
	r := newRun(a, lease, in.Shown)
	stopHeartbeat := r.heartbeat(ctx)
	defer stopHeartbeat()
	r.catchUp(ctx)
	out, err := r.work(ctx)
	if err != nil {
		return r.untold(out), err
	}
	return r.untold(r.counted(ctx, out)), nil
}

// work does what the webhook's state and its deadlines allow.
func (r *run) work(ctx context.Context) (DeliverResult, error) {
	lease := r.lease
	switch {
	case lease.Webhook.State == tocsin.StateDeleted:
		return r.settle(ctx)
	case !lease.Webhook.State.Delivers():
		return r.result(NextParked, 0, string(lease.Webhook.State)), nil
	}
	if lease.RunNow {
		// A backoff came after the request, from an attempt that was under way then. BeginRun
		// forgets it.
		lease.DueAt, r.lease.DueAt = nil, nil
	}
	if r.backsOff() {
		return r.result(NextWait, lease.DueAt.Sub(lease.Now), "retry after a failure"), nil
	}
	if lease.DueAt != nil {
		wait := lease.DueAt.Sub(lease.Now)
		soon, stop := r.stopping(ctx)
		defer stop()
		if wait > 0 && !sleep(soon, wait) {
			return r.result(NextAgain, 0, "stopping"), nil
		}
	}
	var err error
	if r.sender, err = r.a.Sender(lease.Webhook); err != nil {
		return DeliverResult{}, fmt.Errorf("opening the configuration of webhook %s: %w", lease.Webhook.Name, err)
	}
	return r.deliver(ctx)
}

// backsOff reports whether this Deliver is too early for the next attempt.
func (r *run) backsOff() bool {
	return r.lease.DueAt != nil && r.lease.DueAt.Sub(r.lease.Now) > dueSlack
}

// settle suppresses what a deleted webhook still owes.
func (r *run) settle(ctx context.Context) (DeliverResult, error) {
	for {
		n, err := r.store.Discard(ctx, r.lease.Fence, time.Time{}, "webhook deleted", 1000)
		if err != nil {
			return DeliverResult{}, fmt.Errorf("discarding what a deleted webhook owed: %w", err)
		}
		if n == 0 {
			return r.result(NextEnded, 0, "deleted"), nil
		}
	}
}

// end turns how the deliveries ended into the activity's result.
func (r *run) end(ctx context.Context, err error) (DeliverResult, error) {
	var stop *stopError
	switch {
	case err == nil:
		return r.result(NextAgain, 0, "time is up"), nil
	case errors.Is(err, tocsin.ErrVersion):
		return r.result(NextAgain, 0, "configuration changed"), nil
	case errors.As(err, &stop) && stop.disabled:
		// Whether it counts, or the webhook was changed meanwhile, the next Begin tells.
		return r.result(NextAgain, 0, "disabled"), nil
	case errors.As(err, &stop) && stop.paced:
		if err := r.store.Park(ctx, r.lease.Fence, r.now().Add(stop.backoff)); err != nil {
			return DeliverResult{}, fmt.Errorf("waiting for max_per_second: %w", err)
		}
		return r.result(NextWait, stop.backoff, stop.why), nil
	case errors.As(err, &stop):
		// A changed state is returned, so that the workflow can show it in its list; and what
		// could not be announced does not wait for the retry.
		// One that was to be cancelled is not tried again by the server: its error would be the
		// activity's end, and stand in the history as a failure of the pipeline.
		if !r.announcer.stop() && r.deliveries == 0 && r.state == r.lease.Webhook.State && ctx.Err() == nil && activity.IsActivity(ctx) {
			return DeliverResult{}, temporal.NewApplicationErrorWithOptions(
				r.label()+": "+stop.Error(), FailureType,
				temporal.ApplicationErrorOptions{NextRetryDelay: max(stop.backoff, time.Millisecond), Category: temporal.ApplicationErrorCategoryBenign})
		}
		return r.result(NextWait, stop.backoff, "retry after "+stop.Error()), nil
	}
	return DeliverResult{}, err
}

func (r *run) result(next Next, wait time.Duration, why string) DeliverResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.lease.Webhook
	return DeliverResult{
		Name: w.Name, Channel: w.Channel, State: r.state, Version: w.Version,
		Deliveries: r.deliveries, Events: r.events,
		Failures: r.failures, Failure: r.failure, LastDelivery: r.lastDelivery,
		Next: next, Wait: wait, Why: why,
	}
}

// now is the store's clock as of Begin, carried on by this process's.
func (r *run) now() time.Time { return r.lease.Now.Add(time.Since(r.began)) }

// label names the webhook in the Web UI.
func (r *run) label() string { return r.lease.Webhook.Channel + " " + r.lease.Webhook.Name }

// sleep waits for d and reports whether it passed before ctx was done.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
