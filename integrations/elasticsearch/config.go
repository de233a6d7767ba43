package elasticsearch

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
	"unicode"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/format"
	"github.com/tocsin-alerts/tocsin/integrations/internal/settings"
)

// The formats of a document.
const (
	formatTocsin      = "tocsin"
	formatOCSF        = "ocsf"
	formatCloudEvents = "cloudevents"
)

// formats make a document of an event.
var formats = map[string]func(*tocsin.Event) (json.RawMessage, error){
	formatTocsin: format.JSON, formatOCSF: format.OCSF, formatCloudEvents: format.CloudEvent,
}

// The suffixes of an index.
const (
	dateNone    = "none"
	dateDaily   = "daily"
	dateMonthly = "monthly"
)

// layouts are the suffixes in the forms that Logstash and Beats made customary.
var layouts = map[string]string{dateNone: "", dateDaily: "-2006.01.02", dateMonthly: "-2006.01"}

// defaultIndex is written to where a configuration names none.
const defaultIndex = "tocsin-alerts"

var keys = []string{"url", "api_key", "username", "password", "index", "index_date", "pipeline", "format", "gzip", "ca_cert"}

// config is a configuration as it is used.
type config struct {
	url      string // the base, without a final slash
	auth     string // the value of Authorization, or ""
	secrets  []string
	index    string
	layout   string // of the index's suffix
	pipeline string
	format   string
	gzip     bool
	ca       string
}

// indexOf is the index for an event of this time.
func (c *config) indexOf(at time.Time) string {
	if c.layout == "" {
		return c.index
	}
	return c.index + at.UTC().Format(c.layout)
}

// pattern matches every index that is written to.
func (c *config) pattern() string {
	if c.layout == "" {
		return c.index
	}
	return c.index + "-*"
}

// complete fills in the defaults.
func complete(raw json.RawMessage) (json.RawMessage, error) {
	return settings.Complete(raw, map[string]any{"index": defaultIndex, "index_date": dateNone, "format": formatTocsin, "gzip": true})
}

// parse reads a configuration. All that can be known without the network is checked.
func parse(raw json.RawMessage) (config, error) {
	o, err := settings.Parse(raw)
	if err != nil {
		return config{}, err
	}
	var p settings.Problems
	o.Unknown(&p, keys...)
	date := o.Choice(&p, "index_date", dateNone, dateNone, dateDaily, dateMonthly)
	c := config{
		url: o.BaseURL(&p, "url", "https://es.example.com:9200", "/_bulk"), layout: layouts[date], pipeline: pipeline(o, &p), gzip: o.Bool(&p, "gzip", true),
		format: o.Choice(&p, "format", formatTocsin, formatTocsin, formatOCSF, formatCloudEvents), ca: o.String(&p, "ca_cert"),
	}
	c.index = index(o, &p, len(c.layout))
	c.readAuth(o, &p)
	return c, p.Err()
}

// index reads the name of an index, data stream or alias; suffix is what comes behind it.
// The rules are those of
// https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-indices-create
func index(o settings.Object, p *settings.Problems, suffix int) string {
	const most = 255
	before := len(*p)
	name := o.String(p, "index")
	if len(*p) > before || name == "" {
		return defaultIndex
	}
	switch {
	case len(name)+suffix > most:
		p.Add("index", "is %d bytes long with its date; at most %d", len(name)+suffix, most)
	case strings.ToLower(name) != name:
		p.Add("index", "is %.60q; want lower case", name)
	case strings.ContainsAny(name, `\/*?"<>|,#: `) || strings.ContainsFunc(name, unicode.IsControl):
		p.Add("index", `is %.60q; it may have none of \ / * ? " < > | , # : and no space`, name)
	case strings.ContainsAny(name[:1], "-_+") || name == "." || name == "..":
		p.Add("index", "is %.60q; it may not begin with - _ or +", name)
	}
	return name
}

func pipeline(o settings.Object, p *settings.Problems) string {
	before := len(*p)
	name := o.String(p, "pipeline")
	if len(*p) == before && (len(name) > 255 || strings.ContainsFunc(name, unicode.IsControl)) {
		p.Add("pipeline", "want the name of an ingest pipeline, at most 255 bytes on one line")
	}
	return name
}

// readAuth reads an API key, or a user and a password. No error repeats a secret.
func (c *config) readAuth(o settings.Object, p *settings.Problems) {
	before := len(*p)
	key, user, password := o.String(p, "api_key"), o.String(p, "username"), o.String(p, "password")
	if len(*p) > before {
		return
	}
	switch {
	case key != "" && (user != "" || password != ""):
		p.Add("api_key", "goes without username and password; give one or the other")
	case key != "":
		c.readKey(key, p)
	case user == "" && password != "":
		p.Add("username", "required beside a password")
	case user != "" && password == "":
		p.Add("password", "required beside a username")
	case strings.Contains(user, ":"):
		// https://www.rfc-editor.org/rfc/rfc7617#section-2
		p.Add("username", "contains a colon, which ends the name in Basic authentication")
	case user != "":
		c.auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
		c.secrets = []string{password, c.auth}
	}
}

// readKey takes a key in either form that Elasticsearch shows: encoded, or id:api_key.
// https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-security-create-api-key
func (c *config) readKey(key string, p *settings.Problems) {
	encoded, plain := key, key
	if strings.Contains(key, ":") {
		encoded = base64.StdEncoding.EncodeToString([]byte(key))
	} else if text, err := base64.StdEncoding.DecodeString(key); err == nil {
		plain = string(text)
	}
	switch {
	case strings.HasPrefix(strings.ToLower(key), "apikey "):
		p.Add("api_key", "give the key alone, without the word ApiKey before it")
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		p.Add("api_key", "contains a space or a control character; want the encoded key, or id:api_key")
	case !strings.Contains(plain, ":"):
		p.Add("api_key", "is neither an encoded key nor id:api_key")
	}
	c.auth = "ApiKey " + encoded
	_, secret, _ := strings.Cut(plain, ":")
	c.secrets = []string{key, encoded, plain, secret, c.auth}
}

// public hides the secrets.
func public(raw json.RawMessage) (json.RawMessage, error) {
	return settings.Public(raw, []string{"api_key", "password"}, "url")
}
