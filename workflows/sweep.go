package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/tocsin-alerts/tocsin/activities"
)

// Sweep rings and wakes what nobody looks after, and announces mutes that end. A sweep that
// fails is left to the next one, 30 s later, after three tries.
func Sweep(ctx workflow.Context) (activities.SweepResult, error) {
	var out activities.SweepResult
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: time.Minute,
		Summary:             "ring and wake what nobody looks after",
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumAttempts: 3},
	})
	workflow.SetCurrentDetails(ctx, "Looks for what nobody looks after.")
	err := workflow.ExecuteActivity(ctx, acts.Sweep).Get(ctx, &out)
	if err != nil {
		workflow.SetCurrentDetails(ctx, "This round did not end well; the next one does its work. What went wrong is below.")
		return out, err
	}
	workflow.SetCurrentDetails(ctx, swept(out))
	return out, nil
}

// swept is the card of a round that is over.
func swept(r activities.SweepResult) string {
	if r == (activities.SweepResult{}) {
		return "Nothing was left behind: nothing to do, as it should be."
	}
	return fmt.Sprintf("| | |\n|---|---|\n| webhooks rung | **%d** |\n| replays woken | **%d** |\n| incidents woken | **%d** |\n| ends of mutes said: | **%d** |\n", r.Rung, r.Replays, r.Incidents, r.Mutes)
}
