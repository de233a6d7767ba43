package splunk

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/batch"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// The collector's paths:
// https://help.splunk.com/en/splunk-enterprise/get-data-in/collect-http-event-data/http-event-collector-rest-api-endpoints
const (
	pathEvent  = "/services/collector/event"
	pathAck    = "/services/collector/ack"
	pathHealth = "/services/collector/health"
)

// Send implements tocsin.Sender.
func (s *sender) Send(ctx context.Context, n tocsin.Notification) (tocsin.Receipt, error) {
	b, err := s.render(n)
	if err != nil {
		return tocsin.Receipt{}, err
	}
	if err := s.secure(ctx); err != nil {
		return tocsin.Receipt{}, err
	}
	t := &try{sender: s, n: n, session: s.client.Session(s.redact), lost: map[int]bool{}}
	receipt := tocsin.Receipt{Truncated: b.Truncated}
	if s.conf.ack {
		receipt.Results, receipt.Refs, err = t.acknowledged(ctx, b)
	} else {
		receipt.Results, err = batch.Send(ctx, len(b.Records), b.Spans, func(ctx context.Context, span batch.Span) ([]tocsin.Result, error) {
			_, results, err := t.post(ctx, b.Lines(span), span.Len())
			return results, err
		})
	}
	receipt.Exchanges = t.session.Exchanges()
	return receipt, err
}

// secure looks again at a receiver on plain http, which was allowed by its address when it
// was saved.
func (s *sender) secure(ctx context.Context) error {
	if err := s.client.CheckAtSend(ctx, s.conf.url); err != nil {
		return fmt.Errorf("posting to splunk: %w", err)
	}
	return nil
}

// try is one Send.
type try struct {
	*sender
	n       tocsin.Notification
	session *post.Session
	// lost are the places of events that nobody acknowledged for [patience].
	lost map[int]bool
}

// post makes one request with n records. Results are there when the answer tells them
// apart.
func (t *try) post(ctx context.Context, body []byte, n int) (answer, []tocsin.Result, error) {
	a, status, err := t.ask(ctx, t.request(t.n.WebhookID, body))
	if at, ok := poison(status, a, n); err != nil && ok {
		return a, t.isolated(at, n, err), nil
	}
	return a, nil, err
}

// isolated are the results when one event is to blame: those before it were taken, it is
// dead, those behind it were not looked at. With ack nothing says whether the first are
// indexed, since a refusal brings no ackId, so they are sent again.
func (t *try) isolated(at, n int, err error) []tocsin.Result {
	results := make([]tocsin.Result, n)
	for i := range results {
		switch {
		case i == at:
			results[i].Err = err
		case i > at:
			results[i].Err = tocsin.RetryAfter(fmt.Errorf("not taken, because of the event before it: %w", err), 0)
		case t.conf.ack:
			results[i].Err = tocsin.Unsure(tocsin.RetryAfter(fmt.Errorf("not acknowledged, because of an event behind it: %w", err), 0))
		}
	}
	return results
}

// ask makes one request and reads the answer. status is 0 without one.
func (t *try) ask(ctx context.Context, r post.Request) (answer, int, error) {
	res, err := t.session.Do(ctx, r)
	if err == nil && res.Status == http.StatusOK {
		err = res.BodyErr // without the body there is no telling
	}
	if err != nil {
		return answer{}, 0, fmt.Errorf("posting to splunk: %w", err)
	}
	a := read(res.Body)
	return a, res.Status, classify(res.Status, res.Header, a, res.Exchange.ResponseBody)
}

// request is one with records.
func (s *sender) request(webhook string, body []byte) post.Request {
	r := s.to(http.MethodPost, pathEvent, webhook)
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Body = body
	if s.conf.gzip {
		r.Header.Set("Content-Encoding", "gzip")
		r.Body, r.Shown = batch.Gzip(body), body
	}
	return r
}

// to is a request to one of the collector's paths. The channel is on all of them: a token
// with acknowledgment wants it even from senders that do not ask for any, and one without
// ignores it.
func (s *sender) to(method, path, webhook string) post.Request {
	return post.Request{
		Method: method, URL: s.conf.url + path, Redact: s.redact,
		Header: http.Header{"Authorization": {"Splunk " + s.conf.token}, "X-Splunk-Request-Channel": {s.channel(webhook)}},
	}
}

// channel is a GUID that is the same for a webhook in every process, and another for
// another collector or token, whose acknowledgments are others.
func (s *sender) channel(webhook string) string {
	sum := sha256.Sum256([]byte("tocsin splunk channel\x00" + webhook + "\x00" + s.conf.url + "\x00" + s.conf.token))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // a UUID of version 8: https://www.rfc-editor.org/rfc/rfc9562#section-5.8
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}
