package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/internal/settings"
)

// The values a configuration may have.
var (
	keys    = []string{"url", "method", "headers", "query", "body_template", "signing_secret", "old_secret_until", "format"}
	methods = []string{"POST", "PUT", "PATCH"}
	formats = []string{formatTocsin, formatOCSF, formatCloudEvents}
)

// config is a configuration as it is used.
type config struct {
	url      string // with the query
	method   string
	header   http.Header
	format   string
	signing  [][]byte      // the newer first
	oldUntil time.Time     // when the second of signing ceases to sign; zero: never
	template *bodyTemplate // nil: none
	json     bool          // the body claims to be JSON
	secrets  []string
}

// secretsAt returns the secrets that sign at a moment.
func (c *config) secretsAt(at time.Time) [][]byte {
	if len(c.signing) > 1 && !c.oldUntil.IsZero() && !at.Before(c.oldUntil) {
		return c.signing[:1]
	}
	return c.signing
}

// complete fills in defaults, moves query parameters of the URL to query, drops an old
// secret whose time is over, and makes a signing secret where there is none. What it
// cannot read it leaves to validation.
func complete(raw json.RawMessage, now time.Time) (json.RawMessage, []string, error) {
	o, err := settings.Parse(raw)
	if err != nil {
		return nil, nil, err
	}
	splitQuery(o)
	dropOldSecret(o, now)
	var generated []string
	for key, value := range map[string]string{"method": "POST", "format": "tocsin"} {
		if !o.Has(key) {
			o.Set(key, value)
		}
	}
	var method string
	if json.Unmarshal(o["method"], &method) == nil {
		o.Set("method", strings.ToUpper(method))
	}
	if !o.Has("signing_secret") || string(o["signing_secret"]) == "[]" {
		o.Set("signing_secret", newSecret())
		generated = []string{"signing_secret"}
	}
	out, err := o.JSON()
	return out, generated, err
}

// dropOldSecret removes the second secret once old_secret_until is past: it signs
// nothing any more, and what is not stored cannot leak.
func dropOldSecret(o settings.Object, now time.Time) {
	var list []json.RawMessage
	var until string
	if json.Unmarshal(o["signing_secret"], &list) != nil || len(list) != maxSecrets || json.Unmarshal(o["old_secret_until"], &until) != nil {
		return
	}
	if at, err := time.Parse(time.RFC3339, until); err != nil || now.Before(at) {
		return
	}
	o["signing_secret"] = list[0]
	delete(o, "old_secret_until")
}

// splitQuery moves the query of the URL, where tokens are often found, to query, whose
// values are write-only. A stored URL has none, so one that is there was written just
// now and goes before what query has. A parameter that is in the URL twice stays for
// validation to complain about.
func splitQuery(o settings.Object) {
	var raw string
	query := map[string]json.RawMessage{}
	if json.Unmarshal(o["url"], &raw) != nil || o.Has("query") && json.Unmarshal(o["query"], &query) != nil {
		return
	}
	u, err := url.Parse(raw)
	if err != nil || u.RawQuery == "" && !u.ForceQuery {
		return
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return
	}
	for _, v := range values {
		if len(v) != 1 {
			return
		}
	}
	for name, v := range values {
		query[name], _ = json.Marshal(v[0]) // a string always encodes
	}
	u.RawQuery, u.ForceQuery = "", false
	o.Set("url", u.String())
	if len(query) > 0 {
		o.Set("query", query)
	}
}

// parseConfig reads a configuration. All that can be known without the network and
// without rendering is checked.
func parseConfig(raw json.RawMessage) (config, error) {
	o, err := settings.Parse(raw)
	if err != nil {
		return config{}, err
	}
	splitQuery(o)
	var p settings.Problems
	o.Unknown(&p, keys...)
	c := config{method: choice(&p, o, "method", methods), header: http.Header{}}
	if c.format = choice(&p, o, "format", formats); !slices.Contains(formats, c.format) {
		c.format = formatTocsin // noted
	}
	c.readHeaders(&p, o)
	c.readURL(&p, o)
	c.readSecrets(&p, o)
	c.readOldUntil(&p, o)
	c.readTemplate(&p, o)
	return c, p.Err()
}

// choice reads a string that is one of allowed; the first is the default.
func choice(p *settings.Problems, o settings.Object, key string, allowed []string) string {
	before := len(*p)
	value := o.String(p, key)
	if value == "" || len(*p) > before {
		return allowed[0]
	}
	if slices.Contains(allowed, strings.ToUpper(value)) {
		return strings.ToUpper(value)
	}
	if !slices.Contains(allowed, value) {
		p.Add(key, "%q is not available; allowed: %s", value, strings.Join(allowed, ", "))
	}
	return value
}

