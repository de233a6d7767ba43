package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
)

// WebhookInput starts a webhook's workflow. Stored in histories: fields are added,
// never renamed.
type WebhookInput struct {
	ID string `json:"id"`
	// Last is what the previous run of the workflow knew; nil in the first.
	Last *activities.DeliverResult `json:"last,omitempty"`
	// Submitted counts what came by submit-events over all runs.
	Submitted activities.SubmitResult `json:"submitted,omitzero"`
	// Unstored are events that came by signal and that the previous run had not stored.
	Unstored []activities.SubmitInput `json:"unstored,omitempty"`
	// MaxHistory is how many history events a run may have before it continues as new;
	// 0 means 2,000. The server's own suggestion is heeded as well.
	MaxHistory int `json:"max_history,omitempty"`
}

// defaultMaxHistory keeps a history short enough to be read in the Web UI and replayed
// in a moment.
const defaultMaxHistory = 2000

// maxSignals is how many signals a run takes before it continues as new; the server
// refuses the 10,001st (limit.maxSignalsPerExecution).
const maxSignals = 4000

// webhook is one run of the workflow.
type webhook struct {
	in        WebhookInput
	last      activities.DeliverResult
	doorbell  workflow.ReceiveChannel
	submitted workflow.ReceiveChannel
	signals   int  // read in this run
	storing   bool // submitted events are being stored
	renewing  bool // no more are begun to be stored
	poked     bool // an update came: what the webhook waits for may have changed
	waiting   string
	shown     shown
}

// Webhook is one configured webhook, from its creation to its deletion.
//
// Why nothing is lost between the store and this loop: whoever commits work and finds
// the webhook asleep signals it. Signals are drained before Deliver is scheduled, never
// after it, so one that arrives from then on is still in the channel when Deliver has
// returned, and forces another. Deliver goes idle in the store before it looks for work
// one last time. And every run begins by delivering, as if rung.
func Webhook(ctx workflow.Context, in WebhookInput) error {
	w := &webhook{in: in}
	if in.Last != nil {
		w.last = *in.Last
		w.shown = shownOf(w.last)
	}
	if err := w.listen(ctx); err != nil {
		return err
	}
	for {
		w.drainDoorbell()
		w.poked = false
		out, err := w.deliver(ctx)
		if err != nil {
			return err
		}
		if out.Counted == nil {
			out.Counted = w.last.Counted // as of the last change of state
		}
		w.last = out
		if err := w.show(ctx); err != nil {
			return err
		}
		if out.Next == activities.NextEnded {
			// Events that came by signal belong to all webhooks, not to this one.
			return workflow.Await(ctx, w.quiet(ctx))
		}
		if !w.full(ctx) {
			if err := w.wait(ctx, out); err != nil {
				return err
			}
		}
		if w.full(ctx) {
			if again, err := w.renew(ctx); !again {
				return err
			}
		}
	}
}

// drainDoorbell empties the doorbell: whatever rang, the Deliver that follows sees it.
func (w *webhook) drainDoorbell() {
	for w.doorbell.ReceiveAsync(nil) {
		w.signals++
	}
}

// deliver runs Deliver. An update, the doorbell, or a run that is full cut it: one that
// waits for its next retry ends at once, one that is sending finishes that.
func (w *webhook) deliver(ctx workflow.Context) (out activities.DeliverResult, err error) {
	actx, cancel := workflow.WithCancel(workflow.WithActivityOptions(ctx, deliverOptions(w.label()+": deliver")))
	defer cancel()
	w.waiting = "delivering"
	if w.last.Name != "" {
		workflow.SetCurrentDetails(ctx, w.card("delivers; a retry that is waited for is among the pending activities"))
	}
	f := workflow.ExecuteActivity(actx, acts.Deliver, activities.DeliverInput{WebhookID: w.in.ID, Shown: w.shown.state})
	if err := workflow.Await(ctx, func() bool { return f.IsReady() || w.poked || w.doorbell.Len() > 0 || w.full(ctx) }); err != nil && ctx.Err() == nil {
		return out, err
	}
	cut := !f.IsReady()
	if cut {
		cancel()
	}
	// WaitForCancellation: this returns only when no Deliver is left that could send.
	err = f.Get(ctx, &out)
	if err != nil && cut && ctx.Err() == nil {
		// The server does not retry what was to be cancelled, so whatever it ended with ends
		// here: cancelled in a backoff, failed, or timed out. The next Deliver finds in the
		// store what there is to do.
		out = w.last
		out.Next = activities.NextAgain
		return out, nil
	}
	return out, err
}

// wait waits for what Deliver said, for the doorbell, or for an update.
func (w *webhook) wait(ctx workflow.Context, out activities.DeliverResult) error {
	if out.Next == activities.NextAgain {
		return nil
	}
	w.waiting = out.Why
	due := func() bool { return false }
	if out.Next == activities.NextWait {
		tctx, cancel := workflow.WithCancel(ctx)
		defer cancel()
		due = workflow.NewTimerWithOptions(tctx, out.Wait, workflow.TimerOptions{Summary: out.Why}).IsReady
	}
	return workflow.Await(ctx, func() bool { return due() || w.poked || w.doorbell.Len() > 0 || w.full(ctx) })
}

