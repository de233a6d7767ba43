package tocsin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// IncidentState is how an incident stands.
type IncidentState string

// The states of an incident. An acknowledged one is open too: somebody looks at it.
const (
	IncidentOpen         IncidentState = "open"
	IncidentAcknowledged IncidentState = "acknowledged"
	IncidentResolved     IncidentState = "resolved" // final; firing again opens a new incident
)

// The alert types that tell the webhooks an incident has reached what people did about
// it. Both bring the incident's own dedup key, so that a channel finds its object.
const (
	TypeIncidentAcknowledged = "incident.acknowledged" // status firing
	TypeIncidentResolved     = "incident.resolved"     // status resolved
)

// UnlessAcknowledged is the only condition of an [Escalation].
const UnlessAcknowledged = "acknowledged"

// Incident is what the escalated events of one dedup key belong to: it is opened by the
// first that fires and ends with one that is resolved, or by a person. At most one per
// dedup key is not resolved. Its JSON form is the API's.
type Incident struct {
	ID       string        `json:"id"` // inc_…
	DedupKey string        `json:"dedup_key"`
	State    IncidentState `json:"state"`
	// Type, Title, Subject and Severity are of the latest event that fired, the severity the
	// highest so far.
	Type     string   `json:"type"`
	Title    string   `json:"title"`
	Subject  string   `json:"subject,omitempty"`
	Severity Severity `json:"severity"`
	// Events counts the events that fired.
	Events         int        `json:"events"`
	OpenedAt       time.Time  `json:"opened_at"`
	UpdatedAt      time.Time  `json:"updated_at"`
	AcknowledgedAt *time.Time `json:"acknowledged_at,omitempty"`
	AcknowledgedBy string     `json:"acknowledged_by,omitempty"`
	ResolvedAt     *time.Time `json:"resolved_at,omitempty"`
	// ResolvedBy is who resolved it; "" when an event did.
	ResolvedBy string `json:"resolved_by,omitempty"`
	// Seq is the latest event that fired.
	Seq int64 `json:"-"`
	// Version grows with every change but that it fires again, no worse and with no further
	// step; Attended is the version the workflow has seen.
	Version  int64 `json:"-"`
	Attended int64 `json:"-"`
	// Steps by DueAt.
	Steps []IncidentStep `json:"steps"`
}

// Key names the incident's workflow.
func (i *Incident) Key() string { return IncidentKey(i.DedupKey) }

// IncidentKey is a hash of a dedup key, which may be any text of a producer's: the
// workflow of its incidents is incident/<key>.
func IncidentKey(dedupKey string) string {
	sum := sha256.Sum256([]byte(dedupKey))
	return hex.EncodeToString(sum[:16])
}

// StepState is what became of a step.
type StepState string

// The states of a step.
const (
	StepWaiting StepState = "waiting"
	StepDone    StepState = "done" // the webhook it leads to was owed the event: it is reached
	StepSkipped StepState = "skipped"
)

// IncidentStep is one escalation of an incident. There is one per webhook, the webhook it
// leads to and After, made by the first event of the incident that asks for it, and made
// stricter by those that ask for it without Unless.
type IncidentStep struct {
	ID        int64     `json:"-"`
	WebhookID string    `json:"webhook_id"` // whose escalate says so
	To        string    `json:"to"`         // id of the webhook it leads to
	After     Duration  `json:"after"`
	Unless    string    `json:"unless,omitempty"`
	State     StepState `json:"state"`
	Reason    string    `json:"reason,omitempty"` // why skipped: "acknowledged", "resolved", "webhook deleted"
	// Seq is the event that To was owed when the step was done; 0 when it was owed none.
	Seq    int64      `json:"-"`
	DueAt  time.Time  `json:"due_at"`
	DoneAt *time.Time `json:"done_at,omitempty"`
}

// Escalated is a step that an obligation brings with it. The embedded obligation is what
// the webhook it leads to is owed; its own Escalate is empty, since chains are flattened
// by whoever matches (the times added up).
type Escalated struct {
	Obligation
	After  time.Duration
	Unless string
}

// IncidentChange is what a person did about an incident. It travels with the event that
// tells of it, in the same transaction.
type IncidentChange struct {
	ID string
	To IncidentState // IncidentAcknowledged or IncidentResolved
	By string
}

// IncidentQuery selects incidents, newest first. Zero fields select all.
type IncidentQuery struct {
	Page
	// State, or "unresolved" for open and acknowledged ones.
	State    string
	DedupKey string
	// MinSeverity is of the highest severity so far.
	MinSeverity Severity
	Since       time.Time // opened at or after
	Until       time.Time // opened before
}

// Incidents keeps incidents. They are opened, acknowledged and resolved by
// EventLog.Append alone, in the transaction of the event that does so.
type Incidents interface {
	// Incident finds one by id, with its steps; ErrNotFound.
	Incident(ctx context.Context, id string) (Incident, error)
	// ListIncidents returns incidents with their steps.
	ListIncidents(ctx context.Context, q IncidentQuery) (incidents []Incident, next string, err error)
	// Attend returns the latest incident of a key ([IncidentKey]), with its steps, the store's time,
	// and notes that its version has been seen. ErrNotFound.
	Attend(ctx context.Context, key string) (i Incident, now time.Time, err error)
	// Escalate makes a step that is due: in one transaction it locks the incident, owes its
	// latest event that fired to the step's webhook as a new generation (or suppresses it where
	// owed.Suppressed says so), and the step is done. Where owed.WebhookID is "" the step is
	// skipped with skip as its reason. seq is the event the obligation was made for: where the
	// latest that fired is another by now, nothing changes, and the caller asks again. Nor does
	// it for a step that is not waiting any more, or not due yet. Where a step of another
	// webhook has owed that event to the same one since this step was due, it is done and owes
	// nothing. The caller rings the webhook afterwards. It returns the incident as it is then.
	Escalate(ctx context.Context, incidentID string, step, seq int64, owed Obligation, skip string) (Incident, error)
	// Unattended returns the keys of incidents that no workflow seems to look after: with a version
	// not seen, or a waiting step due, for longer than grace.
	Unattended(ctx context.Context, grace time.Duration, limit int) (keys []string, err error)
}
