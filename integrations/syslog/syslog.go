package syslog

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

//go:embed schema.json
var schema []byte

// Channel is the channel "syslog".
type Channel struct{ client *post.Client }

var (
	_ tocsin.Channel = (*Channel)(nil)
	_ tocsin.Sender  = (*sender)(nil)
	_ tocsin.Checker = (*sender)(nil)
)

// New returns the channel.
func New(client *post.Client) *Channel { return &Channel{client: client} }

// Name implements tocsin.Channel.
func (c *Channel) Name() string { return "syslog" }

// Schema implements tocsin.Channel.
func (c *Channel) Schema() json.RawMessage { return schema }

// BatchKey implements tocsin.Channel: each event has a message of its own.
func (c *Channel) BatchKey(*tocsin.Event) string { return "" }

// Open implements tocsin.Channel. The sender connects at its first Send, keeps the
// connection for those that follow, and closes it once it was idle for a while: nothing
// needs to be done to drop a sender.
func (c *Channel) Open(raw json.RawMessage) (tocsin.Sender, error) {
	conf, err := parse(raw)
	if err != nil {
		return nil, err
	}
	client, err := c.client.WithTLS(conf.tls)
	if err != nil {
		return nil, tocsin.Invalid("config."+aboutTLS(err, conf.tls), "%v", err)
	}
	if conf.serverName == "" {
		conf.serverName = conf.host
	}
	return &sender{conf: conf, client: client, redact: post.NewRedactor(secretLines(conf.tls.Key)...), line: newLine(client, conf)}, nil
}

// secretLines are the lines of a PEM text that tell something, for whoever repeats one.
func secretLines(pem string) []string {
	return slices.DeleteFunc(strings.Split(pem, "\n"), func(line string) bool { return len(line) < 8 || strings.HasPrefix(line, "-----") })
}

// sender writes to one receiver.
type sender struct {
	conf   config
	client *post.Client
	redact *post.Redactor
	line   *line
}

// Format implements fmt.Formatter: a sender that ends up in a log shows no secret.
func (s *sender) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "syslog sender") }

// MarshalJSON implements json.Marshaler, for the same reason.
func (s *sender) MarshalJSON() ([]byte, error) { return []byte(`"syslog sender"`), nil }

// Send implements tocsin.Sender. All messages of a delivery are written together; no
// other Send's come between. When that ends early there is no telling which of them
// arrived, so the error is that of all.
func (s *sender) Send(ctx context.Context, n tocsin.Notification) (tocsin.Receipt, error) {
	frames, truncated, err := s.render(n)
	if err != nil {
		return tocsin.Receipt{}, err
	}
	x := s.exchange(frames, post.MaxRequestKept)
	ctx, cancel := context.WithTimeout(ctx, s.client.Timeout())
	defer cancel()
	err = s.line.send(ctx, frames, &x)
	receipt := tocsin.Receipt{Truncated: truncated, Exchanges: []tocsin.Exchange{x}}
	if err != nil {
		return receipt, fmt.Errorf("sending syslog: %w", err)
	}
	return receipt, nil
}

// Preview implements tocsin.Sender.
func (s *sender) Preview(_ context.Context, n tocsin.Notification) ([]tocsin.Exchange, error) {
	frames, _, err := s.render(n)
	if err != nil {
		return nil, err
	}
	return []tocsin.Exchange{s.exchange(frames, size(frames)+len(frames))}, nil
}

// Check implements tocsin.Checker: it connects, with the TLS handshake, and sends
// nothing. Whether the receiver keeps what it gets, syslog cannot say.
func (s *sender) Check(ctx context.Context) (string, []tocsin.Exchange, error) {
	x := tocsin.Exchange{Method: "SYSLOG", URL: s.conf.url()}
	ctx, cancel := context.WithTimeout(ctx, s.client.Timeout())
	defer cancel()
	w, err := s.line.dial(ctx, &x)
	if err != nil {
		return "", []tocsin.Exchange{x}, fmt.Errorf("connecting to the syslog receiver: %w", err)
	}
	w.close()
	found := fmt.Sprintf("reaches %s%s; sends RFC 5424 messages as %s", s.conf.hostPort(), w.about, s.conf.format)
	if s.conf.transport == overUDP {
		found = fmt.Sprintf("sends RFC 5424 messages as %s to %s over UDP, where nobody tells whether they arrive", s.conf.format, s.conf.hostPort())
	}
	return found, []tocsin.Exchange{x}, nil
}

// exchange is the record of a send, with at most so many bytes of its messages.
func (s *sender) exchange(frames [][]byte, keep int) tocsin.Exchange {
	var b strings.Builder
	for _, f := range frames {
		if b.Len() > keep {
			break
		}
		if s.conf.transport == overUDP && b.Len() > 0 {
			b.WriteByte('\n') // datagrams have no mark between them
		}
		b.Write(f)
	}
	body := s.redact.Text(b.String())
	if len(body) > keep {
		body = strings.ToValidUTF8(body[:keep], "")
	}
	return tocsin.Exchange{Method: "SYSLOG", URL: s.conf.url(), RequestBody: body, RequestBytes: size(frames)}
}

// size is how many bytes frames have together.
func size(frames [][]byte) int {
	n := 0
	for _, f := range frames {
		n += len(f)
	}
	return n
}
