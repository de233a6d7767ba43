package jira

import (
	"context"
	"net/http"
	"strings"

	"github.com/andygrunwald/go-jira"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// The keys of status categories, which are the same in every language:
// https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-workflow-status-categories/
const (
	categoryNew  = "new"
	categoryBusy = "indeterminate"
	categoryDone = "done"
)

// follow brings what is left of an incident to its ticket, in order.
func (r *run) follow(ctx context.Context, inc *incident) {
	for len(inc.events) > 0 && r.halt == nil {
		if inc.ref.ticket() != "" {
			r.tell(ctx, inc)
		} else if r.wantsTicket(inc) {
			r.obtain(ctx, []*incident{inc})
		}
	}
}

// tell brings one event to a ticket that exists: first the ticket is moved, where it must
// be, so that the comment can say how that went. Each step is remembered, so that a later
// attempt goes on behind it.
func (r *run) tell(ctx context.Context, inc *incident) {
	e := r.event(inc)
	late := inc.ref.older(e)
	issue, err := r.api.look(ctx, inc.ref.ticket(), late)
	if err != nil {
		r.fault(ctx, inc, err)
		return
	}
	done := isDone(issue)
	r.state(inc, done)
	if late {
		r.tellLate(ctx, inc, issue)
		return
	}
	note, moved, err := r.move(ctx, inc, e, done)
	if err != nil {
		r.fault(ctx, inc, err)
		return
	}
	if kindOf(e) == fires && !done && !r.s.config.commentOnRefire {
		r.told(inc)
		return
	}
	err = r.comment(ctx, inc, e, note)
	switch {
	case unreachable(err):
		r.unsaid(ctx, inc, e, moved, done, err)
	case err != nil && (!moved || tocsin.Classify(err).Fault != tocsin.FaultEvent):
		r.fail(inc, err)
	default:
		r.told(inc)
	}
}

// fault handles an error about an existing ticket, which may be out of reach.
func (r *run) fault(ctx context.Context, inc *incident, err error) {
	if unreachable(err) {
		r.lose(ctx, inc, err)
		return
	}
	r.fail(inc, err)
}

// fail handles an error about an existing ticket.
func (r *run) fail(inc *incident, err error) {
	if tocsin.Classify(err).Fault == tocsin.FaultEvent {
		r.reject(inc, err)
		return
	}
	r.stop(err)
}

// state remembers how the ticket stands, which Jira has shown.
func (r *run) state(inc *incident, done bool) {
	status := open
	if done {
		status = resolved
	}
	if inc.ref.Status != status || !inc.ref.Seen {
		to := inc.ref
		to.Status, to.Seen = status, true
		r.remember(inc, to)
	}
}

// move makes the transition that an event asks for. A ticket that cannot be moved is no
// reason to try for ever: note then tells people, in the comment, to do it.
func (r *run) move(ctx context.Context, inc *incident, e *tocsin.Event, done bool) (note string, moved bool, err error) {
	name, wanted, what := r.s.config.resolveTransition, []string{categoryDone}, "resolved"
	switch k := kindOf(e); {
	case k == fires && done:
		name, wanted, what = r.s.config.reopenTransition, []string{categoryNew, categoryBusy}, "reopened"
	case k != resolves || done:
		return "", false, nil
	}
	list, err := r.api.transitions(ctx, inc.ref.ticket())
	if statusOf(err) == http.StatusForbidden {
		return r.stuck(ctx, inc, what, "Jira does not tell its transitions: "+err.Error()), false, nil
	}
	if err != nil {
		return "", false, err
	}
	t, ok := choose(list, name, wanted)
	if !ok {
		return r.stuck(ctx, inc, what, absent(name, what)), false, nil
	}
	err = r.api.transit(ctx, inc.ref.ticket(), t.ID)
	if err != nil && theTickets(err) {
		return r.stuck(ctx, inc, what, "Jira refused the transition "+t.Name+": "+err.Error()), false, nil
	}
	if err != nil {
		return "", false, err
	}
	r.state(inc, what == "resolved")
	r.number(inc) // whatever becomes of the comment
	return "", true, nil
}

// theTickets reports whether a transition was refused for what the ticket is, and not for the
// account.
func theTickets(err error) bool {
	status := statusOf(err)
	return tocsin.Classify(err).Fault == tocsin.FaultEvent || status == http.StatusBadRequest || status == http.StatusForbidden
}

// stuck is the note about a ticket that could not be moved; the log has it as well.
func (r *run) stuck(ctx context.Context, inc *incident, what, why string) string {
	r.s.channel.log.WarnContext(ctx, "jira did not let a ticket be "+what, "ticket", inc.ref.Key, "reason", why,
		"delivery", r.n.DeliveryID, "webhook", r.n.WebhookID)
	return "Tocsin could not have this ticket " + what + ". " + why + " Please move it by hand."
}

// absent says that no transition fits, and which setting names one.
func absent(name, what string) string {
	setting := "resolve_transition"
	if what == "reopened" {
		setting = "reopen_transition"
	}
	if name != "" {
		return "From its status there is no transition " + name + ", which " + setting + " names."
	}
	return "From its status no transition leads there; " + setting + " can name one."
}

// choose picks a transition by its name, its id or the name of its target, or, without a
// name, the first to a status of the categories, the first category first. One that needs
// fields is taken only when no other is there.
func choose(list []jira.Transition, name string, categories []string) (jira.Transition, bool) {
	if name != "" {
		for _, is := range []func(t jira.Transition) bool{
			func(t jira.Transition) bool { return strings.EqualFold(t.Name, name) },
			func(t jira.Transition) bool { return t.ID == name },
			func(t jira.Transition) bool { return strings.EqualFold(t.To.Name, name) },
		} {
			for _, t := range list {
				if is(t) {
					return t, true
				}
			}
		}
		return jira.Transition{}, false
	}
	for _, category := range categories {
		for _, demanding := range []bool{false, true} {
			for _, t := range list {
				if t.To.StatusCategory.Key == category && demands(t) == demanding {
					return t, true
				}
			}
		}
	}
	return jira.Transition{}, false
}

// demands reports whether a transition needs fields.
func demands(t jira.Transition) bool {
	for _, f := range t.Fields {
		if f.Required {
			return true
		}
	}
	return false
}

// comment says what an event says, once: an attempt of unknown outcome may have said it.
func (r *run) comment(ctx context.Context, inc *incident, e *tocsin.Event, note string) error {
	mark := eventMark(r.n.WebhookID, e)
	if inc.ref.Said == mark {
		return nil
	}
	if r.n.Uncertain || inc.ref.Doubt == mark {
		said, err := r.api.commented(ctx, inc.ref.ticket(), mark)
		if err != nil {
			return err
		}
		if said {
			r.said(inc, mark)
			return nil
		}
	}
	text, cut := commentOf(r.n, e, occasion(e), note)
	if cut {
		r.truncated[inc.events[0]] = true
	}
	err := r.api.comment(ctx, inc.ref.ticket(), text)
	if err == nil {
		r.said(inc, mark)
	} else if tocsin.Classify(err).Unsure {
		to := inc.ref
		to.Doubt = mark
		r.remember(inc, to)
	}
	return err
}

// said remembers that an event is on the ticket.
func (r *run) said(inc *incident, mark string) {
	to := inc.ref
	to.Said, to.Doubt = mark, ""
	r.remember(inc, to)
}

// look asks how a ticket stands:
// https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issues/#api-rest-api-2-issue-issueidorkey-get
// 404 or 403 means that it was deleted, or that the account may not see it. whole asks for its
// description, too.
func (a *api) look(ctx context.Context, id string, whole bool) (jira.Issue, error) {
	fields := "status"
	if whole {
		fields += ",description"
	}
	issue, _, err := a.jira.Issue.GetWithContext(ctx, id, &jira.GetQueryOptions{Fields: fields})
	if err := a.outcome("reading the ticket in jira", err, true); err != nil {
		return jira.Issue{}, err
	}
	return *issue, nil
}

// transitions lists what may be done with a ticket now, by this account:
// https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issues/#api-rest-api-2-issue-issueidorkey-transitions-get
func (a *api) transitions(ctx context.Context, id string) ([]jira.Transition, error) {
	list, _, err := a.jira.Issue.GetTransitionsWithContext(ctx, id)
	return list, a.outcome("reading the ticket's transitions in jira", err, true)
}

// transit moves a ticket. 409 means that somebody else moves it just now:
// https://developer.atlassian.com/cloud/jira/platform/change-notice-update-in-simultaneous-transitions-issue-api/
func (a *api) transit(ctx context.Context, id, transition string) error {
	_, err := a.jira.Issue.DoTransitionWithContext(ctx, id, transition)
	return a.outcome("moving the ticket in jira", err, false)
}

// comment adds a comment. go-jira's call would send an empty author and visibility along:
// https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issue-comments/#api-rest-api-2-issue-issueidorkey-comment-post
func (a *api) comment(ctx context.Context, id, body string) error {
	in := struct {
		Body string `json:"body"`
	}{body}
	err := a.ask(ctx, http.MethodPost, "rest/api/2/issue/"+id+"/comment", in, nil)
	return a.outcome("commenting on the ticket in jira", err, false)
}

// commented reports whether one of the latest comments holds a mark.
func (a *api) commented(ctx context.Context, id, mark string) (bool, error) {
	var list jira.Comments
	err := a.ask(ctx, http.MethodGet, "rest/api/2/issue/"+id+"/comment?orderBy=-created&maxResults=20", nil, &list)
	if err := a.outcome("reading the ticket's comments in jira", err, true); err != nil {
		return false, err
	}
	for _, c := range list.Comments {
		if strings.Contains(c.Body, mark) {
			return true, nil
		}
	}
	return false, nil
}
