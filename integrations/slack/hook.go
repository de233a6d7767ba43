package slack

import (
	"context"
	"errors"
	"net/http"

	"github.com/slack-go/slack"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// hook posts to one incoming webhook.
type hook struct {
	wire
	slack bool // Slack's own, and nothing compatible
}

// Send implements tocsin.Sender. When Slack refuses the blocks, which then were not
// shown to anybody, the same is sent once more as plain text.
func (h *hook) Send(ctx context.Context, n tocsin.Notification) (tocsin.Receipt, error) {
	msg, truncated, err := rendered(n)
	if err != nil {
		return tocsin.Receipt{}, err
	}
	s := h.channel.client.Session(h.redact)
	a, err := h.post(ctx, s, msg)
	if err != nil && blocksRefused[a.word] {
		h.warn(ctx, n, err)
		truncated = len(n.Events)
		_, err = h.post(ctx, s, plainBody(n))
	}
	return tocsin.Receipt{Truncated: truncated, Exchanges: s.Exchanges()}, err
}

// Preview implements tocsin.Sender.
func (h *hook) Preview(_ context.Context, n tocsin.Notification) ([]tocsin.Exchange, error) {
	msg, _, err := rendered(n)
	if err != nil {
		return nil, err
	}
	req, err := h.request(msg)
	if err != nil {
		return nil, err
	}
	req.Redact = h.redact
	return []tocsin.Exchange{h.channel.client.Preview(req)}, nil
}

// Check implements tocsin.Checker. Slack answers a message without a text with no_text when
// it knows the webhook, and with another word when it does not; nothing is posted. Others
// that speak the format may post an empty message, so they are not asked.
func (h *hook) Check(ctx context.Context) (string, []tocsin.Exchange, error) {
	if !h.slack {
		return "", nil, tocsin.ErrNoCheck
	}
	s := h.channel.client.Session(h.redact)
	a, err := h.post(ctx, s, slack.WebhookMessage{})
	if a.word == "no_text" || a.word == "invalid_payload" {
		return "Slack knows this incoming webhook", s.Exchanges(), nil
	}
	if err == nil {
		err = tocsin.Refused(post.Errorf(post.ClassBody, "checking slack: %w", errors.New("it took an empty message, so this is no Slack webhook")))
	}
	return "", s.Exchanges(), err
}

func (h *hook) post(ctx context.Context, s *post.Session, msg slack.WebhookMessage) (answer, error) {
	req, err := h.request(msg)
	if err != nil {
		return answer{}, err
	}
	return h.do(ctx, s, req)
}

func (h *hook) request(msg slack.WebhookMessage) (post.Request, error) {
	text, err := body(msg)
	return post.Request{
		Method: http.MethodPost, URL: h.url, Body: text, HidePath: true,
		Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
	}, err
}
