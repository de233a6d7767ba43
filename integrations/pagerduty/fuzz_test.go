package pagerduty

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// FuzzAnswer reads whatever PagerDuty, or something in its place, may say.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{"", `{"status":"success"}`, `{"status":"invalid event","message":"Event object is invalid","errors":["Invalid routing key"]}`,
		`{"errors":"routing_key"}`, `{"errors":[1]}`, `null`, `[]`, `"routing key"`, "Invalid Routing Key", "\xff", "<html>"} {
		for _, status := range []int{200, 202, 400, 413, 429, 503} {
			f.Add(status, body, "7")
		}
	}
	f.Fuzz(func(t *testing.T, status int, body, header string) {
		err := classify(status, http.Header{"Retry-After": {header}}, []byte(body), body)
		if (err == nil) != (status == http.StatusAccepted) {
			t.Errorf("%d %q: %v", status, body, err)
		}
		if err == nil {
			return
		}
		s := tocsin.Classify(err)
		if s.After < 0 || s.After > 7*24*time.Hour || status == 429 && s.After == 0 {
			t.Errorf("%d %q: the wait is %s", status, body, s.After)
		}
		if status >= 500 && status <= 599 && (s.Fault != tocsin.FaultRetry || !s.Unsure) {
			t.Errorf("%d %q: %+v", status, body, s)
		}
		if status == 400 && s.Fault != tocsin.FaultEvent && s.Fault != tocsin.FaultWebhook {
			t.Errorf("%d %q: %+v", status, body, s)
		}
	})
}

// FuzzEvent renders whatever an event may say: always a body that PagerDuty takes.
func FuzzEvent(f *testing.F) {
	f.Add("title", "dedup", `{"actor":"x"}`, "k", 1)
	f.Add("\r\n\u202e\x00", strings.Repeat("é", 256), `{"a\u0000":[1e999,{"b":"\u2028"}],"a":null}`, "\xff", 600)
	f.Add("", "", `[[["x"]]]`, "", 100_000)
	s := &sender{channel: New(nil, catalog.Default()), config: config{key: strings.Repeat("k", 32), base: "https://h", client: "c"}}
	f.Fuzz(func(t *testing.T, title, dedup, data, key string, repeat int) {
		if !json.Valid([]byte(data)) {
			data = `{}`
		}
		e := tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Title: title, Summary: strings.Repeat(title, max(0, min(repeat, 1000))), DedupKey: dedup,
			Data: []byte(data), Labels: map[string]string{key: strings.Repeat(key+`"`, max(0, min(repeat, 200_000))), key + "\u202e": key}}
		n := tocsin.Notification{DeliveryID: "dlv_1", WebhookName: title, Events: []tocsin.Event{e}}
		path, body, _, err := s.render(n, &n.Events[0])
		if err != nil || path != enqueuePath || len(body) > maxBody || !utf8.Valid(body) || !json.Valid(body) {
			t.Fatalf("%s: %d bytes: %v", path, len(body), err)
		}
		var got struct {
			DedupKey string `json:"dedup_key"`
			Payload  struct{ Summary, Source, Severity string }
		}
		if err := json.Unmarshal(body, &got); err != nil || got.Payload.Summary == "" || got.Payload.Source == "" || got.Payload.Severity != "info" || got.DedupKey == "" {
			t.Errorf("%v: %+v", err, got)
		}
		if utf8.RuneCountInString(got.Payload.Summary) > maxSummary || utf8.RuneCountInString(got.DedupKey) > maxDedupKey {
			t.Errorf("too long: %d, %d", len(got.Payload.Summary), len(got.DedupKey))
		}
		rest := strings.ReplaceAll(string(body), got.DedupKey, "") // which is kept as it is
		if strings.ContainsAny(rest, "\u202e\u2066") || strings.Contains(rest, `\u0000`) {
			t.Errorf("a control character is in %.500s", rest)
		}
	})
}
