package api_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
)

// audit returns the entries that a query selects, newest first.
func (k *kit) audit(query string) []tocsin.AuditEntry {
	k.t.Helper()
	var page struct{ Items []tocsin.AuditEntry }
	k.want(http.StatusOK, &page, "GET", "/v1/audit?"+query, "")
	return page.Items
}

// entry returns the newest entry with an action, which must have the outcome.
func (k *kit) entry(action, outcome string) tocsin.AuditEntry {
	k.t.Helper()
	all := k.audit("limit=1&action=" + url.QueryEscape(action))
	if len(all) == 0 || all[0].Outcome != outcome {
		k.t.Fatalf("got %+v, want an entry %s with outcome %q", all, action, outcome)
	}
	return all[0]
}

func TestEveryChangeIsAudited(t *testing.T) {
	k := newKit(t)
	w := k.create("soc", `, "labels": {"team": "blue"}`)
	e := k.entry("webhook.create", tocsin.AuditDone)
	if e.Actor != "key root" || e.Address != "127.0.0.1" || e.Object != w.ID || e.Name != "soc" || e.Before != nil || !strings.Contains(string(e.After), `"team":"blue"`) {
		t.Errorf("got %+v", e)
	}

	k.want(http.StatusOK, nil, "PATCH", "/v1/webhooks/soc", `{"batch_size": 7}`)
	e = k.entry("webhook.change", tocsin.AuditDone)
	if e.Object != w.ID || !strings.Contains(string(e.Before), `"batch_size":20`) || !strings.Contains(string(e.After), `"batch_size":7`) {
		t.Errorf("got %s -> %s", e.Before, e.After)
	}
	for action, want := range map[string]string{"pause": `"state":"paused"`, "resume": `"state":"active"`, "run": `"state":"active"`} {
		if action == "resume" {
			k.want(http.StatusOK, nil, "POST", "/v1/webhooks/soc/pause", "")
		}
		k.want(http.StatusOK, nil, "POST", "/v1/webhooks/soc/"+action, "")
		if e := k.entry("webhook."+action, tocsin.AuditDone); e.Object != w.ID || !strings.Contains(string(e.After), want) || e.Before == nil {
			t.Errorf("%s: got %+v", action, e)
		}
		k.want(http.StatusOK, nil, "POST", "/v1/webhooks/soc/resume", "")
	}
	k.want(http.StatusOK, nil, "POST", "/v1/webhooks/soc/test", "")
	if e := k.entry("webhook.test", tocsin.AuditDone); e.Object != w.ID {
		t.Errorf("got %+v", e)
	}

	k.want(http.StatusAccepted, nil, "POST", "/v1/events", event("one", ""))
	id := k.deliver(w.ID, func(tocsin.Claimed) tocsin.Outcome {
		return tocsin.Outcome{State: tocsin.DeliveryDead, Reason: "422", Attempt: tocsin.Attempt{Outcome: "permanent"}}
	})
	k.want(http.StatusOK, nil, "POST", "/v1/deliveries/"+id+"/redeliver", "")
	if e := k.entry("delivery.redeliver", tocsin.AuditDone); e.Object != id || !strings.Contains(string(e.Before), `"dead"`) || !strings.Contains(string(e.After), `"ready"`) {
		t.Errorf("got %+v", e)
	}

	k.want(http.StatusNoContent, nil, "DELETE", "/v1/webhooks/soc", "")
	if e := k.entry("webhook.delete", tocsin.AuditDone); e.Object != w.ID || e.Before == nil || e.After != nil {
		t.Errorf("got %+v", e)
	}
}

// Everything but the events themselves and what is tried out comes through one
// mechanism; a route that forgot it would be found here.
func TestEveryRouteThatChangesHasAnAction(t *testing.T) {
	free := map[string]bool{
		"POST /v1/events": true, "POST /v1/webhooks/{id}/preview": true, "POST /v1/trials/match": true, "POST /v1/trials/preview": true,
	}
	for route, action := range api.Actions() {
		method, _, _ := strings.Cut(route, " ")
		if (method != "GET" && !free[route]) != (action != "") {
			t.Errorf("%s has the action %q", route, action)
		}
	}
}

func TestRefusedChangesAreAudited(t *testing.T) {
	k := newKit(t)
	k.create("soc", "")
	refusals := []struct {
		status               int
		method, path, body   string
		action, object, says string
	}{
		{http.StatusConflict, "POST", "/v1/webhooks", k.body("soc", ""), "webhook.create", "", "the name is taken"},
		{http.StatusUnprocessableEntity, "POST", "/v1/webhooks", k.body("x", `, "batch_size": 5000`), "webhook.create", "", "batch_size"},
		{http.StatusBadRequest, "POST", "/v1/webhooks", `{`, "webhook.create", "", "malformed"},
		{http.StatusNotFound, "DELETE", "/v1/webhooks/nobody", "", "webhook.delete", "", `no webhook has the id or name "nobody"`},
		{http.StatusNotFound, "POST", "/v1/deliveries/dlv_none/redeliver", "", "delivery.redeliver", "", "dlv_none"},
		{http.StatusUnprocessableEntity, "POST", "/v1/keys", `{"name": "x", "scopes": ["root"]}`, "key.create", "", "scopes"},
	}
	for _, r := range refusals {
		k.want(r.status, nil, r.method, r.path, r.body)
		if e := k.entry(r.action, tocsin.AuditRefused); !strings.Contains(e.Detail, r.says) || e.After != nil {
			t.Errorf("%s %s: got %+v, want something about %s", r.method, r.path, e, r.says)
		}
	}
}

