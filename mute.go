package tocsin

import (
	"context"
	"time"
)

// Mute suppresses events for a while: those that match are accepted for the webhook and
// at once suppressed, with the reason [MutedBy]. It counts by the time an event is
// received. Zero fields of its matcher match everything; at least one is set.
type Mute struct {
	ID string `json:"id"`

	// WebhookIDs narrows it to these webhooks; empty means all.
	WebhookIDs  []string   `json:"webhook_ids"`
	Events      []Selector `json:"events"`      // as a webhook's; empty: all but the pipeline category
	Collections []string   `json:"collections"` // as a webhook's
	DedupKey    string     `json:"dedup_key,omitempty"`
	Filter      string     `json:"filter,omitempty"` // CEL

	From   time.Time `json:"from"`  // zero when created: now
	Until  time.Time `json:"until"` // after From
	Author string    `json:"author"`
	Reason string    `json:"reason"`

	CreatedAt time.Time `json:"created_at"`
	// NoticedAt is when its coming end was announced; nil before.
	NoticedAt *time.Time `json:"noticed_at,omitempty"`
}

// The reasons an obligation is suppressed for, as the ledger's rows and "why" have them.
// A mute's is ReasonMuted, a space and its id.
const (
	ReasonMuted     = "muted"
	ReasonRepeat    = "repeat"
	ReasonDiscarded = "discarded"
	ReasonDeleted   = "webhook deleted"
)

// MutedBy is the reason of what a mute suppressed.
func MutedBy(muteID string) string { return ReasonMuted + " " + muteID }

// MuteQuery selects mutes, newest first.
type MuteQuery struct {
	Page
	// Ended also returns those that are over.
	Ended bool
}

// Configuration is everything that events are matched against, from one snapshot.
type Configuration struct {
	// Revision is what Append compares with.
	Revision int64
	Webhooks []Webhook // not deleted, by name, without Config and Sealed
	Mutes    []Mute    // not over yet, by id; some may not have begun
}

// Mutes keeps mutes. Creating and ending one adds one to the configuration revision, so
// that it holds for every event submitted later to any process.
type Mutes interface {
	// Configuration reads what ingest works by. known is what an earlier call returned, or
	// zero: with the same revision it is still that, and is returned; otherwise the webhooks
	// whose version is in it are taken from it, and only the others are read. So a webhook
	// that fails or recovers, which changes no version, may be in the state it had, and a
	// mute that is over may still be there. known is not changed.
	Configuration(ctx context.Context, known Configuration) (Configuration, error)
	// CreateMute stores m with CreatedAt, and with From where that is zero, set to now.
	CreateMute(ctx context.Context, m Mute) (Mute, error)
	// EndMute sets Until to now, or to From for one that has not begun. One that is over
	// stays as it is. ErrNotFound.
	EndMute(ctx context.Context, id string) (Mute, error)
	// Mute finds one, also when it is over; ErrNotFound.
	Mute(ctx context.Context, id string) (Mute, error)
	ListMutes(ctx context.Context, q MuteQuery) (mutes []Mute, next string, err error)
	// MutesEnding returns mutes in force whose end is at most notice away, or at most a
	// tenth of their length where that is shorter, and was not announced yet.
	MutesEnding(ctx context.Context, notice time.Duration, limit int) ([]Mute, error)
	// MuteNoticed notes that the coming end was announced.
	MuteNoticed(ctx context.Context, id string) error
}
