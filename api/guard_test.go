package api_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
)

func TestScopes(t *testing.T) {
	k := newKit(t)
	k.create("soc", "")
	keys := map[string]string{"ingest": k.newKey("in", "ingest"), "read": k.newKey("see", "read"), "admin": k.key, "both": k.newKey("two", "ingest", "read")}
	calls := []struct{ method, path, scope string }{
		{"POST", "/v1/events", "ingest"}, {"GET", "/v1/events", "read"}, {"GET", "/v1/webhooks", "read"}, {"GET", "/v1/webhooks/soc", "read"},
		{"GET", "/v1/webhooks/soc/preview", "read"}, {"GET", "/v1/ledger", "read"}, {"GET", "/v1/deliveries", "read"}, {"GET", "/v1/channels", "read"},
		{"POST", "/v1/webhooks", "admin"}, {"PATCH", "/v1/webhooks/soc", "admin"}, {"POST", "/v1/webhooks/soc/pause", "admin"}, {"POST", "/v1/webhooks/soc/test", "admin"},
		{"POST", "/v1/trials/match", "read"}, {"POST", "/v1/trials/preview", "admin"}, {"POST", "/v1/trials/test", "admin"}, {"POST", "/v1/trials/check", "admin"},
		{"POST", "/v1/deliveries/dlv_none/redeliver", "admin"}, {"DELETE", "/v1/webhooks/nobody", "admin"},
	}
	for _, call := range calls {
		for holder, key := range keys {
			k.key = key
			body := ""
			if call.method == "POST" || call.method == "PATCH" {
				body = "{}"
			}
			r := k.do(call.method, call.path, body)
			allowed := holder == "admin" || holder == call.scope || holder == "both" && call.scope != "admin"
			if got := r.StatusCode != http.StatusForbidden; got != allowed {
				t.Errorf("%s %s with %s: got %d %s", call.method, call.path, holder, r.StatusCode, r.body)
			}
			if !allowed && !strings.Contains(string(r.body), "this needs "+call.scope) {
				t.Errorf("%s %s with %s: got %s", call.method, call.path, holder, r.body)
			}
		}
	}
}

func TestKeysAreAskedFor(t *testing.T) {
	k := newKit(t)
	good := k.key
	expired, hash := api.NewKey()
	past := time.Now().Add(-time.Hour)
	_, err := k.store.CreateKey(t.Context(), tocsin.Key{ID: tocsin.NewID(tocsin.PrefixKey), Name: "old", Scopes: []string{"admin"}, ExpiresAt: &past}, hash)
	must(t, err)
	k.key = ""
	for _, header := range []string{"", "Bearer", "Bearer ", "Basic " + good, good, "Bearer tk_wrong", "Bearer " + good + "x", "Bearer " + expired} {
		p := k.refused(http.StatusUnauthorized, tocsin.CodeUnauthorized, "GET", "/v1/webhooks", "", "Authorization", header)
		if strings.Contains(p.Detail, good) {
			t.Error("shows the key")
		}
	}
	r := k.do("GET", "/v1/webhooks", "")
	if got := r.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer") {
		t.Errorf("got WWW-Authenticate %q", got)
	}
	k.want(http.StatusOK, nil, "GET", "/v1/webhooks", "", "Authorization", "bearer "+good)
	for _, public := range []string{"/-/healthy", "/-/ready", "/metrics", "/openapi.yaml"} {
		k.want(http.StatusOK, nil, "GET", public, "")
	}
}

func TestKeysAreLookedUpOnceInAWhile(t *testing.T) {
	k := newKit(t)
	for range 5 {
		k.want(http.StatusOK, nil, "GET", "/v1/channels", "")
	}
	if got := k.store.lookups.Load(); got != 1 {
		t.Errorf("got %d look-ups for 5 requests, want 1", got)
	}
	// A key that is made after it was refused works at once.
	text, hash := api.NewKey()
	k.key = text
	k.refused(http.StatusUnauthorized, tocsin.CodeUnauthorized, "GET", "/v1/channels", "")
	_, err := k.store.CreateKey(t.Context(), tocsin.Key{ID: tocsin.NewID(tocsin.PrefixKey), Name: "late", Scopes: []string{"read"}}, hash)
	must(t, err)
	k.want(http.StatusOK, nil, "GET", "/v1/channels", "")
}

