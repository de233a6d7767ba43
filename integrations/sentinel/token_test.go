package sentinel_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// TestTokenIsKept: one for many sends, also at the same time.
func TestTokenIsKept(t *testing.T) {
	a := newAzure(t)
	server := httptest.NewServer(a)
	defer server.Close()
	s := open(t, server.URL, "")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := s.Send(t.Context(), integrationtest.Notify(events(t, 1, 0)...)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if a.granted != 1 || len(a.rows) != 20 {
		t.Errorf("%d tokens for %d rows", a.granted, len(a.rows))
	}
}

// TestShortLife: a token that is never good for long is asked for again, and not for
// every request that comes at the same moment.
func TestShortLife(t *testing.T) {
	for life, want := range map[string]int{"3599": 1, `"3599"`: 1, "null": 1, "-1": 1, "1e99": 1, `"soon"`: 1, "0.000001": 2} {
		a := newAzure(t)
		a.life = life
		server := httptest.NewServer(a)
		s := open(t, server.URL, "")
		for range 2 {
			if _, err := s.Send(t.Context(), integrationtest.Notify(events(t, 1, 0)...)); err != nil {
				t.Errorf("expires_in %s: %v", life, err)
			}
		}
		server.Close()
		if a.granted != want {
			t.Errorf("expires_in %s: %d tokens, want %d", life, a.granted, want)
		}
	}
}

// TestWithdrawnToken: after a 401 the same is sent once more, with a fresh token.
func TestWithdrawnToken(t *testing.T) {
	a := newAzure(t)
	server := httptest.NewServer(a)
	defer server.Close()
	s := open(t, server.URL, "")
	n := integrationtest.Notify(events(t, 1, 0)...)
	if _, err := s.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	clear(a.valid)
	receipt, err := s.Send(t.Context(), n)
	if err != nil || a.granted != 2 || len(a.rows) != 2 || len(receipt.Exchanges) != 3 {
		t.Errorf("%v, %d tokens, %d rows, %d exchanges", err, a.granted, len(a.rows), len(receipt.Exchanges))
	}
	no := func(w http.ResponseWriter) { a.fail(w, 401, "InvalidToken", "no") }
	a.answers = []func(http.ResponseWriter){no, no, no}
	calls := a.calls
	receipt, err = s.Send(t.Context(), n)
	if got := fates(receipt, err, 1); got != "all webhook unsure=false" || a.calls-calls != 2 {
		t.Errorf("refused twice: %s (%v) after %d calls", got, err, a.calls-calls)
	}
}

// TestRoleMissing: the error says what to do, and the next attempt has a fresh token.
func TestRoleMissing(t *testing.T) {
	a := newAzure(t)
	a.role = false
	server := httptest.NewServer(a)
	defer server.Close()
	s := open(t, server.URL, "")
	for range 2 {
		receipt, err := s.Send(t.Context(), integrationtest.Notify(events(t, 2, 0)...))
		if got := fates(receipt, err, 2); got != "all webhook unsure=false" || !strings.Contains(err.Error(), "Monitoring Metrics Publisher") {
			t.Errorf("%s (%v)", got, err)
		}
	}
	if a.granted != 2 || a.calls != 2 {
		t.Errorf("%d tokens for %d calls", a.granted, a.calls)
	}
}

// TestEntraRefuses has Entra's errors; none is the event's, and none leaves doubt.
func TestEntraRefuses(t *testing.T) {
	for _, row := range []struct {
		status            int
		word, description string
		want              tocsin.Fault
		says              string
	}{
		{401, "invalid_client", "AADSTS7000215: Invalid client secret provided.", tocsin.FaultWebhook, "give the secret's value"},
		{401, "invalid_client", "AADSTS7000222: The provided client secret keys are expired.", tocsin.FaultWebhook, "has expired"},
		{400, "unauthorized_client", "AADSTS700016: Application with identifier was not found.", tocsin.FaultWebhook, "no application"},
		{400, "invalid_request", "AADSTS90002: Tenant 'x' not found.", tocsin.FaultWebhook, "no tenant"},
		{400, "invalid_request", "AADSTS900023: Specified tenant identifier is neither a valid DNS name, nor a valid external domain.", tocsin.FaultWebhook, "neither an id"},
		{400, "invalid_scope", "AADSTS1002012: The provided value for scope is not valid.", tocsin.FaultWebhook, "/.default"},
		{400, "invalid_resource", "AADSTS500011: The resource principal was not found.", tocsin.FaultWebhook, "scope"},
		{401, "unauthorized_client", "AADSTS7000112: Application is disabled.", tocsin.FaultWebhook, "disabled"},
		{400, "invalid_grant", "AADSTS53003: blocked by Conditional Access", tocsin.FaultWebhook, "answered 400"},
		{410, "x", "", tocsin.FaultWebhook, "answered 410"},
		{302, "", "", tocsin.FaultWebhook, "answered 302"},
		{503, "temporarily_unavailable", "", tocsin.FaultRetry, "answered 503"},
		{400, "temporarily_unavailable", "", tocsin.FaultRetry, "answered 400"},
		{500, "server_error", "", tocsin.FaultRetry, "answered 500"},
		{429, "", "", tocsin.FaultRetry, "answered 429"},
		{200, "", "", tocsin.FaultWebhook, "login_url may be wrong"},
	} {
		a := newAzure(t)
		a.tokenAnswers = []func(http.ResponseWriter){func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "33")
			a.refuse(w, row.status, row.word, row.description)
		}}
		receipt, err := send(t, a, "", integrationtest.Notify(events(t, 2, 0)...))
		s := tocsin.Classify(err)
		if err == nil || s.Fault != row.want || s.Unsure || !strings.Contains(err.Error(), row.says) || a.calls != 0 || receipt.Results != nil {
			t.Errorf("%d %s: %+v (%v), %d calls", row.status, row.description, s, err, a.calls)
		}
		if row.want == tocsin.FaultRetry && s.After != 33*time.Second {
			t.Errorf("%d: Retry-After is %s", row.status, s.After)
		}
	}
}

