// Package activities holds what a webhook's workflow cannot do itself: everything
// that touches the store or a receiver. [Activities.Deliver] is the heart; the others
// store events that came by signal, carry out updates that were sent by hand, and sweep.
//
// It works against interfaces only: any store, any channel.
package activities

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
)

// Submitter takes events in under the same rules as a POST. *ingest.Ingest is one.
type Submitter interface {
	// SubmitEach stores the valid events and lists what is wrong with the others.
	SubmitEach(ctx context.Context, events []tocsin.Event) (ingest.Result, []tocsin.FieldError, error)
	// Announce stores an event of category pipeline. Beside the webhooks that name its
	// type, those of also are owed it, whatever they select.
	Announce(ctx context.Context, e tocsin.Event, also ...string) (ingest.Result, error)
}

// Matcher says which events a webhook wants. *ingest.Ingest is one.
type Matcher interface {
	// Matches asks the clauses of w about a stored event, and returns the batch key it is
	// owed under. CodeInvalid when w's filter does not compile.
	Matches(w tocsin.Webhook, e *tocsin.Event) (batchKey string, ok bool, err error)
}

// Controls carries out changes that were asked for through Temporal's own tools. It
// writes the rows and tells no workflow: the one that asks knows already.
type Controls interface {
	Pause(ctx context.Context, idOrName string) (tocsin.Webhook, error)
	Resume(ctx context.Context, idOrName string) (tocsin.Webhook, error)
	Configure(ctx context.Context, idOrName string, patch json.RawMessage) (tocsin.Webhook, error)
}

// Activities are the activities of one worker. The fields from Slots on are optional.
type Activities struct {
	Store     tocsin.Store
	Conductor tocsin.Conductor
	// Sender opens a webhook's sender; *webhooks.Service has it.
	Sender  func(tocsin.Webhook) (tocsin.Sender, error)
	Submit  Submitter
	Decode  func(contentType string, body []byte) ([]tocsin.Event, error)
	Control Controls
	Matcher Matcher
	// Escalate is for incidents.
	Escalate Escalator
	// Backoff is how long to wait after so many failures in a row (from 1) when the
	// receiver asked for at least after. workflows.Backoff.
	Backoff func(failures int, after time.Duration) time.Duration

	// Slots is how many activities the worker runs at once; default 1000. Deliver stops
	// lingering when three quarters are taken.
	Slots int
	// Linger is how long Deliver stays after draining an instant webhook; default 2 s,
	// negative for not at all.
	Linger time.Duration
	// Budget is how long one Deliver may last; default 50 s.
	Budget time.Duration
	// SendTimeout bounds one attempt, whatever the channel does; default 30 s.
	SendTimeout time.Duration
	// Grace is how long a webhook may be overdue before the sweeper rings it; default 30 s,
	// longer than an attempt, during which nothing is heard of its Deliver.
	Grace time.Duration
	// PublicURL goes into notifications, for links.
	PublicURL string
	// Retention says what Prune removes; zero fields are kept for ever.
	Retention tocsin.Retention
	// RotateSigningKey makes a new signing key where it is time for one; nil: there is
	// none. *webhooks.Service has it.
	RotateSigningKey func(ctx context.Context) error
	// Metrics count deliveries; nil: nothing is counted.
	Metrics *Metrics
	// Traces makes spans of attempts; nil: none.
	Traces trace.TracerProvider
	Logger *slog.Logger

	busy   atomic.Int64 // Delivers under way in this process
	limits limiters
}

// MaxSlots is how many activities a worker should run at once.
func (a *Activities) MaxSlots() int { return orDefault(a.Slots, 1000) }

func (a *Activities) slots() int64 { return int64(a.MaxSlots()) }

func (a *Activities) linger() time.Duration { return max(0, orDefault(a.Linger, 2*time.Second)) }

func (a *Activities) budget() time.Duration { return orDefault(a.Budget, 50*time.Second) }

func (a *Activities) sendTimeout() time.Duration { return orDefault(a.SendTimeout, 30*time.Second) }

func (a *Activities) grace() time.Duration { return orDefault(a.Grace, 30*time.Second) }

func (a *Activities) logger() *slog.Logger {
	if a.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return a.Logger
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
