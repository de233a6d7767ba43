package format_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	sdk "github.com/cloudevents/sdk-go/v2/event"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/format"
)

// FuzzFormats renders whatever an event may hold: each output is one line of JSON in
// UTF-8, a finding is of the schema, and the SDK reads the CloudEvent.
func FuzzFormats(f *testing.F) {
	for _, e := range events(f) {
		f.Add(e.ID, e.Source, e.Type, e.Subject, e.Title, e.Summary, e.Link, "label", []byte(e.Data), int8(e.Severity), string(e.Status))
	}
	f.Add("i", "1:2", "t", "\x00\xff", "\u202e", "\uFDD0", "https://h/<>", "K é", []byte(`{"ip":"::ffff:1.2.3.4","url":"//h","actor":"\u0000"}`), int8(-1), "x")
	v := newValidator(f)
	f.Fuzz(func(t *testing.T, id, source, kind, subject, title, summary, link, label string, data []byte, severity int8, status string) {
		if id == "" || source == "" || kind == "" || !json.Valid(data) && len(data) > 0 {
			return // ingest lets none such in
		}
		e := &tocsin.Event{ID: id, Source: source, Type: kind, Subject: subject, Title: title, Summary: summary, Link: link, Time: time.Unix(1, 0),
			Labels: map[string]string{label: title}, Data: data, Severity: tocsin.Severity(severity), Status: tocsin.Status(status)}
		for name, render := range map[string]func(*tocsin.Event) (json.RawMessage, error){"JSON": format.JSON, "OCSF": format.OCSF, "CloudEvent": format.CloudEvent} {
			text, err := render(e)
			if err != nil || !json.Valid(text) || strings.ContainsAny(string(text), "\r\n") || utf8.Valid(data) && !utf8.Valid(text) {
				t.Fatalf("%s: %v, %q", name, err, text)
			}
		}
		finding, _ := format.OCSF(e)
		for _, p := range v.check(finding) {
			// The time is in 1970, and a URL may be anything that looks like one.
			if !strings.Contains(p, "time") && !strings.Contains(p, "want url") {
				t.Errorf("%s in %s", p, finding)
			}
		}
		event, _ := format.CloudEvent(e)
		var read sdk.Event
		if err := json.Unmarshal(event, &read); err != nil || read.Validate() != nil {
			t.Errorf("the SDK: %v, %v in %s", err, read.Validate(), event)
		}
	})
}
