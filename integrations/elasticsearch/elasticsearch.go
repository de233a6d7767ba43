package elasticsearch

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/url"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/batch"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/internal/settings"
)

//go:embed schema.json
var schema []byte

// Channel is the channel "elasticsearch".
type Channel struct{ client *post.Client }

var (
	_ tocsin.Channel = (*Channel)(nil)
	_ tocsin.Sender  = (*sender)(nil)
	_ tocsin.Checker = (*sender)(nil)
)

// New returns the channel.
func New(client *post.Client) *Channel { return &Channel{client: client} }

// Name implements tocsin.Channel.
func (c *Channel) Name() string { return "elasticsearch" }

// Schema implements tocsin.Channel.
func (c *Channel) Schema() json.RawMessage { return schema }

// Complete implements tocsin.Channel.
func (c *Channel) Complete(config json.RawMessage) (json.RawMessage, []string, error) {
	out, err := complete(config)
	return out, nil, err
}

// Public implements tocsin.Channel.
func (c *Channel) Public(config json.RawMessage) (json.RawMessage, error) { return public(config) }

// BatchKey implements tocsin.Channel.
func (c *Channel) BatchKey(*tocsin.Event) string { return "" }

// Validate implements tocsin.Channel. Credentials want https, but for a machine that is
// expressly allowed.
func (c *Channel) Validate(ctx context.Context, raw json.RawMessage) error {
	cfg, err := parse(raw)
	var p settings.Problems
	if e, ok := err.(*tocsin.Error); ok {
		p = e.Fields
	}
	if _, err := c.client.WithTLS(post.TLS{CA: cfg.ca}); err != nil {
		p.Add("ca_cert", "%v", err)
	}
	if cfg.url != "" {
		check := c.client.CheckURL
		if cfg.auth != "" {
			check = c.client.CheckSecureURL
		}
		if err := check(ctx, cfg.url); err != nil {
			p.Add("url", "%v", err)
		}
	}
	return p.Err()
}

// Open implements tocsin.Channel.
func (c *Channel) Open(raw json.RawMessage) (tocsin.Sender, error) {
	cfg, err := parse(raw)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(cfg.url)
	if err != nil {
		return nil, tocsin.Invalid("config.url", "cannot be read as a URL")
	}
	client, err := c.client.WithTLS(post.TLS{CA: cfg.ca})
	if err != nil {
		return nil, tocsin.Invalid("config.ca_cert", "%v", err)
	}
	return &sender{client: client, config: cfg, host: u.Host, redact: post.NewRedactor(cfg.secrets...)}, nil
}

// sender writes to one cluster.
type sender struct {
	client *post.Client
	config config
	host   string
	redact *post.Redactor
}

// Format implements fmt.Formatter: a sender that ends up in a log shows no secret.
func (s *sender) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "elasticsearch sender to "+s.host)
}

// Send implements tocsin.Sender.
func (s *sender) Send(ctx context.Context, n tocsin.Notification) (tocsin.Receipt, error) {
	records, spans, err := s.plan(n)
	if err != nil {
		return tocsin.Receipt{}, err
	}
	if err := s.checkAtSend(ctx); err != nil {
		return tocsin.Receipt{}, fmt.Errorf("writing to %s: %w", s.host, err)
	}
	session := s.client.Session(s.redact)
	results, err := batch.Send(ctx, len(records), spans, func(ctx context.Context, span batch.Span) ([]tocsin.Result, error) {
		res, err := session.Do(ctx, s.request(records[span.From:span.To]))
		if err != nil {
			return nil, fmt.Errorf("writing to %s: %w", s.host, err)
		}
		return s.read(res, span.Len())
	})
	return tocsin.Receipt{Results: results, Exchanges: session.Exchanges()}, err
}

// checkAtSend holds credentials back from plain http, unless that still leads where it was
// allowed to lead when it was configured.
func (s *sender) checkAtSend(ctx context.Context) error {
	if s.config.auth == "" {
		return nil
	}
	return s.client.CheckAtSend(ctx, s.config.url)
}

// Preview implements tocsin.Sender.
func (s *sender) Preview(_ context.Context, n tocsin.Notification) ([]tocsin.Exchange, error) {
	records, spans, err := s.plan(n)
	if err != nil {
		return nil, err
	}
	out := make([]tocsin.Exchange, len(spans))
	for i, span := range spans {
		r := s.request(records[span.From:span.To])
		r.Redact = s.redact
		out[i] = s.client.Preview(r)
	}
	return out, nil
}
