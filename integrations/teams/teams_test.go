package teams_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/teams"
)

// The secret parts of a trigger's URL.
const (
	sig  = "kX2d9fjQ-pW8s_teamsSignature0123456789abcdef"
	flow = "3f2a9c40b1d84e7f9a6d5c2b1e0f7788"
)

func newChannel(c *post.Client, _ *slog.Logger) tocsin.Channel { return teams.New(c) }

func config(url string) string {
	return `{"url":"` + url + `/powerautomate/automations/direct/workflows/` + flow +
		`/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=` + sig + `"}`
}

// sent is what the tests read of a body.
type sent struct {
	Type        string
	Attachments []struct {
		ContentType string
		Content     json.RawMessage
	}
}

// element is what the tests read of a card, at any depth.
type element struct {
	Type    string
	Text    string
	URL     string
	Title   string
	Body    []element
	Items   []element
	Inlines []element
	Actions []element
	Select  *element `json:"selectAction"`
	MSTeams map[string]any
}

func decode(t *testing.T, body string) element {
	t.Helper()
	var m sent
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("reading the message: %v", err)
	}
	if m.Type != "message" || len(m.Attachments) != 1 || m.Attachments[0].ContentType != "application/vnd.microsoft.card.adaptive" {
		t.Fatalf("the envelope is not a message with one card: %.200s", body)
	}
	var c element
	if err := json.Unmarshal(m.Attachments[0].Content, &c); err != nil {
		t.Fatalf("reading the card: %v", err)
	}
	return c
}

// walk visits e and everything below it.
func walk(e element, visit func(element)) {
	visit(e)
	for _, list := range [][]element{e.Body, e.Items, e.Inlines, e.Actions} {
		for _, below := range list {
			walk(below, visit)
		}
	}
	if e.Select != nil {
		walk(*e.Select, visit)
	}
}

// texts are the TextRuns of a body, in order.
func texts(t *testing.T, body string) []string {
	t.Helper()
	var out []string
	walk(decode(t, body), func(e element) {
		if e.Type == "TextRun" {
			out = append(out, e.Text)
		}
	})
	return out
}

// workflow plays Power Automate: it accepts whatever is JSON, and then runs. What fails in
// the run is an error of the test, since nobody would hear of it.
func workflow(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || len(body) > 0 && !json.Valid(body) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":{"code":"InvalidRequestContent","message":"not JSON"}}`)
			return
		}
		if len(body) > 0 {
			run(t, r, body)
		}
		w.WriteHeader(http.StatusAccepted)
	}
}

// run is the workflow after the trigger.
func run(t *testing.T, r *http.Request, body []byte) {
	t.Helper()
	if got := r.Header.Get("Content-Type"); r.Method != http.MethodPost || !strings.HasPrefix(got, "application/json") {
		t.Errorf("%s with Content-Type %q", r.Method, got)
	}
	var m sent
	if err := json.Unmarshal(body, &m); err != nil || len(m.Attachments) != 1 {
		t.Errorf("the body is not of the shape of the page: %v", err)
		return
	}
	// Written anew as a string, as connectors of Power Automate do with a card.
	if n := len(strconv.QuoteToASCII(string(m.Attachments[0].Content))); n > 28_672 {
		t.Errorf("MessageSizeExceeded-Message properties size exceeded. Actual message properties size: %d bytes, whereas max allowed size is 28672 bytes", n)
	}
	validate(t, m.Attachments[0].Content)
}

func TestConformance(t *testing.T) {
	integrationtest.Run(t, integrationtest.Spec{
		New: newChannel, Config: config, Secrets: []string{sig, flow}, Accept: workflow(t),
		Events: map[string][]tocsin.Event{
			"brief":   integrationtest.Pick(t, "it-scripts", "it-hostile", "it-mcp", "it-traffic-back", "it-scripts", "it-scripts", "it-scripts"),
			"summary": repeat(integrationtest.Pick(t, "it-mcp", "it-hostile", "it-traffic-back"), 300),
		},
		Limits: []integrationtest.Limit{
			{
				Name: "title", Max: 200, Size: alert.UTF16,
				Event: func(text string) tocsin.Event {
					e := integrationtest.Pick(t, "it-agent")[0]
					e.Title = text
					return e
				},
				Rendered: func(t *testing.T, body string) string {
					return strings.TrimPrefix(texts(t, body)[0], "🟡 Medium: ")
				},
			},
			{
				Name: "summary", Max: 1500, Size: alert.UTF16,
				Event: func(text string) tocsin.Event {
					return tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Severity: tocsin.SeverityLow, Title: "t", Summary: text}
				},
				Rendered: func(t *testing.T, body string) string { return texts(t, body)[1] },
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
