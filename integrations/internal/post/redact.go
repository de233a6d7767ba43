package post

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// minSecret is the length in bytes below which a text is not looked for in bodies and
// errors: replacing every "1" would hide more than it protects. Header and query
// values are redacted by their place, whatever their length.
const minSecret = 4

// Redactor replaces secrets by [tocsin.Redacted]. A nil Redactor replaces nothing.
type Redactor struct {
	forms []string // longest first
	max   int
}

// NewRedactor returns a Redactor for these texts, in plain and in the forms they take
// in URLs, JSON and an Authorization header.
func NewRedactor(secrets ...string) *Redactor {
	r := &Redactor{}
	add := func(s string) {
		if len(s) >= minSecret && !slices.Contains(r.forms, s) {
			r.forms = append(r.forms, s)
		}
	}
	for _, s := range secrets {
		texts := []string{s}
		if _, token, ok := strings.Cut(s, " "); ok { // "Bearer token"
			texts = append(texts, strings.TrimSpace(token))
		}
		for _, plain := range texts {
			add(plain)
			add(url.QueryEscape(plain))
			add(url.PathEscape(plain))
			quoted, _ := json.Marshal(plain) // a string always encodes
			inner := string(quoted[1 : len(quoted)-1])
			add(inner)
			add(strings.ReplaceAll(plain, "/", `\/`))
		}
	}
	slices.SortStableFunc(r.forms, func(a, b string) int { return len(b) - len(a) })
	if len(r.forms) > 0 {
		r.max = len(r.forms[0])
	}
	return r
}

// Text returns s without the secrets.
func (r *Redactor) Text(s string) string {
	if r == nil {
		return s
	}
	for _, f := range r.forms {
		if strings.Contains(s, f) {
			s = strings.ReplaceAll(s, f, tocsin.Redacted)
		}
	}
	return s
}

// head returns the first n bytes of s without the secrets, as valid UTF-8. more says
// that s itself was cut: then its end may be the beginning of a secret, and is left
// out. Callers give at least n + r.longest() bytes where they have them.
func (r *Redactor) head(s []byte, n int, more bool) string {
	if len(s) > n+r.longest() {
		s, more = s[:n+r.longest()], true
	}
	text := r.Text(string(s))
	if more && r.longest() > 0 {
		text = text[:max(0, len(text)-r.longest()+1)]
	}
	if len(text) > n {
		text = text[:n]
	}
	return storable(text)
}

// longest is the length of the longest form.
func (r *Redactor) longest() int {
	if r == nil {
		return 0
	}
	return r.max
}

// redactURL returns u with its query values, and its path when that is a secret,
// replaced. User info is never there: parseURL refuses it.
func (r *Redactor) redactURL(u *url.URL, hidePath bool) string {
	out := u.Scheme + "://" + u.Host
	switch {
	case hidePath && u.Path != "" && u.Path != "/":
		out += "/" + tocsin.Redacted
	default:
		out += r.Text(u.EscapedPath())
	}
	names := make([]string, 0, len(u.Query()))
	for name := range u.Query() {
		names = append(names, url.QueryEscape(name)+"="+tocsin.Redacted)
	}
	slices.Sort(names)
	if len(names) > 0 {
		out += "?" + strings.Join(names, "&")
	}
	return out
}

// storable makes text of a receiver fit for a store: valid UTF-8, and no NUL, which
// PostgreSQL keeps in neither text nor jsonb.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}
