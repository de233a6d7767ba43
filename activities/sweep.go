package activities

import (
	"context"
	"fmt"
)

// maxSwept bounds one sweep; what is left waits for the next, 30 s later.
const maxSwept = 1000

// SweepResult is what a sweep found.
type SweepResult struct {
	Rung int `json:"rung"`
}

// Sweep rings the webhooks that nobody looks after, although they owe something or were
// changed: a process was killed between its commit and its signal. It also folds the
// ledger's deltas.
func (a *Activities) Sweep(ctx context.Context) (SweepResult, error) {
	// First, so that a webhook that cannot be rung does not keep the ledger from folding.
	if err := a.Store.Fold(ctx); err != nil {
		return SweepResult{}, fmt.Errorf("folding the ledger: %w", err)
	}
	ids, err := a.Store.Overdue(ctx, a.grace(), maxSwept)
	if err != nil {
		return SweepResult{}, fmt.Errorf("looking for overdue webhooks: %w", err)
	}
	if len(ids) > 0 {
		a.logger().Info("ringing webhooks that nobody seems to look after", "count", len(ids), "webhooks", ids[:min(len(ids), 10)])
		if err := a.Conductor.Ring(ctx, ids...); err != nil {
			return SweepResult{}, fmt.Errorf("ringing %d overdue webhooks: %w", len(ids), err)
		}
	}
	return SweepResult{Rung: len(ids)}, nil
}