func TestADryRunIsNotAudited(t *testing.T) {
	k := newKit(t)
	k.want(http.StatusOK, nil, "POST", "/v1/webhooks?dry_run=true", k.body("soc", ""))
	if got := k.audit("action=webhook.create"); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
	// Where nothing can be tried out, asking for that must not do it for real unseen.
	k.create("soc", "")
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "DELETE", "/v1/webhooks/soc?dry_run=true", "")
	k.want(http.StatusOK, nil, "GET", "/v1/webhooks/soc", "")
}

func TestWithoutItsEntryNoChangeIsMade(t *testing.T) {
	k := newKit(t)
	k.create("soc", "")
	k.store.breaks(errors.New("the audit log is full"))
	for _, call := range [][]string{
		{"POST", "/v1/webhooks", k.body("two", "")}, {"PATCH", "/v1/webhooks/soc", `{"batch_size": 7}`}, {"POST", "/v1/webhooks/soc/pause", ""},
		{"DELETE", "/v1/webhooks/soc", ""}, {"POST", "/v1/keys", `{"name": "x", "scopes": ["read"]}`}, {"POST", "/v1/webhooks/soc/test", ""},
	} {
		r := k.want(http.StatusServiceUnavailable, nil, call[0], call[1], call[2])
		if r.Header.Get("Retry-After") == "" || strings.Contains(string(r.body), "full") {
			t.Errorf("%s %s: got %v %s", call[0], call[1], r.Header, r.body)
		}
	}
	k.store.breaks(nil)
	var all struct{ Items []webhook }
	k.want(http.StatusOK, &all, "GET", "/v1/webhooks", "")
	if len(all.Items) != 1 || all.Items[0].State != tocsin.StateActive || all.Items[0].BatchSize != 20 {
		t.Errorf("got %+v, want everything as it was", all.Items)
	}
	if keys, err := k.store.ListKeys(t.Context()); err != nil || len(keys) != 1 {
		t.Errorf("got %v, %v, want the one key", keys, err)
	}
}

func TestSecretsAreInNoEntry(t *testing.T) {
	k := newKit(t)
	const canary = "CANARY5ecretCANARY5ecretCANARY5ecret"
	secret := `, "signing_secret": "whsec_` + strings.Repeat("QUJD", 8) + `", "headers": {"Authorization": "` + canary + `"}`
	hook := fmt.Sprintf(`{"name": "soc", "channel": "webhook", "config": {"url": %q %s}}`, k.receiver.URL+"/hook", secret)
	k.want(http.StatusCreated, nil, "POST", "/v1/webhooks", hook)
	k.want(http.StatusOK, nil, "PATCH", "/v1/webhooks/soc", `{"config": {"headers": {"X-Api-Key": "`+canary+`"}}}`)
	k.want(http.StatusUnprocessableEntity, nil, "PATCH", "/v1/webhooks/soc", `{"config": {"headers": "`+canary+`"}}`)
	k.want(http.StatusUnprocessableEntity, nil, "PATCH", "/v1/webhooks/soc", `{"config": "`+canary+`"}`)
	k.want(http.StatusBadRequest, nil, "PATCH", "/v1/webhooks/soc", canary)
	var made struct{ Key string }
	k.want(http.StatusCreated, &made, "POST", "/v1/keys", `{"name": "x", "scopes": ["read"]}`)
	k.refused(http.StatusUnauthorized, tocsin.CodeUnauthorized, "GET", "/v1/keys", "", "Authorization", "Bearer "+canary)
	raw := string(k.do("GET", "/v1/audit?limit=1000", "").body)
	for _, hidden := range []string{canary, "QUJDQUJD", made.Key, k.key} {
		if strings.Contains(raw, hidden) {
			t.Errorf("the audit log holds %s", hidden)
		}
	}
	if !strings.Contains(raw, tocsin.Redacted) || len(k.audit("")) != 7 {
		t.Errorf("got %s", raw)
	}
}

