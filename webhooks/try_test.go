package webhooks_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

// over is a draft that patches a stored webhook.
func over(name, patch string) webhooks.Draft {
	return webhooks.Draft{Webhook: name, Settings: json.RawMessage(patch)}
}

func fresh(settings string) webhooks.Draft { return over("", settings) }

// keep stores an example of a type, n of them, which nobody is owed.
func (k *kit) keep(t *testing.T, alertType string, n int, edit ...func(*tocsin.Event)) {
	t.Helper()
	revision, _, err := k.store.ListWebhooks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var batch []tocsin.NewEvent
	for i := range n {
		e := example(t, alertType)
		e.ID = alertType + strconv.Itoa(i)
		for _, f := range edit {
			f(&e)
		}
		batch = append(batch, tocsin.NewEvent{Event: e, Fingerprint: []byte(e.ID)})
	}
	if _, err := k.store.Append(t.Context(), revision, batch); err != nil {
		t.Fatal(err)
	}
}

// untouched fails when there are other webhooks than before, or they are different ones.
func (k *kit) untouched(t *testing.T) func() {
	t.Helper()
	before, err := k.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		after, err := k.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("a trial changed the configuration:\n%s", diff)
		}
	}
}

func TestSelectionAsksForNoMoreThanItUses(t *testing.T) {
	k := newKit(t)
	k.keep(t, "agent.discovered", 3)
	unfinished := fresh(`{"name": "", "channel": "", "batch_size": "many", "config": 7, "events": ["discovery"], "min_severity": "low", "filter": "level > 1"}`)
	w, events, err := k.Selection(t.Context(), unfinished)
	if err != nil || len(events) != 3 || w.Filter != "level > 1" || w.MinSeverity != tocsin.SeverityLow || len(w.Events) != 1 {
		t.Errorf("got %+v, %d events, %v", w, len(events), err)
	}
}

func TestSelectionLooksAtAHundredEvents(t *testing.T) {
	k := newKit(t)
	k.keep(t, "agent.discovered", webhooks.TryEvents+5)
	_, events, err := k.Selection(t.Context(), fresh(`{}`))
	if err != nil || len(events) != webhooks.TryEvents || events[0].ID != "agent.discovered104" {
		t.Errorf("got %d events, %v", len(events), err)
	}
}

func TestSelectionIsCheckedAsACreation(t *testing.T) {
	k := newKit(t)
	k.mustCreate(t, "soc", nil)
	wrong := `{"fliter": "true", "events": ["agent.discoverd"], "min_severity": "hi", "collections": "all", "filter": "severity ==", "repeat_after": "99d"}`
	_, err := k.Create(t.Context(), json.RawMessage(wrong), true)
	want := fields(t, err, tocsin.CodeInvalid)
	delete(want, "name") // which are required of a creation only
	delete(want, "channel")
	for _, d := range []webhooks.Draft{fresh(wrong), over("soc", wrong)} {
		_, _, err := k.Selection(t.Context(), d)
		if diff := cmp.Diff(want, fields(t, err, tocsin.CodeInvalid)); diff != "" {
			t.Errorf("over %q: %s", d.Webhook, diff)
		}
	}
}

func TestSelectionPatchesAStoredWebhook(t *testing.T) {
	k := newKit(t)
	id := k.mustCreate(t, "soc", map[string]any{"events": []any{"threat"}, "filter": "level > 2", "min_severity": "high"}).Webhook.ID
	check := k.untouched(t)
	w, _, err := k.Selection(t.Context(), over("soc", `{"filter": null, "min_severity": "low"}`))
	if err != nil || w.ID != id || w.Filter != "" || w.MinSeverity != tocsin.SeverityLow || len(w.Events) != 1 || w.Events[0].Type != "threat" {
		t.Errorf("got %+v, %v", w, err)
	}
	check()
}

func TestADraftMustBeThere(t *testing.T) {
	k := newKit(t)
	k.mustCreate(t, "soc", nil)
	for _, settings := range []string{"", "null", "7", `"hush"`, "[]"} {
		d := webhooks.Draft{Settings: json.RawMessage(settings)}
		_, _, err := k.Selection(t.Context(), d)
		_, _, again := k.TryTest(t.Context(), d)
		for _, err := range []error{err, again} {
			if got := fields(t, err, tocsin.CodeInvalid)["settings"]; got == "" || strings.Contains(got, "hush") {
				t.Errorf("%q: got %q about settings", settings, got)
			}
		}
	}
	for _, err := range []error{
		func() error { _, _, err := k.Selection(t.Context(), over("nobody", "")); return err }(),
		func() error { _, err := k.TryPreview(t.Context(), over("nobody", ""), nil); return err }(),
		func() error { _, _, err := k.TryTest(t.Context(), over("nobody", "")); return err }(),
	} {
		if tocsin.CodeOf(err) != tocsin.CodeNotFound {
			t.Errorf("got %v, want not found", err)
		}
	}
	// A stored one is tried as it is.
	if _, _, err := k.TryTest(t.Context(), over("soc", "")); err != nil {
		t.Error(err)
	}
}

