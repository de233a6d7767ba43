package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

func TestAWebhooksLife(t *testing.T) {
	k := newKit(t)
	var dry webhook
	k.want(http.StatusOK, &dry, "POST", "/v1/webhooks?dry_run=true", k.body("Sec Ops / é", ""))
	if dry.ID != "" || dry.Generated != nil {
		t.Errorf("dry run: got %+v", dry)
	}
	var w webhook
	r := k.want(http.StatusCreated, &w, "POST", "/v1/webhooks", k.body("Sec Ops / é", `, "labels": {"team": "red"}`))
	if got := r.Header.Get("Location"); got != "/v1/webhooks/"+w.ID {
		t.Errorf("got Location %q", got)
	}
	secret := w.Generated["signing_secret"]
	if secret == "" || w.Balance == nil || w.State != tocsin.StateActive {
		t.Errorf("got %+v", w)
	}

	byName := "/v1/webhooks/" + url.PathEscape("Sec Ops / é")
	for _, path := range []string{byName, "/v1/webhooks/" + w.ID, r.Header.Get("Location")} {
		var again webhook
		raw := k.want(http.StatusOK, &again, "GET", path, "")
		if again.ID != w.ID || strings.Contains(string(raw.body), secret) || strings.Contains(string(raw.body), "sealed") {
			t.Errorf("%s: got %s", path, raw.body)
		}
	}

	var changed webhook
	k.want(http.StatusOK, &changed, "PATCH", byName+"?dry_run=1", `{"batch_size": 7}`)
	k.want(http.StatusOK, &changed, "PATCH", byName, `{"batch_size": 5}`, "Content-Type", "application/merge-patch+json")
	if len(changed.Changes) != 1 || fmt.Sprint(changed.Changes[0]) != "{batch_size 20 5 false}" || changed.Version != 2 {
		t.Errorf("got %+v", changed)
	}
	raw := k.want(http.StatusOK, nil, "PATCH", byName, `{"batch_size": 5}`)
	if !strings.Contains(string(raw.body), `"changes":[]`) {
		t.Errorf("changing nothing: got %s", raw.body)
	}

	for _, step := range []struct {
		verb string
		want tocsin.State
		told string
	}{{"pause", tocsin.StatePaused, "pause %s 3"}, {"resume", tocsin.StateActive, "resume %s 4"}, {"run", tocsin.StateActive, "run-now %s 4"}} {
		var after webhook
		k.want(http.StatusOK, &after, "POST", byName+"/"+step.verb, "")
		if after.State != step.want || !k.conductor.has(fmt.Sprintf(step.told, w.ID)) {
			t.Errorf("%s: got %s, and the workflow heard %v", step.verb, after.State, k.conductor.calls)
		}
	}
	var page struct{ Items []webhook }
	k.want(http.StatusOK, &page, "GET", "/v1/webhooks", "")
	if len(page.Items) != 1 || page.Items[0].ID != w.ID || page.Items[0].Balance == nil {
		t.Errorf("got %+v", page)
	}
	k.want(http.StatusNoContent, nil, "DELETE", byName, "")
	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "GET", byName, "")
	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "DELETE", byName, "")
	k.want(http.StatusOK, nil, "GET", "/v1/webhooks/"+w.ID+"/deliveries", "") // its history stays
}

