package syslog

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

const (
	// idleTime is how long a connection stays open unused. Firewalls and load balancers
	// forget quiet connections after a minute or more, without a word to either end; what
	// is then written is lost.
	idleTime = 30 * time.Second
	// glance is how long it takes to see whether a connection is known to be over.
	glance = time.Millisecond
	// patience is how long the other end has to object to a connection that is new or was
	// quiet: a round trip and some work.
	patience = 200 * time.Millisecond
	// quiet is how long a connection may have been unused and still count as busy.
	quiet = time.Second
	// maxSaid is how much is kept of what a receiver says, though it has nothing to say.
	maxSaid = 1024
)

// The steps, for the texts of errors.
const (
	stepTurn  = "waiting for the send before"
	stepWrite = "sending"
)

// line is a sender's connection: opened when needed, used by one Send at a time, and
// closed by a timer when idle, so that a dropped sender leaves nothing behind. The zero
// conn means closed.
type line struct {
	client *post.Client
	conf   config
	turn   chan struct{} // holds one token; whoever took it may use conn and the timer
	conn   *wire
	timer  *time.Timer
}

func newLine(client *post.Client, conf config) *line {
	l := &line{client: client, conf: conf, turn: make(chan struct{}, 1)}
	l.turn <- struct{}{}
	return l
}

// wire is one connection.
type wire struct {
	net.Conn
	last    time.Time // when it was used; zero: never
	about   string    // " over TLS 1.3", for Check
	said    []byte    // by the receiver
	shaking bool      // the TLS handshake is not confirmed yet
}

// close ends a connection; what comes of it is of no interest any more.
func (w *wire) close() {
	_ = w.SetDeadline(time.Now().Add(patience)) // a last word of TLS must not hang
	_ = w.Conn.Close()
}

// send writes frames, all or an error, and notes in x what happened.
func (l *line) send(ctx context.Context, frames [][]byte, x *tocsin.Exchange) error {
	select {
	case <-l.turn:
	case <-ctx.Done():
		return post.Lost(ctx.Err(), stepTurn, false, nil)
	}
	defer func() { l.turn <- struct{}{} }()
	began := time.Now()
	defer func() { x.Timings.Total = milliseconds(time.Since(began)) }()
	if err := l.connect(ctx, x); err != nil {
		return err
	}
	w := l.conn
	x.RemoteAddr = w.RemoteAddr().String()
	look := glance
	if time.Since(w.last) > quiet {
		look = patience
	}
	err := w.write(ctx, l.conf, frames)
	if err == nil {
		err = w.verdict(look, l.conf.transport)
	}
	x.ResponseBody = strings.ToValidUTF8(strings.ReplaceAll(string(w.said), "\x00", "\uFFFD"), "\uFFFD")
	w.said, w.last = nil, time.Now()
	if err != nil {
		w.close()
		l.conn = nil
		return err
	}
	l.closeWhenIdle()
	return nil
}

// connect leaves l with a connection that is not known to be over.
func (l *line) connect(ctx context.Context, x *tocsin.Exchange) error {
	if ctx.Err() != nil {
		return post.Lost(ctx.Err(), post.StepConnect, false, nil)
	}
	if l.conn != nil {
		// A receiver that was restarted has closed its end: to write there loses messages.
		if l.conn.ended(glance) == nil {
			return nil
		}
		l.conn.close()
		l.conn = nil
	}
	w, err := l.dial(ctx, x)
	l.conn = w
	return err
}

// dial opens a connection, with TLS where that is the transport.
func (l *line) dial(ctx context.Context, x *tocsin.Exchange) (*wire, error) {
	network := overTCP
	if l.conf.transport == overUDP {
		network = overUDP
	}
	began := time.Now()
	conn, err := l.client.Dial(ctx, network, l.conf.hostPort())
	took := time.Since(began)
	x.Timings.Connect, x.Timings.Total = milliseconds(took), milliseconds(took)
	if err != nil {
		return nil, err
	}
	x.RemoteAddr = conn.RemoteAddr().String()
	w := &wire{Conn: conn}
	if l.conf.transport != overTLS {
		return w, nil
	}
	began = time.Now()
	err = w.handshake(ctx, l.client, l.conf.serverName)
	x.Timings.TLS = milliseconds(time.Since(began))
	x.Timings.Total += x.Timings.TLS
	if err != nil {
		w.close()
		return nil, post.Lost(err, post.StepTLS, false, nil)
	}
	return w, nil
}

