// Package splunk is the channel for Splunk's HTTP Event Collector (HEC):
// https://help.splunk.com/en/splunk-enterprise/get-data-in/collect-http-event-data/http-event-collector-rest-api-endpoints
//
// Every event is a record of its own; a delivery is one request, or several of at most
// 1 MB. Splunk knows no duplicates, so each record carries the event's uid and the
// delivery's id as indexed fields, by which a search finds one that came twice.
//
// Without ack, an event counts as delivered when HEC has taken it; with ack, when it is
// indexed (ack.go).
package splunk

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/internal/settings"
)

//go:embed schema.json
var schema []byte

// Channel is the channel "splunk".
type Channel struct {
	client *post.Client
	log    *slog.Logger
}

var (
	_ tocsin.Channel = (*Channel)(nil)
	_ tocsin.Sender  = (*sender)(nil)
	_ tocsin.Checker = (*sender)(nil)
)

// New returns the channel. log gets a line when a token has no acknowledgment although
// ack is set.
func New(client *post.Client, log *slog.Logger) *Channel { return &Channel{client: client, log: log} }

// Name implements tocsin.Channel.
func (c *Channel) Name() string { return "splunk" }

// Schema implements tocsin.Channel.
func (c *Channel) Schema() json.RawMessage { return schema }

// Complete implements tocsin.Channel; nothing secret is generated.
func (c *Channel) Complete(config json.RawMessage) (json.RawMessage, []string, error) {
	out, err := settings.Complete(config, defaults)
	return out, nil, err
}

// BatchKey implements tocsin.Channel: any events may share a delivery.
func (c *Channel) BatchKey(*tocsin.Event) string { return "" }

// Validate implements tocsin.Channel. The token travels with every request, so plain http
// is taken only where its address is allowed by CIDR.
func (c *Channel) Validate(ctx context.Context, raw json.RawMessage) error {
	conf, err := parse(raw)
	if err != nil {
		return err
	}
	if err := c.client.CheckSecureURL(ctx, conf.url); err != nil {
		return tocsin.Invalid("config.url", "%v", err)
	}
	if _, err := c.client.WithTLS(post.TLS{CA: conf.caCert}); err != nil {
		return tocsin.Invalid("config.ca_cert", "%v", err)
	}
	return nil
}

// Public implements tocsin.Channel.
func (c *Channel) Public(config json.RawMessage) (json.RawMessage, error) { return public(config) }

// Open implements tocsin.Channel.
func (c *Channel) Open(raw json.RawMessage) (tocsin.Sender, error) {
	conf, err := parse(raw)
	if err != nil {
		return nil, err
	}
	client, err := c.client.WithTLS(post.TLS{CA: conf.caCert})
	if err != nil {
		return nil, tocsin.Invalid("config.ca_cert", "%v", err)
	}
	return &sender{client: client, log: c.log, conf: conf, redact: post.NewRedactor("Splunk " + conf.token)}, nil
}

// sender posts to one collector.
type sender struct {
	client *post.Client
	log    *slog.Logger
	conf   config
	redact *post.Redactor
}

// Format implements fmt.Formatter: a sender that ends up in a log shows no secret.
func (s *sender) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "splunk sender") }

// Preview implements tocsin.Sender. With ack, the questions for acknowledgments that
// follow are not among the requests.
func (s *sender) Preview(_ context.Context, n tocsin.Notification) ([]tocsin.Exchange, error) {
	b, err := s.render(n)
	if err != nil {
		return nil, err
	}
	out := make([]tocsin.Exchange, 0, len(b.Spans))
	for _, span := range b.Spans {
		out = append(out, s.client.Preview(s.request(n.WebhookID, b.Lines(span))))
	}
	return out, nil
}
