package api_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
)

func TestEveryAnswerHasSecurityHeaders(t *testing.T) {
	k := newKit(t)
	for path, status := range map[string]int{
		"/v1/webhooks": 200, "/v1/webhooks/nobody": 404, "/nothing": 404, "//twice": 404, "/-/healthy": 200, "/metrics": 200, "/openapi.yaml": 200,
		"/.well-known/tocsin-keys": 200, "/v1/audit": 200, "/v1/webhooks?frob=1": 422,
	} {
		r := k.want(status, nil, "GET", path, "")
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: got %s %q, want %q", path, name, got, want)
			}
		}
	}
}

// A parameter that is not known may be meant to matter, as dry_run is: it is refused
// everywhere below /v1, also where there are none.
func TestUnknownParametersAreRefused(t *testing.T) {
	k := newKit(t)
	k.create("soc", "")
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", event("one", ""))
	for _, call := range [][]string{
		{"POST", "/v1/events"}, {"GET", "/v1/events/%2Fcollections%2Fsupport/one"}, {"GET", "/v1/events/%2Fcollections%2Fsupport/one/why"}, {"GET", "/v1/webhooks/soc"},
		{"GET", "/v1/webhooks/soc/preview"}, {"POST", "/v1/webhooks/soc/preview"}, {"GET", "/v1/alert-types"}, {"GET", "/v1/channels"}, {"GET", "/v1/webhooks"}, {"POST", "/v1/webhooks/soc/test"},
	} {
		k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, call[0], call[1]+"?dry_run_=true", event("two", "")).says(t, "dry_run_")
	}
	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "GET", "/v1/events/%2Fcollections%2Fsupport/two", "")
	k.want(http.StatusOK, nil, "GET", "/-/ready?from=balancer", "")
}

func TestNullIsNoObject(t *testing.T) {
	k := newKit(t)
	k.newKey("other", "read")
	for _, path := range []string{"/v1/keys/other/rotate", "/v1/mutes", "/v1/replays", "/v1/trials/match", "/v1/webhooks"} {
		p := k.refused(http.StatusBadRequest, tocsin.CodeMalformed, "POST", path, " null\n")
		if !strings.Contains(p.Detail, "null; want an object") {
			t.Errorf("%s: got %q", path, p.Detail)
		}
	}
}

// A decoder takes "Name" for "name"; a reader of the document would not, and which of two
// would count is nobody's guess.
func TestNamesOfFieldsAreExact(t *testing.T) {
	k := newKit(t)
	for path, body := range map[string]string{
		"/v1/keys": `{"name": "one", "Name": "two", "scopes": ["read"]}`, "/v1/trials/preview": `{"settings": {}, "chosen": [{"source": "a", "Name": "b", "id": "c"}]}`,
		"/v1/webhooks": `{"Name": "soc"}`, "/v1/mutes": `{"Name": "soc"}`, "/v1/events": `{"Name": "soc"}`,
	} {
		if got := k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", path, body).says(t, "Name"); !strings.Contains(got, "unknown") {
			t.Errorf("%s: got %q", path, got)
		}
	}
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", "/v1/trials/preview", `{"settings": {}, "chosen": [{"Source": "a", "id": "c"}]}`).says(t, "Source")
}

func TestThereIsNoCORS(t *testing.T) {
	for _, k := range []*kit{newKit(t), newKit(t, open)} {
		for _, call := range [][]string{{"OPTIONS", "/v1/webhooks"}, {"OPTIONS", "/v1/events"}, {"OPTIONS", "/nothing"}, {"GET", "/v1/webhooks"}, {"GET", "/.well-known/tocsin-keys"}} {
			r := k.do(call[0], call[1], "", "Origin", "https://evil.example.com", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization")
			for name := range r.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s %s: got %s", call[0], call[1], name)
				}
			}
			if call[0] == "OPTIONS" && r.StatusCode < 400 {
				t.Errorf("OPTIONS %s: got %d", call[1], r.StatusCode)
			}
		}
	}
}

func TestLongParametersAreRefused(t *testing.T) {
	k := newKit(t)
	long := strings.Repeat("x", 2049)
	p := k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "GET", "/v1/events?q="+long, "")
	if got := p.says(t, "q"); !strings.Contains(got, "2049 bytes long; at most 2048") || strings.Contains(got, "xxx") {
		t.Errorf("got %s", got)
	}
	p = k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "GET", "/v1/events?"+long+"=1", "")
	if len(p.Errors) != 1 || len(p.Errors[0].Field) > 110 {
		t.Errorf("got %+v", p)
	}
	k.want(http.StatusOK, nil, "GET", "/v1/events?q="+long[1:], "")
}

