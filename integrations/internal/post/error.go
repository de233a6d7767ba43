package post

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// The classes of errors, as in [tocsin.Attempt].
const (
	ClassDNS      = "dns"
	ClassConnect  = "connect"
	ClassTLS      = "tls"
	ClassTimeout  = "timeout"
	ClassReset    = "reset"
	ClassStatus   = "status"
	ClassEgress   = "egress"
	ClassRender   = "render"
	ClassBody     = "body"
	ClassInternal = "internal"
)

// Error is an error with its class. Find the class with errors.As on
// interface{ ErrorClass() string }.
type Error struct {
	Class   string
	Message string // without secrets
	Err     error  // the cause, for errors.Is, or nil; its text is not shown
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// ErrorClass returns the class.
func (e *Error) ErrorClass() string { return e.Class }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an Error of a class.
func Errorf(class, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Class: class, Message: err.Error(), Err: errors.Unwrap(err)}
}

// transportError classifies a failure without a response. sent says that bytes of the
// request may have left: then the receiver may have accepted it.
func transportError(err error, step string, sent bool, r *Redactor) error {
	class, text := sortTransport(err, step)
	e := &Error{Class: class, Message: r.Text(text), Err: cause(err)}
	switch {
	case class == ClassEgress:
		return tocsin.Refused(e)
	case sent:
		return tocsin.Unsure(e)
	}
	return tocsin.RetryAfter(e, 0)
}

// cause keeps of err only what callers ask for with errors.Is: whole chains hold URLs.
func cause(err error) error {
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return known
		}
	}
	return nil
}

// sortTransport names the class and says what happened, without the URL.
func sortTransport(err error, step string) (class, text string) {
	var (
		refused *egressError
		written *hostError
		dns     *net.DNSError
		op      *net.OpError
		cert    *tls.CertificateVerificationError
		timeout net.Error
	)
	switch {
	case errors.As(err, &refused):
		return ClassEgress, refused.Error()
	case errors.As(err, &written):
		return ClassEgress, written.Error()
	case errors.Is(err, context.Canceled):
		return ClassInternal, "cancelled"
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return ClassTimeout, "no answer in time" + during(step)
	case errors.As(err, &dns):
		return ClassDNS, "looking up " + dns.Name + ": " + dns.Err
	case errors.As(err, &cert):
		return ClassTLS, "verifying the receiver's certificate: " + cert.Err.Error()
	case step == StepTLS:
		return ClassTLS, "TLS handshake: " + short(err)
	case errors.As(err, &op) && op.Op == "dial", step == StepConnect:
		return ClassConnect, "connecting: " + short(err)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), strings.Contains(short(err), "EOF"),
		strings.Contains(short(err), "closed"):
		return ClassReset, "the connection was lost before the answer: " + short(err)
	}
	return ClassReset, "reading the answer: " + short(err)
}

func during(step string) string {
	if step == "" {
		return ""
	}
	return " (" + step + ")"
}

// short is the innermost text of err on one line: outer layers repeat addresses.
func short(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	var sys syscall.Errno
	if errors.As(err, &sys) {
		return sys.Error()
	}
	return oneLine(err.Error(), 200)
}
