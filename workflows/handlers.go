package workflows

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
)

// Control is an update's argument. The API sends Version, after it committed the change.
// By hand, from Temporal's own tools, Version stays 0: then the update itself makes the
// change. Settings and secrets of the API's changes never pass through here.
type Control struct {
	Version int64 `json:"version,omitempty"`
	// Settings is a merge patch for configure by hand; it may not hold "config", where
	// secrets are, because it stays in the history.
	Settings json.RawMessage `json:"settings,omitempty"`
	// Delivery is the id for redeliver by hand.
	Delivery string `json:"delivery,omitempty"`
}

// Status answers the query status.
type Status struct {
	Webhook      string       `json:"webhook"`
	ID           string       `json:"id"`
	Channel      string       `json:"channel"`
	State        tocsin.State `json:"state"`
	Version      int64        `json:"version"`
	Failures     int          `json:"consecutive_failures"`
	LastFailure  string       `json:"last_failure,omitempty"`
	LastDelivery *time.Time   `json:"last_delivery,omitempty"`
	// Counted is what was owed when the state changed last; the ledger has what is owed now.
	Counted *activities.Counted `json:"counted,omitempty"`
	// Doing is what the workflow does or waits for now.
	Doing string `json:"doing"`
	// Submitted is what came by the signal submit-events, with the latest rejections.
	Submitted activities.SubmitResult `json:"submitted"`
}

// listen sets up signals, updates and the query, each with a description for the Web UI.
func (w *webhook) listen(ctx workflow.Context) error {
	w.doorbell = workflow.GetSignalChannelWithOptions(ctx, SignalNewEvents, workflow.SignalChannelOptions{
		Description: "Doorbell: something is owed. Its content is advisory; what is owed is in the store.",
	})
	w.submitted = workflow.GetSignalChannelWithOptions(ctx, SignalSubmitEvents, workflow.SignalChannelOptions{
		Description: "Events inline, as " + submitExample + ": stored under the same rules as POST /v1/events and matched against all webhooks. Low volume; at most 256 KB. What is rejected is in the query status, with the reason.",
	})
	workflow.GoNamed(ctx, "store submitted events", w.storeSubmitted)

	err := workflow.SetQueryHandlerWithOptions(ctx, QueryStatus, func() (Status, error) { return w.status(), nil },
		workflow.QueryHandlerOptions{Description: "What the webhook does, did last, and does next."})
	if err != nil {
		return fmt.Errorf("setting query %s: %w", QueryStatus, err)
	}
	for _, u := range updates {
		err := workflow.SetUpdateHandlerWithOptions(ctx, u.name,
			func(ctx workflow.Context, c Control) (activities.ControlResult, error) {
				return w.control(ctx, u.name, c)
			},
			workflow.UpdateHandlerOptions{
				Description: u.description,
				Validator:   func(_ workflow.Context, c Control) error { return validate(u.name, c) },
			})
		if err != nil {
			return fmt.Errorf("setting update %s: %w", u.name, err)
		}
	}
	return nil
}

// updates lists the updates, in the order the Web UI shows them.
var updates = []struct{ name, description string }{
	{UpdateConfigure, `Settings changed. By hand: {"settings": {"run_every": "30m"}} changes them (not config, which holds secrets).`},
	{UpdatePause, "Paused: events are held. By hand, with {}, pauses."},
	{UpdateResume, "Resumed: held events are delivered. By hand, with {}, resumes."},
	{UpdateRunNow, "Deliver what is owed now, whatever tick or backoff it waits for; changes nothing else."},
	{UpdateRedeliver, `A delivery was made ready again. By hand: {"delivery": "dlv_…"} does so, under the same id.`},
}

// validate refuses updates by hand that say too little or too much. Decoding JSON is
// deterministic, whatever the checker thinks of reflection.
//
//workflowcheck:ignore
func validate(name string, c Control) error {
	if c.Version > 0 {
		return nil
	}
	switch name {
	case UpdateConfigure:
		var patch map[string]json.RawMessage
		if json.Unmarshal(c.Settings, &patch) != nil || len(patch) == 0 {
			return errors.New(`configure by hand needs settings: {"settings": {"run_every": "30m"}}`)
		}
		if _, ok := patch["config"]; ok {
			return errors.New("config cannot be changed here, because it would stay in the history with its secrets; use the API or `tocsin webhooks apply`")
		}
	case UpdateRedeliver:
		if c.Delivery == "" {
			return errors.New(`redeliver by hand needs {"delivery": "dlv_…"}`)
		}
	}
	return nil
}

