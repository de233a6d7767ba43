package post

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"regexp"
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
// in URLs, JSON, HTML, base64 and an Authorization header.
func NewRedactor(secrets ...string) *Redactor {
	r := &Redactor{}
	for _, s := range secrets {
		texts := []string{s}
		if scheme, token, ok := strings.Cut(s, " "); ok { // "Bearer token"
			token = strings.TrimSpace(token)
			texts = append(texts, token)
			if strings.EqualFold(scheme, "basic") {
				texts = append(texts, basic(token)...)
			}
		}
		for _, plain := range texts {
			for _, form := range formsOf(plain) {
				if len(form) >= minSecret && !slices.Contains(r.forms, form) {
					r.forms = append(r.forms, form)
				}
			}
		}
	}
	slices.SortStableFunc(r.forms, func(a, b string) int { return len(b) - len(a) })
	if len(r.forms) > 0 {
		r.max = len(r.forms[0])
	}
	return r
}

// basic returns what is encoded in Basic credentials: both, and the password.
func basic(token string) []string {
	both, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return nil
	}
	_, password, _ := strings.Cut(string(both), ":")
	return []string{string(both), password}
}

// formsOf lists the spellings of a text in which receivers repeat it.
func formsOf(plain string) []string {
	quoted, _ := json.Marshal(plain) // a string always encodes
	inJSON := string(quoted[1 : len(quoted)-1])
	readable := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(inJSON)
	return []string{
		plain, url.QueryEscape(plain), url.PathEscape(plain), lowerHex(url.QueryEscape(plain)), lowerHex(url.PathEscape(plain)),
		inJSON, readable, strings.ReplaceAll(inJSON, "/", `\/`), strings.ReplaceAll(readable, "/", `\/`), strings.ReplaceAll(plain, "/", `\/`),
		html.EscapeString(plain), base64.StdEncoding.EncodeToString([]byte(plain)), base64.RawURLEncoding.EncodeToString([]byte(plain)),
	}
}

// escape is one byte in percent-encoding.
var escape = regexp.MustCompile(`%[0-9A-F]{2}`)

// lowerHex writes the escapes of percent-encoding in lower case.
func lowerHex(text string) string { return escape.ReplaceAllStringFunc(text, strings.ToLower) }

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
	// A byte that is no text takes three once it is replaced, so the cut comes last.
	if text = storable(text); len(text) > n {
		text = strings.ToValidUTF8(text[:n], "")
	}
	return text
}

// longest is the length of the longest form.
func (r *Redactor) longest() int {
	if r == nil {
		return 0
	}
	return r.max
}

// redactURL returns u with its query values replaced, and with hidePath, which says
// that the URL is a secret, everything after the host. User info is never there: parseURL refuses it.
func (r *Redactor) redactURL(u *url.URL, hidePath bool) string {
	out := u.Scheme + "://" + u.Host
	switch {
	case hidePath && u.Path != "" && u.Path != "/":
		out += "/" + tocsin.Redacted
	default:
		out += r.Text(u.EscapedPath())
	}
	if hidePath && u.RawQuery != "" {
		return out + "?" + tocsin.Redacted
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
