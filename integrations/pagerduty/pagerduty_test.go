package pagerduty_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/pagerduty"
)

func newChannel(c *post.Client, _ *slog.Logger) tocsin.Channel {
	return pagerduty.New(c, catalog.Default())
}

func yes(w http.ResponseWriter, _ *http.Request) { accept(w, event{DedupKey: "k"}) }

func TestConformance(t *testing.T) {
	const before = "🟡 Medium: "
	titled := func(text string) tocsin.Event {
		e := integrationtest.Pick(t, "it-agent")[0]
		e.Title = text
		return e
	}
	integrationtest.Run(t, integrationtest.Spec{
		New: newChannel, Config: config, Secrets: []string{routingKey}, Accept: yes, BodyDecides: true, Patience: 2 * time.Minute,
		Events: map[string][]tocsin.Event{
			"acknowledged": {attended(t)},
		},
		Limits: []integrationtest.Limit{
			{
				Name: "summary", Max: 1024 - alert.Runes(before), Size: alert.Runes, Event: titled,
				Rendered: func(t *testing.T, body string) string {
					return strings.TrimPrefix(read(t, body).Payload.Summary, before)
				},
			},
			{
				Name: "component", Max: 1024, Size: alert.Runes,
				Event: func(text string) tocsin.Event {
					e := titled("t")
					e.Subject = text
					return e
				},
				Rendered: func(t *testing.T, body string) string { return read(t, body).Payload.Component },
			},
		},
	})
}

// attended is the event that says that somebody acknowledged an incident.
func attended(t *testing.T) tocsin.Event {
	e := integrationtest.Pick(t, "it-traffic")[0]
	e.ID, e.Type, e.Title = "it-ack", "incident.acknowledged", "ana looks after it"
	e.Data = []byte(`{"incident":"inc_1","by":"ana","note":"on it"}`)
	return e
}

// TestIncidentStory follows one incident: it fires twice, is acknowledged and resolved, and
// fires anew; a delivery that is sent again changes nothing.
func TestIncidentStory(t *testing.T) {
	v := newVendor(t)
	s := open(t, config(v.URL))
	fires, over := integrationtest.Pick(t, "it-traffic")[0], integrationtest.Pick(t, "it-traffic-back")[0]
	again := integrationtest.Notify(fires)
	again.Attempt, again.Uncertain = 2, true
	for _, n := range []tocsin.Notification{
		integrationtest.Notify(fires), again, integrationtest.Notify(attended(t)), integrationtest.Notify(over, over, fires),
	} {
		receipt, err := s.Send(t.Context(), n)
		if err != nil || slices.ContainsFunc(receipt.Results, func(r tocsin.Result) bool { return r.Err != nil }) {
			t.Fatalf("Send: %v %+v", err, receipt.Results)
		}
	}
	const key = " traffic/billing-agents"
	want := []string{"trigger" + key, "trigger" + key, "acknowledge" + key, "resolve" + key, "resolve" + key, "trigger" + key}
	if diff := cmp.Diff(want, v.log); diff != "" {
		t.Errorf("what PagerDuty did (-want +got):\n%s", diff)
	}
	if v.opened != 2 || v.alerts[key[1:]] != "triggered" {
		t.Errorf("%d alerts were opened, the last is %q; want 2, triggered", v.opened, v.alerts[key[1:]])
	}
}

// TestSameIncidentSameKey: the key is the incident's, so whatever delivery tells of it says
// the same, and other incidents say another.
func TestSameIncidentSameKey(t *testing.T) {
	long := integrationtest.Pick(t, "it-agent")[0]
	long.DedupKey = strings.Repeat("é", 256)
	edge := long
	edge.DedupKey = strings.Repeat("é", 255)
	broken, control := long, long
	broken.DedupKey, control.DedupKey = "a\xff", "a\x00"
	seen := map[string]bool{}
	for _, e := range append([]tocsin.Event{long, edge, broken, control}, integrationtest.Pick(t, "it-agent", "it-mcp")...) {
		first := integrationtest.Notify(e)
		other := integrationtest.Notify(e)
		other.DeliveryID, other.Attempt, other.At = "dlv_other", 7, other.At.Add(time.Hour)
		a, b := read(t, bodies(t, first)[0]).DedupKey, read(t, bodies(t, other)[0]).DedupKey
		if a == "" || a != b || alert.Runes(a) > 255 || seen[a] {
			t.Errorf("keys %q and %q: want one, of at most 255 characters, and of no other incident", a, b)
		}
		if kept := alert.Runes(e.DedupKey) <= 255 && !strings.ContainsAny(e.DedupKey, "\x00\ufffd"); kept && a != e.DedupKey {
			t.Errorf("key %q, want the event's own %q", a, e.DedupKey)
		}
		seen[a] = true
	}
	c := newChannel(nil, nil)
	if a, b := c.BatchKey(&long), c.BatchKey(&edge); a == b || a != long.DedupKey {
		t.Error("incidents share a delivery")
	}
}

