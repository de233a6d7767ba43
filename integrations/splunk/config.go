package splunk

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/internal/settings"
)

// The formats of a record.
const (
	formatTocsin      = "tocsin"
	formatOCSF        = "ocsf"
	formatCloudEvents = "cloudevents"
	formatCEF         = "cef"
)

var keys = []string{"url", "token", "index", "source", "sourcetype", "host", "format", "fields", "gzip", "ack", "ca_cert"}

// defaults are filled in by Complete, so that users see them.
var defaults = map[string]any{"source": "tocsin", "sourcetype": "tocsin", "format": formatTocsin, "gzip": true, "ack": false}

// maxFields keeps records readable; Splunk has no limit of its own.
const maxFields = 32

// config is a configuration as it is used.
type config struct {
	url        string // the base, without a final slash
	token      string
	index      string
	source     string
	sourcetype string
	host       string
	format     string
	fields     map[string]string
	gzip       bool
	ack        bool
	caCert     string
}

// parse reads a configuration without looking where its address leads.
func parse(raw json.RawMessage) (config, error) {
	o, err := settings.Parse(raw)
	if err != nil {
		return config{}, err
	}
	var p settings.Problems
	o.Unknown(&p, keys...)
	c := config{
		url: o.BaseURL(&p, "url", "https://splunk.example.com:8088", "/services/collector"), token: token(o, &p), index: index(o, &p),
		source: line(o, &p, "source", "tocsin"), sourcetype: line(o, &p, "sourcetype", "tocsin"), host: line(o, &p, "host", ""),
		format: o.Choice(&p, "format", formatTocsin, formatTocsin, formatOCSF, formatCloudEvents, formatCEF),
		fields: fields(o, &p),
		gzip:   o.Bool(&p, "gzip", true), ack: o.Bool(&p, "ack", false), caCert: o.String(&p, "ca_cert"),
	}
	return c, p.Err()
}

// token reads the token, which no error repeats.
func token(o settings.Object, p *settings.Problems) string {
	before := len(*p)
	t := o.String(p, "token")
	switch {
	case len(*p) > before:
	case t == "":
		p.Add("token", "required; the token of a HTTP Event Collector input")
	case strings.HasPrefix(strings.ToLower(t), "splunk "):
		p.Add("token", "give the token alone, without the word Splunk before it")
	case strings.ContainsAny(t, " \t") || post.CheckHeader("Authorization", t) != nil:
		p.Add("token", "contains a space, a control character, or is too long to be a token")
	}
	return t
}

// indexName is what Splunk allows:
// https://help.splunk.com/en/splunk-enterprise/administer/manage-indexers-and-indexer-clusters/manage-indexes/create-custom-indexes
var indexName = regexp.MustCompile(`^[a-z0-9_][a-z0-9_-]*$`)

func index(o settings.Object, p *settings.Problems) string {
	before := len(*p)
	name := o.String(p, "index")
	if len(*p) == before && name != "" && (!indexName.MatchString(name) || len(name) > 80) {
		p.Add("index", "%.40q is not the name of an index; want at most 80 lower-case letters, digits, _ and -", name)
	}
	return name
}

// line reads a text that stands in one of Splunk's own fields.
func line(o settings.Object, p *settings.Problems, key, def string) string {
	before := len(*p)
	text := o.String(p, key)
	switch {
	case len(*p) > before:
	case text == "":
		return def
	case len(text) > 1024 || strings.ContainsAny(text, "\r\n\x00"):
		p.Add(key, "want one line of at most 1024 bytes")
	}
	return text
}

// fieldName is a name that searches can use without quotes; a leading underscore is
// Splunk's own.
var fieldName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,99}$`)

func fields(o settings.Object, p *settings.Problems) map[string]string {
	out := o.Map(p, "fields")
	if len(out) > maxFields {
		p.Add("fields", "has %d fields; at most %d", len(out), maxFields)
	}
	for name, value := range out {
		switch {
		case !fieldName.MatchString(name):
			p.Add("fields", "%.40q is not a field's name; want a letter, then letters, digits and _", name)
		case reserved(name):
			p.Add("fields", "%s is set by Tocsin or by Splunk; choose another name", name)
		case value == "" || len(value) > 1024:
			p.Add("fields."+name, "want 1 to 1024 bytes")
		}
	}
	return out
}

// reserved are the fields that records have anyway.
func reserved(name string) bool {
	switch name {
	case fieldUID, fieldDelivery, fieldTest, "host", "source", "sourcetype", "index", "time", "event":
		return true
	}
	return false
}

// public is the configuration without its secret.
func public(raw json.RawMessage) (json.RawMessage, error) {
	return settings.Public(raw, []string{"token"}, "url")
}
