package activities

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/internal/failpoint"
)

const (
	// replayAtOnce is how many candidates one step looks at, at most.
	replayAtOnce = 500
	// replayBurst is how much of max_per_second one step may use up.
	replayBurst = 2 * time.Second
	// replayFor is how long one activity goes on with steps that need no pause.
	replayFor = 5 * time.Second
	// maxReplayWait is the longest pause between two steps, however low the rate.
	maxReplayWait = time.Hour
	// pruneMargin is how long before it may be pruned an event is no candidate for "missing"
	// any more: a step takes its time, and this process's clock may be behind the store's.
	pruneMargin = 5 * time.Minute
)

// ReplayInput is what the workflow asks ReplayStep. Stored in histories: fields are
// added, never renamed.
type ReplayInput struct {
	ReplayID string `json:"replay_id"`
	// Look only reads the replay: the rate allows no step yet.
	Look bool `json:"look,omitempty"`
}

// ReplayResult is how a replay stands. Stored in histories: fields are added, never
// renamed.
type ReplayResult struct {
	Webhook   string             `json:"webhook,omitempty"` // its name
	WebhookID string             `json:"webhook_id,omitempty"`
	What      tocsin.ReplayWhat  `json:"what,omitempty"`
	State     tocsin.ReplayState `json:"state"`
	Reason    string             `json:"reason,omitempty"`
	Author    string             `json:"author,omitempty"`
	MaxRate   float64            `json:"max_per_second,omitempty"`

	Total      int64 `json:"total"`
	Replayed   int64 `json:"replayed"`
	Deliveries int64 `json:"deliveries"`
	Skipped    int64 `json:"skipped"`

	// Wait is how long its rate asks to wait before the next step.
	Wait time.Duration `json:"wait,omitempty"`
	// Done says that nothing is left to do for its workflow.
	Done bool `json:"done,omitempty"`
}

// ReplayStep moves a replay on: by one step that its rate allows, or without a rate by as
// many as fit into a few seconds. All progress is in the store. A call that is repeated goes on
// from there; what it had moved already is rung for again.
func (a *Activities) ReplayStep(ctx context.Context, in ReplayInput) (ReplayResult, error) {
	rep, err := a.Store.Replay(ctx, in.ReplayID)
	if errors.Is(err, tocsin.ErrNotFound) {
		return ReplayResult{State: tocsin.ReplayFailed, Reason: "no such replay", Done: true}, nil
	}
	if err != nil {
		return ReplayResult{}, fmt.Errorf("reading the replay: %w", err)
	}
	w, err := a.Store.Webhook(ctx, rep.WebhookID)
	if err != nil {
		return ReplayResult{}, fmt.Errorf("reading the webhook of a replay: %w", err)
	}
	defer heartbeat(ctx, func() any { return "replay to " + w.Name })()
	var wait time.Duration
	for until := time.Now().Add(replayFor); rep.State == tocsin.ReplayRunning && !in.Look && wait == 0 && time.Now().Before(until) && ctx.Err() == nil; {
		before := rep
		if rep, err = a.replayStep(ctx, rep, w); err != nil {
			return ReplayResult{}, err
		}
		if rep.MaxRate > 0 {
			wait = replayWait(rep.Replayed-before.Replayed, rep.MaxRate)
		}
	}
	// A call before this one may have died between its step and its ring.
	if rep.Replayed > 0 && !in.Look {
		if err := a.ringReplayed(ctx, w); err != nil {
			return ReplayResult{}, err
		}
	}
	return ReplayResult{
		Webhook: w.Name, WebhookID: w.ID, What: rep.What, State: rep.State, Reason: rep.Reason, Author: rep.Author, MaxRate: rep.MaxRate,
		Total: rep.Total, Replayed: rep.Replayed, Deliveries: rep.Deliveries, Skipped: rep.Skipped,
		Wait: wait, Done: rep.State.Final(),
	}, nil
}

// replayWait is how long so many events take at a rate, up to maxReplayWait.
func replayWait(events int64, rate float64) time.Duration {
	return time.Duration(min(float64(events)/rate*float64(time.Second), float64(maxReplayWait)))
}

