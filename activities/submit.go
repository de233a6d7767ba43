package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

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
// (source, id). What cannot be read at all is rejected with a reason, not retried.
func (a *Activities) SubmitEvents(ctx context.Context, in SubmitBatch) (SubmitResult, error) {
	var sum SubmitResult
	var events []tocsin.Event
	for _, signal := range in.Signals {
		decoded, err := a.Decode("application/json", signal.Events)
		if err != nil {
			sum.Rejected = append(sum.Rejected, reasons(err)...)
			continue
		}
		events = append(events, decoded...)
	}
	if len(events) > 0 {
		res, rejected, err := a.Submit.SubmitEach(ctx, events)
		if err != nil {
			return SubmitResult{}, fmt.Errorf("storing events from signals: %w", err)
		}
		sum.Accepted, sum.Duplicates, sum.Conflicts = res.Accepted, res.Duplicates, res.Conflicts
		sum.Rejected = append(sum.Rejected, rejected...)
	}
	if n := len(sum.Rejected); n > 0 {
		a.logger().Warn("rejected events that came by signal", "count", n, "first", sum.Rejected[0].Message)
		sum.Rejected = sum.Rejected[max(0, n-maxRejected):]
	}
	return sum, nil
}

// reasons are the fields of an error, or the error as one.
func reasons(err error) []tocsin.FieldError {
	var e *tocsin.Error
	if errors.As(err, &e) && len(e.Fields) > 0 {
		return e.Fields
	}
	return []tocsin.FieldError{{Field: "events", Message: err.Error()}}
}