func TestBadWebhooksAreRefused(t *testing.T) {
	k := newKit(t)
	k.create("taken", "")
	for _, test := range []struct{ name, body, field, say string }{
		{"a misspelt field", k.body("a", `, "bach_size": 3`), "bach_size", `did you mean "batch_size"?`},
		{"an unknown channel", `{"name": "a", "channel": "slak"}`, "channel", `did you mean "slack"?`},
		{"an unknown config key", `{"name": "a", "channel": "webhook", "config": {"ulr": "https://example.com"}}`, "config.ulr", "url"},
		{"broken CEL", k.body("a", `, "filter": "severity =="`), "filter", "line 1, column 12"},
		{"run_every too short", k.body("a", `, "run_every": "30s"`), "run_every", "1m to 24h"},
		{"run_every too long", k.body("a", `, "run_every": "25h"`), "run_every", "1m to 24h"},
		{"batch_size 0", k.body("a", `, "batch_size": 0`), "batch_size", "1 to 1000"},
		{"batch_size 1001", k.body("a", `, "batch_size": 1001`), "batch_size", "1 to 1000"},
		{"a private URL", `{"name": "a", "channel": "webhook", "config": {"url": "http://192.168.1.1/"}}`, "config.url", "192.168.1.1"},
		{"a URL that is not http", `{"name": "a", "channel": "webhook", "config": {"url": "file:///etc/passwd"}}`, "config.url", "http"},
		{"a URL with credentials", `{"name": "a", "channel": "webhook", "config": {"url": "https://a:b@example.com/"}}`, "config.url", ""},
		{"a template that does not render", `{"name": "a", "channel": "webhook", "config": {"url": "` + k.receiver.URL + `", "body_template": "{{.Nothing.There}}"}}`, "config.body_template", "render"},
		{"an unknown alert type", k.body("a", `, "events": ["theat"]`), "events[0]", `did you mean "threat"?`},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", "/v1/webhooks", test.body)
			if got := p.says(t, test.field); !strings.Contains(got, test.say) {
				t.Errorf("got %q, want it to say %q", got, test.say)
			}
		})
	}
	p := k.refused(http.StatusConflict, tocsin.CodeConflict, "POST", "/v1/webhooks", k.body("taken", ""))
	if got := p.says(t, "name"); !strings.Contains(got, `"taken"`) {
		t.Errorf("got %q", got)
	}
	p = k.refused(http.StatusBadRequest, tocsin.CodeMalformed, "POST", "/v1/webhooks", "{\n \"name\": ,}")
	if !strings.Contains(p.Detail, "line 2, column 10") {
		t.Errorf("got %q, want the place", p.Detail)
	}
	k.refused(http.StatusUnsupportedMediaType, tocsin.CodeUnsupported, "POST", "/v1/webhooks", "name: a", "Content-Type", "application/yaml")
	k.refused(http.StatusUnsupportedMediaType, tocsin.CodeUnsupported, "POST", "/v1/webhooks", "{}", "Content-Type", "application/merge-patch+json")
	p = k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", "/v1/webhooks?dryrun=true", k.body("a", ""))
	if got := p.says(t, "dryrun"); !strings.Contains(got, "dry_run") {
		t.Errorf("got %q", got)
	}
	p = k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", "/v1/webhooks?dry_run=perhaps", k.body("a", ""))
	p.says(t, "dry_run")
	p = k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "PATCH", "/v1/webhooks/taken", `{"channel": "slack", "batch_size": "x"}`)
	p.says(t, "channel")
	p.says(t, "batch_size")
	var page struct{ Items []webhook }
	k.want(http.StatusOK, &page, "GET", "/v1/webhooks", "")
	if len(page.Items) != 1 || page.Items[0].Version != 1 {
		t.Errorf("got %+v, want only the one that was valid, unchanged", page.Items)
	}
}