// replayStep makes one step from where the replay is.
func (a *Activities) replayStep(ctx context.Context, rep tocsin.Replay, w tocsin.Webhook) (tocsin.Replay, error) {
	page, err := a.candidates(ctx, rep)
	if err != nil {
		return rep, fmt.Errorf("reading what to replay: %w", err)
	}
	step := tocsin.ReplayStep{From: rep.Cursor, To: page.Next, Done: page.Last}
	for _, d := range page.Deliveries {
		step.Send = append(step.Send, d.ID)
	}
	if err := a.choose(&step, rep, w, page.Events); tocsin.CodeOf(err) == tocsin.CodeInvalid {
		return a.Store.SetReplayState(ctx, rep.ID, tocsin.ReplayFailed, err.Error())
	} else if err != nil {
		return rep, err
	}
	if rep, err = a.Store.ReplayStep(ctx, rep.ID, step); err != nil {
		return rep, fmt.Errorf("replaying: %w", err)
	}
	failpoint.Hit("replay.stepped")
	return rep, nil
}

// choose puts the events that the webhook wants into the step.
func (a *Activities) choose(step *tocsin.ReplayStep, rep tocsin.Replay, w tocsin.Webhook, events []tocsin.Event) error {
	for i := range events {
		e := &events[i]
		if rep.What == tocsin.ReplaySuppressed {
			// It matched when it came; only the batch key is asked for.
			w.Settings = tocsin.Settings{Channel: w.Channel, Events: []tocsin.Selector{{Type: e.Type}}}
		}
		batchKey, ok, err := a.Matcher.Matches(w, e)
		if err != nil {
			return fmt.Errorf("matching events: %w", err)
		}
		if !ok {
			step.Skipped++
			continue
		}
		step.Owe = append(step.Owe, tocsin.Reowed{Seq: e.Seq, BatchKey: batchKey})
	}
	return nil
}

// candidates reads a page that is not more than the rate allows at once, but for a
// single delivery.
func (a *Activities) candidates(ctx context.Context, rep tocsin.Replay) (tocsin.ReplayCandidates, error) {
	allowed := replayAtOnce
	if rep.MaxRate > 0 {
		allowed = int(min(replayAtOnce, max(1, math.Ceil(rep.MaxRate*replayBurst.Seconds()))))
	}
	selection := a.unpruned(rep)
	page, err := a.Store.ReplayCandidates(ctx, selection, rep.Cursor, allowed)
	if err != nil || rep.MaxRate <= 0 {
		return page, err
	}
	if fit := fittingDeliveries(page.Deliveries, allowed); fit < len(page.Deliveries) {
		return a.Store.ReplayCandidates(ctx, selection, rep.Cursor, fit)
	}
	return page, nil
}

// unpruned is the replay's selection, for what is missing without what is so old that what
// became of it may be pruned: it would look as if it had never been owed. That is asked at
// every step, because a replay may be paused for as long as anybody likes.
func (a *Activities) unpruned(rep tocsin.Replay) tocsin.ReplaySelection {
	s, keep := rep.ReplaySelection, a.Retention.History
	if s.What != tocsin.ReplayMissing || keep <= 0 {
		return s
	}
	// The replay was touched by the store's clock, which may be ahead of ours.
	now := time.Now()
	if rep.UpdatedAt.After(now) {
		now = rep.UpdatedAt
	}
	if oldest := now.Add(min(pruneMargin, keep/10) - keep); s.Since.Before(oldest) {
		s.Since = oldest
	}
	return s
}

// fittingDeliveries is how many of the first deliveries hold at most so many events; at
// least one.
func fittingDeliveries(all []tocsin.Delivery, events int) int {
	for i, d := range all {
		if events -= d.Count; events < 0 {
			return max(1, i)
		}
	}
	return len(all)
}

// ringReplayed wakes the webhook, also one that is awake because it waits for its tick:
// deliveries sent again do not wait for it. One that works or backs off looks again by
// itself. An attempt before this one may have marked it awake and failed to signal it.
func (a *Activities) ringReplayed(ctx context.Context, w tocsin.Webhook) error {
	asleep, err := a.Store.Ring(ctx, []string{w.ID})
	if err != nil {
		return fmt.Errorf("ringing the webhook of a replay: %w", err)
	}
	repeated := activity.IsActivity(ctx) && activity.GetInfo(ctx).Attempt > 1
	if len(asleep) == 0 && (repeated || w.Frequency == tocsin.Periodic) {
		asleep = []string{w.ID}
	}
	if len(asleep) == 0 {
		return nil
	}
	if err := a.Conductor.Ring(ctx, asleep...); err != nil {
		return fmt.Errorf("ringing the webhook of a replay: %w", err)
	}
	return nil
}
