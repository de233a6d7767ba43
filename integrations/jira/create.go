package jira

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/andygrunwald/go-jira"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// bulk is how many tickets are created by one request; Jira takes up to 50:
// https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issues/#api-rest-api-2-issue-bulk-post
const bulk = 10

// The labels of every ticket: one to find all that Tocsin has created, one for the dedup
// key.
const (
	label       = "tocsin"
	labelPrefix = label + "-"
)

// obtain sees to it that at most bulk incidents have tickets: it finds those that may have
// been created before, and creates the others.
func (r *run) obtain(ctx context.Context, some []*incident) {
	if missing := r.recover(ctx, some); len(missing) > 0 && r.halt == nil {
		r.create(ctx, missing, nil)
	}
}

// create creates tickets without some fields. Where Jira refuses a request for several as a
// whole, each is tried by itself, so that one event does not fail the others.
func (r *run) create(ctx context.Context, incidents []*incident, without []string) {
	created, errs, err := r.submit(ctx, incidents, without)
	if err != nil {
		r.notCreated(ctx, incidents, without, err)
		return
	}
	var again []*incident
	var dropped []string
	for i, inc := range incidents {
		fields := dispensable(errs[i])
		switch {
		case errs[i] == nil:
			r.opened(ctx, inc, created[i])
		case len(fields) > 0 && without == nil:
			again, dropped = append(again, inc), append(dropped, fields...)
		default:
			r.failedAlone(inc, errs[i])
		}
	}
	if len(again) > 0 {
		dropped = slices.Compact(slices.Sorted(slices.Values(dropped)))
		r.s.channel.log.WarnContext(ctx, "jira refused fields; creating the tickets without them", "fields", dropped, "tickets", len(again),
			"delivery", r.n.DeliveryID, "webhook", r.n.WebhookID)
		r.create(ctx, again, dropped)
	}
}

// notCreated handles the failure of a whole request.
func (r *run) notCreated(ctx context.Context, incidents []*incident, without []string, err error) {
	fail := tocsin.Classify(err)
	if fail.Fault == tocsin.FaultEvent {
		for _, inc := range incidents {
			if len(incidents) == 1 {
				r.reject(inc, err)
			} else if r.halt == nil {
				r.create(ctx, []*incident{inc}, without)
			}
		}
		return
	}
	if fail.Unsure {
		for _, inc := range incidents {
			r.doubt(inc)
		}
	}
	r.stop(err)
}

// failedAlone handles the failure of one ticket among others.
func (r *run) failedAlone(inc *incident, err error) {
	fail := tocsin.Classify(err)
	if fail.Fault == tocsin.FaultEvent {
		r.reject(inc, err)
		return
	}
	if fail.Unsure {
		r.doubt(inc)
	}
	r.postpone(inc, err)
}

// doubt remembers that there may be a ticket since now.
func (r *run) doubt(inc *incident) {
	at := r.n.At
	to := inc.ref.without(unsure)
	to.At = &at
	r.remember(inc, to)
}

// opened remembers a new ticket; its first event is in it. One that takes the place of another
// is looked at: when it is out of reach later, it matters whether it ever was within.
func (r *run) opened(ctx context.Context, inc *incident, issue jira.Issue) {
	to := inc.ref.without(open)
	to.ID, to.Key, to.Said = issue.ID, issue.Key, eventMark(r.n.WebhookID, r.event(inc))
	if to.LostID != "" {
		_, err := r.api.look(ctx, to.ticket(), false)
		to.Seen = err == nil // if it is not known, the next event tells
	}
	r.remember(inc, to)
	r.told(inc)
}

// submit asks for tickets. created and errs are by place; err is that of the whole request.
func (r *run) submit(ctx context.Context, incidents []*incident, without []string) (created []jira.Issue, errs []error, err error) {
	issues := make([]jira.Issue, len(incidents))
	for i, inc := range incidents {
		issues[i] = r.issue(inc, without)
	}
	if len(issues) > 1 {
		return r.api.createAll(ctx, issues)
	}
	one, err := r.api.create(ctx, &issues[0])
	if dispensable(err) != nil {
		return []jira.Issue{{}}, []error{err}, nil
	}
	return []jira.Issue{one}, []error{nil}, err
}

// issue renders the ticket for an incident's next event.
func (r *run) issue(inc *incident, without []string) jira.Issue {
	c, e := r.s.config, r.event(inc)
	summary, cut := summaryOf(r.n, e)
	description, shortened := descriptionOf(r.s.channel.guide, r.n, e, inc.ref.origin())
	if cut || shortened {
		r.truncated[inc.events[0]] = true
	}
	fields := &jira.IssueFields{
		Project: jira.Project{Key: c.project}, Type: jira.IssueType{Name: c.issueType},
		Summary: summary, Description: description, Unknowns: map[string]any{},
	}
	if !slices.Contains(without, "labels") {
		fields.Labels = r.labels(inc.key)
	}
	if name := c.priority[e.Severity.String()]; name != "" && !slices.Contains(without, "priority") {
		fields.Priority = &jira.Priority{Name: name}
	}
	for _, name := range c.components {
		fields.Components = append(fields.Components, &jira.Component{Name: name})
	}
	switch {
	case c.assignee != "" && c.deployment == cloud:
		fields.Unknowns["assignee"] = map[string]string{"accountId": c.assignee} // a jira.User brings an empty password
	case c.assignee != "":
		fields.Unknowns["assignee"] = map[string]string{"name": c.assignee}
	}
	for id, value := range c.customFields {
		fields.Unknowns[id] = value
	}
	return jira.Issue{Fields: fields}
}