// TestResultsPerEvent: a refused event stops nobody; a throttled service stops the rest,
// which are to be tried again.
func TestResultsPerEvent(t *testing.T) {
	events := integrationtest.Pick(t, "it-agent", "it-mcp", "it-sensitive", "it-config")
	for name, row := range map[string]struct {
		answer func(w http.ResponseWriter)
		want   []tocsin.Fault
	}{
		"refused": {func(w http.ResponseWriter) {
			refuse(w, "invalid event", "Event object is invalid", "'payload.x' is odd")
		}, []tocsin.Fault{"", tocsin.FaultEvent, "", ""}},
		"throttled": {func(w http.ResponseWriter) { w.WriteHeader(429) }, []tocsin.Fault{"", tocsin.FaultRetry, tocsin.FaultRetry, tocsin.FaultRetry}},
		"away":      {func(w http.ResponseWriter) { w.WriteHeader(503) }, []tocsin.Fault{"", tocsin.FaultRetry, tocsin.FaultRetry, tocsin.FaultRetry}},
		"key gone":  {func(w http.ResponseWriter) { refuse(w, "invalid event", "Invalid routing key") }, []tocsin.Fault{"", tocsin.FaultWebhook, tocsin.FaultWebhook, tocsin.FaultWebhook}},
	} {
		v := newVendor(t)
		v.fail = func(e event, w http.ResponseWriter) bool {
			if e.Payload.Class == "mcp.discovered" {
				row.answer(w)
				return true
			}
			return false
		}
		receipt, err := open(t, config(v.URL)).Send(t.Context(), integrationtest.Notify(events...))
		var got []tocsin.Fault
		asked := len(events)
		for _, r := range receipt.Results {
			fault := tocsin.Fault("")
			if r.Err != nil {
				fault = tocsin.Classify(r.Err).Fault
				if fault != tocsin.FaultEvent {
					asked = 2
				}
			}
			got = append(got, fault)
		}
		if diff := cmp.Diff(row.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v, results (-want +got):\n%s", name, err, diff)
		}
		if len(v.bodies) != asked || len(receipt.Exchanges) != asked {
			t.Errorf("%s: %d requests, %d recorded, want %d", name, len(v.bodies), len(receipt.Exchanges), asked)
		}
	}
}

// TestStopsBeforeTheDeadline: what might be cut off is not begun, and is tried again.
func TestStopsBeforeTheDeadline(t *testing.T) {
	v := newVendor(t)
	ctx, cancel := context.WithTimeout(t.Context(), post.DefaultTimeout-time.Second)
	defer cancel()
	receipt, err := open(t, config(v.URL)).Send(ctx, integrationtest.Notify(integrationtest.Pick(t, "it-agent", "it-mcp", "it-sensitive")...))
	if err != nil || len(receipt.Results) != 3 || receipt.Results[0].Err != nil || len(v.bodies) != 1 {
		t.Fatalf("%v, %d requests, %+v; want the first event sent", err, len(v.bodies), receipt.Results)
	}
	for _, r := range receipt.Results[1:] {
		if s := tocsin.Classify(r.Err); r.Err == nil || s.Fault != tocsin.FaultRetry || s.Unsure || errors.Is(r.Err, context.DeadlineExceeded) {
			t.Errorf("got %v, want something to try again", r.Err)
		}
	}
}

// TestChangeEvents: discoveries go where nobody is paged, if the webhook asks; all else as
// ever.
func TestChangeEvents(t *testing.T) {
	for asked, want := range map[bool][2]int{false: {0, 6}, true: {4, 2}} {
		v := newVendor(t)
		text := config(v.URL)
		if asked {
			text = strings.Replace(text, "{", `{"change_events":true,`, 1)
		}
		n := integrationtest.Notify(integrationtest.Pick(t, "it-agent", "it-mcp", "it-sensitive", "it-config", "it-finding", "it-threat-1")...)
		receipt, err := open(t, text).Send(t.Context(), n)
		if err != nil || slices.ContainsFunc(receipt.Results, func(r tocsin.Result) bool { return r.Err != nil }) {
			t.Fatalf("Send: %v %+v", err, receipt.Results)
		}
		if got := [2]int{v.changes, len(v.log)}; got != want {
			t.Errorf("change_events %v: %d change events and %d alerts, want %v", asked, got[0], got[1], want)
		}
	}
}
