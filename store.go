package tocsin

import (
	"context"
	"encoding/json"
	"time"
)

// Store is everything Tocsin keeps: one log of events, who is owed what, and what
// became of it. store/postgres and store/sqlite implement it, and storetest holds both
// to the words below. All times come from the store's clock, so deadlines do not
// depend on which process asks. Errors about the store itself (connection lost, disk
// full) are *Error with CodeUnavailable and wrap the cause; nothing was written then,
// except where a commit's outcome is unknown, which every method survives being
// repeated after.
type Store interface {
	EventLog
	Webhooks
	Leases
	Queue
	History
	Ledger
	Facts
	Rejections
	Keys
	Mutes
	Replays
	Incidents
	AuditLog
	Pruner
	Sealing
	// Migrate brings the schema up to date; it is safe to run by many processes at once,
	// beside others that work. What it did stays when it is cut off; the next call goes on.
	// A schema newer than this program is an error that names both versions.
	Migrate(ctx context.Context) error
	// Ping returns an error when the store cannot be used: unreachable, or not migrated.
	Ping(ctx context.Context) error
	Close() error
}

// EventLog is the way in.
type EventLog interface {
	// Append commits events and what is owed for them in one transaction, or nothing.
	// revision is the configuration the obligations were matched against: when the
	// stored one is newer, Append writes nothing and returns ErrStaleRevision. An event
	// whose (source, id) is known already is a duplicate (or a conflict, when its
	// Fingerprint differs), also within the batch; nothing is written for it, the first
	// wins. Events of other transactions in flight with the same key are waited for.
	// Incidents are locked first, in the order of their keys, then the keys of events in theirs,
	// so concurrent calls never deadlock, and what opens and ends an incident is numbered in
	// that order.
	//
	// Escalations are part of the same transaction (see Incidents), in the order of the
	// batch. An event that fires, with an obligation that is not suppressed and brings
	// steps, opens the incident of its dedup key or belongs to the one that is open. What opens
	// one is owed whatever RepeatAfter of an obligation that brings steps says. Each step not
	// there yet is added, due After from now. Of one that is there with Unless, and comes without
	// now, the condition is dropped; had acknowledging skipped it, it begins anew, due After from
	// now. A step without After is done at once: its obligation is owed like one of Owed, unless
	// the event is owed to that webhook already; that happens for every such event, also when
	// the step was done before.
	//
	// An event that is resolved ends the incident of its dedup key: waiting steps are skipped
	// ("resolved"), and every webhook that a done step has reached is owed the event as Reach
	// says, in place of what Owed says, unless it is not in Reach. An event with a Change does
	// what that says to the incident named there, if it still can (acknowledging skips the
	// waiting steps with Unless; resolving is as above), and is owed to the webhooks reached in
	// the same way. An end that is appended while the event that opens the incident is not
	// committed yet may find none.
	Append(ctx context.Context, revision int64, batch []NewEvent) (AppendResult, error)
	// Ring marks webhooks as awake after something was committed that they are owed, in
	// a statement of its own, and returns those that were not: exactly these must be
	// signalled. The others are given a hint (see Hints). It locks rows in the order of
	// their ids.
	Ring(ctx context.Context, webhookIDs []string) (asleep []string, err error)
	// Hints returns a channel that gets a value soon after work for the webhook was
	// committed by any process. It is only a hint: some are lost, some are false. stop
	// ends it.
	Hints(webhookID string) (hint <-chan struct{}, stop func())
}

// NewEvent is an event to append, with what is owed for it.
type NewEvent struct {
	Event Event // DedupKey, Severity, Status and Time filled in; Seq and ReceivedAt not
	// Fingerprint is a hash of the content, to tell a duplicate from a conflict.
	Fingerprint []byte
	Owed        []Obligation
	// Reach holds what each webhook that others escalate to is owed, should an incident
	// have reached it. It is there for events that are resolved or have a Change.
	Reach []Obligation
	// Change is what the event says was done about an incident; nil for most.
	Change *IncidentChange
}

// AppendResult is what became of a batch.
type AppendResult struct {
	Events []Appended // one per event
	// Owed are the webhooks for which something is pending now: ring exactly these.
	Owed []string
	// Incidents are the keys ([IncidentKey]) of incidents with a new version: their workflows
	// are to be told.
	Incidents []string
}