// full reports whether this run should make room for a new one.
func (w *webhook) full(ctx workflow.Context) bool {
	return isFull(ctx, w.in.MaxHistory, w.signals+w.doorbell.Len()+w.submitted.Len())
}

// isFull reports whether a run has had more events than limit (0: the default), or more
// signals than a run should, or the server suggests a new one.
func isFull(ctx workflow.Context, limit, signals int) bool {
	info := workflow.GetInfo(ctx)
	if limit == 0 {
		limit = defaultMaxHistory
	}
	return info.GetContinueAsNewSuggested() || info.GetCurrentHistoryLength() > limit || signals > maxSignals
}

// quiet reports that nothing of this run is unfinished.
func (w *webhook) quiet(ctx workflow.Context) func() bool {
	return func() bool { return workflow.AllHandlersFinished(ctx) && !w.storing && !w.unstored() }
}

// renew continues as new. Between the last look at the channels and the return nothing
// blocks, so a signal either was read or makes the server hand this task out again. A
// doorbell that is dropped here costs nothing: the next run begins by delivering. Events
// that came by signal exist nowhere else: they go along, or are stored first when they
// are too many for an argument.
func (w *webhook) renew(ctx workflow.Context) (again bool, err error) {
	w.renewing = true // for good, unless this run goes on
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) && !w.storing }); err != nil {
		return false, err
	}
	w.drainDoorbell()
	w.takeSubmitted()
	if fitting(w.in.Unstored) < len(w.in.Unstored) {
		w.renewing = false
		return true, nil
	}
	in := w.in
	in.Last = &w.last
	return false, workflow.NewContinueAsNewError(ctx, Webhook, in)
}

// label names the webhook in summaries.
func (w *webhook) label() string {
	if w.last.Name == "" {
		return "webhook " + w.in.ID
	}
	return w.last.Channel + " " + w.last.Name
}

// shown is what search attributes say; they cost an event each time, so they change
// with the webhook's state and name only.
type shown struct {
	name, channel string
	state         tocsin.State
}

func shownOf(r activities.DeliverResult) shown {
	return shown{name: r.Name, channel: r.Channel, state: r.State}
}

// show brings search attributes and the status card up to date.
func (w *webhook) show(ctx workflow.Context) error {
	workflow.SetCurrentDetails(ctx, w.card(next(ctx, w.last)))
	if now := shownOf(w.last); now != w.shown && now.name != "" {
		w.shown = now
		attrs := []temporal.SearchAttributeUpdate{
			AttrWebhook.ValueSet(now.name),
			AttrChannel.ValueSet(now.channel),
			AttrStatus.ValueSet(string(now.state)),
			AttrFailures.ValueSet(int64(w.last.Failures)),
		}
		if c := w.last.Counted; c != nil {
			attrs = append(attrs, AttrPending.ValueSet(c.Owed()))
		}
		if at := w.last.LastDelivery; at != nil {
			attrs = append(attrs, AttrLastDelivery.ValueSet(*at))
		}
		if err := workflow.UpsertTypedSearchAttributes(ctx, attrs...); err != nil {
			return fmt.Errorf("setting search attributes: %w", err)
		}
	}
	return nil
}

// next says what follows a Deliver, for the status card.
func next(ctx workflow.Context, r activities.DeliverResult) string {
	switch r.Next {
	case activities.NextWait:
		return fmt.Sprintf("%s at %s", r.Why, workflow.Now(ctx).Add(r.Wait).UTC().Format(time.RFC3339))
	case activities.NextIdle:
		return "waits for events"
	case activities.NextParked:
		return "holds its events: " + r.Why
	}
	return string(r.Next)
}

// card is the Web UI's Current Details: a table in Markdown.
func (w *webhook) card(next string) string {
	r := w.last
	last := "none yet"
	if r.LastDelivery != nil {
		last = r.LastDelivery.UTC().Format(time.RFC3339)
	}
	card := fmt.Sprintf("| | |\n|---|---|\n| webhook | `%s` (%s) |\n| id | `%s` |\n| state | **%s** |\n| last delivery | %s |\n| failures in a row | %d |\n| next | %s |\n",
		markdown(r.Name), r.Channel, w.in.ID, r.State, last, r.Failures, next)
	if c := r.Counted; c != nil {
		card += fmt.Sprintf("| owed | **%d** (%d pending, %d in flight) as of %s |\n", c.Owed(), c.Pending, c.InFlight, c.At.UTC().Format(time.RFC3339))
	}
	if r.Failure != "" {
		card += fmt.Sprintf("| last failure | `%s` |\n", markdown(r.Failure))
	}
	if s := w.in.Submitted; s.Accepted+s.Duplicates+s.Conflicts+len(s.Rejected) > 0 {
		card += fmt.Sprintf("| by signal | %d accepted, %d duplicates, %d conflicts, %d lately rejected |\n", s.Accepted, s.Duplicates, s.Conflicts, len(s.Rejected))
	}
	return card
}
