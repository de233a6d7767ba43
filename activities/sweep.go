package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

const (
	// maxSwept bounds the webhooks of one sweep; what is left waits for the next, 30 s later.
	maxSwept = 1000
	// rungTogether webhooks are rung, and then more, until ringFor has passed: a Temporal
	// that is slow to start workflows must not make a sweep last longer than its minute, or
	// it would begin again from the start.
	rungTogether = 100
	ringFor      = 20 * time.Second
	// replaysAtOnce is a page of the list of replays.
	replaysAtOnce = 1000
)

// SweepResult is what a sweep found. Stored in histories: fields are added, never renamed.
type SweepResult struct {
	Rung    int `json:"rung"`              // webhooks
	Mutes   int `json:"mutes,omitempty"`   // whose coming end was announced
	Replays int `json:"replays,omitempty"` // that were woken
	// Incidents whose workflows were woken.
	Incidents int `json:"incidents,omitempty"`
}

// Sweep looks for what nobody looks after: webhooks that owe something or were changed,
// replays that run, incidents that were changed or have a step due, mutes that end, and the ledger's deltas, which it folds. None
// fails with another. Where there is nothing it asks the store and nobody else.
func (a *Activities) Sweep(ctx context.Context) (out SweepResult, err error) {
	var errs [5]error
	errs[0] = wrap(a.Store.Fold(ctx), "folding the ledger")
	out.Rung, errs[1] = a.ringOverdue(ctx)
	out.Replays, errs[2] = a.wakeReplays(ctx)
	out.Mutes, errs[3] = a.announceMutes(ctx)
	out.Incidents, errs[4] = a.wakeIncidents(ctx)
	return out, errors.Join(errs[:]...)
}

// ringOverdue rings the webhooks that nobody looks after, although they owe something or
// were changed: a process was killed between its commit and its signal.
func (a *Activities) ringOverdue(ctx context.Context) (rung int, err error) {
	ids, err := a.Store.Overdue(ctx, a.grace(), maxSwept)
	if err != nil {
		return 0, fmt.Errorf("looking for overdue webhooks: %w", err)
	}
	if len(ids) == 0 {
		return 0, nil
	}
	a.logger().Info("ringing webhooks that nobody seems to look after", "count", len(ids), "webhooks", ids[:min(len(ids), 10)])
	began := time.Now()
	for part := range slices.Chunk(ids, rungTogether) {
		if err := a.Conductor.Ring(ctx, part...); err != nil {
			return rung, fmt.Errorf("ringing %d overdue webhooks: %w", len(part), err)
		}
		rung += len(part)
		if time.Since(began) > ringFor {
			break
		}
	}
	return rung, nil
}

// wakeReplays starts, or wakes, the workflows of the replays that run and have not moved
// for a while: a process was killed between its commit and its signal.
func (a *Activities) wakeReplays(ctx context.Context) (woken int, err error) {
	var errs []error
	for page := (tocsin.Page{Limit: replaysAtOnce}); ; {
		replays, next, err := a.Store.ListReplays(ctx, page)
		if err != nil {
			return woken, errors.Join(append(errs, fmt.Errorf("listing replays: %w", err))...)
		}
		for _, rep := range replays {
			if !a.unattended(rep) {
				continue
			}
			if err := a.Conductor.Replay(ctx, rep.ID); err != nil {
				errs = append(errs, err)
				continue
			}
			woken++
		}
		if page.Cursor = next; next == "" {
			return woken, errors.Join(errs...)
		}
	}
}

// unattended reports whether a replay should have made a step by now. One that was forgotten
// is woken, one that keeps its rate is left alone.
func (a *Activities) unattended(rep tocsin.Replay) bool {
	var pause time.Duration
	if rep.MaxRate > 0 {
		pause = replayWait(1, rep.MaxRate)
	}
	return rep.State == tocsin.ReplayRunning && time.Since(rep.UpdatedAt) >= a.grace()+pause
}

// wakeIncidents starts, or wakes, the workflows of incidents that nobody looks after: a
// process was killed, or Temporal away, between a commit and its signal.
func (a *Activities) wakeIncidents(ctx context.Context) (woken int, err error) {
	keys, err := a.Store.Unattended(ctx, a.grace(), maxSwept)
	if err != nil || len(keys) == 0 {
		return 0, wrap(err, "looking for incidents that nobody looks after")
	}
	a.logger().Info("waking incidents that nobody seems to look after", "count", len(keys), "incidents", keys[:min(len(keys), 10)])
	if err := a.Conductor.Incidents(ctx, keys...); err != nil {
		return 0, fmt.Errorf("waking %d incidents: %w", len(keys), err)
	}
	return len(keys), nil
}
