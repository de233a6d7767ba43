package syslog

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/internal/settings"
)

// The transports, with their ports: https://www.rfc-editor.org/rfc/rfc5425#section-4.1,
// https://www.rfc-editor.org/rfc/rfc5426#section-3.3 and, by custom, 514 for TCP.
const (
	overTLS = "tls"
	overTCP = "tcp"
	overUDP = "udp"
)

// The framings of RFC 6587; RFC 5425 knows only the first.
const (
	octetCounting = "octet-counting"
	newline       = "newline"
)

// The formats of the message.
const (
	asJSON        = "json"
	asCEF         = "cef"
	asLEEF        = "leef"
	asOCSF        = "ocsf"
	asCloudEvents = "cloudevents"
)

// Limits of a message in bytes, framing not counted. Receivers of TLS should take 8192
// (https://www.rfc-editor.org/rfc/rfc5425#section-4.3.1), those of UDP 2048
// (https://www.rfc-editor.org/rfc/rfc5426#section-3.2). Less than the least has no room for
// what every event needs, which is more in OCSF; a datagram holds 65507.
const (
	minBytes    = 1024
	minOCSF     = 2048
	maxBytes    = 1 << 20
	maxDatagram = 65507
	streamBytes = 8192
	packetBytes = 2048
)

// documentation is the enterprise number that RFC 5612 keeps for examples. Tocsin has none
// of its own, and a name without a number is for the IETF to give
// (https://www.rfc-editor.org/rfc/rfc5424#section-6.3.2).
const documentation = 32473

// facilities are the numbers of https://www.rfc-editor.org/rfc/rfc5424#section-6.2.1, by
// the names that syslog programs use.
var facilities = []string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit", "alert", "clock",
	"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

var keys = []string{
	"address", "transport", "framing", "format", "facility", "app_name", "hostname", "enterprise_number", "max_bytes", "bom",
	"ca_cert", "client_cert", "client_key", "server_name",
}

// config is a configuration that was read.
type config struct {
	host       string
	port       int
	transport  string
	framing    string
	format     string
	facility   int
	appName    string
	hostname   string // "": that of the public URL
	enterprise int
	maxBytes   int
	bom        bool
	tls        post.TLS
	serverName string
}

// parse reads a configuration without looking at the address's host.
func parse(raw json.RawMessage) (config, error) {
	o, err := settings.Parse(raw)
	if err != nil {
		return config{}, err
	}
	var p settings.Problems
	o.Unknown(&p, keys...)
	c := config{
		transport:  o.Choice(&p, "transport", overTLS, overTLS, overTCP, overUDP),
		framing:    o.Choice(&p, "framing", octetCounting, octetCounting, newline),
		format:     o.Choice(&p, "format", asJSON, asJSON, asCEF, asLEEF, asOCSF, asCloudEvents),
		appName:    token(o, &p, "app_name", "tocsin", 48),
		hostname:   token(o, &p, "hostname", "", 255),
		enterprise: o.Int(&p, "enterprise_number", documentation, 1, 1<<32-1),
		bom:        o.Bool(&p, "bom", false),
		tls:        post.TLS{CA: o.String(&p, "ca_cert"), Cert: o.String(&p, "client_cert"), Key: o.String(&p, "client_key")},
		serverName: o.String(&p, "server_name"),
	}
	facility := o.Choice(&p, "facility", "local0", facilities...)
	for i, name := range facilities {
		if name == facility {
			c.facility = i
		}
	}
	c.size(o, &p)
	c.address(o, &p)
	c.certificates(o, &p)
	return c, p.Err()
}

// token reads a name of the header: printable ASCII without spaces.
func token(o settings.Object, p *settings.Problems, key, def string, most int) string {
	text := o.String(p, key)
	switch {
	case text == "":
		return def
	case len(text) > most:
		p.Add(key, "has %d characters; at most %d are allowed", len(text), most)
	case strings.ContainsFunc(text, func(r rune) bool { return r < '!' || r > '~' }):
		p.Add(key, "is %.40q; allowed: ASCII letters, digits and signs, no spaces", text)
	}
	return text
}

