package format_test

import (
	"encoding/json"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	sdk "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/format"
)

func cloudEvent(t testing.TB, e tocsin.Event) []byte {
	t.Helper()
	text, err := format.CloudEvent(&e)
	if err != nil {
		t.Fatalf("%s: %v", e.ID, err)
	}
	return text
}

// TestTheSDKReadsEveryEvent: with the parser and the checks of
// https://github.com/cloudevents/sdk-go.
func TestTheSDKReadsEveryEvent(t *testing.T) {
	for _, e := range events(t) {
		text := cloudEvent(t, e)
		var got sdk.Event
		if err := json.Unmarshal(text, &got); err != nil {
			t.Errorf("%s: %v: %.300s", e.ID, err, text)
			continue
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: %v", e.ID, err)
		}
		if got.Type() != e.Type || got.ID() != e.ID || !got.Time().Equal(e.Time) || got.SpecVersion() != "1.0" {
			t.Errorf("%s: read as %s", e.ID, got)
		}
		for name := range got.Extensions() {
			if len(name) > 20 {
				t.Errorf("%s: the attribute %q is longer than 20", e.ID, name)
			}
		}
		checkAttributes(t, text)
	}
}

// checkAttributes holds what the SDK does not check: the type String.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#type-system
func checkAttributes(t testing.TB, text []byte) {
	t.Helper()
	var attributes map[string]json.RawMessage
	if err := json.Unmarshal(text, &attributes); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "\n") {
		t.Errorf("not on one line: %q", text)
	}
	for name, raw := range attributes {
		if name == "data" {
			continue
		}
		var value string
		if err := json.Unmarshal(raw, &value); err != nil {
			t.Errorf("%s is %s, want text", name, raw)
		}
		if !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool {
			return unicode.IsControl(r) || r >= 0xFDD0 && r <= 0xFDEF || r&0xFFFE == 0xFFFE
		}) {
			t.Errorf("%s is %q, which is no String", name, value)
		}
	}
	var source string
	_ = json.Unmarshal(attributes["source"], &source) // it is text
	if _, err := url.Parse(source); err != nil || strings.ContainsFunc(source, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r) }) {
		t.Errorf("source %q is no URI-reference: %v", source, err)
	}
}

// readBack is the event as Tocsin's own ingest reads it.
func readBack(t testing.TB, contentType string, body []byte) []tocsin.Event {
	t.Helper()
	got, err := ingest.Decode(contentType, body)
	if err != nil {
		t.Fatalf("ingest: %v\n%.400s", err, body)
	}
	return got
}

// TestIngestReadsThemBack: another Tocsin takes what one sends, and sees the same.
func TestIngestReadsThemBack(t *testing.T) {
	for _, e := range events(t) {
		if e.ID == "odd" || e.ID == "null" { // no severity and no status that ingest knows
			continue
		}
		got := readBack(t, "application/cloudevents+json", cloudEvent(t, e))[0]
		want := e
		want.DedupKey = cmpOr(e.DedupKey, tocsin.DefaultDedupKey(&e))
		if e.ID == "it-hostile" || strings.Contains(e.Title+e.Summary+e.Subject, "\n") {
			// Control characters in attributes are spaces.
			want.Title, want.Summary, want.Subject, want.Link = got.Title, got.Summary, got.Subject, got.Link
		}
		if strings.ContainsFunc(e.Source, func(r rune) bool { return r > '~' || r == '"' }) {
			want.Source = got.Source // no URI-reference, and so encoded: see TestSources
		}
		if diff := cmp.Diff(plain(want), plain(got)); diff != "" {
			t.Errorf("%s (-sent +read):\n%s", e.ID, diff)
		}
	}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// plain is what an event says, whatever the white space of its data.
func plain(e tocsin.Event) map[string]any {
	var data any
	_ = json.Unmarshal(e.Data, &data)
	return map[string]any{"id": e.ID, "source": e.Source, "type": e.Type, "subject": e.Subject, "severity": e.Severity, "status": e.Status,
		"time": e.Time.UTC().Format(time.RFC3339Nano), "key": e.DedupKey, "title": e.Title, "summary": e.Summary, "link": e.Link, "data": data,
		"labels": len(e.Labels), "collection": e.Collection()}
}

func TestLabelsAreAttributes(t *testing.T) {
	labels := map[string]string{"team": "sec", "k8s": "y", "Team": "x", "data": "z", "a-b": "1\n2", "twentyonecharacters21": "l", "": "e", "morelabels": "m"}
	var got map[string]any
	if err := json.Unmarshal(cloudEvent(t, tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Labels: labels}), &got); err != nil {
		t.Fatal(err)
	}
	if got["team"] != "sec" || got["k8s"] != "y" || got["data"] != nil {
		t.Errorf("attributes %v", got)
	}
	var rest map[string]string
	if err := json.Unmarshal([]byte(got["morelabels"].(string)), &rest); err != nil {
		t.Fatal(err)
	}
	want := maps.Clone(labels)
	delete(want, "team")
	delete(want, "k8s")
	if diff := cmp.Diff(want, rest); diff != "" {
		t.Errorf("morelabels (-want +got):\n%s", diff)
	}
}

func TestSources(t *testing.T) {
	for source, want := range map[string]string{
		"/collections/a": "/collections/a", "https://h/p?q#f": "https://h/p?q#f", "urn:x:y": "urn:x:y", "my agents": "my%20agents", "a%20b": "a%20b",
		"100%": "100%25", "é": "%C3%A9", "a:b c": "a:b%20c", "1:2": "1%3A2", "http://[::1]:8/x": "http://[::1]:8/x", "//a b": "%2F%2Fa%20b", "x[1]": "x%5B1%5D", "[x": "%5Bx", "\"<>\\^`{|}\x01": "%22%3C%3E%5C%5E%60%7B%7C%7D%01", "a%zz": "a%25zz",
	} {
		var got struct{ Source string }
		text := cloudEvent(t, tocsin.Event{ID: "1", Source: source, Type: "custom.x"})
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		checkAttributes(t, text)
		if got.Source != want {
			t.Errorf("%q: %q, want %q", source, got.Source, want)
		}
	}
}

// TestJSONIsTheAPIForm: ingest reads it back without loss.
func TestJSONIsTheAPIForm(t *testing.T) {
	for _, e := range integrationtest.Events(t) {
		text, err := format.JSON(&e)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\n") {
			t.Errorf("%s: not on one line", e.ID)
		}
		got := readBack(t, "application/json", text)[0]
		want := e
		if diff := cmp.Diff(plain(want), plain(got)); diff != "" {
			t.Errorf("%s (-sent +read):\n%s", e.ID, diff)
		}
		if diff := cmp.Diff(want.Labels, got.Labels); diff != "" {
			t.Errorf("%s: labels (-sent +read):\n%s", e.ID, diff)
		}
	}
}

func TestDataThatIsNotJSON(t *testing.T) {
	e := tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Data: json.RawMessage(`{"a":`)}
	for name, render := range map[string]func(*tocsin.Event) (json.RawMessage, error){"JSON": format.JSON, "OCSF": format.OCSF, "CloudEvent": format.CloudEvent} {
		if text, err := render(&e); err == nil {
			t.Errorf("%s: %s, want an error", name, text)
		}
	}
}
