package settings

import (
	"encoding/json"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// given reports whether key has a value other than null. Unlike for strings, "" is a
// value here: of the wrong type.
func (o Object) given(key string) bool {
	v := strings.TrimSpace(string(o[key]))
	return v != "" && v != "null"
}

// Bool reads true or false; def when absent or null.
func (o Object) Bool(p *Problems, key string, def bool) bool {
	if !o.given(key) {
		return def
	}
	var v bool
	if json.Unmarshal(o[key], &v) != nil {
		p.Add(key, "want true or false, got %s", kind(o[key]))
		return def
	}
	return v
}

// Int reads a whole number from least to most, both included; def when absent or null,
// which need not be between them. 25.0 and 1e2 are whole.
func (o Object) Int(p *Problems, key string, def, least, most int) int {
	if !o.given(key) {
		return def
	}
	var number json.Number
	if kind(o[key]) != "a number" || json.Unmarshal(o[key], &number) != nil {
		p.Add(key, "want a whole number from %d to %d, got %s", least, most, kind(o[key]))
		return def
	}
	f, err := strconv.ParseFloat(number.String(), 64)
	switch {
	case err == nil && f != math.Trunc(f):
		p.Add(key, "want a whole number from %d to %d, got a number with a fraction: %.20s", least, most, number)
		return def
	case err != nil || f < float64(least) || f > float64(most):
		p.Add(key, "want a whole number from %d to %d, got %.20s", least, most, number)
		return def
	}
	return int(f)
}

// Choice reads a string that is one of allowed, exactly so spelled; def when absent,
// null or "". def need not be among allowed.
func (o Object) Choice(p *Problems, key, def string, allowed ...string) string {
	before := len(*p)
	v := o.String(p, key)
	if v == "" || len(*p) > before {
		return def
	}
	if !slices.Contains(allowed, v) {
		p.Add(key, "is %.40q; allowed: %s", v, strings.Join(allowed, ", "))
		return def
	}
	return v
}

// HideURL redacts the URL under key when it holds what a URL must not, and what validation
// refuses: credentials, a query, or what cannot be read. It is for the public form of a
// configuration that may have been stored by hand.
func (o Object) HideURL(key string) {
	if !o.Has(key) {
		return
	}
	var raw string
	err := json.Unmarshal(o[key], &raw)
	u := &url.URL{}
	if err == nil {
		u, err = url.Parse(raw)
	}
	if err != nil || u.User != nil || u.RawQuery != "" {
		o.Set(key, tocsin.Redacted)
	}
}