func TestTryTestSendsWithNewSettings(t *testing.T) {
	k := newKit(t)
	check := k.untouched(t)
	w, receipt, err := k.TryTest(t.Context(), fresh(string(k.body("soc", map[string]any{"events": []any{"operational"}}))))
	if err != nil || len(receipt.Exchanges) != 1 || receipt.Exchanges[0].Status != http.StatusOK || receipt.Exchanges[0].Timings.Total <= 0 {
		t.Fatalf("got %+v, %v", receipt, err)
	}
	bodies, heads := k.receiver.got()
	if len(bodies) != 1 || !strings.Contains(bodies[0], "[TEST]") || heads[0].Get("webhook-signature") == "" {
		t.Errorf("got %v %v", bodies, heads)
	}
	if w.Name != "soc" || !strings.Contains(string(w.Config), tocsin.Redacted) {
		t.Errorf("got %s %s", w.Name, w.Config)
	}
	check()
	if calls := k.conductor.take(); len(calls) != 0 {
		t.Errorf("workflows were told %v", calls)
	}
}

func TestTryTestTakesSecretsFromTheStore(t *testing.T) {
	k := newKit(t)
	k.mustCreate(t, "soc", map[string]any{"config": map[string]any{"url": k.receiver.URL, "headers": map[string]any{"Authorization": "Bearer hush", "X-Old": "gone"}}})
	check := k.untouched(t)
	for _, patch := range []string{
		`{"config": {"url": "` + k.receiver.URL + `/elsewhere", "headers": {"X-Old": null}}}`,
		`{"config": {"url": "` + k.receiver.URL + `/elsewhere", "headers": {"Authorization": "[redacted]", "X-Old": null}}}`,
	} {
		_, receipt, err := k.TryTest(t.Context(), over("soc", patch))
		if err != nil {
			t.Fatal(err)
		}
		if all := fmt.Sprint(receipt); strings.Contains(all, "hush") || !strings.HasSuffix(receipt.Exchanges[0].URL, "/elsewhere") {
			t.Errorf("got %s", all)
		}
	}
	_, heads := k.receiver.got()
	for _, h := range heads {
		if h.Get("Authorization") != "Bearer hush" || h.Get("X-Old") != "" {
			t.Errorf("sent %v", h)
		}
	}
	check()
	// And the stored webhook's own sender was not pushed out by the trial's.
	if _, err := k.Test(t.Context(), "soc"); err != nil {
		t.Error(err)
	}
	if _, heads := k.receiver.got(); heads[len(heads)-1].Get("X-Old") != "gone" {
		t.Errorf("the stored webhook sends %v", heads[len(heads)-1])
	}
}

func TestTryTestReportsWhatTheReceiverSays(t *testing.T) {
	k := newKit(t)
	k.receiver.status = http.StatusForbidden
	_, receipt, err := k.TryTest(t.Context(), fresh(string(k.body("soc", nil))))
	if tocsin.Classify(err).Fault != tocsin.FaultWebhook || receipt.Exchanges[0].Status != http.StatusForbidden {
		t.Errorf("got %+v, %v", receipt, err)
	}
}

func TestTriesRefuse(t *testing.T) {
	k := newKit(t)
	k.mustCreate(t, "soc", nil)
	for _, test := range []struct {
		name  string
		draft webhooks.Draft
		code  tocsin.Code
		field string
	}{
		{"an address that may not be reached", fresh(`{"name": "a", "channel": "webhook", "config": {"url": "http://169.254.169.254/latest"}}`), tocsin.CodeInvalid, "config.url"},
		{"the same over a stored one", over("soc", `{"config": {"url": "http://169.254.169.254/latest"}}`), tocsin.CodeInvalid, "config.url"},
		{"a secret that is not stored", fresh(string(k.body("a", map[string]any{"config": map[string]any{"url": k.receiver.URL, "signing_secret": tocsin.Redacted}}))), tocsin.CodeInvalid, "config.signing_secret"},
		{"a name that is taken", fresh(string(k.body("soc", nil))), tocsin.CodeConflict, "name"},
		{"another channel", over("soc", `{"channel": "slack"}`), tocsin.CodeInvalid, "channel"},
		{"a template that does not parse", over("soc", `{"config": {"body_template": "{{"}}`), tocsin.CodeInvalid, "config.body_template"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := k.TryPreview(t.Context(), test.draft, nil)
			_, _, again := k.TryTest(t.Context(), test.draft)
			_, _, _, check := k.TryCheck(t.Context(), test.draft)
			for _, err := range []error{err, again, check} {
				if got := fields(t, err, test.code); got[test.field] == "" {
					t.Errorf("got %v, want something about %s", got, test.field)
				}
			}
		})
	}
	if bodies, _ := k.receiver.got(); len(bodies) != 0 {
		t.Errorf("sent %v", bodies)
	}
}

