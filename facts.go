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