// size reads the limit of a message.
func (c *config) size(o settings.Object, p *settings.Problems) {
	def, most := streamBytes, maxBytes
	if c.transport == overUDP {
		def, most = packetBytes, maxDatagram
	}
	least := minBytes
	if c.format == asOCSF {
		least = minOCSF
	}
	c.maxBytes = o.Int(p, "max_bytes", def, least, most)
}

// address reads host:port; the port may be left out.
func (c *config) address(o settings.Object, p *settings.Problems) {
	before := len(*p)
	text := o.String(p, "address")
	if text == "" {
		if len(*p) == before {
			p.Add("address", "required; want host or host:port")
		}
		return
	}
	c.port = 514
	if c.transport == overTLS {
		c.port = 6514
	}
	host, port, ok := splitAddress(text)
	if !ok {
		p.Add("address", "cannot be read; want host, host:port or [IPv6 address]:port")
		return
	}
	if c.host = host; port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			p.Add("address", "the port is not a number from 1 to 65535")
		}
		c.port = int(n)
	}
}

// splitAddress takes host and port apart. Credentials, paths and schemes have no place,
// and are not repeated in errors.
func splitAddress(text string) (host, port string, ok bool) {
	if strings.ContainsAny(text, "/@?#\\% \t\r\n\x7f") || strings.Count(text, ":") > 1 && text[0] != '[' {
		return "", "", false
	}
	u, err := url.Parse("//" + text)
	if err != nil || u.Host != text || u.Hostname() == "" || strings.HasSuffix(text, ":") {
		return "", "", false
	}
	return u.Hostname(), u.Port(), true
}

// certificates checks that what is for TLS is used with it.
func (c *config) certificates(o settings.Object, p *settings.Problems) {
	if c.transport == overTLS {
		return
	}
	for _, key := range []string{"ca_cert", "client_cert", "client_key", "server_name"} {
		if o.Has(key) {
			p.Add(key, "is for transport %q, and the transport is %q; leave it out", overTLS, c.transport)
		}
	}
}

// Complete implements tocsin.Channel: it writes the defaults down. What depends on the
// transport (port, max_bytes) is left out, to go with it when it changes.
func (c *Channel) Complete(config json.RawMessage) (json.RawMessage, []string, error) {
	o, err := settings.Parse(config)
	if err != nil {
		return nil, nil, err
	}
	for key, def := range map[string]string{
		"transport": overTLS, "framing": octetCounting, "format": asJSON, "facility": "local0", "app_name": "tocsin",
	} {
		if !o.Has(key) {
			o.Set(key, def)
		}
	}
	out, err := o.JSON()
	return out, nil, err
}

// Validate implements tocsin.Channel.
func (c *Channel) Validate(ctx context.Context, raw json.RawMessage) error {
	conf, err := parse(raw)
	if err != nil {
		return err
	}
	if _, err := c.client.WithTLS(conf.tls); err != nil {
		return tocsin.Invalid("config."+aboutTLS(err, conf.tls), "%v", err)
	}
	if err := c.client.CheckHost(ctx, conf.host, conf.port); err != nil {
		return tocsin.Invalid("config.address", "%v", err)
	}
	return nil
}

// aboutTLS is the key that an error of WithTLS is about.
func aboutTLS(err error, t post.TLS) string {
	switch {
	case strings.HasPrefix(err.Error(), "the CA"):
		return "ca_cert"
	case t.Cert == "", strings.HasPrefix(err.Error(), "the client certificate holds"):
		return "client_cert"
	}
	return "client_key"
}

// Public implements tocsin.Channel: the client's key is the one secret.
func (c *Channel) Public(config json.RawMessage) (json.RawMessage, error) {
	o, err := settings.Parse(config)
	if err != nil {
		return nil, err
	}
	o.Redact("client_key")
	o.HideKeys()
	// An address may hold credentials by mistake; then nothing of it is shown.
	var p settings.Problems
	if text := o.String(&p, "address"); text != "" {
		if _, _, ok := splitAddress(text); !ok {
			o.Set("address", tocsin.Redacted)
		}
	}
	return o.JSON()
}

// url is the receiver as records show it.
func (c *config) url() string { return fmt.Sprintf("syslog+%s://%s", c.transport, c.hostPort()) }

// hostPort is the address to dial.
func (c *config) hostPort() string { return net.JoinHostPort(c.host, strconv.Itoa(c.port)) }
