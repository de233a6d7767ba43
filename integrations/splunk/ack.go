package splunk

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
	"github.com/tocsin-alerts/tocsin/integrations/internal/batch"
	"github.com/tocsin-alerts/tocsin/integrations/internal/format"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// With ack, an answer brings an ackId, and a question for it is answered with true once
// everything in that request is indexed, and with false before that, after it was
// answered with true once, and when Splunk has forgotten it:
// https://help.splunk.com/en/splunk-enterprise/get-data-in/collect-http-event-data/about-http-event-collector-indexer-acknowledgment
//
// Indexing takes about a second, and a sender never waits. So the ackIds are stored as
// refs; the attempt ends as one to be made again, and the next one asks first, and sends
// only what nobody acknowledged for [patience].
const (
	// patience is how long an acknowledgment is waited for before the events are sent
	// again. It ends before Splunk forgets an idle channel, after 10 minutes (maxIdleTime in
	// https://docs.splunk.com/Documentation/Splunk/latest/Admin/Inputsconf).
	patience = 5 * time.Minute
	// pause is how long the pipeline waits, at least, before it asks again.
	pause = 5 * time.Second
)

// ref is what is stored under a dedup key. It is a wire format: fields are added, never
// renamed.
type ref struct {
	// Channel is where the ackIds count.
	Channel string `json:"channel,omitempty"`
	// Acks are the ackIds not answered yet, by the event's uid.
	Acks map[string]pending `json:"acks,omitempty"`
}

type pending struct {
	ID int64 `json:"id"`
	At int64 `json:"at"` // when it was sent, Unix seconds
}

// acknowledged sends what is not on its way yet, and asks for what is.
func (t *try) acknowledged(ctx context.Context, b batch.Rendered) ([]tocsin.Result, map[string]json.RawMessage, error) {
	waiting := t.stored()
	if len(waiting) > 0 {
		if err := t.collect(ctx, waiting); err != nil {
			return nil, nil, err // nothing is known, and nothing was sent
		}
	}
	var send []int // places of events
	results := make([]tocsin.Result, len(t.n.Events))
	for i := range t.n.Events {
		w := waiting[i]
		switch {
		case w == nil:
			send = append(send, i)
		case w.done:
		case t.n.At.Sub(time.Unix(w.At, 0)) < patience:
			results[i].Err = errWaiting
		default: // lost
			delete(waiting, i)
			send = append(send, i)
			t.lost[i] = true
		}
	}
	err := t.sendAll(ctx, b, send, results, waiting)
	if err != nil {
		return nil, t.refs(waiting), err
	}
	results, err = batch.Settle(results)
	return results, t.refs(waiting), err
}

// wait is an event whose acknowledgment is outstanding, or came.
type wait struct {
	pending
	done bool
	lost bool // one of an earlier request never came
}

var (
	// errWaiting is the result of events that are on their way, which is no failure.
	errWaiting = tocsin.Taken(post.Errorf(post.ClassStatus, "taken, and not yet acknowledged as indexed; asking again"), pause)
	// errLost is the result of events that were sent once more. That is a failure: an indexer
	// that never acknowledges anything must show.
	errLost = tocsin.Unsure(tocsin.RetryAfter(post.Errorf(post.ClassStatus, "not acknowledged as indexed within %s, and sent again; asking again", patience), pause))
)

// outstanding is the result of an event that was sent just now; asked is what became of the
// first question for its acknowledgment.
func (w *wait) outstanding(asked error) error {
	switch {
	case asked != nil:
		return tocsin.Unsure(tocsin.RetryAfter(fmt.Errorf("taken; %w", asked), max(pause, tocsin.Classify(asked).After)))
	case w.lost:
		return errLost
	}
	return errWaiting
}

// stored reads which events are on their way from earlier attempts, by place.
func (t *try) stored() map[int]*wait {
	out := map[int]*wait{}
	for i := range t.n.Events {
		e := &t.n.Events[i]
		var r ref
		if json.Unmarshal(t.n.Refs[alert.DedupKey(e)], &r) != nil || r.Channel != t.channel(t.n.WebhookID) {
			continue
		}
		if p, ok := r.Acks[format.UID(e)]; ok {
			out[i] = &wait{pending: p}
		}
	}
	return out
}

