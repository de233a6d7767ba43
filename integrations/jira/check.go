package jira

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/andygrunwald/go-jira"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// Check implements tocsin.Checker. It asks who the account is, which issue types it may
// create in the project, and which fields their create screen has.
func (s *sender) Check(ctx context.Context) (string, []tocsin.Exchange, error) {
	if err := s.ready(ctx, tocsin.Notification{Events: make([]tocsin.Event, 1)}); err != nil {
		return "", nil, err
	}
	session := s.client.Session(s.redact)
	api, err := newAPI(s.config, s.redact, live(session))
	if err != nil {
		return "", nil, err
	}
	found, err := api.check(ctx)
	return s.redact.Text(found), session.Exchanges(), err
}

func (a *api) check(ctx context.Context) (string, error) {
	me, _, err := a.jira.User.GetSelfWithContext(ctx)
	if err := a.outcome("asking jira for the account", err, true); err != nil {
		return "", err
	}
	kinds, err := a.issueTypes(ctx)
	if err != nil {
		return "", err
	}
	at := slices.IndexFunc(kinds, func(k jira.IssueType) bool { return strings.EqualFold(k.Name, a.config.issueType) })
	if at < 0 {
		return "", tocsin.Refused(post.Errorf(post.ClassStatus, "project %s has no issue type %q that this account may create; it has: %s",
			a.config.project, a.config.issueType, names(kinds)))
	}
	found := fmt.Sprintf("creates tickets of type %s in project %s as %s", kinds[at].Name, a.config.project, cmp.Or(me.DisplayName, me.Name, me.EmailAddress))
	missing, err := a.screen(ctx, kinds[at])
	return found + missing, err
}

// names lists issue types, a bounded number of them.
func names(kinds []jira.IssueType) string {
	var list []string
	for _, k := range kinds[:min(len(kinds), 30)] {
		list = append(list, k.Name)
	}
	return cmp.Or(strings.Join(list, ", "), "none")
}

// createMeta is what Cloud calls issueTypes and fields, and Data Center values:
// https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issues/#api-rest-api-2-issue-createmeta-projectidorkey-issuetypes-get
// https://confluence.atlassian.com/jiracore/createmeta-rest-endpoint-to-be-removed-975040986.html
type createMeta[T any] struct {
	IssueTypes []T `json:"issueTypes"`
	Fields     []T `json:"fields"`
	Values     []T `json:"values"`
}

func (m createMeta[T]) list() []T { return slices.Concat(m.IssueTypes, m.Fields, m.Values) }

// issueTypes are those that the account may create in the project. Data Center before 8.4
// has no such question, and is asked for the project.
func (a *api) issueTypes(ctx context.Context) ([]jira.IssueType, error) {
	var meta createMeta[jira.IssueType]
	err := a.ask(ctx, http.MethodGet, a.metaPath()+"?maxResults=200", nil, &meta)
	err = a.outcome("asking jira for the project's issue types", err, true)
	if statusOf(err) != http.StatusNotFound || a.config.deployment == cloud {
		return meta.list(), err
	}
	project, _, err := a.jira.Project.GetWithContext(ctx, url.PathEscape(a.config.project))
	if err := a.outcome("asking jira for the project", err, true); err != nil {
		return nil, err
	}
	return project.IssueTypes, nil
}

func (a *api) metaPath() string {
	return "rest/api/2/issue/createmeta/" + url.PathEscape(a.config.project) + "/issuetypes"
}

// field is a field of a create screen.
type field struct {
	ID       string `json:"fieldId"`
	Name     string `json:"name"`
	Required bool   `json:"required"`
	Default  bool   `json:"hasDefaultValue"`
}

// screen compares a create screen with what the channel will fill in: a required field that
// it does not know of is an error, and one that it would fill in and that is not there is
// told. Where Jira does not say, nothing is known.
func (a *api) screen(ctx context.Context, kind jira.IssueType) (string, error) {
	if !digits(kind.ID) {
		return "", nil
	}
	var meta createMeta[field]
	err := a.ask(ctx, http.MethodGet, a.metaPath()+"/"+kind.ID+"?maxResults=200", nil, &meta)
	if err := a.outcome("asking jira for the fields of the create screen", err, true); err != nil {
		if statusOf(err) == http.StatusNotFound {
			return "", nil
		}
		return "", err
	}
	fields := meta.list()
	if len(fields) == 0 {
		return "", nil
	}
	var required, absent []string
	for _, f := range fields {
		if f.Required && !f.Default && !a.fills(f.ID) {
			required = append(required, fmt.Sprintf("%s (%s)", f.ID, f.Name))
		}
	}
	if len(required) > 0 {
		return "", tocsin.Refused(post.Errorf(post.ClassStatus, "the create screen of %s requires fields that the configuration does not set: %s; add them to custom_fields",
			kind.Name, strings.Join(required, ", ")))
	}
	for _, id := range optional {
		if a.fills(id) && !slices.ContainsFunc(fields, func(f field) bool { return f.ID == id }) {
			absent = append(absent, id)
		}
	}
	if len(absent) == 0 {
		return "", nil
	}
	return ", without " + strings.Join(absent, " and ") + ", which the create screen does not have", nil
}

// fills reports whether tickets are created with a field. Jira sets the reporter by itself.
func (a *api) fills(id string) bool {
	switch id {
	case "summary", "description", "project", "issuetype", "labels", "reporter":
		return true
	case "priority":
		return len(a.config.priority) > 0
	case "components":
		return len(a.config.components) > 0
	case "assignee":
		return a.config.assignee != ""
	}
	_, ok := a.config.customFields[id]
	return ok
}
