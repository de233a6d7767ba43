// Package slack is the channel for Slack incoming webhooks
// (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).
//
// An incoming webhook answers no message id, so messages cannot be updated, and has no
// field for an idempotency key: after an attempt of unknown outcome the same message
// may appear twice, recognisable by the delivery id at its foot.
//
// Event text is hostile. It stands in plain_text objects or in inline code wherever
// possible, escaped everywhere (text.go), and is fitted to Slack's limits (render.go).
package slack

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/slack-go/slack"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/internal/settings"
)

//go:embed schema.json
var schema []byte

// Channel is the channel "slack".
type Channel struct {
	client *post.Client
	log    *slog.Logger
}

var (
	_ tocsin.Channel = (*Channel)(nil)
	_ tocsin.Sender  = (*sender)(nil)
)

// New returns the channel. log gets a line when Slack refuses blocks.
func New(client *post.Client, log *slog.Logger) *Channel { return &Channel{client: client, log: log} }

// Name implements tocsin.Channel.
func (c *Channel) Name() string { return "slack" }

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

// BatchKey implements tocsin.Channel: any events may share a message.
func (c *Channel) BatchKey(*tocsin.Event) string { return "" }

// parse reads a configuration without looking at the address.
func parse(config json.RawMessage) (string, error) {
	o, err := settings.Parse(config)
	if err != nil {
		return "", err
	}
	var p settings.Problems
	o.Unknown(&p, "url")
	raw := o.String(&p, "url")
	if raw == "" && len(p) == 0 {
		p.Add("url", "required; want https://hooks.slack.com/services/…")
	}
	u, err := url.Parse(raw)
	if err == nil && isSlack(u.Hostname()) && !strings.HasPrefix(u.Path, "/services/") && !strings.HasPrefix(u.Path, "/workflows/") {
		p.Add("url", "is not an incoming webhook; want https://hooks.slack.com/services/…, "+
			"since a trigger of Workflow Builder takes its own variables and no blocks")
	}
	return raw, p.Err()
}

// isSlack reports whether host is Slack's own, commercial or for governments.
func isSlack(host string) bool {
	return host == "hooks.slack.com" || host == "hooks.slack-gov.com"
}

// Validate implements tocsin.Channel. Any https receiver is taken, since others speak
// the same format; plain http only where its address is allowed by CIDR.
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
	o, err := settings.Parse(config)
	if err != nil {
		return nil, err
	}
	if o.Has("url") {
		o.Set("url", tocsin.Redacted)
	}
	return o.JSON()
}

// Open implements tocsin.Channel.
func (c *Channel) Open(config json.RawMessage) (tocsin.Sender, error) {
	raw, err := parse(config)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, tocsin.Invalid("config.url", "cannot be read as a URL")
	}
	secrets := []string{raw, strings.Trim(u.EscapedPath(), "/"), u.RawQuery}
	if parts := strings.Split(u.Path, "/"); len(parts) > 2 {
		secrets = append(secrets, parts[len(parts)-1]) // the token
	}
	return &sender{channel: c, url: raw, redact: post.NewRedactor(secrets...)}, nil
}

// sender posts to one incoming webhook.
type sender struct {
	channel *Channel
	url     string
	redact  *post.Redactor
}

// Format implements fmt.Formatter: a sender that ends up in a log shows no secret.
func (s *sender) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "slack sender") }

// Send implements tocsin.Sender. When Slack refuses the blocks, which then were not
// shown to anybody, the same is sent once more as plain text.
func (s *sender) Send(ctx context.Context, n tocsin.Notification) (tocsin.Receipt, error) {
	msg, truncated, err := s.render(n)
	if err != nil {
		return tocsin.Receipt{}, err
	}
	receipt := tocsin.Receipt{Truncated: truncated}
	word, err := s.post(ctx, msg, &receipt)
	if err == nil || !blocksRefused[word] {
		return receipt, err
	}
	s.channel.log.WarnContext(ctx, "slack refused the blocks; sending plain text", "delivery", n.DeliveryID, "webhook", n.WebhookID, "error", err.Error())
	receipt.Truncated = len(n.Events)
	_, err = s.post(ctx, plainBody(n), &receipt)
	return receipt, err
}

// Preview implements tocsin.Sender.
func (s *sender) Preview(_ context.Context, n tocsin.Notification) ([]tocsin.Exchange, error) {
	msg, _, err := s.render(n)
	if err != nil {
		return nil, err
	}
	req, err := s.request(msg)
	if err != nil {
		return nil, err
	}
	return []tocsin.Exchange{s.channel.client.Preview(req)}, nil
}

// render renders blocks and fallback text.
func (s *sender) render(n tocsin.Notification) (slack.WebhookMessage, int, error) {
	if len(n.Events) == 0 {
		return slack.WebhookMessage{}, 0, tocsin.Permanent(post.Errorf(post.ClassRender, "rendering for slack: the delivery has no events"))
	}
	msg, truncated, err := render(n)
	if err != nil {
		return msg, 0, tocsin.Permanent(post.Errorf(post.ClassRender, "rendering for slack: %v", err))
	}
	return msg, truncated, nil
}

// post makes one request and returns Slack's word for its answer.
func (s *sender) post(ctx context.Context, msg slack.WebhookMessage, receipt *tocsin.Receipt) (string, error) {
	// A receiver on plain http was allowed by its address when it was saved; its name
	// may have another address now.
	if strings.HasPrefix(s.url, "http:") {
		if err := s.channel.client.CheckSecureURL(ctx, s.url); err != nil {
			return "", tocsin.Refused(post.Errorf(post.ClassEgress, "posting to slack: the URL: %v", err))
		}
	}
	req, err := s.request(msg)
	if err != nil {
		return "", err
	}
	res, err := s.channel.client.Do(ctx, req)
	receipt.Exchanges = append(receipt.Exchanges, res.Exchange)
	if err == nil && res.Status == http.StatusOK {
		err = res.BodyErr // without the body there is no telling
	}
	if err != nil {
		return "", fmt.Errorf("posting to slack: %w", err)
	}
	a := read(res.Body)
	return a.word, classify(res.Status, res.Header, a, res.Exchange.ResponseBody)
}

// request encodes a message.
func (s *sender) request(msg slack.WebhookMessage) (post.Request, error) {
	body, err := json.Marshal(msg)
	if err != nil {
		return post.Request{}, tocsin.Permanent(post.Errorf(post.ClassRender, "rendering for slack: %v", err))
	}
	return post.Request{
		Method: http.MethodPost, URL: s.url, Body: body, Redact: s.redact, HidePath: true,
		Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
	}, nil
}
