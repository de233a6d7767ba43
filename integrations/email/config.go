package email

import (
	"encoding/json"
	"net"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/tocsin-alerts/tocsin/integrations/internal/settings"
)

// How the connection is encrypted.
const (
	tlsStart    = "starttls"
	tlsImplicit = "implicit"
	tlsNone     = "none"
)

// ports are the usual ones: submission and submissions of RFC 8314
// (https://www.rfc-editor.org/rfc/rfc8314#section-3.3), and plain SMTP.
var ports = map[string]int{tlsStart: 587, tlsImplicit: 465, tlsNone: 25}

// How to log in.
const (
	authAuto    = "auto"
	authPlain   = "plain"
	authLogin   = "login"
	authXOAuth2 = "xoauth2"
	authNone    = "none"
)

const (
	// maxRecipients is what every server must take in one transaction:
	// https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.8
	maxRecipients = 100
	// maxPrefix keeps the subject's own words in sight on a phone, in characters.
	maxPrefix = 40
	// maxCredential bounds username and password, in bytes. A line of SMTP takes 12,288
	// bytes of base64 in AUTH: https://www.rfc-editor.org/rfc/rfc4954#section-4
	maxCredential = 4096
)

// config is a webhook's configuration.
type config struct {
	host string
	port int
	// tls is one of the tls constants; default tlsStart.
	tls string
	// auth is one of the auth constants; default authAuto, which without a username is none.
	auth, username, password string
	from                     *mail.Address
	to, cc, bcc              []*mail.Address
	replyTo                  *mail.Address // optional
	prefix                   string        // optional
	ca                       string        // PEM; "": the system's
	helo                     string        // default: the domain of from
}

// parse reads a configuration without looking anything up.
func parse(raw json.RawMessage) (config, error) {
	o, err := settings.Parse(raw)
	if err != nil {
		return config{}, err
	}
	var p settings.Problems
	o.Unknown(&p, "host", "port", "tls", "auth", "username", "password", "from", "to", "cc", "bcc", "reply_to", "subject_prefix", "ca_cert", "helo")
	c := config{
		host: strings.TrimSpace(o.String(&p, "host")),
		tls:  o.Choice(&p, "tls", tlsStart, tlsStart, tlsImplicit, tlsNone),
		auth: o.Choice(&p, "auth", authAuto, authAuto, authPlain, authLogin, authXOAuth2, authNone),
		ca:   o.String(&p, "ca_cert"),
	}
	c.port = o.Int(&p, "port", ports[c.tls], 1, 65535)
	c.server(&p, o)
	c.credentials(&p, o)
	c.envelope(&p, o)
	c.words(&p, o)
	return c, p.Err()
}

// server checks host and port as far as they go without a lookup.
func (c *config) server(p *settings.Problems, o settings.Object) {
	switch {
	case c.host == "":
		if len(*p) == 0 || !o.Has("host") {
			p.Add("host", "required; want the mail server's name: smtp.example.com")
		}
	case strings.Contains(c.host, "://"):
		p.Add("host", "want a name without scheme: smtp.example.com")
	case strings.Count(c.host, ":") == 1:
		p.Add("host", "want a name without port; the port has a key of its own")
	case strings.ContainsAny(c.host, "[]/\\@?#% ") || strings.ContainsFunc(c.host, unicode.IsControl):
		p.Add("host", "is not a host; want a name or an IP address without brackets: smtp.example.com")
	}
	// Each of these ports has one meaning, and the other way would wait for ever.
	switch {
	case c.tls == tlsStart && c.port == 465:
		p.Add("tls", "port 465 speaks TLS from the first byte; want implicit here, or port 587")
	case c.tls == tlsImplicit && c.port == 587:
		p.Add("tls", "port 587 begins in the clear; want starttls here, or port 465")
	}
}

// credentials checks that they are complete and can be sent.
func (c *config) credentials(p *settings.Problems, o settings.Object) {
	c.username, c.password = o.String(p, "username"), o.String(p, "password")
	for key, value := range map[string]string{"username": c.username, "password": c.password} {
		switch {
		case len(value) > maxCredential:
			p.Add(key, "is %d bytes long; at most %d", len(value), maxCredential)
		case strings.ContainsFunc(value, unicode.IsControl):
			p.Add(key, "contains a line break or another control character")
		}
	}
	// Absent, not merely of the wrong type, which has its own message.
	noUser, noPassword := !o.Has("username"), !o.Has("password")
	switch {
	case c.auth == authNone && !(noUser && noPassword):
		p.Add("auth", "is none, but there is a username or a password; leave them out, or choose auto")
	case c.auth == authNone, c.auth == authAuto && noUser && noPassword:
	case noUser:
		p.Add("username", "required with auth %s and a password", c.auth)
	case noPassword:
		p.Add("password", "required with auth %s and a username", c.auth)
	}
}

// envelope reads the addresses.
func (c *config) envelope(p *settings.Problems, o settings.Object) {
	if text := o.String(p, "from"); text != "" {
		c.from = address(p, "from", text)
	} else if !o.Has("from") {
		p.Add("from", "required; want an address the server may send from: alerts@example.com")
	}
	if text := o.String(p, "reply_to"); text != "" {
		c.replyTo = address(p, "reply_to", text)
	}
	before := len(*p)
	if c.to = addresses(p, o, "to"); len(c.to) == 0 && len(*p) == before {
		p.Add("to", "required; want one address or a list of them")
	}
	c.cc, c.bcc = addresses(p, o, "cc"), addresses(p, o, "bcc")
	if n := len(c.to) + len(c.cc) + len(c.bcc); n > maxRecipients {
		p.Add("to", "%d recipients with cc and bcc; at most %d, so use a mailing list", n, maxRecipients)
	}
}

// words reads what is shown or said: the prefix of the subject, and our name to the server.
func (c *config) words(p *settings.Problems, o settings.Object) {
	c.prefix = strings.TrimSpace(o.String(p, "subject_prefix"))
	switch {
	case len([]rune(c.prefix)) > maxPrefix:
		p.Add("subject_prefix", "is %d characters long; at most %d", len([]rune(c.prefix)), maxPrefix)
	case strings.ContainsFunc(c.prefix, unicode.IsControl):
		p.Add("subject_prefix", "contains a line break or another control character")
	}
	c.helo = o.String(p, "helo")
	if c.helo == "" && c.from != nil {
		c.helo = domainOf(c.from)
	}
	if c.helo != "" && !isDomain(strings.Trim(c.helo, "[]")) {
		p.Add("helo", "is %.80q; want this machine's name: alerts.example.com", c.helo)
	}
}

// hostport is where to dial.
func (c *config) hostport() string { return net.JoinHostPort(c.host, strconv.Itoa(c.port)) }

// recipients are all addresses, each once, in their order.
func (c *config) recipients() []string {
	var out []string
	for _, a := range slices.Concat(c.to, c.cc, c.bcc) {
		if !slices.ContainsFunc(out, func(o string) bool { return strings.EqualFold(o, a.Address) }) {
			out = append(out, a.Address)
		}
	}
	return out
}

// secrets are the texts never to be shown: the password, alone and as each mechanism sends it.
func (c *config) secrets() []string {
	if c.password == "" {
		return nil
	}
	return []string{c.password, "\x00" + c.username + "\x00" + c.password, "user=" + c.username + "\x01auth=Bearer " + c.password + "\x01\x01"}
}
