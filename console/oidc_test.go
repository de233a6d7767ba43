package console_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
	"github.com/tocsin-alerts/tocsin/console"
)

// idp is a small OpenID Connect provider, which keeps to what such providers check: a
// code is good once, for its client, redirect address and PKCE verifier.
type idp struct {
	t      *testing.T
	server *httptest.Server
	key    *rsa.PrivateKey
	signer *rsa.PrivateKey // signs tokens; another than key for a forger
	mu     sync.Mutex
	codes  map[string]url.Values // what was asked for with each
	claims map[string]any        // what a token says beside what it must
	info   map[string]any        // what the provider says when it is asked about the user
	scopes []string              // those it supports
}

const idpSecret = "s3cret&%"

func newIDP(t *testing.T) *idp {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	o := &idp{t: t, key: key, signer: key, codes: map[string]url.Values{}, scopes: []string{"openid", "groups"}}
	o.claims = map[string]any{"groups": []string{"staff", "soc"}, "email": "ann@example.com", "email_verified": true}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", o.document)
	mux.HandleFunc("GET /keys", o.keys)
	mux.HandleFunc("POST /token", o.token)
	mux.HandleFunc("GET /userinfo", o.userinfo)
	o.server = httptest.NewServer(mux)
	t.Cleanup(o.server.Close)
	return o
}

func (o *idp) document(w http.ResponseWriter, _ *http.Request) {
	at := o.server.URL
	_ = json.NewEncoder(w).Encode(map[string]any{
		"issuer": at, "authorization_endpoint": at + "/authorize", "token_endpoint": at + "/token", "jwks_uri": at + "/keys",
		"userinfo_endpoint": at + "/userinfo", "id_token_signing_alg_values_supported": []string{"RS256"}, "scopes_supported": o.scopes,
	})
}

func (o *idp) keys(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: o.key.Public(), KeyID: "k1", Algorithm: "RS256", Use: "sig"}}})
}

func (o *idp) userinfo(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer access" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(o.info)
}

// authorize is what somebody does at the provider: they look at the address they were sent
// to, and are sent back with a code.
func (o *idp) authorize(address string) (back url.Values, asked url.Values) {
	o.t.Helper()
	u, err := url.Parse(address)
	must(o.t, err)
	if got := u.Scheme + "://" + u.Host + u.Path; got != o.server.URL+"/authorize" {
		o.t.Fatalf("sent to %s", address)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	code := rand.Text()
	o.codes[code] = u.Query()
	return url.Values{"code": {code}, "state": {u.Query().Get("state")}}, u.Query()
}

func (o *idp) token(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	asked, ok := o.codes[r.PostFormValue("code")]
	delete(o.codes, r.PostFormValue("code"))
	id, secret, _ := r.BasicAuth()
	if plain, err := url.QueryUnescape(secret); err == nil {
		secret = plain
	}
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	w.Header().Set("Content-Type", "application/json")
	if !ok || id != "tocsin" || secret != idpSecret || asked.Get("code_challenge_method") != "S256" ||
		asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) || r.PostFormValue("redirect_uri") != asked.Get("redirect_uri") {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant"})
		return
	}
	now := time.Now()
	all := map[string]any{"iss": o.server.URL, "sub": "u-1", "aud": "tocsin", "nonce": asked.Get("nonce"), "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	for name, v := range o.claims {
		all[name] = v
	}
	payload, err := json.Marshal(all)
	must(o.t, err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: o.signer, KeyID: "k1"}}, nil)
	must(o.t, err)
	signed, err := signer.Sign(payload)
	must(o.t, err)
	raw, err := signed.CompactSerialize()
	must(o.t, err)
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "access", "token_type": "Bearer", "expires_in": 300, "id_token": raw})
}

// text is what was logged.
func (l *logs) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const publicURL = "http://tocsin.example.com"

// withIDP is a kit whose visitors may sign in by a provider, and have not yet.
func withIDP(t *testing.T, o *idp, adjust ...func(*console.OIDC)) *kit {
	t.Helper()
	cfg := &console.OIDC{Issuer: o.server.URL, ClientID: "tocsin", ClientSecret: tocsin.NewSecret(idpSecret), Read: []string{"soc"}, Admin: []string{"ops"}}
	for _, f := range adjust {
		f(cfg)
	}
	k := newKit(t, func(c *console.Config, _ *api.Config) { c.OIDC, c.As, c.PublicURL = cfg, api.As, publicURL })
	k.client = browser(t)
	return k
}

