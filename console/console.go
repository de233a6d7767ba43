package console

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

// Base is the path that the console is served under.
const Base = "/console/"

// Config is what the console works with.
type Config struct {
	// API is the public API's handler. Every page is made of its answers. Required.
	API http.Handler
	// Open says that the API asks for no keys; then there is no sign-in.
	Open bool
	// OIDC is sign-in by a provider, beside keys; nil for none. With it, As and PublicURL
	// are required: As tells the API whom a request of this process is made for.
	OIDC *OIDC
	As   func(ctx context.Context, user string, scopes []string) context.Context
	// Ring seals sessions, by keys derived from it. Required: processes that share a ring
	// share sessions.
	Ring *tocsin.KeyRing
	// PublicURL is where browsers reach this Tocsin. Cookies are Secure when it is https.
	PublicURL string
	// WorkflowURL returns the address of the page about an object's workflow ("wh_…",
	// "replay_…", and "inc_" with a [tocsin.IncidentKey]) in Temporal's Web UI, "" for none.
	// Nil makes no links.
	WorkflowURL func(id string) string
	// Links are further places at the end of the navigation.
	Links []Link
	// Version is the program's own.
	Version string
	// Logger takes what visitors are not told. Nil is slog.Default().
	Logger *slog.Logger
}

// Link is a place outside of the console.
type Link struct{ Title, URL string }

// Console is the handler of everything under Base.
type Console struct {
	Config
	mux      *http.ServeMux
	pages    map[string]*template.Template
	sections []section
	sessions sessions
	origin   *http.CrossOriginProtection
	oidc     *provider // nil for none
	assets   assets
}

// New returns the console's handler, to be served at Base. It returns an error when
// something required is missing.
func New(cfg Config) (*Console, error) {
	switch {
	case cfg.API == nil:
		return nil, errors.New("making the console: no API")
	case cfg.Ring == nil:
		return nil, errors.New("making the console: no key ring")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	c := &Console{Config: cfg, mux: http.NewServeMux(), sections: allSections(), origin: http.NewCrossOriginProtection()}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("making the console: %w", err)
	}
	ring, err := cfg.Ring.For("console session")
	if err != nil {
		return nil, fmt.Errorf("making the console: %w", err)
	}
	c.sessions = sessions{ring: ring, secure: strings.HasPrefix(cfg.PublicURL, "https://")}
	if err := c.signInByProvider(); err != nil {
		return nil, fmt.Errorf("making the console: %w", err)
	}
	c.handle(commonRoutes()...)
	for _, s := range c.sections {
		c.handle(s.routes...)
	}
	return c, nil
}

// signInByProvider adds sign-in by OpenID Connect, when that is configured and there is
// anything to sign in to.
func (c *Console) signInByProvider() (err error) {
	if c.OIDC == nil || c.Open {
		return nil
	}
	if c.As == nil {
		return errors.New("OIDC: no way to tell the API who asks")
	}
	if c.oidc, err = newProvider(*c.OIDC, c.PublicURL); err != nil {
		return err
	}
	c.handle(oidcRoutes()...)
	return nil
}

// load reads what is embedded.
func (c *Console) load() (err error) {
	if c.assets, err = loadAssets(); err != nil {
		return err
	}
	c.pages, err = parsePages(c.assets)
	return err
}

// handle serves routes; a pattern is a method and a path below Base: "GET webhooks/{id}".
func (c *Console) handle(routes ...route) {
	for _, r := range routes {
		method, path, _ := strings.Cut(r.pattern, " ")
		c.mux.Handle(method+" "+Base+path, c.endpoint(r))
	}
}

// ServeHTTP answers one request of a browser.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	headers(w.Header())
	if rest, ok := strings.CutPrefix(r.URL.Path, Base+"static/"); ok {
		c.assets.serve(w, r, rest)
		return
	}
	handler, pattern := c.mux.Handler(r)
	if pattern == "" {
		handler = c.endpoint(route{do: notFound})
	}
	if strings.Contains(pattern, "{") {
		handler = c.mux // which fills in the path's values
	}
	handler.ServeHTTP(w, r)
}

// headers are what every answer has. Nothing is loaded from elsewhere, nothing in a page
// runs or styles itself, and no page of another site frames ours or reads our addresses.
func headers(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}
