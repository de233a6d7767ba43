package ingest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// The clauses of a webhook that can keep an event from it, in the order they are
// asked.
const (
	ClauseCreated     = "created" // the event was received before the webhook was there
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
}

// Verdicts asks every webhook that is there now about a stored event, by the current
// configuration. It explains; what was decided when the event arrived is in the
// store's traces.
func (in *Ingest) Verdicts(ctx context.Context, e tocsin.Event) ([]Verdict, error) {
	_, webhooks, err := in.store.ListWebhooks(ctx)
	if err != nil {
		return nil, err
	}
	in.complete(&e, e.ReceivedAt)
	s := newSubject(&e, in.catalog.Category(e.Type))
	verdicts := make([]Verdict, 0, len(webhooks))
	for i := range webhooks {
		w := &webhooks[i]
		clause, detail := judge(w, s)
		verdicts = append(verdicts, Verdict{WebhookID: w.ID, Webhook: w.Name, Matched: clause == "", Clause: clause, Detail: detail})
	}
	return verdicts, nil
}

// judge asks one webhook's clauses in turn.
func judge(w *tocsin.Webhook, s *subject) (clause, detail string) {
	e := s.event
	if !e.ReceivedAt.IsZero() && e.ReceivedAt.Before(w.CreatedAt) {
		return ClauseCreated, fmt.Sprintf("the event was received at %s, the webhook created at %s", e.ReceivedAt.UTC().Format(time.RFC3339), w.CreatedAt.UTC().Format(time.RFC3339))
	}
	// As if no collection were asked for: that is a clause of its own.
	anywhere := *w
	anywhere.Collections = nil
	collections, ok := selects(&anywhere, e.Type, s.category)
	if !ok {
		return ClauseEvents, fmt.Sprintf("%s (category %s) is not among %s", e.Type, s.category, selection(w))
	}
	if e.Severity < w.MinSeverity {
		return ClauseMinSeverity, fmt.Sprintf("%s is below %s", e.Severity, w.MinSeverity)
	}
	if len(w.Collections) > 0 && !slices.Contains(w.Collections, s.collectionName()) {
		return ClauseCollections, fmt.Sprintf("collection %q is not among %s", s.collectionName(), strings.Join(w.Collections, ", "))
	}
	if collections != nil && !slices.Contains(collections, s.collectionName()) {
		return ClauseEvents, fmt.Sprintf("collection %q is not among those that %s is narrowed to: %s", s.collectionName(), e.Type, strings.Join(collections, ", "))
	}
	return judgeFilter(w, s)
}

func judgeFilter(w *tocsin.Webhook, s *subject) (clause, detail string) {
	if w.Filter == "" {
		return "", ""
	}
	f, err := CompileFilter(w.Filter)
	if err != nil {
		return ClauseFilter, err.Error()
	}
	switch ok, err := f.match(s); {
	case err != nil:
		return ClauseFilter, err.Error()
	case !ok:
		return ClauseFilter, w.Filter + " is false"
	}
	return "", ""
}

// selection writes a webhook's selectors for people.
func selection(w *tocsin.Webhook) string {
	if len(w.Events) == 0 {
		return "all types but category " + catalog.CategoryPipeline
	}
	names := make([]string, len(w.Events))
	for i, s := range w.Events {
		names[i] = s.Type
	}
	return strings.Join(names, ", ")
}