// begin goes to the provider and back, up to the address that it sends the browser to.
func (k *kit) begin(o *idp, next string) (callback string) {
	k.t.Helper()
	start := k.get(http.StatusSeeOther, "/console/oidc/start?"+url.Values{"next": {next}}.Encode(), "Sec-Fetch-Site", "same-origin")
	back, asked := o.authorize(start.Header.Get("Location"))
	if got := asked.Get("redirect_uri"); got != publicURL+"/console/oidc/callback" {
		k.t.Errorf("got redirect_uri %q", got)
	}
	return "/console/oidc/callback?" + back.Encode()
}

func TestSomebodySignsInByTheProvider(t *testing.T) {
	o := newIDP(t)
	k := withIDP(t, o)
	host := strings.TrimPrefix(o.server.URL, "http://")
	k.get(http.StatusOK, "/console/sign-in?next=%2Fconsole%2Fmutes").has("Sign in with "+host, "/console/oidc/start?next=%2Fconsole%2Fmutes", "API key")
	callback := k.begin(o, "/console/keys?x=1")
	done := k.get(http.StatusOK, callback, "Sec-Fetch-Site", "cross-site").has(`url=/console/keys?x=1`)
	if got := done.Header.Values("Set-Cookie"); !strings.Contains(strings.Join(got, "\n"), "SameSite=Strict") {
		t.Errorf("got cookies %q", got)
	}
	k.get(http.StatusOK, "/console/").has("Signed in as <b>ann@example.com</b>", "may read, not change")
	k.post(http.StatusForbidden, "/console/keys", "name", "x", "scopes", "admin")

	o.claims["groups"] = "ops" // one value alone
	k.get(http.StatusOK, k.begin(o, "")).has(`url=/console/"`)
	k.get(http.StatusOK, "/console/").has("ann@example.com").lacks("may read, not change")
	k.post(http.StatusOK, "/console/keys", "name", "made", "scopes", "read")
	k.get(http.StatusOK, "/console/audit").has("user ann@example.com", "key.create")
	k.get(http.StatusOK, "/console/keys").lacks("your key")

	k.post(http.StatusSeeOther, "/console/sign-out")
	k.get(http.StatusSeeOther, "/console/").location("/console/sign-in")
}

func TestWhatASignInAsksForAndKeeps(t *testing.T) {
	o := newIDP(t)
	k := withIDP(t, o)
	start := k.get(http.StatusSeeOther, "/console/oidc/start")
	_, asked := o.authorize(start.Header.Get("Location"))
	for name, want := range map[string]string{"response_type": "code", "client_id": "tocsin", "scope": "openid profile email groups", "code_challenge_method": "S256"} {
		if got := asked.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if len(asked.Get(name)) < 26 {
			t.Errorf("%s: got %q", name, asked.Get(name))
		}
	}
	cookie := start.Header.Get("Set-Cookie")
	for _, want := range []string{"tocsin_oidc=", "Path=/console/oidc/", "Max-Age=600", "HttpOnly", "SameSite=Lax"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("got cookie %q, want %s", cookie, want)
		}
	}
	for _, secret := range []string{asked.Get("state"), asked.Get("nonce")} {
		if strings.Contains(cookie, secret) {
			t.Errorf("the cookie shows %q", secret)
		}
	}
}

func TestATokenThatDoesNotHoldIsRefused(t *testing.T) {
	forger, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	past := time.Now().Add(-time.Hour).Unix()
	for name, spoil := range map[string]func(*idp){
		"wrong nonce":     func(o *idp) { o.claims["nonce"] = "another" },
		"no nonce":        func(o *idp) { o.claims["nonce"] = "" },
		"wrong audience":  func(o *idp) { o.claims["aud"] = "another" },
		"another's azp":   func(o *idp) { o.claims["aud"], o.claims["azp"] = []string{"tocsin", "another"}, "another" },
		"wrong issuer":    func(o *idp) { o.claims["iss"] = "https://evil.example.com" },
		"expired":         func(o *idp) { o.claims["exp"] = past },
		"wrong signature": func(o *idp) { o.signer = forger },
	} {
		t.Run(name, func(t *testing.T) {
			o := newIDP(t)
			k := withIDP(t, o)
			spoil(o)
			page := k.get(http.StatusForbidden, k.begin(o, "/console/mutes")).has("The provider&#39;s token is refused", "/console/oidc/start?next=%2Fconsole%2Fmutes")
			if name == "expired" {
				page.has("it has expired")
			}
			k.get(http.StatusSeeOther, "/console/")
			if text := k.logs.text(); !strings.Contains(text, "the ID token is refused") {
				t.Errorf("the log does not say so: %s", text)
			}
		})
	}
}