// handshake makes the connection one of TLS. In TLS 1.3 it ends for us before the receiver
// has looked at our certificate, so its verdict is waited for, while nothing is sent yet:
// an alert, or a session ticket, which many receivers send once they are content.
func (w *wire) handshake(ctx context.Context, client *post.Client, name string) error {
	conf := client.TLSConfig(name)
	conf.ClientSessionCache = tickets(func() {
		if w.shaking {
			_ = w.SetReadDeadline(time.Unix(1, 0)) // no need to wait any longer
		}
	})
	conn := tls.Client(w.Conn, conf)
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	w.Conn = conn
	version := conn.ConnectionState().Version
	w.about = " over " + tls.VersionName(version)
	if version < tls.VersionTLS13 {
		return nil
	}
	w.shaking = true
	defer func() { w.shaking = false }()
	return w.ended(patience)
}

// tickets hears of session tickets and keeps none.
type tickets func()

// Get implements tls.ClientSessionCache.
func (tickets) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

// Put implements tls.ClientSessionCache.
func (t tickets) Put(string, *tls.ClientSessionState) { t() }

// ended reads for so long, and returns an error when the connection is over. Receivers
// say nothing; what they say all the same is kept.
func (w *wire) ended(look time.Duration) error {
	if err := w.lookFor(look); err != nil {
		return err
	}
	buffer := make([]byte, maxSaid)
	for {
		n, err := w.Read(buffer)
		w.said = append(w.said, buffer[:min(n, maxSaid-len(w.said))]...)
		switch {
		case timedOut(err):
			return nil
		case err != nil:
			return err
		case len(w.said) == maxSaid:
			return errors.New("the receiver answers without end")
		}
	}
}

// lookFor sets the deadline of reads. A deadline that has passed when Read begins makes it
// look at nothing, so on a busy machine it is set anew.
func (w *wire) lookFor(look time.Duration) error {
	for {
		now := time.Now()
		err := w.SetReadDeadline(now.Add(look))
		if err != nil || time.Since(now) < look/2 {
			return err
		}
	}
}

func timedOut(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// write sends frames: as one piece over a stream, one by one over UDP. The context's end
// ends it.
func (w *wire) write(ctx context.Context, conf config, frames [][]byte) error {
	deadline, _ := ctx.Deadline() // there is one: the client's timeout
	if err := w.SetWriteDeadline(deadline); err != nil {
		return post.Lost(err, stepWrite, false, nil)
	}
	defer w.endWith(ctx)()
	if conf.transport != overUDP {
		frames = [][]byte{bytes.Join(frames, nil)}
	}
	for i, f := range frames {
		n, err := w.Write(f)
		if err != nil {
			// Of TLS, how much of what was not taken has left is not known.
			return lost(ctx, err, i > 0 || n > 0 || conf.transport == overTLS)
		}
	}
	return nil
}

// endWith ends a write when ctx is cancelled, until the function it returns was called.
func (w *wire) endWith(ctx context.Context) (stop func()) {
	done := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		_ = w.SetWriteDeadline(time.Unix(1, 0))
		close(done)
	})
	return func() {
		if !cancel() {
			<-done // it must not end the next send's write
		}
	}
}

// lost classifies the error of a write.
func lost(ctx context.Context, err error, sent bool) error {
	switch {
	case ctx.Err() != nil:
		return post.Lost(ctx.Err(), stepWrite, sent, nil)
	case timedOut(err):
		return post.Lost(err, stepWrite, sent, nil)
	}
	err = tocsin.RetryAfter(post.Errorf(post.ClassReset, "the connection was lost while sending"), 0)
	if sent {
		err = tocsin.Unsure(err)
	}
	return err
}

// verdict looks whether what was just written went into a connection that was over.
func (w *wire) verdict(look time.Duration, transport string) error {
	err := w.ended(look)
	switch {
	case err == nil:
		return nil
	case transport == overUDP: // the system passes on that nobody listens
		return post.Lost(err, post.StepConnect, true, nil)
	}
	text := "the receiver ended the connection when it was sent to, so what was sent may be lost"
	if len(w.said) > 0 {
		text += fmt.Sprintf("; it answered %.80q, so it may be none of syslog", w.said)
	}
	return tocsin.Unsure(post.Errorf(post.ClassReset, "%s", text))
}

// closeWhenIdle sets the timer anew. It belongs to whoever has the turn.
func (l *line) closeWhenIdle() {
	if l.timer == nil {
		l.timer = time.AfterFunc(idleTime, l.idle)
		return
	}
	l.timer.Reset(idleTime)
}

// idle closes the connection unless it is in use, in which case the timer is set anew.
func (l *line) idle() {
	select {
	case <-l.turn:
	default:
		return
	}
	defer func() { l.turn <- struct{}{} }()
	if l.conn != nil && time.Since(l.conn.last) >= idleTime {
		l.conn.close()
		l.conn = nil
	}
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}
