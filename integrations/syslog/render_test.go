package syslog_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	sdk "github.com/cloudevents/sdk-go/v2/event"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// preview is what a send of n would write, message by message.
func preview(t testing.TB, config map[string]any, n tocsin.Notification) []message {
	t.Helper()
	s, err := channel(t, 0).Open(json.RawMessage(text(t, config)))
	if err != nil {
		t.Fatal(err)
	}
	x, err := s.Preview(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	split := frames
	if config["framing"] == "newline" {
		split = lines
	}
	texts, err := split(x[0].RequestBody)
	if err != nil {
		t.Fatal(err)
	}
	if len(texts) != len(n.Events) {
		t.Fatalf("%d messages of %d events", len(texts), len(n.Events))
	}
	for _, text := range texts {
		if most, ok := config["max_bytes"].(int); ok && len(text) > most {
			t.Errorf("a message of %d bytes, at most %d", len(text), most)
		}
	}
	return parseAll(t, texts)
}

// TestPriorities: severities become syslog's, and what is resolved is a notice at most.
func TestPriorities(t *testing.T) {
	for _, row := range []struct {
		severity tocsin.Severity
		status   tocsin.Status
		facility string
		want     int
	}{
		{tocsin.SeverityCritical, tocsin.Firing, "local0", 16*8 + 2},
		{tocsin.SeverityHigh, tocsin.Firing, "local7", 23*8 + 3},
		{tocsin.SeverityMedium, "", "kern", 4},
		{tocsin.SeverityLow, tocsin.Firing, "authpriv", 10*8 + 5},
		{tocsin.SeverityInfo, tocsin.Firing, "user", 8 + 6},
		{tocsin.SeverityNone, tocsin.Firing, "daemon", 3*8 + 5},
		{tocsin.SeverityCritical, tocsin.Resolved, "local0", 16*8 + 5},
		{tocsin.SeverityInfo, tocsin.Resolved, "local0", 16*8 + 6},
	} {
		e := tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Severity: row.severity, Status: row.status}
		m := preview(t, map[string]any{"address": "r.example.com", "facility": row.facility}, integrationtest.Notify(e))[0]
		if m.priority != row.want {
			t.Errorf("%s %s of %s: %d, want %d", row.severity, row.status, row.facility, m.priority, row.want)
		}
	}
}

func TestHeader(t *testing.T) {
	e := tocsin.Event{ID: "1", Source: "/s", Type: "custom.naïve type]" + strings.Repeat("x", 40), Time: time.Date(2026, 3, 2, 1, 2, 3, 123456789, time.FixedZone("", -3600))}
	n := integrationtest.Notify(e)
	m := preview(t, map[string]any{"address": "r.example.com"}, n)[0]
	if m.timestamp != "2026-03-02T02:02:03.123456Z" || m.host != "tocsin.example.com" || m.app != "tocsin" || m.procID != "-" || m.messageID != "custom.na?ve?type]xxxxxxxxxxxxxx" || m.sdID != "tocsin@32473" {
		t.Errorf("%+v", m)
	}
	n.PublicURL, n.Events[0].Time = "", time.Time{}
	m = preview(t, map[string]any{"address": "r.example.com"}, n)[0]
	if m.host != "-" || m.timestamp != "-" {
		t.Errorf("without a public URL and a time: %+v", m)
	}
	m = preview(t, map[string]any{"address": "r.example.com", "hostname": "h", "app_name": "a", "enterprise_number": 4242}, n)[0]
	if m.host != "h" || m.app != "a" || m.sdID != "tocsin@4242" {
		t.Errorf("configured: %+v", m)
	}
}

// TestStructuredData: it names the event in every format, and a test is marked twice.
func TestStructuredData(t *testing.T) {
	e := tocsin.Event{ID: `id"]`, Source: `/s\`, Type: "custom.x", Severity: tocsin.SeverityHigh, DedupKey: "k\n] [x y=\"z\"", Title: "title"}
	for _, format := range []string{"json", "cef", "leef", "ocsf", "cloudevents"} {
		n := integrationtest.Notify(e)
		n.Test = true
		m := preview(t, map[string]any{"address": "r.example.com", "format": format, "framing": "newline"}, n)[0]
		want := map[string]string{
			"uid": m.params["uid"], "delivery": n.DeliveryID, "webhook": n.WebhookID, "status": "firing", "severity": "high", "test": "true",
			"type": "custom.x", "id": `id"]`, "source": `/s\`, "dedup_key": `k ] [x y="z"`,
		}
		if fmt.Sprint(m.params) != fmt.Sprint(want) || len(m.params["uid"]) != 32 {
			t.Errorf("%s: %q, want %q", format, m.params, want)
		}
		if !strings.Contains(m.body, "[TEST] title") {
			t.Errorf("%s: a test is not marked: %s", format, m.body)
		}
	}
}