// Obligation says that a webhook is owed an event.
type Obligation struct {
	WebhookID string
	// BatchKey is the channel's [Channel.BatchKey].
	BatchKey string
	// Suppressed is "" to owe the event; otherwise the reason it was accepted for the
	// webhook and at once suppressed ([MutedBy]).
	Suppressed string
	// RepeatAfter, when not 0 and Suppressed is "", suppresses the event as
	// [ReasonRepeat] if the last event with its dedup key that the webhook was owed this way
	// has the same status and was received less than this before. Append decides it in
	// its transaction, by the store's clock, in the order of the batch, so that any number
	// of processes agree; one that is decided later than another that was received after it
	// is owed where their statuses differ, and does not count as the last. A
	// suppressed repeat does not prolong the time; another status begins anew. What opens an
	// incident is no repeat (see Append).
	RepeatAfter time.Duration
	// Escalate are the steps that the event brings about unless it is suppressed here.
	Escalate []Escalated
}

// Appended says what became of one event of a batch.
type Appended string

// What Append answers for each event.
const (
	AppendedNew       Appended = "accepted"
	AppendedDuplicate Appended = "duplicate"
	AppendedConflict  Appended = "conflict"
)

// Webhooks keeps configuration. Every change adds one to the configuration revision
// and to the webhook's version, and clears its backoff, in the same transaction.
type Webhooks interface {
	// CreateWebhook stores w as active, with StateSince, CreatedAt and UpdatedAt, and
	// its Anchor where that is zero, set to now and Version to 1. It is asleep, since
	// nothing is owed yet: its first event rings, whether its workflow is there or not. ErrNameTaken when a webhook that is not deleted has the name.
	CreateWebhook(ctx context.Context, w Webhook) (Webhook, error)
	// UpdateWebhook stores Settings, Config and Sealed of w if its Version is still the
	// stored one; ErrVersion otherwise, ErrNotFound, ErrNameTaken.
	UpdateWebhook(ctx context.Context, w Webhook) (Webhook, error)
	// SetState moves the webhook into a state and returns it. To the state it is in
	// already changes nothing, version included. A deleted webhook is ErrNotFound; its
	// name is free again. Resuming (to active from paused, failing or disabled) also
	// clears the count of failures, and of what was announced keeps at most that it is
	// failing (Announced 1), so that the steps towards disabling are announced anew. The
	// time spent in a state that does not deliver does not count for retry_for: with any
	// change out of one, FirstAttempt of open deliveries moves on by it. With a version it
	// does all this only while that is the stored one: ErrVersion otherwise.
	SetState(ctx context.Context, id string, to State, reason string, version ...int64) (Webhook, error)
	// Webhook finds one by id, deleted ones included; ErrNotFound.
	Webhook(ctx context.Context, id string) (Webhook, error)
	// WebhookByName finds one that is not deleted; ErrNotFound.
	WebhookByName(ctx context.Context, name string) (Webhook, error)
	// ListWebhooks returns all that are not deleted, by name, and the configuration
	// revision they belong to, from one snapshot.
	ListWebhooks(ctx context.Context) (revision int64, all []Webhook, err error)
	// Activities returns what webhooks did last and do next, by id; all that are not
	// deleted when ids is empty.
	Activities(ctx context.Context, ids ...string) (map[string]Activity, error)
}

// Fence is the right to deliver for one webhook. A Deliver that begins makes all
// earlier fences of the webhook stale.
type Fence struct {
	WebhookID string
	Number    int64
	// Version is the webhook's version the holder works by.
	Version int64
}

// Lease is what Begin grants.
type Lease struct {
	Fence
	Webhook Webhook
	Activity
	Now time.Time
	// RunCutoff is the moment up to which the run in progress of a periodic webhook
	// delivers; nil between runs.
	RunCutoff *time.Time
	// Rejections counts single events refused in a row, without a success between.
	Rejections int
	// RunNow says that somebody asked for a run since the last one began.
	RunNow bool
}

