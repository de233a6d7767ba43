package console

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// route is one method of one path below Base.
type route struct {
	// pattern is as http.ServeMux takes it, without Base: "POST webhooks/{id}/pause".
	pattern string
	// public lets in who has not signed in.
	public bool
	do     func(*request) error
}

// Me is who the visitor is to the API.
type Me struct {
	Actor  string   `json:"actor"`
	Name   string   `json:"name"`
	Scopes []string `json:"scopes"`
}

// Can reports whether the visitor's key has a scope. A page leaves out what it cannot do;
// the API refuses it anyway.
func (m Me) Can(scope string) bool {
	return slices.Contains(m.Scopes, scope) || slices.Contains(m.Scopes, admin)
}

// request is one request of a visitor that is let in.
type request struct {
	*http.Request
	w       http.ResponseWriter
	console *Console
	client
	me      Me
	session session
	now     time.Time
}

// maxForm bounds what a form may hold: a webhook may have 1 MiB, percent-encoded.
const maxForm = 4 << 20

// endpoint wraps a route with what all have in common: the session, the token of forms,
// and what is shown of errors.
func (c *Console) endpoint(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &request{Request: r, w: w, console: c, now: time.Now()}
		defer func() {
			v := recover()
			if v == http.ErrAbortHandler { // of the server's own
				panic(v)
			}
			if v != nil {
				p.failed(fmt.Errorf("panic: %v", v))
			}
		}()
		if err := p.handle(rt); err != nil {
			p.failed(err)
		}
	})
}

func (p *request) handle(rt route) error {
	if err := p.console.origin.Check(p.Request); err != nil {
		return forbidden("A page of another site may not do this.")
	}
	p.Body = http.MaxBytesReader(p.w, p.Body, maxForm)
	if in, err := p.enter(); err != nil || !in {
		if rt.public && (err == nil || isUnauthorized(err)) {
			return rt.do(p)
		}
		if err != nil && !isUnauthorized(err) {
			return err
		}
		return p.toSignIn(err)
	}
	if p.Method != http.MethodGet && p.Method != http.MethodHead && !rt.public && !p.tokenHolds() {
		return forbidden("This form is of a session that is over. Load the page again, then repeat what you did.")
	}
	return rt.do(p)
}

// enter finds the session and asks the API whether its key is still good; false when
// there is no session.
func (p *request) enter() (bool, error) {
	var ok bool
	p.session, ok = p.console.sessions.of(p.Request, p.now)
	if !ok && p.console.Open {
		p.session, ok = p.console.sessions.begin(p.w, "", p.now), true
	}
	p.client = client{api: p.console.API, in: p.Request, key: p.session.Key}
	if p.session.User != "" {
		ok = p.asUser() && ok
	}
	if !ok {
		return false, nil
	}
	return true, p.get("/v1/me", &p.me)
}

// asUser makes the API's calls those of somebody who signed in without a key; false when
// they would not be let in any more.
func (p *request) asUser() bool {
	o := p.console.oidc
	if o == nil || p.session.Issuer != o.Issuer {
		return false
	}
	p.user, p.scopes, p.as = p.session.User, o.scopes(p.session.Values), p.console.As
	return len(p.scopes) > 0
}

// renewable reports whether a sign-in by the provider is over that it may renew by itself.
func (p *request) renewable() bool {
	return p.Method == http.MethodGet && p.session.User != "" && p.console.oidc != nil && !p.now.Before(p.session.Until)
}

// tokenHolds reports whether the request carries the session's token, as a form or as a
// request of htmx.
func (p *request) tokenHolds() bool {
	if token := p.Header.Get("X-CSRF-Token"); token != "" {
		return p.session.holds(token)
	}
	return p.session.holds(p.PostFormValue("csrf"))
}

// toSignIn sends a visitor without a session to the sign-in page, and back afterwards.
func (p *request) toSignIn(why error) error {
	if why != nil {
		p.console.sessions.end(p.w)
	}
	// A browser that follows a link from another site keeps a strict cookie back. What the
	// page itself then asks for has it.
	if p.Method == http.MethodGet && p.Header.Get("Sec-Fetch-Site") == "cross-site" {
		return p.execute(http.StatusOK, "bounce", "bounce", View{Title: "Tocsin", Here: p.here()})
	}
	if why == nil && p.renewable() {
		p.redirect(oidcStart(p.here()))
		return nil
	}
	// A form that asks while somebody fills it in stays: leaving would lose what they typed.
	if p.Method == http.MethodPost && p.Header.Get("HX-Request") != "" {
		p.w.WriteHeader(http.StatusUnauthorized)
		return nil
	}
	to := Base + "sign-in"
	q := url.Values{}
	if p.Method == http.MethodGet && p.here() != Base && !p.isPart() {
		q.Set("next", p.here())
	}
	if why != nil {
		q.Set("over", "1")
	}
	if len(q) > 0 {
		to += "?" + q.Encode()
	}
	p.redirect(to)
	return nil
}