func TestBOM(t *testing.T) {
	n := integrationtest.Notify(integrationtest.Pick(t, "it-agent")...)
	for _, want := range []bool{false, true} {
		m := preview(t, map[string]any{"address": "r.example.com", "bom": want, "max_bytes": 1024}, n)[0]
		if m.bom != want || !json.Valid([]byte(m.body)) {
			t.Errorf("bom %v: %+v", want, m)
		}
	}
}

// extremes are events that are hard to make small.
func extremes(t testing.TB) []tocsin.Event {
	out := integrationtest.Events(t)
	for _, c := range []string{`"`, `\`, "|", "^", "=", "🧨", "\u2028"} {
		e := tocsin.Event{
			ID: repeat(c, 255), Source: repeat(c, 255), Type: repeat(c, 255), DedupKey: repeat(c, 255), Severity: tocsin.SeverityCritical, Subject: repeat(c, 2048),
			Title: repeat(c, 4096), Summary: repeat(c, 32<<10), Link: "https://example.com/" + strings.Repeat("x", 2000), Time: time.Unix(1772436600, 0),
			Labels: map[string]string{"collection": repeat(c, 1024)},
		}
		for i := range 60 {
			e.Labels[fmt.Sprint(c, i)] = repeat(c, 1024)
		}
		data, err := json.Marshal(map[string]string{"actor": repeat(c, 9000), "url": repeat(c, 9000), "evidence": repeat(c, 9000)})
		if err != nil {
			t.Fatal(err)
		}
		e.Data = data
		out = append(out, e)
	}
	return out
}

// repeat is at most so many bytes of s over and over.
func repeat(s string, bytes int) string { return strings.Repeat(s, bytes/len(s)) }

// TestMaxBytes: whatever the event and the format, the limit holds, what is left can be
// read, the event is named, and what was shortened says so.
func TestMaxBytes(t *testing.T) {
	events, ordinary := extremes(t), len(integrationtest.Events(t))
	for _, format := range []string{"json", "cef", "leef", "ocsf", "cloudevents"} {
		for _, most := range []int{1024, 1500, 2048, 8192, 65536} {
			if format == "ocsf" && most < 2048 {
				continue
			}
			config := map[string]any{"address": "r.example.com", "format": format, "max_bytes": most, "bom": true, "framing": "newline"}
			n := integrationtest.Notify(events...)
			n.Test, n.PublicURL = true, "https://"+strings.Repeat("long.", 45)+"example.com"
			for i, m := range preview(t, config, n) {
				if len(m.params["uid"]) != 32 || m.params["delivery"] != n.DeliveryID {
					t.Errorf("%s within %d: the event is not named: %q", format, most, m.params)
				}
				if strings.HasPrefix(m.body, "{") != (format != "cef" && format != "leef") || m.body[0] == '{' && !json.Valid([]byte(m.body)) {
					t.Errorf("%s within %d is not JSON: %s", format, most, m.body)
				}
				// The SDK takes a name of spaces alone for none, which the specification does not.
				if format == "cloudevents" && !strings.Contains(m.body, `"id":"\u2028`) {
					checkCloudEvent(t, m.body)
				}
				if i >= ordinary && m.params["truncated"] != "true" {
					t.Errorf("%s within %d: event %d is shortened and does not say so", format, most, i)
				}
			}
		}
	}
}

// checkCloudEvent holds a message to the SDK of CloudEvents.
func checkCloudEvent(t *testing.T, body string) sdk.Event {
	t.Helper()
	var e sdk.Event
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Errorf("%v: %s", err, body)
	} else if err := e.Validate(); err != nil {
		t.Errorf("%v: %s", err, body)
	}
	return e
}

// TestMessagesAreCloudEvents, whole ones where they fit.
func TestMessagesAreCloudEvents(t *testing.T) {
	events := integrationtest.Events(t)
	config := map[string]any{"address": "r.example.com", "format": "cloudevents", "framing": "newline", "max_bytes": 1 << 20}
	for i, m := range preview(t, config, integrationtest.Notify(events...)) {
		e := checkCloudEvent(t, m.body)
		if e.ID() != events[i].ID || e.Type() != events[i].Type || !e.Time().Equal(events[i].Time) || len(e.Data()) == 0 != (len(events[i].Data) == 0) {
			t.Errorf("%s is read as %s", events[i].ID, e)
		}
	}
}

