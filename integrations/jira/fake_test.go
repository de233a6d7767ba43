package jira_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"
)

// fake is a Jira that remembers. It enforces the limits that Jira documents, answers in its
// words, and has one project, SEC, with a workflow of three statuses.
type fake struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	issues   []*issue
	requests []string // "POST /rest/api/2/issue"
	// cloud: search is at /search/jql, and shows what reindex has seen.
	cloud   bool
	indexed int
	// offScreen are fields that the create screen does not have, kinds the issue types.
	offScreen []string
	kinds     []string
	// workflow is the transitions from each status.
	workflow map[string][]transition
	// fail answers in place of Jira where it returns a status; after runs Jira and loses the
	// answer where it returns true.
	fail func(r *http.Request) (status int, header http.Header, body string)
	lose func(r *http.Request) bool
	auth string
	// required are fields of the create screen that have no default.
	required map[string]string
}

type issue struct {
	id, key  string
	fields   map[string]any
	status   string
	comments []string
	deleted  bool
}

type transition struct {
	ID, Name, To string
	Required     bool
}

// categories of the workflow's statuses, whose names are in the account's language.
var categories = map[string]string{"Zu erledigen": "new", "In Arbeit": "indeterminate", "Fertig": "done", "Abgelehnt": "done"}

func newFake(t *testing.T, cloud bool) *fake {
	f := &fake{t: t, cloud: cloud, kinds: []string{"Task", "Bug"}, workflow: map[string][]transition{
		"Zu erledigen": {{"11", "Beginnen", "In Arbeit", false}, {"12", "Ablehnen", "Abgelehnt", true}, {"13", "Erledigen", "Fertig", false}},
		"In Arbeit":    {{"21", "Erledigen", "Fertig", false}},
		"Fertig":       {{"31", "Weiter bearbeiten", "In Arbeit", false}, {"32", "Wieder öffnen", "Zu erledigen", false}},
	}}
	f.auth = "Bearer " + token
	if cloud {
		f.auth = "Basic YWxlcnRzQGFjbWUuZXhhbXBsZTpBVEFUVDN4RmZHRjBqaXJhVG9rZW4="
	}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/rest/api/2/"))
	if f.fail != nil {
		if status, header, body := f.fail(r); status != 0 {
			for name := range header {
				w.Header().Set(name, header.Get(name))
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return
		}
	}
	answer := httptest.NewRecorder()
	f.route(answer, r)
	if f.lose != nil && f.lose(r) {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

var issuePath = regexp.MustCompile(`^/rest/api/2/issue/([A-Z0-9-]+)(/comment|/transitions)?$`)

func (f *fake) route(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if r.Header.Get("Authorization") != f.auth {
		refuse(w, 401, map[string]string{}, "You are not authenticated. Authentication required to perform this operation.")
		return
	}
	switch found := issuePath.FindStringSubmatch(path); {
	case path == "/rest/api/2/issue" && r.Method == "POST":
		f.createOne(w, r)
	case path == "/rest/api/2/issue/bulk" && r.Method == "POST":
		f.createAll(w, r)
	case path == "/rest/api/2/search" && f.cloud:
		refuse(w, 410, nil, "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API. A full migration guideline is available at https://developer.atlassian.com/changelog/#CHANGE-2046")
	case path == "/rest/api/2/search" && r.Method == "GET" || path == "/rest/api/2/search/jql" && f.cloud:
		f.search(w, r)
	case path == "/rest/api/2/project/SEC":
		write(w, 200, map[string]any{"id": "10000", "key": "SEC"})
	case path == "/rest/api/2/myself":
		write(w, 200, map[string]any{"displayName": "Tocsin Bot", "active": true})
	case strings.HasPrefix(path, "/rest/api/2/issue/createmeta/SEC/issuetypes"):
		f.meta(w, strings.TrimPrefix(path, "/rest/api/2/issue/createmeta/SEC/issuetypes"))
	case found != nil:
		f.one(w, r, found[1], found[2])
	default:
		refuse(w, 404, nil, "null for uri: "+path)
	}
}

// write answers JSON.
func write(w http.ResponseWriter, status int, v any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a recorder takes all
}

// refuse answers as Jira refuses.
func refuse(w http.ResponseWriter, status int, fields map[string]string, messages ...string) {
	if fields == nil {
		fields = map[string]string{}
	}
	write(w, status, map[string]any{"errorMessages": append([]string{}, messages...), "errors": fields})
}

func chars(text string) int { return len(utf16.Encode([]rune(text))) }

// validate says what is wrong with the fields of a new ticket.
func (f *fake) validate(fields map[string]any) map[string]string {
	errs := map[string]string{}
	for name := range fields {
		if slices.Contains(f.offScreen, name) {
			errs[name] = "Field '" + name + "' cannot be set. It is not on the appropriate screen, or unknown."
		}
	}
	summary, _ := fields["summary"].(string)
	description, _ := fields["description"].(string)
	switch {
	case summary == "":
		errs["summary"] = "You must specify a summary of the issue."
	case strings.ContainsAny(summary, "\r\n"):
		errs["summary"] = "The summary is invalid because it contains newline characters."
	case chars(summary) > 255:
		errs["summary"] = "Summary must be less than 255 characters."
	case strings.Contains(summary, "poison"):
		errs["summary"] = "The summary is poisoned."
	}
	if chars(description) > 32767 {
		errs["description"] = "The entered text is too long. It exceeds the allowed limit of 32,767 characters."
	}
	if key := name(fields["project"], "key"); key != "SEC" {
		errs["project"] = "valid project is required"
	}
	if !slices.Contains(f.kinds, name(fields["issuetype"], "name")) {
		errs["issuetype"] = "The issue type selected is invalid."
	}
	if p, given := fields["priority"]; given && !slices.Contains([]string{"Highest", "High", "Low"}, name(p, "name")) {
		errs["priority"] = "The priority selected is invalid."
	}
	labels, _ := fields["labels"].([]any)
	for _, l := range labels {
		if strings.ContainsAny(l.(string), " \t\n") {
			errs["labels"] = fmt.Sprintf("The label '%s' contains spaces which is invalid.", l)
		}
	}
	for id, title := range f.required {
		if _, given := fields[id]; !given {
			errs[id] = title + " is required."
		}
	}
	return errs
}

func name(v any, key string) string {
	m, _ := v.(map[string]any)
	s, _ := m[key].(string)
	return s
}

func (f *fake) add(fields map[string]any) map[string]any {
	n := len(f.issues) + 1
	i := &issue{id: strconv.Itoa(10000 + n), key: fmt.Sprintf("SEC-%d", n), fields: fields, status: "Zu erledigen"}
	f.issues = append(f.issues, i)
	return map[string]any{"id": i.id, "key": i.key, "self": f.URL + "/rest/api/2/issue/" + i.id}
}

func (f *fake) createOne(w http.ResponseWriter, r *http.Request) {
	var in struct{ Fields map[string]any }
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		refuse(w, 400, nil, "Invalid request payload. Refer to the REST API documentation and try again.")
		return
	}
	if errs := f.validate(in.Fields); len(errs) > 0 {
		refuse(w, 400, errs)
		return
	}
	write(w, 201, f.add(in.Fields))
}

func (f *fake) createAll(w http.ResponseWriter, r *http.Request) {
	var in struct {
		IssueUpdates []struct{ Fields map[string]any }
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil || len(in.IssueUpdates) > 50 {
		refuse(w, 400, nil, "Invalid request payload. Refer to the REST API documentation and try again.")
		return
	}
	issues, failed, status := []any{}, []any{}, 400
	for i, u := range in.IssueUpdates {
		if errs := f.validate(u.Fields); len(errs) > 0 {
			failed = append(failed, map[string]any{"status": 400, "failedElementNumber": i, "elementErrors": map[string]any{"errorMessages": []string{}, "errors": errs}})
			continue
		}
		issues, status = append(issues, f.add(u.Fields)), 201
	}
	write(w, status, map[string]any{"issues": issues, "errors": failed})
}

func (f *fake) status(i *issue) map[string]any {
	return map[string]any{"name": i.status, "statusCategory": map[string]any{"id": 2, "key": categories[i.status]}}
}

func (f *fake) meta(w http.ResponseWriter, rest string) {
	key := map[bool]string{true: "issueTypes", false: "values"}[f.cloud]
	if rest == "" {
		list := []any{}
		for i, k := range f.kinds {
			list = append(list, map[string]any{"id": strconv.Itoa(100 + i), "name": k})
		}
		write(w, 200, map[string]any{key: list, "total": len(list)})
		return
	}
	list := []any{}
	for _, id := range []string{"summary", "description", "project", "issuetype", "labels", "priority"} {
		if !slices.Contains(f.offScreen, id) {
			list = append(list, map[string]any{"fieldId": id, "name": id, "required": id == "summary"})
		}
	}
	for id, title := range f.required {
		list = append(list, map[string]any{"fieldId": id, "name": title, "required": true})
	}
	write(w, 200, map[string]any{map[bool]string{true: "fields", false: "values"}[f.cloud]: list})
}

// one serves a ticket.
func (f *fake) one(w http.ResponseWriter, r *http.Request, id, what string) {
	at := slices.IndexFunc(f.issues, func(i *issue) bool { return (i.id == id || i.key == id) && !i.deleted })
	if at < 0 {
		refuse(w, 404, nil, "Issue does not exist or you do not have permission to see it.")
		return
	}
	i := f.issues[at]
	switch r.Method + what {
	case "GET":
		all := map[string]any{"status": f.status(i), "description": i.fields["description"]}
		asked := map[string]any{}
		for _, field := range strings.Split(r.URL.Query().Get("fields"), ",") {
			asked[field] = all[field]
		}
		write(w, 200, map[string]any{"id": i.id, "key": i.key, "fields": asked})
	case "GET/comment":
		list := []any{}
		for _, c := range slices.Backward(i.comments) {
			list = append(list, map[string]any{"body": c})
		}
		write(w, 200, map[string]any{"comments": list})
	case "POST/comment":
		var in struct{ Body string }
		if json.NewDecoder(r.Body).Decode(&in) != nil || in.Body == "" {
			refuse(w, 400, map[string]string{"comment": "Comment body can not be empty!"})
			return
		}
		if chars(in.Body) > 32767 || strings.Contains(in.Body, "poison") {
			refuse(w, 400, map[string]string{"comment": "The entered text is too long. It exceeds the allowed limit of 32,767 characters."})
			return
		}
		i.comments = append(i.comments, in.Body)
		write(w, 201, map[string]any{"id": "1", "body": in.Body})
	case "GET/transitions":
		f.transitions(w, i)
	case "POST/transitions":
		f.transit(w, r, i)
	default:
		refuse(w, 405, nil, "Method Not Allowed")
	}
}

func (f *fake) transitions(w http.ResponseWriter, i *issue) {
	list := []any{}
	for _, t := range f.workflow[i.status] {
		fields := map[string]any{}
		if t.Required {
			fields["resolution"] = map[string]any{"required": true}
		}
		list = append(list, map[string]any{
			"id": t.ID, "name": t.Name, "fields": fields,
			"to": map[string]any{"name": t.To, "statusCategory": map[string]any{"id": 3, "key": categories[t.To]}},
		})
	}
	write(w, 200, map[string]any{"transitions": list})
}

func (f *fake) transit(w http.ResponseWriter, r *http.Request, i *issue) {
	var in struct{ Transition struct{ ID string } }
	_ = json.NewDecoder(r.Body).Decode(&in) // without an id it is no transition
	for _, t := range f.workflow[i.status] {
		if t.ID != in.Transition.ID {
			continue
		}
		if t.Required {
			refuse(w, 400, map[string]string{"resolution": "Resolution is required."})
			return
		}
		i.status = t.To
		w.WriteHeader(204)
		return
	}
	refuse(w, 400, nil, "It seems that you have tried to perform an illegal workflow operation.")
}

// reindex lets the search of Cloud see everything.
func (f *fake) reindex() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.indexed = len(f.issues)
}

// take returns the requests since the last call.
func (f *fake) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.requests
	f.requests = nil
	return out
}
