package ingest

import (
	"context"
	"encoding/json"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// Announce stores one event of category pipeline: what Tocsin says of itself. It is owed
// to the webhooks whose selection names it, as any event, and to those whose ids are in
// also, whatever they select: not their events (["none"] included), min_severity or
// filter are asked. Ids of webhooks that are deleted or not known are passed over, and the webhook
// that it is about (data.webhook_id) is never owed it. Mutes hold; repeat_after does not,
// as for no event of this category: each says something new of the same incident. An
// event of another category is CodeInvalid; other errors are those of [Ingest.Submit].
// Announcing again converges.
func (in *Ingest) Announce(ctx context.Context, e tocsin.Event, also ...string) (Result, error) {
	if in.catalog.Category(e.Type) != catalog.CategoryPipeline {
		return Result{}, tocsin.Invalid("type", "%s is not announced; allowed: the types of category %s", catalog.Quote(e.Type), catalog.CategoryPipeline)
	}
	events := []tocsin.Event{e}
	var p problems
	in.validate(events, &p)
	if err := p.err(1); err != nil {
		return Result{}, err
	}
	return in.submit(ctx, events, also...)
}

// about returns the id of the webhook that an announcement is about, "" for none.
func about(e *tocsin.Event) string {
	var data struct {
		WebhookID string `json:"webhook_id"`
	}
	// Data that cannot be read names no webhook.
	if json.Unmarshal(e.Data, &data) != nil {
		return ""
	}
	return data.WebhookID
}
