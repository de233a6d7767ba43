package teams

import (
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// FuzzAnswer reads whatever a workflow, or something in its place, may say.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{"", "1", "ok", `{"error":{"code":"WorkflowTriggerIsNotEnabled"}}`, `{"error":{"code":5}}`, `{"error":"x"}`, "<html>",
		"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 413 with ContextId x", "message delivery failed",
		"Microsoft Teams endpoint returned HTTP error 99999999999999999999", "HTTP error 429", "microsoft teams endpoint returned http error 200"} {
		for _, status := range []int{200, 202, 400, 429, 503} {
			f.Add(status, body, "7")
		}
	}
	f.Fuzz(func(t *testing.T, status int, body, header string) {
		err := classify(status, http.Header{"Retry-After": {header}}, []byte(body), body)
		success := status >= 200 && status <= 299
		if !success && err == nil {
			t.Errorf("%d %q: accepted", status, body)
		}
		if success && err != nil && !strings.Contains(strings.ToLower(body), "failed") && !strings.Contains(strings.ToLower(body), "http error") {
			t.Errorf("%d %q: %v", status, body, err)
		}
		if err == nil {
			return
		}
		s := tocsin.Classify(err)
		if s.After < 0 || s.After > 7*24*time.Hour {
			t.Errorf("%d %q: the wait is %s", status, body, s.After)
		}
		if status >= 500 && status <= 599 && (s.Fault != tocsin.FaultRetry || !s.Unsure) {
			t.Errorf("%d %q: %+v", status, body, s)
		}
	})
}

// FuzzCard renders whatever an event may say: always a card that Teams takes.
func FuzzCard(f *testing.F) {
	f.Add("title", "summary\nline", "subject", `{"actor":"x"}`, "https://h.example/?a=b", uint8(1))
	f.Add("{{DATE(2017-02-14T06:08:39Z)}}", "<at>x</at>\r\n\u202e", "{{{TIME(", `{"url":{"deep":["x"]}}`, "javascript:x", uint8(3))
	f.Add(strings.Repeat("🧨", 400), strings.Repeat("\"\\\n", 900), "\xff\xfe", `nonsense`, "https://[::1]/", uint8(40))
	f.Fuzz(func(t *testing.T, title, summary, subject, data, link string, count uint8) {
		n := tocsin.Notification{DeliveryID: "dlv_1", WebhookName: subject, PublicURL: "https://tocsin.example.com"}
		for range max(1, int(count)) {
			n.Events = append(n.Events, tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Title: title, Summary: summary, Subject: subject, Data: []byte(data), Link: link})
		}
		body, truncated, err := render(n)
		if err != nil || !fits(body) || !utf8.Valid(body) || truncated > len(n.Events) {
			t.Fatalf("%d bytes, %d grown, truncated %d: %v", len(body), grown(body), truncated, err)
		}
		for _, bad := range []string{"{{DATE(", "{{TIME(", "<at", "\u202e", "\u2066"} {
			if strings.Contains(string(body), bad) {
				t.Errorf("%q is in the card", bad)
			}
		}
	})
}
