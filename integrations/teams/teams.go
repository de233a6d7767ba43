// Package teams is the channel for Microsoft Teams, by way of a Power Automate workflow
// with the trigger "When a Teams webhook request is received"
// (https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook).
//
// The trigger answers 202 before the workflow has run. What fails after that (a card that
// is too large, a channel that is gone) is seen in the workflow's run history alone, so the
// card is kept well within the limits (render.go). There is no call that would prove the
// URL without posting, so there is no Check. There is no message id, so cards are not
// updated, and no field for an idempotency key: after an attempt of unknown outcome the
// same card may appear twice, recognisable by the delivery id at its foot.
//
// Event text is hostile. It stands in TextRuns alone, which know no markup (text.go).
package teams

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/internal/settings"
)

//go:embed schema.json
var schema []byte

// Channel is the channel "teams".
type Channel struct{ client *post.Client }

var (
	_ tocsin.Channel = (*Channel)(nil)
	_ tocsin.Sender  = (*sender)(nil)
)

// New returns the channel.
func New(client *post.Client) *Channel { return &Channel{client: client} }

// Name implements tocsin.Channel.
func (c *Channel) Name() string { return "teams" }

// Schema implements tocsin.Channel.
func (c *Channel) Schema() json.RawMessage { return schema }

// Complete implements tocsin.Channel; there is nothing to generate.
func (c *Channel) Complete(config json.RawMessage) (json.RawMessage, []string, error) {
	o, err := settings.Parse(config)
	if err != nil {
		return nil, nil, err
	}
	out, err := o.JSON()
	return out, nil, err
}

// BatchKey implements tocsin.Channel: any events may share a card.
func (c *Channel) BatchKey(*tocsin.Event) string { return "" }

// Validate implements tocsin.Channel. Any https receiver is taken, since workflows live on
// many hosts; plain http only where its address is allowed by CIDR.
func (c *Channel) Validate(ctx context.Context, config json.RawMessage) error {
	raw, err := parse(config)
	if err != nil {
		return err
	}
	if err := c.client.CheckSecureURL(ctx, raw); err != nil {
		return tocsin.Invalid("config.url", "%v", err)
	}
	return nil
}

// Public implements tocsin.Channel: the URL is the secret.
func (c *Channel) Public(config json.RawMessage) (json.RawMessage, error) {
	return settings.Public(config, []string{"url"})
}

// Open implements tocsin.Channel.
func (c *Channel) Open(config json.RawMessage) (tocsin.Sender, error) {
	raw, err := parse(config)
	if err != nil {
		return nil, err
	}
	return &sender{client: c.client, url: raw, redact: post.NewRedactor(secrets(raw)...)}, nil
}

// sender posts to one workflow.
type sender struct {
	client *post.Client
	url    string
	redact *post.Redactor
}

// Format implements fmt.Formatter: a sender that ends up in a log shows no secret.
func (s *sender) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "teams sender") }

// Send implements tocsin.Sender.
func (s *sender) Send(ctx context.Context, n tocsin.Notification) (tocsin.Receipt, error) {
	req, truncated, err := s.request(n)
	if err != nil {
		return tocsin.Receipt{}, err
	}
	receipt := tocsin.Receipt{Truncated: truncated}
	if err := s.client.CheckAtSend(ctx, s.url); err != nil {
		return receipt, fmt.Errorf("posting to teams: %w", err)
	}
	res, err := s.client.Do(ctx, req)
	receipt.Exchanges = []tocsin.Exchange{res.Exchange}
	if err == nil {
		err = classify(res.Status, res.Header, res.Body, res.Exchange.ResponseBody)
	}
	if err != nil {
		return receipt, fmt.Errorf("posting to teams: %w", err)
	}
	return receipt, nil
}

// Preview implements tocsin.Sender.
func (s *sender) Preview(_ context.Context, n tocsin.Notification) ([]tocsin.Exchange, error) {
	req, _, err := s.request(n)
	if err != nil {
		return nil, err
	}
	return []tocsin.Exchange{s.client.Preview(req)}, nil
}

// request renders a notification. truncated counts the events that lost something.
func (s *sender) request(n tocsin.Notification) (req post.Request, truncated int, err error) {
	if len(n.Events) == 0 {
		return req, 0, tocsin.Permanent(post.Errorf(post.ClassRender, "rendering for teams: the delivery has no events"))
	}
	body, truncated, err := render(n)
	if err != nil {
		return req, 0, tocsin.Permanent(post.Errorf(post.ClassRender, "rendering for teams: %v", err))
	}
	return post.Request{
		Method: http.MethodPost, URL: s.url, Body: body, Redact: s.redact, HidePath: true,
		Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
	}, truncated, nil
}
