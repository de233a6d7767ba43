package workflows

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
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

func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
