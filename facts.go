package tocsin

import (
	"context"
	"time"
)

// Facts are sums for those who look at many webhooks at once: metrics, lists, charts. Each
// is one snapshot, and none grows with what was ever delivered.
type Facts interface {
	// Backlog returns the webhooks that owe most, pending and in flight together, at most
	// limit (0: none), and the sum over all. Deleted ones are among them until what they owed
	// is suppressed.
	Backlog(ctx context.Context, limit int) (top []Backlog, total BacklogTotal, err error)
	// FindWebhooks returns webhooks that are not deleted, by name in the order of its bytes.
	FindWebhooks(ctx context.Context, q WebhookQuery) (webhooks []Webhook, next string, err error)
	// WebhookFacts returns what is known of the webhooks with these ids, by id; of one that does not
	// exist there is nothing.
	WebhookFacts(ctx context.Context, ids ...string) (map[string]WebhookFacts, error)
	// Series returns what moved in a window up to now, of one webhook or, with "", of all. The
	// window is an hour, by the minute, or a day, by the quarter of an hour; CodeInvalid
	// otherwise. What is not folded yet is in it, and folding changes nothing of it.
	Series(ctx context.Context, webhookID string, window time.Duration) (Series, error)
}

// SeriesStep is how long each span of a series of this window is; 0 for one that there is
// no series of.
func SeriesStep(window time.Duration) time.Duration {
	switch window {
	case time.Hour:
		return time.Minute
	case 24 * time.Hour:
		return 15 * time.Minute
	}
	return 0
}

// Series is what moved, by time.
type Series struct {
	Step time.Duration
	// Spans are all of the window, oldest first, those in which nothing moved too. The last is
	// under way.
	Spans []Span
	// Total is the sum of the spans.
	Total Movement
	// Now is the store's clock.
	Now time.Time
}

// Span is what moved from Start on, for a step. What moves counts when it is written, within
// the transaction, so that a span may still grow for some seconds after its end.
type Span struct {
	Start time.Time
	Movement
}

// Movement is how counters changed. Accepted, Delivered, Dead and Suppressed are the
// difference between two balances of the ledger: redelivering what is dead takes it away
// there, so that Dead and Suppressed may be negative.
type Movement struct {
	// Events counts those that were new, however many webhooks want them. It is 0 in the series of
	// one webhook.
	Events     int64
	Accepted   int64
	Delivered  int64
	Dead       int64
	Suppressed int64
	// Attempts counts those that ended, Failed those of them with which nothing was delivered.
	Attempts int64
	Failed   int64
}

// Add returns the sum.
func (m Movement) Add(o Movement) Movement {
	return Movement{
		Events: m.Events + o.Events, Accepted: m.Accepted + o.Accepted, Delivered: m.Delivered + o.Delivered, Dead: m.Dead + o.Dead,
		Suppressed: m.Suppressed + o.Suppressed, Attempts: m.Attempts + o.Attempts, Failed: m.Failed + o.Failed,
	}
}

// Backlog is what one webhook owes.
type Backlog struct {
	WebhookID string
	Name      string
	Channel   string
	State     State
	// Pending and InFlight are the ledger's.
	Pending  int64
	InFlight int64
	// OldestAt is since when the first of what is owed waits: the moment its first pending
	// event was owed, or its first open delivery was frozen, whichever is earlier. nil when
	// neither is there.
	OldestAt *time.Time
}

// BacklogTotal is the sum over all webhooks.
type BacklogTotal struct {
	// Balance is the ledger of all webhooks, without names.
	Balance
	// Owing is how many webhooks owe something; OldestAt is the earliest of theirs.
	Owing    int
	OldestAt *time.Time
	// Webhooks counts those that are not deleted, by state. A state without any is absent.
	Webhooks map[State]int
}

// WebhookQuery selects webhooks. Zero fields select all.
type WebhookQuery struct {
	Page
	State   State
	Channel string
	Text    string // part of the name, the id, or the value of a label; case-insensitive
}

// WebhookFacts are what a list says of a webhook beside its configuration and [Activity].
type WebhookFacts struct {
	Balance
	// OldestAt is as of [Backlog].
	OldestAt *time.Time
	Recent   Recent
	// Rejected counts the events of the last [RecentFor] that came by signal and were not taken
	// (of those, the ones that are kept: see [MaxRejections]); RejectedAt is when the last did,
	// nil without any.
	Rejected   int
	RejectedAt *time.Time
}

// Recent sums up the latest attempts of a webhook that ended: at most [RecentAttempts], of the
// last [RecentFor].
type Recent struct {
	Attempts int
	Failed   int // with which nothing was delivered
	// P50 and P95 are how long half of them took at most, and 95 of 100; to the millisecond, 0
	// without attempts.
	P50, P95 time.Duration
}

const (
	// RecentAttempts is how many attempts a Recent looks at.
	RecentAttempts = 200
	// RecentFor is how old they are at most.
	RecentFor = 24 * time.Hour
)
