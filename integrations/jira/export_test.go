package jira

import "github.com/andygrunwald/go-jira"

func (a *api) answerOf(status int, body string) *answer {
	return &answer{status: status, header: map[string][]string{}, body: []byte(body), shown: body}
}

func emptyIssue() *jira.Issue { return &jira.Issue{Fields: &jira.IssueFields{}} }

func twoIssues() []jira.Issue { return []jira.Issue{*emptyIssue(), *emptyIssue()} }

// EventMark is for tests outside.
var EventMark = eventMark