func TestNewKeyAndScopes(t *testing.T) {
	one, hash := api.NewKey()
	two, _ := api.NewKey()
	if one == two || !regexp.MustCompile(`^tk_[A-Za-z0-9_-]{43}$`).MatchString(one) {
		t.Errorf("got %q and %q", one, two)
	}
	if string(hash) != string(api.HashKey(one)) || len(hash) != 32 {
		t.Errorf("got hash %x", hash)
	}
	if got, err := api.ParseScopes([]string{"read", "ingest", "read"}); err != nil || strings.Join(got, " ") != "read ingest" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range [][]string{nil, {"reed"}, {""}} {
		if _, err := api.ParseScopes(bad); tocsin.CodeOf(err) != tocsin.CodeInvalid {
			t.Errorf("%v: got %v", bad, err)
		}
	}
}

func open(c *api.Config) { c.Open = true }

func TestOpenChecksTheHost(t *testing.T) {
	k := newKit(t, open)
	k.key = ""
	for _, host := range []string{"localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080"} {
		k.want(http.StatusOK, nil, "GET", "/v1/webhooks", "", "Host", host)
	}
	for _, host := range []string{"evil.example.com", "localhost.evil.example.com:8080", "127.0.0.1.evil.example.com", "10.0.0.1:8080"} {
		for _, path := range []string{"/v1/webhooks", "/metrics", "/nothing"} {
			k.refused(http.StatusForbidden, tocsin.CodeForbidden, "GET", path, "", "Host", host)
		}
	}
	k = newKit(t, open, func(c *api.Config) { c.Hosts = []string{"tocsin.test:80"} })
	k.key = ""
	k.want(http.StatusOK, nil, "GET", "/v1/webhooks", "", "Host", "tocsin.test:80")
	k.refused(http.StatusForbidden, tocsin.CodeForbidden, "GET", "/v1/webhooks", "", "Host", "tocsin.test:81")
	k.refused(http.StatusForbidden, tocsin.CodeForbidden, "GET", "/v1/webhooks", "")
}

func TestOpenRefusesOtherSites(t *testing.T) {
	k := newKit(t, open)
	k.key = ""
	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example.com"}, {"Origin", "null"},
	} {
		k.refused(http.StatusForbidden, tocsin.CodeForbidden, "POST", "/v1/events", event("one", ""), header...)
		k.want(http.StatusOK, nil, "GET", "/v1/webhooks", "", header...) // reading is what links do
	}
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", event("one", ""), "Sec-Fetch-Site", "same-origin")
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", event("two", ""), "Origin", k.url)
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", event("three", ""))
}

func TestPathsAndMethodsThatAreNotThere(t *testing.T) {
	k := newKit(t)
	for _, path := range []string{"/", "/v1", "/v1/nothing", "/v1/webhooks/", "/v1/mutes/a/b", "/v1/webhooks/a/b/c", "/v1/../v1/webhooks", "//v1/webhooks"} {
		k.refused(http.StatusNotFound, tocsin.CodeNotFound, "GET", path, "")
	}
	for path, allow := range map[string]string{
		"/v1/webhooks": "GET, HEAD, POST", "/v1/webhooks/a": "DELETE, GET, HEAD, PATCH", "/v1/webhooks/a/pause": "POST", "/v1/ledger": "GET, HEAD",
	} {
		r := k.do("PUT", path, "{}")
		if r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != allow || !strings.Contains(string(r.body), allow) {
			t.Errorf("PUT %s: got %d, Allow %q, %s", path, r.StatusCode, r.Header.Get("Allow"), r.body)
		}
	}
	if r := k.do("HEAD", "/v1/webhooks", ""); r.StatusCode != http.StatusOK {
		t.Errorf("HEAD: got %d", r.StatusCode)
	}
}

func TestAPanicIsA500WithAnIDThatIsInTheLog(t *testing.T) {
	k := newKit(t)
	k.store.panicing.Store(true)
	p := k.refused(http.StatusInternalServerError, tocsin.CodeInternal, "GET", "/v1/ledger", "")
	if p.RequestID == "" || strings.Contains(p.Detail, "fault") || !strings.Contains(k.logs.String(), p.RequestID) || !strings.Contains(k.logs.String(), "a fault in the store") {
		t.Errorf("got %+v; the log says %s", p, k.logs)
	}
	k.store.panicing.Store(false)
	k.want(http.StatusOK, nil, "GET", "/v1/ledger", "")
}

func TestAnUnknownErrorIsNotShown(t *testing.T) {
	k := newKit(t)
	k.store.breaks(errSecret{})
	p := k.refused(http.StatusInternalServerError, tocsin.CodeInternal, "GET", "/v1/ledger", "")
	if strings.Contains(p.Detail+p.Title, "hush") || !strings.Contains(k.logs.String(), p.RequestID) {
		t.Errorf("got %+v", p)
	}
}

type errSecret struct{}

func (errSecret) Error() string { return "hush" }