// ids are a template that lists what is delivered.
const ids = `{"body_template": "[{{range $i, $e := .Events}}{{if $i}},{{end}}{{toJSON $e.id}}{{end}}]", "headers": {"Authorization": "Bearer hush"}}`

func TestTryPreview(t *testing.T) {
	k := newKit(t)
	k.mustCreate(t, "soc", map[string]any{"config": map[string]any{"url": k.receiver.URL, "headers": map[string]any{"X-Stored": "hush"}}})
	check := k.untouched(t)
	draft := func(more string) webhooks.Draft { return over("soc", `{"config": `+ids+more+`}`) }
	preview := func(d webhooks.Draft, chosen ...webhooks.EventRef) (string, webhooks.Previewed) {
		t.Helper()
		got, err := k.TryPreview(t.Context(), d, chosen)
		if err != nil || len(got.Exchanges) != 1 {
			t.Fatalf("got %+v, %v", got, err)
		}
		if all := fmt.Sprint(got); strings.Contains(all, "hush") {
			t.Errorf("shows a secret: %s", all)
		}
		return got.Exchanges[0].RequestBody, got
	}

	if body, got := preview(draft("")); got.Origin != webhooks.OriginExample || !strings.HasPrefix(body, `["test_`) || len(got.Events) != 1 {
		t.Errorf("without events: got %q of %s", body, got.Origin)
	}
	k.keep(t, "agent.discovered", 4)
	k.keep(t, "mcp.discovered", 1)
	if body, got := preview(draft(`, "events": ["agent.discovered"], "batch_size": 3`)); got.Origin != webhooks.OriginLatest ||
		body != `["agent.discovered1","agent.discovered2","agent.discovered3"]` {
		t.Errorf("got %q of %s", body, got.Origin)
	}
	source := example(t, "mcp.discovered").Source
	if body, got := preview(draft(`, "events": ["agent.discovered"]`), webhooks.EventRef{Source: source, ID: "mcp.discovered0"}); got.Origin != webhooks.OriginChosen || body != `["mcp.discovered0"]` {
		t.Errorf("got %q of %s", body, got.Origin)
	}
	check()
	if bodies, _ := k.receiver.got(); len(bodies) != 0 {
		t.Errorf("sent %v", bodies)
	}
}

// Events that are never delivered together are not previewed together.
func TestTryPreviewKeepsBatchesApart(t *testing.T) {
	k := newKit(t)
	k.keep(t, "threat.detected", 1, func(e *tocsin.Event) { e.ID = "one" })
	k.keep(t, "threat.detected", 1, func(e *tocsin.Event) {
		e.ID = "two"
		e.Data = json.RawMessage(strings.Replace(string(e.Data), `"filterId"`, `"filterId": "Another", "_"`, 1))
	})
	d := fresh(string(k.body("soc", nil)))
	got, err := k.TryPreview(t.Context(), d, nil)
	if err != nil || len(got.Events) != 1 || got.Events[0].ID != "two" {
		t.Errorf("got %d events, %v", len(got.Events), err)
	}
	source := example(t, "threat.detected").Source
	_, err = k.TryPreview(t.Context(), d, []webhooks.EventRef{{Source: source, ID: "one"}, {Source: source, ID: "two"}, {Source: source, ID: "one"}, {Source: "x", ID: "y"}})
	said := fields(t, err, tocsin.CodeInvalid)
	for field, part := range map[string]string{"chosen[1]": "never in one delivery", "chosen[2]": "twice", "chosen[3]": `no event of source "x"`} {
		if !strings.Contains(said[field], part) {
			t.Errorf("%s: got %q, want %q", field, said[field], part)
		}
	}
	_, err = k.TryPreview(t.Context(), fresh(string(k.body("soc", map[string]any{"batch_size": 1}))), make([]webhooks.EventRef, 2))
	if got := fields(t, err, tocsin.CodeInvalid)["chosen"]; !strings.Contains(got, "batch_size is 1") {
		t.Errorf("got %q", got)
	}
}

func TestTryCheck(t *testing.T) {
	k := newKit(t)
	_, _, _, err := k.TryCheck(t.Context(), fresh(string(k.body("soc", nil))))
	if tocsin.CodeOf(err) != tocsin.CodeInvalid || !strings.Contains(err.Error(), "send a test") {
		t.Errorf("got %v, want that the channel has no check", err)
	}
}
