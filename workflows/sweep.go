package workflows

import (
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
		Summary:             "ring webhooks that nobody looks after",
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumAttempts: 3},
	})
	return out, workflow.ExecuteActivity(ctx, acts.Sweep).Get(ctx, &out)
}
