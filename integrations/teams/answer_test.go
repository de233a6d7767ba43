package teams_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// said is how connectors told failures.
func said(status string) string {
	return "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error " + status +
		" with ContextId tcid=622824298674363899,server=DB5PEPF00003FC8,cv=AszFFaeXdEGdFrJhai0eUw.1.0,MS-CV=AszFFaeXdEGdFrJhai0eUw.1.0.."
}

func TestAnswers(t *testing.T) {
	event, webhook, retry := tocsin.FaultEvent, tocsin.FaultWebhook, tocsin.FaultRetry
	for _, row := range []struct {
		status int
		body   string
		want   tocsin.SendError // Fault, After, Unsure
	}{
		{202, "", tocsin.SendError{}},
		{200, "", tocsin.SendError{}},
		{200, "1", tocsin.SendError{}},
		{202, `{"note":"a Response action may say what it likes"}`, tocsin.SendError{}},
		{200, said("413"), tocsin.SendError{Fault: event}},
		{202, said("413"), tocsin.SendError{Fault: event}},
		{200, said("400"), tocsin.SendError{Fault: event}},
		{200, said("429"), tocsin.SendError{Fault: retry, After: 30 * time.Second}},
		{200, said("403"), tocsin.SendError{Fault: webhook}},
		{200, said("404"), tocsin.SendError{Fault: webhook}},
		{200, said("502"), tocsin.SendError{Fault: retry, Unsure: true}},
		{200, said("4290"), tocsin.SendError{Fault: retry, Unsure: true}},
		{200, said("200"), tocsin.SendError{Fault: retry, Unsure: true}},
		{200, "Webhook message delivery failed with error: the rest is missing", tocsin.SendError{Fault: retry, Unsure: true}},
		{429, "", tocsin.SendError{Fault: retry, After: 30 * time.Second}},
		{400, `{"error":{"code":"WorkflowTriggerIsNotEnabled","message":"… state 'Deleted'"}}`, tocsin.SendError{Fault: webhook}},
		{400, `{"error":{"code":"MissingApiVersionParameter","message":"The api-version query parameter (?api-version=) is required for all requests."}}`, tocsin.SendError{Fault: webhook}},
		{400, `{"error":{"code":"TriggerInputSchemaMismatch","message":"…"}}`, tocsin.SendError{Fault: webhook}},
		{400, `{"error":{"code":"InvalidRequestContent","message":"…"}}`, tocsin.SendError{Fault: event}},
		{400, `{"error":"a text"}`, tocsin.SendError{Fault: event}},
		{401, `{"error":{"code":"DirectApiAuthorizationRequired","message":"…"}}`, tocsin.SendError{Fault: webhook}},
		{404, `{"error":{"code":"WorkflowNotFound","message":"…"}}`, tocsin.SendError{Fault: webhook}},
		{500, `{"error":{"code":"WorkflowTriggerIsNotEnabled"}}`, tocsin.SendError{Fault: retry, After: 30 * time.Second, Unsure: true}},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if row.want.After > 0 {
				w.Header().Set("Retry-After", "30")
			}
			w.WriteHeader(row.status)
			_, _ = io.WriteString(w, row.body)
		}))
		receipt, err := open(t, server.URL).Send(t.Context(), integrationtest.Notify(integrationtest.Pick(t, "it-agent")...))
		server.Close()
		got := tocsin.SendError{}
		if err != nil {
			got = *tocsin.Classify(err)
		}
		if got.Fault != row.want.Fault || got.After != row.want.After || got.Unsure != row.want.Unsure {
			t.Errorf("%d %s: got %q %s %v, want %q %s %v (%v)", row.status, row.body, got.Fault, got.After, got.Unsure,
				row.want.Fault, row.want.After, row.want.Unsure, err)
		}
		if len(receipt.Exchanges) != 1 || receipt.Exchanges[0].Status != row.status {
			t.Errorf("%d %s: exchanges %+v", row.status, row.body, receipt.Exchanges)
		}
	}
}

// TestBrokenAnswerStillSaysNo: what came of a body counts, although its end is lost.
func TestBrokenAnswerStillSaysNo(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10000")
		_, _ = io.WriteString(w, said("413"))
	}))
	defer server.Close()
	_, err := open(t, server.URL).Send(t.Context(), integrationtest.Notify(integrationtest.Pick(t, "it-agent")...))
	if err == nil || tocsin.Classify(err).Fault != tocsin.FaultEvent {
		t.Errorf("got %v, want the event's fault", err)
	}
}

// TestPartsOfTheURLAreSecrets: an answer that quotes the workflow's id or the signature
// alone shows neither.
func TestPartsOfTheURLAreSecrets(t *testing.T) {
	for _, status := range []int{200, 404} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, said("404")+" The workflow '"+flow+"' with the signature "+sig+" could not be found.")
		}))
		receipt, err := open(t, server.URL).Send(t.Context(), integrationtest.Notify(integrationtest.Pick(t, "it-agent")...))
		server.Close()
		if shown := fmt.Sprintf("%v %+v", err, receipt); err == nil || strings.Contains(shown, flow) || strings.Contains(shown, sig) {
			t.Errorf("%d: %s", status, shown)
		}
	}
}
