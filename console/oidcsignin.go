package console

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/tocsin-alerts/tocsin"
)

func oidcRoutes() []route {
	return []route{
		{pattern: "GET oidc/start", public: true, do: startOIDC},
		{pattern: "GET oidc/callback", public: true, do: finishOIDC},
	}
}

const (
	oidcCookie = "tocsin_oidc"
	oidcPath   = Base + "oidc/"
	// beginLife is how long somebody may take at the provider.
	beginLife = 10 * time.Minute
)

// begunSignIn is what a browser keeps, sealed, while somebody is at the provider.
type begunSignIn struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	Next     string    `json:"next"`
	Until    time.Time `json:"until"`
}

// startOIDC sends a visitor to the provider.
func startOIDC(p *request) error {
	next := localPath(p.URL.Query().Get("next"))
	o := p.console.oidc
	found, err := o.discover(p.Context())
	if err != nil {
		return p.providerFailed(err, next)
	}
	begun := begunSignIn{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Next: next, Until: p.now.Add(beginLife)}
	p.console.sessions.keepBegun(p.w, begun)
	p.redirect(o.config(found).AuthCodeURL(begun.State, oidc.Nonce(begun.Nonce), oauth2.S256ChallengeOption(begun.Verifier)))
	return nil
}

// keepBegun gives the browser what a sign-in began with. The cookie is Lax, since the
// provider's site sends the browser back, and goes to nothing but the sign-in.
func (s sessions) keepBegun(w http.ResponseWriter, begun begunSignIn) {
	plain, err := json.Marshal(begun)
	if err != nil {
		return // texts and times always encode
	}
	http.SetCookie(w, s.begunCookie(base64.RawURLEncoding.EncodeToString(s.ring.Seal(plain, oidcCookie)), int(beginLife.Seconds())))
}

func (s sessions) begunCookie(value string, seconds int) *http.Cookie {
	c := s.cookie(oidcCookie, value, seconds) // #nosec G124 -- Secure as all of ours; Lax, for the way back from the provider
	c.Path, c.SameSite = oidcPath, http.SameSiteLaxMode
	return c
}

// takeBegun returns what a sign-in began with, once; false for an answer that belongs to
// none of this browser's.
func (p *request) takeBegun() (begunSignIn, bool) {
	s := p.console.sessions
	var begun begunSignIn
	ok := s.open(p.Request, oidcCookie, &begun)
	http.SetCookie(p.w, s.begunCookie("", -1))
	state := p.URL.Query().Get("state")
	return begun, ok && begun.State != "" && p.now.Before(begun.Until) &&
		subtle.ConstantTimeCompare([]byte(begun.State), []byte(state)) == 1
}

// finishOIDC is where the provider sends a visitor back to.
func finishOIDC(p *request) error {
	o, q := p.console.oidc, p.URL.Query()
	begun, ok := p.takeBegun()
	if !ok {
		return p.notSignedIn(http.StatusBadRequest, "This sign-in is over",
			"It took longer than ten minutes, was finished already, or began in another browser or under another address than "+p.console.PublicURL+". Begin again.", Base)
	}
	if iss := q.Get("iss"); iss != "" && iss != o.Issuer {
		return p.notSignedIn(http.StatusBadRequest, "The answer is not the provider's", "Another issuer than the configured one answered.", begun.Next)
	}
	if code := q.Get("error"); code != "" {
		return p.notSignedIn(http.StatusForbidden, "The provider did not sign you in", strings.TrimSuffix("It says: "+code+". "+q.Get("error_description"), " "), begun.Next)
	}
	who, err := o.redeem(p.Context(), q.Get("code"), begun)
	var out notLetIn
	switch {
	case errors.As(err, &out):
		p.console.Logger.Warn("signing in by OIDC", "user", out.who, "error", out.why)
		return p.notSignedIn(http.StatusForbidden, "You are not let in, "+out.who, out.why, begun.Next)
	case err != nil:
		return p.providerFailed(err, begun.Next)
	}
	p.console.Logger.Info("signed in by OIDC", "user", who.name, "scopes", o.scopes(who.values))
	p.console.sessions.beginUser(p.w, o, who, p.now)
	// A redirect of a visit that another site began would come without the session, which
	// is kept to our own pages; a page of ours goes on with it.
	return p.execute(http.StatusOK, "bounce", "bounce", View{Title: "Tocsin", Here: begun.Next})
}

// providerFailed says what is wrong with the provider or its token. What exactly is in the
// log: answers of providers may hold what visitors should not see.
func (p *request) providerFailed(err error, next string) error {
	p.console.Logger.Error("signing in by OIDC", "issuer", p.console.oidc.Issuer, "error", err)
	var refused tokenError
	var answered *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused):
		return p.notSignedIn(http.StatusForbidden, "The provider's token is refused", "What it says about you could not be trusted: "+tokenWords(refused)+" The log of this process says more.", next)
	case errors.As(err, &answered):
		return p.notSignedIn(http.StatusBadGateway, "The provider did not accept the sign-in", "It refused to exchange the code that it had given out. The client's id, secret or redirect address may be wrong, or the code was used already. The log of this process says more.", next)
	}
	return p.notSignedIn(http.StatusBadGateway, "The identity provider cannot be reached", "Sign in with an API key meanwhile, or try again. The log of this process says what is wrong.", next)
}

// tokenWords says what is wrong with a token as far as it helps.
func tokenWords(err error) string {
	var expired *oidc.TokenExpiredError
	if errors.As(err, &expired) {
		return "it has expired; the clocks of the provider and of this machine may differ."
	}
	return "it is not signed by the provider, not meant for this Tocsin, or not for this sign-in."
}

// notSignedIn shows the sign-in page with the reason, and both ways to try again.
func (p *request) notSignedIn(status int, title, detail, next string) error {
	return p.showStatus(status, "sign-in", "sign-in", "Sign in", p.signInData(next, false), &Problem{Title: title, Status: status, Code: tocsin.CodeUnauthorized, Detail: detail})
}

// oidcStart is the address that signs in by the provider and comes back to a page.
func oidcStart(next string) string {
	if next == "" || next == Base {
		return oidcPath + "start"
	}
	return oidcPath + "start?" + url.Values{"next": {next}}.Encode()
}
