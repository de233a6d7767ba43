package pagerduty

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
	"github.com/tocsin-alerts/tocsin/integrations/internal/settings"
)

// The addresses of the Events API: https://developer.pagerduty.com/docs/events-api-v2-overview
// and https://support.pagerduty.com/main/docs/service-regions
var regions = map[string]string{
	"us": "https://events.pagerduty.com",
	"eu": "https://events.eu.pagerduty.com",
}

// The paths below them: https://developer.pagerduty.com/docs/send-alert-event and
// https://developer.pagerduty.com/docs/send-change-event
const (
	enqueuePath = "/v2/enqueue"
	changePath  = "/v2/change/enqueue"
)

const (
	// keyLength and letters and digits alone are what the API checks: "Length of
	// 'routing_key' is incorrect (should be 32 characters)", "'routing_key' cannot contain
	// non-alphanumeric characters." https://developer.pagerduty.com/docs/send-alert-event
	keyLength     = 32
	maxName       = 255
	defaultClient = "Tocsin"
)

// config is a configuration, read. The texts are "" for what each event says.
type config struct {
	key, base               string
	component, group, class string
	client                  string
	changes                 bool
}

var keys = []string{"routing_key", "region", "url", "component", "group", "class", "change_events", "client"}

// parse reads a configuration without looking at the address.
func parse(raw json.RawMessage) (config, error) {
	o, err := settings.Parse(raw)
	if err != nil {
		return config{}, err
	}
	var p settings.Problems
	o.Unknown(&p, keys...)
	c := config{
		key: readKey(o, &p), base: regions[o.Choice(&p, "region", "us", "us", "eu")],
		component: name(o, &p, "component"), group: name(o, &p, "group"), class: name(o, &p, "class"),
		client: name(o, &p, "client"), changes: o.Bool(&p, "change_events", false),
	}
	if c.client == "" {
		c.client = defaultClient
	}
	if override := readURL(o, &p); override != "" {
		c.base = override
	}
	// "Currently, change events cannot be sent to ruleset integration keys (these keys begin
	// with the character R)": https://developer.pagerduty.com/docs/events-api-v2-overview
	if c.changes && strings.HasPrefix(c.key, "R") {
		p.Add("change_events", "cannot be true with the key of a ruleset (R…), which takes no change events; want the key of a service's integration")
	}
	return c, p.Err()
}

// readKey reads the routing key. No error repeats it.
func readKey(o settings.Object, p *settings.Problems) string {
	before := len(*p)
	key := o.String(p, "routing_key")
	alphanumeric := !strings.ContainsFunc(key, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
	switch {
	case len(*p) > before:
	case key == "":
		p.Add("routing_key", "required; want the 32 characters of an Events API V2 integration's key")
	case len(key) != keyLength || !alphanumeric:
		p.Add("routing_key", "want 32 letters and digits: the key of an integration of the type Events API V2, not an API access key")
	}
	return key
}

// name reads a text that is shown as a name.
func name(o settings.Object, p *settings.Problems, key string) string {
	v := o.String(p, key)
	if n := alert.Runes(v); n > maxName {
		p.Add(key, "is %d characters long; at most %d", n, maxName)
	}
	return v
}

// readURL reads the address in place of a region's. With the path of the API it is the
// same as without.
func readURL(o settings.Object, p *settings.Problems) string {
	raw := o.String(p, "url")
	if raw == "" {
		return ""
	}
	if u, err := url.Parse(raw); err == nil && (u.RawQuery != "" || u.ForceQuery) {
		p.Add("url", "has a query (?…); want https://host")
	}
	bare := func(text string) string { return strings.TrimRight(text, "/") }
	if base := bare(strings.TrimSuffix(bare(raw), enqueuePath)); base != "" {
		return base
	}
	return raw
}

// Complete implements tocsin.Channel: the defaults; there is nothing to generate.
func (c *Channel) Complete(raw json.RawMessage) (json.RawMessage, []string, error) {
	o, err := settings.Parse(raw)
	if err != nil {
		return nil, nil, err
	}
	if !o.Has("region") {
		o.Set("region", "us")
	}
	if !o.Has("change_events") {
		o.Set("change_events", false)
	}
	if !o.Has("client") {
		o.Set("client", defaultClient)
	}
	out, err := o.JSON()
	return out, nil, err
}

// Validate implements tocsin.Channel. Plain http is taken only where its address is
// allowed by CIDR, since the key travels in the body.
func (c *Channel) Validate(ctx context.Context, raw json.RawMessage) error {
	cfg, err := parse(raw)
	if err != nil {
		return err
	}
	if err := c.client.CheckSecureURL(ctx, cfg.base); err != nil {
		return tocsin.Invalid("config.url", "%v", err)
	}
	return nil
}

// Public implements tocsin.Channel.
func (c *Channel) Public(raw json.RawMessage) (json.RawMessage, error) {
	return settings.Public(raw, []string{"routing_key"}, "url")
}
