package datadog

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/internal/settings"
)

// The formats of a log.
const (
	formatTocsin = "tocsin"
	formatOCSF   = "ocsf"
)

// sites are Datadog's, by the name its own tools use for them:
// https://docs.datadoghq.com/getting_started/site/ and, for those that take logs,
// https://docs.datadoghq.com/api/latest/logs/#send-logs
var sites = []string{
	"datadoghq.com", "us3.datadoghq.com", "us5.datadoghq.com", "datadoghq.eu", "ap1.datadoghq.com", "ap2.datadoghq.com", "uk1.datadoghq.com",
	"ddog-gov.com", "us2.ddog-gov.com",
}

var keys = []string{"site", "url", "api_url", "api_key", "service", "source", "tags", "hostname", "format", "gzip"}

// defaults are filled in by Complete, so that users see them.
var defaults = map[string]any{"service": "tocsin", "source": "tocsin", "format": formatTocsin, "gzip": true}

const maxTags = 50

// config is a configuration as it is used.
type config struct {
	url      string // of the intake, without a path of ours
	api      string // of the API
	key      string
	service  string
	source   string
	hostname string
	tags     []string
	format   string
	gzip     bool
}

// complete fills in the defaults.
func complete(raw json.RawMessage) (json.RawMessage, error) {
	o, err := settings.Parse(raw)
	if err != nil {
		return nil, err
	}
	o.Fill(defaults)
	if !o.Has("site") && !o.Has("url") {
		o.Set("site", sites[0])
	}
	return o.JSON()
}

// parse reads a configuration without looking where its addresses lead.
func parse(raw json.RawMessage) (config, error) {
	o, err := settings.Parse(raw)
	if err != nil {
		return config{}, err
	}
	var p settings.Problems
	o.Unknown(&p, keys...)
	c := config{
		url: base(o, &p, "url"), api: base(o, &p, "api_url"), key: key(o, &p),
		service: line(o, &p, "service", "tocsin", 200), source: line(o, &p, "source", "tocsin", 200), hostname: line(o, &p, "hostname", "", 255),
		tags: tags(o, &p), format: o.Choice(&p, "format", formatTocsin, formatTocsin, formatOCSF), gzip: o.Bool(&p, "gzip", true),
	}
	c.address(site(o, &p))
	return c, p.Err()
}

// site reads the site; "" without one.
func site(o settings.Object, p *settings.Problems) string {
	before := len(*p)
	name := o.String(p, "site")
	if len(*p) > before || name == "" || slices.Contains(sites, name) {
		return name
	}
	// People copy the address of their browser.
	for _, known := range sites {
		if strings.TrimRight(strings.TrimPrefix(strings.TrimPrefix(name, "https://"), "app."), "/") == known {
			p.Add("site", "is %.60q; want %s", name, known)
			return ""
		}
	}
	p.Add("site", "is %.60q; allowed: %s", name, strings.Join(sites, ", "))
	return ""
}

// address settles where logs and questions go.
func (c *config) address(site string) {
	given := c.url
	if site == "" {
		site = sites[0]
	} else {
		given = ""
	}
	if c.api == "" && given != "" {
		c.api = given
	}
	if c.api == "" {
		c.api = "https://api." + site
	}
	if c.url == "" {
		c.url = "https://http-intake.logs." + site
	}
}

// base reads an address. That it leads nowhere forbidden is Validate's.
func base(o settings.Object, p *settings.Problems, key string) string {
	raw := o.String(p, key)
	if raw == "" {
		if string(o[key]) == `""` {
			p.Add(key, "is empty; leave it out for the site's own address")
		}
		return ""
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil: // Validate says what is wrong, without repeating it
	case u.RawQuery != "" || u.ForceQuery:
		p.Add(key, "has a query; want scheme, host and port alone, as in https://proxy.example.com")
	case strings.Contains(u.Path, "/api/v"):
		p.Add(key, "leave out %s, which is appended", u.Path)
	}
	return strings.TrimRight(raw, "/")
}

// key reads the API key, which no error repeats.
func key(o settings.Object, p *settings.Problems) string {
	before := len(*p)
	k := o.String(p, "api_key")
	switch {
	case len(*p) > before:
	case k == "":
		p.Add("api_key", "required; an API key of your organization")
	case strings.ContainsAny(k, " \t") || post.CheckHeader("DD-API-KEY", k) != nil:
		p.Add("api_key", "contains a space, a control character, or is too long to be a key")
	}
	return k
}

func line(o settings.Object, p *settings.Problems, key, def string, limit int) string {
	before := len(*p)
	text := o.String(p, key)
	switch {
	case len(*p) > before:
	case text == "":
		return def
	case len(text) > limit || strings.ContainsAny(text, "\r\n\x00"):
		p.Add(key, "want one line of at most %d bytes", limit)
	}
	return text
}

// tags reads the tags. They are joined by commas, so none may have one:
// https://docs.datadoghq.com/getting_started/tagging/#define-tags
func tags(o settings.Object, p *settings.Problems) []string {
	list := o.Strings(p, "tags")
	if len(list) > maxTags {
		p.Add("tags", "has %d tags; at most %d", len(list), maxTags)
	}
	for _, t := range list {
		if t == "" || len(t) > 200 || strings.ContainsAny(t, ", \r\n\t\x00") {
			p.Add("tags", "%.40q is not a tag; want at most 200 bytes without spaces and commas, as in env:production", t)
		}
	}
	return list
}

// public is the configuration without its secret.
func public(raw json.RawMessage) (json.RawMessage, error) {
	return settings.Public(raw, []string{"api_key"}, "url", "api_url")
}