func (c *config) readHeaders(p *settings.Problems, o settings.Object) {
	headers := o.Map(p, "headers")
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		value := headers[name]
		if err := post.CheckHeader(name, value); err != nil {
			p.Add("headers."+name, "%v", err)
			continue
		}
		if _, twice := c.header[textproto.CanonicalMIMEHeaderKey(name)]; twice {
			p.Add("headers."+name, "given twice; upper and lower case are the same header")
		}
		c.header.Set(name, value)
		if !post.OpenHeader(name) {
			c.secrets = append(c.secrets, value)
		}
	}
	if c.header.Get("Content-Type") == "" {
		c.header.Set("Content-Type", contentTypes[c.format])
	}
	media, _, err := mime.ParseMediaType(c.header.Get("Content-Type"))
	if err != nil {
		p.Add("headers.content-type", "cannot be read as a media type; want for example application/json")
	}
	c.json = media == "application/json" || strings.HasSuffix(media, "+json")
}

// readURL joins url and query.
func (c *config) readURL(p *settings.Problems, o settings.Object) {
	query := o.Map(p, "query")
	before := len(*p)
	raw := o.String(p, "url")
	if len(*p) > before {
		return
	}
	u, err := url.Parse(raw)
	if raw == "" {
		p.Add("url", "required; want https://host/path")
		return
	} else if err != nil {
		c.url = raw // for the check of the URL, whose words are better
		return
	}
	if u.RawQuery != "" {
		p.Add("url", "has query parameters that are given twice, or cannot be read; give each once, under query")
	}
	values := url.Values{}
	for name, value := range query {
		if name == "" {
			p.Add("query", "a parameter has no name")
		}
		values.Set(name, value)
		c.secrets = append(c.secrets, value)
	}
	u.RawQuery = values.Encode()
	c.url = u.String()
}

func (c *config) readSecrets(p *settings.Problems, o settings.Object) {
	texts := o.Strings(p, "signing_secret")
	if len(texts) > maxSecrets {
		p.Add("signing_secret", "%d secrets; at most %d: the new one and the old one", len(texts), maxSecrets)
		return
	}
	for i, text := range texts {
		if text == "" {
			continue // noted already, or absent
		}
		key, err := parseSecret(text)
		if err != nil {
			path := "signing_secret"
			if len(texts) > 1 {
				path = fmt.Sprintf("signing_secret[%d]", i)
			}
			p.Add(path, "%v", err)
			continue
		}
		c.signing = append(c.signing, key)
		c.secrets = append(c.secrets, text, strings.TrimPrefix(text, secretPrefix))
	}
}

func (c *config) readOldUntil(p *settings.Problems, o settings.Object) {
	const key = "old_secret_until"
	text := o.String(p, key)
	if text == "" {
		return
	}
	at, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		p.Add(key, "%.40q is not a time; want for example 2026-03-02T08:00:00Z", text)
	case len(o.Strings(&settings.Problems{}, "signing_secret")) != maxSecrets:
		p.Add(key, "says when the old one of two secrets ends; signing_secret must be a list of two")
	}
	c.oldUntil = at
}

func (c *config) readTemplate(p *settings.Problems, o settings.Object) {
	text := o.String(p, "body_template")
	if text == "" {
		return
	}
	if c.format != formatTocsin {
		p.Add("body_template", "goes with format %s only, not with %.40q, which says itself what the body is; leave one of them out", formatTocsin, c.format)
		return
	}
	t, err := compile(text)
	if err != nil {
		p.Add("body_template", "does not render: %v", err)
		return
	}
	c.template = t
}

// validate checks a configuration, tries its template, and checks the address it names.
func (c *Channel) validate(ctx context.Context, raw json.RawMessage) error {
	parsed, err := parseConfig(raw)
	var p settings.Problems
	if e, ok := err.(*tocsin.Error); ok {
		p = e.Fields
	}
	if parsed.template != nil {
		if err := trial(ctx, parsed.template, parsed.json, c.guide); err != nil {
			p.Add("body_template", "does not render: %v", err)
		}
	}
	if parsed.url != "" {
		if err := c.client.CheckURL(ctx, parsed.url); err != nil {
			p.Add("url", "%v", err)
		}
	}
	return p.Err()
}

// public hides header values but the harmless, query values and signing secrets.
func public(raw json.RawMessage) (json.RawMessage, error) {
	o, err := settings.Parse(raw)
	if err != nil {
		return nil, err
	}
	splitQuery(o)
	for _, key := range []string{"headers", "query"} {
		if !o.Has(key) {
			continue
		}
		var values map[string]json.RawMessage
		if json.Unmarshal(o[key], &values) != nil {
			o.Set(key, tocsin.Redacted)
			continue
		}
		for name := range values {
			if key == "query" || !post.OpenHeader(name) {
				values[name] = json.RawMessage(`"` + tocsin.Redacted + `"`)
			}
		}
		o.Set(key, values)
	}
	var list []json.RawMessage
	if json.Unmarshal(o["signing_secret"], &list) == nil && len(list) > 0 {
		o.Set("signing_secret", slices.Repeat([]string{tocsin.Redacted}, len(list)))
	} else if o.Has("signing_secret") {
		o.Set("signing_secret", tocsin.Redacted)
	}
	o.HideURL("url")
	return o.JSON()
}
