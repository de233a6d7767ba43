package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/sdk/activity"

	"github.com/tocsin-alerts/tocsin"
)

// SubmitInput is what the signal submit-events carries: events as POST /v1/events
// takes them. Stored in histories; low volume only.
type SubmitInput struct {
	Events json.RawMessage `json:"events"`
}

// SubmitBatch are the signals that one activity stores.
type SubmitBatch struct {
	Signals []SubmitInput `json:"signals"`
	// WebhookID is whose workflow took them; "" from a program that did not say, whose rejections
	// are in the result alone.
	WebhookID string `json:"webhook_id,omitempty"`
}

// SubmitResult says what became of events that came by signal.
type SubmitResult struct {
	Accepted   int                 `json:"accepted"`
	Duplicates int                 `json:"duplicates"`
	Conflicts  int                 `json:"conflicts"`
	Rejected   []tocsin.FieldError `json:"rejected,omitempty"` // the last few
}

// maxRejected bounds the list of reasons kept in a history.
const maxRejected = 20

// SubmitEvents stores events that came by signal, under the same rules as a POST, and
// matches them against all webhooks. Repeating it is harmless: events converge by
// (source, id). What cannot be read at all is rejected with a reason, not retried. What is
// rejected is stored for the API, after what is valid: a process that dies in between does
// both again.
func (a *Activities) SubmitEvents(ctx context.Context, in SubmitBatch) (SubmitResult, error) {
	var sum SubmitResult
	var unread []tocsin.FieldError
	var events []tocsin.Event
	for _, signal := range in.Signals {
		decoded, err := a.Decode("application/json", signal.Events)
		if err != nil {
			unread = append(unread, reasons(err)...)
			continue
		}
		events = append(events, decoded...)
	}
	var invalid []tocsin.FieldError
	if len(events) > 0 {
		res, rejected, err := a.Submit.SubmitEach(ctx, events)
		if err != nil {
			return SubmitResult{}, fmt.Errorf("storing events from signals: %w", err)
		}
		sum.Accepted, sum.Duplicates, sum.Conflicts = res.Accepted, res.Duplicates, res.Conflicts
		invalid = rejected
	}
	sum.Rejected = append(unread, invalid...)
	if n := len(sum.Rejected); n > 0 {
		if err := a.reject(ctx, in.WebhookID, unread, invalid, events); err != nil {
			return SubmitResult{}, err
		}
		a.logger().Warn("rejected events that came by signal", "count", n, "first", sum.Rejected[0].Message)
		sum.Rejected = sum.Rejected[max(0, n-maxRejected):]
	}
	return sum, nil
}

// reject stores why events were not taken. An activity that is repeated stores it once.
func (a *Activities) reject(ctx context.Context, webhookID string, unread, invalid []tocsin.FieldError, events []tocsin.Event) error {
	if webhookID == "" {
		return nil
	}
	var all []tocsin.Rejection
	for _, f := range unread {
		all = append(all, tocsin.Rejection{FieldError: f})
	}
	for _, f := range invalid {
		r := tocsin.Rejection{FieldError: f}
		if f.Index != nil && *f.Index < len(events) {
			e := events[*f.Index]
			r.Source, r.ID, r.Type = head(e.Source), head(e.ID), head(e.Type)
		}
		all = append(all, r)
	}
	batch := tocsin.NewID("batch")
	if activity.IsActivity(ctx) {
		info := activity.GetInfo(ctx)
		batch = info.WorkflowExecution.RunID + "/" + info.ActivityID
	}
	return wrap(a.Store.Reject(ctx, webhookID, batch, all), "storing rejections")
}

// head is as much of a text of a rejected event as is kept: it may be what was too long.
func head(text string) string {
	const most = 256
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// reasons are the fields of an error, or the error as one.
func reasons(err error) []tocsin.FieldError {
	var e *tocsin.Error
	if errors.As(err, &e) && len(e.Fields) > 0 {
		return e.Fields
	}
	return []tocsin.FieldError{{Field: "events", Message: err.Error()}}
}
