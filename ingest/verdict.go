package ingest

import (
	"context"

	"github.com/tocsin-alerts/tocsin"
)

// The clauses of a webhook that can keep an event from it, in the order they are
// asked.
const (
	ClauseCreated     = "created" // the event was received before the webhook was there
	ClauseItself      = "itself"  // the event is an announcement about the webhook
	ClauseEvents      = "events"
	ClauseMinSeverity = "min_severity"
	ClauseCollections = "collections"
	ClauseFilter      = "filter"
)

// Verdict says whether a webhook wants an event, and if not, why.
type Verdict struct {
	WebhookID string `json:"webhook_id"`
	Webhook   string `json:"webhook"` // its name
	Matched   bool   `json:"matched"`
	// Clause is the first one that said no; "" when all said yes.
	Clause string `json:"clause,omitempty"`
	// Detail says it in words, with both values.
	Detail string `json:"detail,omitempty"`
	// FilterFailed says that the filter neither said yes nor no: it could not be evaluated for
	// this event, and Detail says why.
	FilterFailed bool `json:"filter_failed,omitempty"`
	// FallbackOf names the webhook whose announcements this one gets as its fallback, if
	// that is why it matched.
	FallbackOf string `json:"fallback_of,omitempty"`
	// EscalatedFrom names the webhooks whose escalations bring it here, now or later; it is
	// why it matched, or comes on top of that.
	EscalatedFrom []string `json:"escalated_from,omitempty"`
	// Mute is the id of the mute that would suppress the event, did it come now; "" for
	// none, and where it did not match.
	Mute string `json:"mute,omitempty"`
	// RepeatAfter is the webhook's, where it matched and the category is not pipeline: the same status of the dedup key is
	// suppressed for so long.
	RepeatAfter tocsin.Duration `json:"repeat_after,omitempty"`
	// Note says in words what else there is to know of a match.
	Note string `json:"note,omitempty"`
}

// Verdicts asks every webhook that is there now about a stored event, by the current
// configuration. It explains; what was decided when the event arrived is in the
// store's traces.
func (in *Ingest) Verdicts(ctx context.Context, e tocsin.Event) ([]Verdict, error) {
	conf, err := in.configuration(ctx)
	if err != nil {
		return nil, err
	}
	in.complete(&e, e.ReceivedAt)
	j := judge{filters: &in.lookups, subject: newSubject(&e, in.catalog.Category(e.Type)), now: in.now(), mutes: conf.Mutes}
	j.findFallback(conf.Webhooks)
	verdicts := make([]Verdict, len(conf.Webhooks))
	for i := range conf.Webhooks {
		verdicts[i] = j.verdict(&conf.Webhooks[i])
	}
	j.escalations(conf.Webhooks, verdicts)
	return verdicts, nil
}

// configuration reads the configuration of this moment. What it finds is not kept: compiling
// it is for those who match.
func (in *Ingest) configuration(ctx context.Context) (tocsin.Configuration, error) {
	if err := in.lock(ctx); err != nil {
		return tocsin.Configuration{}, err
	}
	known := in.known
	in.unlock()
	return in.store.Configuration(ctx, known)
}
