package slack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/slack-go/slack"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// keepAnswer is how much of an answer is read. Slack repeats the message in it, and in the
// answer to a reply that is broadcast its parent too
// (https://docs.slack.dev/reference/methods/chat.postMessage#response).
const keepAnswer = 256 << 10

// bot posts to one channel with a token.
type bot struct {
	wire
	config config
}

// reference is what a bot remembers of an incident: its message. Stored; fields are added,
// never renamed.
type reference struct {
	Channel string        `json:"channel"`
	TS      string        `json:"ts"`
	Status  tocsin.Status `json:"status"`
	// Seq is the latest event it has told of: one before that, sent again, changes nothing but
	// the thread.
	Seq int64 `json:"seq,omitempty"`
}

// apiMessage is the body of chat.postMessage and chat.update.
type apiMessage struct {
	Channel        string        `json:"channel"`
	TS             string        `json:"ts,omitempty"`
	ThreadTS       string        `json:"thread_ts,omitempty"`
	ReplyBroadcast bool          `json:"reply_broadcast,omitempty"`
	Text           string        `json:"text"`
	Blocks         *slack.Blocks `json:"blocks"`
	Parse          string        `json:"parse"`
	UnfurlLinks    *bool         `json:"unfurl_links,omitempty"`
	UnfurlMedia    *bool         `json:"unfurl_media,omitempty"`
}

// group is the events of one delivery that share a message.
type group struct {
	key    string // the dedup key; "" for a message per delivery
	places []int
	n      tocsin.Notification // with these events only
	ref    reference           // TS is "" without one
}

// groups puts the events of one incident together, in the order of their first.
func (b *bot) groups(n tocsin.Notification) []*group {
	if b.config.groupBy == byDelivery {
		g := &group{n: n}
		for i := range n.Events {
			g.places = append(g.places, i)
		}
		return []*group{g}
	}
	var out []*group
	byKey := map[string]*group{}
	for i := range n.Events {
		key := alert.DedupKey(&n.Events[i])
		g := byKey[key]
		if g == nil {
			g = &group{key: key, n: n}
			g.n.Events = nil
			// One that cannot be read, or of another channel, is as good as none.
			if json.Unmarshal(n.Refs[key], &g.ref) != nil || g.ref.Channel != b.config.channel {
				g.ref = reference{}
			}
			byKey[key] = g
			out = append(out, g)
		}
		g.places, g.n.Events = append(g.places, i), append(g.n.Events, n.Events[i])
	}
	return out
}

// root is what the incident's message shows: the latest event. That somebody looks at it
// is told in the thread, and the alert stays where it was, as it does for events that are
// sent again after newer ones.
func (g *group) root() (tocsin.Notification, bool) {
	n := g.n
	if g.key == "" {
		return n, true
	}
	for i, e := range slices.Backward(n.Events) {
		if g.ref.TS == "" && i == 0 || e.Type != tocsin.TypeIncidentAcknowledged && !g.old(e) {
			n.Events = n.Events[i : i+1]
			return n, true
		}
	}
	return n, false
}

// old reports whether newer events have been told already. Tests have no number.
func (g *group) old(e tocsin.Event) bool { return e.Seq != 0 && e.Seq < g.ref.Seq }

// replies reports whether the events are told in the thread as well: they are, but for the
// one that the incident's first message shows.
func (g *group) replies() bool { return g.key != "" && (g.ref.TS != "" || len(g.n.Events) > 1) }

// broadcasts reports whether the reply is shown in the channel too: firing again after it
// was resolved is news, and an old message is out of sight.
func (g *group) broadcasts() bool {
	return g.ref.TS != "" && g.ref.Status == tocsin.Resolved &&
		slices.ContainsFunc(g.n.Events, func(e tocsin.Event) bool { return fires(e) && !g.old(e) })
}

func fires(e tocsin.Event) bool {
	return e.Status != tocsin.Resolved && e.Type != tocsin.TypeIncidentAcknowledged
}

// tell notes how the incident stands after these events.
func (g *group) tell() {
	for _, e := range g.n.Events {
		if g.old(e) {
			continue
		}
		g.ref.Seq = e.Seq
		switch {
		case e.Status == tocsin.Resolved:
			g.ref.Status = tocsin.Resolved
		case fires(e):
			g.ref.Status = tocsin.Firing
		}
	}
}

