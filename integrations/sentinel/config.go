package sentinel

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"

	"github.com/tocsin-alerts/tocsin/integrations/internal/settings"
)

// The formats of a row.
const (
	formatTocsin = "tocsin"
	formatOCSF   = "ocsf"
)

var keys = []string{"endpoint", "rule_id", "stream", "tenant_id", "client_id", "client_secret", "login_url", "scope", "format", "gzip"}

// publicLogin is Entra's address outside of the national clouds, whose addresses are in
// https://learn.microsoft.com/en-us/entra/identity-platform/authentication-national-cloud
const publicLogin = "https://login.microsoftonline.com"

// scopes are what a token is for, by the host it comes from:
// https://learn.microsoft.com/en-us/azure/azure-monitor/logs/logs-ingestion-api-overview#headers
var scopes = map[string]string{
	"login.microsoftonline.us":         "https://monitor.azure.us/.default",
	"login.partner.microsoftonline.cn": "https://monitor.azure.cn/.default",
	"login.chinacloudapi.cn":           "https://monitor.azure.cn/.default",
}

const publicScope = "https://monitor.azure.com/.default"

// config is a configuration as it is used.
type config struct {
	endpoint string // without a final slash
	rule     string
	stream   string
	tenant   string
	client   string
	secret   string
	login    string // without a final slash
	scope    string
	format   string
	gzip     bool
}

// complete fills in the defaults, but for the scope: it follows from login_url, also when
// that changes.
func complete(raw json.RawMessage) (json.RawMessage, error) {
	o, err := settings.Parse(raw)
	if err != nil {
		return nil, err
	}
	if string(o["login_url"]) != `""` && !o.Has("login_url") {
		o.Set("login_url", publicLogin)
	}
	if !o.Has("format") {
		o.Set("format", formatTocsin)
	}
	if !o.Has("gzip") {
		o.Set("gzip", true)
	}
	return o.JSON()
}

// scopeOf is the scope that belongs to a login address.
func scopeOf(login string) string {
	u, err := url.Parse(login)
	if err == nil && scopes[u.Hostname()] != "" {
		return scopes[u.Hostname()]
	}
	return publicScope
}

var (
	ruleID = regexp.MustCompile(`^dcr-[0-9A-Za-z]+$`)
	stream = regexp.MustCompile(`^Custom-[0-9A-Za-z_-]+$`)
	// name is a GUID, or a domain of a tenant; it stands in a path.
	name = regexp.MustCompile(`^[0-9A-Za-z]([0-9A-Za-z.-]*[0-9A-Za-z])?$`)
	// scopeForm keeps the scope to one URL or name.
	scopeForm = regexp.MustCompile(`^[0-9A-Za-z:/._-]+$`)
)

// parse reads a configuration without looking where its addresses lead.
func parse(raw json.RawMessage) (config, error) {
	o, err := settings.Parse(raw)
	if err != nil {
		return config{}, err
	}
	var p settings.Problems
	o.Unknown(&p, keys...)
	c := config{
		endpoint: base(o, &p, "endpoint", ""), login: base(o, &p, "login_url", publicLogin),
		rule:   matched(o, &p, "rule_id", ruleID, "want the rule's immutable id, dcr-…, not its resource id"),
		stream: matched(o, &p, "stream", stream, "want Custom-… as declared in the rule"),
		tenant: matched(o, &p, "tenant_id", name, "want the directory's id or one of its domains"),
		client: matched(o, &p, "client_id", name, "want the application's id"),
		secret: secret(o, &p),
		format: o.Choice(&p, "format", formatTocsin, formatTocsin, formatOCSF), gzip: o.Bool(&p, "gzip", true),
	}
	c.scope = scopeOf(c.login)
	if o.Has("scope") {
		c.scope = matched(o, &p, "scope", scopeForm, "want a scope as in "+publicScope)
	}
	return c, p.Err()
}

// matched reads a required text of a certain form.
func matched(o settings.Object, p *settings.Problems, key string, form *regexp.Regexp, want string) string {
	before := len(*p)
	text := o.String(p, key)
	switch {
	case len(*p) > before:
	case text == "":
		p.Add(key, "required; %s", want)
	case !form.MatchString(text) || len(text) > 255:
		p.Add(key, "is %.60q; %s", text, want)
	}
	return text
}

// secret reads the client's secret, which no error repeats.
func secret(o settings.Object, p *settings.Problems) string {
	before := len(*p)
	text := o.String(p, "client_secret")
	switch {
	case len(*p) > before:
	case text == "":
		p.Add("client_secret", "required; the value of a client secret of the application")
	case strings.ContainsAny(text, " \t\r\n\x00") || len(text) > 1024:
		p.Add("client_secret", "contains a space, a control character, or is too long to be a secret")
	}
	return text
}

// base reads an address. That it leads nowhere forbidden is Validate's.
func base(o settings.Object, p *settings.Problems, key, def string) string {
	before := len(*p)
	raw := o.String(p, key)
	if raw == "" {
		switch {
		case len(*p) > before:
		case string(o[key]) == `""`, def == "":
			p.Add(key, "required; want https://host")
		}
		return def
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil: // Validate says what is wrong, without repeating it
	case u.RawQuery != "" || u.ForceQuery:
		p.Add(key, "has a query; want https://host")
	case strings.Contains(u.Path, "/dataCollectionRules"), strings.Contains(u.Path, "/oauth2"):
		p.Add(key, "leave out the path, which is appended; want https://host")
	}
	return strings.TrimRight(raw, "/")
}

// public is the configuration without its secret.
func public(raw json.RawMessage) (json.RawMessage, error) {
	return settings.Public(raw, []string{"client_secret"}, "endpoint", "login_url")
}
