package email

import (
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"time"

	"github.com/wneessen/go-mail/log"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// maxAnswers is the most bytes read from a server in one connection, TLS included: a
// hundred recipients with the longest reply each (512 bytes:
// https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.5) take a fifth of it.
const maxAnswers = 256 << 10

// bounded is a connection on which a server cannot say more than maxAnswers.
type bounded struct {
	net.Conn
	left int
}

var errTooMuch = errors.New("the server says more than an SMTP server has to say")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooMuch
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// dialogue keeps what was said: our commands after ">", the server's replies after "<".
// What go-mail sends to log in, and the message itself, are not in it.
type dialogue struct {
	redact *post.Redactor
	text   strings.Builder
	status int // the code of the last reply
	began  time.Time
	times  tocsin.Timings
}

// said adds a line of ours.
func (d *dialogue) said(text string) { d.line("> ", text) }

// heard adds a reply.
func (d *dialogue) heard(code int, text string) {
	d.status = code
	for line := range strings.SplitSeq(text, "\n") {
		d.line("< ", fmt.Sprintf("%d %s", code, line))
	}
}

func (d *dialogue) line(mark, text string) {
	text = printable(d.redact.Text(text)) + "\n"
	if d.text.Len()+len(mark)+len(text) <= tocsin.MaxResponseKept {
		d.text.WriteString(mark + text)
	}
}

// printable makes a server's text fit for a store and a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r <= 0x9f || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(strings.TrimSuffix(text, "\r"), "\uFFFD"))
}

// failed adds the reply that an error is about, and reports whether there is one: go-mail
// logs none that it did not expect, but for those to a login.
func (d *dialogue) failed(at step, err error) bool {
	var r *textproto.Error
	if !errors.As(err, &r) {
		return false
	}
	if at != stepAuth {
		d.heard(r.Code, r.Msg)
	}
	d.status = r.Code
	return true
}

// ms is the time since the dialogue began.
func (d *dialogue) ms() float64 { return float64(time.Since(d.began).Microseconds()) / 1000 }

// Debugf implements log.Logger, go-mail's way to show what it says and hears.
func (d *dialogue) Debugf(l log.Log) {
	if l.Direction == log.DirClientToServer {
		d.said(fmt.Sprintf(l.Format, l.Messages...))
		return
	}
	if code, ok := l.Messages[0].(int); ok && len(l.Messages) == 2 {
		d.heard(code, fmt.Sprint(l.Messages[1]))
	}
}

// Infof, Warnf and Errorf implement log.Logger; nothing of the protocol comes through them.
func (d *dialogue) Infof(log.Log) {}

// Warnf implements log.Logger.
func (d *dialogue) Warnf(log.Log) {}

// Errorf implements log.Logger.
func (d *dialogue) Errorf(log.Log) {}

// finish writes what was said into x.
func (d *dialogue) finish(x *tocsin.Exchange) {
	d.times.Total = d.ms()
	x.Status, x.ResponseBody, x.Timings = d.status, d.text.String(), d.times
}
