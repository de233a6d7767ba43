package email

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// leastTime is what must be left of an attempt to begin with the message: a connection cut
// after it leaves unknown whether it was accepted.
const leastTime = time.Second

// session is one connection to the server.
type session struct {
	*dialogue
	sender *sender
	client *smtp.Client
	conn   *bounded
	ctx    context.Context
	tls    *tls.ConnectionState // nil: in the clear
	mech   string               // how we logged in; "": not
	stop   func() bool
}

// Send implements tocsin.Sender.
func (s *sender) Send(ctx context.Context, n tocsin.Notification) (tocsin.Receipt, error) {
	msg, truncated, err := s.compose(n)
	if err != nil {
		return tocsin.Receipt{}, err
	}
	known := readRef(n)
	to := known.open(s.conf.recipients())
	receipt := tocsin.Receipt{Truncated: truncated}
	if len(to) == 0 {
		return receipt, nil // an earlier attempt reached all who are still recipients
	}
	x := s.record(to, msg, post.MaxRequestKept)
	sent, err := s.transact(ctx, to, msg, &x)
	receipt.Exchanges = []tocsin.Exchange{x}
	if err != nil {
		ok := false
		if len(known.Done) > 0 {
			sent, ok = rest(to, err)
		}
		if !ok {
			return receipt, err
		}
	}
	return s.conclude(ctx, n, known, sent, receipt)
}

// transact makes one transaction; an error is one for all recipients.
func (s *sender) transact(ctx context.Context, to []string, msg []byte, x *tocsin.Exchange) (outcome, error) {
	d := &dialogue{redact: s.redact, began: time.Now()}
	defer func() { d.finish(x) }()
	t, err := s.connect(ctx, d, x)
	if err != nil {
		return outcome{}, err
	}
	defer t.close()
	return t.deliver(to, msg)
}

// Check implements tocsin.Checker: everything up to a message.
func (s *sender) Check(ctx context.Context) (string, []tocsin.Exchange, error) {
	x := s.record(nil, nil, 0)
	d := &dialogue{redact: s.redact, began: time.Now()}
	t, err := s.connect(ctx, d, &x)
	if err == nil {
		if err = t.do(stepNoop, t.client.Noop); err == nil {
			t.quit()
		}
		t.close()
	}
	d.finish(&x)
	if err != nil {
		return "", []tocsin.Exchange{x}, err
	}
	return t.found(), []tocsin.Exchange{x}, nil
}

// found is a sentence about the connection.
func (t *session) found() string {
	text := "reaches " + t.sender.conf.hostport()
	if t.tls != nil {
		text += " over " + tls.VersionName(t.tls.Version)
	} else {
		text += " without encryption"
	}
	if t.mech != "" {
		text += ", logs in as " + t.sender.conf.username + " (" + t.mech + ")"
	}
	n := len(t.sender.conf.recipients())
	text += fmt.Sprintf(", and would send as %s to %d recipient", t.sender.conf.from.Address, n)
	if n != 1 {
		text += "s"
	}
	return text
}

// connect dials, encrypts and logs in. On an error there is nothing to close.
func (s *sender) connect(ctx context.Context, d *dialogue, x *tocsin.Exchange) (*session, error) {
	// A server in the clear was allowed by its address when it was saved. Its name may have
	// another address now, and yet another when it is dialled.
	if s.conf.tls == tlsNone && !s.client.AllowedHost(ctx, s.conf.host) {
		return nil, tocsin.Refused(post.Errorf(post.ClassEgress, "sending mail: tls: %s", plainRefused))
	}
	conn, err := s.client.Dial(ctx, "tcp", s.conf.hostport())
	if err != nil {
		return nil, fmt.Errorf("sending mail: %w", err)
	}
	d.times.Connect = d.ms()
	x.RemoteAddr = conn.RemoteAddr().String()
	if peer, err := netip.ParseAddrPort(x.RemoteAddr); s.conf.tls == tlsNone && (err != nil || !s.client.AllowedHost(ctx, peer.Addr().String())) {
		_ = conn.Close() // nothing was said yet
		return nil, tocsin.Refused(post.Errorf(post.ClassEgress, "sending mail: tls: %s", plainRefused))
	}
	t := &session{dialogue: d, sender: s, conn: &bounded{conn, maxAnswers}, ctx: ctx}
	t.stop = context.AfterFunc(ctx, func() { _ = conn.Close() }) // which ends every read
	for _, begin := range []func() error{t.greet, t.encrypt, t.login} {
		if err := begin(); err != nil {
			t.close()
			return nil, err
		}
	}
	return t, nil
}

