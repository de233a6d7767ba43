package webhooks

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// replayDocument is a replay as users write it.
type replayDocument struct {
	webhook   string
	selection tocsin.ReplaySelection
	maxRate   float64
	dryRun    bool
}

var replayReaders = map[string]reader[replayDocument]{
	"webhook":        plain("text, the name or id of a webhook", func(d *replayDocument) *string { return &d.webhook }),
	"what":           plain("text", func(d *replayDocument) *tocsin.ReplayWhat { return &d.selection.What }),
	"types":          plain("a list of alert types", func(d *replayDocument) *[]string { return &d.selection.Types }),
	"since":          worded("an RFC 3339 time in quotes", func(d *replayDocument) *time.Time { return &d.selection.Since }, parseTime),
	"until":          worded("an RFC 3339 time in quotes", func(d *replayDocument) *time.Time { return &d.selection.Until }, parseTime),
	"max_per_second": plain("a number of at least 0", func(d *replayDocument) *float64 { return &d.maxRate }),
	"dry_run":        plain("true or false", func(d *replayDocument) *bool { return &d.dryRun }),
}

// replayReadOnly are the keys of a replay's answer that are not written.
var replayReadOnly = []string{"id", "webhook_id", "state", "reason", "total", "replayed", "deliveries", "skipped", "count",
	"author", "created_at", "updated_at", "finished_at"}

// replayWhats are what can be replayed, in the order people read them.
var replayWhats = []string{
	string(tocsin.ReplayDead), string(tocsin.ReplayDelivered), string(tocsin.ReplayAborted),
	string(tocsin.ReplaySuppressed), string(tocsin.ReplayMissing), string(tocsin.ReplayAll),
}

func decodeReplay(body json.RawMessage, p *problems) (replayDocument, error) {
	d := replayDocument{selection: tocsin.ReplaySelection{Types: []string{}}}
	err := readDocument(body, &d, replayReaders, replayReadOnly, p)
	return d, err
}

// validateReplay checks a document, fills in the webhook's id and returns the webhook.
func (s *Service) validateReplay(ctx context.Context, d *replayDocument, p *problems) (tocsin.Webhook, error) {
	w, err := s.replayWebhook(ctx, d.webhook, p)
	if err != nil {
		return w, err
	}
	d.selection.WebhookID = w.ID
	if what := string(d.selection.What); !p.has("what") && !slices.Contains(replayWhats, what) {
		if what == "" {
			p.add("what", "is required; allowed: %s", strings.Join(replayWhats, ", "))
		} else {
			p.add("what", "%q cannot be replayed%s; allowed: %s", cut(what), didYouMean(what, replayWhats), strings.Join(replayWhats, ", "))
		}
	}
	s.validateTypes(d.selection.Types, p)
	s.validateRange(d.selection, p)
	s.validateMissing(&d.selection, p)
	if rate := d.maxRate; !p.has("max_per_second") && (rate < 0 || math.IsInf(rate, 0) || math.IsNaN(rate)) {
		p.add("max_per_second", "%v is not allowed; want 0 for no limit, or more", rate)
	}
	return w, p.err()
}

func (s *Service) replayWebhook(ctx context.Context, idOrName string, p *problems) (tocsin.Webhook, error) {
	if p.has("webhook") {
		return tocsin.Webhook{}, nil
	}
	if idOrName == "" {
		p.add("webhook", "is required: the name or id of a webhook")
		return tocsin.Webhook{}, nil
	}
	w, err := s.Get(ctx, idOrName)
	if tocsin.CodeOf(err) != tocsin.CodeNotFound {
		return w, err
	}
	all, err := s.List(ctx)
	if err != nil {
		return w, err
	}
	existing := make([]string, len(all))
	for i, o := range all {
		existing[i] = o.Name
	}
	p.add("webhook", "no webhook has the id or name %q%s", cut(idOrName), didYouMean(idOrName, existing))
	return tocsin.Webhook{}, nil
}

func (s *Service) validateTypes(types []string, p *problems) {
	if len(types) > maxSelectors {
		p.add("types", "has %d entries; at most %d are allowed", len(types), maxSelectors)
		return
	}
	var known []string
	for _, t := range s.Catalog.Types() {
		known = append(known, t.Type)
	}
	for i, name := range types {
		if !slices.Contains(known, name) && !(catalog.IsCustom(name) && printable(name)) {
			p.add(fmt.Sprintf("types[%d]", i), "%q is not an alert type%s; see /v1/alert-types, or use custom.<name>", cut(name), didYouMean(name, known))
		}
	}
}

// validateMissing keeps a search for what is missing to the time of which it is known: an
// older event may be kept for another webhook's sake, while its delivery to this one has
// been removed.
func (s *Service) validateMissing(r *tocsin.ReplaySelection, p *problems) {
	if r.What != tocsin.ReplayMissing || s.History <= 0 || p.has("since") {
		return
	}
	oldest := s.Now().UTC().Add(-s.History)
	switch {
	case r.Since.IsZero():
		r.Since = oldest
	case r.Since.Before(oldest):
		p.add("since", "%s is further back than deliveries are kept, %s; what was delivered before is not known, and would be sent twice",
			r.Since.Format(time.RFC3339), tocsin.Duration(s.History))
	}
}

// validateRange checks since and until. A range that ends ahead would hold what the
// replay itself brings about.
func (s *Service) validateRange(r tocsin.ReplaySelection, p *problems) {
	if p.has("since") || p.has("until") {
		return
	}
	now := s.Now().UTC()
	switch {
	case r.Until.After(now):
		p.add("until", "%s is ahead of now, %s; leave it out for everything up to now", r.Until.Format(time.RFC3339), now.Format(time.RFC3339))
	case !r.Until.IsZero() && !r.Since.Before(r.Until):
		p.add("since", "%s is not before until, %s", r.Since.Format(time.RFC3339), r.Until.Format(time.RFC3339))
	case r.Until.IsZero() && r.Since.After(now):
		p.add("since", "%s is ahead of now, %s", r.Since.Format(time.RFC3339), now.Format(time.RFC3339))
	}
}
