package console_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/console"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/integrations"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

// kit is the console over the real API, store, ingest and channels, and a browser that is
// signed in with a key of scope admin.
type kit struct {
	t       *testing.T
	url     string
	client  *http.Client // keeps cookies, follows no redirects
	store   *fragile
	api     http.Handler
	ring    *tocsin.KeyRing
	logs    *logs
	sink    *httptest.Server // where webhooks deliver to
	rootKey string
	before  func(*http.Request) // sees what the console asks the API, before that does
}

func newKit(t *testing.T, adjust ...func(*console.Config, *api.Config)) *kit {
	t.Helper()
	db, err := sqlite.Open(t.Context(), ":memory:", sqlite.Options{})
	must(t, err)
	t.Cleanup(func() { db.Close() })
	must(t, db.Migrate(t.Context()))
	k := &kit{t: t, store: &fragile{Store: db}, logs: &logs{}}
	k.sink = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(k.sink.Close)
	k.ring, err = tocsin.ParseKeyRing(tocsin.GenerateKey("test"))
	must(t, err)

	logger := slog.New(slog.NewTextHandler(k.logs, nil))
	channels := integrations.Channels(integrations.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Catalog: catalog.Default()})
	in, err := ingest.New(ingest.Config{Store: k.store, Conductor: idle{}, Catalog: catalog.Default(), Channels: channels, Logger: logger})
	must(t, err)
	t.Cleanup(in.Close)
	service, err := webhooks.New(webhooks.Config{
		Store: k.store, Conductor: idle{}, KeyRing: k.ring, Channels: channels, Logger: logger, Matches: in.Matches,
		CheckFilter: func(expr string) error { _, err := ingest.CompileFilter(expr); return err },
	})
	must(t, err)
	pages := console.Config{Ring: k.ring, Version: "test", Logger: logger}
	config := api.Config{Store: k.store, Ingest: in, Webhooks: service, Logger: logger}
	for _, f := range adjust {
		f(&pages, &config)
	}
	k.api, err = api.New(config)
	must(t, err)
	pages.API = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if k.before != nil {
			k.before(r)
		}
		k.api.ServeHTTP(w, r)
	})
	handler, err := console.New(pages)
	must(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	k.url, k.client = server.URL, browser(t)
	k.rootKey = k.newKey("root", "admin")
	if !pages.Open {
		k.signIn(k.rootKey)
	}
	return k
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func browser(t *testing.T) *http.Client {
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// newKey stores a key and returns its text.
func (k *kit) newKey(name string, scopes ...string) string {
	k.t.Helper()
	text, hash := api.NewKey()
	_, err := k.store.CreateKey(k.t.Context(), tocsin.Key{ID: tocsin.NewID(tocsin.PrefixKey), Name: name, Scopes: scopes}, hash)
	must(k.t, err)
	return text
}

// page is an answer that was read.
type page struct {
	*http.Response
	t    *testing.T
	text string
}

func (p page) has(all ...string) page {
	p.t.Helper()
	for _, s := range all {
		if !strings.Contains(p.text, s) {
			p.t.Errorf("%s %s: got no %q in\n%s", p.Request.Method, p.Request.URL, s, p.text)
		}
	}
	return p
}

func (p page) lacks(all ...string) page {
	p.t.Helper()
	for _, s := range all {
		if strings.Contains(p.text, s) {
			p.t.Errorf("%s %s: got %q", p.Request.Method, p.Request.URL, s)
		}
	}
	return p
}

// do sends a request as the browser would. header is pairs.
func (k *kit) do(method, path string, form url.Values, header ...string) page {
	k.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(k.t.Context(), method, k.url+path, body)
	must(k.t, err)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := k.client.Do(r)
	must(k.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	must(k.t, err)
	return page{resp, k.t, string(raw)}
}

// get loads a page, which must answer with the status and be a whole one.
func (k *kit) get(status int, path string, header ...string) page {
	k.t.Helper()
	p := k.do("GET", path, nil, header...)
	if p.StatusCode != status {
		k.t.Fatalf("GET %s: got %d %s %s, want %d", path, p.StatusCode, p.Header.Get("Location"), p.text, status)
	}
	return p
}

// post sends a form with the token that the overview's forms carry.
func (k *kit) post(status int, path string, pairs ...string) page {
	k.t.Helper()
	form := url.Values{"csrf": {k.token()}}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	p := k.do("POST", path, form, "Sec-Fetch-Site", "same-origin")
	if p.StatusCode != status {
		k.t.Fatalf("POST %s: got %d %s, want %d", path, p.StatusCode, p.text, status)
	}
	return p
}

// location is where an answer leads.
func (p page) location(want string) page {
	p.t.Helper()
	if got := p.Header.Get("Location"); got != want {
		p.t.Errorf("%s %s: got Location %q, want %q", p.Request.Method, p.Request.URL, got, want)
	}
	return p
}

var tokenField = regexp.MustCompile(`name="csrf" value="([A-Z0-9]+)"`)

func (k *kit) token() string {
	k.t.Helper()
	found := tokenField.FindStringSubmatch(k.get(http.StatusOK, "/console/").text)
	if found == nil {
		k.t.Fatal("no token in the page")
	}
	return found[1]
}

// signIn forgets the session there is and makes one with a key.
func (k *kit) signIn(key string) {
	k.t.Helper()
	k.client = browser(k.t)
	p := k.do("POST", "/console/sign-in", url.Values{"key": {key}}, "Sec-Fetch-Site", "same-origin")
	if p.StatusCode != http.StatusSeeOther {
		k.t.Fatalf("signing in: got %d %s", p.StatusCode, p.text)
	}
}

// ask sends a request to the API past the console, with the key of scope admin.
func (k *kit) ask(status int, method, path, body string) string {
	k.t.Helper()
	r := httptest.NewRequestWithContext(k.t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+k.rootKey)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	k.api.ServeHTTP(w, r)
	if w.Code != status {
		k.t.Fatalf("%s %s: got %d %s, want %d", method, path, w.Code, w.Body, status)
	}
	return w.Body.String()
}

// create makes a webhook by the API; more is further members of the object.
func (k *kit) create(name, more string) {
	k.t.Helper()
	k.ask(http.StatusCreated, "POST", "/v1/webhooks", fmt.Sprintf(`{"name": %q, "channel": "webhook", "config": {"url": %q} %s}`, name, k.sink.URL, more))
}

// deliver plans and claims what the webhook is owed, and records the outcome.
func (k *kit) deliver(webhookID, outcome string, state tocsin.DeliveryState) string {
	k.t.Helper()
	ctx := k.t.Context()
	lease, err := k.store.Begin(ctx, webhookID)
	must(k.t, err)
	_, pending, err := k.store.Owed(ctx, lease.Fence, lease.Now.AddDate(0, 0, 1), 100)
	must(k.t, err)
	id := tocsin.NewID(tocsin.PrefixDelivery)
	claimed, err := k.store.Advance(ctx, lease.Fence, tocsin.Step{Plan: []tocsin.NewDelivery{{ID: id, Events: pending}}, Claim: id})
	must(k.t, err)
	o := tocsin.Outcome{DeliveryID: id, State: state, Attempt: tocsin.Attempt{Number: claimed.Attempt, StartedAt: claimed.At, FinishedAt: &claimed.At, Outcome: outcome}}
	_, err = k.store.Advance(ctx, lease.Fence, tocsin.Step{Record: &o})
	must(k.t, err)
	return id
}

// fragile is a store that can be made to fail.
type fragile struct {
	tocsin.Store
	err atomic.Pointer[error]
	// extra is what the first balance has too much of.
	extra atomic.Int64
}

// skew makes the ledger not add up.
func (f *fragile) skew(by int64) { f.extra.Store(by) }

func (f *fragile) Balances(ctx context.Context) ([]tocsin.Balance, error) {
	if err := f.err.Load(); err != nil {
		return nil, *err
	}
	all, err := f.Store.Balances(ctx)
	if len(all) > 0 {
		all[0].Accepted += f.extra.Load()
	}
	return all, err
}

// idle tells no workflow anything.
type idle struct{}

func (idle) Ring(context.Context, ...string) error              { return nil }
func (idle) Apply(context.Context, string, string, int64) error { return nil }
func (idle) Replay(context.Context, string) error               { return nil }
func (idle) Incidents(context.Context, ...string) error         { return nil }

// logs keeps what was logged.
type logs struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
