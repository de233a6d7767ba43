package workflows

import (
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/tocsin-alerts/tocsin/activities"
)

// Register adds workflows and activities under their names to a worker, or to a test
// environment.
func Register(r worker.Registry, a *activities.Activities) {
	r.RegisterWorkflowWithOptions(Webhook, workflow.RegisterOptions{Name: TypeWebhook})
	r.RegisterWorkflowWithOptions(Sweep, workflow.RegisterOptions{Name: TypeSweep})
	r.RegisterWorkflowWithOptions(Replay, workflow.RegisterOptions{Name: TypeReplay})
	r.RegisterWorkflowWithOptions(Incident, workflow.RegisterOptions{Name: TypeIncident})
	r.RegisterWorkflowWithOptions(Housekeeping, workflow.RegisterOptions{Name: TypeHousekeeping})
	r.RegisterActivityWithOptions(a.Deliver, activity.RegisterOptions{Name: "Deliver"})
	r.RegisterActivityWithOptions(a.SubmitEvents, activity.RegisterOptions{Name: "SubmitEvents"})
	r.RegisterActivityWithOptions(a.Do, activity.RegisterOptions{Name: "Do"})
	r.RegisterActivityWithOptions(a.Sweep, activity.RegisterOptions{Name: "Sweep"})
	r.RegisterActivityWithOptions(a.ReplayStep, activity.RegisterOptions{Name: "ReplayStep"})
	r.RegisterActivityWithOptions(a.IncidentStep, activity.RegisterOptions{Name: "IncidentStep"})
	r.RegisterActivityWithOptions(a.ChangeIncident, activity.RegisterOptions{Name: "ChangeIncident"})
	r.RegisterActivityWithOptions(a.Prune, activity.RegisterOptions{Name: "Prune"})
	r.RegisterActivityWithOptions(a.RotateKeys, activity.RegisterOptions{Name: "RotateKeys"})
}

// cached is how many workflows a process keeps in memory: one for each Deliver that it can
// run at once. Each takes 40 to 70 KB, most of it stacks. One that is not there is replayed from a history of at most a few thousand
// events, usually some dozens, in milliseconds; so ten thousand that wait for events, as the
// SDK would keep, are not worth their 400 MB.
func cached(a *activities.Activities) int { return a.MaxSlots() }

// NewWorker returns a worker on [TaskQueue] with everything registered. The size of its
// cache is the process's: the first worker's holds.
func NewWorker(c client.Client, a *activities.Activities) worker.Worker {
	worker.SetStickyWorkflowCacheSize(cached(a))
	w := worker.New(c, TaskQueue, worker.Options{
		// Longer than a Deliver needs to finish what it is sending: it stops claiming when
		// the worker stops.
		WorkerStopTimeout:                  40 * time.Second,
		MaxConcurrentActivityExecutionSize: a.MaxSlots(),
		// By default a heartbeat is held back for 80 % of the timeout, which leaves 2 s; and
		// cancellation is noticed by heartbeats alone.
		MaxHeartbeatThrottleInterval: activities.HeartbeatEvery,
		WorkflowTaskPollerBehavior:   pollers(),
		ActivityTaskPollerBehavior:   pollers(),
	})
	Register(w, a)
	return w
}

func pollers() worker.PollerBehavior {
	return worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{InitialNumberOfPollers: 2, MinimumNumberOfPollers: 1, MaximumNumberOfPollers: 16})
}
