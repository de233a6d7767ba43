package tocsin

import (
	"context"
	"time"
)

// Page asks for part of a list.
type Page struct {
	// Cursor is what the previous page's Next said; "" for the first.
	Cursor string
	// Limit is 1 to 1000. A page may hold less, even nothing, though more follow: what no
	// index finds is searched for a bounded time, and the next page goes on from there.
	Limit int
}

// EventQuery selects events, newest first. Zero fields select all.
type EventQuery struct {
	Page
	Type, Source, Subject string
	DedupKey              string
	MinSeverity           Severity
	Since, Until          time.Time
	Text                  string // in title or summary, case-insensitive
}

// DeliveryQuery selects deliveries, newest first. Zero fields select all.
type DeliveryQuery struct {
	Page
	WebhookID string
	State     DeliveryState
	Type      string // of one of its events
	// Parent is the split delivery that they are parts of.
	Parent string
	// WithDead selects those that have dead events of their own, not in children: dead ones,
	// and those that were delivered or split while some of their events died.
	WithDead bool
	Since    time.Time
	Until    time.Time
}

// Trace is one obligation and where it went, for "why".
type Trace struct {
	WebhookID  string
	Generation int64
	// Bucket is the ledger's: pending, in_flight, delivered, dead, suppressed.
	Bucket     string
	Reason     string
	DeliveryID string
}

// History answers what happened. Lists return a cursor for the next page, "" at the end.
type History interface {
	Events(ctx context.Context, q EventQuery) (events []Event, next string, err error)
	// Event finds one by its producer's key; ErrNotFound.
	Event(ctx context.Context, source, id string) (Event, error)
	// EventBySeq finds one by the store's number for it; ErrNotFound.
	EventBySeq(ctx context.Context, seq int64) (Event, error)
	// Traces returns every obligation of an event, oldest first.
	Traces(ctx context.Context, seq int64) ([]Trace, error)
	Deliveries(ctx context.Context, q DeliveryQuery) (deliveries []Delivery, next string, err error)
	// Delivery returns one with its attempts, oldest first, and its events in order;
	// ErrNotFound.
	Delivery(ctx context.Context, id string) (Delivery, []Attempt, []Event, error)
}

// Balance is a webhook's ledger. Accepted = Delivered + Pending + InFlight + Dead +
// Suppressed, at every instant.
type Balance struct {
	WebhookID  string `json:"webhook_id,omitempty"`
	Webhook    string `json:"webhook,omitempty"` // its name
	Accepted   int64  `json:"accepted"`
	Delivered  int64  `json:"delivered"`
	Pending    int64  `json:"pending"`
	InFlight   int64  `json:"in_flight"`
	Dead       int64  `json:"dead"`
	Suppressed int64  `json:"suppressed"`
}

// Difference is what does not add up: 0, or there is a bug.
func (b Balance) Difference() int64 {
	return b.Accepted - b.Delivered - b.Pending - b.InFlight - b.Dead - b.Suppressed
}

// Add returns the sum of two balances, without names.
func (b Balance) Add(o Balance) Balance {
	return Balance{
		Accepted: b.Accepted + o.Accepted, Delivered: b.Delivered + o.Delivered, Pending: b.Pending + o.Pending,
		InFlight: b.InFlight + o.InFlight, Dead: b.Dead + o.Dead, Suppressed: b.Suppressed + o.Suppressed,
	}
}

// Ledger counts obligations: append-only deltas written in the transaction that moves
// the state, folded in the background.
type Ledger interface {
	// Balances returns the counters of every webhook with any, by name, from one
	// snapshot; deleted webhooks are included.
	Balances(ctx context.Context) ([]Balance, error)
	// Recount computes the same from rows, for --verify. Both come from one snapshot.
	Recount(ctx context.Context) (counted, recounted []Balance, err error)
	// Fold adds deltas up; it changes no balance.
	Fold(ctx context.Context) error
}

// Key is an API key. The key itself is shown once and stored hashed.
type Key struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Scopes    []string   `json:"scopes"` // ingest, read, admin (which includes both)
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	LastUsed  *time.Time `json:"last_used,omitempty"` // to the minute
	// OldExpiresAt is when the text from before the last rotation stops working; nil when
	// it has.
	OldExpiresAt *time.Time `json:"old_expires_at,omitempty"`
}

// Keys keeps API keys.
type Keys interface {
	// CreateKey stores a key under the SHA-256 of its text; ErrNameTaken.
	CreateKey(ctx context.Context, k Key, hash []byte) (Key, error)
	// KeyByHash finds one that has not expired, also by its hash from before the last
	// rotation while that still works, and notes its use at most once a minute;
	// ErrNotFound.
	KeyByHash(ctx context.Context, hash []byte) (Key, error)
	ListKeys(ctx context.Context) ([]Key, error)
	// DeleteKey by id or name; ErrNotFound.
	DeleteKey(ctx context.Context, idOrName string) error
	// RotateKey gives a key another hash; the one it had works for overlap longer. Without
	// overlap everything older stops at once. While the one from before the last rotation
	// still works, a rotation with overlap is an *Error with CodeConflict that says until
	// when. To the hash it has already nothing changes. expires, when not nil, is its new
	// ExpiresAt; otherwise that stays. ErrNotFound.
	RotateKey(ctx context.Context, idOrName string, hash []byte, overlap time.Duration, expires *time.Time) (Key, error)
}
