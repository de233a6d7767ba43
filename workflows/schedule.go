package workflows

import (
	"context"
	"errors"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
)

// chore is a Schedule of Tocsin's: a workflow type that is started at an interval.
type chore struct {
	id, workflow string
	about        about
	summary      string
	longest      time.Duration // of one round, however often it is tried
}

var (
	sweeper     = chore{SweepID, TypeSweep, aboutSweep, "Tocsin sweeper", 5 * time.Minute}
	housekeeper = chore{HousekeepingID, TypeHousekeeping, aboutHousekeeping, "Tocsin housekeeping", 30 * time.Minute}
)

// EnsureSweeper makes the sweeper's Schedule, or brings it up to date.
func EnsureSweeper(ctx context.Context, c client.Client, every time.Duration) error {
	return sweeper.ensure(ctx, c, every)
}

// EnsureHousekeeping makes the Schedule of the housekeeping, or brings it up to date.
func EnsureHousekeeping(ctx context.Context, c client.Client, every time.Duration) error {
	return housekeeper.ensure(ctx, c, every)
}

func (ch chore) options(every time.Duration) client.ScheduleOptions {
	return client.ScheduleOptions{
		ID:   ch.id,
		Spec: client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: every}}},
		Action: &client.ScheduleWorkflowAction{
			ID: ch.id, Workflow: ch.workflow, TaskQueue: TaskQueue, WorkflowExecutionTimeout: ch.longest,
			Memo: ch.about.memos(), StaticSummary: ch.summary, StaticDetails: ch.about.details,
		},
		// A round that was missed is made up for by the next one.
		CatchupWindow: every, Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP,
		Note: ch.about.memo, Memo: ch.about.memos(),
	}
}

// ensure creates the Schedule. One that is there gets our interval and action where they
// differ; whether it is paused is left as it is.
func (ch chore) ensure(ctx context.Context, c client.Client, every time.Duration) error {
	o := ch.options(every)
	_, err := c.ScheduleClient().Create(ctx, o)
	if err == nil || !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return wrap(err, "creating schedule "+ch.id)
	}
	h := c.ScheduleClient().GetHandle(ctx, ch.id)
	err = h.Update(ctx, client.ScheduleUpdateOptions{DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
		now := in.Description.Schedule
		if ch.current(now, every) {
			return nil, temporal.ErrSkipScheduleUpdate
		}
		now.Spec, now.Action = &o.Spec, o.Action
		return &client.ScheduleUpdate{Schedule: &now}, nil
	}})
	return wrap(err, "updating schedule "+ch.id)
}

// current reports whether a Schedule has our interval, and starts what tells of itself.
func (ch chore) current(now client.Schedule, every time.Duration) bool {
	action, ok := now.Action.(*client.ScheduleWorkflowAction)
	if !ok || now.Spec == nil || len(now.Spec.Intervals) != 1 || now.Spec.Intervals[0].Every != every {
		return false
	}
	return action.StaticDetails == ch.about.details && memo(action.Memo) == ch.about.memo
}

// memo is what a memo of ours says; as described, its values are still encoded.
func memo(m map[string]any) (what string) {
	switch v := m["what"].(type) {
	case string:
		what = v
	case *commonpb.Payload:
		_ = converter.GetDefaultDataConverter().FromPayload(v, &what) // "" then, which differs
	}
	return what
}

// Scheduled reports whether both schedules are there. It reads and changes nothing.
func Scheduled(ctx context.Context, c client.Client) (bool, error) {
	for _, id := range []string{SweepID, HousekeepingID} {
		_, err := c.ScheduleClient().GetHandle(ctx, id).Describe(ctx)
		var none *serviceerror.NotFound
		if errors.As(err, &none) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("looking for schedule %s: %w", id, err)
		}
	}
	return true, nil
}
