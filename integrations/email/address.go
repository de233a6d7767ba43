package email

import (
	"fmt"
	"net/mail"
	"strings"
	"unicode"

	"github.com/tocsin-alerts/tocsin/integrations/internal/settings"
)

// The lengths of an address, in bytes: https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1
const (
	maxLocal   = 64
	maxAddress = 254
	maxName    = 200 // ours, for the name before it
)

// addresses reads an address or a list of them.
func addresses(p *settings.Problems, o settings.Object, key string) []*mail.Address {
	before := len(*p)
	texts := o.Strings(p, key)
	mistyped := len(*p) > before // which has been said
	var out []*mail.Address
	for i, text := range texts {
		path := key
		if len(texts) > 1 {
			path = fmt.Sprintf("%s[%d]", key, i)
		}
		if text == "" {
			if !mistyped {
				p.Add(path, "is empty; want an address")
			}
			continue
		}
		if a := address(p, path, text); a != nil {
			out = append(out, a)
		}
	}
	return out
}

// address reads one address, with or without a name: "Name <name@example.com>". It is nil
// when something is wrong with it. What it returns fits into a header and into a line of
// SMTP: ASCII but for the name, and no control character anywhere, not even encoded.
func address(p *settings.Problems, path, text string) *mail.Address {
	if strings.ContainsFunc(text, unicode.IsControl) {
		p.Add(path, "contains a line break or another control character")
		return nil
	}
	a, err := mail.ParseAddress(text)
	if err != nil {
		p.Add(path, `is %.100q, which is no address; want name@example.com or "Name <name@example.com>"`, text)
		return nil
	}
	at := strings.LastIndexByte(a.Address, '@')
	local, domain := a.Address[:at], a.Address[at+1:]
	switch {
	case strings.ContainsFunc(a.Name+a.Address, unicode.IsControl):
		p.Add(path, "contains an encoded line break or another control character")
	case len(a.Name) > maxName:
		p.Add(path, "the name is %d bytes long; at most %d", len(a.Name), maxName)
	case strings.ContainsFunc(local, func(r rune) bool { return r > unicode.MaxASCII }):
		p.Add(path, "is %.100q; the part before the @ must be ASCII, since few servers take others", a.Address)
	case strings.ContainsFunc(domain, func(r rune) bool { return r > unicode.MaxASCII }):
		p.Add(path, "is %.100q; write the domain in its ASCII form (xn--…)", a.Address)
	case len(local) > maxLocal || len(a.Address) > maxAddress:
		p.Add(path, "is %d bytes long, %d of them before the @; at most %d and %d", len(a.Address), len(local), maxAddress, maxLocal)
	case !isDomain(domain):
		p.Add(path, "is %.100q; want a domain name after the @", a.Address)
	default:
		return a
	}
	return nil
}

// isDomain reports whether text is labels of letters, digits and hyphens.
func isDomain(text string) bool {
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return len(text) <= 253
}

// domainOf is the part after the @.
func domainOf(a *mail.Address) string { return a.Address[strings.LastIndexByte(a.Address, '@')+1:] }

// path is an address as SMTP writes it: in brackets, quoted where it must be.
func path(addr string) string { return (&mail.Address{Address: addr}).String() }
