// Package sentinel is the channel for Microsoft Sentinel: rows of a custom table, written
// with Azure Monitor's Logs Ingestion API
// (https://learn.microsoft.com/en-us/azure/azure-monitor/logs/logs-ingestion-api-overview).
//
// Every event is a row of its own; a delivery is one request, or several of at most 1 MB.
// Azure knows no duplicates, so each row carries the event's uid and the delivery's id.
//
// Requests carry a token of Entra's, which a sender keeps until shortly before its end
// (token.go). It is a secret that no record shows.
package sentinel

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/batch"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

//go:embed schema.json
var schema []byte

// Channel is the channel "sentinel".
type Channel struct{ client *post.Client }

var (
	_ tocsin.Channel = (*Channel)(nil)
	_ tocsin.Sender  = (*sender)(nil)
	_ tocsin.Checker = (*sender)(nil)
)

// New returns the channel.
func New(client *post.Client) *Channel { return &Channel{client: client} }

// Name implements tocsin.Channel.
func (c *Channel) Name() string { return "sentinel" }

// Schema implements tocsin.Channel.
func (c *Channel) Schema() json.RawMessage { return schema }

// Complete implements tocsin.Channel; nothing secret is generated.
func (c *Channel) Complete(config json.RawMessage) (json.RawMessage, []string, error) {
	out, err := complete(config)
	return out, nil, err
}

// BatchKey implements tocsin.Channel: any events may share a delivery.
func (c *Channel) BatchKey(*tocsin.Event) string { return "" }

// Validate implements tocsin.Channel. Secrets travel with every request, so plain http is
// taken only where its address is allowed by CIDR.
func (c *Channel) Validate(ctx context.Context, raw json.RawMessage) error {
	conf, err := parse(raw)
	if err != nil {
		return err
	}
	if err := c.client.CheckSecureURL(ctx, conf.endpoint); err != nil {
		return tocsin.Invalid("config.endpoint", "%v", err)
	}
	if err := c.client.CheckSecureURL(ctx, conf.login); err != nil {
		return tocsin.Invalid("config.login_url", "%v", err)
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
	return &sender{client: c.client, conf: conf, redact: post.NewRedactor(conf.secret), tokens: newTokens()}, nil
}

// sender posts to one stream.
type sender struct {
	client *post.Client
	conf   config
	redact *post.Redactor
	tokens *tokens
}

// Format implements fmt.Formatter: a sender that ends up in a log shows no secret.
func (s *sender) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sentinel sender") }

// try is one Send.
type try struct {
	*sender
	exchanges []tocsin.Exchange
}

// Send implements tocsin.Sender.
func (s *sender) Send(ctx context.Context, n tocsin.Notification) (tocsin.Receipt, error) {
	b, err := s.render(n)
	if err != nil {
		return tocsin.Receipt{}, err
	}
	t := &try{sender: s}
	receipt := tocsin.Receipt{Truncated: b.Truncated}
	receipt.Results, err = batch.Send(ctx, len(b.Records), b.Spans, func(ctx context.Context, span batch.Span) ([]tocsin.Result, error) {
		return nil, t.post(ctx, b.Array(span))
	})
	receipt.Exchanges = t.exchanges
	return receipt, err
}

// Preview implements tocsin.Sender. The request for a token, which Send makes once in an
// hour or so, is not among the requests.
func (s *sender) Preview(_ context.Context, n tocsin.Notification) ([]tocsin.Exchange, error) {
	b, err := s.render(n)
	if err != nil {
		return nil, err
	}
	out := make([]tocsin.Exchange, 0, len(b.Spans))
	for _, span := range b.Spans {
		out = append(out, s.client.Preview(s.request("", b.Array(span))))
	}
	return out, nil
}

// Check implements tocsin.Checker. There is no call that proves the right to write and
// writes nothing, so it only gets a token, and says so.
func (s *sender) Check(ctx context.Context) (string, []tocsin.Exchange, error) {
	t := &try{sender: s}
	if err := s.secure(ctx, s.conf.endpoint); err != nil {
		return "", nil, err
	}
	if _, _, err := t.fetch(ctx); err != nil {
		return "", t.exchanges, err
	}
	return fmt.Sprintf("Entra gives the application a token; whether it has the role Monitoring Metrics Publisher on %s, and the rule has the stream %s, shows with the first delivery",
		s.conf.rule, s.conf.stream), t.exchanges, nil
}

// secure looks again at a receiver on plain http, which was allowed by its address when it
// was saved.
func (s *sender) secure(ctx context.Context, url string) error {
	if err := s.client.CheckAtSend(ctx, url); err != nil {
		return fmt.Errorf("posting to sentinel: %w", err)
	}
	return nil
}

// request is one with rows:
// https://learn.microsoft.com/en-us/azure/azure-monitor/logs/logs-ingestion-api-overview#rest-api-call
func (s *sender) request(token string, body []byte) post.Request {
	r := post.Request{
		Method: http.MethodPost, Body: body, Redact: s.redact, Header: http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + token}},
		URL: s.conf.endpoint + "/dataCollectionRules/" + url.PathEscape(s.conf.rule) + "/streams/" + url.PathEscape(s.conf.stream) + "?api-version=2023-01-01",
	}
	if token != "" {
		r.Redact = post.NewRedactor(s.conf.secret, "Bearer "+token)
	}
	if s.conf.gzip {
		r.Header.Set("Content-Encoding", "gzip")
		r.Body, r.Shown = batch.Gzip(body), body
	}
	return r
}
