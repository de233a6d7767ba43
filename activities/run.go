package activities

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/time/rate"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/internal/failpoint"
)

// window is how many deliveries are planned ahead at most. Membership is frozen by
// planning, so the window is small: what arrives later joins later batches.
const window = 16

// maxOwed bounds the pending rows read for one window.
const maxOwed = 4000

// HeartbeatEvery keeps Deliver well inside its heartbeat timeout of 10 s: a heartbeat that
// is late by as much again is still in time. Each is an action that Temporal counts, and
// how soon a cancellation is noticed.
const HeartbeatEvery = 5 * time.Second

// run is one Deliver under way.
type run struct {
	a      *Activities
	store  tocsin.Store
	lease  tocsin.Lease
	sender tocsin.Sender
	limit  *rate.Limiter
	counts *counts
	began  time.Time
	until  time.Time    // when the budget ends
	shown  tocsin.State // see DeliverInput

	mu           sync.Mutex
	state        tocsin.State
	deliveries   int // accepted in this call
	events       int
	failures     int
	rejections   int // of single events, in a row
	failure      string
	lastDelivery *time.Time
	failingSince *time.Time
	announced    int // see tocsin.Activity

	announcer announcer
}

// stopError ends the deliveries of this call: the webhook must wait.
type stopError struct {
	why      string
	backoff  time.Duration
	disabled bool
	paced    bool // by max_per_second: no failure
}

func (e *stopError) Error() string { return e.why }

func newRun(a *Activities, lease tocsin.Lease, shown tocsin.State) *run {
	now := time.Now()
	return &run{
		a: a, store: a.Store, lease: lease,
		limit: a.limits.get(lease.Webhook), counts: a.Metrics.of(lease.Webhook),
		began: now, until: now.Add(a.budget()),
		shown: shown, state: lease.Webhook.State,
		failures: lease.Failures, rejections: lease.Rejections, lastDelivery: lease.LastDelivery,
		failingSince: lease.FailingSince, announced: lease.Announced,
	}
}

// heartbeat reports progress until the returned function is called.
func (r *run) heartbeat(ctx context.Context) (stop func()) {
	return heartbeat(ctx, func() any {
		r.mu.Lock()
		defer r.mu.Unlock()
		return Progress{Deliveries: r.deliveries, Events: r.events, Doing: r.label()}
	})
}

// heartbeat reports progress until the returned function is called. Without it, the
// server would take the activity for dead during a slow step.
func heartbeat(ctx context.Context, progress func() any) (stop func()) {
	if !activity.IsActivity(ctx) {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(HeartbeatEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				activity.RecordHeartbeat(ctx, progress())
			}
		}
	}()
	return sync.OnceFunc(func() { close(done) })
}

