package settings

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// Complete is a configuration with defaults for what is absent.
func Complete(config json.RawMessage, defaults map[string]any) (json.RawMessage, error) {
	o, err := Parse(config)
	if err != nil {
		return nil, err
	}
	o.Fill(defaults)
	return o.JSON()
}

// Fill sets what is absent.
func (o Object) Fill(defaults map[string]any) {
	for key, value := range defaults {
		if !o.Has(key) {
			o.Set(key, value)
		}
	}
}

// certificates are the keys of texts that everybody may see, and that hold no private key
// unless they were stored by hand.
var certificates = []string{"ca_cert", "client_cert"}

// Public is a configuration without its secrets. urls are keys of addresses, which hold none
// unless they were stored by hand; neither do certificates.
func Public(config json.RawMessage, secrets []string, urls ...string) (json.RawMessage, error) {
	o, err := Parse(config)
	if err != nil {
		return nil, err
	}
	o.Redact(secrets...)
	for _, key := range urls {
		o.HideURL(key)
	}
	o.HideKeys()
	return o.JSON()
}

// HideKeys redacts the certificates among whose texts is a private key.
func (o Object) HideKeys() {
	for _, key := range certificates {
		var value any
		if json.Unmarshal(o[key], &value) == nil && strings.Contains(strings.ToUpper(fmt.Sprint(value)), "PRIVATE KEY") {
			o.Set(key, tocsin.Redacted)
		}
	}
}

// Redact hides what is there under these keys.
func (o Object) Redact(secrets ...string) {
	for _, key := range secrets {
		if o.Has(key) {
			o.Set(key, tocsin.Redacted)
		}
	}
}

// BaseURL reads an address that a path is appended to: it is required, and has neither a
// query nor that path. Where it leads is for whoever validates it.
func (o Object) BaseURL(p *Problems, key, example, path string) string {
	before := len(*p)
	raw := o.String(p, key)
	if raw == "" {
		if len(*p) == before {
			p.Add(key, "required; want for example %s", example)
		}
		return ""
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil: // the check of the address says what is wrong, without repeating it
	case u.RawQuery != "" || u.ForceQuery:
		p.Add(key, "has a query; want scheme, host and port, for example %s", example)
	case strings.Contains(u.Path, path):
		p.Add(key, "leave out %s, which is appended; want for example %s", path, example)
	}
	return strings.TrimRight(raw, "/")
}