// Leases is the doorbell's other half and the clock of each webhook. Every method that
// takes a Fence checks it in its own transaction: ErrFenced when stale.
type Leases interface {
	// Begin takes the webhook over: commits its fence number plus one, and the version
	// as applied. One that delivers is awake from then on, until it rests: it looks for work
	// by itself, and whoever rings need not signal. ErrNotFound when there is no such
	// webhook; deleted ones are returned.
	Begin(ctx context.Context, webhookID string) (Lease, error)
	// BeginRun starts a run: its cutoff becomes now, is stored and returned, and a request
	// by RunNow is met: a backoff that was set since is forgotten as well, being that of an
	// attempt that was under way. While a run is in progress it returns that one's cutoff.
	BeginRun(ctx context.Context, f Fence) (cutoff time.Time, err error)
	// EndRun ends the run in progress, if any. A request by RunNow that came since it began
	// stays: it asks for what came since.
	EndRun(ctx context.Context, f Fence) error
	// Rest goes idle: it commits awake = false and then, in a new statement, looks for
	// work that is owed. With none it returns false. Otherwise it sets awake again
	// where it is still false; if it won, it returns true and the caller must go on; if
	// somebody else did, false: their signal is on its way. Webhooks in a state that
	// does not deliver are left awake, so that nobody rings them: false.
	Rest(ctx context.Context, f Fence) (owed bool, err error)
	// Park stays awake until the next tick: it stores next (and nothing else), for
	// Overdue and for people to see. With a RunNow that came since, it stores none, so that
	// a lost wake-up is found by Overdue.
	Park(ctx context.Context, f Fence, next time.Time) error
	// RunNow asks for a run at once: it clears backoff and the tick that is waited for.
	// ErrNotFound for a webhook that is not there or deleted.
	RunNow(ctx context.Context, webhookID string) error
	// Overdue finds webhooks that nobody seems to look after: with a version not applied
	// for longer than grace; or in a state that delivers, owing work, with backoff and
	// next tick past by more than grace, and no Deliver heard of (see Claim) for longer
	// than grace; or deleted and still owing. They must be signalled whatever awake
	// says. Those that owe come first.
	Overdue(ctx context.Context, grace time.Duration, limit int) (webhookIDs []string, err error)
}

// MaxOpen is how many open deliveries Owed returns at most. Many more can be open when
// people redeliver; they are worked through in order.
const MaxOpen = 64

// PendingEvent is an obligation in no delivery yet.
type PendingEvent struct {
	Seq        int64
	Generation int64
	DedupKey   string
	BatchKey   string
	Bytes      int // of the event as stored
	OwedAt     time.Time
}

// OpenDelivery is a delivery that is ready or sending, and the incidents it is about.
type OpenDelivery struct {
	Delivery
	DedupKeys []string
	// Seqs are the numbers of its events, in their order, where it was planned just now;
	// otherwise nil.
	Seqs []int64
}

// NewDelivery is a batch to freeze: these rows, in this order.
type NewDelivery struct {
	ID     string
	Events []PendingEvent
}

// Claimed is a delivery whose attempt is open.
type Claimed struct {
	Delivery Delivery
	Attempt  int // its number
	At       time.Time
	Events   []Event
	// Generations are those of the events' obligations: 0, or how often the event was owed
	// to the webhook before.
	Generations []int64
	Refs        map[string]json.RawMessage
	// Uncertain says that an earlier attempt ended without a known refusal.
	Uncertain bool
}

// Outcome is how an attempt ended. Exactly one of these kinds:
//
//   - delivered: State is DeliveryDelivered, for all events or for those not in Dead
//     and not in Children.
//   - dead: State is DeliveryDead; every event is dead with Reason.
//   - split: State is DeliverySplit; the events of Children are owed in them, those in
//     Dead are dead, and the others were delivered with this attempt.
//   - to be tried again: State is DeliveryReady.
type Outcome struct {
	DeliveryID string
	Attempt    Attempt
	State      DeliveryState
	Reason     string
	// Dead maps places in the delivery (from 0) to the reason that event is dead.
	Dead map[int]string
	// Children are new deliveries with the places of their events.
	Children []Child
	Refs     map[string]json.RawMessage
	// Backoff sets the webhook's due_at to now + Backoff, 0 for at once, unless it is
	// later already: a Retry-After is never shortened by another delivery's failure. It is
	// used with DeliveryReady; with DeliverySplit and DeliveryDead where it is not 0, since
	// what the receiver asked for holds for the webhook, whatever becomes of the delivery;
	// and not when the webhook's version is no longer the fence's.
	Backoff time.Duration
	// Failed adds one to the webhook's failures in a row; DeliveryDelivered and a split
	// with delivered events set them to 0.
	Failed bool
	// Rejected adds one to the webhook's rejections in a row, which are set to 0 together
	// with its failures.
	Rejected bool
	// WebhookState moves the webhook, "" for no change: failing (which changes no
	// version), active again after failing, disabled (which adds to the version).
	WebhookState  State
	WebhookReason string
	// Unsure says that the receiver may have accepted it, although no success was seen.
	Unsure bool
}