// redirect sends the visitor to another page, also when htmx asked.
func (p *request) redirect(to string) {
	if p.Header.Get("HX-Request") != "" {
		p.w.Header().Set("HX-Redirect", to)
		p.w.WriteHeader(http.StatusOK)
		return
	}
	p.w.Header().Set("Location", to)
	p.w.WriteHeader(http.StatusSeeOther)
}

// done leaves a notice and sends the visitor to the page that shows it: the end of every
// form that succeeded.
func (p *request) done(to, notice string) error {
	p.console.sessions.flash(p.w, notice)
	p.redirect(to)
	return nil
}

// here is the address of this page, path and query, without what asks for a part of it.
func (p *request) here() string {
	q := p.URL.Query()
	q.Del("part")
	if len(q) == 0 {
		return p.URL.EscapedPath()
	}
	return p.URL.EscapedPath() + "?" + q.Encode()
}

// isPart reports whether only a part of the page is asked for, as live parts do.
func (p *request) isPart() bool { return p.URL.Query().Get("part") != "" }

// View is what templates are given.
type View struct {
	Title   string
	Me      Me
	Open    bool
	Nav     []navGroup
	Links   []Link
	Version string
	Theme   string
	// Here is the page's own address; Token what its forms carry.
	Here, Token string
	// Flash is a notice of what was just done.
	Flash string
	Now   time.Time
	// Problem is what the API refused of a form; nil for nothing.
	Problem *Problem
	// Data is the page's own.
	Data any
}

// CSRF is the hidden field of every form.
func (v View) CSRF() template.HTML {
	// #nosec G203 -- a token of letters and digits, escaped all the same
	return template.HTML(`<input type="hidden" name="csrf" value="` + template.HTMLEscapeString(v.Token) + `">`)
}

// Live is the attributes of an element that holds a part of this page, and asks for it
// anew every few seconds while the page is looked at.
func (v View) Live(part string, seconds int) template.HTMLAttr {
	at := v.Here + "?"
	if strings.Contains(v.Here, "?") {
		at = v.Here + "&"
	}
	// #nosec G203 -- the address is escaped
	return template.HTMLAttr(fmt.Sprintf(`id="part-%[1]s" data-live hx-get="%[2]spart=%[1]s" hx-trigger="every %[3]ds, refresh" hx-swap="innerHTML"`,
		template.HTMLEscapeString(part), template.HTMLEscapeString(at), seconds))
}

// show answers with a page of the section it belongs to, or with the part of it that is
// asked for. name is the template's file without ".html".
func (p *request) show(section, name, title string, data any) error {
	return p.showStatus(http.StatusOK, section, name, title, data, nil)
}

// refused shows a form again with what the API refused of it. Other errors come back.
func (p *request) refused(err error, section, name, title string, data any) error {
	var problem *Problem
	if !errors.As(err, &problem) || !problem.OfForm() {
		return err
	}
	return p.showStatus(problem.Status, section, name, title, data, problem)
}

func (p *request) showStatus(status int, section, name, title string, data any, problem *Problem) error {
	define := "layout"
	view := p.view(section, title, data)
	view.Problem = problem
	if part := p.URL.Query().Get("part"); part != "" {
		define = "part:" + part
		if p.console.pages[name].Lookup(define) == nil {
			return &Problem{Title: "There is no such thing", Status: http.StatusNotFound, Code: tocsin.CodeNotFound, Detail: "This page has no part of that name."}
		}
	} else {
		view.Flash = p.console.sessions.takeFlash(p.w, p.Request)
	}
	return p.execute(status, name, define, view)
}

func (p *request) view(section, title string, data any) View {
	return View{
		Title: title, Me: p.me, Open: p.console.Open, Nav: p.console.navigation(p.me, section), Links: p.console.Links,
		Version: p.console.Version, Theme: p.theme(), Here: p.here(), Token: p.session.Token, Now: p.now, Data: data,
	}
}

// execute renders before it commits itself to a status.
func (p *request) execute(status int, name, define string, view View) error {
	var b bytes.Buffer
	if err := p.console.pages[name].ExecuteTemplate(&b, define, view); err != nil {
		return fmt.Errorf("rendering %s: %w", name, err)
	}
	p.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	p.w.WriteHeader(status)
	_, _ = p.w.Write(b.Bytes()) // the reader went away
	return nil
}
