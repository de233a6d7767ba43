package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
	"github.com/tocsin-alerts/tocsin/console"
)

func TestWhoHasNotSignedInGetsToTheFormAndBack(t *testing.T) {
	k := newKit(t)
	k.client = browser(t)
	k.get(http.StatusSeeOther, "/console/webhooks?state=failing").location("/console/sign-in?next=%2Fconsole%2Fwebhooks%3Fstate%3Dfailing")
	k.get(http.StatusSeeOther, "/console/").location("/console/sign-in")
	k.get(http.StatusSeeOther, "/console/?x=1").location("/console/sign-in?next=%2Fconsole%2F%3Fx%3D1")
	k.get(http.StatusOK, "/console/sign-in?next=%2Fconsole%2F%3Fx%3D1").has(`name="next" value="/console/?x=1"`, "API key")
	k.do("POST", "/console/sign-in", url.Values{"key": {k.rootKey}, "next": {"/console/?x=1"}}, "Sec-Fetch-Site", "same-origin").location("/console/?x=1")
	k.get(http.StatusOK, "/console/").has("Signed in as <b>root</b>")
}

func TestSignInLeadsNowhereElse(t *testing.T) {
	k := newKit(t)
	for _, next := range []string{"https://evil.example/console/", "//evil.example/console/", `/\evil.example`, "/console/../v1/events", "javascript:alert(1)", "/elsewhere"} {
		k.do("POST", "/console/sign-in", url.Values{"key": {k.rootKey}, "next": {next}}, "Sec-Fetch-Site", "same-origin").location("/console/")
	}
}

func TestACookieSaysNothingAndIsTheBrowsersOwn(t *testing.T) {
	k := newKit(t, func(c *console.Config, _ *api.Config) { c.PublicURL = "https://tocsin.example.com" })
	p := k.do("POST", "/console/sign-in", url.Values{"key": {k.rootKey}}, "Sec-Fetch-Site", "same-origin")
	for _, c := range p.Cookies() {
		if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/console/" || strings.Contains(c.Value, k.rootKey) {
			t.Errorf("got %v", c)
		}
	}
	if len(p.Cookies()) == 0 {
		t.Error("got no cookie")
	}
}

func TestADeletedKeyEndsItsSessions(t *testing.T) {
	k := newKit(t)
	k.signIn(k.newKey("leaver", "read"))
	k.get(http.StatusOK, "/console/").has("may read, not change").lacks(">Keys<")
	k.ask(http.StatusNoContent, "DELETE", "/v1/keys/leaver", "")
	p := k.get(http.StatusSeeOther, "/console/").location("/console/sign-in?over=1")
	if c := p.Cookies(); len(c) != 1 || c[0].MaxAge >= 0 {
		t.Errorf("got %v, want the session's cookie taken away", c)
	}
	k.get(http.StatusOK, "/console/sign-in?over=1").has("Your session is over")
}

func TestASessionOfAnotherRingIsNone(t *testing.T) {
	k, other := newKit(t), newKit(t)
	k.client = other.client // its cookies are of 127.0.0.1, whatever the port
	k.get(http.StatusSeeOther, "/console/").location("/console/sign-in")
}

func TestFailedTriesAreLimitedByAddress(t *testing.T) {
	k := newKit(t)
	k.client = browser(t)
	wrong := url.Values{"key": {"tk_wrong"}}
	for range 10 {
		if p := k.do("POST", "/console/sign-in", wrong, "Sec-Fetch-Site", "same-origin"); p.StatusCode != http.StatusUnauthorized {
			t.Fatalf("got %d", p.StatusCode)
		}
	}
	p := k.do("POST", "/console/sign-in", wrong, "Sec-Fetch-Site", "same-origin")
	if p.StatusCode != http.StatusTooManyRequests {
		t.Errorf("got %d, want 429", p.StatusCode)
	}
	p.has("Too many tries", `role="alert"`)
}

func TestFormsNeedTheSessionsToken(t *testing.T) {
	k := newKit(t)
	for name, header := range map[string][]string{
		"no token":        {"Sec-Fetch-Site", "same-origin"},
		"a wrong token":   {"Sec-Fetch-Site", "same-origin", "X-CSRF-Token", "WRONG"},
		"another site":    {"Sec-Fetch-Site", "cross-site", "X-CSRF-Token", k.token()},
		"another address": {"Origin", "https://evil.example", "X-CSRF-Token", k.token()},
	} {
		if p := k.do("POST", "/console/sign-out", url.Values{}, header...); p.StatusCode != http.StatusForbidden {
			t.Errorf("%s: got %d, want 403", name, p.StatusCode)
		}
	}
	k.get(http.StatusOK, "/console/")
	k.post(http.StatusSeeOther, "/console/sign-out").location("/console/sign-in")
	k.get(http.StatusSeeOther, "/console/").location("/console/sign-in")
}

func TestALinkFromElsewhereComesBackWithTheCookie(t *testing.T) {
	k := newKit(t)
	k.client = browser(t) // a strict cookie stays behind
	k.get(http.StatusOK, "/console/deliveries/dlv_1", "Sec-Fetch-Site", "cross-site").has(`http-equiv="refresh"`, "/console/deliveries/dlv_1")
}

func TestOpenNeedsNoSignInButAnAllowedHost(t *testing.T) {
	k := newKit(t, func(c *console.Config, a *api.Config) { c.Open, a.Open = true, true })
	k.get(http.StatusOK, "/console/").has("no sign-in", ">Keys<")
	k.post(http.StatusSeeOther, "/console/theme", "theme", "dark", "next", "/console/").location("/console/")
	k.get(http.StatusOK, "/console/").has(`data-theme="dark"`)

	r, err := http.NewRequestWithContext(t.Context(), "GET", k.url+"/console/", nil)
	must(t, err)
	r.Host = "rebound.example"
	resp, err := k.client.Do(r)
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("got %d for another host, want 403", resp.StatusCode)
	}
}

func TestNothingRunsThatIsNotOurs(t *testing.T) {
	k := newKit(t)
	p := k.get(http.StatusOK, "/console/").lacks("<script>", " style=", "onclick", "http://cdn", "https://cdn")
	if got := p.Header.Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'self'") || strings.Contains(got, "unsafe") {
		t.Errorf("got policy %q", got)
	}
}

func TestTheStoreIsAway(t *testing.T) {
	k := newKit(t)
	away := error(tocsin.Errorf(tocsin.CodeUnavailable, "connecting: refused"))
	k.store.err.Store(&away)
	p := k.get(http.StatusServiceUnavailable, "/console/").has("The store is not available", "Try again", "<nav").lacks("connecting: refused")
	if p.Header.Get("Retry-After") == "" {
		t.Error("got no Retry-After")
	}
	k.get(http.StatusServiceUnavailable, "/console/?part=now", "HX-Request", "true").has("The store is not available").lacks("<nav")
}

func TestWhatIsNotThere(t *testing.T) {
	k := newKit(t)
	k.get(http.StatusNotFound, "/console/nowhere").has("There is no such page", "<nav")
	k.get(http.StatusNotFound, "/console/?part=nothing").has("no part of that name")
	k.get(http.StatusNotFound, "/console/static/../console.go")
	k.get(http.StatusNotFound, "/console/static/nothing.js")
	k.get(http.StatusOK, "/console/static/console.css")
}
