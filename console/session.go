package console

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"
)

const (
	sessionCookie = "tocsin_session"
	flashCookie   = "tocsin_flash"
	themeCookie   = "tocsin_theme"

	// sessionLife is how long a sign-in holds; the key it was made with is asked for again
	// with every request.
	sessionLife = 12 * time.Hour
	// flashLife is how long a notice waits for the page that shows it.
	flashLife = time.Minute
)

// session is what the cookie holds, sealed.
type session struct {
	// Key is the text of the API key; "" where none is asked for.
	Key string `json:"key,omitempty"`
	// User is who signed in by OpenID Connect, without a key; Issuer is who said so, Values
	// are those of their claim that mattered. What they mean is looked at with every request.
	User   string   `json:"user,omitempty"`
	Issuer string   `json:"issuer,omitempty"`
	Values []string `json:"values,omitempty"`
	// Token is what forms carry, so that a request of another page is told.
	Token string    `json:"token"`
	Until time.Time `json:"until"`
}

// sessions makes and reads cookies. They are sealed, so that they open in every process
// with the same ring and nowhere else, and nothing of them is stored.
type sessions struct {
	ring interface {
		Seal(plain []byte, bound string) []byte
		Open(sealed []byte, bound string) ([]byte, error)
	}
	secure bool
}

// begin makes a session for a key and gives it to the browser.
func (s sessions) begin(w http.ResponseWriter, key string, now time.Time) session {
	one := session{Key: key, Token: rand.Text(), Until: now.Add(sessionLife)}
	s.put(w, sessionCookie, one, sessionLife)
	return one
}

// beginUser makes a session for somebody whom a provider knows. The browser keeps it
// longer than it holds, so that we see that it was one, and ask the provider again.
func (s sessions) beginUser(w http.ResponseWriter, o *provider, who person, now time.Time) {
	one := session{User: who.name, Issuer: o.Issuer, Values: who.values, Token: rand.Text(), Until: now.Add(oidcLife)}
	s.put(w, sessionCookie, one, sessionLife)
}

// of returns the session that a request carries; false when there is none that holds.
func (s sessions) of(r *http.Request, now time.Time) (session, bool) {
	var one session
	ok := s.open(r, sessionCookie, &one)
	return one, ok && one.Token != "" && now.Before(one.Until)
}

// end takes the session from the browser.
func (s sessions) end(w http.ResponseWriter) { s.drop(w, sessionCookie) }

// holds reports whether a token is the session's.
func (one session) holds(token string) bool {
	return one.Token != "" && subtle.ConstantTimeCompare([]byte(one.Token), []byte(token)) == 1
}

// flash leaves a notice for the next page.
func (s sessions) flash(w http.ResponseWriter, text string) {
	s.put(w, flashCookie, text, flashLife)
}

// takeFlash returns the notice that was left, once.
func (s sessions) takeFlash(w http.ResponseWriter, r *http.Request) string {
	var text string
	if _, err := r.Cookie(flashCookie); err != nil {
		return ""
	}
	s.drop(w, flashCookie)
	s.open(r, flashCookie, &text)
	return text
}

func (s sessions) put(w http.ResponseWriter, name string, v any, life time.Duration) {
	plain, err := json.Marshal(v)
	if err != nil {
		return // texts and times always encode
	}
	http.SetCookie(w, s.cookie(name, base64.RawURLEncoding.EncodeToString(s.ring.Seal(plain, name)), int(life.Seconds())))
}

func (s sessions) open(r *http.Request, name string, out any) bool {
	cookie, err := r.Cookie(name)
	if err != nil {
		return false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil {
		return false
	}
	plain, err := s.ring.Open(sealed, name)
	return err == nil && json.Unmarshal(plain, out) == nil
}

func (s sessions) drop(w http.ResponseWriter, name string) { http.SetCookie(w, s.cookie(name, "", -1)) }

func (s sessions) cookie(name, value string, seconds int) *http.Cookie {
	return &http.Cookie{ // #nosec G124 -- Secure wherever browsers come by https
		Name: name, Value: value, Path: Base, MaxAge: seconds,
		HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteStrictMode,
	}
}