// TestStatuses are those of the ingestion.
func TestStatuses(t *testing.T) {
	for _, row := range []struct {
		status     int
		code, want string
	}{
		{204, "", "ok ok "}, {200, "", "all webhook unsure=true"}, {201, "", "all webhook unsure=true"}, {202, "", "all webhook unsure=true"},
		{400, "InvalidRequest", "all event unsure=false"}, {400, "InvalidStream", "all webhook unsure=false"},
		{403, "OperationFailed", "all webhook unsure=false"}, {404, "NotFound", "all webhook unsure=false"}, {413, "ContentLengthLimitExceeded", "all event unsure=false"},
		{429, "TooManyRequests", "all retry unsure=false"}, {500, "", "all retry unsure=true"}, {503, "", "all retry unsure=true"},
	} {
		a := newAzure(t)
		a.answers = []func(http.ResponseWriter){func(w http.ResponseWriter) {
			if row.status == 204 {
				w.WriteHeader(204)
				return
			}
			a.fail(w, row.status, row.code, "said")
		}}
		receipt, err := send(t, a, "", integrationtest.Notify(events(t, 2, 0)...))
		if got := fates(receipt, err, 2); got != row.want {
			t.Errorf("%d %s: got %s, want %s (%v)", row.status, row.code, got, row.want, err)
		}
	}
}

// TestALoginPageIsNoYes: a captive portal or a wrong host says 200 to everything.
func TestALoginPageIsNoYes(t *testing.T) {
	a := newAzure(t)
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/token") {
			a.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html>Please log in</html>"))
	})
	receipt, err := send(t, page, "", integrationtest.Notify(events(t, 2, 0)...))
	if got := fates(receipt, err, 2); got != "all webhook unsure=true" || !strings.Contains(err.Error(), "endpoint may be wrong") {
		t.Errorf("got %s (%v)", got, err)
	}
}

// TestNoTokenIsShown looks for the token and the secret in everything that is kept, with
// receivers that repeat them.
func TestNoTokenIsShown(t *testing.T) {
	for _, status := range []int{204, 400, 401, 403, 500} {
		a := newAzure(t)
		echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/token") {
				a.ServeHTTP(w, r)
				return
			}
			w.Header().Set("X-Echo", r.Header.Get("Authorization"))
			w.WriteHeader(status)
			if status != 204 {
				fmt.Fprintf(w, `{"error":{"message":%q}}`, r.Header.Get("Authorization"))
			}
		})
		receipt, err := send(t, echo, "", integrationtest.Notify(events(t, 1, 0)...))
		text, jerr := json.Marshal(receipt)
		if jerr != nil {
			t.Fatal(jerr)
		}
		all := string(text) + fmt.Sprintf("%v %+v", err, err)
		if strings.Contains(all, "canary") || !strings.Contains(all, "[redacted]") {
			t.Errorf("%d: shown: %.2000s", status, all)
		}
	}
}

func TestCheck(t *testing.T) {
	a := newAzure(t)
	server := httptest.NewServer(a)
	defer server.Close()
	found, exchanges, err := open(t, server.URL, "").(tocsin.Checker).Check(t.Context())
	if err != nil || !strings.Contains(found, "with the first delivery") || len(exchanges) != 1 || a.calls != 0 || strings.Contains(fmt.Sprint(exchanges), "canary") {
		t.Errorf("%q, %v, %v", found, err, exchanges)
	}
	a.secret = "another"
	found, exchanges, err = open(t, server.URL, "").(tocsin.Checker).Check(t.Context())
	if tocsin.Classify(err).Fault != tocsin.FaultWebhook || strings.Contains(fmt.Sprint(found, exchanges, err), "canary") {
		t.Errorf("another secret: %q, %v, %v", found, err, exchanges)
	}
}

func TestValidate(t *testing.T) {
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	defer c.Close()
	ch := newChannel(c, nil)
	for change, want := range map[string]string{
		``:                                 "",
		`"endpoint":"http://8.8.8.8"`:      "config.endpoint: the scheme is http",
		`"endpoint":"https://10.0.0.1"`:    "config.endpoint: ",
		`"endpoint":"https://8.8.8.8?x=1"`: "config.endpoint: has a query",
		`"endpoint":"https://8.8.8.8/dataCollectionRules/dcr-1"`: "config.endpoint: leave out the path",
		`"login_url":"http://8.8.8.8"`:                           "config.login_url: the scheme is http",
		`"login_url":""`:                                         "config.login_url: required",
		`"rule_id":"/subscriptions/1"`:                           "want the rule's immutable id",
		`"rule_id":""`:                                           "config.rule_id: required",
		`"stream":"Microsoft-Syslog"`:                            "config.stream: is \"Microsoft-Syslog\"",
		`"tenant_id":"a/../b"`:                                   "config.tenant_id: ",
		`"client_id":"a b"`:                                      "config.client_id: ",
		`"client_secret":"a b"`:                                  "config.client_secret: contains",
		`"scope":"a b"`:                                          "config.scope: ",
		`"format":"cef"`:                                         "config.format: ",
	} {
		o := map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(config("https://8.8.8.8", "")), &o); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte("{"+change+"}"), &o); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		err = ch.Validate(t.Context(), text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", change, err, want)
		}
	}
}
