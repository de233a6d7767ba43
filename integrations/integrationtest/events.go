package integrationtest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
)

//go:embed testdata/events.ndjson
var eventsFile []byte

// At is the time of the attempt in every notification of the suite.
var At = time.Date(2026, time.March, 2, 8, 45, 0, 0, time.UTC)

//go:embed testdata/shared.ndjson
var sharedFile []byte

// Events returns the suite's events, fresh copies on every call.
func Events(t testing.TB) []tocsin.Event {
	t.Helper()
	return read(t, eventsFile)
}

// Shared returns the events that the whole project is tested with, as producers send
// them: of every alert type, a resolved one, a hostile and a long one. With prefixes, only
// those whose ids begin with one of them.
func Shared(t testing.TB, prefixes ...string) []tocsin.Event {
	t.Helper()
	if len(prefixes) == 0 {
		return read(t, sharedFile)
	}
	return pick(t, read(t, sharedFile), prefixes)
}

func read(t testing.TB, file []byte) []tocsin.Event {
	t.Helper()
	var out []tocsin.Event
	for _, line := range bytes.Split(bytes.TrimSpace(file), []byte("\n")) {
		var e tocsin.Event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("reading the suite's events: %v", err)
		}
		if e.DedupKey == "" {
			e.DedupKey = tocsin.DefaultDedupKey(&e)
		}
		e.Raw = bytes.Clone(line)
		out = append(out, e)
	}
	return out
}

// Pick returns the events whose ids begin with one of the prefixes, in their order.
func Pick(t testing.TB, prefixes ...string) []tocsin.Event {
	t.Helper()
	return pick(t, Events(t), prefixes)
}

func pick(t testing.TB, from []tocsin.Event, prefixes []string) []tocsin.Event {
	t.Helper()
	var out []tocsin.Event
	for _, e := range from {
		for _, p := range prefixes {
			if strings.HasPrefix(e.ID, p) {
				out = append(out, e)
				break
			}
		}
	}
	if len(out) == 0 {
		t.Fatalf("no event begins with %q", prefixes)
	}
	return out
}

// Notify returns a notification of events at time At.
func Notify(events ...tocsin.Event) tocsin.Notification {
	return tocsin.Notification{
		DeliveryID: "dlv_01JSUITE0000000000000000", WebhookID: "wh_01JSUITE0000000000000000", WebhookName: "billing alerts",
		Attempt: 1, At: At, Events: events, PublicURL: "https://tocsin.example.com",
	}
}

// many returns n events of a few types.
func many(t testing.TB, n int) []tocsin.Event {
	base := Pick(t, "it-agent", "it-finding", "it-risk")
	out := make([]tocsin.Event, n)
	for i := range out {
		out[i] = base[i%len(base)]
		out[i].ID = fmt.Sprintf("%s-%d", out[i].ID, i)
		out[i].Title = fmt.Sprintf("%s (%d)", out[i].Title, i)
	}
	return out
}

// ordinary returns the events of a channel's ordinary deliveries: no threats, which
// some channels keep apart.
func ordinary(t testing.TB) []tocsin.Event {
	var out []tocsin.Event
	for _, e := range Events(t) {
		if e.Type != "threat.detected" && e.ID != "it-hostile" && e.ID != "it-scripts" {
			out = append(out, e)
		}
	}
	return out
}
