package console

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// commonRoutes are those that belong to no section.
func commonRoutes() []route {
	return []route{
		{pattern: "GET sign-in", public: true, do: signInPage},
		{pattern: "POST sign-in", public: true, do: signIn},
		{pattern: "POST sign-out", do: signOut},
		{pattern: "POST theme", do: setTheme},
	}
}

// signInData is the sign-in form.
type signInData struct {
	Next string
	// Over says that a session ended, rather than never began.
	Over bool
	// Provider is where people sign in without a key, Start the address that begins it; ""
	// when there is no such place.
	Provider, Start string
}

func (p *request) signInData(next string, over bool) signInData {
	data := signInData{Next: next, Over: over}
	if o := p.console.oidc; o != nil {
		data.Provider, data.Start = o.Issuer, oidcStart(next)
		if u, err := url.Parse(o.Issuer); err == nil {
			data.Provider = u.Host
		}
	}
	return data
}

func signInPage(p *request) error {
	next := localPath(p.URL.Query().Get("next"))
	if p.me.Actor != "" {
		p.redirect(next)
		return nil
	}
	return p.show("sign-in", "sign-in", "Sign in", p.signInData(next, p.URL.Query().Get("over") != ""))
}

// signIn tries a key on the API, which counts tries that fail by address.
func signIn(p *request) error {
	key := strings.TrimSpace(p.PostFormValue("key"))
	next := localPath(p.PostFormValue("next"))
	p.client = client{api: p.console.API, in: p.Request, key: key}
	err := p.get("/v1/me", &p.me)
	var problem *Problem
	switch {
	case err == nil:
		p.console.sessions.begin(p.w, key, p.now)
		p.redirect(next)
		return nil
	case errors.As(err, &problem) && (problem.Status == http.StatusUnauthorized || problem.Status == http.StatusTooManyRequests):
		return p.showStatus(problem.Status, "sign-in", "sign-in", "Sign in", p.signInData(next, false), problem)
	}
	return err
}

func signOut(p *request) error {
	p.console.sessions.end(p.w)
	p.redirect(Base + "sign-in")
	return nil
}

// themes are what pages look like; "" is as the system has it.
var themes = map[string]bool{"dark": true, "light": true, "": true}

func (p *request) theme() string {
	c, err := p.Cookie(themeCookie)
	if err != nil || !themes[c.Value] {
		return ""
	}
	return c.Value
}

func setTheme(p *request) error {
	theme := p.PostFormValue("theme")
	if !themes[theme] {
		return forbidden("A theme is dark, light or the system's.")
	}
	const year = 365 * 24 * 60 * 60
	http.SetCookie(p.w, p.console.sessions.cookie(themeCookie, theme, year))
	p.redirect(localPath(p.PostFormValue("next")))
	return nil
}

// localPath returns an address as one of the console's own; the overview's for any other,
// so that no link to us leads elsewhere.
func localPath(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(path.Clean(u.Path)+"/", Base) || strings.ContainsAny(address, "\\\r\n") {
		return Base
	}
	return address
}
