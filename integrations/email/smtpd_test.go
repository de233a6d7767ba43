package email_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// smtpd is an SMTP server that holds its clients to RFC 5321: the order of commands, the
// lengths of lines, CRLF, no pipelining, at most 100 recipients; and to TLS and a login
// before any mail, where it offers them.
type smtpd struct {
	// implicit begins with TLS; plain does not offer it.
	implicit, plain bool
	// auth are the mechanisms offered, and required.
	auth []string
	// size is the limit of a message that is offered, 0 for none.
	size int
	// script answers in place of the server; "" leaves it to it. verb is "connect" for the
	// greeting and "." for the message. "drop" closes the connection, "hang" says nothing
	// more, "reset" ends it with RST.
	script func(verb, arg string) string
	// injected is what somebody on the way adds in the clear before the handshake.
	injected string

	t     *testing.T
	l     net.Listener
	tls   *tls.Config
	mu    sync.Mutex
	conns map[net.Conn]bool
	mails []mailed
	seen  []string // verbs, in order
	sent  int      // bytes of answers that the network took
	wg    sync.WaitGroup
}

// mailed is a message as it was accepted.
type mailed struct {
	from   string
	to     []string
	data   string
	secure bool
	login  string
	helo   string
}

// start starts it for the length of the test.
func (s *smtpd) start(t *testing.T) *smtpd {
	t.Helper()
	var err error
	if s.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	cert, key := theAuthority().issue(t)
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	s.t, s.tls, s.conns = t, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, map[net.Conn]bool{}
	s.wg.Go(s.accept)
	t.Cleanup(func() {
		_ = s.l.Close() // nothing depends on how a listener closes
		s.mu.Lock()
		for c := range s.conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

func (s *smtpd) addr() string { return s.l.Addr().String() }

func (s *smtpd) port() int { return s.l.Addr().(*net.TCPAddr).Port }

func (s *smtpd) accept() {
	for {
		conn, err := s.l.Accept()
		if err != nil {
			return // the test is over
		}
		s.mu.Lock()
		s.conns[conn] = true
		s.mu.Unlock()
		s.wg.Go(func() {
			talk := &talk{s: s, raw: conn, conn: conn}
			talk.run()
			_ = talk.conn.Close()
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
		})
	}
}

// received are the messages so far.
func (s *smtpd) received() []mailed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// verbs are the commands so far.
func (s *smtpd) verbs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// peer is the server as the suite wants it.
func (s *smtpd) peer() integrationtest.Peer {
	return integrationtest.Peer{Addr: s.addr(), Received: func() []integrationtest.Received {
		var out []integrationtest.Received
		for _, m := range s.received() {
			out = append(out, integrationtest.Received{Method: "SMTP", URL: "smtp://" + s.addr(), Body: m.data,
				Header: http.Header{"Mail-From": {m.from}, "Rcpt-To": {strings.Join(m.to, ", ")}}})
		}
		return out
	}}
}

// talk is one connection.
type talk struct {
	s         *smtpd
	raw, conn net.Conn
	r         *bufio.Reader
	secure    bool
	mail      mailed
	began     bool // MAIL was accepted
}

func (c *talk) run() {
	if c.s.implicit {
		if !c.encrypt() {
			return
		}
	}
	c.r = bufio.NewReader(c.conn)
	if !c.answer("connect", "", "220 mx.example.com ESMTP") {
		return
	}
	for {
		line, ok := c.line(512)
		if !ok {
			return
		}
		verb, arg, _ := strings.Cut(line, " ")
		verb = strings.ToUpper(verb)
		c.s.mu.Lock()
		c.s.seen = append(c.s.seen, verb)
		c.s.mu.Unlock()
		if !c.command(verb, arg) {
			return
		}
	}
}

func (c *talk) encrypt() bool {
	secure := tls.Server(c.raw, c.s.tls)
	if secure.Handshake() != nil {
		return false
	}
	c.conn, c.secure, c.r = secure, true, bufio.NewReader(secure)
	return true
}

// line reads a command. A client that breaks the rules is told so, and the test fails.
func (c *talk) line(limit int) (string, bool) {
	line, err := c.r.ReadString('\n')
	if err != nil || strings.HasPrefix(line, "\x16\x03") {
		return "", false // gone, or begins with TLS
	}
	switch {
	case !strings.HasSuffix(line, "\r\n"):
		c.s.t.Errorf("a line ends in a bare LF: %.100q", line)
	case len(line) > limit:
		c.s.t.Errorf("a command of %d bytes: %.100q", len(line), line)
	case c.r.Buffered() > 0:
		c.s.t.Errorf("pipelining, which was not offered, after %.100q", line)
	}
	return strings.TrimSuffix(line, "\r\n"), true
}

// answer says what the script says, else usual. false ends the connection.
func (c *talk) answer(verb, arg, usual string) bool {
	_, on := c.yes(verb, arg, usual)
	return on
}

// yes is answer, and reports whether the script left it to the server.
func (c *talk) yes(verb, arg, usual string) (yes, on bool) {
	if c.s.script != nil {
		if other := c.s.script(verb, arg); other != "" {
			return false, c.say(other)
		}
	}
	return true, c.say(usual)
}

func (c *talk) say(text string) bool {
	switch text {
	case "drop":
		return false
	case "reset":
		_ = c.raw.(*net.TCPConn).SetLinger(0) // without it the end is an orderly one, and the test fails
		_ = c.raw.Close()
		return false
	case "hang":
		_, _ = io.Copy(io.Discard, c.conn) // until the client goes
		return false
	}
	n, err := io.WriteString(c.conn, strings.ReplaceAll(text, "\n", "\r\n")+"\r\n")
	c.s.mu.Lock()
	c.s.sent += n
	c.s.mu.Unlock()
	if err != nil {
		return false
	}
	return !strings.HasPrefix(text, "421") && !strings.HasPrefix(text, "221")
}

func (c *talk) command(verb, arg string) bool {
	needTLS := !c.secure && !c.s.plain
	switch {
	case verb == "EHLO" || verb == "HELO":
		c.mail = mailed{secure: c.secure, helo: arg, login: c.mail.login}
		return c.answer(verb, arg, c.hello(verb))
	case verb == "NOOP" || verb == "RSET":
		c.began = false
		return c.answer(verb, arg, "250 2.0.0 OK")
	case verb == "QUIT":
		return c.answer(verb, arg, "221 2.0.0 Bye")
	case verb == "STARTTLS" && needTLS:
		yes, on := c.yes(verb, arg, strings.TrimSuffix("220 2.0.0 Go ahead\n"+c.s.injected, "\n"))
		return on && (!yes || c.encrypt())
	case needTLS:
		return c.answer(verb, arg, "530 5.7.0 Must issue a STARTTLS command first")
	case verb == "AUTH":
		return c.login(arg)
	case verb == "MAIL" && len(c.s.auth) > 0 && c.mail.login == "":
		return c.answer(verb, arg, "530 5.7.0 Authentication required")
	case verb == "MAIL" && !c.began:
		from, ok := between(arg, "FROM:<", ">")
		if !ok {
			return c.answer(verb, arg, "501 5.5.4 Syntax: MAIL FROM:<address>")
		}
		c.mail.from, c.mail.to = from, nil
		yes, on := c.yes(verb, from, "250 2.1.0 OK")
		c.began = yes
		return on
	case verb == "RCPT" && c.began:
		return c.recipient(verb, arg)
	case verb == "DATA" && c.began && len(c.mail.to) > 0:
		yes, on := c.yes(verb, arg, "354 End data with <CR><LF>.<CR><LF>")
		return on && (!yes || c.data())
	}
	return c.answer(verb, arg, "503 5.5.1 Bad sequence of commands")
}

func between(text, before, after string) (string, bool) {
	text, ok := strings.CutPrefix(text, before)
	at := strings.Index(text, after)
	if !ok || at < 0 {
		return "", false
	}
	return text[:at], true
}

func (c *talk) hello(verb string) string {
	if verb == "HELO" {
		return "250 mx.example.com"
	}
	lines := []string{"mx.example.com greets you", "ENHANCEDSTATUSCODES", "8BITMIME", "SMTPUTF8"}
	if !c.secure && !c.s.plain {
		lines = append(lines, "STARTTLS")
	}
	if len(c.s.auth) > 0 && (c.secure || c.s.plain) {
		lines = append(lines, "AUTH "+strings.Join(c.s.auth, " "))
	}
	if c.s.size > 0 {
		lines = append(lines, "SIZE "+strconv.Itoa(c.s.size))
	}
	return "250-" + strings.Join(lines[:len(lines)-1], "\n250-") + "\n250 " + lines[len(lines)-1]
}

func (c *talk) recipient(verb, arg string) bool {
	to, ok := between(arg, "TO:<", ">")
	if !ok {
		return c.answer(verb, arg, "501 5.5.4 Syntax: RCPT TO:<address>")
	}
	if len(c.mail.to) == 100 {
		return c.answer(verb, to, "452 4.5.3 Too many recipients")
	}
	yes, on := c.yes(verb, to, "250 2.1.5 OK")
	if yes {
		c.mail.to = append(c.mail.to, to)
	}
	return on
}

// data reads a message. Lines are at most 998 bytes of ASCII before their CRLF.
func (c *talk) data() bool {
	var b strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return false
		}
		switch {
		case !strings.HasSuffix(line, "\r\n") || strings.Contains(strings.TrimSuffix(line, "\r\n"), "\r"):
			c.s.t.Errorf("a line of the message does not end in CRLF alone: %.100q", line)
		case len(line) > 1000:
			c.s.t.Errorf("a line of the message has %d bytes", len(line))
		case strings.ContainsFunc(line, func(r rune) bool { return r > 126 }):
			c.s.t.Errorf("a line of the message is not ASCII: %.100q", line)
		}
		if line == ".\r\n" {
			break
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
	c.mail.data, c.began = b.String(), false
	usual := "250 2.0.0 Queued as 4Wx"
	if c.s.size > 0 && b.Len() > c.s.size {
		usual = "552 5.3.4 Message too big"
	}
	yes, on := c.yes(".", "", usual)
	if yes && strings.HasPrefix(usual, "250") {
		c.s.mu.Lock()
		c.s.mails = append(c.s.mails, c.mail)
		c.s.mu.Unlock()
	}
	return on
}
