package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
)

// ReplayInput starts a replay's workflow. Stored in histories: fields are added, never
// renamed.
type ReplayInput struct {
	ID string `json:"id"`
	// Last is what the previous run of the workflow knew; nil in the first.
	Last *activities.ReplayResult `json:"last,omitempty"`
	// NotBefore is when the rate allows the next step.
	NotBefore time.Time `json:"not_before,omitzero"`
	// MaxHistory is as that of WebhookInput.
	MaxHistory int `json:"max_history,omitempty"`
}

// ReplayStatus answers the query status of a replay.
type ReplayStatus struct {
	ID string `json:"id"`
	activities.ReplayResult
	// Doing is what the workflow does or waits for now.
	Doing string `json:"doing"`
}

// replay is one run of the workflow.
type replay struct {
	in      ReplayInput
	last    activities.ReplayResult
	changed workflow.ReceiveChannel
	signals int // read in this run
	doing   string
	shown   tocsin.ReplayState // what the search attribute says
}

// Replay moves one replay on, step by step, until it is over. What it selects, how far it
// is, and whether it is paused is in the store: the signal only says to look there. As in
// [Webhook], signals are drained before the activity, so that a change that is committed
// while it runs makes it look again.
func Replay(ctx workflow.Context, in ReplayInput) (activities.ReplayResult, error) {
	r := &replay{in: in}
	if in.Last != nil {
		r.last, r.shown = *in.Last, in.Last.State
	}
	if err := r.listen(ctx); err != nil {
		return r.last, err
	}
	for {
		r.drain()
		if err := r.step(ctx); err != nil {
			return r.last, err
		}
		if err := r.show(ctx); err != nil {
			return r.last, err
		}
		if r.last.Done {
			return r.last, nil
		}
		if err := r.wait(ctx); err != nil {
			return r.last, err
		}
		if r.full(ctx) {
			// Nothing blocks from here to the return, and a signal that is dropped costs
			// nothing: the next run begins by looking.
			r.drain()
			in := r.in
			in.Last = &r.last
			return r.last, workflow.NewContinueAsNewError(ctx, Replay, in)
		}
	}
}

func (r *replay) listen(ctx workflow.Context) error {
	r.changed = workflow.GetSignalChannelWithOptions(ctx, SignalReplayChanged, workflow.SignalChannelOptions{
		Description: "The replay was paused, resumed or cancelled in the store. It has no content: pause, resume and cancel by the API or `tocsin replay`.",
	})
	err := workflow.SetQueryHandlerWithOptions(ctx, QueryStatus,
		func() (ReplayStatus, error) {
			return ReplayStatus{ID: r.in.ID, ReplayResult: r.last, Doing: r.doing}, nil
		},
		workflow.QueryHandlerOptions{Description: "How far the replay is, and what it waits for."})
	return wrap(err, "setting query "+QueryStatus)
}

func (r *replay) drain() {
	for r.changed.ReceiveAsync(nil) {
		r.signals++
	}
}

// step makes the next step, or only looks while the rate allows none: a signal must not
// be a way around it.
func (r *replay) step(ctx workflow.Context) error {
	look := workflow.Now(ctx).Before(r.in.NotBefore)
	summary := r.label() + ": replay"
	if look {
		summary = r.label() + ": look what changed"
	}
	r.doing = "replaying"
	actx := workflow.WithActivityOptions(ctx, replayOptions(summary))
	if err := workflow.ExecuteActivity(actx, acts.ReplayStep, activities.ReplayInput{ReplayID: r.in.ID, Look: look}).Get(ctx, &r.last); err != nil {
		return err
	}
	if !look {
		r.in.NotBefore = workflow.Now(ctx).Add(r.last.Wait)
	}
	return nil
}

// pausedLook is how often a paused replay looks by itself: a signal may be lost, and one
// that was cancelled meanwhile would show as paused for ever. One that was resumed is woken
// by the sweep.
const pausedLook = time.Hour

// wait waits for the rate, or while the replay is paused for the signal.
func (r *replay) wait(ctx workflow.Context) error {
	left, why := r.in.NotBefore.Sub(workflow.Now(ctx)), "max_per_second"
	switch {
	case r.last.State == tocsin.ReplayPaused:
		r.doing, left, why = "paused", pausedLook, "look whether it is still paused"
	case left <= 0:
		return nil
	default:
		r.doing = "waiting for max_per_second"
	}
	tctx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	timer := workflow.NewTimerWithOptions(tctx, left, workflow.TimerOptions{Summary: why})
	return workflow.Await(ctx, func() bool { return timer.IsReady() || r.changed.Len() > 0 || r.full(ctx) })
}

// full reports whether this run should make room for a new one.
func (r *replay) full(ctx workflow.Context) bool {
	return isFull(ctx, r.in.MaxHistory, r.signals+r.changed.Len())
}

func (r *replay) label() string {
	if r.last.Webhook == "" {
		return r.in.ID
	}
	return r.last.Webhook
}

// show brings the search attributes and the status card up to date.
func (r *replay) show(ctx workflow.Context) error {
	workflow.SetCurrentDetails(ctx, r.card())
	if r.last.State == r.shown || r.last.Webhook == "" {
		return nil
	}
	r.shown = r.last.State
	err := workflow.UpsertTypedSearchAttributes(ctx, AttrWebhook.ValueSet(r.last.Webhook), AttrStatus.ValueSet(string(r.last.State)))
	return wrap(err, "setting search attributes")
}

// card is the Web UI's Current Details: a table in Markdown.
func (r *replay) card() string {
	l := r.last
	of := "not counted"
	if l.Total >= 0 {
		of = fmt.Sprintf("%d", l.Total)
	}
	rate := "as fast as it can"
	if l.MaxRate > 0 {
		rate = fmt.Sprintf("at most %g events a second", l.MaxRate)
	}
	card := fmt.Sprintf("| | |\n|---|---|\n| replay | `%s` |\n| webhook | `%s` |\n| of | %s |\n| state | **%s** |\n| replayed | %d of %s events, %d deliveries |\n| skipped | %d |\n| rate | %s |\n",
		r.in.ID, markdown(l.Webhook), l.What, l.State, l.Replayed, of, l.Deliveries, l.Skipped, rate)
	if l.Author != "" {
		card += fmt.Sprintf("| by | `%s` |\n", markdown(l.Author))
	}
	if l.Reason != "" {
		card += fmt.Sprintf("| because | `%s` |\n", markdown(l.Reason))
	}
	return card
}
