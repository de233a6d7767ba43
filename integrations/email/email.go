// Package email is the channel for mail over SMTP (https://www.rfc-editor.org/rfc/rfc5321).
//
// A delivery is one message to all recipients, in one connection of its own: alerts are
// rare, and a connection kept open is closed by the server before the next one. The message
// is rendered before anything is dialled (render.go, message.go). Its Message-ID is derived
// from the delivery's id, so a message sent again after an attempt of unknown outcome is the
// same message to whoever compares them. Mails about one dedup key are one thread.
//
// Recipients are told apart (send.go): one who is refused never keeps the others from their
// mail, and one who is put off is tried again alone.
//
// Event text is hostile. Headers are encoded words, bodies quoted-printable, the HTML is
// html/template's; nothing in it becomes a link but the event's own https link, whose host
// is shown beside it.
package email

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/internal/settings"
)

//go:embed schema.json
var schema []byte

// Channel is the channel "email".
type Channel struct {
	client  *post.Client
	log     *slog.Logger
	givenUp *givenUp
}

var (
	_ tocsin.Channel = (*Channel)(nil)
	_ tocsin.Sender  = (*sender)(nil)
	_ tocsin.Checker = (*sender)(nil)
)

// New returns the channel. log gets a line for recipients who are left out.
func New(client *post.Client, log *slog.Logger) *Channel {
	return &Channel{client: client, log: log, givenUp: &givenUp{}}
}

// Name implements tocsin.Channel.
func (c *Channel) Name() string { return "email" }

// Schema implements tocsin.Channel.
func (c *Channel) Schema() json.RawMessage { return schema }

// Complete implements tocsin.Channel: tls, the port that goes with it, and auth.
func (c *Channel) Complete(config json.RawMessage) (json.RawMessage, []string, error) {
	o, err := settings.Parse(config)
	if err != nil {
		return nil, nil, err
	}
	if !o.Has("tls") {
		o.Set("tls", tlsStart)
	}
	if !o.Has("auth") {
		o.Set("auth", authAuto)
	}
	if !o.Has("port") {
		var mode string
		if json.Unmarshal(o["tls"], &mode) == nil && ports[mode] != 0 {
			o.Set("port", ports[mode])
		}
	}
	out, err := o.JSON()
	return out, nil, err
}

// BatchKey implements tocsin.Channel: any events may share a message.
func (c *Channel) BatchKey(*tocsin.Event) string { return "" }

// Validate implements tocsin.Channel.
func (c *Channel) Validate(ctx context.Context, config json.RawMessage) error {
	conf, err := parse(config)
	if err != nil {
		return err
	}
	if _, err := c.client.WithTLS(post.TLS{CA: conf.ca}); err != nil {
		return tocsin.Invalid("config.ca_cert", "%v", err)
	}
	if err := c.client.CheckHost(ctx, conf.host, conf.port); err != nil {
		return tocsin.Invalid("config.host", "%v", err)
	}
	if conf.tls == tlsNone && !c.client.AllowedHost(ctx, conf.host) {
		return tocsin.Invalid("config.tls", "%s", plainRefused)
	}
	return nil
}

// plainRefused says why a mail does not leave in the clear.
const plainRefused = `"none" sends mail and password in the clear, which is for servers whose address is expressly allowed ` +
	`(TOCSIN_EGRESS_ALLOW); want starttls or implicit`

// Public implements tocsin.Channel.
func (c *Channel) Public(config json.RawMessage) (json.RawMessage, error) {
	return settings.Public(config, []string{"password"})
}

// Open implements tocsin.Channel.
func (c *Channel) Open(config json.RawMessage) (tocsin.Sender, error) {
	conf, err := parse(config)
	if err != nil {
		return nil, err
	}
	client, err := c.client.WithTLS(post.TLS{CA: conf.ca})
	if err != nil {
		return nil, tocsin.Invalid("config.ca_cert", "%v", err)
	}
	return &sender{client: client, log: c.log, givenUp: c.givenUp, conf: conf, redact: post.NewRedactor(conf.secrets()...)}, nil
}

// sender sends mail from one address to some others over one server.
type sender struct {
	client  *post.Client
	log     *slog.Logger
	givenUp *givenUp
	conf    config
	redact  *post.Redactor
}

// Format implements fmt.Formatter: a sender that ends up in a log shows no secret.
func (s *sender) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "email sender") }

// Preview implements tocsin.Sender.
func (s *sender) Preview(_ context.Context, n tocsin.Notification) ([]tocsin.Exchange, error) {
	msg, _, err := s.compose(n)
	if err != nil {
		return nil, err
	}
	return []tocsin.Exchange{s.record(s.conf.recipients(), msg, len(msg))}, nil
}

// record is the request's half of an Exchange: the envelope in place of headers, and the
// message without secrets, at most keep bytes of it.
func (s *sender) record(to []string, msg []byte, keep int) tocsin.Exchange {
	x := tocsin.Exchange{Method: "SMTP", URL: "smtp://" + s.conf.hostport(), RequestBytes: len(msg)}
	if len(to) > 0 {
		x.RequestHeaders = map[string]string{"Mail-From": s.conf.from.Address, "Rcpt-To": strings.Join(to, ", ")}
	}
	// Quoted-printable is ASCII: it may be cut anywhere.
	text := s.redact.Text(string(msg))
	x.RequestBody = text[:min(len(text), keep)]
	return x
}

// compose renders the message of a delivery.
func (s *sender) compose(n tocsin.Notification) ([]byte, int, error) {
	if len(n.Events) == 0 {
		return nil, 0, tocsin.Permanent(post.Errorf(post.ClassRender, "rendering mail: the delivery has no events"))
	}
	msg, truncated, err := render(s.conf, n)
	if err != nil {
		return nil, 0, tocsin.Permanent(post.Errorf(post.ClassRender, "rendering mail: %v", err))
	}
	return msg, truncated, nil
}
