package console

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// told is a context that says whom a request is made for.
type told struct{}

// consoleOf is a console whose API answers everybody whom it is told about.
func consoleOf(t *testing.T) *Console {
	t.Helper()
	ring, err := tocsin.ParseKeyRing(tocsin.GenerateKey("test"))
	if err != nil {
		t.Fatal(err)
	}
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, ok := r.Context().Value(told{}).(string)
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			name = `", "code": "unauthorized`
		}
		_, _ = w.Write([]byte(`{"actor": "user ` + name + `", "scopes": ["read"]}`))
	})
	as := func(ctx context.Context, user string, _ []string) context.Context {
		return context.WithValue(ctx, told{}, user)
	}
	c, err := New(Config{API: api, Ring: ring, As: as, PublicURL: "https://tocsin.example.com", OIDC: &OIDC{Issuer: "https://login.example.com", ClientID: "tocsin", Read: []string{"soc"}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// visit sends a request with a session that ends at until.
func visit(t *testing.T, c *Console, method, path string, until time.Time, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	kept := httptest.NewRecorder()
	c.sessions.put(kept, sessionCookie, session{User: "ann", Issuer: "https://login.example.com", Values: []string{"soc"}, Token: "T", Until: until}, sessionLife)
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(""))
	for _, cookie := range kept.Result().Cookies() {
		if !cookie.Secure {
			t.Errorf("the cookie %s is not Secure", cookie.Name)
		}
		r.AddCookie(cookie)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

func TestAProviderIsAskedAgainWhenItsSessionIsOver(t *testing.T) {
	c := consoleOf(t)
	if w := visit(t, c, "GET", "/console/sign-in", time.Now().Add(time.Minute)); w.Header().Get("Location") != Base {
		t.Errorf("while it holds: got %d %s", w.Code, w.Header().Get("Location"))
	}
	past := time.Now().Add(-time.Minute)
	want := "/console/oidc/start?next=%2Fconsole%2Faudit%3Faction%3Dkey.create"
	if w := visit(t, c, "GET", "/console/audit?action=key.create", past); w.Code != http.StatusSeeOther || w.Header().Get("Location") != want {
		t.Errorf("a page: got %d %s", w.Code, w.Header().Get("Location"))
	}
	if w := visit(t, c, "GET", "/console/audit?action=key.create&part=list", past, "HX-Request", "true"); w.Header().Get("HX-Redirect") != want {
		t.Errorf("a live part: got %d %s", w.Code, w.Header().Get("HX-Redirect"))
	}
	if w := visit(t, c, "POST", "/console/sign-out", past); w.Header().Get("Location") != "/console/sign-in" {
		t.Errorf("a form: got %d %s", w.Code, w.Header().Get("Location"))
	}
	// A form that asks while it is filled in is not left: what was typed would be lost.
	if w := visit(t, c, "POST", "/console/webhooks/new?part=match", past, "HX-Request", "true"); w.Code != http.StatusUnauthorized || w.Header().Get("HX-Redirect") != "" {
		t.Errorf("a form being filled in: got %d %s", w.Code, w.Header().Get("HX-Redirect"))
	}
}

func TestASignInThatTookTooLongIsOver(t *testing.T) {
	c := consoleOf(t)
	for name, begun := range map[string]begunSignIn{
		"too late": {State: "S", Nonce: "N", Verifier: "V", Next: Base, Until: time.Now().Add(-time.Second)},
		"no state": {Nonce: "N", Verifier: "V", Next: Base, Until: time.Now().Add(time.Minute)},
	} {
		plain, err := json.Marshal(begun)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/console/oidc/callback?"+url.Values{"state": {begun.State}, "code": {"x"}}.Encode(), nil)
		r.AddCookie(c.sessions.begunCookie(base64.RawURLEncoding.EncodeToString(c.sessions.ring.Seal(plain, oidcCookie)), 60))
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "This sign-in is over") {
			t.Errorf("%s: got %d %s", name, w.Code, w.Body)
		}
	}
}