// do makes one step within the client's timeout. status is then that of its reply, 0 without
// one.
func (t *session) do(at step, f func() error) error {
	deadline := time.Now().Add(t.sender.client.Timeout())
	if d, ok := t.ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	t.status = 0
	err := t.conn.SetDeadline(deadline)
	if err == nil {
		err = f()
	}
	if err == nil {
		return nil
	}
	if !t.failed(at, err) && t.ctx.Err() != nil {
		err = t.ctx.Err() // which closed the connection
	}
	return t.classify(at, err)
}

// greet waits for the server's first word, after TLS where that comes first, and says who
// we are.
func (t *session) greet() error {
	host := t.sender.conf.host
	var err error
	if t.sender.conf.tls == tlsImplicit {
		secure := tls.Client(t.conn, t.sender.client.TLSConfig(host))
		if err = t.do(stepTLS, func() error { return secure.HandshakeContext(t.ctx) }); err != nil {
			return err
		}
		t.times.TLS = t.ms()
		err = t.do(stepGreeting, func() error { t.client, err = smtp.NewClient(secure, host); return err })
	} else {
		err = t.do(stepGreeting, func() error { t.client, err = smtp.NewClient(t.conn, host); return err })
	}
	if err != nil {
		return err
	}
	t.times.FirstByte = t.ms()
	t.client.SetLogger(t.dialogue)
	t.client.SetDebugLog(true)
	t.client.SkipSMTPUTF8(true) // all addresses are ASCII
	return t.do(stepHello, func() error { return t.client.Hello(t.sender.conf.helo) })
}

// encrypt makes sure that nothing goes on in the clear unless that is configured.
func (t *session) encrypt() error {
	if t.sender.conf.tls == tlsStart {
		if ok, _ := t.client.Extension("STARTTLS"); !ok {
			return tocsin.Refused(post.Errorf(post.ClassTLS, "sending mail: %s does not offer STARTTLS, and without it "+
				"mail and password would travel in the clear; if the port is 465, set tls to implicit", t.sender.conf.hostport()))
		}
		if err := t.do(stepTLS, func() error { return t.client.StartTLS(t.sender.client.TLSConfig(t.sender.conf.host)) }); err != nil {
			return err
		}
		t.times.TLS = t.ms()
	}
	if state, err := t.client.GetTLSConnectionState(); err == nil {
		t.tls = state
	} else if t.sender.conf.tls != tlsNone {
		return tocsin.Refused(post.Errorf(post.ClassTLS, "sending mail: the connection is not encrypted"))
	}
	return nil
}

// login authenticates, if there is a username.
func (t *session) login() error {
	c := t.sender.conf
	if c.username == "" {
		return nil
	}
	_, offered := t.client.Extension("AUTH")
	mechs := strings.Fields(strings.ToUpper(offered))
	plain := c.tls == tlsNone
	for _, m := range []struct {
		name, config string
		auth         smtp.Auth
	}{
		{"PLAIN", authPlain, smtp.PlainAuth("", c.username, c.password, c.host, plain)},
		{"LOGIN", authLogin, smtp.LoginAuth(c.username, c.password, c.host, plain)},
		{"XOAUTH2", authXOAuth2, smtp.XOAuth2Auth(c.username, c.password)},
	} {
		wanted := c.auth == m.config || c.auth == authAuto && m.config != authXOAuth2
		if wanted && slices.Contains(mechs, m.name) {
			t.mech = m.name
			return t.do(stepAuth, func() error { return t.client.Auth(m.auth) })
		}
	}
	if len(mechs) == 0 {
		return tocsin.Refused(post.Errorf(post.ClassStatus, "sending mail: %s offers no login, and there is a username", c.hostport()))
	}
	return tocsin.Refused(post.Errorf(post.ClassStatus, "sending mail: auth is %s, and %s offers %.200s",
		c.auth, c.hostport(), printable(t.redact.Text(strings.Join(mechs, ", ")))))
}