func TestBodiesAreBounded(t *testing.T) {
	k := newKit(t)
	for _, path := range []string{"/v1/webhooks", "/v1/mutes", "/v1/replays", "/v1/keys"} {
		k.refused(http.StatusRequestEntityTooLarge, tocsin.CodeTooLarge, "POST", path, `{"name": "`+strings.Repeat("x", 1<<20)+`"}`)
		k.refused(http.StatusUnsupportedMediaType, tocsin.CodeUnsupported, "POST", path, `{}`, "Content-Type", "text/plain")
	}
}

func TestLedgerOfOneWebhook(t *testing.T) {
	k := newKit(t)
	w := k.create("soc", "")
	k.create("noc", "")
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", event("one", ""))
	var got struct {
		Webhooks []tocsin.Balance
		Total    tocsin.Balance
	}
	k.want(http.StatusOK, &got, "GET", "/v1/ledger", "")
	if len(got.Webhooks) != 2 || got.Total.Accepted != 2 || got.Total.Pending != 2 {
		t.Errorf("got %+v", got)
	}
	for _, name := range []string{"soc", w.ID} {
		k.want(http.StatusOK, &got, "GET", "/v1/ledger?webhook="+name, "")
		if len(got.Webhooks) != 1 || got.Webhooks[0].WebhookID != w.ID || got.Total.Accepted != 1 {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	k.want(http.StatusNoContent, nil, "DELETE", "/v1/webhooks/soc", "")
	k.want(http.StatusOK, &got, "GET", "/v1/ledger?webhook="+w.ID, "")
	if len(got.Webhooks) != 1 || got.Total.Accepted != 1 {
		t.Errorf("deleted: got %+v", got)
	}
	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "GET", "/v1/ledger?webhook=nobody", "")
}

// ledgerOnly is a store of which there are only balances.
type ledgerOnly struct {
	tocsin.Store
	balances []tocsin.Balance
	err      error
	asked    int
}

func (l *ledgerOnly) Balances(context.Context) ([]tocsin.Balance, error) {
	l.asked++
	return l.balances, l.err
}

func (l *ledgerOnly) Backlog(context.Context, int) ([]tocsin.Backlog, tocsin.BacklogTotal, error) {
	return nil, tocsin.BacklogTotal{}, l.err
}

func (l *ledgerOnly) ListWebhooks(context.Context) (int64, []tocsin.Webhook, error) {
	return 0, nil, l.err
}

func scrape(t *testing.T, k *kit, store tocsin.Store) func() string {
	h, err := api.New(api.Config{Store: store, Ingest: k.ingest, Webhooks: k.webhooks, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	return func() string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Body.String()
	}
}

func TestTheLedgersMetrics(t *testing.T) {
	k := newKit(t)
	store := &ledgerOnly{balances: []tocsin.Balance{
		{WebhookID: "a", Accepted: 10, Delivered: 4, Pending: 3, InFlight: 1, Dead: 1, Suppressed: 1},
		{WebhookID: "b", Accepted: 5, Delivered: 4},             // one too few
		{WebhookID: "c", Accepted: 5, Delivered: 4, Pending: 2}, // one too many
	}}
	metrics := scrape(t, k, store)
	got := metrics()
	for _, want := range []string{
		"\ntocsin_ledger_difference 2\n", `tocsin_ledger_events{bucket="accepted"} 20`, `tocsin_ledger_events{bucket="delivered"} 12`,
		`tocsin_ledger_events{bucket="pending"} 5`, `tocsin_ledger_events{bucket="in_flight"} 1`, `tocsin_ledger_events{bucket="dead"} 1`,
		`tocsin_ledger_events{bucket="suppressed"} 1`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	for range 5 {
		metrics()
	}
	if store.asked != 1 {
		t.Errorf("the store was asked %d times by scrapes in a moment, want once", store.asked)
	}
}

func TestWithoutTheStoreTheLedgersMetricsAreAbsent(t *testing.T) {
	k := newKit(t)
	store := &ledgerOnly{err: tocsin.Errorf(tocsin.CodeUnavailable, "away")}
	metrics := scrape(t, k, store)
	for range 2 {
		if got := metrics(); strings.Contains(got, "tocsin_ledger") || strings.Contains(got, "tocsin_webhook") {
			t.Errorf("got %s", got)
		}
	}
	if store.asked != 1 {
		t.Errorf("a store that is away was asked %d times", store.asked)
	}
}

func TestKeysByTheAPI(t *testing.T) {
	k := newKit(t)
	root := k.key
	var made struct {
		tocsin.Key
		Text string `json:"key"`
	}
	k.want(http.StatusCreated, &made, "POST", "/v1/keys", `{"name": "producer", "scopes": ["ingest", "read"], "expires": "90d"}`)
	if !strings.HasPrefix(made.Text, "tk_") || made.ExpiresAt == nil || time.Until(*made.ExpiresAt) < 89*24*time.Hour {
		t.Errorf("got %+v", made)
	}
	if e := k.entry("key.create", tocsin.AuditDone); e.Object != made.ID || e.Name != "producer" || strings.Contains(string(e.After), made.Text) {
		t.Errorf("got %+v", e)
	}
	old := made.Text
	k.want(http.StatusOK, nil, "GET", "/v1/channels", "", "Authorization", "Bearer "+old)

	k.want(http.StatusOK, &made, "POST", "/v1/keys/producer/rotate", `{"overlap": "1h", "expires": "2100-01-01T00:00:00Z"}`)
	if made.Text == old || made.OldExpiresAt == nil || made.ExpiresAt.Year() != 2100 {
		t.Errorf("got %+v", made)
	}
	for _, text := range []string{old, made.Text} {
		k.want(http.StatusOK, nil, "GET", "/v1/channels", "", "Authorization", "Bearer "+text)
	}
	older := made.Text
	made.OldExpiresAt = nil
	k.want(http.StatusOK, &made, "POST", "/v1/keys/"+made.ID+"/rotate", `{"overlap": "0s"}`)
	if made.OldExpiresAt != nil {
		t.Errorf("got %+v", made)
	}
	for _, text := range []string{old, older} {
		k.refused(http.StatusUnauthorized, tocsin.CodeUnauthorized, "GET", "/v1/channels", "", "Authorization", "Bearer "+text)
	}
	if e := k.entry("key.rotate", tocsin.AuditDone); e.Object != made.ID || e.Before == nil || e.After == nil {
		t.Errorf("got %+v", e)
	}

	var page struct{ Items []tocsin.Key }
	r := k.want(http.StatusOK, &page, "GET", "/v1/keys", "")
	if len(page.Items) != 2 || strings.Contains(string(r.body), "tk_") {
		t.Errorf("got %s", r.body)
	}
	k.want(http.StatusNoContent, nil, "DELETE", "/v1/keys/producer", "")
	k.refused(http.StatusUnauthorized, tocsin.CodeUnauthorized, "GET", "/v1/channels", "", "Authorization", "Bearer "+made.Text)
	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "DELETE", "/v1/keys/producer", "")
	k.refused(http.StatusConflict, tocsin.CodeConflict, "POST", "/v1/keys", `{"name": "root", "scopes": ["read"]}`)
	for field, body := range map[string]string{
		"scopes": `{"name": "x", "scopes": ["everything"]}`, "name": `{"name": "", "scopes": ["read"]}`, "expires": `{"name": "x", "scopes": ["read"], "expires": "soon"}`,
		"scope": `{"name": "x", "scope": ["read"]}`,
	} {
		k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", "/v1/keys", body).says(t, field)
	}
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", "/v1/keys", `{"name": 5}`).says(t, "name")
	k.refused(http.StatusBadRequest, tocsin.CodeMalformed, "POST", "/v1/keys", `{"name": "x"} {}`)

	// Its own key, which is said.
	other := k.newKey("spare", "admin")
	k.want(http.StatusNoContent, nil, "DELETE", "/v1/keys/root", "")
	k.refused(http.StatusUnauthorized, tocsin.CodeUnauthorized, "GET", "/v1/keys", "", "Authorization", "Bearer "+root)
	k.key = other
	if e := k.entry("key.delete", tocsin.AuditDone); e.Actor != "key root" || e.Detail != "its own key" {
		t.Errorf("got %+v", e)
	}
}

func TestWhoFailsBecauseTheStoreIsAwayIsNotCounted(t *testing.T) {
	k := newKit(t)
	store := &keyless{Store: k.store}
	h, err := api.New(api.Config{Store: store, Ingest: k.ingest, Webhooks: k.webhooks, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	for range 20 {
		wantFrom(t, http.StatusServiceUnavailable, h, "192.0.2.1:1", k.key)
	}
	if got := k.audit("action=api.refuse"); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
}

// keyless is a store that cannot say which keys there are.
type keyless struct{ tocsin.Store }

func (keyless) KeyByHash(context.Context, []byte) (tocsin.Key, error) {
	return tocsin.Key{}, tocsin.Errorf(tocsin.CodeUnavailable, "%w", errors.New("away"))
}
