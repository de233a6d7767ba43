package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/app"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
)

// start runs an app on a store of its own, with a Temporal that is away, until the
// test ends.
func start(t *testing.T, cfg app.Config) *app.App {
	t.Helper()
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	t.Setenv("TEMPORAL_CONFIG_FILE", "")
	if cfg.Store == nil {
		cfg.Store = openStore(t)
	}
	cfg.SecretKey = tocsin.NewSecret(tocsin.GenerateKey("k"))
	cfg.Listen = "127.0.0.1:0"
	cfg.Logger = slog.New(slog.NewTextHandler(testWriter{t}, nil))
	a, err := app.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	return a
}

func openStore(t *testing.T) tocsin.Store {
	t.Helper()
	db, err := sqlite.Open(t.Context(), ":memory:", sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func call(t *testing.T, method, url, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestAcceptsEventsWhileTemporalIsAway(t *testing.T) {
	store := openStore(t)
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	a := start(t, app.Config{Roles: app.Serve, Open: true, Store: store, EgressAllow: loopback})
	base := "http://" + a.Addr()
	hook := `{"name": "soc", "channel": "webhook", "config": {"url": "http://127.0.0.1:9/hook"}}`
	if status, answer := call(t, "POST", base+"/v1/webhooks", hook); status != http.StatusCreated {
		t.Fatalf("creating a webhook: %d %s", status, answer)
	}
	status, answer := call(t, "POST", base+"/v1/events", `{"id": "1", "source": "s", "type": "custom.x", "severity": "low"}`)
	if status != http.StatusAccepted {
		t.Fatalf("submitting: %d %s", status, answer)
	}
	balances, err := store.Balances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(balances) != 1 || balances[0].Pending != 1 {
		t.Errorf("balances are %+v, want one event pending", balances)
	}
}

func TestExtraHandlersBesideTheAPI(t *testing.T) {
	inbox := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "inbox "+r.URL.Path) })
	a := start(t, app.Config{Roles: app.Serve, Open: true, Handlers: map[string]http.Handler{"/inbox/": inbox}})
	if _, answer := call(t, "GET", "http://"+a.Addr()+"/inbox/1", ""); answer != "inbox /inbox/1" {
		t.Errorf("the handler answered %q", answer)
	}
	if status, answer := call(t, "GET", "http://"+a.Addr()+"/v1/events/%2Fhosts%2F%2Fa/1", ""); status != http.StatusNotFound || !strings.Contains(answer, `/hosts//a`) {
		t.Errorf("the API behind it answered %d %s, want 404 about the source /hosts//a", status, answer)
	}
	for path, method := range map[string]string{"//v1/events": "POST", "/v1/../v1/ledger": "GET"} {
		if status, answer := call(t, method, "http://"+a.Addr()+path, ""); status != http.StatusNotFound || !strings.Contains(answer, "urn:tocsin:problem:not_found") {
			t.Errorf("%s %s answers %d %s, want 404 and no redirect", method, path, status, answer)
		}
	}
}

func TestKeysAreAskedForUnlessOpen(t *testing.T) {
	a := start(t, app.Config{Roles: app.Serve})
	if status, _ := call(t, "GET", "http://"+a.Addr()+"/v1/webhooks", ""); status != http.StatusUnauthorized {
		t.Errorf("without a key: %d, want 401", status)
	}
}

func TestWorkerWaitsForTemporal(t *testing.T) {
	a := start(t, app.Config{Roles: app.Work, MetricsListen: "127.0.0.1:0"})
	if a.Addr() != "" {
		t.Errorf("a worker listens for the API at %s", a.Addr())
	}
	base := "http://" + a.MetricsAddr()
	if status, answer := call(t, "GET", base+"/-/healthy", ""); status != http.StatusOK {
		t.Errorf("healthy: %d %s", status, answer)
	}
	status, answer := call(t, "GET", base+"/-/ready", "")
	var got struct{ Status string }
	if err := json.Unmarshal([]byte(answer), &got); err != nil || status != http.StatusServiceUnavailable || got.Status != "waiting for Temporal" {
		t.Errorf("ready: %d %s, want 503 waiting for Temporal", status, answer)
	}
	if status, answer := call(t, "GET", base+"/metrics", ""); status != http.StatusOK || !strings.Contains(answer, "go_goroutines") {
		t.Errorf("metrics: %d", status)
	}
}

func TestStartNeedsAMigratedStore(t *testing.T) {
	db, err := sqlite.Open(t.Context(), ":memory:", sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	cfg := app.Config{Roles: app.Serve, Store: db, Listen: "127.0.0.1:0", SecretKey: tocsin.NewSecret(tocsin.GenerateKey("k"))}
	a, err := app.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "tocsin migrate") {
		t.Errorf("got %v, want an error that names tocsin migrate", err)
	}
	cfg.Migrate = true
	start(t, cfg)
}

// closing notes the order in which a store is closed.
type closing struct {
	tocsin.Store
	closed func()
}

func (c closing) Close() error {
	c.closed()
	return c.Store.Close()
}

func TestStartThatFailsLeavesNothingOpen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	var once sync.Once
	closed := false
	store := closing{openStore(t), func() { once.Do(func() { closed = true }) }}
	a, err := app.New(app.Config{
		Roles: app.Serve | app.Work, Store: store, SecretKey: tocsin.NewSecret(tocsin.GenerateKey("k")),
		Listen: "127.0.0.1:0", MetricsListen: taken.Addr().String(), Open: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	err = a.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "listening for metrics") {
		t.Fatalf("got %v, want that the address is taken", err)
	}
	if _, err := net.Dial("tcp", a.Addr()); err == nil {
		t.Error("the API still listens")
	}
	if closed {
		t.Error("a given store was closed; it is its owner's to close")
	}
}

func TestRunStopsWhenItsContextEnds(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	ctx, cancel := context.WithCancel(t.Context())
	listening := make(chan struct{})
	log := slog.New(slog.NewTextHandler(onLine{"listening", listening, new(sync.Once)}, nil))
	cfg := app.Config{
		Roles: app.Serve | app.Work, Store: openStore(t), SecretKey: tocsin.NewSecret(tocsin.GenerateKey("k")),
		Listen: "127.0.0.1:0", Open: true, Logger: log,
	}
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx, cfg) }()
	<-listening
	cancel()
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// onLine closes a channel when a word is logged.
type onLine struct {
	word string
	seen chan struct{}
	once *sync.Once
}

func (o onLine) Write(b []byte) (int, error) {
	if strings.Contains(string(b), o.word) {
		o.once.Do(func() { close(o.seen) })
	}
	return len(b), nil
}

func TestMigratingAtTheStartIsWrittenDownWhenItChangesSomething(t *testing.T) {
	db, err := sqlite.Open(t.Context(), ":memory:", sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for range 2 {
		a := start(t, app.Config{Roles: app.Serve, Store: db, Migrate: true, Open: true})
		if err := a.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	entries, _, err := db.AuditEntries(t.Context(), tocsin.AuditQuery{Page: tocsin.Page{Limit: 10}, Action: "store.migrate"})
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Actor != "tocsin" || entries[0].Outcome != tocsin.AuditDone || string(entries[0].Before) != `{"schema":0}` {
		t.Errorf("got %+v", entries)
	}
}
