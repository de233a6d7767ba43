package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/integrations"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

// kit is the API over a real store, ingest and channels. Every exchange is held
// against openapi.yaml.
type kit struct {
	t         *testing.T
	url       string
	key       string // sent with every request unless ""
	store     *fragile
	handler   http.Handler
	ingest    *ingest.Ingest
	webhooks  *webhooks.Service
	conductor *conductor
	receiver  *httptest.Server
	status    atomic.Int32 // what the receiver answers
	logs      *logs
}

func newKit(t *testing.T, adjust ...func(*api.Config)) *kit {
	t.Helper()
	db, err := sqlite.Open(t.Context(), ":memory:", sqlite.Options{})
	must(t, err)
	t.Cleanup(func() { db.Close() })
	must(t, db.Migrate(t.Context()))
	k := &kit{t: t, store: &fragile{Store: db}, conductor: &conductor{}, logs: &logs{}}
	k.status.Store(http.StatusOK)
	k.receiver = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/slack/") {
			_, _ = io.WriteString(w, `{"ok":true,"user":"tocsin","team":"Acme","channel":{"name":"sec-alerts","is_member":true}}`)
			return
		}
		w.WriteHeader(int(k.status.Load()))
	}))
	t.Cleanup(k.receiver.Close)

	logger := slog.New(slog.NewTextHandler(k.logs, nil))
	channels := integrations.Channels(integrations.Options{
		AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Catalog: catalog.Default(),
	})
	ring, err := tocsin.ParseKeyRing(tocsin.GenerateKey("test"))
	must(t, err)
	registry := prometheus.NewRegistry()
	counted, err := ingest.NewMetrics(registry)
	must(t, err)
	in, err := ingest.New(ingest.Config{Store: k.store, Conductor: k.conductor, Catalog: catalog.Default(), Channels: channels, Logger: logger, Metrics: counted})
	must(t, err)
	t.Cleanup(in.Close)
	k.ingest = in
	k.webhooks, err = webhooks.New(webhooks.Config{
		Store: k.store, Conductor: k.conductor, KeyRing: ring, Channels: channels, Logger: logger,
		CheckFilter: func(expr string) error { _, err := ingest.CompileFilter(expr); return err },
		Matches:     in.Matches,
	})
	must(t, err)
	config := api.Config{Store: k.store, Ingest: in, Webhooks: k.webhooks, Logger: logger, Registry: registry}
	for _, f := range adjust {
		f(&config)
	}
	handler, err := api.New(config)
	must(t, err)
	k.handler = document().Handler(t, handler)
	server := httptest.NewServer(k.handler)
	t.Cleanup(server.Close)
	k.url = server.URL
	k.key = k.newKey("root", "admin")
	return k
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newKey stores a key and returns its text.
func (k *kit) newKey(name string, scopes ...string) string {
	k.t.Helper()
	text, hash := api.NewKey()
	_, err := k.store.CreateKey(k.t.Context(), tocsin.Key{ID: tocsin.NewID(tocsin.PrefixKey), Name: name, Scopes: scopes}, hash)
	must(k.t, err)
	return text
}

// reply is an answer that was read.
type reply struct {
	*http.Response
	body []byte
}