// control handles an update. One with a version only wakes: its change is committed.
func (w *webhook) control(ctx workflow.Context, name string, c Control) (activities.ControlResult, error) {
	out := activities.ControlResult{State: w.last.State, Version: c.Version}
	if c.Version == 0 {
		actx := workflow.WithActivityOptions(ctx, storeOptions(w.label()+": "+name))
		in := activities.ControlInput{WebhookID: w.in.ID, Update: name, Settings: c.Settings, Delivery: c.Delivery}
		if err := workflow.ExecuteActivity(actx, acts.Do, in).Get(ctx, &out); err != nil {
			return out, inShort(err)
		}
	}
	w.poked = true
	return out, nil
}

// inShort is what whoever sent an update by hand is told: the refusal alone, without the
// activity's ids and the chain of causes around it.
func inShort(err error) error {
	var refused *temporal.ApplicationError
	if !errors.As(err, &refused) {
		return err
	}
	return temporal.NewNonRetryableApplicationError(refused.Message(), refused.Type(), nil)
}

// maxSubmitBytes bounds what one activity stores, and what a run hands to the next one:
// 1 MiB, half of what the server takes as one argument (limit.blobSize.error).
const maxSubmitBytes = 1 << 20

// storeSubmitted stores events that come by signal, while Deliver goes on. It waits by
// Len and takes by ReceiveAsync: a blocked Receive would own a signal that no condition
// can see, and continue-as-new would lose it.
func (w *webhook) storeSubmitted(ctx workflow.Context) {
	for workflow.Await(ctx, func() bool { return !w.renewing && w.unstored() }) == nil {
		w.storing = true
		w.takeSubmitted()
		n := fitting(w.in.Unstored)
		w.storeSome(ctx, activities.SubmitBatch{Signals: w.in.Unstored[:n], WebhookID: w.in.ID})
		w.in.Unstored = w.in.Unstored[n:]
		w.storing = false
	}
}

// unstored reports whether events came by signal that are not in the store yet.
func (w *webhook) unstored() bool { return len(w.in.Unstored) > 0 || w.submitted.Len() > 0 }

// takeSubmitted reads all signals that are there. What cannot be read is rejected here: the
// SDK would drop it, and nobody would hear of it.
//
//workflowcheck:ignore
func (w *webhook) takeSubmitted() {
	for {
		var raw json.RawMessage
		if !w.submitted.ReceiveAsync(&raw) {
			return
		}
		in := activities.SubmitInput{}
		if len(raw) > 0 && json.Unmarshal(raw, &in) != nil {
			w.reject([]tocsin.FieldError{{Field: "events", Message: "the signal cannot be read: want " + submitExample}})
			continue
		}
		w.signals++
		w.in.Unstored = append(w.in.Unstored, in)
	}
}

// submitExample is what submit-events takes.
const submitExample = `{"events": [{"id": "1", "source": "/cli", "type": "custom.hello"}]}`

// maxRejected bounds the list of what was rejected lately.
const maxRejected = 20

func (w *webhook) reject(reasons []tocsin.FieldError) {
	sum := &w.in.Submitted
	sum.Rejected = append(sum.Rejected, reasons...)
	sum.Rejected = sum.Rejected[max(0, len(sum.Rejected)-maxRejected):]
}

// fitting is how many of the first signals stay within maxSubmitBytes; at least one.
func fitting(signals []activities.SubmitInput) int {
	total := 0
	for i, s := range signals {
		if total += len(s.Events); total > maxSubmitBytes && i > 0 {
			return i
		}
	}
	return len(signals)
}

func (w *webhook) storeSome(ctx workflow.Context, batch activities.SubmitBatch) {
	actx := workflow.WithActivityOptions(ctx, storeOptions(fmt.Sprintf("store events of %d signals", len(batch.Signals))))
	var out activities.SubmitResult
	if err := workflow.ExecuteActivity(actx, acts.SubmitEvents, batch).Get(ctx, &out); err != nil {
		out.Rejected = []tocsin.FieldError{{Field: "events", Message: err.Error()}}
	}
	sum := &w.in.Submitted
	sum.Accepted += out.Accepted
	sum.Duplicates += out.Duplicates
	sum.Conflicts += out.Conflicts
	w.reject(out.Rejected)
}

func (w *webhook) status() Status {
	return Status{
		Webhook: w.last.Name, ID: w.in.ID, Channel: w.last.Channel, State: w.last.State, Version: w.last.Version,
		Failures: w.last.Failures, LastFailure: w.last.Failure, LastDelivery: w.last.LastDelivery, Counted: w.last.Counted,
		Doing: w.waiting, Submitted: w.in.Submitted,
	}
}

// markdown keeps a text from breaking out of a table cell's code span.
func markdown(s string) string {
	return strings.NewReplacer("`", "'", "|", "¦", "\n", " ", "\r", " ").Replace(s)
}