// labels are ours and the user's, each once.
func (r *run) labels(key string) []string {
	list := []string{label, labelPrefix + ticketMark(r.n.WebhookID, key)}
	for _, l := range r.s.config.labels {
		if l != "" && !slices.Contains(list, l) {
			list = append(list, l)
		}
	}
	return list
}

// create makes one ticket:
// https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issues/#api-rest-api-2-issue-post
func (a *api) create(ctx context.Context, issue *jira.Issue) (jira.Issue, error) {
	const doing = "creating a ticket in jira"
	created, _, err := a.jira.Issue.CreateWithContext(ctx, issue)
	if err := a.outcome(doing, err, true); err != nil {
		return jira.Issue{}, err
	}
	if (ref{ID: created.ID, Key: created.Key}).ticket() == "" {
		return jira.Issue{}, a.outcome(doing, errNoAnswer, true)
	}
	return *created, nil
}

// bulkAnswer is what Jira says to several tickets: those created, in order, and an error
// for each other, with its place among all that were asked for. The status is 201 when one
// was created, and 400 when none was.
type bulkAnswer struct {
	Issues []jira.Issue `json:"issues"`
	Errors []struct {
		Status int        `json:"status"`
		Place  *int       `json:"failedElementNumber"`
		Said   jira.Error `json:"elementErrors"`
	} `json:"errors"`
}

// createAll makes several tickets by one request.
func (a *api) createAll(ctx context.Context, issues []jira.Issue) (created []jira.Issue, errs []error, err error) {
	const doing = "creating tickets in jira"
	in := struct {
		IssueUpdates []jira.Issue `json:"issueUpdates"`
	}{issues}
	err = a.ask(ctx, http.MethodPost, "rest/api/2/issue/bulk", in, nil)
	var said bulkAnswer
	readable := a.last.status == http.StatusCreated || a.last.status == http.StatusOK || a.last.status == http.StatusBadRequest
	if readable && a.last.err == nil && !a.last.cut && json.Unmarshal(a.last.body, &said) == nil && len(said.Issues)+len(said.Errors) > 0 {
		return a.byPlace(doing, said, len(issues))
	}
	if err = a.outcome(doing, err, true); err == nil {
		err = a.outcome(doing, errNoAnswer, true)
	}
	return nil, nil, err
}

// byPlace brings each ticket and each error to the place it was asked for at: errors say
// theirs, tickets take the other places in order. When that does not come out even, there is
// no telling which ticket is whose.
func (a *api) byPlace(doing string, said bulkAnswer, n int) (created []jira.Issue, errs []error, err error) {
	created, errs = make([]jira.Issue, n), make([]error, n)
	for _, e := range said.Errors {
		if e.Place == nil || *e.Place < 0 || *e.Place >= n || errs[*e.Place] != nil {
			return nil, nil, a.muddled(doing)
		}
		if e.Status < 300 {
			e.Status = http.StatusBadRequest
		}
		said := a.redacted(e.Said)
		refused := refuse(e.Status, a.last.header, said, sentence(said))
		errs[*e.Place] = &placed{doing: doing, err: refused}
	}
	next := 0
	for i := range created {
		if errs[i] != nil {
			continue
		}
		if next == len(said.Issues) || (ref{ID: said.Issues[next].ID, Key: said.Issues[next].Key}).ticket() == "" {
			return nil, nil, a.muddled(doing)
		}
		created[i] = said.Issues[next]
		next++
	}
	if next != len(said.Issues) {
		return nil, nil, a.muddled(doing)
	}
	return created, errs, nil
}

// placed is an error of one ticket among others.
type placed struct {
	doing string
	err   error
}

// Error implements error.
func (p *placed) Error() string { return p.doing + ": " + p.err.Error() }

// Unwrap returns the refusal.
func (p *placed) Unwrap() error { return p.err }

// muddled is the error for an answer whose tickets cannot be told apart.
func (a *api) muddled(doing string) error {
	return tocsin.Unsure(tocsin.RetryAfter(post.Errorf(post.ClassBody, "%s: the answer does not say which tickets were created", doing), 0))
}

// redacted takes the secrets from what Jira said: an answer may repeat a request.
func (a *api) redacted(said jira.Error) jira.Error {
	for i, m := range said.ErrorMessages {
		said.ErrorMessages[i] = a.redact.Text(m)
	}
	for field, m := range said.Errors {
		said.Errors[field] = a.redact.Text(m)
	}
	return said
}
