// Package pagerduty is the channel for PagerDuty's Events API v2
// (https://developer.pagerduty.com/docs/events-api-v2-overview).
//
// An event that fires triggers an alert, one that is resolved resolves it, and
// "incident.acknowledged" acknowledges it, all by the same dedup key and routing key. A
// trigger for an alert that is open is added to it and pages nobody anew, so sending twice
// does no harm, and there is no other idempotency key. What comes late or is sent again must
// not undo what was told since (ref.go).
//
// Events are encoded with go-pagerduty's types and sent by our own client: the library's
// loses the reasons of a 400, or the region, and Retry-After.
//
// The API has no call that would prove a key without opening an alert, so there is no
// Check.
package pagerduty

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

//go:embed schema.json
var schema []byte

// Channel is the channel "pagerduty".
type Channel struct {
	client *post.Client
	guide  *catalog.Catalog
}

var (
	_ tocsin.Channel = (*Channel)(nil)
	_ tocsin.Sender  = (*sender)(nil)
)

// New returns the channel. guide says which events are discoveries, and what to do about
// threats.
func New(client *post.Client, guide *catalog.Catalog) *Channel {
	return &Channel{client: client, guide: guide}
}

// Name implements tocsin.Channel.
func (c *Channel) Name() string { return "pagerduty" }

// Schema implements tocsin.Channel.
func (c *Channel) Schema() json.RawMessage { return schema }

// BatchKey implements tocsin.Channel: each incident is a delivery of its own. The API takes
// one event per request, so a batch would save nothing, and what stops one incident (a
// refused event, a throttled service) would hold the others of its batch: a page waits for
// nobody.
func (c *Channel) BatchKey(e *tocsin.Event) string { return alert.DedupKey(e) }

// Open implements tocsin.Channel.
func (c *Channel) Open(raw json.RawMessage) (tocsin.Sender, error) {
	cfg, err := parse(raw)
	if err != nil {
		return nil, err
	}
	return &sender{channel: c, config: cfg, redact: post.NewRedactor(cfg.key)}, nil
}

// sender sends to one integration.
type sender struct {
	channel *Channel
	config  config
	redact  *post.Redactor
}

// Format implements fmt.Formatter: a sender that ends up in a log shows no secret.
func (s *sender) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "pagerduty sender") }

// Send implements tocsin.Sender: one request per event, in order; what is older than what
// PagerDuty was told, and would undo it, counts as accepted without one. What fails in a way
// that is not the event's own ends the sending, and is the result of the events that are
// left.
func (s *sender) Send(ctx context.Context, n tocsin.Notification) (tocsin.Receipt, error) {
	messages, err := s.messages(n)
	if err != nil {
		return tocsin.Receipt{}, err
	}
	if err := s.channel.client.CheckAtSend(ctx, s.config.base); err != nil {
		return tocsin.Receipt{}, fmt.Errorf("sending to pagerduty: %w", err)
	}
	session := s.channel.client.Session(s.redact)
	told := ledger{stored: n.Refs}
	results, truncated := s.sendAll(ctx, session, messages, &told)
	receipt := tocsin.Receipt{Exchanges: session.Exchanges(), Refs: told.refs(), Truncated: truncated}
	if len(results) == 1 {
		return receipt, results[0].Err
	}
	receipt.Results = results
	return receipt, nil
}

// sendAll sends messages until one fails in a way that concerns the others, too.
func (s *sender) sendAll(ctx context.Context, session *post.Session, messages []message, told *ledger) (results []tocsin.Result, truncated int) {
	results = make([]tocsin.Result, len(messages))
	asked := 0
	for i := range messages {
		m := &messages[i]
		if told.stale(m) {
			continue
		}
		if m.cut {
			truncated++
		}
		err := s.ready(ctx, asked)
		if err == nil {
			err = s.send(ctx, session, m.request)
			asked++
		}
		results[i].Err = err
		if err == nil {
			told.accepted(m)
		} else if tocsin.Classify(err).Fault != tocsin.FaultEvent {
			for j := i + 1; j < len(results); j++ {
				results[j].Err = err
			}
			break
		}
	}
	return results, truncated
}

// ready says no when a request after the first might be cut off by the context's
// deadline: then it would not be known what came of it.
func (s *sender) ready(ctx context.Context, asked int) error {
	deadline, ok := ctx.Deadline()
	if asked == 0 || !ok || time.Until(deadline) >= s.channel.client.Timeout() {
		return nil
	}
	return tocsin.RetryAfter(post.Errorf(post.ClassTimeout, "sending to pagerduty: no time is left for this event"), 0)
}

// send makes one request.
func (s *sender) send(ctx context.Context, session *post.Session, req post.Request) error {
	res, err := session.Do(ctx, req)
	if err == nil && res.Status != http.StatusAccepted && res.Status/100 == 2 {
		err = res.BodyErr
	}
	if err == nil {
		err = classify(res.Status, res.Header, res.Body, res.Exchange.ResponseBody)
	}
	if err != nil {
		return fmt.Errorf("sending to pagerduty: %w", err)
	}
	return nil
}

// Preview implements tocsin.Sender.
func (s *sender) Preview(_ context.Context, n tocsin.Notification) ([]tocsin.Exchange, error) {
	messages, err := s.messages(n)
	if err != nil {
		return nil, err
	}
	told := ledger{stored: n.Refs}
	var out []tocsin.Exchange
	for i := range messages {
		m := &messages[i]
		if told.stale(m) {
			continue
		}
		told.accepted(m)
		m.request.Redact = s.redact
		out = append(out, s.channel.client.Preview(m.request))
	}
	return out, nil
}

// message is one event, rendered.
type message struct {
	event   *tocsin.Event
	request post.Request
	change  bool // a change event
	cut     bool // it lost something
}

// messages renders every event.
func (s *sender) messages(n tocsin.Notification) ([]message, error) {
	if len(n.Events) == 0 {
		return nil, tocsin.Permanent(post.Errorf(post.ClassRender, "rendering for pagerduty: the delivery has no events"))
	}
	out := make([]message, len(n.Events))
	for i := range n.Events {
		path, body, cut, err := s.render(n, &n.Events[i])
		if err != nil {
			return nil, tocsin.Permanent(post.Errorf(post.ClassRender, "rendering for pagerduty: %v", err))
		}
		out[i] = message{event: &n.Events[i], change: path == changePath, cut: cut, request: post.Request{
			Method: http.MethodPost, URL: s.config.base + path, Body: body,
			Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
		}}
	}
	return out, nil
}
