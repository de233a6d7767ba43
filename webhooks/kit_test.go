package webhooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/integrations"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

// kit is a service over a real store and real channels, which may reach loopback.
type kit struct {
	*webhooks.Service
	store     tocsin.Store
	conductor *conductor
	receiver  *receiver
}

func newKit(t *testing.T, adjust ...func(*webhooks.Config)) *kit {
	t.Helper()
	store, err := sqlite.Open(t.Context(), ":memory:", sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	ring, err := tocsin.ParseKeyRing(tocsin.GenerateKey("test"))
	if err != nil {
		t.Fatal(err)
	}
	k := &kit{store: store, conductor: &conductor{}, receiver: newReceiver(t)}
	in, err := ingest.New(ingest.Config{Store: store, Conductor: k.conductor})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	config := webhooks.Config{
		Store: store, Conductor: k.conductor, KeyRing: ring, PublicURL: "https://tocsin.example.com",
		Channels: integrations.Channels(integrations.Options{
			AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Catalog: catalog.Default(),
		}),
		CheckFilter: func(expr string) error { _, err := ingest.CompileFilter(expr); return err },
		Matches:     in.Matches,
		Logger:      slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for _, f := range adjust {
		f(&config)
	}
	if k.Service, err = webhooks.New(config); err != nil {
		t.Fatal(err)
	}
	return k
}

// conductor notes what workflows are told.
type conductor struct {
	mu    sync.Mutex
	calls []string
	err   error
	told  func(ctx context.Context, call string) // while a call is under way
}

func (c *conductor) Ring(ctx context.Context, ids ...string) error {
	return c.note(ctx, fmt.Sprintf("ring %v", ids))
}

func (c *conductor) Apply(ctx context.Context, id, update string, version int64) error {
	return c.note(ctx, fmt.Sprintf("%s %s %d", update, id, version))
}

func (c *conductor) Replay(ctx context.Context, id string) error {
	return c.note(ctx, "replay "+id)
}

func (c *conductor) Incidents(ctx context.Context, keys ...string) error {
	return c.note(ctx, "incidents "+strings.Join(keys, " "))
}

func (c *conductor) note(ctx context.Context, call string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, call)
	if c.told != nil {
		c.told(ctx, call)
	}
	return c.err
}

// take returns what was told since the last take.
func (c *conductor) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := c.calls
	c.calls = nil
	return calls
}

// receiver answers with a status and keeps what it got.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	bodies []string
	heads  []http.Header
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{status: http.StatusOK}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bodies, r.heads = append(r.bodies, string(body)), append(r.heads, req.Header)
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) got() ([]string, []http.Header) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bodies), slices.Clone(r.heads)
}

// body writes a webhook for the kit's receiver; more replaces and adds settings.
func (k *kit) body(name string, more map[string]any) json.RawMessage {
	m := map[string]any{"name": name, "channel": "webhook", "config": map[string]any{"url": k.receiver.URL + "/hook"}}
	for key, v := range more {
		m[key] = v
	}
	raw, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return raw
}

func (k *kit) mustCreate(t *testing.T, name string, more map[string]any) webhooks.Created {
	t.Helper()
	created, err := k.Create(t.Context(), k.body(name, more), false)
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// owe commits an event that the webhook is owed.
func (k *kit) owe(t *testing.T, webhookID, eventID string) {
	t.Helper()
	revision, _, err := k.store.ListWebhooks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e := example(t, "agent.discovered")
	e.ID = eventID
	_, err = k.store.Append(t.Context(), revision, []tocsin.NewEvent{{
		Event: e, Fingerprint: []byte(eventID), Owed: []tocsin.Obligation{{WebhookID: webhookID}},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// example is a type's example, complete as ingest would make it.
func example(t *testing.T, alertType string) tocsin.Event {
	t.Helper()
	at, ok := catalog.Default().Lookup(alertType)
	if !ok {
		t.Fatalf("no alert type %s", alertType)
	}
	var e tocsin.Event
	if err := json.Unmarshal(at.Example, &e); err != nil {
		t.Fatal(err)
	}
	e.Raw, e.DedupKey, e.Status = at.Example, "incident", tocsin.Firing
	if e.Severity == tocsin.SeverityNone {
		e.Severity = at.DefaultSeverity
	}
	return e
}

func (k *kit) balance(t *testing.T, webhookID string) tocsin.Balance {
	t.Helper()
	all, err := k.store.Balances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		if b.WebhookID == webhookID {
			return b
		}
	}
	return tocsin.Balance{}
}

// fields returns an error's fields as "field: message", after checking its code.
func fields(t *testing.T, err error, code tocsin.Code) map[string]string {
	t.Helper()
	if got := tocsin.CodeOf(err); got != code {
		t.Fatalf("got code %q (%v), want %q", got, err, code)
	}
	var e *tocsin.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *tocsin.Error", err)
	}
	list := map[string]string{}
	for _, f := range e.Fields {
		list[f.Field] = f.Message
	}
	return list
}
