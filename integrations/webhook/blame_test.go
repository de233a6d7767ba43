package webhook_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// TestWhatCannotBeRenderedIsTheEventsFault, whatever the format: a webhook that held its
// events for one of them would hold them for ever. Only a template's error is the webhook's.
func TestWhatCannotBeRenderedIsTheEventsFault(t *testing.T) {
	early := tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Time: time.Date(-1, 12, 31, 22, 0, 0, 0, time.UTC)} // JSON has no such year
	broken := tocsin.Event{ID: "2", Source: "/s", Type: "custom.x", Time: time.Unix(0, 0), Data: json.RawMessage(`{`)}
	threat := broken
	threat.Type = "threat.detected"
	sound := integrationtest.Pick(t, "it-agent")[0]
	for _, row := range []struct {
		name, more string
		events     []tocsin.Event
		want       tocsin.Fault
	}{
		{"alerts, the time", "", []tocsin.Event{early}, tocsin.FaultEvent},
		{"alerts, one of two", "", []tocsin.Event{sound, early}, tocsin.FaultEvent},
		{"alerts, the data", "", []tocsin.Event{broken}, tocsin.FaultEvent},
		{"threats", "", []tocsin.Event{threat}, ""}, // what cannot be read is null
		{"ocsf", `,"format":"ocsf"`, []tocsin.Event{sound, broken}, tocsin.FaultEvent},
		{"cloudevents", `,"format":"cloudevents"`, []tocsin.Event{sound, broken}, tocsin.FaultEvent},
		{"a template, the time", `,"body_template":"{}"`, []tocsin.Event{early}, tocsin.FaultEvent},
		{"a template, the data", `,"body_template":"{}"`, []tocsin.Event{broken}, tocsin.FaultEvent},
		{"no events", "", nil, tocsin.FaultEvent},
		{"a template that fails", `,"body_template":"{{fail}}"`, []tocsin.Event{sound}, tocsin.FaultWebhook},
		{"a template that makes no JSON", `,"body_template":"no"`, []tocsin.Event{sound}, tocsin.FaultWebhook},
	} {
		more := strings.ReplaceAll(row.more, "{{fail}}", "{{.Nothing}}")
		s := open(t, "http://127.0.0.1:1", more)
		n := integrationtest.Notify(row.events...)
		_, preview := s.Preview(t.Context(), n)
		_, send := s.Send(t.Context(), n)
		for _, err := range []error{preview, send} {
			switch {
			case row.want == "" && (err == nil || tocsin.Classify(err).Fault == tocsin.FaultRetry): // nothing listens there
			case row.want == "" || err == nil:
				t.Errorf("%s: %v", row.name, err)
			default:
				if got := tocsin.Classify(err); got.Fault != row.want || got.Unsure || !strings.Contains(err.Error(), "rendering the body: ") {
					t.Errorf("%s: %s, want %s (%v)", row.name, got.Fault, row.want, err)
				}
			}
		}
	}
}
