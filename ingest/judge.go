package ingest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// judge asks webhooks and mutes about one event, clause by clause, where the matcher
// only wants to know whether.
type judge struct {
	filters *lookups
	subject *subject
	now     time.Time
	mutes   []tocsin.Mute
	// about is the webhook that the event is an announcement about, "" for none;
	// failing is its name and fallback the one that gets its announcements.
	about, failing, fallback string
}

// findFallback finds out who gets an announcement whatever its selection.
func (j *judge) findFallback(webhooks []tocsin.Webhook) {
	if j.subject.category != catalog.CategoryPipeline {
		return
	}
	j.about = about(j.subject.event)
	for _, w := range webhooks {
		if w.ID == j.about && j.about != "" {
			j.failing, j.fallback = w.Name, w.Fallback
		}
	}
}

func (j *judge) verdict(w *tocsin.Webhook) Verdict {
	v := Verdict{WebhookID: w.ID, Webhook: w.Name}
	v.Clause, v.Detail = j.before(w)
	if v.Clause == "" {
		v.Clause, v.Detail, v.FilterFailed = j.selection(w)
		if v.Clause != "" && j.fallback != "" && w.Name == j.fallback {
			v.Clause, v.Detail, v.FilterFailed, v.FallbackOf = "", "", false, j.failing
		}
	}
	if v.Matched = v.Clause == ""; v.Matched {
		j.suppression(w, &v)
	}
	return v
}

// before asks what stands before any selection.
func (j *judge) before(w *tocsin.Webhook) (clause, detail string) {
	e := j.subject.event
	if !e.ReceivedAt.IsZero() && e.ReceivedAt.Before(w.CreatedAt) {
		return ClauseCreated, fmt.Sprintf("the event was received at %s, the webhook created at %s", e.ReceivedAt.UTC().Format(time.RFC3339), w.CreatedAt.UTC().Format(time.RFC3339))
	}
	if j.about != "" && j.about == w.ID {
		return ClauseItself, "a webhook is not owed what is announced about itself"
	}
	return "", ""
}

// selection asks one webhook's clauses in turn; failed says that the filter could not be
// evaluated.
func (j *judge) selection(w *tocsin.Webhook) (clause, detail string, failed bool) {
	s, e := j.subject, j.subject.event
	// As if no collection were asked for: that is a clause of its own.
	collections, ok := selection{events: w.Events}.wants(e.Type, s.category)
	if !ok {
		return ClauseEvents, fmt.Sprintf("%s (category %s) %s", e.Type, s.category, unselected(w)), false
	}
	if e.Severity < w.MinSeverity {
		return ClauseMinSeverity, fmt.Sprintf("%s is below %s", e.Severity, w.MinSeverity), false
	}
	if len(w.Collections) > 0 && !slices.Contains(w.Collections, s.collectionName()) {
		return ClauseCollections, fmt.Sprintf("collection %q is not among %s", s.collectionName(), strings.Join(w.Collections, ", ")), false
	}
	if collections != nil && !slices.Contains(collections, s.collectionName()) {
		return ClauseEvents, fmt.Sprintf("collection %q is not among those that %s is narrowed to: %s", s.collectionName(), e.Type, strings.Join(collections, ", ")), false
	}
	switch ok, err := j.passes(w.Filter); {
	case err != nil:
		return ClauseFilter, err.Error(), true
	case !ok:
		return ClauseFilter, w.Filter + " is false", false
	}
	return "", "", false
}

// passes asks a filter. The error says why it could not be evaluated.
func (j *judge) passes(expr string) (bool, error) {
	if expr == "" {
		return true, nil
	}
	f, err := j.filters.get(expr)
	if err != nil {
		return false, err
	}
	return f.match(j.subject)
}

// suppression says what would keep a matching event from the webhook.
func (j *judge) suppression(w *tocsin.Webhook, v *Verdict) {
	if j.subject.category != catalog.CategoryPipeline {
		v.RepeatAfter = w.RepeatAfter
	}
	var notes []string
	if v.FallbackOf != "" {
		notes = append(notes, fmt.Sprintf("it is the fallback of %s and gets what is announced about it, whatever it selects", v.FallbackOf))
	}
	if m := j.muting(w.ID); m != nil {
		v.Mute = m.ID
		notes = append(notes, fmt.Sprintf("now it would be suppressed: mute %s by %s is in force until %s (%s)", m.ID, m.Author, m.Until.UTC().Format(time.RFC3339), m.Reason))
	}
	if v.RepeatAfter > 0 {
		notes = append(notes, fmt.Sprintf("repeat_after %s: it is suppressed as a repeat when an event with the same dedup key and status was owed less than that before", v.RepeatAfter))
	}
	v.note(notes...)
}

// muting returns the mute that covers the event for a webhook now, nil for none.
func (j *judge) muting(webhookID string) *tocsin.Mute {
	for i := range j.mutes {
		m := &j.mutes[i]
		if j.now.Before(begin(m)) || !j.now.Before(m.Until) || len(m.WebhookIDs) > 0 && !slices.Contains(m.WebhookIDs, webhookID) {
			continue
		}
		if m.DedupKey != "" && m.DedupKey != j.subject.event.DedupKey || !(selection{m.Events, m.Collections}).takes(j.subject) {
			continue
		}
		if ok, err := j.passes(m.Filter); ok && err == nil {
			return m
		}
	}
	return nil
}

// unselected says for people why a webhook's selectors leave a type out.
func unselected(w *tocsin.Webhook) string {
	if len(w.Events) == 0 {
		return "is not among all types but category " + catalog.CategoryPipeline
	}
	names := make([]string, len(w.Events))
	for i, s := range w.Events {
		names[i] = s.Type
	}
	if slices.Equal(names, []string{nothing}) {
		return "does not reach it: it selects nothing itself, and is told only as another's fallback or escalation"
	}
	return "is not among " + strings.Join(names, ", ")
}
