package e2e_test

import (
	"log/slog"
	"net/http"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
	"github.com/tocsin-alerts/tocsin/app"
	"github.com/tocsin-alerts/tocsin/devserver/devtest"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
)

// serveWithKeys runs what `tocsin serve` runs, on SQLite, with Temporal away: pages and
// settings are there all the same. It returns a key of scope admin and one of scope read.
func serveWithKeys(t *testing.T) (admin, read devtest.Client) {
	t.Helper()
	t.Setenv("TEMPORAL_ADDRESS", devtest.FreeAddr(t))
	store, err := sqlite.Open(t.Context(), ":memory:", sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	a, err := app.New(app.Config{
		Roles: app.Serve, Store: store, Migrate: true, SecretKey: tocsin.NewSecret(tocsin.GenerateKey("test")),
		Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	key := func(scope string) devtest.Client {
		text, hash := api.NewKey()
		if _, err := store.CreateKey(t.Context(), tocsin.Key{ID: tocsin.NewID(tocsin.PrefixKey), Name: scope + "er", Scopes: []string{scope}}, hash); err != nil {
			t.Fatal(err)
		}
		return devtest.NewClient(t, "http://"+a.Addr(), text)
	}
	return key("admin"), key("read")
}

// Where keys are asked for, one signs in with one: a wrong one is refused, one that may
// only read changes nothing, and a key that was taken away ends what it began.
func TestConsoleSignIn(t *testing.T) {
	browser := startBrowser(t)
	admin, read := serveWithKeys(t)
	webhook := admin.MustCreate(map[string]any{"name": "orders", "channel": "webhook", "config": map[string]any{"url": "https://example.com/hook"}})
	b := openTab(t, browser, admin.URL)

	// The way there leads past the sign-in, and back.
	b.open("/console/webhooks/" + webhook.ID)
	b.see("Sign in", "API key")
	for _, theme := range []string{"light", "dark"} {
		b.theme(theme)
		b.mustBeAccessible("sign-in, "+theme, everyRule)
	}
	b.signIn("tk_" + "wrong")
	b.see("key")
	b.mustBeAccessible("a sign-in that was refused", everyRule)
	b.mustBeClean("a wrong key", "401")
	b.signIn(read.Key)
	b.see("orders", "reader", "may read, not change")
	if at, want := b.path(), "/console/webhooks/"+webhook.ID; at != want {
		t.Errorf("signing in leads to %s, want %s", at, want)
	}

	// A key of scope read sees everything and no way to change it.
	for _, button := range []string{"Pause", "Run now", "Send a test", "Check", "Delete this webhook"} {
		if b.has("button", button) {
			t.Errorf("a key of scope read gets the button %q", button)
		}
	}
	for _, link := range []string{"Edit", "Keys", "Audit log"} {
		if b.has("link", link) {
			t.Errorf("a key of scope read gets the link %q", link)
		}
	}
	b.mustBeClean("a key of scope read")
	for _, path := range []string{"webhooks/new", "keys", "audit"} {
		b.open("/console/" + path)
		b.see("403")
		b.mustBeClean("what takes another key", "403")
	}

	// Nobody is signed in any more.
	b.click("button", "Sign out")
	b.see("Sign in", "API key")
	b.open("/console/webhooks")
	b.see("Sign in", "API key")
	b.lacks("orders")

	// With another key there is more; it ends when the key does.
	b.signIn(admin.Key)
	b.see("orders", "Audit log")
	b.click("link", "orders")
	b.click("button", "Pause")
	b.see("paused")
	var keys struct{ Items []tocsin.Key }
	admin.Must(http.MethodGet, "/v1/keys", nil, &keys)
	for _, k := range keys.Items {
		if k.Name == "adminer" {
			admin.Must(http.MethodDelete, "/v1/keys/"+k.ID, nil, nil)
		}
	}
	devtest.Until(t, "the session to be over", func() error {
		b.open("/console/")
		if !b.has("button", "Sign in") {
			return errNotYet
		}
		return nil
	})
	b.see("Your session is over")
	b.mustBeClean("signing in and out")
}

func (b *tab) signIn(key string) {
	b.t.Helper()
	b.fill("API key", key)
	b.click("button", "Sign in")
}
