package workflows

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"golang.org/x/sync/errgroup"

	"github.com/tocsin-alerts/tocsin"
)

// applyTimeout is how long a caller waits for a workflow to take an update in. Without
// a worker it is never taken in; the doorbell is rung instead, and is durable.
const applyTimeout = 2 * time.Second

// ringers bounds the signals sent at once by one Ring.
const ringers = 16

// NewEvents is the doorbell's content: advisory, for people who look at a history.
type NewEvents struct {
	Count       int    `json:"count,omitempty"`
	UpTo        int64  `json:"up_to,omitempty"`
	MaxSeverity string `json:"max_severity,omitempty"`
}

// Conductor wakes webhooks' workflows on Temporal.
type Conductor struct {
	client client.Client
	log    *slog.Logger
}

var _ tocsin.Conductor = (*Conductor)(nil)

// NewConductor returns a conductor; log may be nil.
func NewConductor(c client.Client, log *slog.Logger) *Conductor {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Conductor{client: c, log: log}
}

// Ring sends the doorbell signal to every webhook named, starting workflows that are
// missing. It tries them all and returns the first error.
func (c *Conductor) Ring(ctx context.Context, webhookIDs ...string) error {
	var g errgroup.Group
	g.SetLimit(ringers)
	for _, id := range webhookIDs {
		g.Go(func() error {
			_, err := c.client.SignalWithStartWorkflow(ctx, WebhookWorkflowID(id), SignalNewEvents, NewEvents{}, startOptions(id), TypeWebhook, WebhookInput{ID: id})
			if err != nil {
				return fmt.Errorf("ringing webhook %s: %w", id, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// Apply sends an update that says which version of the row to look at. When no worker
// takes it in, it rings.
func (c *Conductor) Apply(ctx context.Context, webhookID, update string, version int64) error {
	short, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	_, err := c.client.UpdateWithStartWorkflow(short, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: c.client.NewWithStartWorkflowOperation(startOptions(webhookID), TypeWebhook, WebhookInput{ID: webhookID}),
		UpdateOptions: client.UpdateWorkflowOptions{
			WorkflowID:   WebhookWorkflowID(webhookID),
			UpdateName:   update,
			Args:         []any{Control{Version: version}},
			WaitForStage: client.WorkflowUpdateStageAccepted,
		},
	})
	if err == nil {
		return nil
	}
	c.log.Warn("no worker took the update in; ringing", "webhook", webhookID, "update", update, "error", err)
	// The caller's patience may have ended together with ours.
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	return c.Ring(ctx, webhookID)
}

// Replay signals a replay's workflow, and starts it when it is missing. One for a replay
// that is over ends at once.
func (c *Conductor) Replay(ctx context.Context, replayID string) error {
	_, err := c.client.SignalWithStartWorkflow(ctx, ReplayWorkflowID(replayID), SignalReplayChanged, nil, replayStartOptions(replayID), TypeReplay, ReplayInput{ID: replayID})
	return wrap(err, "waking replay "+replayID)
}

// Incidents signals the workflows of incidents, and starts those that are missing.
// It tries them all and returns the first error.
func (c *Conductor) Incidents(ctx context.Context, keys ...string) error {
	var g errgroup.Group
	g.SetLimit(ringers)
	for _, key := range keys {
		g.Go(func() error {
			_, err := c.client.SignalWithStartWorkflow(ctx, IncidentWorkflowID(key), SignalIncidentChanged, nil, incidentStartOptions(key), TypeIncident, IncidentInput{Key: key})
			return wrap(err, "waking incident "+key)
		})
	}
	return g.Wait()
}

func incidentStartOptions(key string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:                       IncidentWorkflowID(key),
		TaskQueue:                TaskQueue,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		Memo:                     map[string]any{"what": "One Tocsin incident: the escalated events of one dedup key. How it stands is in Tocsin's store; query `status` or open Current Details."},
		StaticSummary:            "Tocsin incident",
	}
}

func replayStartOptions(replayID string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:                       ReplayWorkflowID(replayID),
		TaskQueue:                TaskQueue,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		Memo:                     map[string]any{"what": "One Tocsin replay. What it selects and how far it is is in Tocsin's store; query `status` or open Current Details."},
		StaticSummary:            "Tocsin replay " + replayID,
	}
}

func startOptions(webhookID string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:                       WebhookWorkflowID(webhookID),
		TaskQueue:                TaskQueue,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		Memo:                     map[string]any{"what": "One Tocsin webhook. What is owed and configured is in Tocsin's store; query `status` or open Current Details."},
		StaticSummary:            "Tocsin webhook " + webhookID,
	}
}

// EnsureSearchAttributes registers the search attributes that are missing in the
// namespace. Its errors say what to run by hand where the client may not.
func EnsureSearchAttributes(ctx context.Context, c client.Client, namespace string) error {
	have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return fmt.Errorf("listing search attributes of namespace %s: %w", namespace, err)
	}
	missing := map[string]enumspb.IndexedValueType{}
	for name, want := range SearchAttributes() {
		got, ok := have.GetCustomAttributes()[name]
		if ok && got != want {
			return fmt.Errorf("search attribute %s of namespace %s is of type %s, want %s: remove it, or use another namespace", name, namespace, got, want)
		}
		if !ok {
			missing[name] = want
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: missing})
	if err != nil {
		return fmt.Errorf("registering search attributes (by hand: temporal operator search-attribute create --namespace %s --name … --type …, for %v): %w", namespace, missing, err)
	}
	return nil
}

// EnsureSweeper makes the sweeper's Schedule, or sets its interval where it differs.
func EnsureSweeper(ctx context.Context, c client.Client, every time.Duration) error {
	return ensureSchedule(ctx, c, every, client.ScheduleOptions{
		ID:     SweepID,
		Action: &client.ScheduleWorkflowAction{ID: SweepID, Workflow: TypeSweep, TaskQueue: TaskQueue, WorkflowExecutionTimeout: 5 * time.Minute},
		Note:   "Rings webhooks that owe work and wakes replays and incidents that nobody looks after; announces mutes that end.",
	})
}

// EnsureHousekeeping makes the Schedule of the housekeeping, or sets its interval where it
// differs.
func EnsureHousekeeping(ctx context.Context, c client.Client, every time.Duration) error {
	return ensureSchedule(ctx, c, every, client.ScheduleOptions{
		ID:     HousekeepingID,
		Action: &client.ScheduleWorkflowAction{ID: HousekeepingID, Workflow: TypeHousekeeping, TaskQueue: TaskQueue, WorkflowExecutionTimeout: 30 * time.Minute},
		Note:   "Removes what is older than the retention, and rotates the signing key.",
	})
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

func ensureSchedule(ctx context.Context, c client.Client, every time.Duration, o client.ScheduleOptions) error {
	o.Spec = client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: every}}}
	// A round that was missed is made up for by the next one.
	o.CatchupWindow, o.Overlap = every, enumspb.SCHEDULE_OVERLAP_POLICY_SKIP
	_, err := c.ScheduleClient().Create(ctx, o)
	if err == nil || !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return wrap(err, "creating schedule "+o.ID)
	}
	h := c.ScheduleClient().GetHandle(ctx, o.ID)
	err = h.Update(ctx, client.ScheduleUpdateOptions{DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
		now := in.Description.Schedule
		if s := now.Spec; s != nil && len(s.Intervals) == 1 && s.Intervals[0].Every == every {
			return nil, temporal.ErrSkipScheduleUpdate
		}
		now.Spec = &o.Spec
		return &client.ScheduleUpdate{Schedule: &now}, nil
	}})
	return wrap(err, "updating schedule "+o.ID)
}

func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
