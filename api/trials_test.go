package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin"
)

// matched is what /v1/trials/match answers.
type matched struct {
	Summary      string
	Looked       int
	Matched      int
	FilterFailed int `json:"filter_failed"`
	Items        []struct {
		Source, ID, Type, Title string
		Severity                tocsin.Severity
		Verdict                 struct {
			Matched        bool
			Clause, Detail string
			FilterFailed   bool `json:"filter_failed"`
		}
	}
}

func TestTryMatch(t *testing.T) {
	k := newKit(t)
	var got matched
	k.want(http.StatusOK, &got, "POST", "/v1/trials/match", `{"settings": {}}`)
	if got.Looked != 0 || got.Summary != "there are no events yet to try this on" {
		t.Errorf("without events: got %+v", got)
	}
	k.want(http.StatusAccepted, nil, "POST", "/v1/events",
		"["+event("one", `, "data": {"region": "eu"}`)+","+event("two", `, "data": {"region": "us"}`)+","+event("three", `, "data": {}`)+"]")
	got = matched{}
	k.want(http.StatusOK, &got, "POST", "/v1/trials/match", `{"settings": {"events": ["custom"], "filter": "data.region == 'eu'"}}`)
	if got.Looked != 3 || got.Matched != 1 || got.FilterFailed != 1 ||
		got.Summary != "matches 1 of the last 3 events; the filter could not be evaluated for 1 of them" {
		t.Fatalf("got %+v", got)
	}
	for i, want := range []struct {
		id      string
		matched bool
		failed  bool
		detail  string
	}{{"three", false, true, "no such key: region"}, {"two", false, false, "data.region == 'eu' is false"}, {"one", true, false, ""}} {
		item := got.Items[i]
		if v := item.Verdict; item.ID != want.id || item.Type != "custom.trial" || item.Severity != tocsin.SeverityHigh || item.Title == "" ||
			v.Matched != want.matched || v.FilterFailed != want.failed || !strings.Contains(v.Detail, want.detail) {
			t.Errorf("got %+v, want %+v", item, want)
		}
	}
	var doubtful struct{ Doubts []string }
	k.want(http.StatusOK, &doubtful, "POST", "/v1/trials/match", `{"settings": {"events": ["custom"], "filter": "severity == 'hihg'"}}`)
	if len(doubtful.Doubts) != 1 || !strings.Contains(doubtful.Doubts[0], `did you mean "high"?`) {
		t.Errorf("got %v", doubtful)
	}
	// As a patch over a stored webhook.
	k.create("soc", `, "events": ["custom"], "min_severity": "critical"`)
	got = matched{}
	k.want(http.StatusOK, &got, "POST", "/v1/trials/match", `{"webhook": "soc"}`)
	if got.Matched != 0 || got.Items[0].Verdict.Clause != "min_severity" {
		t.Errorf("as it is stored: got %+v", got)
	}
	k.want(http.StatusOK, &got, "POST", "/v1/trials/match", `{"webhook": "soc", "settings": {"min_severity": "low"}}`)
	if got.Matched != 3 {
		t.Errorf("patched: got %+v", got)
	}
}

func TestTrialsAreCheckedAsCreations(t *testing.T) {
	k := newKit(t)
	k.create("soc", "")
	for _, path := range []string{"match", "preview", "test", "check"} {
		path = "/v1/trials/" + path
		k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", path, "").says(t, "settings")
		k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", path, `{"settings": 7}`).says(t, "settings")
		k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", path, `{"setings": {}}`).says(t, "setings")
		k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", path+"?dry_run=true", `{"settings": {}}`).says(t, "dry_run")
		k.refused(http.StatusNotFound, tocsin.CodeNotFound, "POST", path, `{"webhook": "nobody"}`)
		k.refused(http.StatusBadRequest, tocsin.CodeMalformed, "POST", path, `{`)
		k.refused(http.StatusUnsupportedMediaType, tocsin.CodeUnsupported, "POST", path, `a: b`, "Content-Type", "application/yaml")
		p := k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", path, `{"settings": {"filter": "severity ==", "fliter": ""}}`)
		if got := p.says(t, "filter"); !strings.Contains(got, "line 1, column") {
			t.Errorf("got %q", got)
		}
		p.says(t, "fliter")
	}
	k.refused(http.StatusConflict, tocsin.CodeConflict, "POST", "/v1/trials/test", `{"settings": `+k.body("soc", "")+`}`).says(t, "name")
	p := k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", "/v1/trials/test",
		`{"settings": {"name": "x", "channel": "webhook", "config": {"url": "http://10.0.0.1/"}}}`)
	p.says(t, "config.url")
}