// outcome is what became of the recipients of one transaction.
type outcome struct {
	accepted []string  // they have the mail
	refused  []refusal // for good
	deferred []refusal // for now
}

// refusal is one recipient's.
type refusal struct {
	to  string
	err error
	// crowded: this mail has recipients enough.
	crowded bool
}

// deliver sends one message. Each recipient is asked for; the message goes to those who are
// taken. An error means that it went to nobody, or that nobody knows.
func (t *session) deliver(to []string, msg []byte) (outcome, error) {
	if err := t.room(len(msg)); err != nil {
		return outcome{}, err
	}
	if err := t.do(stepFrom, func() error { return t.client.Mail(path(t.sender.conf.from.Address)) }); err != nil {
		return outcome{}, err
	}
	var out outcome
	for _, addr := range to {
		var said error
		err := t.do(stepTo, func() error { said = t.client.Rcpt(path(addr)); return said })
		switch {
		case err == nil:
			out.accepted = append(out.accepted, addr)
		case t.status == 421 || t.status == 0:
			return outcome{}, err // the server hangs up, or is gone
		case tocsin.Classify(err).Fault == tocsin.FaultWebhook:
			out.refused = append(out.refused, refusal{to: addr, err: err})
		default:
			out.deferred = append(out.deferred, refusal{to: addr, err: err, crowded: crowded(said)})
		}
	}
	if len(out.accepted) > 0 {
		if err := t.data(msg); err != nil {
			return outcome{}, err
		}
	}
	t.quit()
	return out, nil
}

// room compares the message with the size the server offers to take
// (https://www.rfc-editor.org/rfc/rfc1870); 0 or nothing is no limit. A smaller batch may fit.
func (t *session) room(size int) error {
	_, limit := t.client.Extension("SIZE")
	if most, err := strconv.Atoi(strings.TrimSpace(limit)); err == nil && most > 0 && size > most {
		t.quit()
		return tocsin.Permanent(post.Errorf(post.ClassStatus, "sending mail: the message has %d bytes, and the server takes %d", size, most))
	}
	return nil
}

// data sends the message itself. Until its last line the server must drop it when the
// connection is lost, so only the wait for the answer leaves something unknown.
func (t *session) data(msg []byte) error {
	if d, ok := t.ctx.Deadline(); ok && time.Until(d) < leastTime {
		return tocsin.RetryAfter(post.Errorf(post.ClassTimeout, "sending mail: no time is left for the message"), 0)
	}
	var w interface {
		Write([]byte) (int, error)
		Close() error
	}
	err := t.do(stepData, func() (err error) {
		if w, err = t.client.Data(); err == nil {
			_, err = w.Write(msg)
		}
		return err
	})
	if err != nil {
		return err
	}
	t.said(fmt.Sprintf("(%d bytes)", len(msg)))
	err = t.do(stepMessage, w.Close)
	if err == nil {
		text := "accepted"
		if d, ok := w.(*smtp.DataCloser); ok {
			text = d.ServerResponse()
		}
		t.heard(250, text)
	}
	if t.status/100 == 2 {
		return nil // another yes than go-mail expects is one, too
	}
	return err
}

// leaveTime bounds the wait for an answer to our leave.
const leaveTime = 2 * time.Second

// quit takes leave. What is said to that changes nothing, and is no part of the outcome.
func (t *session) quit() {
	status := t.status
	if t.conn.SetDeadline(time.Now().Add(min(leaveTime, t.sender.client.Timeout()))) == nil {
		_ = t.client.Quit()
	}
	t.status = status
}

// close lets go of the connection.
func (t *session) close() {
	t.stop()
	_ = t.conn.Close() // nothing depends on how it closes
}