// stopping is done when the call should return soon: it was cancelled or the worker
// stops. What is being sent is still finished and recorded.
func (r *run) stopping(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if !activity.IsActivity(ctx) {
		return ctx, cancel
	}
	stop := activity.GetWorkerStopChannel(ctx)
	go func() {
		defer cancel()
		select {
		case <-stop:
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// deliver does the webhook's work by its frequency.
func (r *run) deliver(ctx context.Context) (DeliverResult, error) {
	soon, stop := r.stopping(ctx)
	defer stop()
	soon, cancel := context.WithDeadline(soon, r.until)
	defer cancel()
	if r.lease.Webhook.Frequency == tocsin.Periodic {
		return r.periodic(ctx, soon)
	}
	return r.instant(ctx, soon)
}

// instant delivers until nothing is owed, lingers, and rests.
func (r *run) instant(ctx, soon context.Context) (DeliverResult, error) {
	hint, unwatch := r.store.Hints(r.lease.Webhook.ID)
	defer unwatch()
	if r.lease.RunNow || r.lease.RunCutoff != nil {
		// RunNow has cleared the backoff; this says that the request is met. A cutoff is
		// left over from when the webhook was periodic.
		if _, err := r.beginRun(ctx); err != nil {
			return DeliverResult{}, err
		}
		if err := r.store.EndRun(ctx, r.lease.Fence); err != nil {
			return DeliverResult{}, fmt.Errorf("ending a run: %w", err)
		}
	}
	idleSince := time.Now()
	for soon.Err() == nil {
		worked, drained, err := r.step(ctx, soon, time.Time{})
		if err != nil {
			return r.end(ctx, err)
		}
		if worked {
			idleSince = time.Now()
		}
		// What was committed since it looked brings a hint, and Rest looks again.
		if !drained {
			continue
		}
		if r.lingered(soon, hint, idleSince) {
			continue
		}
		owed, err := r.store.Rest(context.WithoutCancel(ctx), r.lease.Fence)
		failpoint.Hit("deliver.rested")
		if err != nil {
			return DeliverResult{}, fmt.Errorf("resting: %w", err)
		}
		if !owed {
			return r.result(NextIdle, 0, "idle"), nil
		}
		idleSince = time.Now()
	}
	return r.end(ctx, nil)
}

// lingered waits a moment for the next commit and reports whether to look again. A webhook
// whose state is another one than Temporal's lists say is not lingered for: they would be
// wrong for as long as events come.
func (r *run) lingered(soon context.Context, hint <-chan struct{}, idleSince time.Time) bool {
	left := r.a.linger() - time.Since(idleSince)
	if left <= 0 || r.unshown() || r.a.busy.Load() > r.a.slots()*3/4 {
		return false
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-hint:
		return true
	case <-t.C:
	case <-soon.Done():
	}
	return false
}

// periodic delivers what was owed when the tick's run began, and waits for the next
// tick with what came later.
func (r *run) periodic(ctx, soon context.Context) (DeliverResult, error) {
	w := r.lease.Webhook
	running := r.lease.RunCutoff != nil || r.lease.RunNow
	if !running {
		// A tick is due when something owed before it is still pending.
		_, due, err := r.store.Owed(ctx, r.lease.Fence, tickBefore(w.Anchor, r.lease.Now, w.RunEvery.Std()), 1)
		if err != nil {
			return DeliverResult{}, fmt.Errorf("looking for what is due: %w", err)
		}
		running = len(due) > 0
	}
	// Open deliveries are left over from a run that failed: due_at was theirs, and they
	// do not wait for a tick. Without a run they alone are
	// worked through, by a cutoff that nothing was owed before.
	before := time.Unix(1, 0)
	if running {
		var err error
		if before, err = r.beginRun(ctx); err != nil {
			return DeliverResult{}, err
		}
	}
	for steps := 0; ; steps++ {
		if soon.Err() != nil {
			return r.end(ctx, nil)
		}
		worked, _, err := r.step(ctx, soon, before)
		if err != nil {
			return r.end(ctx, err)
		}
		if !worked {
			return r.endPeriodic(context.WithoutCancel(ctx), running, steps > 0)
		}
	}
}

// beginRun begins the run that is due or asked for, or goes on with the one in progress. One
// that is asked for while another is in progress takes that in: one request is for one run,
// and what it asks for would otherwise be asked for until that one ends.
func (r *run) beginRun(ctx context.Context) (before time.Time, err error) {
	if r.lease.RunNow && r.lease.RunCutoff != nil {
		if err := r.store.EndRun(ctx, r.lease.Fence); err != nil {
			return before, fmt.Errorf("ending a run for another: %w", err)
		}
		r.lease.RunCutoff = nil
	}
	if before, err = r.store.BeginRun(ctx, r.lease.Fence); err != nil {
		return before, fmt.Errorf("beginning a run: %w", err)
	}
	return before, nil
}

// endPeriodic ends the run and waits for the next tick if anything is owed by then.
func (r *run) endPeriodic(ctx context.Context, running, worked bool) (DeliverResult, error) {
	f, w := r.lease.Fence, r.lease.Webhook
	if running {
		if err := r.store.EndRun(ctx, f); err != nil {
			return DeliverResult{}, fmt.Errorf("ending the run: %w", err)
		}
	}
	owed, err := r.store.Rest(ctx, f)
	if err != nil {
		return DeliverResult{}, fmt.Errorf("resting: %w", err)
	}
	if !owed {
		return r.result(NextIdle, 0, "idle"), nil
	}
	// The tick after the moment that was judged by: the cutoff of the run, or the beginning
	// of this Deliver. A tick that passed since is due, and must not be skipped; it lies in
	// the past then, and the wait is over at once.
	judged := r.lease.Now
	if r.lease.RunCutoff != nil {
		judged = *r.lease.RunCutoff
	}
	next := tickAfter(w.Anchor, judged, w.RunEvery.Std())
	wait := next.Sub(r.lease.Now)
	if worked {
		wait -= time.Since(r.began)
	}
	wait = max(0, wait)
	if err := r.store.Park(ctx, f, next); err != nil {
		return DeliverResult{}, fmt.Errorf("waiting for the next tick: %w", err)
	}
	return r.result(NextWait, wait, "next run"), nil
}
