// Package settings takes a channel's configuration apart and says precisely what is
// wrong with it: every problem at once, each with the path of its field, and never
// with a value that may be a secret.
package settings

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// Object is a configuration by key.
type Object map[string]json.RawMessage

// Parse reads a configuration. Nothing and null are an empty one; anything but an
// object is an *tocsin.Error with CodeInvalid about "config".
func Parse(config json.RawMessage) (Object, error) {
	o := Object{}
	if len(config) == 0 {
		return o, nil
	}
	if err := json.Unmarshal(config, &o); err != nil {
		return nil, tocsin.Invalid("config", "want a JSON object, got %s", kind(config))
	}
	if o == nil {
		o = Object{}
	}
	return o, nil
}

// JSON writes the object back, keys sorted.
func (o Object) JSON() (json.RawMessage, error) { return json.Marshal(o) }

// Set puts a value that always encodes: strings, lists and maps of strings.
func (o Object) Set(key string, value any) {
	o[key], _ = json.Marshal(value)
}

// Has reports whether there is a value for key other than null and "".
func (o Object) Has(key string) bool {
	v := string(o[key])
	return v != "" && v != "null" && v != `""`
}

// Problems collects what is wrong.
type Problems []tocsin.FieldError

// Add notes a problem with config.<path>.
func (p *Problems) Add(path, format string, args ...any) {
	*p = append(*p, tocsin.FieldError{Field: "config." + path, Message: fmt.Sprintf(format, args...)})
}

// Err is nil without problems, otherwise an *tocsin.Error with CodeInvalid.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return &tocsin.Error{Code: tocsin.CodeInvalid, Message: "invalid", Fields: p}
}

// Unknown notes every key that is not among known, with the nearest that is.
func (o Object) Unknown(p *Problems, known ...string) {
	for _, key := range slices.Sorted(maps.Keys(o)) {
		if slices.Contains(known, key) {
			continue
		}
		if near := catalog.Suggest(key, known); near != "" {
			p.Add(key, "unknown key; did you mean %q?", near)
		} else {
			p.Add(key, "unknown key; allowed: %s", strings.Join(known, ", "))
		}
	}
}

// String reads a string; "" when absent.
func (o Object) String(p *Problems, key string) string { return text(p, key, o[key]) }

// Strings reads a string or a list of strings; nil when absent.
func (o Object) Strings(p *Problems, key string) []string {
	if !o.Has(key) {
		return nil
	}
	var list []json.RawMessage
	if json.Unmarshal(o[key], &list) != nil {
		return []string{text(p, key, o[key])}
	}
	out := make([]string, len(list))
	for i, raw := range list {
		out[i] = text(p, fmt.Sprintf("%s[%d]", key, i), raw)
	}
	return out
}

// Map reads an object of strings; empty when absent.
func (o Object) Map(p *Problems, key string) map[string]string {
	out := map[string]string{}
	if !o.Has(key) {
		return out
	}
	var raw map[string]json.RawMessage
	if json.Unmarshal(o[key], &raw) != nil {
		p.Add(key, "want an object of strings, got %s", kind(o[key]))
		return out
	}
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		out[name] = text(p, key+"."+name, raw[name])
	}
	return out
}

// text reads one string. The redacted form is refused: it stands for a secret that is
// stored, and none is stored under this path.
func text(p *Problems, path string, raw json.RawMessage) string {
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		p.Add(path, "want a string, got %s", kind(raw))
		return ""
	}
	if s == tocsin.Redacted {
		p.Add(path, "%s stands for a stored secret, and there is none; give the value", tocsin.Redacted)
		return ""
	}
	return s
}

// kind names what a JSON text is.
func kind(raw json.RawMessage) string {
	trimmed := strings.TrimSpace(string(raw))
	if trimmed == "" {
		return "nothing"
	}
	switch trimmed[:1] {
	case "{":
		return "an object"
	case "[":
		return "a list"
	case `"`:
		return "a string"
	case "t", "f":
		return "true or false"
	case "n":
		return "null"
	}
	return "a number"
}
