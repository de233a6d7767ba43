package tocsin

import (
	"encoding/json"
	"fmt"
	"time"
)

// State is what a webhook is doing.
type State string

// The states. Events keep accumulating in every state but StateDeleted.
const (
	StateActive   State = "active"   // delivers
	StatePaused   State = "paused"   // somebody paused it; holds
	StateFailing  State = "failing"  // fails in a row; holds, and probes one delivery at a time
	StateDisabled State = "disabled" // the receiver said 410, or disable_after passed; holds
	StateDeleted  State = "deleted"  // gone; what it owed is suppressed
)

// Delivers reports whether a webhook in this state sends anything.
func (s State) Delivers() bool { return s == StateActive || s == StateFailing }

// Frequency is how often a webhook delivers.
type Frequency string

// The frequencies.
const (
	Periodic Frequency = "periodic" // at each tick: anchor + k × run_every
	Instant  Frequency = "instant"  // at once
)

// Selector chooses events by alert type or category, optionally of some collections
// only. Its JSON form is the bare name when there are no collections.
type Selector struct {
	// Type is an alert type ("agent.discovered"), a category ("discovery"), a
	// "custom." type, or "none": reached only as another's fallback or escalation.
	Type string `json:"type"`
	// Collections narrows it; empty means all.
	Collections []string `json:"collections,omitempty"`
}

// MarshalJSON writes the bare name where that says it all.
func (s Selector) MarshalJSON() ([]byte, error) {
	if len(s.Collections) == 0 {
		return json.Marshal(s.Type)
	}
	type plain Selector
	return json.Marshal(plain(s))
}

// UnmarshalJSON reads a name or {"type", "collections"}.
func (s *Selector) UnmarshalJSON(b []byte) error {
	*s = Selector{}
	if json.Unmarshal(b, &s.Type) == nil {
		return nil
	}
	type plain Selector
	if err := json.Unmarshal(b, (*plain)(s)); err != nil {
		return fmt.Errorf(`want an alert type, or {"type": …, "collections": […]}`)
	}
	return nil
}

// Escalation passes a webhook's events on to another webhook.
type Escalation struct {
	MinSeverity Severity `json:"min_severity,omitempty"`
	To          string   `json:"to"` // the other webhook's name
	After       Duration `json:"after"`
	Unless      string   `json:"unless,omitempty"` // "acknowledged" or empty
}

// Settings are what a user configures of a webhook; its JSON form is that of the API,
// of YAML files, and of the store. Fields are added, never renamed. Defaults are
// filled in by package webhooks, so that a stored webhook has none of its own.
type Settings struct {
	Name        string            `json:"name"`
	Channel     string            `json:"channel"`
	Events      []Selector        `json:"events"` // empty: all but the pipeline category
	MinSeverity Severity          `json:"min_severity,omitempty"`
	Collections []string          `json:"collections"`      // empty: all
	Filter      string            `json:"filter,omitempty"` // CEL
	Frequency   Frequency         `json:"frequency"`
	RunEvery    Duration          `json:"run_every"`       // periodic: 1m to 24h
	Anchor      time.Time         `json:"anchor,omitzero"` // default: the creation
	BatchSize   int               `json:"batch_size"`      // 1 to 1000, default 20
	RepeatAfter Duration          `json:"repeat_after"`    // 0: every event counts
	RetryFor    Duration          `json:"retry_for"`       // default 72h
	DisableFor  Duration          `json:"disable_after"`   // default 5d
	OnResume    string            `json:"on_resume"`       // deliver (default) or discard
	MaxRate     float64           `json:"max_per_second"`  // deliveries; 0: no limit
	Concurrency int               `json:"max_concurrent"`  // default 1
	Fallback    string            `json:"fallback,omitempty"`
	Escalate    []Escalation      `json:"escalate,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
}

// Webhook is a configured subscription: which events, where, how often.
type Webhook struct {
	ID string `json:"id"`
	Settings
	// Config is the channel's own configuration with every secret as [Redacted].
	Config json.RawMessage `json:"config"`
	// Sealed is the same with its secrets, sealed by a [KeyRing] and bound to ID.
	Sealed []byte `json:"-"`

	State       State     `json:"state"`
	StateReason string    `json:"state_reason,omitempty"`
	StateSince  time.Time `json:"state_since"`
	// Version grows by one with every change of settings, configuration or state made
	// by a user, and with every disabling.
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Tag is the webhook's entity tag in HTTP. It is another for each version of the settings,
// configuration and state, and for another webhook that has the name later.
func (w *Webhook) Tag() string { return fmt.Sprintf(`"%s-%d"`, w.ID, w.Version) }

// Activity is what a webhook did last and does next, as the store knows it.
type Activity struct {
	// Failures counts failed attempts in a row.
	Failures int `json:"consecutive_failures"`
	// FailingSince is when the first of these failed; nil when the last attempt did not
	// fail. Resuming clears it, so that disable_after counts anew.
	FailingSince *time.Time `json:"failing_since,omitempty"`
	// Announced is how much of the trouble people were told of: 0 nothing, 1 that it is
	// failing, then 50, 70, 90 and 100 percent of disable_after (100: it is disabled). It goes
	// back to 0 when the recovery was announced, and to at most 1 when it is resumed.
	Announced int `json:"-"`
	// DueAt is when backoff or Retry-After ends; nil when there is none.
	DueAt *time.Time `json:"due_at,omitempty"`
	// NextRun is the next tick a periodic webhook with something owed waits for.
	NextRun *time.Time `json:"next_run,omitempty"`
	// LastDelivery is when an attempt last succeeded, LastError what the latest failed
	// attempt said (no secrets).
	LastDelivery *time.Time `json:"last_delivery,omitempty"`
	LastError    string     `json:"last_error,omitempty"`
}