// Send implements tocsin.Sender. Messages go out one after the other. One that is refused
// for its content does not keep the others back; at any other failure it stops, and what
// has not been posted is to be tried again, with the references of what has.
func (b *bot) Send(ctx context.Context, n tocsin.Notification) (tocsin.Receipt, error) {
	if len(n.Events) == 0 {
		_, _, err := rendered(n)
		return tocsin.Receipt{}, err
	}
	c := call{bot: b, session: b.channel.client.Session(b.redact)}
	receipt := tocsin.Receipt{Results: make([]tocsin.Result, len(n.Events)), Refs: map[string]json.RawMessage{}}
	groups := b.groups(n)
	tried := false // something was accepted, or refused for its content
	var stop error
	for _, g := range groups {
		err := stop
		if err == nil {
			err = c.deliver(ctx, g)
			if g.key != "" && g.ref.TS != "" {
				receipt.Refs[g.key], _ = json.Marshal(g.ref) // strings and numbers always encode
			}
			if err != nil && tocsin.Classify(err).Fault != tocsin.FaultEvent {
				stop = err
			}
			tried = tried || stop == nil
		}
		for _, place := range g.places {
			receipt.Results[place].Err = err
		}
	}
	receipt.Truncated, receipt.Exchanges = c.truncated, c.session.Exchanges()
	if err := receipt.Results[0].Err; err != nil && (!tried || len(groups) == 1) {
		receipt.Results = nil
		return receipt, err
	}
	return receipt, nil
}

// call is one Send under way.
type call struct {
	*bot
	session   *post.Session
	truncated int
	requests  int
}

// deliver brings the incident's message up to date and tells of the events in its thread. g's
// ref is what to remember, whatever the error: the message is there by then.
func (c *call) deliver(ctx context.Context, g *group) error {
	replies, broadcast := g.replies(), g.broadcasts()
	if n, shown := g.root(); shown {
		if err := c.show(ctx, g, n); err != nil {
			return err
		}
	}
	if replies {
		a, err := c.say(ctx, "chat.postMessage", g.n, func(m *apiMessage) { m.ThreadTS, m.ReplyBroadcast = g.ref.TS, broadcast })
		if _, known := faults[a.word]; err != nil && (threadLost[a.word] || a.word != "" && !known) {
			// The thread is locked, or gone: that is no trouble of the webhook.
			err = c.begin(ctx, g, g.n)
		}
		if err != nil {
			return err
		}
	}
	// Only now: a reply that failed is to be broadcast by the next attempt, too.
	g.tell()
	return nil
}

// show posts the incident's message, or updates it. A message that is gone, or that
// nobody may change any more, is posted anew.
func (c *call) show(ctx context.Context, g *group, n tocsin.Notification) error {
	if g.ref.TS != "" {
		a, err := c.say(ctx, "chat.update", n, func(m *apiMessage) { m.TS = g.ref.TS })
		if err == nil || a.word == "edit_window_closed" {
			return nil // the thread tells it
		}
		if !messageLost[a.word] {
			return err
		}
	}
	return c.begin(ctx, g, n)
}

// begin posts a message that the incident has from now on.
func (c *call) begin(ctx context.Context, g *group, n tocsin.Notification) error {
	a, err := c.say(ctx, "chat.postMessage", n, func(*apiMessage) {})
	if err == nil {
		g.ref.Channel, g.ref.TS = c.config.channel, a.ts
	}
	return err
}

// say makes one call, and once more in plain text when Slack refuses the blocks. Only the
// first of a Send is made whatever time is left: one that is cut off may be posted twice.
func (c *call) say(ctx context.Context, method string, n tocsin.Notification, set func(*apiMessage)) (answer, error) {
	if deadline, ok := ctx.Deadline(); ok && c.requests > 0 && time.Until(deadline) < c.channel.client.Timeout() {
		return answer{}, tocsin.RetryAfter(post.Errorf(post.ClassTimeout, "posting to slack: the rest of this delivery takes another attempt, after %d messages", c.requests), 0)
	}
	c.requests++
	msg, truncated, err := rendered(n)
	if err != nil {
		return answer{}, err
	}
	req, err := c.request(method, msg, set)
	if err != nil {
		return answer{}, err
	}
	a, err := c.do(ctx, c.session, req)
	if err != nil && blocksRefused[a.word] {
		c.warn(ctx, n, err)
		truncated = len(n.Events)
		if req, err = c.request(method, plainBody(n), set); err != nil {
			return a, err
		}
		a, err = c.do(ctx, c.session, req)
	}
	c.truncated += truncated
	return a, err
}

