package pagerduty_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

func TestAnswers(t *testing.T) {
	invalid := func(errors string) string {
		return `{"status":"invalid event","message":"Event object is invalid","errors":[` + errors + `]}`
	}
	event, webhook, retry := tocsin.FaultEvent, tocsin.FaultWebhook, tocsin.FaultRetry
	for _, row := range []struct {
		status int
		header string // Retry-After
		body   string
		want   tocsin.SendError // Fault, After, Unsure
		says   string
	}{
		{202, "", `{"status":"success","message":"Event processed","dedup_key":"k"}`, tocsin.SendError{}, ""},
		{202, "", "", tocsin.SendError{}, ""},
		{200, "", `{"status":"success"}`, tocsin.SendError{Fault: webhook, Unsure: true}, "not 202"},
		{204, "", "", tocsin.SendError{Fault: webhook, Unsure: true}, "not 202"},
		{400, "", invalid(`"'payload.severity' is missing or blank"`), tocsin.SendError{Fault: event}, "'payload.severity' is missing or blank"},
		{400, "", invalid(`"Length of 'routing_key' is incorrect (should be 32 characters)","'routing_key' cannot contain non-alphanumeric characters."`), tocsin.SendError{Fault: webhook}, "Length of"},
		{400, "", invalid(`"Invalid routing key"`), tocsin.SendError{Fault: webhook}, "Invalid routing key"},
		{400, "", `{"status":"Invalid routing key"}`, tocsin.SendError{Fault: webhook}, "Invalid routing key"},
		{400, "", `{"status":"error","message":"Invalid routing key"}`, tocsin.SendError{Fault: webhook}, "Invalid routing key"},
		{400, "", `Invalid routing key`, tocsin.SendError{Fault: webhook}, "Invalid routing key"},
		{400, "", `{"status":"Unrecognized object","message":"Event object format is unrecognized","errors":["JSON parse error"]}`, tocsin.SendError{Fault: event}, "JSON parse error"},
		{400, "", `{"status":5,"errors":"routing nothing"}`, tocsin.SendError{Fault: event}, ""},
		{400, "", ``, tocsin.SendError{Fault: event}, ""},
		{413, "", ``, tocsin.SendError{Fault: event}, ""},
		{404, "", ``, tocsin.SendError{Fault: webhook}, ""},
		{429, "", ``, tocsin.SendError{Fault: retry, After: 2 * time.Minute}, ""},
		{429, "soon", ``, tocsin.SendError{Fault: retry, After: 2 * time.Minute}, ""},
		{429, "5", ``, tocsin.SendError{Fault: retry, After: 5 * time.Second}, ""},
		{429, "600", ``, tocsin.SendError{Fault: retry, After: 10 * time.Minute}, ""},
		{500, "", ``, tocsin.SendError{Fault: retry, Unsure: true}, ""},
		{503, "30", ``, tocsin.SendError{Fault: retry, After: 30 * time.Second, Unsure: true}, ""},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if row.header != "" {
				w.Header().Set("Retry-After", row.header)
			}
			w.WriteHeader(row.status)
			_, _ = io.WriteString(w, row.body) // 204 takes none
		}))
		_, err := open(t, config(server.URL)).Send(t.Context(), integrationtest.Notify(integrationtest.Pick(t, "it-agent")...))
		server.Close()
		got := tocsin.SendError{}
		if err != nil {
			got = *tocsin.Classify(err)
		}
		if got.Fault != row.want.Fault || got.After != row.want.After || got.Unsure != row.want.Unsure {
			t.Errorf("%d %s: got %q %s %v, want %q %s %v (%v)", row.status, row.body, got.Fault, got.After, got.Unsure,
				row.want.Fault, row.want.After, row.want.Unsure, err)
		}
		if err != nil && !strings.Contains(err.Error(), row.says) {
			t.Errorf("%d %s: %v does not say %q", row.status, row.body, err, row.says)
		}
	}
}