// TestTruncatedIsCounted, and what fits is whole.
func TestTruncatedIsCounted(t *testing.T) {
	r := listen(t, "", nil)
	s := open(t, 0, map[string]any{"address": r.addr(), "transport": "tcp"})
	n := integrationtest.Notify(integrationtest.Pick(t, "it-agent", "it-scripts")...)
	receipt, err := s.Send(t.Context(), n)
	if err != nil || receipt.Truncated != 1 {
		t.Fatalf("%d truncated (%v), want 1", receipt.Truncated, err)
	}
	got := r.messages(receipt.Exchanges[0].RequestBytes)
	var whole struct{ Data struct{ Framework string } }
	if err := json.Unmarshal([]byte(got[0].body), &whole); err != nil || whole.Data.Framework != "CrewAI" || got[0].params["truncated"] != "" {
		t.Errorf("what fits: %+v (%v)", got[0], err)
	}
	var less struct {
		ID, Title string
		Data      json.RawMessage
	}
	if err := json.Unmarshal([]byte(got[1].body), &less); err != nil || less.ID != "it-scripts" || less.Data != nil || got[1].params["truncated"] != "true" {
		t.Errorf("what does not: %+v (%v)", got[1], err)
	}
}

// TestNothingIsInjected: events that look like frames, headers and messages stay one
// message each.
func TestNothingIsInjected(t *testing.T) {
	const forged = `<131>1 2026-03-02T08:30:00Z evil evil - forged [tocsin@32473 uid="00000000000000000000000000000000"] {"id":"forged"}`
	var events []tocsin.Event
	for _, before := range []string{"\n", "\r\n", "\r", "\x00", "\u2028", "\u0085", fmt.Sprintf("%d ", len(forged)), `"] `, "] ", `\"] `, "\\"} {
		hostile := before + forged
		data, err := json.Marshal(map[string]string{"actor": hostile})
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, tocsin.Event{
			ID: hostile, Source: hostile, Type: "custom." + hostile, Subject: hostile, Title: hostile, Summary: hostile, DedupKey: hostile,
			Labels: map[string]string{hostile: hostile}, Data: []byte("\n {\"raw\":\n" + string(data) + "\n}\n"),
		})
	}
	for _, format := range []string{"json", "cef", "leef", "ocsf", "cloudevents"} {
		for _, framing := range []string{"octet-counting", "newline"} {
			config := map[string]any{"address": "r.example.com", "format": format, "framing": framing, "max_bytes": 1 << 20}
			for _, m := range preview(t, config, integrationtest.Notify(events...)) {
				if m.app != "tocsin" || strings.Trim(m.params["uid"], "0") == "" || strings.ContainsAny(m.body, "\n\r\x00") {
					t.Errorf("%s, %s: %+v", format, framing, m)
				}
			}
		}
	}
}

// FuzzMessage: however an event reads, it is one message that says who it is.
func FuzzMessage(f *testing.F) {
	f.Add("1", "/s", "custom.x", "title", "summary", "k", uint8(0), 8192)
	f.Add("\"]", "\\", "]\n<1>1", "\x00", "\r\n", "\u2028", uint8(1), 1024)
	f.Add("é", "^", "|", "=", "\\n", "\xff", uint8(6), 2000)
	f.Add("🧨\u2028", "a:b[%zz", "custom.\x7f", strings.Repeat("<", 4000), "\uffff", "\"", uint8(4), 1024)
	c := channel(f, 0)
	f.Fuzz(func(t *testing.T, id, source, typ, title, summary, key string, mode uint8, most int) {
		format := []string{"json", "cef", "leef", "ocsf", "cloudevents"}[mode%5]
		framing, split := "newline", lines
		if mode&8 == 0 {
			framing, split = "octet-counting", frames
		}
		most = 1024 + max(most, -most, 0)%9000
		if format == "ocsf" {
			most += 1024
		}
		id, source, typ, key = id[:min(len(id), 255)], source[:min(len(source), 255)], typ[:min(len(typ), 255)], key[:min(len(key), 255)]
		s, err := c.Open(json.RawMessage(text(t, map[string]any{"address": "r.example.com", "format": format, "framing": framing, "max_bytes": most})))
		if err != nil {
			t.Fatal(err)
		}
		e := tocsin.Event{ID: id, Source: source, Type: typ, Title: title, Summary: summary, DedupKey: key}
		x, err := s.Preview(t.Context(), integrationtest.Notify(e, e))
		if err != nil {
			t.Fatalf("Preview: %v", err)
		}
		texts, err := split(x[0].RequestBody)
		if err != nil || len(texts) != 2 || texts[0] != texts[1] || len(texts[0]) > most {
			t.Fatalf("%d messages (%v) in %q", len(texts), err, x[0].RequestBody)
		}
		m := parseAll(t, texts)[0]
		if len(m.params["uid"]) != 32 || m.params["delivery"] != "dlv_01JSUITE0000000000000000" {
			t.Errorf("%+v", m)
		}
	})
}
