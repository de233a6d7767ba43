package jira_test

import (
	"encoding/json"
	"strings"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

func TestSummaries(t *testing.T) {
	threat := func(title, data string) tocsin.Event {
		e := event("k", 1)
		e.Type, e.Title, e.Data = "threat.detected", title, json.RawMessage(data)
		return e
	}
	long := event("k", 1)
	long.Title = "two\nlines " + strings.Repeat("é", 300)
	for _, row := range []struct {
		e    tocsin.Event
		want string
	}{
		{event("k", 1), "Critical: finding k, 1"},
		{long, "Critical: two lines " + strings.Repeat("é", 234) + "…"},
		{threat("SQL injection", `{"method":"get","url":"v1/search"}`), "Threat Report - SQL injection (GET - v1/search)"},
		{threat("SQL injection", `{"method":"POST","url":"https://api.example.com/v1/customers/4711/addresses/2/verify?x=1"}`),
			"Threat Report - SQL injection (POST - /v1/customers/…resses/2/verify)"},
		{threat("SQL injection", `{"url":"/a/exactly/thirty/characters/x"}`), "Threat Report - SQL injection (/a/exactly/thirty/characters/x)"},
		{threat("SQL injection", `{"method":"GET"}`), "Threat Report - SQL injection (GET)"},
		{threat("SQL injection", `"odd"`), "Threat Report - SQL injection"},
		{threat(strings.Repeat("x", 300), `{"method":"`+strings.Repeat("M", 99)+`","url":"/p"}`), "Threat Report - " + strings.Repeat("x", 220) + "… (MMMMMMMMM… - /p)"},
	} {
		f := newFake(t, true)
		w := f.open("")
		w.good(w.send(row.e))
		if got := f.issues[0].fields["summary"].(string); got != row.want || alert.UTF16(got) > 255 {
			t.Errorf("summary %q (%d), want %q", got, alert.UTF16(got), row.want)
		}
	}
}

// TestLongTextsAreShortened: everything at once is more than Jira takes.
func TestLongTextsAreShortened(t *testing.T) {
	steps := []map[string]string{}
	for range 30 {
		steps = append(steps, map[string]string{"title": "step", "text": strings.Repeat("*long* ", 500)})
	}
	data, err := json.Marshal(map[string]any{"remediation": map[string]any{"title": "t", "steps": steps}, "evidence": strings.Repeat("{noformat}", 5000)})
	if err != nil {
		t.Fatal(err)
	}
	e := event("k", 1)
	e.Summary, e.Data = strings.Repeat("[~admin] ", 10_000), data
	f := newFake(t, true)
	w := f.open("")
	o := w.send(e)
	w.good(o)
	description := f.issues[0].fields["description"].(string)
	if n := alert.UTF16(description); n > 32_767 || o.Truncated != 1 {
		t.Errorf("%d characters, %d truncated", n, o.Truncated)
	}
	for _, want := range []string{"h3. Remediation", "Evidence: ", "Severity: critical", " ref "} {
		if !strings.Contains(description, want) {
			t.Errorf("the description lacks %q", want)
		}
	}
}
