package slack_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"unicode/utf16"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/slack"
)

// token is the secret part of a webhook's URL.
const token = "Xk29dkfjQpW8slackToken"

func newChannel(c *post.Client, log *slog.Logger) tocsin.Channel { return slack.New(c, log) }

func config(url string) string { return `{"url":"` + url + `/services/T0SUITE/B0SUITE/` + token + `"}` }

func yes(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "ok") // a sender that is gone is the test's to notice
}

// units counts as Slack's clients do, escapes included.
func units(text string) int {
	return len(utf16.Encode([]rune(strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text))))
}

// message is what the tests read of a request's body.
type message struct {
	Text   string `json:"text"`
	Blocks []struct {
		Type string `json:"type"`
		Text *struct {
			Type, Text string
		} `json:"text"`
		Fields []struct{ Text string } `json:"fields"`
	} `json:"blocks"`
}

func decode(t *testing.T, body string) message {
	t.Helper()
	var m message
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("reading the message: %v", err)
	}
	return m
}

// block returns the unescaped text of the first block of a type.
func block(t *testing.T, body, kind string) string {
	t.Helper()
	for _, b := range decode(t, body).Blocks {
		if b.Type == kind && b.Text != nil {
			return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(b.Text.Text)
		}
	}
	t.Fatalf("no block of type %s", kind)
	return ""
}

func TestConformance(t *testing.T) {
	const before = "🟡 Medium: "
	integrationtest.Run(t, integrationtest.Spec{
		New: newChannel, Config: config, Secrets: []string{token, "B0SUITE"}, Accept: yes, BodyDecides: true,
		Events: map[string][]tocsin.Event{"summary": repeat(integrationtest.Pick(t, "it-mcp", "it-hostile", "it-traffic-back"), 300)},
		Limits: []integrationtest.Limit{
			{
				Name: "header", Max: 150 - units(before), Size: units,
				Event: func(text string) tocsin.Event {
					e := integrationtest.Pick(t, "it-agent")[0]
					e.Title = text
					return e
				},
				Rendered: func(t *testing.T, body string) string { return strings.TrimPrefix(block(t, body, "header"), before) },
			},
			{
				Name: "summary", Max: 3000, Size: units,
				Event: func(text string) tocsin.Event {
					return tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Severity: tocsin.SeverityLow, Title: "t", Summary: text}
				},
				Rendered: func(t *testing.T, body string) string { return block(t, body, "section") },
			},
		},
	})
}

// repeat returns n events, over and over.
func repeat(events []tocsin.Event, n int) []tocsin.Event {
	out := make([]tocsin.Event, n)
	for i := range out {
		out[i] = events[i%len(events)]
	}
	return out
}