// request is one call of the Web API.
func (b *bot) request(method string, msg slack.WebhookMessage, set func(*apiMessage)) (post.Request, error) {
	m := apiMessage{Channel: b.config.channel, Text: msg.Text, Blocks: msg.Blocks, Parse: msg.Parse, UnfurlLinks: msg.UnfurlLinks, UnfurlMedia: msg.UnfurlMedia}
	if m.Blocks == nil {
		// An update without blocks keeps those that were there.
		m.Blocks = &slack.Blocks{BlockSet: []slack.Block{}}
	}
	set(&m)
	if m.TS != "" {
		m.UnfurlLinks, m.UnfurlMedia = nil, nil // no arguments of chat.update
	}
	text, err := body(m)
	return b.api(http.MethodPost, method, text), err
}

func (b *bot) api(httpMethod, method string, text []byte) post.Request {
	header := http.Header{"Authorization": {"Bearer " + b.config.token}}
	if text != nil {
		header.Set("Content-Type", "application/json; charset=utf-8")
	}
	return post.Request{Method: httpMethod, URL: b.config.api + method, Body: text, Header: header, KeepBody: keepAnswer}
}

// Preview implements tocsin.Sender. A reply to a message that is still to be posted stands
// in a thread without a number.
func (b *bot) Preview(_ context.Context, n tocsin.Notification) ([]tocsin.Exchange, error) {
	if len(n.Events) == 0 {
		_, _, err := rendered(n)
		return nil, err
	}
	var out []tocsin.Exchange
	add := func(method string, n tocsin.Notification, set func(*apiMessage)) error {
		msg, _, err := rendered(n)
		if err != nil {
			return err
		}
		req, err := b.request(method, msg, set)
		req.Redact = b.redact
		out = append(out, b.channel.client.Preview(req))
		return err
	}
	for _, g := range b.groups(n) {
		if root, shown := g.root(); shown {
			method := "chat.postMessage"
			if g.ref.TS != "" {
				method = "chat.update"
			}
			if err := add(method, root, func(m *apiMessage) { m.TS = g.ref.TS }); err != nil {
				return nil, err
			}
		}
		if g.replies() {
			ts := g.ref.TS
			if ts == "" {
				ts = "…"
			}
			if err := add("chat.postMessage", g.n, func(m *apiMessage) { m.ThreadTS, m.ReplyBroadcast = ts, g.broadcasts() }); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// Check implements tocsin.Checker: auth.test proves the token
// (https://docs.slack.dev/reference/methods/auth.test), conversations.info the channel where
// the app may look at it (https://docs.slack.dev/reference/methods/conversations.info).
func (b *bot) Check(ctx context.Context) (string, []tocsin.Exchange, error) {
	s := b.channel.client.Session(b.redact)
	a, err := b.do(ctx, s, b.api(http.MethodPost, "auth.test", nil))
	if err != nil {
		return "", s.Exchanges(), err
	}
	found := fmt.Sprintf("the token is of %s in workspace %s", named(a.User), named(a.Team))
	a, err = b.do(ctx, s, b.api(http.MethodGet, "conversations.info?channel="+url.QueryEscape(b.config.channel), nil))
	switch {
	case a.word == "missing_scope":
		return found + "; the channel was not looked at, since the token has no scope for that (channels:read or groups:read)", s.Exchanges(), nil
	case err != nil:
		return "", s.Exchanges(), err
	case a.Conversation.Archived:
		return "", s.Exchanges(), tocsin.Refused(post.Errorf(post.ClassBody, "checking slack: the channel %s is archived", named(a.Conversation.Name)))
	case !a.Conversation.Member:
		return found + fmt.Sprintf("; it is no member of #%s, and can post there only with the scope chat:write.public", named(a.Conversation.Name)), s.Exchanges(), nil
	}
	return found + ", a member of #" + named(a.Conversation.Name), s.Exchanges(), nil
}

// named is a name that Slack gave.
func named(text string) string {
	text, _ = alert.Cut(alert.Clean(text, true), 100, alert.Runes)
	if text == "" {
		return "?"
	}
	return text
}
