package sentinel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// early is how long before its end a token is renewed; one that lives shorter than twice
// that is used for half of its life.
const early = 5 * time.Minute

// tokens keeps one token until shortly before its end.
type tokens struct {
	// fetching is held by the one that asks for a new token; the others wait for it.
	fetching chan struct{}

	mu    sync.Mutex
	token string
	until time.Time
}

func newTokens() *tokens { return &tokens{fetching: make(chan struct{}, 1)} }

// kept is the token that is still good, or "".
func (t *tokens) kept(now time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Before(t.until) {
		return t.token
	}
	return ""
}

func (t *tokens) keep(token string, life time.Duration, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.token, t.until = token, now.Add(life-min(early, life/2))
}

// drop forgets a token, unless it was renewed already.
func (t *tokens) drop(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == token {
		t.token, t.until = "", time.Time{}
	}
}

// get returns a token, asking for one with fetch where none is kept: one at a time, and
// those that waited take what came.
func (t *tokens) get(ctx context.Context, fetch func(context.Context) (string, time.Duration, error)) (string, error) {
	if token := t.kept(time.Now()); token != "" {
		return token, nil
	}
	select {
	case t.fetching <- struct{}{}:
	case <-ctx.Done():
		return "", tocsin.RetryAfter(post.Errorf(post.ClassTimeout, "waiting for a token: %w", ctx.Err()), 0)
	}
	defer func() { <-t.fetching }()
	if token := t.kept(time.Now()); token != "" {
		return token, nil
	}
	token, life, err := fetch(ctx)
	if err != nil {
		return "", err
	}
	t.keep(token, life, time.Now())
	return token, nil
}

// granted is Entra's answer:
// https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow#get-a-token
type granted struct {
	Token     string          `json:"access_token"`
	ExpiresIn json.RawMessage `json:"expires_in"` // seconds, of some servers as text
	// Error and Description are there instead.
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// fetch asks Entra for a token. The answer with it is kept out of the record. Nothing was
// delivered yet, so no error leaves doubt about that.
func (t *try) fetch(ctx context.Context) (string, time.Duration, error) {
	if err := t.secure(ctx, t.conf.login); err != nil {
		return "", 0, err
	}
	res, err := t.client.Do(ctx, t.tokenRequest())
	if res.Status >= 200 && res.Status <= 299 {
		res.Exchange.ResponseBody = tocsin.Redacted
	}
	t.exchanges = append(t.exchanges, res.Exchange)
	if err == nil && res.Status == http.StatusOK {
		err = res.BodyErr
	}
	if err != nil {
		return "", 0, sure(fmt.Errorf("asking for a token: %w", err))
	}
	var g granted
	_ = json.Unmarshal(res.Body, &g) // what is no JSON grants nothing
	if err := refusedToken(res, g); err != nil {
		return "", 0, err
	}
	return g.Token, life(g.ExpiresIn), nil
}

// tokenRequest is the client credentials grant with a shared secret.
func (s *sender) tokenRequest() post.Request {
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {s.conf.client}, "client_secret": {s.conf.secret}, "scope": {s.conf.scope},
	}
	return post.Request{
		Method: http.MethodPost, URL: s.conf.login + "/" + url.PathEscape(s.conf.tenant) + "/oauth2/v2.0/token", Redact: s.redact,
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}, Body: []byte(form.Encode()),
	}
}

// hints say what to do about the commonest errors, whose numbers are those of
// https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes
// Microsoft may change them, so nothing else depends on them.
var hints = []struct{ code, hint string }{
	{"AADSTS7000215", "client_secret is wrong; give the secret's value, not its id"},
	{"AADSTS7000222", "client_secret has expired; make a new one"},
	{"AADSTS700016", "the tenant has no application of this client_id"},
	{"AADSTS7000112", "the application is disabled"},
	{"AADSTS90002", "there is no tenant of this tenant_id"},
	{"AADSTS900023", "tenant_id is neither an id nor a domain"},
	{"AADSTS500011", "the tenant knows nothing of this scope"},
	{"AADSTS70011", "scope is not one; want https://monitor.azure.com/.default"},
	{"AADSTS1002012", "scope must end in /.default"},
}

// retried are the errors of OAuth that pass:
// https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow#error-codes-for-token-endpoint-errors
var retried = map[string]bool{"temporarily_unavailable": true, "server_error": true}

// refusedToken judges an answer that holds no token. What Entra refuses is the
// configuration; no event is to blame.
func refusedToken(res post.Response, g granted) error {
	if res.Status == http.StatusOK && usable(g.Token) {
		return nil
	}
	err := post.Classify(res.Status, res.Header, res.Exchange.ResponseBody)
	if err == nil {
		return tocsin.Refused(post.Errorf(post.ClassBody, "asking for a token: answered %d without one, so login_url may be wrong", res.Status))
	}
	s := *tocsin.Classify(err)
	s.Unsure = false
	switch {
	case retried[g.Error]:
		s.Fault, s.After = tocsin.FaultRetry, post.RetryAfter(res.Header, time.Now())
	case s.Fault != tocsin.FaultRetry:
		s.Fault = tocsin.FaultWebhook // also 410: a login page that is gone is no reason to disable
	}
	for _, h := range hints {
		if strings.Contains(g.Description, h.code+":") {
			return fmt.Errorf("asking for a token: %w; %s", &s, h.hint)
		}
	}
	return fmt.Errorf("asking for a token: %w", &s)
}

// usable reports whether a token can stand in a header.
func usable(token string) bool {
	return token != "" && post.CheckHeader("Authorization", "Bearer "+token) == nil
}

// life reads how long a token is good for; an hour, which is usual, where it is not said.
func life(raw json.RawMessage) time.Duration {
	var seconds float64
	var text json.Number
	if json.Unmarshal(raw, &text) == nil {
		seconds, _ = text.Float64()
	}
	if !(seconds > 0 && seconds <= 7*24*3600) {
		return time.Hour
	}
	return time.Duration(seconds * float64(time.Second))
}

// sure takes the doubt out of an error: no event had left.
func sure(err error) error {
	var s *tocsin.SendError
	if !errors.As(err, &s) {
		return tocsin.RetryAfter(err, 0)
	}
	c := *s
	c.Unsure, c.Err = false, err
	return &c
}
