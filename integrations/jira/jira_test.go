package jira_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/jira"
)

// token is the secret of the suite's configuration.
const token = "ATATT3xFfGF0jiraToken"

func newChannel(c *post.Client, log *slog.Logger) tocsin.Channel {
	return jira.New(c, catalog.Default(), log)
}

func suiteConfig(url string) string {
	return `{"url":"` + url + `","deployment":"cloud","email":"alerts@acme.example","token":"` + token + `","project":"SEC","issue_type":"Bug",
		"labels":["agents"],"priority":{"critical":"Highest","high":"High"},"components":["Gateway"],"assignee":"5b10ac8d82e05b22cc7d4ef5",
		"custom_fields":{"customfield_10042":{"value":"Platform"},"customfield_10043":7},"resolve_transition":"Close","reopen_transition":"Reopen",
		"comment_on_refire":true}`
}

// yes is a Jira that takes everything and remembers nothing.
func yes(w http.ResponseWriter, r *http.Request) {
	const created = `{"id":"10001","key":"SEC-1","fields":{"status":{"statusCategory":{"key":"new"}}},
		"transitions":[{"id":"31","name":"Close","to":{"statusCategory":{"key":"done"}}}]}`
	body, _ := io.ReadAll(r.Body) // it is in memory
	if strings.HasSuffix(r.URL.Path, "/bulk") {
		n := bytes.Count(body, []byte(`"issuetype":`))
		fmt.Fprintf(w, `{"issues":[%s]}`, strings.TrimSuffix(strings.Repeat(created+",", n), ","))
		return
	}
	_, _ = io.WriteString(w, created) // a sender that is gone is the test's to notice
}

// fieldsOf are the fields of the first ticket in a request.
func fieldsOf(t *testing.T, body string) map[string]any {
	t.Helper()
	var in struct {
		Fields map[string]any `json:"fields"`
	}
	if err := json.Unmarshal([]byte(body), &in); err != nil {
		t.Fatalf("reading the request: %v", err)
	}
	return in.Fields
}

func TestConformance(t *testing.T) {
	low := func(title, summary string) tocsin.Event {
		return tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Severity: tocsin.SeverityLow, Title: title, Summary: summary}
	}
	// What a description without a summary is long: the rest is the summary's.
	const rest = 213
	integrationtest.Run(t, integrationtest.Spec{
		New: newChannel, Config: suiteConfig, Secrets: []string{token}, Accept: yes, BodyDecides: true,
		// Jira says 410 of parts of its API that it has removed.
		Statuses: map[int]integrationtest.Outcome{http.StatusGone: {Fault: tocsin.FaultWebhook}},
		Events: map[string][]tocsin.Event{
			"acknowledged": incidentEvents(), "hostile-wiki": {hostileWiki()},
		},
		Limits: []integrationtest.Limit{
			{
				Name: "summary", Max: 255 - len("Low: "), Size: alert.UTF16,
				Event: func(text string) tocsin.Event { return low(text, "") },
				Rendered: func(t *testing.T, body string) string {
					return strings.TrimPrefix(fieldsOf(t, body)["summary"].(string), "Low: ")
				},
			},
			{
				// An ampersand takes two characters: Jira shows entities as what they stand for.
				Name: "description", Max: 32_767 - rest,
				Size:  func(text string) int { return alert.UTF16(text) + strings.Count(text, "&") },
				Event: func(text string) tocsin.Event { return low("t", text) },
				Rendered: func(t *testing.T, body string) string {
					description := fieldsOf(t, body)["description"].(string)
					if n := alert.UTF16(description); n > 32_767 {
						t.Errorf("the description has %d characters", n)
					}
					text, _, _ := strings.Cut(description, "\n\n{noformat}")
					return strings.ReplaceAll(text, "\u2060", "")
				},
			},
		},
	})
}

// incidentEvents are an event and what a person did about its incident.
func incidentEvents() []tocsin.Event {
	fired := tocsin.Event{
		ID: "1", Source: "/s", Type: "finding.critical", Severity: tocsin.SeverityCritical, Status: tocsin.Firing, Time: integrationtest.At,
		DedupKey: "k", Title: "Prompt injection succeeds", Data: json.RawMessage(`{"finding":"x","environment":"production"}`),
	}
	ack, over := fired, fired
	ack.ID, ack.Type, ack.Title, ack.Summary = "2", tocsin.TypeIncidentAcknowledged, "Acknowledged by dana: Prompt injection succeeds", "rolling back"
	ack.Data = json.RawMessage(`{"incident":"inc_1","by":"dana","note":"rolling back","opened_at":"2026-03-02T08:30:00Z"}`)
	over.ID, over.Type, over.Status, over.Title = "3", tocsin.TypeIncidentResolved, tocsin.Resolved, "Resolved by dana: Prompt injection succeeds"
	over.Data = json.RawMessage(`{"incident":"inc_1","by":"dana"}`)
	return []tocsin.Event{fired, ack, over}
}

// hostileWiki has everything that wiki markup knows in every place that is shown.
func hostileWiki() tocsin.Event {
	markup := strings.Join(wikiTricks, "\n")
	data, _ := json.Marshal(map[string]any{ // texts always encode
		"evidence": markup, "host": markup, "url": "https://x/" + markup, "references": []string{"https://e.example/a_b*c[~admin]|x{code}", markup},
		"overview":                   map[string]string{"description": markup, "details": markup, "impact": markup},
		"remediation":                map[string]any{"title": markup, "steps": []map[string]string{{"title": markup, "text": markup}}},
		"maliciousPayloadsResponses": []map[string]any{{"orig": markup, "ts": 1}},
	})
	return tocsin.Event{
		ID: "[~admin]", Source: markup, Type: "threat.detected", Severity: tocsin.SeverityHigh, Subject: markup, Title: markup, Summary: markup,
		Time: integrationtest.At, Link: "https://e.example/a|b]{code}[~admin]*x*!y!?q=_z_+w", Data: data,
	}
}