func TestAnAnswerWithoutItsBeginningIsRefused(t *testing.T) {
	o := newIDP(t)
	k := withIDP(t, o)
	callback := k.begin(o, "")
	k.get(http.StatusOK, callback)
	k.get(http.StatusBadRequest, callback).has("This sign-in is over", publicURL) // a second time

	stolen := k.begin(o, "")
	k.client = browser(t) // that of somebody else
	k.get(http.StatusBadRequest, stolen).has("This sign-in is over")
	k.get(http.StatusSeeOther, "/console/").location("/console/sign-in")

	k.get(http.StatusBadRequest, strings.Replace(k.begin(o, ""), "state=", "state=x", 1)).has("This sign-in is over")
	k.get(http.StatusBadRequest, "/console/oidc/callback").has("This sign-in is over")
}

func TestACodeIsGoodForItsBrowserAlone(t *testing.T) {
	o := newIDP(t)
	k := withIDP(t, o)
	first, err := url.Parse(k.begin(o, ""))
	must(t, err)
	second, err := url.Parse(k.begin(o, ""))
	must(t, err)
	// The code of one sign-in with the state of another: PKCE does not fit.
	mixed := second.Query()
	mixed.Set("code", first.Query().Get("code"))
	k.get(http.StatusBadGateway, "/console/oidc/callback?"+mixed.Encode()).has("did not accept the sign-in")
	k.get(http.StatusSeeOther, "/console/")
}

func TestSigningInLeadsNowhereElse(t *testing.T) {
	o := newIDP(t)
	for _, next := range []string{"https://evil.example.com/", "//evil.example.com", `/\evil.example.com`, "/console/../..//evil.example.com", "javascript:alert(1)", "/v1/keys"} {
		k := withIDP(t, o)
		k.get(http.StatusOK, k.begin(o, next)).has(`url=/console/"`).lacks("evil", "alert", "/v1/")
	}
}

func TestWhoIsNotLetInIsToldWhy(t *testing.T) {
	for name, c := range map[string]struct {
		claims map[string]any
		claim  string
		want   string
	}{
		"other groups":     {map[string]any{"groups": []string{"staff", "SOC"}}, "", "Nothing in your claim groups lets you in"},
		"no groups at all": {map[string]any{"groups": nil}, "", "says nothing about your groups"},
		"too many groups":  {map[string]any{"groups": nil, "_claim_names": map[string]string{"groups": "src1"}, "_claim_sources": map[string]any{"src1": map[string]string{"endpoint": "https://graph.example.com/u-1"}}}, "", "so many groups"},
		"unverified email": {map[string]any{"email": "soc", "email_verified": false}, "email", "has not verified your email address"},
		"not a text":       {map[string]any{"groups": []any{1, true, map[string]any{"soc": "soc"}}}, "", "Nothing in your claim groups"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newIDP(t)
			for key, v := range c.claims {
				if o.claims[key] = v; v == nil {
					delete(o.claims, key)
				}
			}
			o.info = map[string]any{"sub": "u-1"}
			k := withIDP(t, o, func(cfg *console.OIDC) { cfg.Claim = c.claim })
			k.get(http.StatusForbidden, k.begin(o, "")).has("You are not let in", c.want)
			k.get(http.StatusSeeOther, "/console/")
		})
	}
}

func TestGroupsMayBeNestedOrToldOnlyWhenAsked(t *testing.T) {
	o := newIDP(t)
	delete(o.claims, "groups")
	o.claims["realm_access"] = map[string]any{"roles": []string{"ops"}}
	k := withIDP(t, o, func(c *console.OIDC) { c.Claim = "realm_access.roles" })
	k.get(http.StatusOK, k.begin(o, ""))
	k.get(http.StatusOK, "/console/keys")

	delete(o.claims, "realm_access")
	o.info = map[string]any{"sub": "u-1", "groups": []string{"soc"}, "iss": "https://evil.example.com", "email": "root@example.com"}
	k = withIDP(t, o)
	k.get(http.StatusOK, k.begin(o, ""))
	k.get(http.StatusOK, "/console/").has("ann@example.com").lacks("root@example.com")

	o.info["sub"] = "u-2"
	k = withIDP(t, o)
	k.get(http.StatusForbidden, k.begin(o, "")).has("token is refused")
}

