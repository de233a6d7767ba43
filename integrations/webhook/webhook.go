package webhook

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

//go:embed schema.json
var schema []byte

// maxBody is the largest body sent, in bytes. A larger batch is refused as if the
// receiver had answered 413, so that it is split; a single event is far below.
const maxBody = 64 << 20

// Channel is the channel "webhook".
type Channel struct {
	client *post.Client
	guide  *catalog.Catalog
}

var (
	_ tocsin.Channel = (*Channel)(nil)
	_ tocsin.Sender  = (*sender)(nil)
)

// New returns the channel. guide gives threats their overview and remediation, and
// templates their samples.
func New(client *post.Client, guide *catalog.Catalog) *Channel {
	return &Channel{client: client, guide: guide}
}

// Name implements tocsin.Channel.
func (c *Channel) Name() string { return "webhook" }

// Schema implements tocsin.Channel.
func (c *Channel) Schema() json.RawMessage { return schema }

// Complete implements tocsin.Channel.
func (c *Channel) Complete(config json.RawMessage) (json.RawMessage, []string, error) {
	return complete(config)
}

// Validate implements tocsin.Channel.
func (c *Channel) Validate(ctx context.Context, config json.RawMessage) error {
	return c.validate(ctx, config)
}

// Public implements tocsin.Channel.
func (c *Channel) Public(config json.RawMessage) (json.RawMessage, error) { return public(config) }

// BatchKey implements tocsin.Channel: threats of one guidance share a delivery, and
// never with other events, because the threat payload has one overview and one
// remediation.
func (c *Channel) BatchKey(e *tocsin.Event) string {
	if e.Type == threatType {
		return "threat:" + c.guide.GuidanceKey(e)
	}
	return "events"
}

// Open implements tocsin.Channel. The template is not tried again: that was done when
// it was saved.
func (c *Channel) Open(raw json.RawMessage) (tocsin.Sender, error) {
	cfg, err := parseConfig(raw, nil)
	if err != nil {
		return nil, err
	}
	if len(cfg.keys) == 0 {
		return nil, tocsin.Invalid("config.signing_secret", "required")
	}
	u, err := url.Parse(cfg.url)
	if err != nil {
		return nil, tocsin.Invalid("config.url", "cannot be read as a URL")
	}
	return &sender{client: c.client, guide: c.guide, config: cfg, host: u.Host, redact: post.NewRedactor(cfg.secrets...)}, nil
}

// sender sends to one configured URL.
type sender struct {
	client *post.Client
	guide  *catalog.Catalog
	config config
	host   string
	redact *post.Redactor
}

// Send implements tocsin.Sender. A 409 after an attempt of unknown outcome means that
// the receiver has the delivery already: it counts as accepted.
func (s *sender) Send(ctx context.Context, n tocsin.Notification) (tocsin.Receipt, error) {
	req, err := s.request(ctx, n)
	if err != nil {
		return tocsin.Receipt{}, err
	}
	res, err := s.client.Do(ctx, req)
	receipt := tocsin.Receipt{Exchanges: []tocsin.Exchange{res.Exchange}}
	if err == nil && res.Status == http.StatusConflict && n.Uncertain {
		return receipt, nil
	}
	if err == nil {
		err = post.Classify(res.Status, res.Header, res.Exchange.ResponseBody)
	}
	if err != nil {
		return receipt, fmt.Errorf("posting to %s: %w", s.host, err)
	}
	return receipt, nil
}

// Preview implements tocsin.Sender.
func (s *sender) Preview(ctx context.Context, n tocsin.Notification) ([]tocsin.Exchange, error) {
	req, err := s.request(ctx, n)
	if err != nil {
		return nil, err
	}
	return []tocsin.Exchange{s.client.Preview(req)}, nil
}

// request renders a delivery. Everything but the two headers of the signature is the
// same on every attempt.
func (s *sender) request(ctx context.Context, n tocsin.Notification) (post.Request, error) {
	body, err := s.body(ctx, n)
	switch {
	case err != nil && ctx.Err() != nil:
		return post.Request{}, tocsin.RetryAfter(fmt.Errorf("rendering the body: %w", ctx.Err()), 0)
	case err != nil:
		// The template is the webhook's: it holds its events until that is mended.
		return post.Request{}, tocsin.Refused(&post.Error{Class: post.ClassRender,
			Message: "rendering the body: " + s.redact.Text(err.Error())})
	case len(body) > maxBody:
		// Half of the events may fit.
		return post.Request{}, tocsin.Permanent(&post.Error{Class: post.ClassRender,
			Message: fmt.Sprintf("rendering the body: it has %d bytes; at most %d", len(body), maxBody)})
	}
	header := s.config.header.Clone()
	header.Set("Webhook-Id", n.DeliveryID)
	header.Set("Webhook-Timestamp", strconv.FormatInt(n.At.Unix(), 10))
	header.Set("Webhook-Signature", signature(n.DeliveryID, n.At, body, s.config.keys))
	if n.Test {
		header.Set("Tocsin-Test", "true")
	}
	return post.Request{Method: s.config.method, URL: s.config.url, Header: header, Body: body, Redact: s.redact}, nil
}

// body renders what the configuration and the events ask for.
func (s *sender) body(ctx context.Context, n tocsin.Notification) ([]byte, error) {
	if len(n.Events) == 0 {
		return nil, fmt.Errorf("the delivery has no events")
	}
	if t := s.config.template; t != nil {
		body, err := t.render(ctx, s.guide, n)
		if err == nil && s.config.json && !json.Valid(body) {
			err = fmt.Errorf("the template:%w", notJSON(body))
		}
		return body, err
	}
	if allThreats(n.Events) {
		return renderThreats(s.guide, n.Events)
	}
	return renderAlerts(n)
}
