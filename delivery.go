package tocsin

import (
	"encoding/json"
	"time"
)

// DeliveryState is what became of a delivery.
type DeliveryState string

// The states of a delivery. The first two are owed.
const (
	DeliveryReady     DeliveryState = "ready"
	DeliverySending   DeliveryState = "sending" // an attempt is open; after a crash its outcome is unknown
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryDead      DeliveryState = "dead"
	DeliverySplit     DeliveryState = "split" // counts through its children; some of its events may be dead
	DeliveryCancelled DeliveryState = "cancelled"
)

// Delivery is a frozen batch of one webhook's events with one stable id.
type Delivery struct {
	ID        string        `json:"id"`
	WebhookID string        `json:"webhook_id"`
	State     DeliveryState `json:"state"`
	// Reason says why it is dead, split or cancelled.
	Reason string `json:"reason,omitempty"`
	// Parent is the split delivery this is a half of, or "".
	Parent string `json:"parent,omitempty"`
	// Count is the number of events, Attempts how often sending was begun.
	Count        int        `json:"count"`
	Attempts     int        `json:"attempts"`
	CreatedAt    time.Time  `json:"created_at"`
	FirstAttempt *time.Time `json:"first_attempt_at,omitempty"`
	FinishedAt   *time.Time `json:"finished_at,omitempty"`
	// ErrorClass and LastError are those of its latest attempt that failed; "" when none did.
	ErrorClass string `json:"error_class,omitempty"`
	LastError  string `json:"last_error,omitempty"`
}

// Attempt is one try of one delivery. Its JSON form is stored; fields are added,
// never renamed.
type Attempt struct {
	Number    int       `json:"number"` // from 1
	StartedAt time.Time `json:"started_at"`
	// FinishedAt is nil while the attempt is open, or when its process died.
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	// Outcome is "delivered", "retryable", "permanent", "refused", "gone",
	// "partial", or "unknown" when no outcome was recorded.
	Outcome string `json:"outcome"`
	// ErrorClass groups errors: "dns", "connect", "tls", "timeout", "reset",
	// "status", "egress", "render", "body", "internal"; "" for success.
	ErrorClass string `json:"error_class,omitempty"`
	Error      string `json:"error,omitempty"` // no secrets
	// RetryAfter is what the receiver asked for, 0 for nothing.
	RetryAfter Duration `json:"retry_after,omitempty"`
	// Exchanges are the requests of this attempt in order, usually one. Of more than
	// [MaxExchanges] the first and the last are kept, and LeftOut counts those in between.
	Exchanges []Exchange `json:"exchanges,omitempty"`
	LeftOut   int        `json:"exchanges_left_out,omitempty"`
}

// MaxExchanges is how many requests the record of an attempt keeps: channels with a
// request for each event make many.
const MaxExchanges = 50

// MaxResponseKept is how much of a response's body an Exchange keeps: 16 KiB.
const MaxResponseKept = 16 << 10

// Exchange is one request as sent and its response, without secrets.
type Exchange struct {
	Method string `json:"method"`
	// URL is redacted: no user info, no secret path or query values.
	URL             string            `json:"url"`
	RequestHeaders  map[string]string `json:"request_headers,omitempty"`
	RequestBody     string            `json:"request_body,omitempty"`
	RequestBytes    int               `json:"request_bytes"`
	Status          int               `json:"status,omitempty"` // 0: no response
	ResponseHeaders map[string]string `json:"response_headers,omitempty"`
	ResponseBody    string            `json:"response_body,omitempty"` // first MaxResponseKept bytes
	RemoteAddr      string            `json:"remote_addr,omitempty"`
	Timings         Timings           `json:"timings"`
}

// Timings are milliseconds since the request began; 0 where a step did not happen.
type Timings struct {
	DNS       float64 `json:"dns_ms,omitempty"`
	Connect   float64 `json:"connect_ms,omitempty"`
	TLS       float64 `json:"tls_ms,omitempty"`
	FirstByte float64 `json:"first_byte_ms,omitempty"`
	Total     float64 `json:"total_ms"`
}

// Notification is what a sender gets: one delivery, rendered now.
type Notification struct {
	DeliveryID  string
	WebhookID   string
	WebhookName string
	// Attempt counts from 1.
	Attempt int
	// At is the time of this attempt, by the store's clock.
	At time.Time
	// Events in their order; never empty. Senders must not change them.
	Events []Event
	// Refs holds, by dedup key, what the vendor called this incident's object last time
	// (a Slack ts, a Jira key), as the sender itself stored it.
	Refs map[string]json.RawMessage
	// Uncertain says that an earlier attempt's outcome is not known: it may have been
	// accepted.
	Uncertain bool
	// Test marks a trial, to be shown as such.
	Test bool
	// PublicURL is where this Tocsin's API and console are reached, without a final
	// slash, or "" when not configured: for links back.
	PublicURL string
}

// Result is what became of one event of a delivery.
type Result struct {
	// Err is nil for delivered. Otherwise Classify tells permanent (FaultEvent) from
	// retryable.
	Err error
}

// Receipt is what a sender got from its vendor. On an error it still carries the
// exchanges, and whatever results are known.
type Receipt struct {
	// Results holds one result per event, in order; nil means all went as Send's error
	// says.
	Results []Result
	// Refs are new or changed references by dedup key, stored with the outcome.
	Refs map[string]json.RawMessage
	// Exchanges are the requests made, in order.
	Exchanges []Exchange
	// Truncated counts the events that were shortened or left to the link to fit.
	Truncated int
}
