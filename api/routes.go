package api

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The scopes of keys. ScopeAdmin includes the other two.
const (
	ScopeIngest = "ingest" // submit events
	ScopeRead   = "read"   // see everything but secrets
	ScopeAdmin  = "admin"  // change webhooks, redeliver
	scopePublic = ""       // no key is asked for
)

// route is one method of one path.
type route struct {
	method, path, scope string
	handle              func(w http.ResponseWriter, r *http.Request) error
}

func (s *server) routes() []route {
	return []route{
		{"POST", "/v1/events", ScopeIngest, s.submitEvents},
		{"GET", "/v1/events", ScopeRead, s.listEvents},
		{"GET", "/v1/events/{source}/{id}", ScopeRead, s.getEvent},
		{"GET", "/v1/events/{source}/{id}/why", ScopeRead, s.why},

		{"GET", "/v1/webhooks", ScopeRead, s.listWebhooks},
		{"POST", "/v1/webhooks", ScopeAdmin, s.createWebhook},
		{"GET", "/v1/webhooks/{id}", ScopeRead, s.getWebhook},
		{"PATCH", "/v1/webhooks/{id}", ScopeAdmin, s.changeWebhook},
		{"DELETE", "/v1/webhooks/{id}", ScopeAdmin, s.deleteWebhook},
		{"POST", "/v1/webhooks/{id}/test", ScopeAdmin, s.testWebhook},
		{"POST", "/v1/webhooks/{id}/pause", ScopeAdmin, s.act(s.Webhooks.Pause)},
		{"POST", "/v1/webhooks/{id}/resume", ScopeAdmin, s.act(s.Webhooks.Resume)},
		{"POST", "/v1/webhooks/{id}/run", ScopeAdmin, s.act(s.Webhooks.RunNow)},
		{"GET", "/v1/webhooks/{id}/preview", ScopeRead, s.previewWebhook},
		{"POST", "/v1/webhooks/{id}/preview", ScopeRead, s.previewWebhook},
		{"GET", "/v1/webhooks/{id}/deliveries", ScopeRead, s.listDeliveries},

		{"GET", "/v1/deliveries", ScopeRead, s.listDeliveries},
		{"GET", "/v1/deliveries/{id}", ScopeRead, s.getDelivery},
		{"POST", "/v1/deliveries/{id}/redeliver", ScopeAdmin, s.redeliver},

		{"GET", "/v1/ledger", ScopeRead, s.ledger},
		{"GET", "/v1/alert-types", ScopeRead, s.alertTypes},
		{"GET", "/v1/channels", ScopeRead, s.channels},

		{"GET", "/-/healthy", scopePublic, healthy},
		{"GET", "/-/ready", scopePublic, s.ready},
		{"GET", "/metrics", scopePublic, serve(promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{}))},
		{"GET", "/openapi.yaml", scopePublic, openAPI},
	}
}

// serve makes a handler of another package an endpoint.
func serve(h http.Handler) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}