// do sends a request. header is pairs.
func (k *kit) do(method, path, body string, header ...string) reply {
	k.t.Helper()
	req, err := http.NewRequestWithContext(k.t.Context(), method, k.url+path, strings.NewReader(body))
	must(k.t, err)
	if k.key != "" {
		req.Header.Set("Authorization", "Bearer "+k.key)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	resp, err := http.DefaultClient.Do(req)
	must(k.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	must(k.t, err)
	return reply{resp, raw}
}

// want sends a request and reads the answer, which must have the status, into out.
func (k *kit) want(status int, out any, method, path, body string, header ...string) reply {
	k.t.Helper()
	r := k.do(method, path, body, header...)
	if r.StatusCode != status {
		k.t.Fatalf("%s %s: got %d %s, want %d", method, path, r.StatusCode, r.body, status)
	}
	if out != nil {
		if err := json.Unmarshal(r.body, out); err != nil {
			k.t.Fatalf("%s %s: %v in %s", method, path, err, r.body)
		}
	}
	return r
}

// problem is a problem document as a client reads it.
type problem struct {
	Type, Title, Detail string
	Status              int
	Code                tocsin.Code
	Errors              []tocsin.FieldError
	RequestID           string `json:"request_id"`
}

// refused sends a request that must be answered by a problem.
func (k *kit) refused(status int, code tocsin.Code, method, path, body string, header ...string) problem {
	k.t.Helper()
	var p problem
	r := k.want(status, &p, method, path, body, header...)
	if got := r.Header.Get("Content-Type"); got != "application/problem+json" {
		k.t.Errorf("%s %s: got Content-Type %q", method, path, got)
	}
	if p.Code != code || p.Status != status || p.Title == "" || p.Type == "" {
		k.t.Errorf("%s %s: got %+v, want code %s", method, path, p, code)
	}
	return p
}

// says returns what the problem says about a field, and fails when that is nothing.
func (p problem) says(t *testing.T, field string) string {
	t.Helper()
	for _, f := range p.Errors {
		if f.Field == field {
			return f.Message
		}
	}
	t.Errorf("got %+v, want something about %s", p, field)
	return ""
}

// webhook is a webhook as a client reads it.
type webhook struct {
	tocsin.Webhook
	tocsin.Activity
	Balance   *tocsin.Balance
	Generated map[string]string
	Changes   []webhooks.Change
}

// create makes a webhook for the kit's receiver; more is further members of the object.
func (k *kit) create(name, more string) webhook {
	k.t.Helper()
	var w webhook
	k.want(http.StatusCreated, &w, "POST", "/v1/webhooks", k.body(name, more))
	return w
}

func (k *kit) body(name, more string) string {
	return fmt.Sprintf(`{"name": %q, "channel": "webhook", "config": {"url": %q} %s}`, name, k.receiver.URL+"/hook", more)
}

// event writes an event of a type of our own.
func event(id, more string) string {
	return fmt.Sprintf(`{"id": %q, "source": "/collections/support", "type": "custom.trial", "severity": "high", "title": "Trial %s" %s}`, id, id, more)
}

// deliver plans and claims what the webhook is owed, and records the outcome.
func (k *kit) deliver(webhookID string, record func(tocsin.Claimed) tocsin.Outcome) string {
	k.t.Helper()
	ctx := k.t.Context()
	lease, err := k.store.Begin(ctx, webhookID)
	must(k.t, err)
	_, pending, err := k.store.Owed(ctx, lease.Fence, lease.Now.AddDate(0, 0, 1), 100)
	must(k.t, err)
	id := tocsin.NewID(tocsin.PrefixDelivery)
	claimed, err := k.store.Advance(ctx, lease.Fence, tocsin.Step{Plan: []tocsin.NewDelivery{{ID: id, Events: pending}}, Claim: id})
	must(k.t, err)
	o := record(claimed)
	o.DeliveryID, o.Attempt.Number = id, claimed.Attempt
	o.Attempt.StartedAt = claimed.At
	o.Attempt.FinishedAt = &claimed.At
	_, err = k.store.Advance(ctx, lease.Fence, tocsin.Step{Record: &o})
	must(k.t, err)
	return id
}

// fragile is a store that can be made to fail.
type fragile struct {
	tocsin.Store
	err      atomic.Pointer[error]
	lookups  atomic.Int32
	panicing atomic.Bool
}

func (f *fragile) fail() error {
	if f.panicing.Load() {
		panic("a fault in the store")
	}
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (f *fragile) breaks(err error) { f.err.Store(&err) }

func (f *fragile) BeginAudit(ctx context.Context, e tocsin.AuditEntry) (tocsin.AuditEntry, error) {
	if err := f.fail(); err != nil {
		return e, err
	}
	return f.Store.BeginAudit(ctx, e)
}

func (f *fragile) KeyByHash(ctx context.Context, hash []byte) (tocsin.Key, error) {
	f.lookups.Add(1)
	return f.Store.KeyByHash(ctx, hash)
}

func (f *fragile) Append(ctx context.Context, revision int64, batch []tocsin.NewEvent) (tocsin.AppendResult, error) {
	if err := f.fail(); err != nil {
		return tocsin.AppendResult{}, err
	}
	return f.Store.Append(ctx, revision, batch)
}

func (f *fragile) Balances(ctx context.Context) ([]tocsin.Balance, error) {
	if err := f.fail(); err != nil {
		return nil, err
	}
	return f.Store.Balances(ctx)
}

func (f *fragile) FindWebhooks(ctx context.Context, q tocsin.WebhookQuery) ([]tocsin.Webhook, string, error) {
	if err := f.fail(); err != nil {
		return nil, "", err
	}
	return f.Store.FindWebhooks(ctx, q)
}

func (f *fragile) WebhookFacts(ctx context.Context, ids ...string) (map[string]tocsin.WebhookFacts, error) {
	if err := f.fail(); err != nil {
		return nil, err
	}
	return f.Store.WebhookFacts(ctx, ids...)
}

func (f *fragile) Ping(ctx context.Context) error {
	if err := f.fail(); err != nil {
		return err
	}
	return f.Store.Ping(ctx)
}

// conductor notes what workflows are told.
type conductor struct {
	mu    sync.Mutex
	calls []string
}

func (c *conductor) Ring(_ context.Context, ids ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		c.calls = append(c.calls, "ring "+id)
	}
	return nil
}

func (c *conductor) Apply(_ context.Context, id, update string, version int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, fmt.Sprintf("%s %s %d", update, id, version))
	return nil
}

func (c *conductor) Replay(_ context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, "replay "+id)
	return nil
}

func (c *conductor) Incidents(_ context.Context, keys ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, "incidents "+strings.Join(keys, " "))
	return nil
}

func (c *conductor) has(call string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, got := range c.calls {
		if got == call {
			return true
		}
	}
	return false
}

// logs keeps what was logged.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