// Child is one half of a split delivery.
type Child struct {
	ID     string
	Places []int
}

// Step is what [Queue]'s Advance does. Each part may be missing.
type Step struct {
	// Record is how an attempt ended: outcome, the vendor's references, counters and the
	// webhook's failures. Once stored it stands, whatever becomes of the other parts, except
	// where the store itself fails. A stale fence is ErrFenced, and nothing is done; but an
	// outcome of DeliveryDelivered may be recorded by anyone while the delivery is ready or
	// sending, and only the other parts are ErrFenced then. ErrNotFound, and nothing is done,
	// when there is no such delivery. Recording for a delivery that is not open any more
	// changes nothing but the attempt, recording again changes nothing, and neither is an
	// error.
	Record *Outcome
	// Plan freezes batches: it removes exactly the named rows from pending and makes them
	// deliveries that are ready. All or nothing: when any row is gone it is ErrFenced, and
	// nothing is claimed.
	Plan []NewDelivery
	// Claim opens the next attempt of a delivery that is ready or sending, one of Plan
	// perhaps, and returns all that a sender needs. ErrVersion when the webhook was changed
	// since the fence's version, or its state no longer delivers: nothing may be sent then. So
	// no attempt begins after a pause has answered; one that had begun may still arrive.
	// ErrNotFound when the delivery is no longer open. Record and Plan stand in both cases.
	Claim string
	// ClaimSeqs are the numbers of all events that the delivery of Claim was planned with, in
	// their order, for a store that may have them at hand; nil when the caller does not know.
	ClaimSeqs []int64
}

// Queue is what Deliver works through. Every method checks the fence in its own
// transaction, and that counts as a sign of life for Overdue.
type Queue interface {
	// Owed returns a window of the webhook's work from one snapshot: its open
	// deliveries in the order they were created (children in place of their parent),
	// and its pending events ordered by Seq then Generation, those owed up to before
	// when that is not zero. At most limit of each, and at most MaxOpen deliveries. Beside a
	// backlog of more than limit, old events that a replay owes may be found a second later.
	Owed(ctx context.Context, f Fence, before time.Time, limit int) ([]OpenDelivery, []PendingEvent, error)
	// Advance records, plans and claims as the step says, in that order and in one
	// transaction. What an error leaves undone is said with each part: see [Step].
	Advance(ctx context.Context, f Fence, s Step) (Claimed, error)
	// Discard suppresses up to limit pending events, and open deliveries once no
	// pending event is left, with a reason ("webhook deleted", "discarded"). Pending events
	// owed after before are left alone, unless that is zero. It returns how many
	// obligations it settled; 0 means that there is nothing left to discard.
	Discard(ctx context.Context, f Fence, before time.Time, reason string, limit int) (int, error)
	// Redeliver makes a dead, delivered or cancelled delivery ready again, with the same
	// id, and a split one that has dead events of its own. One that was delivered moves no
	// bucket of the ledger. Of one with events that were delivered and others dead only the
	// dead are owed again; those in children stay with them, whatever it ends as.
	// retry_for counts anew, from its next attempt. ErrNotFound; an *Error with
	// CodeConflict when it is open already, split without dead events, or its webhook
	// deleted. The caller rings the webhook afterwards.
	Redeliver(ctx context.Context, deliveryID string) (Delivery, error)
	// Announce notes how much of the webhook's failing has been announced (Activity.Announced).
	Announce(ctx context.Context, f Fence, level int) error
}

// Conductor wakes webhooks' workflows. package workflows implements it on Temporal;
// a failure is never fatal, since the sweeper makes up for it.
type Conductor interface {
	// Ring sends the doorbell signal to webhooks that Store.Ring found asleep, starting
	// workflows that are missing.
	Ring(ctx context.Context, webhookIDs ...string) error
	// Apply tells a webhook's workflow that its stored row changed: update is
	// "configure", "pause", "resume" or "run-now".
	Apply(ctx context.Context, webhookID, update string, version int64) error
	// Replay starts or wakes a replay's workflow.
	Replay(ctx context.Context, replayID string) error
	// Incidents starts or wakes the workflows of incidents, by their keys.
	Incidents(ctx context.Context, keys ...string) error
}
