// Package datadog is the channel for Datadog's intake for logs:
// https://docs.datadoghq.com/api/latest/logs/#send-logs
//
// Every event is a log of its own; a delivery is one request, or several within Datadog's
// limits. Datadog knows no duplicates, so each log carries the event's uid and the
// delivery's id.
//
// Datadog answers 202 to logs that it then cuts (over 1 MB) or drops (over 18 hours old).
// Neither is left to it: events are fitted and dated here (record.go).
package datadog

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/batch"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

//go:embed schema.json
var schema []byte

// Channel is the channel "datadog".
type Channel struct{ client *post.Client }

var (
	_ tocsin.Channel = (*Channel)(nil)
	_ tocsin.Sender  = (*sender)(nil)
	_ tocsin.Checker = (*sender)(nil)
)

// New returns the channel.
func New(client *post.Client) *Channel { return &Channel{client: client} }

// Name implements tocsin.Channel.
func (c *Channel) Name() string { return "datadog" }

// Schema implements tocsin.Channel.
func (c *Channel) Schema() json.RawMessage { return schema }

// Complete implements tocsin.Channel; nothing secret is generated.
func (c *Channel) Complete(config json.RawMessage) (json.RawMessage, []string, error) {
	out, err := complete(config)
	return out, nil, err
}

// BatchKey implements tocsin.Channel: any events may share a delivery.
func (c *Channel) BatchKey(*tocsin.Event) string { return "" }

// Validate implements tocsin.Channel. The key travels with every request, so plain http is
// taken only where its address is allowed by CIDR.
func (c *Channel) Validate(ctx context.Context, raw json.RawMessage) error {
	conf, err := parse(raw)
	if err != nil {
		return err
	}
	if err := c.client.CheckSecureURL(ctx, conf.url); err != nil {
		return tocsin.Invalid("config.url", "%v", err)
	}
	if err := c.client.CheckSecureURL(ctx, conf.api); err != nil {
		return tocsin.Invalid("config.api_url", "%v", err)
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
	return &sender{client: c.client, conf: conf, redact: post.NewRedactor(conf.key)}, nil
}

// sender posts to one organization.
type sender struct {
	client *post.Client
	conf   config
	redact *post.Redactor
}

// Format implements fmt.Formatter: a sender that ends up in a log shows no secret.
func (s *sender) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "datadog sender") }

// Send implements tocsin.Sender.
func (s *sender) Send(ctx context.Context, n tocsin.Notification) (tocsin.Receipt, error) {
	b, err := s.render(n)
	if err != nil {
		return tocsin.Receipt{}, err
	}
	if err := s.secure(ctx, s.conf.url); err != nil {
		return tocsin.Receipt{}, err
	}
	session := s.client.Session(s.redact)
	receipt := tocsin.Receipt{Truncated: b.Truncated}
	receipt.Results, err = batch.Send(ctx, len(b.Records), b.Spans, func(ctx context.Context, span batch.Span) ([]tocsin.Result, error) {
		return nil, ask(ctx, session, s.request(b.Array(span)))
	})
	receipt.Exchanges = session.Exchanges()
	return receipt, err
}

// Preview implements tocsin.Sender.
func (s *sender) Preview(_ context.Context, n tocsin.Notification) ([]tocsin.Exchange, error) {
	b, err := s.render(n)
	if err != nil {
		return nil, err
	}
	out := make([]tocsin.Exchange, 0, len(b.Spans))
	for _, span := range b.Spans {
		out = append(out, s.client.Preview(s.request(b.Array(span))))
	}
	return out, nil
}

// Check implements tocsin.Checker: the API says whether the key is valid
// (https://docs.datadoghq.com/api/latest/authentication/#validate-api-key), for any key
// of the organization, and every one of them may send logs.
func (s *sender) Check(ctx context.Context) (string, []tocsin.Exchange, error) {
	if err := s.secure(ctx, s.conf.api); err != nil {
		return "", nil, err
	}
	session := s.client.Session(s.redact)
	err := ask(ctx, session, post.Request{Method: http.MethodGet, URL: s.conf.api + "/api/v1/validate", Header: s.header()})
	if err != nil {
		return "", session.Exchanges(), err
	}
	return "the API key is valid; logs go to " + s.conf.url, session.Exchanges(), nil
}

// secure looks again at a receiver on plain http, which was allowed by its address when it
// was saved.
func (s *sender) secure(ctx context.Context, url string) error {
	if err := s.client.CheckAtSend(ctx, url); err != nil {
		return fmt.Errorf("posting to datadog: %w", err)
	}
	return nil
}

func (s *sender) header() http.Header { return http.Header{"Dd-Api-Key": {s.conf.key}} }

// request is one with logs.
func (s *sender) request(body []byte) post.Request {
	r := post.Request{Method: http.MethodPost, URL: s.conf.url + "/api/v2/logs", Redact: s.redact, Body: body, Header: s.header()}
	r.Header.Set("Content-Type", "application/json")
	if s.conf.gzip {
		r.Header.Set("Content-Encoding", "gzip")
		r.Body, r.Shown = batch.Gzip(body), body
	}
	return r
}

// ask makes one request. The statuses are those of
// https://docs.datadoghq.com/api/latest/logs/#send-logs: 202 is yes; 400 and 413 are for
// what was sent, and 413 is answered with halves; 401 and 403 are about the key; 408, 429
// and 5xx are to be repeated. They mean what post.Classify takes them for. A proxy of one's
// own may say yes with another 2xx; a login page on the way is none.
func ask(ctx context.Context, session *post.Session, r post.Request) error {
	res, err := session.Do(ctx, r)
	if err == nil {
		err = post.Classify(res.Status, res.Header, res.Exchange.ResponseBody)
	}
	if err == nil && res.Status != http.StatusAccepted && isPage(res.Header) {
		err = tocsin.Unsure(tocsin.Refused(post.Errorf(post.ClassBody, "answered %d with a page for people, which Datadog does not, so the address may be wrong, or something on the way answers in its place: %.200q",
			res.Status, res.Exchange.ResponseBody)))
	}
	switch {
	case err == nil:
		return nil
	case res.Status == http.StatusUnauthorized || res.Status == http.StatusForbidden:
		return fmt.Errorf("posting to datadog: %w; check the API key, and that it is of this site", err)
	}
	return fmt.Errorf("posting to datadog: %w", err)
}

// isPage reports whether an answer is HTML.
func isPage(h http.Header) bool {
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	return kind == "text/html" || kind == "application/xhtml+xml"
}
