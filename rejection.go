package tocsin

import (
	"context"
	"time"
)

// Rejection is an event that came by the signal submit-events and was not taken, or one of
// several things that are wrong with it.
type Rejection struct {
	At time.Time `json:"at"`
	// FieldError says what is wrong. Its Index is the event's place among those that were stored
	// together.
	FieldError
	// Source, ID and Type are those of the event, as far as it could be read.
	Source string `json:"source,omitempty"`
	ID     string `json:"id,omitempty"`
	Type   string `json:"type,omitempty"`
}

// MaxRejections is how many rejections of a webhook are kept, the latest ones.
const MaxRejections = 100

// Rejections keeps why events were not taken, for senders of signals, who get no answer.
type Rejections interface {
	// Reject stores what was rejected of one batch that was sent to a webhook's workflow; At is
	// set to now. The same batch again changes nothing. No more than MaxRejections of the webhook
	// are kept.
	Reject(ctx context.Context, webhookID, batch string, all []Rejection) error
	// Rejected returns a webhook's, newest first.
	Rejected(ctx context.Context, webhookID string, p Page) (all []Rejection, next string, err error)
}
