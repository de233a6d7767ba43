package webhook_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	sdk "github.com/cloudevents/sdk-go/v2/event"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/webhook"
)

// formatted opens a sender for a format.
func formatted(t *testing.T, format, more string) tocsin.Sender {
	t.Helper()
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(c.Close)
	s, err := webhook.New(c, catalog.Default(), nil).Open(json.RawMessage(
		`{"url":"http://127.0.0.1:1/h","signing_secret":"` + secret + `","format":"` + format + `"` + more + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func preview(t *testing.T, s tocsin.Sender, n tocsin.Notification) tocsin.Exchange {
	t.Helper()
	x, err := s.Preview(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return x[0]
}

// TestFormatsAreArrays: one shape for one event and for many, threats among them, in order.
func TestFormatsAreArrays(t *testing.T) {
	all := integrationtest.Events(t)
	for format, contentType := range map[string]string{"ocsf": "application/json", "cloudevents": "application/cloudevents-batch+json"} {
		s := formatted(t, format, "")
		for _, events := range [][]tocsin.Event{all[:1], all} {
			x := preview(t, s, integrationtest.Notify(events...))
			if got := x.RequestHeaders["Content-Type"]; got != contentType || x.RequestHeaders["Webhook-Signature"] == "" {
				t.Errorf("%s: headers %v", format, x.RequestHeaders)
			}
			var got []struct {
				ID       string
				Metadata struct{ UID string }
			}
			if err := json.Unmarshal([]byte(x.RequestBody), &got); err != nil {
				t.Fatalf("%s: %v", format, err)
			}
			if len(got) != len(events) {
				t.Fatalf("%s: %d elements for %d events", format, len(got), len(events))
			}
			for i := range got {
				if got[i].ID+got[i].Metadata.UID != events[i].ID {
					t.Errorf("%s: element %d is of event %s%s, want %s", format, i, got[i].ID, got[i].Metadata.UID, events[i].ID)
				}
			}
		}
	}
}

// TestCloudEventsAreABatch for the SDK and for Tocsin's own ingest.
func TestCloudEventsAreABatch(t *testing.T) {
	events := integrationtest.Events(t)
	x := preview(t, formatted(t, "cloudevents", ""), integrationtest.Notify(events...))
	var batch []sdk.Event
	if err := json.Unmarshal([]byte(x.RequestBody), &batch); err != nil {
		t.Fatal(err)
	}
	for _, e := range batch {
		if err := e.Validate(); err != nil {
			t.Errorf("%s: %v", e.ID(), err)
		}
	}
	read, err := ingest.Decode(x.RequestHeaders["Content-Type"], []byte(x.RequestBody))
	if err != nil || len(read) != len(events) {
		t.Errorf("ingest: %d of %d events, %v", len(read), len(events), err)
	}
}

func TestATestIsMarkedInEveryFormat(t *testing.T) {
	n := integrationtest.Notify(integrationtest.Pick(t, "it-agent")...)
	n.Test = true
	for _, format := range []string{"ocsf", "cloudevents"} {
		x := preview(t, formatted(t, format, ""), n)
		if !strings.Contains(x.RequestBody, `"title":"[TEST] `) || x.RequestHeaders["Tocsin-Test"] != "true" {
			t.Errorf("%s: not marked: %v %.300s", format, x.RequestHeaders, x.RequestBody)
		}
	}
}

func TestTheUsersContentTypeWins(t *testing.T) {
	x := preview(t, formatted(t, "cloudevents", `,"headers":{"Content-Type":"application/json"}`), integrationtest.Notify(integrationtest.Pick(t, "it-agent")...))
	if got := x.RequestHeaders["Content-Type"]; got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
}

// TestFormatsDoNotChangeBetweenAttempts: a receiver that compares bodies sees the same.
func TestFormatsDoNotChangeBetweenAttempts(t *testing.T) {
	for _, format := range []string{"ocsf", "cloudevents"} {
		s := formatted(t, format, "")
		var bodies []string
		for attempt := range 5 {
			n := integrationtest.Notify(integrationtest.Events(t)...)
			n.Attempt = attempt + 1
			bodies = append(bodies, preview(t, s, n).RequestBody)
		}
		if len(slices.Compact(bodies)) != 1 {
			t.Errorf("%s: the body differs between attempts", format)
		}
	}
}