func TestTryTestIsAuditedWithItsSettings(t *testing.T) {
	k := newKit(t)
	type tested struct {
		OK        bool
		Error     string
		Exchanges []tocsin.Exchange
	}
	var got tested
	draft := fmt.Sprintf(`{"settings": {"name": "new", "channel": "webhook", "config": {"url": "%s/hook", "headers": {"Authorization": "Bearer hush"}}}}`, k.receiver.URL)
	r := k.want(http.StatusOK, &got, "POST", "/v1/trials/test", draft)
	if !got.OK || len(got.Exchanges) != 1 || got.Exchanges[0].Status != 200 || strings.Contains(string(r.body), "hush") {
		t.Errorf("got %s", r.body)
	}
	e := k.entry("trial.test", tocsin.AuditDone)
	if e.Name != "new" || e.Before != nil || !strings.Contains(string(e.After), k.receiver.URL) || strings.Contains(string(e.After), "hush") {
		t.Errorf("audited as %+v with %s", e, e.After)
	}
	k.status.Store(http.StatusForbidden)
	got = tested{}
	k.want(http.StatusOK, &got, "POST", "/v1/trials/test", draft)
	if got.OK || !strings.Contains(got.Error, "403") {
		t.Errorf("got %+v", got)
	}
	var page struct{ Items []webhook }
	if k.want(http.StatusOK, &page, "GET", "/v1/webhooks", ""); len(page.Items) != 0 {
		t.Errorf("stored %+v", page)
	}
	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "POST", "/v1/trials/test", `{"webhook": "`+strings.Repeat("x", 5000)+`"}`)
	if e := k.entry("trial.test", tocsin.AuditRefused); len(e.Name) > 200 {
		t.Errorf("audited with a name of %d bytes", len(e.Name))
	}
}

// A secret that is stored is sent by a trial over its webhook, and shown nowhere.
func TestTrialsKeepStoredSecrets(t *testing.T) {
	k := newKit(t)
	k.want(http.StatusCreated, nil, "POST", "/v1/webhooks",
		`{"name": "chat", "channel": "slack", "config": {"token": "xoxb-hush-hush", "channel": "C0123456789", "api_url": "`+k.receiver.URL+`/slack/"}}`)
	patch := `{"webhook": "chat", "settings": {"config": {"token": "[redacted]", "channel": "C0987654321"}}}`
	for path, want := range map[string]string{"check": "a member of #sec-alerts", "test": "C0987654321", "preview": `"origin":"example"`} {
		r := k.want(http.StatusOK, nil, "POST", "/v1/trials/"+path, patch)
		if !strings.Contains(string(r.body), want) || strings.Contains(string(r.body), "hush") {
			t.Errorf("%s: got %s", path, r.body)
		}
	}
	if e := k.entry("trial.check", tocsin.AuditDone); e.Name != "chat" || !strings.Contains(string(e.After), "C0987654321") || strings.Contains(string(e.After), "hush") {
		t.Errorf("audited as %+v", e)
	}
	var stored webhook
	if k.want(http.StatusOK, &stored, "GET", "/v1/webhooks/chat", ""); stored.Version != 1 || !strings.Contains(string(stored.Config), "C0123456789") {
		t.Errorf("the trial changed it: %s", stored.Config)
	}
	// Without a stored one there is nothing that [redacted] stands for.
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", "/v1/trials/preview",
		`{"settings": {"name": "new", "channel": "slack", "config": {"token": "[redacted]", "channel": "C0123456789"}}}`).says(t, "config.token")
}

func TestTryPreviewOfChosenEvents(t *testing.T) {
	k := newKit(t)
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", "["+event("one", "")+","+event("two", "")+"]")
	var got struct {
		Origin string
		Events []struct{ ID string }
		Items  []tocsin.Exchange
	}
	k.want(http.StatusOK, &got, "POST", "/v1/trials/preview", `{"settings": `+k.body("soc", "")+`, "chosen": [{"source": "/collections/support", "id": "one"}]}`)
	if got.Origin != "chosen" || len(got.Events) != 1 || got.Events[0].ID != "one" || !strings.Contains(got.Items[0].RequestBody, "Trial one") {
		t.Errorf("got %+v", got)
	}
	k.want(http.StatusOK, &got, "POST", "/v1/trials/preview", `{"settings": `+k.body("soc", "")+`}`)
	if got.Origin != "latest" || len(got.Events) != 2 || got.Events[1].ID != "two" || got.Items[0].RequestHeaders["Webhook-Signature"] == "" {
		t.Errorf("got %+v", got)
	}
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", "/v1/trials/preview",
		`{"settings": `+k.body("soc", "")+`, "chosen": [{"source": "x", "id": "y"}]}`).says(t, "chosen[0]")
}
