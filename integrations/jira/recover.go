package jira

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/andygrunwald/go-jira"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// settle is how long after it may have been created a ticket can be missing from a search
// before it counts as not created: the index of Cloud follows "a few seconds to minutes"
// later, mostly seconds (https://developer.atlassian.com/cloud/jira/platform/search-and-reconcile/),
// and the nodes of Data Center have indexes of their own.
const settle = time.Minute

// maxFound bounds a search's answer.
const maxFound = 50

// recover looks for tickets that an earlier attempt may have created, and returns the
// incidents that have none. Where it is too early to tell, they wait for a later attempt.
func (r *run) recover(ctx context.Context, some []*incident) []*incident {
	var doubtful, missing []*incident
	for _, inc := range some {
		if !inc.searched && (r.n.Uncertain || inc.ref.Status == unsure) {
			doubtful = append(doubtful, inc)
		}
	}
	if len(doubtful) == 0 {
		return some
	}
	found, err := r.search(ctx, doubtful)
	if err != nil {
		r.stop(err)
		return nil
	}
	for _, inc := range some {
		issue, ok := found[ticketMark(r.n.WebhookID, inc.key)]
		switch {
		case ok:
			inc.searched = true
			r.adopt(inc, issue)
		case slices.Contains(doubtful, inc) && r.tooEarly(inc):
		case r.stillWanted(inc):
			missing = append(missing, inc)
		}
	}
	return missing
}

// tooEarly postpones an incident whose ticket may not be in the index yet. When it may
// have been created is remembered, so that this happens once.
func (r *run) tooEarly(inc *incident) bool {
	if inc.ref.Status != unsure || inc.ref.At == nil {
		r.doubt(inc)
	}
	wait := settle - r.n.At.Sub(*inc.ref.At)
	if wait <= 0 {
		return false
	}
	r.postpone(inc, tocsin.RetryAfter(post.Errorf(post.ClassInternal,
		"it is not known whether the ticket was created, and Jira's search does not show it yet; looking again after %s", wait), min(wait, settle)))
	return true
}

// stillWanted drops what needs no ticket, now that it is known that there is none.
func (r *run) stillWanted(inc *incident) bool {
	inc.searched = true
	if inc.ref.Status == unsure {
		inc.ref = inc.ref.without("")
	}
	return r.wantsTicket(inc)
}

// adopt remembers a ticket that was found. Its description says whether the next event is
// the one that created it.
func (r *run) adopt(inc *incident, issue jira.Issue) {
	to := inc.ref.without(open)
	to.ID, to.Key, to.Seen = issue.ID, issue.Key, true
	if isDone(issue) {
		to.Status = resolved
	}
	mark := eventMark(r.n.WebhookID, r.event(inc))
	told := strings.Contains(issue.Fields.Description, mark)
	if told {
		to.Said = mark
	}
	r.remember(inc, to)
	if told {
		r.told(inc)
	}
}

// search finds tickets of this webhook by the marks of their dedup keys: by label, and by
// the word at the foot of the description, for projects whose screens have no labels.
func (r *run) search(ctx context.Context, incidents []*incident) (map[string]jira.Issue, error) {
	marks := make([]string, len(incidents))
	for i, inc := range incidents {
		marks[i] = ticketMark(r.n.WebhookID, inc.key)
	}
	issues, err := r.api.search(ctx, query(r.s.config.project, marks))
	if err != nil {
		return nil, err
	}
	found := map[string]jira.Issue{}
	for _, issue := range issues {
		if issue.Fields == nil || (ref{ID: issue.ID, Key: issue.Key}).ticket() == "" {
			continue
		}
		for i, mark := range marks {
			if incidents[i].ref.LostID == (ref{ID: issue.ID, Key: issue.Key}).ticket() {
				continue // out of reach, whatever the search says
			}
			if !slices.Contains(issue.Fields.Labels, labelPrefix+mark) && !strings.Contains(issue.Fields.Description, mark) {
				continue
			}
			// Newest first; one that is open goes before one that is done.
			if before, ok := found[mark]; !ok || isDone(before) && !isDone(issue) {
				found[mark] = issue
			}
		}
	}
	return found, nil
}

// query is JQL for tickets with any of these marks.
func query(project string, marks []string) string {
	var labels, words []string
	for _, mark := range marks {
		labels = append(labels, quote(labelPrefix+mark))
		words = append(words, "description ~ "+quote(mark))
	}
	return fmt.Sprintf("project = %s AND (labels in (%s) OR %s) ORDER BY created DESC",
		quote(project), strings.Join(labels, ", "), strings.Join(words, " OR "))
}

// jqlEscaper escapes what ends a JQL string or begins an escape in it. In quotes nothing else
// is special, but for ~, which is asked for plain words alone:
// https://jira.atlassian.com/browse/JRA-24455
var jqlEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`)

// quote is a JQL string.
func quote(text string) string { return `"` + jqlEscaper.Replace(text) + `"` }

// search runs JQL. Cloud has removed /rest/api/2/search in favour of /search/jql, whose
// answers hold what is asked for alone; Data Center has only the former.
// https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issue-search/#api-rest-api-2-search-jql-get
func (a *api) search(ctx context.Context, jql string) (issues []jira.Issue, err error) {
	fields := []string{"status", "labels", "description"}
	if a.config.deployment == cloud {
		issues, _, err = a.jira.Issue.SearchV2JQLWithContext(ctx, jql, &jira.SearchOptionsV2{MaxResults: maxFound, Fields: fields})
	} else {
		issues, _, err = a.jira.Issue.SearchWithContext(ctx, jql, &jira.SearchOptions{MaxResults: maxFound, Fields: fields})
	}
	return issues, a.outcome("searching jira for the ticket", err, true)
}

// isDone reports whether a ticket's status is of the category done.
func isDone(issue jira.Issue) bool {
	return issue.Fields != nil && issue.Fields.Status != nil && issue.Fields.Status.StatusCategory.Key == categoryDone
}
