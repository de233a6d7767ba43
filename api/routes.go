package api

import (
	"net/http"
	"slices"

	"github.com/tocsin-alerts/tocsin"
)

// The scopes of keys. ScopeAdmin includes the other two.
const (
	ScopeIngest = "ingest" // submit events
	ScopeRead   = "read"   // see everything but secrets
	ScopeAdmin  = "admin"  // change anything, and see keys and the audit log
	scopePublic = ""       // no key is asked for
	scopeAny    = "any"    // any good key
)

// route is one method of one path. It has either handle or change.
type route struct {
	method, path, scope string
	handle              func(w http.ResponseWriter, r *http.Request) error

	// action is what the audit log calls the change.
	action string
	change changeFunc
	// upload says that the body may take long to come: the handler's patience begins after it.
	upload bool
	// dryRun says that the change can be tried without being made.
	dryRun bool
}

// changes is a route that changes something: it needs the scope admin, and is audited.
func changes(method, path, action string, do changeFunc) route {
	return route{method: method, path: path, scope: ScopeAdmin, action: action, change: do}
}

// tried is a change that knows ?dry_run=true.
func tried(r route) route {
	r.dryRun = true
	return r
}

func reads(path, scope string, handle func(http.ResponseWriter, *http.Request) error) route {
	return route{method: "GET", path: path, scope: scope, handle: handle}
}

func (s *server) routes() []route {
	return slices.Concat(s.eventRoutes(), s.webhookRoutes(), s.trialRoutes(), s.operationRoutes(), s.publicRoutes())
}

func (s *server) eventRoutes() []route {
	return []route{
		{method: "POST", path: "/v1/events", scope: ScopeIngest, upload: true, handle: bare(s.submitEvents)},
		reads("/v1/events", ScopeRead, s.listEvents),
		reads("/v1/events/{source}/{id}", ScopeRead, bare(s.getEvent)),
		reads("/v1/events/{source}/{id}/why", ScopeRead, bare(s.why)),

		reads("/v1/deliveries", ScopeRead, s.listDeliveries),
		reads("/v1/deliveries/{id}", ScopeRead, bare(s.getDelivery)),
		changes("POST", "/v1/deliveries/{id}/redeliver", "delivery.redeliver", s.redeliver),

		reads("/v1/ledger", ScopeRead, s.ledger),
		reads("/v1/activity", ScopeRead, s.activity),
		reads("/v1/alert-types", ScopeRead, bare(s.alertTypes)),
		reads("/v1/channels", ScopeRead, bare(s.channels)),
	}
}

func (s *server) webhookRoutes() []route {
	return []route{
		reads("/v1/webhooks", ScopeRead, s.listWebhooks),
		tried(changes("POST", "/v1/webhooks", "webhook.create", s.createWebhook)),
		reads("/v1/webhooks/{id}", ScopeRead, bare(s.getWebhook)),
		tried(changes("PATCH", "/v1/webhooks/{id}", "webhook.change", s.changeWebhook)),
		changes("DELETE", "/v1/webhooks/{id}", "webhook.delete", s.deleteWebhook),
		changes("POST", "/v1/webhooks/{id}/test", "webhook.test", s.testWebhook),
		changes("POST", "/v1/webhooks/{id}/check", "webhook.check", s.checkWebhook),
		changes("POST", "/v1/webhooks/{id}/pause", "webhook.pause", s.act(s.Webhooks.Pause)),
		changes("POST", "/v1/webhooks/{id}/resume", "webhook.resume", s.act(s.Webhooks.Resume)),
		changes("POST", "/v1/webhooks/{id}/run", "webhook.run", s.act(s.Webhooks.RunNow)),
		changes("POST", "/v1/webhooks/{id}/rotate-secret", "webhook.rotate_secret", s.rotateSecret),
		reads("/v1/webhooks/{id}/preview", ScopeRead, bare(s.previewWebhook)),
		{method: "POST", path: "/v1/webhooks/{id}/preview", scope: ScopeRead, handle: bare(s.previewWebhook)},
		reads("/v1/webhooks/{id}/deliveries", ScopeRead, s.listDeliveries),
		reads("/v1/webhooks/{id}/rejections", ScopeRead, s.listRejections),
	}
}

func (s *server) operationRoutes() []route {
	return []route{
		reads("/v1/mutes", ScopeRead, s.listMutes),
		changes("POST", "/v1/mutes", "mute.create", s.createMute),
		reads("/v1/mutes/{id}", ScopeRead, bare(s.getMute)),
		changes("DELETE", "/v1/mutes/{id}", "mute.end", s.endMute),

		reads("/v1/replays", ScopeRead, s.listReplays),
		tried(changes("POST", "/v1/replays", "replay.create", s.createReplay)),
		reads("/v1/replays/{id}", ScopeRead, bare(s.getReplay)),
		changes("POST", "/v1/replays/{id}/pause", "replay.pause", s.steer(s.Webhooks.PauseReplay)),
		changes("POST", "/v1/replays/{id}/resume", "replay.resume", s.steer(s.Webhooks.ResumeReplay)),
		changes("POST", "/v1/replays/{id}/cancel", "replay.cancel", s.steer(s.Webhooks.CancelReplay)),

		reads("/v1/incidents", ScopeRead, s.listIncidents),
		reads("/v1/incidents/{id}", ScopeRead, bare(s.getIncident)),
		changes("POST", "/v1/incidents/{id}/acknowledge", "incident.acknowledge", s.changeIncident(tocsin.IncidentAcknowledged)),
		changes("POST", "/v1/incidents/{id}/resolve", "incident.resolve", s.changeIncident(tocsin.IncidentResolved)),

		reads("/v1/keys", ScopeAdmin, s.listKeys),
		changes("POST", "/v1/keys", "key.create", s.createKey),
		changes("DELETE", "/v1/keys/{id}", "key.delete", s.deleteKey),
		changes("POST", "/v1/keys/{id}/rotate", "key.rotate", s.rotateKey),
		reads("/v1/audit", ScopeAdmin, s.listAudit),
		reads("/v1/me", scopeAny, s.me),
	}
}

func (s *server) publicRoutes() []route {
	return []route{
		reads("/-/healthy", scopePublic, healthy),
		reads("/-/ready", scopePublic, s.ready),
		reads("/metrics", scopePublic, s.serveMetrics()),
		reads("/.well-known/tocsin-keys", scopePublic, s.publicKeys),
		reads("/openapi.yaml", scopePublic, openAPI),
	}
}

// bare is for a handler that knows no parameters: who sends one, such as dry_run, takes it
// to mean something.
func bare(handle func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := readQuery(r.URL.RawQuery).err(); err != nil {
			return err
		}
		return handle(w, r)
	}
}