func TestPeopleAreNamedSoThatNobodyCanTakeTheirName(t *testing.T) {
	for _, c := range []struct {
		claims map[string]any
		want   string
	}{
		{map[string]any{}, "ann@example.com"},
		{map[string]any{"email_verified": false, "preferred_username": "ann"}, "ann (u-1)"},
		{map[string]any{"email_verified": "true"}, "ann@example.com"},
		{map[string]any{"email": "", "preferred_username": "<b>ann"}, "&lt;b&gt;ann (u-1)"},
		{map[string]any{"email": "a\nb@example.com"}, "u-1"},
	} {
		o := newIDP(t)
		for name, v := range c.claims {
			o.claims[name] = v
		}
		k := withIDP(t, o)
		k.get(http.StatusOK, k.begin(o, ""))
		k.get(http.StatusOK, "/console/").has("Signed in as <b>" + c.want + "</b>")
	}
}

func TestTheProvidersWordsAreShownAsText(t *testing.T) {
	o := newIDP(t)
	k := withIDP(t, o)
	callback, err := url.Parse(k.begin(o, ""))
	must(t, err)
	back := url.Values{"state": callback.Query()["state"], "error": {"access_denied"}, "error_description": {"<script>no</script>"}}
	k.get(http.StatusForbidden, "/console/oidc/callback?"+back.Encode()).has("The provider did not sign you in", "access_denied", "&lt;script&gt;").lacks("<script>no")
	// Without a sign-in of ours nothing that an address says is shown.
	k.get(http.StatusBadRequest, "/console/oidc/callback?"+back.Encode()).lacks("access_denied")

	callback, err = url.Parse(k.begin(o, ""))
	must(t, err)
	back = callback.Query()
	back.Set("iss", "https://evil.example.com")
	k.get(http.StatusBadRequest, "/console/oidc/callback?"+back.Encode()).has("Another issuer")
}

func TestAProviderThatIsAwayIsSaidAndKeysStillWork(t *testing.T) {
	o := newIDP(t)
	k := withIDP(t, o)
	o.server.Close()
	k.get(http.StatusBadGateway, "/console/oidc/start?next=%2Fconsole%2Fmutes").has("cannot be reached", "API key", `name="next" value="/console/mutes"`).lacks("connection refused")
	k.signIn(k.rootKey)
	k.get(http.StatusOK, "/console/")
}

func TestWithoutAProviderNobodySignsInByOne(t *testing.T) {
	o := newIDP(t)
	k := withIDP(t, o)
	k.get(http.StatusOK, k.begin(o, ""))
	k.get(http.StatusOK, "/console/")

	// The same ring, but the setting is gone, or lets other people in: the session is over.
	for name, cfg := range map[string]*console.OIDC{
		"gone":          nil,
		"other groups":  {Issuer: o.server.URL, ClientID: "tocsin", Read: []string{"others"}},
		"other issuers": {Issuer: "https://login.example.com", ClientID: "tocsin", Read: []string{"soc"}},
	} {
		pages, err := console.New(console.Config{API: k.api, Ring: k.ring, OIDC: cfg, As: api.As, PublicURL: publicURL})
		must(t, err)
		at, err := url.Parse(k.url + "/console/")
		must(t, err)
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/console/", nil)
		for _, c := range k.client.Jar.Cookies(at) {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		pages.ServeHTTP(w, r)
		if w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/console/sign-in") {
			t.Errorf("%s: got %d %s", name, w.Code, w.Header().Get("Location"))
		}
	}
	plain := newKit(t)
	plain.get(http.StatusNotFound, "/console/oidc/start")
	plain.client = browser(t)
	plain.get(http.StatusOK, "/console/sign-in").lacks("or with a key", "oidc")
}

func TestOIDCIsNotMadeWithoutWhatItNeeds(t *testing.T) {
	ring, err := tocsin.ParseKeyRing(tocsin.GenerateKey("test"))
	must(t, err)
	good := console.OIDC{Issuer: "https://login.example.com", ClientID: "tocsin", Read: []string{"soc"}}
	for name, spoil := range map[string]func(*console.Config, *console.OIDC){
		"no way to tell the API": func(c *console.Config, _ *console.OIDC) { c.As = nil },
		"public URL":             func(c *console.Config, _ *console.OIDC) { c.PublicURL = "" },
		"client id":              func(_ *console.Config, o *console.OIDC) { o.ClientID = "" },
		"nobody could sign in":   func(_ *console.Config, o *console.OIDC) { o.Read = nil },
	} {
		o := good
		cfg := console.Config{API: http.NotFoundHandler(), Ring: ring, OIDC: &o, As: api.As, PublicURL: publicURL}
		spoil(&cfg, &o)
		if _, err := console.New(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