func TestWebhooksAreListedInPages(t *testing.T) {
	k := newKit(t)
	for _, name := range []string{"b", "É", "a", "Z", "c"} {
		k.create(name, "")
	}
	var got []string
	for cursor := ""; ; {
		var page struct {
			Items []webhook
			Next  string
		}
		k.want(http.StatusOK, &page, "GET", "/v1/webhooks?limit=2&cursor="+cursor, "")
		for _, w := range page.Items {
			got = append(got, w.Name)
			if w.Balance == nil {
				t.Errorf("%s has no balance", w.Name)
			}
		}
		if page.Next == "" {
			break
		}
		if cursor == "" {
			// The webhook that the cursor names may be gone by then.
			k.want(http.StatusNoContent, nil, "DELETE", "/v1/webhooks/a", "")
		}
		cursor = page.Next
	}
	if diff := cmp.Diff([]string{"Z", "a", "b", "c", "É"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestProblemsAreSaidOnce(t *testing.T) {
	k := newKit(t)
	k.create("one", "")
	k.create("two", "")
	p := k.refused(http.StatusConflict, tocsin.CodeConflict, "PATCH", "/v1/webhooks/one", `{"name": "two"}`)
	if p.Detail != `the name is taken: another webhook is named "two"; names are unique` {
		t.Errorf("got %q", p.Detail)
	}
	for _, empty := range []string{"", " \n"} {
		for method, path := range map[string]string{"PATCH": "/v1/webhooks/one", "POST": "/v1/webhooks"} {
			p = k.refused(http.StatusBadRequest, tocsin.CodeMalformed, method, path, empty)
			if !strings.HasPrefix(p.Detail, "the body is empty") {
				t.Errorf("%s: got %q", method, p.Detail)
			}
		}
	}
	for _, none := range []string{`[]`, `{"events": []}`} {
		p = k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", "/v1/events", none)
		if !strings.HasPrefix(p.Detail, "no events") {
			t.Errorf("got %q", p.Detail)
		}
	}
}

func TestAChangedSecretShowsAsOne(t *testing.T) {
	k := newKit(t)
	k.create("soc", "")
	var changed webhook
	k.want(http.StatusOK, &changed, "PATCH", "/v1/webhooks/soc", `{"batch_size": 3, "config": {"headers": {"X-Token": "one"}}}`)
	r := k.want(http.StatusOK, &changed, "PATCH", "/v1/webhooks/soc", `{"batch_size": 5, "config": {"headers": {"X-Token": "two"}}}`)
	want := []webhooks.Change{
		{Field: "batch_size", From: 3.0, To: 5.0},
		{Field: "config.headers.X-Token", From: tocsin.Redacted, To: tocsin.Redacted, Secret: true},
	}
	if diff := cmp.Diff(want, changed.Changes); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(string(r.body), "two") {
		t.Error("shows the secret")
	}
}

func TestTestAnswersWithWhatTheReceiverSaid(t *testing.T) {
	k := newKit(t)
	k.create("soc", "")
	type tested struct {
		OK        bool
		Error     string
		Exchanges []tocsin.Exchange
	}
	var got tested
	k.want(http.StatusOK, &got, "POST", "/v1/webhooks/soc/test", "")
	if !got.OK || len(got.Exchanges) != 1 || got.Exchanges[0].Status != 200 {
		t.Errorf("got %+v", got)
	}
	k.status.Store(http.StatusForbidden)
	got = tested{}
	k.want(http.StatusOK, &got, "POST", "/v1/webhooks/soc/test", "")
	if got.OK || !strings.Contains(got.Error, "403") || got.Exchanges[0].Status != 403 {
		t.Errorf("got %+v", got)
	}
	k.receiver.Close()
	got = tested{}
	k.want(http.StatusOK, &got, "POST", "/v1/webhooks/soc/test", "")
	if got.OK || got.Error == "" {
		t.Errorf("got %+v", got)
	}
	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "POST", "/v1/webhooks/nobody/test", "")
}

func TestPreview(t *testing.T) {
	k := newKit(t)
	w := k.create("soc", "")
	for _, method := range []string{"GET", "POST"} {
		var page struct{ Items []tocsin.Exchange }
		r := k.want(http.StatusOK, &page, method, "/v1/webhooks/soc/preview", "")
		if len(page.Items) != 1 || page.Items[0].RequestBody == "" || page.Items[0].Method != "POST" {
			t.Errorf("got %+v", page)
		}
		if strings.Contains(string(r.body), w.Generated["signing_secret"]) {
			t.Error("shows the signing secret")
		}
	}
}

func TestFacts(t *testing.T) {
	k := newKit(t)
	var types struct {
		Items []struct{ Type, Category string }
	}
	k.want(http.StatusOK, &types, "GET", "/v1/alert-types", "")
	if len(types.Items) < 15 {
		t.Errorf("got %d alert types", len(types.Items))
	}
	var channels struct{ Items []struct{ Name string } }
	k.want(http.StatusOK, &channels, "GET", "/v1/channels", "")
	if len(channels.Items) < 2 {
		t.Errorf("got %+v", channels)
	}
	r := k.want(http.StatusOK, nil, "GET", "/openapi.yaml", "")
	if !strings.HasPrefix(string(r.body), "openapi: 3.1.0") {
		t.Errorf("got %.40s", r.body)
	}
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", event("one", ""))
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", event("one", ""))
	r = k.want(http.StatusOK, nil, "GET", "/metrics", "")
	for _, line := range []string{
		`tocsin_http_requests_total{code="202",route="POST /v1/events"} 2`, "tocsin_events_accepted_total 1", "tocsin_events_duplicates_total 1",
		"tocsin_events_conflicts_total 0", `tocsin_http_request_duration_seconds_count{route="POST /v1/events"} 2`,
	} {
		if !strings.Contains(string(r.body), line+"\n") {
			t.Errorf("no %q in\n%s", line, r.body)
		}
	}
}

func TestCheckAnswersWithWhatWasFound(t *testing.T) {
	k := newKit(t)
	k.create("soc", "")
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", "/v1/webhooks/soc/check", "")
	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "POST", "/v1/webhooks/nobody/check", "")
	k.want(http.StatusCreated, nil, "POST", "/v1/webhooks",
		`{"name": "chat", "channel": "slack", "config": {"token": "xoxb-hush-hush", "channel": "C0123456789", "api_url": "`+k.receiver.URL+`/slack/"}}`)
	var got struct {
		OK           bool
		Found, Error string
		Exchanges    []tocsin.Exchange
	}
	body := k.want(http.StatusOK, &got, "POST", "/v1/webhooks/chat/check", "")
	if !got.OK || got.Found != "the token is of tocsin in workspace Acme, a member of #sec-alerts" || len(got.Exchanges) != 2 || strings.Contains(fmt.Sprint(body, got), "hush") {
		t.Errorf("got %+v", got)
	}
	if e := k.entry("webhook.check", tocsin.AuditDone); e.Name != "chat" {
		t.Errorf("audited as %+v", e)
	}
	k.receiver.Close()
	k.want(http.StatusOK, &got, "POST", "/v1/webhooks/chat/check", "")
	if got.OK || got.Error == "" {
		t.Errorf("with nobody there: got %+v", got)
	}
}
