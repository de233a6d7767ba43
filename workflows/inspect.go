package workflows

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// Identity names a process in Temporal's lists of workers and in histories:
// "tocsin/v1.2.3 4711@host". Program and version have no spaces.
func Identity(program, version string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%s %d@%s", program, version, os.Getpid(), host)
}

// versionOf is the version in an Identity; "" when it is somebody else's.
func versionOf(identity string) string {
	program, _, ok := strings.Cut(identity, " ")
	if _, version, cut := strings.Cut(program, "/"); ok && cut && strings.HasPrefix(program, "tocsin") {
		return version
	}
	return ""
}

// ServerVersion is the version of the Temporal server; an error when it does not answer.
func ServerVersion(ctx context.Context, c client.Client) (string, error) {
	info, err := c.WorkflowService().GetSystemInfo(ctx, &workflowservice.GetSystemInfoRequest{})
	if err != nil {
		return "", fmt.Errorf("reaching Temporal: %w", err)
	}
	return info.GetServerVersion(), nil
}

// Retention is how long a namespace keeps workflows that are over. ok is false when there
// is no such namespace.
func Retention(ctx context.Context, c client.Client, namespace string) (kept time.Duration, ok bool, err error) {
	answer, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	var unknown *serviceerror.NamespaceNotFound
	if errors.As(err, &unknown) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("describing namespace %s: %w", namespace, err)
	}
	return answer.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(), true, nil
}

// LackingSearchAttributes lists those that are not registered in the namespace, as
// name=Type, and those that are of another type, with that.
func LackingSearchAttributes(ctx context.Context, c client.Client, namespace string) (missing, wrong []string, err error) {
	have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return nil, nil, fmt.Errorf("listing search attributes of namespace %s: %w", namespace, err)
	}
	for name, want := range SearchAttributes() {
		switch got, ok := have.GetCustomAttributes()[name]; {
		case !ok:
			missing = append(missing, name+"="+want.String())
		case got != want:
			wrong = append(wrong, fmt.Sprintf("%s=%s", name, got))
		}
	}
	slices.Sort(missing)
	slices.Sort(wrong)
	return missing, wrong, nil
}

// ScheduleState is how one of the Schedules stands.
type ScheduleState struct {
	Found, Paused bool
	Every         time.Duration
	Created       time.Time
	// LastRun is zero for never.
	LastRun time.Time
}

// Schedule looks at the Schedule with an id (SweepID, HousekeepingID).
func Schedule(ctx context.Context, c client.Client, id string) (ScheduleState, error) {
	d, err := c.ScheduleClient().GetHandle(ctx, id).Describe(ctx)
	var unknown *serviceerror.NotFound
	if errors.As(err, &unknown) {
		return ScheduleState{}, nil
	}
	if err != nil {
		return ScheduleState{}, fmt.Errorf("describing schedule %s: %w", id, err)
	}
	s := ScheduleState{Found: true, Created: d.Info.CreatedAt}
	if d.Schedule.State != nil {
		s.Paused = d.Schedule.State.Paused
	}
	if spec := d.Schedule.Spec; spec != nil && len(spec.Intervals) > 0 {
		s.Every = spec.Intervals[0].Every
	}
	for _, run := range d.Info.RecentActions {
		if run.ActualTime.After(s.LastRun) {
			s.LastRun = run.ActualTime
		}
	}
	return s, nil
}

// WorkerState is one process that takes tasks from [TaskQueue].
type WorkerState struct {
	Identity string
	// Version is the program's, "" when it does not say.
	Version string
	// Workflows and Activities say which tasks it takes.
	Workflows, Activities bool
	Seen                  time.Time
}

// Workers lists who has taken tasks from [TaskQueue] in the last minutes, by identity, and
// about how many tasks wait there.
func Workers(ctx context.Context, c client.Client, namespace string) (all []WorkerState, backlog int64, err error) {
	byName := map[string]*WorkerState{}
	for _, kind := range []enumspb.TaskQueueType{enumspb.TASK_QUEUE_TYPE_WORKFLOW, enumspb.TASK_QUEUE_TYPE_ACTIVITY} {
		answer, err := c.WorkflowService().DescribeTaskQueue(ctx, &workflowservice.DescribeTaskQueueRequest{
			Namespace: namespace, TaskQueue: &taskqueue.TaskQueue{Name: TaskQueue}, TaskQueueType: kind, ReportStats: true,
		})
		if err != nil {
			return nil, 0, fmt.Errorf("describing task queue %s: %w", TaskQueue, err)
		}
		backlog += answer.GetStats().GetApproximateBacklogCount()
		for _, p := range answer.GetPollers() {
			w := byName[p.GetIdentity()]
			if w == nil {
				w = &WorkerState{Identity: p.GetIdentity(), Version: versionOf(p.GetIdentity())}
				byName[w.Identity] = w
			}
			if id := p.GetDeploymentOptions().GetBuildId(); id != "" && w.Version == "" {
				w.Version = id
			}
			w.Workflows = w.Workflows || kind == enumspb.TASK_QUEUE_TYPE_WORKFLOW
			w.Activities = w.Activities || kind == enumspb.TASK_QUEUE_TYPE_ACTIVITY
			if at := p.GetLastAccessTime().AsTime(); at.After(w.Seen) {
				w.Seen = at
			}
		}
	}
	for _, w := range byName {
		all = append(all, *w)
	}
	slices.SortFunc(all, func(a, b WorkerState) int { return strings.Compare(a.Identity, b.Identity) })
	return all, backlog, nil
}
