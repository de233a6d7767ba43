package alert_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

func TestCutKeepsWithinTheLimitOnRuneBorders(t *testing.T) {
	for name, size := range map[string]func(string) int{"bytes": alert.Bytes, "runes": alert.Runes, "UTF-16": alert.UTF16} {
		for _, r := range []string{"a", "é", "名", "🧨"} {
			for limit := range 40 {
				for length := range 20 {
					text := strings.Repeat(r, length)
					got, cut := alert.Cut(text, limit, size)
					switch {
					case size(got) > limit || !utf8.ValidString(got):
						t.Fatalf("%s: %q cut to %d is %q", name, text, limit, got)
					case cut != (size(text) > limit) || !cut && got != text:
						t.Fatalf("%s: %q to %d: %q, cut %t", name, text, limit, got, cut)
					case cut && limit >= size("…") && (!strings.HasSuffix(got, "…") || size(got)+size(r) <= limit && size(got) < size(text)-size(r)):
						t.Fatalf("%s: %q to %d is %q: shorter than it need be", name, text, limit, got)
					}
				}
			}
		}
	}
}

func TestCleanTakesOutWhatDeceives(t *testing.T) {
	for text, want := range map[string]string{
		" a\x00b\x1b[31mc ": "ab[31mc", "up\u202egnp.exe": "upgnp.exe", "x\ny": "x y", "a\u2028b": "a b", "@here now": "@\u2060here now", "\xffz": "\uFFFDz",
	} {
		if got := alert.Clean(text, true); got != want {
			t.Errorf("Clean(%q) = %q, want %q", text, got, want)
		}
	}
	if got := alert.Clean("a\nb\r\n", false); got != "a\nb" {
		t.Errorf("several lines: %q", got)
	}
	if got := alert.Clean(strings.Repeat("名", 1<<20), true); len(got) > 64<<10 || !utf8.ValidString(got) {
		t.Errorf("%d bytes of a long text", len(got))
	}
}

func TestWords(t *testing.T) {
	firing := tocsin.Event{Type: "custom.x", Severity: tocsin.SeverityCritical, Title: "It\nburns", Link: "https://h/a b|c"}
	over := tocsin.Event{Type: "custom.y", Severity: tocsin.SeverityLow, Status: tocsin.Resolved, Summary: "all well"}
	n := func(test bool, events ...tocsin.Event) tocsin.Notification {
		return tocsin.Notification{DeliveryID: "dlv_1", PublicURL: "https://t", Events: events, Test: test}
	}
	trial := firing
	trial.Title = "[TEST] It burns"
	for got, want := range map[string]string{
		alert.Subject(n(false, firing)):       "🔴 Critical: It burns",
		alert.Subject(n(true, trial)):         "[TEST] 🔴 Critical: It burns",
		alert.Subject(n(false, over)):         "✅ Resolved: all well",
		alert.Subject(n(false, over, firing)): "🔴 2 alerts, highest severity critical, 1 resolved: all well and 1 more",
		alert.Headline(n(true, over)):         "[TEST] ✅ 1 alert, severity low, 1 resolved",
		alert.Link(&firing):                   "https://h/a%20b%7Cc",
		alert.DeliveryLink(n(false, firing)):  "https://t/v1/deliveries/dlv_1",
		alert.Name(&tocsin.Event{Type: "t"}):  "t",
		alert.Subject(n(false, tocsin.Event{Type: tocsin.TypeIncidentResolved, Status: tocsin.Resolved, Title: "Resolved by ada: x"})):     "✅ Resolved by ada: x",
		alert.Subject(n(false, tocsin.Event{Type: tocsin.TypeIncidentAcknowledged, Severity: tocsin.SeverityHigh, Title: "Acknowledged"})): "👀 Acknowledged",
		alert.Word(&tocsin.Event{}):                  "",
		alert.DedupKey(&tocsin.Event{DedupKey: "k"}): "k",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for _, bad := range []string{"http://h/", "javascript:alert(1)", "https://", "https://u:p@h/", "https://[::1]/", "h", "https://h<b/"} {
		if got := alert.Link(&tocsin.Event{Link: bad}); got != "" {
			t.Errorf("link %q became %q", bad, got)
		}
	}
}

func TestFacts(t *testing.T) {
	e := tocsin.Event{
		Type: "threat.detected", Severity: tocsin.SeverityHigh, Status: tocsin.Resolved, Subject: "s", Source: "/p", Time: time.Unix(0, 0),
		Labels: map[string]string{"collection": "billing"},
		Data:   json.RawMessage(`{"url":"/a","actor":"1.2.3.4","data_types":["PII","keys"],"evidence":{"a":1},"risk":null,"other":1,"tool":""}`),
	}
	want := []alert.Fact{
		{"Severity", "high"}, {"Status", "resolved"}, {"Type", "threat.detected"}, {"Subject", "s"}, {"Collection", "billing"}, {"Source", "/p"},
		{"Time", "1970-01-01T00:00:00Z"}, {"Actor", "1.2.3.4"}, {"URL", "/a"}, {"Evidence", `{"a":1}`}, {"Data types", "PII, keys"},
	}
	if diff := cmp.Diff(want, alert.Facts(&e)); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	if got := alert.Facts(&tocsin.Event{Type: "t", Data: json.RawMessage(`[1]`)}); len(got) != 1 {
		t.Errorf("data that is no object: %v", got)
	}
}
