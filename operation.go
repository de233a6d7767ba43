package tocsin

import (
	"context"
	"encoding/json"
	"time"
)

// AuditEntry is one change that somebody made or was refused. It is written before the
// change, without an outcome, and completed after it: an entry without one is of a
// process that died in between, and the change may have been made or not.
type AuditEntry struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
	// Actor is who: "key NAME", "command line USER", "temporal", "anonymous", "tocsin".
	Actor string `json:"actor"`
	// Address is where from, as host without port; "" for a process of our own.
	Address string `json:"address,omitempty"`
	// Action is a noun and a verb: "webhook.create", "key.delete", "api.refuse".
	Action string `json:"action"`
	// Object is the id of what it is about, Name its name.
	Object string `json:"object,omitempty"`
	Name   string `json:"name,omitempty"`
	// Before and After are the public forms, secrets as [Redacted]; nil for none.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
	// Outcome is "" (not known), AuditDone, AuditRefused or AuditFailed; Detail says why.
	Outcome string `json:"outcome"`
	Detail  string `json:"detail,omitempty"`
}

// The outcomes of an audited change.
const (
	AuditDone    = "done"
	AuditRefused = "refused" // for what the caller is or asked for
	AuditFailed  = "failed"  // for something else
)

// AuditQuery selects entries, newest first. Zero fields select all.
type AuditQuery struct {
	Page
	Actor, Action, Object, Name string
	Since, Until                time.Time
}

// AuditLog keeps who changed what, apart from events and longer.
type AuditLog interface {
	// BeginAudit stores an entry; At is set to now, and ID where it is "".
	BeginAudit(ctx context.Context, e AuditEntry) (AuditEntry, error)
	// EndAudit completes the entry with this ID: Outcome, Detail, and Object, Name, Before and After
	// where e has them. ErrNotFound.
	EndAudit(ctx context.Context, e AuditEntry) error
	AuditEntries(ctx context.Context, q AuditQuery) (entries []AuditEntry, next string, err error)
}

// Retention says how long things are kept. Zero fields are kept for ever.
type Retention struct {
	// History is for finished deliveries with their attempts, suppressed obligations,
	// rejections, incidents that are resolved, and the events that nothing refers to any more (an incident
	// that is not resolved refers to its latest one).
	History time.Duration
	// Keys is for the keys of events, by which duplicates are known: at least History.
	Keys time.Duration
	// Audit is for audit entries and finished replays and mutes. Entries without an outcome
	// are kept for a day at least.
	Audit time.Duration
	// Refs is for what vendors called incidents that nothing was sent about for so long.
	Refs time.Duration
}

// Pruned counts what was removed, or would be.
type Pruned struct {
	Deliveries int64 `json:"deliveries"`
	Attempts   int64 `json:"attempts"`
	Suppressed int64 `json:"suppressed"`
	Events     int64 `json:"events"`
	Keys       int64 `json:"keys"`
	Audit      int64 `json:"audit"`
	Refs       int64 `json:"refs"` // and remembered repeats
	Incidents  int64 `json:"incidents"`
	Rejections int64 `json:"rejections"` // of events that came by signal
}

// Add returns the sum.
func (p Pruned) Add(o Pruned) Pruned {
	return Pruned{
		p.Deliveries + o.Deliveries, p.Attempts + o.Attempts, p.Suppressed + o.Suppressed, p.Events + o.Events,
		p.Keys + o.Keys, p.Audit + o.Audit, p.Refs + o.Refs, p.Incidents + o.Incidents, p.Rejections + o.Rejections,
	}
}

// Pruner removes what is old. Nothing that is owed is ever removed, nor an event
// that a pending row, a delivery or a suppressed row refers to; what the ledger counted
// moves to its baseline in the same transaction.
type Pruner interface {
	// Prune removes at most about limit rows of each kind in short transactions that no
	// ingest waits for, and reports whether more is left. Call it until none is; whoever
	// stops before that goes on where they were, when they come back within the hour.
	Prune(ctx context.Context, r Retention, limit int) (p Pruned, more bool, err error)
	// Prunable counts what Prune would remove now of what nothing else keeps, from one snapshot.
	Prunable(ctx context.Context, r Retention) (Pruned, error)
}

// SigningKey is an ed25519 key that deliveries are signed with, of the whole
// installation. Its public half is published; its private half is sealed, bound to ID.
type SigningKey struct {
	ID        string    `json:"id"`
	Public    []byte    `json:"public"` // 32 bytes
	Sealed    []byte    `json:"-"`
	CreatedAt time.Time `json:"created_at"`
	// SignsFrom is when it begins to sign: later than it is published, so that
	// receivers know it by then. SignsUntil ends it; nil for the newest.
	SignsFrom  time.Time  `json:"signs_from"`
	SignsUntil *time.Time `json:"signs_until,omitempty"`
}

// Sealing keeps keys and sealed values.
type Sealing interface {
	// SigningKeys returns all whose SignsUntil is not more than a week past, oldest first.
	SigningKeys(ctx context.Context) ([]SigningKey, error)
	// AddSigningKey stores k (its times are set), which signs from now + lead on, at once when it is the
	// first, and ends the others overlap after that. Nothing is stored while the newest
	// is younger than unless; all keys are returned as SigningKeys does. Safe for many processes at once.
	AddSigningKey(ctx context.Context, k SigningKey, lead, overlap, unless time.Duration) ([]SigningKey, error)
	// ResealWebhook replaces a webhook's sealed configuration if it still is old; no
	// version changes. ErrVersion otherwise, ErrNotFound. Deleted webhooks too.
	ResealWebhook(ctx context.Context, id string, old, sealed []byte) error
	// ResealSigningKey does the same for a signing key.
	ResealSigningKey(ctx context.Context, id string, old, sealed []byte) error
	// SealedWebhooks returns id and sealed configuration of all webhooks, deleted ones too.
	SealedWebhooks(ctx context.Context) (map[string][]byte, error)
}
