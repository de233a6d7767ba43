package email_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/email"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

func newChannel(c *post.Client, log *slog.Logger) tocsin.Channel { return email.New(c, log) }

// configOf is a whole configuration for a server; changes replace keys, nil removes one.
func configOf(addr string, changes map[string]any) string {
	c := map[string]any{
		"tls": "starttls", "auth": "plain", "username": user, "password": password, "from": "Tocsin Wächter <alerts@example.com>",
		"to": []string{"Security Team <security@example.com>", "oncall@example.com"}, "cc": "lead@example.com", "bcc": []string{"archive@example.com"},
		"reply_to": "soc@example.com", "subject_prefix": "[production]", "ca_cert": theAuthority().pem, "helo": "tocsin.example.com",
	}
	c["host"], c["port"] = addr, 587
	if at := strings.LastIndexByte(addr, ':'); at > 0 {
		if port, err := strconv.Atoi(addr[at+1:]); err == nil {
			c["host"], c["port"] = addr[:at], port
		}
	}
	for k, v := range changes {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings always encode
	}
	return string(text)
}

// config is for the suite.
func config(addr string) string { return configOf(addr, nil) }

func peer(t *testing.T, b integrationtest.Behaviour) integrationtest.Peer {
	s := &smtpd{auth: []string{"PLAIN", "LOGIN"}}
	switch b {
	case integrationtest.Hangs:
		s.script = func(string, string) string { return "hang" }
	case integrationtest.Drops:
		s.script = func(string, string) string { return "drop" }
	}
	p := s.start(t).peer()
	// Before the message nothing can have been accepted.
	p.Want, p.Class = integrationtest.Outcome{Fault: tocsin.FaultRetry}, post.ClassTimeout
	if b == integrationtest.Drops {
		p.Class = post.ClassReset
	}
	return p
}

func TestConformance(t *testing.T) {
	integrationtest.Run(t, integrationtest.Spec{
		New: newChannel, Config: config, Secrets: []string{password}, Peer: peer,
		IdempotencyKey: func(sent []integrationtest.Received) string { return read(t, sent[0].Body).Header.Get("Message-ID") },
		Events: map[string][]tocsin.Event{
			"rows":    repeat(integrationtest.Pick(t, "it-mcp", "it-hostile", "it-traffic-back"), 120),
			"summary": repeat(integrationtest.Pick(t, "it-mcp", "it-hostile", "it-traffic-back"), 1000),
		},
		Limits: []integrationtest.Limit{
			{
				Name: "name", Max: 200, Size: alert.Runes,
				Event: func(text string) tocsin.Event {
					return tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Severity: tocsin.SeverityLow, Title: text}
				},
				Rendered: func(t *testing.T, body string) string { return textOf(find(read(t, body).tree(t), "h1")[0]) },
			},
			{
				Name: "summary", Max: 4000, Size: alert.Runes,
				Event: func(text string) tocsin.Event {
					return tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Severity: tocsin.SeverityLow, Title: "t", Summary: text}
				},
				Rendered: func(t *testing.T, body string) string { return textOf(find(read(t, body).tree(t), "p")[0]) },
			},
			{
				Name: "fact", Max: 500, Size: alert.Runes,
				Event: func(text string) tocsin.Event {
					return tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Subject: text, Severity: tocsin.SeverityLow, Title: "t"}
				},
				Rendered: func(t *testing.T, body string) string { return factOf(t, read(t, body).tree(t), "Subject") },
			},
		},
	})
}

// repeat returns n events, over and over.
func repeat(events []tocsin.Event, n int) []tocsin.Event {
	out := make([]tocsin.Event, n)
	for i := range out {
		out[i] = events[i%len(events)]
	}
	return out
}

// parsed is a message read by parsers that are not ours.
type parsed struct {
	Header  mail.Header
	Subject string
	// parts are the bodies by media type, order their types in order.
	parts map[string]string
	order []string
}

func read(t *testing.T, raw string) parsed {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatalf("reading the message: %v", err)
	}
	p := parsed{Header: m.Header, parts: map[string]string{}}
	if p.Subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		t.Fatalf("reading the subject: %v", err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("the message is %q, %v", kind, err)
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		part, err := r.NextRawPart()
		if err == io.EOF {
			return p
		}
		if err != nil {
			t.Fatalf("reading a part: %v", err)
		}
		kind, params, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil || params["charset"] != "UTF-8" || part.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
			t.Fatalf("a part is %v, %v", part.Header, err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatalf("reading %s: %v", kind, err)
		}
		p.parts[kind], p.order = strings.ReplaceAll(string(body), "\r\n", "\n"), append(p.order, kind)
	}
}

// tree is the HTML as browsers understand it.
func (p parsed) tree(t *testing.T) *html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(p.parts["text/html"]))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// find returns all elements of a name, in order.
func find(n *html.Node, name string) []*html.Node {
	var out []*html.Node
	for c := range n.Descendants() {
		if c.Type == html.ElementNode && c.Data == name {
			out = append(out, c)
		}
	}
	return out
}

// textOf is what a person reads of a node.
func textOf(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return b.String()
}

// factOf is the value beside a label.
func factOf(t *testing.T, root *html.Node, label string) string {
	t.Helper()
	for _, row := range find(root, "tr") {
		if cells := find(row, "td"); len(cells) == 2 && textOf(cells[0]) == label {
			return textOf(cells[1])
		}
	}
	t.Fatalf("no fact %s", label)
	return ""
}

// kit is a channel that may send to this machine.
type kit struct {
	t       *testing.T
	channel tocsin.Channel
	log     *bytes.Buffer
}

func newKit(t *testing.T, timeout time.Duration) *kit {
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: timeout})
	t.Cleanup(c.Close)
	k := &kit{t: t, log: &bytes.Buffer{}}
	k.channel = newChannel(c, slog.New(slog.NewTextHandler(k.log, nil)))
	return k
}

// open opens a configuration, which must be valid.
func (k *kit) open(config string) tocsin.Sender {
	k.t.Helper()
	complete, _, err := k.channel.Complete(json.RawMessage(config))
	if err == nil {
		err = k.channel.Validate(k.t.Context(), complete)
	}
	if err != nil {
		k.t.Fatal(err)
	}
	s, err := k.channel.Open(complete)
	if err != nil {
		k.t.Fatal(err)
	}
	return s
}

// one is a notification of one ordinary event.
func one(t *testing.T) tocsin.Notification {
	return integrationtest.Notify(integrationtest.Pick(t, "it-agent")...)
}

// outcomeOf is whose fault an error is, and whether it is unsure.
func outcomeOf(err error) integrationtest.Outcome {
	if err == nil {
		return integrationtest.Outcome{}
	}
	s := tocsin.Classify(err)
	return integrationtest.Outcome{Fault: s.Fault, Unsure: s.Unsure}
}
