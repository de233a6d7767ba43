package inbox

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"

	"github.com/emersion/go-smtp"
)

// ListenSMTP takes mail for name on a loopback address ("127.0.0.1:0" chooses a port). It
// asks for no login and knows no TLS. close ends it.
func (i *Inbox) ListenSMTP(name, address string) (addr string, closed func() error, err error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", nil, fmt.Errorf("listening for mail: %w", err)
	}
	server := smtp.NewServer(mailbox{i, name})
	server.Domain, server.MaxMessageBytes, server.MaxRecipients = "inbox.localhost", MaxBody, 100
	server.ReadTimeout, server.WriteTimeout = shortly, shortly
	server.ErrorLog = log.New(io.Discard, "", 0)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	return l.Addr().String(), func() error {
		err := server.Close()
		if served := <-ended; !errors.Is(served, smtp.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}

// mailbox makes a session for each connection.
type mailbox struct {
	inbox *Inbox
	name  string
}

// NewSession implements smtp.Backend.
func (m mailbox) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &smtpSession{mailbox: m, remote: c.Conn().RemoteAddr().String()}, nil
}

// smtpSession is one connection.
type smtpSession struct {
	mailbox
	remote string
}

// Mail implements smtp.Session: any sender goes.
func (*smtpSession) Mail(string, *smtp.MailOptions) error { return nil }

// Rcpt implements smtp.Session: any recipient goes.
func (*smtpSession) Rcpt(string, *smtp.RcptOptions) error { return nil }

// Data implements smtp.Session.
func (m *smtpSession) Data(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if !m.inbox.Take(m.name, "SMTP", m.remote, string(body)) {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "the inbox was told to refuse this"}
	}
	return nil
}

// Reset implements smtp.Session.
func (*smtpSession) Reset() {}

// Logout implements smtp.Session.
func (*smtpSession) Logout() error { return nil }
