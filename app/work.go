package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/tocsin-alerts/tocsin/activities"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// Waits between tries to reach Temporal.
const (
	firstWait = 500 * time.Millisecond
	maxWait   = 15 * time.Second
)

// startWorker begins to look for Temporal, and works as soon as it answers.
func (a *App) startWorker(p parts) error {
	rotate := func(ctx context.Context) error {
		_, err := p.webhooks.RotateSigningKey(ctx, false)
		return err
	}
	acts := &activities.Activities{
		Store: a.store, Conductor: p.conductor, Sender: p.webhooks.Sender, Submit: p.ingest, Decode: ingest.Decode,
		Control: p.control, Matcher: p.ingest, Escalate: p.ingest, Backoff: workflows.Backoff, Slots: a.cfg.Slots, Linger: a.cfg.Linger, PublicURL: a.cfg.PublicURL, Logger: a.log,
		Retention:        a.cfg.Retention,
		RotateSigningKey: rotate,
		Traces:           a.tracerProvider(),
	}
	var err error
	if acts.Metrics, err = activities.NewMetrics(a.registry, acts.MaxSlots()); err != nil {
		return err
	}
	a.background("worker", func(ctx context.Context) {
		// The first key, so that all deliveries of a new installation are signed alike.
		a.insist(ctx, "looking for a signing key", func() error { return rotate(ctx) })
		a.insist(ctx, "working for Temporal", func() error { return a.work(ctx, acts) })
	})
	return nil
}

// work runs a worker until ctx ends: nil then. It is new each time, since a worker that
// ended does not start again.
func (a *App) work(ctx context.Context, acts *activities.Activities) error {
	if _, err := a.temporal.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return fmt.Errorf("reaching Temporal: %w", err)
	}
	if err := a.ensureAttributes(ctx); err != nil {
		return err
	}
	stop := make(chan any)
	defer context.AfterFunc(ctx, func() { close(stop) })()
	a.log.Info("working", "namespace", a.namespace, "task_queue", workflows.TaskQueue)
	a.working.Store(true)
	defer a.working.Store(false)
	return workflows.NewWorker(a.temporal, acts).Run(stop)
}

// ensureAttributes registers the search attributes that are missing, where it may.
func (a *App) ensureAttributes(ctx context.Context) error {
	err := workflows.EnsureSearchAttributes(ctx, a.temporal, a.namespace)
	if errors.Is(err, workflows.ErrAttributesUnknown) {
		// Where that is the administrators' to do, they may well have done it.
		a.log.Warn("going on without knowing the search attributes", "error", err)
		return nil
	}
	return err
}

// startSchedules sees to the schedules: of the sweeper, which rings webhooks nobody looks
// after, and of the housekeeping. It looks again as often as the sweeper does: a Temporal
// that has lost its database has to be set up anew, or nobody would ever start the
// workflows of webhooks that count as awake.
func (a *App) startSchedules() {
	a.background("schedules", func(ctx context.Context) {
		a.schedule(ctx)
		for tick := time.NewTicker(a.cfg.SweepEvery); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
			// Where Temporal does not answer there is nothing to be seen.
			if there, err := workflows.Scheduled(ctx, a.temporal); err != nil || there {
				continue
			}
			a.log.Warn("Temporal knows no schedules of ours: setting it up again")
			if a.cfg.Roles&Work != 0 {
				a.insist(ctx, "registering search attributes", func() error { return a.ensureAttributes(ctx) })
			}
			a.schedule(ctx)
		}
	})
}

func (a *App) schedule(ctx context.Context) {
	a.insist(ctx, "scheduling the sweeper", func() error {
		return workflows.EnsureSweeper(ctx, a.temporal, a.cfg.SweepEvery)
	})
	a.insist(ctx, "scheduling the housekeeping", func() error {
		return workflows.EnsureHousekeeping(ctx, a.temporal, a.cfg.HousekeepEvery)
	})
}

// insist tries until do returns nil or ctx ends, at growing intervals. The first failure
// is worth a warning, the same one again is not.
func (a *App) insist(ctx context.Context, doing string, do func() error) {
	said := ""
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		began := time.Now()
		err := do()
		if err == nil || ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			wait, said = firstWait, "" // it had worked for a while
		}
		if err.Error() != said {
			said = err.Error()
			a.log.Warn(doing+": will try again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}
