package jira

import (
	"context"
	"net/http"
	"net/url"
	"regexp"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// A ticket may be out of reach: deleted, moved to a project that the account may not see,
// under a security level, archived. Jira answers 404 or 403 then, and also when the account
// or the project is the trouble. What tells them apart is a question about the project.

// unreachable reports whether Jira does not let this account at a ticket.
func unreachable(err error) bool {
	status := statusOf(err)
	return status == http.StatusForbidden || status == http.StatusNotFound
}

// welcome asks, once for each send, whether the account still sees the project. When it does
// not, the webhook is in trouble and the run ends.
func (r *run) welcome(ctx context.Context) bool {
	if !r.asked {
		r.asked = true
		if err := r.api.project(ctx); err != nil {
			r.stop(err)
		}
	}
	return r.halt == nil
}

// lose remembers that a ticket is out of reach. The incident has none then: if the next
// event fires, it gets a new one, which says where it comes from. A second ticket that the
// account has never seen is no affair of the incident: every further one would be lost as well.
func (r *run) lose(ctx context.Context, inc *incident, err error) {
	if !r.welcome(ctx) {
		return
	}
	if inc.ref.LostID != "" && !inc.ref.Seen {
		r.stop(tocsin.Refused(post.Errorf(post.ClassStatus, "tickets that Tocsin creates are out of its reach; give the account "+
			"the right to browse and comment on them, or set a security level that includes it: %v", err)))
		return
	}
	r.warn(ctx, inc, "a jira ticket is out of reach; the next alert of its incident gets a new one", err)
	r.remember(inc, ref{Status: deleted, Seq: inc.ref.Seq, LostID: inc.ref.ticket(), LostKey: inc.ref.Key})
}

// unsaid handles a comment that this account may not make on a ticket that it sees. What
// fires gets a new ticket, once. What else happened is nothing that people must not miss, and
// a ticket that was just reopened, or that took the place of another one, is open and says
// enough: otherwise a project without the right to comment got a ticket for every event. 404
// may mean that such a ticket was deleted just now, so it is looked at once more.
func (r *run) unsaid(ctx context.Context, inc *incident, e *tocsin.Event, moved, done bool, err error) {
	replaced := inc.ref.LostID != "" && !done
	if kindOf(e) == fires && !moved && !replaced {
		r.lose(ctx, inc, err)
		return
	}
	if kindOf(e) == fires && !moved && statusOf(err) == http.StatusNotFound {
		if _, gone := r.api.look(ctx, inc.ref.ticket(), false); gone != nil {
			r.fault(ctx, inc, gone)
			return
		}
	}
	if r.welcome(ctx) {
		r.warn(ctx, inc, "jira lets nothing be said on a ticket; the event counts as delivered", err)
		r.told(inc)
	}
}

// warn writes a line about an incident's ticket.
func (r *run) warn(ctx context.Context, inc *incident, what string, err error) {
	r.s.channel.log.WarnContext(ctx, what, "ticket", inc.ref.Key, "reason", err.Error(),
		"event", r.event(inc).ID, "delivery", r.n.DeliveryID, "webhook", r.n.WebhookID)
}

// without is the ref of an incident that has no ticket.
func (r ref) without(status string) ref {
	return ref{Status: status, Seq: r.Seq, LostID: r.LostID, LostKey: r.LostKey}
}

// issueKey is the form of a key, which Jira makes a link of wherever it stands.
var issueKey = regexp.MustCompile(`^[A-Z][A-Z0-9_]*-[0-9]+$`)

// origin says on a new ticket which one it takes the place of.
func (r ref) origin() string {
	switch {
	case r.LostID == "":
		return ""
	case issueKey.MatchString(r.LostKey):
		return "This goes on from " + r.LostKey + ", which Tocsin cannot reach or comment on."
	}
	return "This goes on from an earlier ticket, which Tocsin cannot reach or comment on."
}

// project asks for the configuration's project, as this account sees it:
// https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-projects/#api-rest-api-2-project-projectidorkey-get
func (a *api) project(ctx context.Context) error {
	_, _, err := a.jira.Project.GetWithContext(ctx, url.PathEscape(a.config.project))
	return a.outcome("asking jira for the project", err, false)
}
