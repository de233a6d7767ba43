package tocsin

import (
	"context"
	"time"
)

// ReplayState is what a replay is doing.
type ReplayState string

// The states of a replay. The last three are final.
const (
	ReplayRunning   ReplayState = "running"
	ReplayPaused    ReplayState = "paused"
	ReplayDone      ReplayState = "done"
	ReplayCancelled ReplayState = "cancelled" // what it had replayed stays replayed
	ReplayFailed    ReplayState = "failed"    // its webhook was deleted
)

// Final reports whether a replay in this state is over.
func (s ReplayState) Final() bool {
	return s == ReplayDone || s == ReplayCancelled || s == ReplayFailed
}

// ReplayWhat says what a replay selects.
type ReplayWhat string

// What can be replayed. The first three select deliveries, which are sent again under
// their own ids; the others select events, which are owed again as a new generation and
// go out in new deliveries.
const (
	ReplayDead       ReplayWhat = "dead" // also delivered and split ones, for their events that are dead
	ReplayDelivered  ReplayWhat = "delivered"
	ReplayAborted    ReplayWhat = "cancelled"  // deliveries that were open when their webhook discarded
	ReplaySuppressed ReplayWhat = "suppressed" // events of which every obligation was suppressed
	// ReplayMissing is for events the webhook matches now and was never owed. One that is
	// still being appended when the replay has passed its time of receipt is not found:
	// ask again for the last minute before the change that is made up for.
	ReplayMissing ReplayWhat = "missing"
	ReplayAll     ReplayWhat = "all" // events the webhook matches now, but for those it still owes
)

// OfDeliveries reports whether deliveries are selected, not events.
func (w ReplayWhat) OfDeliveries() bool {
	return w == ReplayDead || w == ReplayDelivered || w == ReplayAborted
}

// ReplaySelection says what to replay. Its JSON form is part of the API's.
type ReplaySelection struct {
	WebhookID string     `json:"webhook_id"`
	What      ReplayWhat `json:"what"`
	// Types narrows it to events of these alert types, or deliveries with one; empty: all.
	Types []string `json:"types"`
	// Since and Until bound when the event was received, or the delivery created:
	// Since <= t < Until. A zero Since is the beginning; Until is never zero in a stored
	// replay, so that nothing it brings about is selected by it.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// Replay sends deliveries again, or owes events again, of one webhook. Its workflow
// moves it on step by step; everything it knows is here.
type Replay struct {
	ID string `json:"id"`
	ReplaySelection
	// MaxRate is how many events are replayed in a second at most; 0: no limit.
	MaxRate float64     `json:"max_per_second"`
	State   ReplayState `json:"state"`
	Reason  string      `json:"reason,omitempty"` // why it failed, or was cancelled
	// Total is how many events it would replay, counted when it was created; -1 when
	// that took too long. What the webhook still owed then is not counted, and is replayed
	// if it is owed no longer when the replay comes there: the total is never less than
	// Replayed.
	Total int64 `json:"total"`
	// Replayed counts events sent or owed again, Deliveries the deliveries sent again,
	// Skipped the candidates that were neither (already open, not matching).
	Replayed   int64 `json:"replayed"`
	Deliveries int64 `json:"deliveries"`
	Skipped    int64 `json:"skipped"`
	// Cursor is where it is, opaque; "" is the beginning.
	Cursor     string     `json:"-"`
	Author     string     `json:"author"`
	CreatedAt  time.Time  `json:"created_at"`
	UpdatedAt  time.Time  `json:"updated_at"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
}

// ReplayCandidates is a page of what a selection may mean.
type ReplayCandidates struct {
	// Deliveries, oldest first, for a selection of deliveries: in the state and range, with
	// an event of Types. Of delivered and split ones that ReplayDead selects, a dead event is
	// of Types. Count is how many of its events would be sent again.
	Deliveries []Delivery
	// Events, oldest first, for a selection of events: in the range, of Types, and with
	// regard to the webhook's obligations as What says. Whether the webhook matches
	// them is for the caller to find out (suppressed ones matched before).
	Events []Event
	// Next is the cursor after this page; Last says that no page follows.
	Next string
	Last bool
}

// Reowed is an event to owe again.
type Reowed struct {
	Seq      int64
	BatchKey string
}

// ReplayStep is one step of a replay.
type ReplayStep struct {
	// From is the cursor the step was made from, To where it leads.
	From, To string
	Send     []string // deliveries to send again, as Queue.Redeliver would
	Owe      []Reowed // events to owe again
	Skipped  int      // candidates passed over
	Done     bool     // nothing follows: the replay is done
}

// Replays keeps replays.
type Replays interface {
	// CreateReplay stores r as running, with its times; Until where zero, or still to come,
	// is set to now. Repeated with the same id it returns what is stored.
	CreateReplay(ctx context.Context, r Replay) (Replay, error)
	// Replay finds one; ErrNotFound.
	Replay(ctx context.Context, id string) (Replay, error)
	// ListReplays returns replays, newest first.
	ListReplays(ctx context.Context, p Page) (replays []Replay, next string, err error)
	// SetReplayState moves one; to the state it is in already changes nothing. An *Error
	// with CodeConflict when its state is final; ErrNotFound.
	SetReplayState(ctx context.Context, id string, to ReplayState, reason string) (Replay, error)
	// ReplayCandidates reads a page of at most limit candidates from a cursor on. A page
	// may be empty without being the last.
	ReplayCandidates(ctx context.Context, s ReplaySelection, cursor string, limit int) (ReplayCandidates, error)
	// ReplayStep makes one step in one transaction: deliveries become ready, events are
	// owed under their next generation, the ledger and the replay's counters and cursor
	// move, and a total that was too small. Nothing is written when the replay's cursor is not step.From any more (a
	// repeated call), or it does not run; the replay is returned as it is then. Deliveries that
	// cannot be sent again, or are no longer what is selected, and events that are gone,
	// pending or in flight for the webhook by now, count as skipped (for ReplayMissing also
	// those with any obligation). A webhook that is deleted makes the replay failed. The
	// caller rings the webhook afterwards.
	ReplayStep(ctx context.Context, id string, step ReplayStep) (Replay, error)
}
