package app

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
	"github.com/tocsin-alerts/tocsin/console"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// withConsole serves the console, and the configured handlers, beside the API. A browser
// that asks for "/" gets to the console; everybody else is answered by the API.
func (a *App) withConsole(rest http.Handler) (http.Handler, error) {
	pages, err := console.New(console.Config{
		API: rest, OIDC: a.cfg.OIDC, As: api.As, Open: a.cfg.Open, Ring: a.ring, PublicURL: a.cfg.PublicURL, WorkflowURL: a.workflowURL(),
		Links: a.links(), Version: a.cfg.Version, Logger: a.log,
	})
	if err != nil {
		return nil, err
	}
	handlers := map[string]http.Handler{
		console.Base: pages,
		"GET /{$}": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.Header.Get("Accept"), "text/html") {
				rest.ServeHTTP(w, r)
				return
			}
			http.Redirect(w, r, console.Base, http.StatusFound)
		}),
	}
	maps.Copy(handlers, a.cfg.Handlers)
	return beside(rest, handlers), nil
}

// links are the places that the navigation ends with.
func (a *App) links() []console.Link {
	links := a.cfg.Links
	if a.cfg.TemporalUI != "" {
		links = append(links, console.Link{Title: "Temporal Web UI", URL: a.temporalUI(workflows.WebUIPath(a.namespace, ""))})
	}
	return links
}

// temporalUI is the address of a page of Temporal's Web UI.
func (a *App) temporalUI(path string) string { return strings.TrimRight(a.cfg.TemporalUI, "/") + path }

// workflowURL finds an object's workflow in Temporal's Web UI; nil when nobody said where
// that is.
func (a *App) workflowURL() func(string) string {
	if a.cfg.TemporalUI == "" {
		return nil
	}
	page := func(workflow string) string { return a.temporalUI(workflows.WebUIPath(a.namespace, workflow)) }
	return func(id string) string {
		kind, key, _ := strings.Cut(id, "_")
		switch kind {
		case tocsin.PrefixWebhook:
			return page(workflows.WebhookWorkflowID(id))
		case tocsin.PrefixReplay:
			return page(workflows.ReplayWorkflowID(id))
		case tocsin.PrefixIncident:
			return page(workflows.IncidentWorkflowID(key))
		}
		return ""
	}
}

func checkTemporalUI(raw string) error {
	if raw == "" {
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("TOCSIN_TEMPORAL_UI: %q is not a plain http or https URL; write for example https://temporal.example.com", raw)
	}
	return nil
}
