package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin/api"
)

// within sends a request to the handler in this process, without a key.
func within(ctx context.Context, h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAUserMayWhatTheirScopesAllowAndIsNamed(t *testing.T) {
	k := newKit(t)
	reader, boss := api.As(t.Context(), "ann@example.com", []string{api.ScopeRead}), api.As(t.Context(), "bob", []string{api.ScopeAdmin})
	var me caller
	if err := json.Unmarshal(within(reader, k.handler, "GET", "/v1/me", "").Body.Bytes(), &me); err != nil {
		t.Fatal(err)
	}
	if me.Actor != "user ann@example.com" || me.Name != "ann@example.com" || !slices.Equal(me.Scopes, []string{"read"}) {
		t.Errorf("got %+v", me)
	}
	mute := `{"until": "1h", "reason": "trial"}`
	if w := within(reader, k.handler, "POST", "/v1/mutes", mute); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), `user \"ann@example.com\" has the scopes read`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := within(boss, k.handler, "POST", "/v1/keys", `{"name": "made", "scopes": ["read"]}`); w.Code != http.StatusCreated {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	log := within(boss, k.handler, "GET", "/v1/audit", "").Body.String()
	for _, want := range []string{`"actor":"user bob"`, `"actor":"user ann@example.com"`, "api.refuse", "key.create"} {
		if !strings.Contains(log, want) {
			t.Errorf("the audit log has no %s: %s", want, log)
		}
	}
}

func TestNobodyBecomesAUserByARequest(t *testing.T) {
	k := newKit(t)
	for _, header := range [][]string{
		{"Authorization", "user bob"}, {"Authorization", "Bearer user bob"}, {"X-Forwarded-User", "bob"}, {"Remote-User", "bob"}, {"asUser", "bob"}, {"Cookie", "tocsin_session=bob"},
	} {
		if w := within(t.Context(), k.handler, "GET", "/v1/me", "", header...); w.Code != http.StatusUnauthorized {
			t.Errorf("%v: got %d %s", header, w.Code, w.Body)
		}
	}
	if w := within(api.As(t.Context(), "", []string{api.ScopeAdmin}), k.handler, "GET", "/v1/me", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("nobody: got %d %s", w.Code, w.Body)
	}
	// Which key a request carries does not matter once somebody is vouched for: their scopes do.
	w := within(api.As(t.Context(), "ann", []string{api.ScopeRead}), k.handler, "GET", "/v1/keys", "", "Authorization", "Bearer "+k.key)
	if w.Code != http.StatusForbidden {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}
