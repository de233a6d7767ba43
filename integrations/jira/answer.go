package jira

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/andygrunwald/go-jira"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// eventFields are the fields whose content follows from the event. All others are the
// configuration's, or those of the project's screens.
var eventFields = []string{"summary", "description", "comment"}

// optional are fields that a ticket is created without, once, when Jira refuses them: an
// alert without its label or its priority is better than none. Jira says of a field that
// is not on the create screen, in the account's language: "Field 'labels' cannot be set. It
// is not on the appropriate screen, or unknown." (https://github.com/pycontribs/jira/issues/16)
var optional = []string{"labels", "priority"}

// refusal is what Jira said about a request that it refused: messages, and one for each
// field (https://developer.atlassian.com/cloud/jira/platform/rest/v2/intro/#status-codes).
type refusal struct {
	status int
	said   jira.Error
	err    *tocsin.SendError
}

// Error implements error.
func (r *refusal) Error() string { return r.err.Error() }

// Unwrap returns the classified error.
func (r *refusal) Unwrap() error { return r.err }

// ErrorClass returns the class.
func (r *refusal) ErrorClass() string { return post.ClassStatus }

// dispensable are the fields that err is about, when a ticket may be created without all
// of them; nil otherwise.
func dispensable(err error) []string {
	var r *refusal
	if !errors.As(err, &r) || r.status != http.StatusBadRequest || len(r.said.Errors) == 0 || len(r.said.ErrorMessages) > 0 {
		return nil
	}
	fields := slices.Sorted(maps.Keys(r.said.Errors))
	for _, f := range fields {
		if !slices.Contains(optional, f) {
			return nil
		}
	}
	return fields
}

// statusOf is the status of the answer that err comes from, 0 for none.
func statusOf(err error) int {
	var r *refusal
	if errors.As(err, &r) {
		return r.status
	}
	return 0
}

// classify sorts an answer into whose fault it is; nil for 2xx.
func (a *answer) classify() error {
	var said jira.Error
	_ = json.Unmarshal([]byte(a.shown), &said) // what is not Jira's form is shown as it is
	return refuse(a.status, a.header, said, a.shown)
}

// refuse is the error for a status and what was said with it; nil for 2xx.
//
//	400 about a field     the event's for its summary, its description and a comment; else
//	                      the webhook's: a project, an issue type, a required field
//	401, 403, 404         the webhook's: an account, its rights, the project
//	410                   the webhook's, and not "gone": Jira says so of parts of the API
//	                      that it has removed, as it did of /rest/api/2/search in Cloud
//	                      (https://developer.atlassian.com/changelog/#CHANGE-2046)
//	429, 5xx              as post.Classify has it; 429 comes with Retry-After
//	                      (https://developer.atlassian.com/cloud/jira/platform/rate-limiting/)
func refuse(status int, header http.Header, said jira.Error, shown string) error {
	err := post.Classify(status, header, shown)
	if err == nil {
		return nil
	}
	s := *tocsin.Classify(err)
	message := s.Err.Error()
	if words := sentence(said); words != "" {
		message = fmt.Sprintf("answered %d %s: %s", status, http.StatusText(status), words)
	}
	switch {
	case status == http.StatusBadRequest && configured(said):
		s.Fault = tocsin.FaultWebhook
	case status == http.StatusGone:
		s.Fault = tocsin.FaultWebhook
		message += "; Jira has removed this part of its API, so deployment may be wrong"
	case strings.Contains(header.Get("X-Seraph-LoginReason"), "AUTHENTICATION_DENIED"):
		// https://developer.atlassian.com/server/jira/platform/basic-authentication/ (CAPTCHA)
		message += "; Jira asks this account for a CAPTCHA, so log in with it once by a browser"
	case status == http.StatusUnauthorized:
		message += "; look at deployment, email and token"
	}
	s.Err = &post.Error{Class: post.ClassStatus, Message: message}
	return &refusal{status: status, said: said, err: &s}
}

// configured reports whether Jira refused a field that does not follow from the event.
func configured(said jira.Error) bool {
	for field := range said.Errors {
		if !slices.Contains(eventFields, field) {
			return true
		}
	}
	return false
}

// sentence is all that Jira said, on one line of bounded length.
func sentence(said jira.Error) string {
	parts := slices.Clone(said.ErrorMessages)
	for _, field := range slices.Sorted(maps.Keys(said.Errors)) {
		parts = append(parts, field+": "+said.Errors[field])
	}
	text := strings.Join(strings.Fields(strings.Join(parts, "; ")), " ")
	if runes := []rune(text); len(runes) > 500 {
		text = string(runes[:499]) + "…"
	}
	return text
}
