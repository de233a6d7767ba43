package slack

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/internal/settings"
)

// defaultAPI is the Web API's address: https://docs.slack.dev/apis/web-api/
const defaultAPI = "https://slack.com/api/"

// The values of group_by.
const (
	byIncident = "incident"
	byDelivery = "delivery"
)

// channelID is an encoded id: public, private or direct
// (https://docs.slack.dev/reference/objects/conversation-object).
var channelID = regexp.MustCompile(`^[CGD][A-Z0-9]{2,30}$`)

// botOnly are the keys that an incoming webhook has no use for.
var botOnly = []string{"token", "channel", "group_by", "api_url"}

// config is a configuration as it is used: of an incoming webhook, or of a bot.
type config struct {
	hook    string // the URL; "" for a bot
	token   string
	channel string
	groupBy string
	api     string // ends with a slash
}

// parse reads a configuration without looking at addresses.
func parse(raw json.RawMessage) (config, error) {
	o, err := settings.Parse(raw)
	if err != nil {
		return config{}, err
	}
	var p settings.Problems
	o.Unknown(&p, append([]string{"url"}, botOnly...)...)
	c := config{
		hook: o.String(&p, "url"), token: o.String(&p, "token"), channel: o.String(&p, "channel"),
		groupBy: o.Choice(&p, "group_by", byIncident, byIncident, byDelivery), api: o.String(&p, "api_url"),
	}
	switch {
	case len(p) > 0: // whatever else is wrong may come of this
	case c.hook != "":
		c.checkHook(o, &p)
	case c.token == "" && c.channel == "":
		p.Add("url", "required; want https://hooks.slack.com/services/…, or a bot's token and channel in its place")
	default:
		c.checkBot(&p)
	}
	return c, p.Err()
}

func (c *config) checkHook(o settings.Object, p *settings.Problems) {
	for _, key := range botOnly {
		if o.Has(key) {
			p.Add(key, "belongs to a bot's token; an incoming webhook has a channel of its own, so give either this or url")
		}
	}
	u, err := url.Parse(c.hook)
	if err == nil && isSlack(u.Hostname()) && !strings.HasPrefix(u.Path, "/services/") && !strings.HasPrefix(u.Path, "/workflows/") {
		p.Add("url", "is not an incoming webhook; want https://hooks.slack.com/services/…, "+
			"since a trigger of Workflow Builder takes its own variables and no blocks")
	}
}

func (c *config) checkBot(p *settings.Problems) {
	switch {
	case c.token == "":
		p.Add("token", "required with channel; want a bot token, xoxb-…")
	case strings.HasPrefix(c.token, "xapp-"):
		p.Add("token", "is an app-level token, which cannot post; want the bot token, xoxb-…, from OAuth & Permissions")
	case !strings.HasPrefix(c.token, "xox") || strings.ContainsFunc(c.token, func(r rune) bool { return r <= ' ' || r > '~' }):
		p.Add("token", "is not a Slack token; want a bot token, xoxb-…")
	}
	switch {
	case c.channel == "":
		p.Add("channel", "required with token; want the channel's id, for example C0123456789")
	case !channelID.MatchString(c.channel):
		p.Add("channel", "%.40q is not a channel's id; want for example C0123456789, from the end of the channel's details (messages cannot be updated by a name)", c.channel)
	}
	if c.api == "" {
		c.api = defaultAPI
	}
	if !strings.HasSuffix(c.api, "/") {
		c.api += "/"
	}
	if u, err := url.Parse(c.api); err == nil && u.RawQuery != "" {
		p.Add("api_url", "has a query; want for example %s", defaultAPI)
	}
}

// isSlack reports whether host is Slack's own, commercial or for governments.
func isSlack(host string) bool {
	host = strings.ToLower(host)
	return host == "hooks.slack.com" || host == "hooks.slack-gov.com"
}

// Complete implements tocsin.Channel; there is nothing to generate.
func (c *Channel) Complete(raw json.RawMessage) (json.RawMessage, []string, error) {
	o, err := settings.Parse(raw)
	if err != nil {
		return nil, nil, err
	}
	if o.Has("token") {
		o.Fill(map[string]any{"group_by": byIncident, "api_url": defaultAPI})
	}
	out, err := o.JSON()
	return out, nil, err
}

// Validate implements tocsin.Channel. Any https receiver is taken, since others speak
// the same format; plain http only where its address is allowed by CIDR.
func (c *Channel) Validate(ctx context.Context, raw json.RawMessage) error {
	cfg, err := parse(raw)
	if err != nil {
		return err
	}
	key, to := "url", cfg.hook
	if cfg.hook == "" {
		key, to = "api_url", cfg.api
	}
	if err := c.client.CheckSecureURL(ctx, to); err != nil {
		return tocsin.Invalid("config."+key, "%v", err)
	}
	return nil
}

// Public implements tocsin.Channel: the URL of an incoming webhook is a secret, as is a
// token.
func (c *Channel) Public(raw json.RawMessage) (json.RawMessage, error) {
	return settings.Public(raw, []string{"url", "token"}, "api_url")
}

// Open implements tocsin.Channel.
func (c *Channel) Open(raw json.RawMessage) (tocsin.Sender, error) {
	cfg, err := parse(raw)
	if err != nil {
		return nil, err
	}
	base := wire{channel: c, url: cfg.hook}
	if cfg.hook == "" {
		base.url, base.redact = cfg.api, post.NewRedactor(cfg.token, "Bearer "+cfg.token)
		return &bot{wire: base, config: cfg}, nil
	}
	u, err := url.Parse(cfg.hook)
	if err != nil {
		return nil, tocsin.Invalid("config.url", "cannot be read as a URL")
	}
	secrets := []string{cfg.hook, strings.Trim(u.EscapedPath(), "/"), u.RawQuery}
	if parts := strings.Split(u.Path, "/"); len(parts) > 2 {
		secrets = append(secrets, parts[len(parts)-1]) // the token
	}
	base.redact = post.NewRedactor(secrets...)
	return &hook{wire: base, slack: isSlack(u.Hostname())}, nil
}

// errNoEvents is what rendering nothing comes to.
var errNoEvents = errors.New("the delivery has no events")