// sendAll sends some of the events, and asks once whether they are indexed already. An
// error is one for all of them, when no other was accepted.
func (t *try) sendAll(ctx context.Context, b batch.Rendered, send []int, results []tocsin.Result, waiting map[int]*wait) error {
	if len(send) == 0 {
		return nil
	}
	some := batch.Rendered{}
	for _, i := range send {
		some.Records = append(some.Records, b.Records[i])
	}
	fresh := map[int]*wait{}
	own, err := batch.Send(ctx, len(send), pack(some.Records), func(ctx context.Context, span batch.Span) ([]tocsin.Result, error) {
		a, results, err := t.post(ctx, some.Lines(span), span.Len())
		if err != nil || results != nil {
			return results, err
		}
		if a.AckID == nil {
			t.log.WarnContext(ctx, "splunk acknowledges nothing for this token; counted as delivered when taken", "delivery", t.n.DeliveryID, "webhook", t.n.WebhookID)
			return nil, nil
		}
		for i := span.From; i < span.To; i++ {
			w := &wait{pending: pending{*a.AckID, t.n.At.Unix()}, lost: t.lost[send[i]]}
			fresh[send[i]], waiting[send[i]] = w, w
		}
		return nil, nil
	})
	var asked error
	if len(fresh) > 0 {
		asked = t.collect(ctx, fresh) // the next attempt asks again
	}
	if err != nil && own == nil && len(send) == len(results) {
		return err
	}
	for k, i := range send {
		switch {
		case own != nil:
			results[i] = own[k]
		case err != nil:
			results[i].Err = forSome(err)
		}
		if w := fresh[i]; w != nil && !w.done {
			results[i].Err = w.outstanding(asked)
		}
	}
	return nil
}

// forSome is an error about a whole request, for events among others: a refusal that
// names none of several events must not kill them all.
func forSome(err error) error {
	if tocsin.Classify(err).Fault == tocsin.FaultEvent {
		return tocsin.RetryAfter(err, 0)
	}
	return err
}

// collect asks for acknowledgments, and notes those that came.
func (t *try) collect(ctx context.Context, waiting map[int]*wait) error {
	ids := map[int64]bool{}
	for _, w := range waiting {
		ids[w.ID] = true
	}
	body, err := json.Marshal(map[string][]int64{"acks": slices.Sorted(maps.Keys(ids))})
	if err != nil {
		return tocsin.Refused(post.Errorf(post.ClassInternal, "asking splunk for acknowledgments: %v", err))
	}
	a, err := t.question(ctx, body)
	if err != nil {
		return err
	}
	for _, w := range waiting {
		w.done = a.Acks[strconv.FormatInt(w.ID, 10)]
	}
	return nil
}

// question posts to the path for acknowledgments. Its yes has no code. That it is refused is
// no event's fault: there is none in it.
func (t *try) question(ctx context.Context, body []byte) (answer, error) {
	r := t.to(http.MethodPost, pathAck, t.n.WebhookID)
	r.Header.Set("Content-Type", "application/json")
	r.Body, r.KeepBody = body, 1<<20
	a, status, err := t.ask(ctx, r)
	switch {
	case status == http.StatusOK && a.Acks != nil:
		return a, nil
	case err == nil:
		err = tocsin.Unsure(post.Errorf(post.ClassBody, "the answer holds no acks"))
	case tocsin.Classify(err).Fault == tocsin.FaultEvent:
		s := *tocsin.Classify(err)
		s.Fault, s.Err = tocsin.FaultWebhook, err
		err = &s
	}
	return a, fmt.Errorf("asking for acknowledgments: %w", err)
}

// refs are what changed: what is still waited for, and no more what came. Of events that
// are in other deliveries, what is fresh is kept.
func (t *try) refs(waiting map[int]*wait) map[string]json.RawMessage {
	changed, here := map[string]*ref{}, map[string]bool{}
	for i := range t.n.Events {
		e := &t.n.Events[i]
		key, uid := alert.DedupKey(e), format.UID(e)
		here[uid] = true
		var before ref
		_ = json.Unmarshal(t.n.Refs[key], &before) // what cannot be read is not there
		w := waiting[i]
		if w == nil && len(before.Acks) == 0 {
			continue
		}
		if changed[key] == nil {
			changed[key] = &ref{Channel: t.channel(t.n.WebhookID), Acks: map[string]pending{}}
			if before.Channel == changed[key].Channel {
				maps.Copy(changed[key].Acks, before.Acks)
			}
		}
		delete(changed[key].Acks, uid)
		if w != nil && !w.done {
			changed[key].Acks[uid] = w.pending
		}
	}
	out := map[string]json.RawMessage{}
	for key, r := range changed {
		maps.DeleteFunc(r.Acks, func(uid string, p pending) bool { return !here[uid] && t.n.At.Sub(time.Unix(p.At, 0)) >= patience })
		text, _ := json.Marshal(r) // always encodes
		out[key] = text
	}
	return out
}
