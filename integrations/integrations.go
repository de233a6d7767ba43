// Package integrations lists the channels: one folder and one line for each.
//
// A channel knows no other channel, no store and no Temporal. It takes everything from
// its configuration and the notification, talks HTTP through internal/post alone, and
// exists only if its tests call integrationtest.Run.
package integrations

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/integrations/datadog"
	"github.com/tocsin-alerts/tocsin/integrations/elasticsearch"
	"github.com/tocsin-alerts/tocsin/integrations/email"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/jira"
	"github.com/tocsin-alerts/tocsin/integrations/pagerduty"
	"github.com/tocsin-alerts/tocsin/integrations/sentinel"
	"github.com/tocsin-alerts/tocsin/integrations/slack"
	"github.com/tocsin-alerts/tocsin/integrations/splunk"
	"github.com/tocsin-alerts/tocsin/integrations/syslog"
	"github.com/tocsin-alerts/tocsin/integrations/teams"
	"github.com/tocsin-alerts/tocsin/integrations/webhook"
)

// Options configure all channels. The zero value is ready for production.
type Options struct {
	// AllowCIDRs are ranges that may be sent to although they are not public
	// (TOCSIN_EGRESS_ALLOW).
	AllowCIDRs []netip.Prefix
	// Timeout is the total time of one request; 0: 20 s.
	Timeout time.Duration
	// Catalog gives guidance for threats and samples for templates; nil: the embedded.
	Catalog *catalog.Catalog
	// Logger; nil: slog.Default.
	Logger *slog.Logger
	// UserAgent is what receivers see; "": Tocsin/1.
	UserAgent string
	// Resolver looks up hosts; nil: the system's.
	Resolver post.Resolver
	// Signers returns the installation's keys, which sign the deliveries of the channel
	// webhook with v1a beside the webhook's own secret (v1). nil: v1 alone. It is called
	// for every request.
	Signers func(ctx context.Context) ([]webhook.Signer, error)
}

// Channels returns every channel, sharing one HTTP client.
func Channels(o Options) []tocsin.Channel {
	if o.Catalog == nil {
		o.Catalog = catalog.Default()
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	client := post.New(post.Options{AllowCIDRs: o.AllowCIDRs, Timeout: o.Timeout, UserAgent: o.UserAgent, Resolver: o.Resolver})
	return []tocsin.Channel{
		webhook.New(client, o.Catalog, o.Signers),
		slack.New(client, o.Logger),
		email.New(client, o.Logger),
		teams.New(client),
		pagerduty.New(client, o.Catalog),
		jira.New(client, o.Catalog, o.Logger),
		splunk.New(client, o.Logger),
		elasticsearch.New(client),
		datadog.New(client),
		sentinel.New(client),
		syslog.New(client),
	}
}
