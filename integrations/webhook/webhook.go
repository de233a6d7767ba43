package webhook

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

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
	client  *post.Client
	guide   *catalog.Catalog
	signers Signers
}

var (
	_ tocsin.Channel = (*Channel)(nil)
	_ tocsin.Sender  = (*sender)(nil)
)

// New returns the channel. guide gives threats their overview and remediation, and
// templates their samples; signers the keys of v1a signatures, nil for none.
func New(client *post.Client, guide *catalog.Catalog, signers Signers) *Channel {
	return &Channel{client: client, guide: guide, signers: signers}
}

// Name implements tocsin.Channel.
func (c *Channel) Name() string { return "webhook" }

// Schema implements tocsin.Channel.
func (c *Channel) Schema() json.RawMessage { return schema }

// Complete implements tocsin.Channel.
func (c *Channel) Complete(config json.RawMessage) (json.RawMessage, []string, error) {
	return complete(config, time.Now())
}

// Validate implements tocsin.Channel.
func (c *Channel) Validate(ctx context.Context, config json.RawMessage) error {
	return c.validate(ctx, config)
}

// Public implements tocsin.Channel.
func (c *Channel) Public(config json.RawMessage) (json.RawMessage, error) { return public(config) }

// BatchKey implements tocsin.Channel: threats of one guidance share a delivery, and
// never with other events, because the threat payload has one overview and one
// remediation. The other formats do not need it; there it costs a request, no more.
func (c *Channel) BatchKey(e *tocsin.Event) string {
	if e.Type == threatType {
		return "threat:" + c.guide.GuidanceKey(e)
	}
	return "events"
}

// Open implements tocsin.Channel. The template is not tried again: that was done when
// it was saved.
func (c *Channel) Open(raw json.RawMessage) (tocsin.Sender, error) {
	cfg, err := parseConfig(raw)
	if err != nil {
		return nil, err
	}
	if len(cfg.signing) == 0 {
		return nil, tocsin.Invalid("config.signing_secret", "required")
	}
	u, err := url.Parse(cfg.url)
	if err != nil {
		return nil, tocsin.Invalid("config.url", "cannot be read as a URL")
	}
	return &sender{channel: c, config: cfg, host: u.Host, redact: post.NewRedactor(cfg.secrets...)}, nil
}

// sender sends to one configured URL.
type sender struct {
	channel *Channel
	config  config
	host    string
	redact  *post.Redactor
}

// Format implements fmt.Formatter: a sender that ends up in a log shows no secret.
func (s *sender) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "webhook sender to "+s.host) }

// Send implements tocsin.Sender. A 409 after an attempt of unknown outcome means that
// the receiver has the delivery already: it counts as accepted.
func (s *sender) Send(ctx context.Context, n tocsin.Notification) (tocsin.Receipt, error) {
	req, err := s.request(ctx, n)
	if err != nil {
		return tocsin.Receipt{}, err
	}
	res, err := s.channel.client.Do(ctx, req)
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
	return []tocsin.Exchange{s.channel.client.Preview(req)}, nil
}

// request renders a delivery. Everything but the two headers of the signature is the
// same on every attempt.
func (s *sender) request(ctx context.Context, n tocsin.Notification) (post.Request, error) {
	body, err := s.body(ctx, n)
	switch {
	case err != nil && ctx.Err() != nil:
		return post.Request{}, tocsin.RetryAfter(fmt.Errorf("rendering the body: %w", ctx.Err()), 0)
	case err != nil:
		return post.Request{}, s.blame(err)
	case len(body) > maxBody:
		// Half of the events may fit.
		return post.Request{}, tocsin.Permanent(&post.Error{Class: post.ClassRender,
			Message: fmt.Sprintf("rendering the body: it has %d bytes; at most %d", len(body), maxBody)})
	}
	signed, err := s.sign(ctx, n, body)
	if err != nil {
		return post.Request{}, err
	}
	header := s.config.header.Clone()
	header.Set("Webhook-Id", n.DeliveryID)
	header.Set("Webhook-Timestamp", strconv.FormatInt(n.At.Unix(), 10))
	header.Set("Webhook-Signature", signed)
	if n.Test {
		header.Set("Tocsin-Test", "true")
	}
	return post.Request{Method: s.config.method, URL: s.config.url, Header: header, Body: body, Redact: s.redact}, nil
}

// blame says whose fault it is that there is no body. A template is the webhook's, which
// holds its events until that is mended. Anything else is the event's: no configuration
// will render it, and held for it the webhook would be failing for ever.
func (s *sender) blame(err error) error {
	failure := &post.Error{Class: post.ClassRender, Message: "rendering the body: " + s.redact.Text(err.Error())}
	var event *eventError
	if s.config.template == nil || errors.As(err, &event) {
		return tocsin.Permanent(failure)
	}
	return tocsin.Refused(failure)
}

// sign signs with every secret and every key in force. Without the keys nothing is
// sent, and the attempt is retried: a receiver that verifies v1a alone would answer a
// delivery without it with 400 or 401, and the event would be dead, or the webhook
// failing, for a fault that is ours. The delivery is not held back for longer than the
// keys are away, which come from the same store as the delivery.
func (s *sender) sign(ctx context.Context, n tocsin.Notification, body []byte) (string, error) {
	keys, err := s.channel.signers.inForce(ctx, n.At)
	if err != nil {
		return "", tocsin.RetryAfter(&post.Error{Class: post.ClassInternal,
			Message: "reading the signing keys: " + s.redact.Text(err.Error())}, 0)
	}
	return signature(n.DeliveryID, n.At, body, s.config.secretsAt(n.At), keys), nil
}

// body renders what the configuration and the events ask for.
func (s *sender) body(ctx context.Context, n tocsin.Notification) ([]byte, error) {
	if len(n.Events) == 0 {
		return nil, fmt.Errorf("the delivery has no events")
	}
	if t := s.config.template; t != nil {
		body, err := t.render(ctx, s.channel.guide, n)
		if err == nil && s.config.json && !json.Valid(body) {
			err = fmt.Errorf("the template:%w", notJSON(body))
		}
		return body, err
	}
	if s.config.format != formatTocsin {
		return renderList(s.config.format, n)
	}
	if allThreats(n.Events) {
		return renderThreats(s.channel.guide, n.Events)
	}
	return renderAlerts(n)
}
