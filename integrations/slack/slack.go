// Package slack is the channel for Slack: an incoming webhook
// (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks), or a bot
// that posts with chat.postMessage (https://docs.slack.dev/reference/methods/chat.postMessage).
//
// An incoming webhook answers no message id, so its messages cannot be updated. A bot keeps
// one message per dedup key: it is updated when the incident fires again or resolves, and
// what happened is told in its thread (bot.go). Neither has a field for an idempotency
// key: after an attempt of unknown outcome the same message may appear twice,
// recognisable by the delivery id at its foot.
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

	"github.com/slack-go/slack"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
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
	_ tocsin.Sender  = (*hook)(nil)
	_ tocsin.Checker = (*hook)(nil)
	_ tocsin.Sender  = (*bot)(nil)
	_ tocsin.Checker = (*bot)(nil)
)

// New returns the channel. log gets a line when Slack refuses blocks.
func New(client *post.Client, log *slog.Logger) *Channel { return &Channel{client: client, log: log} }

// Name implements tocsin.Channel.
func (c *Channel) Name() string { return "slack" }

// Schema implements tocsin.Channel.
func (c *Channel) Schema() json.RawMessage { return schema }

// BatchKey implements tocsin.Channel: any events may share a delivery.
func (c *Channel) BatchKey(*tocsin.Event) string { return "" }

// wire makes requests to Slack.
type wire struct {
	channel *Channel
	url     string
	redact  *post.Redactor
}

// Format implements fmt.Formatter: a sender that ends up in a log shows no secret.
func (w *wire) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "slack sender") }

// do makes one request and reads Slack's answer. In an error's chain there is none then.
func (w *wire) do(ctx context.Context, s *post.Session, req post.Request) (answer, error) {
	if err := w.channel.client.CheckAtSend(ctx, req.URL); err != nil {
		return answer{}, fmt.Errorf("posting to slack: %w", err)
	}
	res, err := s.Do(ctx, req)
	if err == nil && res.Status == http.StatusOK {
		err = res.BodyErr // without the body there is no telling
		if err == nil && res.BodyCut && req.KeepBody > 0 {
			err = tocsin.Unsure(post.Errorf(post.ClassBody, "the answer is longer than %d bytes", req.KeepBody))
		}
	}
	if err != nil {
		return answer{}, fmt.Errorf("posting to slack: %w", err)
	}
	a := read(res.Body)
	return a, classify(res.Status, res.Header, a, res.Exchange.ResponseBody)
}

// warn says that blocks were refused, so that somebody may find out why.
func (w *wire) warn(ctx context.Context, n tocsin.Notification, err error) {
	w.channel.log.WarnContext(ctx, "slack refused the blocks; sending plain text", "delivery", n.DeliveryID, "webhook", n.WebhookID, "error", err.Error())
}

// body encodes a message.
func body(v any) ([]byte, error) {
	out, err := json.Marshal(v)
	if err != nil {
		return nil, tocsin.Permanent(post.Errorf(post.ClassRender, "rendering for slack: %v", err))
	}
	return out, nil
}

// rendered renders blocks and fallback text.
func rendered(n tocsin.Notification) (slack.WebhookMessage, int, error) {
	msg, truncated, err := slack.WebhookMessage{}, 0, errNoEvents
	if len(n.Events) > 0 {
		msg, truncated, err = render(n)
	}
	if err != nil {
		return msg, 0, tocsin.Permanent(post.Errorf(post.ClassRender, "rendering for slack: %v", err))
	}
	return msg, truncated, nil
}
