package alert

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// marks show severity at a glance; a resolved alert has its own.
var marks = map[tocsin.Severity]string{
	tocsin.SeverityCritical: "🔴", tocsin.SeverityHigh: "🟠", tocsin.SeverityMedium: "🟡",
	tocsin.SeverityLow: "🔵", tocsin.SeverityInfo: "⚪",
}

// Mark is one sign for how bad it is, or that it is over, or that somebody looks at it.
func Mark(e *tocsin.Event) string {
	switch {
	case e.Status == tocsin.Resolved:
		return "✅"
	case e.Type == tocsin.TypeIncidentAcknowledged:
		return "👀"
	}
	if m := marks[e.Severity]; m != "" {
		return m
	}
	return "⚪"
}

// Word is the severity, or "Resolved"; "" for neither.
func Word(e *tocsin.Event) string {
	word := e.Severity.String()
	if e.Status == tocsin.Resolved {
		word = "resolved"
	}
	if word == "" {
		return ""
	}
	return strings.ToUpper(word[:1]) + word[1:]
}

// trial marks a test. The example events of tests have it in their titles as well, for
// templates of users; Name drops it there.
const trial = "[TEST] "

// TestMark is "[TEST] " for a trial, "" otherwise.
func TestMark(n tocsin.Notification) string {
	if n.Test {
		return trial
	}
	return ""
}

// Name is what the event is called: its title, else its summary, subject or type.
func Name(e *tocsin.Event) string {
	for _, text := range []string{strings.TrimPrefix(e.Title, trial), e.Summary, e.Subject} {
		if Clean(text, true) != "" {
			return text
		}
	}
	return e.Type
}

// Prefix stands before a name: "🔴 Critical: ". What people did about an incident says so
// itself: "✅ Resolved by ada: …".
func Prefix(n tocsin.Notification, e *tocsin.Event) string {
	told := e.Type == tocsin.TypeIncidentAcknowledged || e.Type == tocsin.TypeIncidentResolved
	if word := Word(e); word != "" && !told {
		return TestMark(n) + Mark(e) + " " + word + ": "
	}
	return TestMark(n) + Mark(e) + " "
}

// Headline is about all events, in our words only: "🔴 3 alerts, highest severity critical,
// 1 resolved".
func Headline(n tocsin.Notification) string {
	highest, resolved := &n.Events[0], 0
	for i := range n.Events {
		if n.Events[i].Severity > highest.Severity {
			highest = &n.Events[i]
		}
		if n.Events[i].Status == tocsin.Resolved {
			resolved++
		}
	}
	text := fmt.Sprintf("%s%s %d alerts, highest severity %s", TestMark(n), Mark(highest), len(n.Events), highest.Severity)
	if len(n.Events) == 1 {
		text = fmt.Sprintf("%s%s 1 alert, severity %s", TestMark(n), Mark(highest), highest.Severity)
	}
	if resolved > 0 {
		text += fmt.Sprintf(", %d resolved", resolved)
	}
	return text
}

// Subject is one line about all events, for a notification or a mail: cleaned, and neither
// escaped nor shortened.
func Subject(n tocsin.Notification) string {
	first := &n.Events[0]
	text := Prefix(n, first) + Name(first)
	if len(n.Events) > 1 {
		text = Headline(n) + ": " + Name(first) + fmt.Sprintf(" and %d more", len(n.Events)-1)
	}
	return Clean(text, true)
}

// Fact is a label of ours and a value of the event's.
type Fact struct{ Label, Value string }

// shown are the keys of data worth a line, in this order: what an on-call person asks
// first. The rest is behind the link.
var shown = []struct{ key, label string }{
	{"actor", "Actor"}, {"method", "Method"}, {"url", "URL"}, {"evidence", "Evidence"}, {"risk", "Risk"},
	{"server", "Server"}, {"tool", "Tool"}, {"framework", "Framework"}, {"data_types", "Data types"}, {"location", "Location"},
	{"observed", "Observed"}, {"expected", "Expected"}, {"threshold", "Threshold"}, {"previous", "Previous"}, {"current", "Current"},
	{"by", "By"}, {"note", "Note"},
}

// Facts are what to know of an event besides its name and summary, none empty. Values are
// as the event has them; lists are joined, objects are JSON.
func Facts(e *tocsin.Event) []Fact {
	var out []Fact
	add := func(label, value string) {
		if value != "" {
			out = append(out, Fact{label, value})
		}
	}
	add("Severity", e.Severity.String())
	if e.Status == tocsin.Resolved {
		add("Status", string(e.Status))
	}
	add("Type", e.Type)
	add("Subject", e.Subject)
	add("Collection", e.Collection())
	add("Source", e.Source)
	if !e.Time.IsZero() {
		add("Time", e.Time.UTC().Format(time.RFC3339))
	}
	return append(out, dataFacts(e.Data)...)
}

// dataFacts picks the shown keys that are there.
func dataFacts(data json.RawMessage) []Fact {
	var values map[string]json.RawMessage
	if json.Unmarshal(data, &values) != nil {
		return nil
	}
	var out []Fact
	for _, s := range shown {
		raw, ok := values[s.key]
		if !ok || string(raw) == "null" {
			continue
		}
		text, list := string(raw), []string(nil)
		if json.Unmarshal(raw, &text) != nil && json.Unmarshal(raw, &list) == nil {
			text = strings.Join(list, ", ")
		}
		if text != "" {
			out = append(out, Fact{s.label, text})
		}
	}
	return out
}

// urlEscaper encodes what url.URL leaves in a query and some markup takes for its own.
var urlEscaper = strings.NewReplacer("<", "%3C", ">", "%3E", "|", "%7C", `"`, "%22", " ", "%20", "'", "%27", "`", "%60", "\\", "%5C",
	"(", "%28", ")", "%29", "[", "%5B", "]", "%5D", "{", "%7B", "}", "%7D")

// Link is the event's link as an https URL that is safe in an attribute and in markup, or
// "". A host in brackets (IPv6) is none.
func Link(e *tocsin.Event) string {
	u, err := url.Parse(e.Link)
	if e.Link == "" || err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.ContainsAny(u.Host, `[]<>"'|{}() `) {
		return ""
	}
	return urlEscaper.Replace(u.String())
}

// DeliveryLink leads back to the delivery; "" where no public URL is configured.
func DeliveryLink(n tocsin.Notification) string {
	if n.PublicURL == "" {
		return ""
	}
	return n.PublicURL + "/v1/deliveries/" + n.DeliveryID
}

// DedupKey is the incident an event belongs to.
func DedupKey(e *tocsin.Event) string {
	if e.DedupKey != "" {
		return e.DedupKey
	}
	return tocsin.DefaultDedupKey(e)
}