func TestOpenIsAnonymous(t *testing.T) {
	k := newKit(t, open)
	k.key = ""
	k.create("soc", "")
	if e := k.entry("webhook.create", tocsin.AuditDone); e.Actor != "anonymous" || e.Address != "127.0.0.1" {
		t.Errorf("got %+v", e)
	}
	k.refused(http.StatusForbidden, tocsin.CodeForbidden, "GET", "/v1/webhooks", "", "Host", "evil.example.com")
	if e := k.entry("api.refuse", tocsin.AuditRefused); !strings.Contains(e.Detail, "evil.example.com") {
		t.Errorf("got %+v", e)
	}
}

func TestThoseNotLetInAreAudited(t *testing.T) {
	k := newKit(t)
	root := k.key
	k.key = k.newKey("producer", "ingest")
	k.refused(http.StatusForbidden, tocsin.CodeForbidden, "DELETE", "/v1/webhooks/soc", "")
	k.key = "tk_nobody"
	k.refused(http.StatusUnauthorized, tocsin.CodeUnauthorized, "POST", "/v1/events", event("one", ""))
	k.key = root
	got := k.audit("action=api.refuse")
	if len(got) != 2 {
		t.Fatalf("got %+v", got)
	}
	if e := got[0]; e.Actor != "anonymous" || e.Name != "POST /v1/events" || e.Outcome != tocsin.AuditRefused || !strings.Contains(e.Detail, "not known") || e.Address == "" {
		t.Errorf("got %+v", e)
	}
	if e := got[1]; e.Actor != "key producer" || e.Name != "DELETE /v1/webhooks/{id}" || !strings.Contains(e.Detail, "this needs admin") {
		t.Errorf("got %+v", e)
	}
}

func TestRefusalsCannotFillTheStore(t *testing.T) {
	k := newKit(t)
	synctest.Test(t, func(t *testing.T) {
		log := &auditLog{}
		h := k.inBubble(t, log)
		for i := range 500 {
			from(h, fmt.Sprintf("192.0.2.%d:1", i%200), "")
		}
		if got := log.entries(); len(got) != 21 || got[20].Outcome != "" {
			t.Fatalf("got %d entries, the last %+v; want 20 and one that counts", len(got), got[len(got)-1])
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if e := log.entries()[20]; e.Outcome != tocsin.AuditRefused || !strings.HasPrefix(e.Detail, "480 further refusals") || e.Actor != "tocsin" {
			t.Errorf("got %+v", e)
		}
		// The next minute begins anew.
		from(h, "192.0.2.1:1", "")
		if got := log.entries(); len(got) != 22 || got[21].Address != "192.0.2.1" {
			t.Errorf("got %d entries", len(got))
		}
	})
}

func TestAuditIsForAdmins(t *testing.T) {
	k := newKit(t)
	k.create("soc", "")
	k.create("noc", "")
	var page struct {
		Items []tocsin.AuditEntry
		Next  string
	}
	k.want(http.StatusOK, &page, "GET", "/v1/audit?limit=1", "")
	if len(page.Items) != 1 || page.Items[0].Name != "noc" || page.Next == "" {
		t.Fatalf("got %+v", page)
	}
	k.want(http.StatusOK, &page, "GET", "/v1/audit?limit=1&cursor="+url.QueryEscape(page.Next), "")
	if len(page.Items) != 1 || page.Items[0].Name != "soc" {
		t.Errorf("got %+v", page)
	}
	for query, want := range map[string]int{
		"actor=key+root": 2, "actor=key+other": 0, "object=" + page.Items[0].Object: 1, "since=2100-01-01T00:00:00Z": 0, "until=2100-01-01T00:00:00Z": 2,
	} {
		if got := k.audit(query); len(got) != want {
			t.Errorf("%s: got %d entries, want %d", query, len(got), want)
		}
	}
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "GET", "/v1/audit?who=root", "")
	k.key = k.newKey("see", "read", "ingest")
	k.refused(http.StatusForbidden, tocsin.CodeForbidden, "GET", "/v1/audit", "")
	k.refused(http.StatusForbidden, tocsin.CodeForbidden, "GET", "/v1/keys", "")
}

// inBubble is the API over an audit log in memory, for tests with a clock of their own:
// a database has goroutines outside of the bubble.
func (k *kit) inBubble(t *testing.T, log tocsin.Store) http.Handler {
	h, err := api.New(api.Config{Store: log, Ingest: k.ingest, Webhooks: k.webhooks, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	return h
}

// auditLog is a store of which there is only the audit log.
type auditLog struct {
	tocsin.Store
	mu  sync.Mutex
	all []tocsin.AuditEntry
}

func (l *auditLog) BeginAudit(_ context.Context, e tocsin.AuditEntry) (tocsin.AuditEntry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.ID = fmt.Sprint("audit_", len(l.all))
	l.all = append(l.all, e)
	return e, nil
}

func (l *auditLog) EndAudit(_ context.Context, e tocsin.AuditEntry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.all {
		if l.all[i].ID == e.ID {
			l.all[i] = e
			return nil
		}
	}
	return tocsin.ErrNotFound
}

func (l *auditLog) entries() []tocsin.AuditEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]tocsin.AuditEntry(nil), l.all...)
}
