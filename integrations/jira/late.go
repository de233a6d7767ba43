package jira

import (
	"context"
	"strings"

	"github.com/andygrunwald/go-jira"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// tellLate says an event that is older than what the ticket was told, in a comment alone and
// only once: the ticket stands as the newer one wants it. Nothing is remembered of it, since
// the ref is about what was told last; the ticket itself says whether it was told.
func (r *run) tellLate(ctx context.Context, inc *incident, issue jira.Issue) {
	e := r.event(inc)
	if kindOf(e) == fires && !r.s.config.commentOnRefire {
		r.accept(inc)
		return
	}
	said, err := r.mentioned(ctx, inc, issue)
	if err == nil && !said {
		text, cut := commentOf(r.n, e, lateOccasion(e), lateNote(e))
		if cut {
			r.truncated[inc.events[0]] = true
		}
		err = r.api.comment(ctx, inc.ref.ticket(), text)
	}
	switch {
	case err == nil:
		r.accept(inc)
	case !unreachable(err):
		r.fail(inc, err)
	case r.welcome(ctx):
		r.warn(ctx, inc, "jira lets nothing be said on a ticket; an old event counts as delivered", err)
		r.accept(inc)
	}
}

// mentioned reports whether the next event is on the ticket.
func (r *run) mentioned(ctx context.Context, inc *incident, issue jira.Issue) (bool, error) {
	mark := eventMark(r.n.WebhookID, r.event(inc))
	if issue.Fields != nil && strings.Contains(issue.Fields.Description, mark) {
		return true, nil
	}
	return r.api.commented(ctx, inc.ref.ticket(), mark)
}

// lateOccasion is occasion for an older event.
func lateOccasion(e *tocsin.Event) string {
	if kindOf(e) == fires {
		return "Fired earlier"
	}
	return occasion(e) + " earlier"
}

// lateNote says when it happened.
func lateNote(e *tocsin.Event) string {
	at := ""
	if !e.Time.IsZero() {
		at = " at " + e.Time.UTC().Format(timeFormat) + ","
	}
	return "This happened" + at + " before what this ticket was told last. Its status is left as it is."
}
