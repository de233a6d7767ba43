package tocsin

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code sorts errors for the three edges: HTTP status, Temporal application error,
// exit code of the command line.
type Code string

// The codes.
const (
	CodeInvalid      Code = "invalid"      // bad input: 422, exit 2
	CodeMalformed    Code = "malformed"    // not the format it claims: 400, exit 2
	CodeTooLarge     Code = "too_large"    // over a limit in bytes: 413, exit 2
	CodeUnsupported  Code = "unsupported"  // content type not known: 415, exit 2
	CodeUnauthorized Code = "unauthorized" // no key, or a wrong one: 401, exit 4
	CodeForbidden    Code = "forbidden"    // the key's scopes do not allow it: 403, exit 4
	CodeNotFound     Code = "not_found"    // 404, exit 3
	CodeConflict     Code = "conflict"     // name taken, version changed meanwhile: 409, exit 5
	CodePrecondition Code = "precondition" // no longer what the caller says it is: 412, exit 5
	CodeUnavailable  Code = "unavailable"  // the store is away, try again: 503, exit 6
	CodeInternal     Code = "internal"     // anything else: 500, exit 1
)

// Error is an error with a code and, for bad input, the fields it is about.
type Error struct {
	Code    Code
	Message string
	Fields  []FieldError
	// Err is the cause, for errors.Is and errors.As, or nil; Message already says it.
	Err error
}

// FieldError says what is wrong with one field of the input.
type FieldError struct {
	// Index is the place in a list of events, counting from 0; nil elsewhere.
	Index *int `json:"index,omitempty"`
	// Field is the path of the field: "data.location", "config.headers".
	Field string `json:"field"`
	// Message names the value and what is allowed.
	Message string `json:"message"`
}

// Error implements error: the message, then each field, on one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	if e.Message == "" {
		b.WriteString(string(e.Code))
	}
	for i, f := range e.Fields {
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString("; ")
		}
		if f.Index != nil {
			fmt.Fprintf(&b, "event %d: ", *f.Index)
		}
		if f.Field != "" {
			b.WriteString(f.Field + ": ")
		}
		b.WriteString(f.Message)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an Error with a code and a message; %w keeps the cause.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// Invalid returns an Error with CodeInvalid about one field.
func Invalid(field, format string, args ...any) *Error {
	return &Error{Code: CodeInvalid, Message: "invalid", Fields: []FieldError{{Field: field, Message: fmt.Sprintf(format, args...)}}}
}

// CodeOf returns the code of the first Error in err's chain, CodeInternal when there
// is none, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

// Errors that stores return, to be told apart with errors.Is.
var (
	// ErrNotFound: there is no such webhook, delivery, event or key.
	ErrNotFound = &Error{Code: CodeNotFound, Message: "not found"}
	// ErrNameTaken: another webhook has this name.
	ErrNameTaken = &Error{Code: CodeConflict, Message: "name taken"}
	// ErrStaleRevision: the configuration changed since the caller matched; reload,
	// match again, append again. Nothing was written.
	ErrStaleRevision = errors.New("configuration changed since matching")
	// ErrVersion: the webhook was changed, paused, disabled or deleted since the
	// caller read it. Nothing was written.
	ErrVersion = &Error{Code: CodeConflict, Message: "the webhook was changed meanwhile"}
	// ErrFenced: another Deliver holds the webhook now; the caller must stop. Nothing
	// was written.
	ErrFenced = errors.New("another Deliver holds this webhook")
)

// Fault says whose fault a failed attempt is, and so what follows.
type Fault string

// The faults.
const (
	// FaultRetry: nobody's that we know; try again later. The default.
	FaultRetry Fault = "retry"
	// FaultEvent: the event's own. The batch is split in half, down to the one event,
	// which is dead.
	FaultEvent Fault = "event"
	// FaultWebhook: the webhook's (wrong URL, credentials). It is failing: it holds its
	// events and probes.
	FaultWebhook Fault = "webhook"
	// FaultGone: the receiver said for ever (410). The webhook is disabled at once.
	FaultGone Fault = "gone"
)

// SendError is how a sender classifies a failure. Build it with Permanent, Refused,
// Gone or RetryAfter; any other error is retryable.
type SendError struct {
	Fault Fault
	// After is the vendor's Retry-After, at least; 0 when it gave none.
	After time.Duration
	// Unsure says that the request may have been accepted all the same (a timeout, a
	// 5xx, a connection lost after sending): such a batch is never split.
	Unsure bool
	// Taken says that the vendor has taken the request and tells later what became of it:
	// that it is to be asked again is no failure. The delivery stays, and the webhook's
	// failures are not counted up.
	Taken bool
	Err   error
}

// Error implements error.
func (e *SendError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *SendError) Unwrap() error { return e.Err }

// Permanent says that the events themselves were refused (400, 413, 422).
func Permanent(err error) error { return &SendError{Fault: FaultEvent, Err: err} }

// Refused says that the webhook's configuration was refused (401, 403, 404, 405).
func Refused(err error) error { return &SendError{Fault: FaultWebhook, Err: err} }

// Gone says that the receiver wants nothing more, for ever (410).
func Gone(err error) error { return &SendError{Fault: FaultGone, Err: err} }

// RetryAfter says: not before d has passed. The pipeline never shortens it.
func RetryAfter(err error, d time.Duration) error {
	return &SendError{Fault: FaultRetry, After: d, Err: err}
}

// Taken says that the vendor has the request and will tell later what became of it; ask
// again after d. What was sent may be accepted.
func Taken(err error, d time.Duration) error {
	return &SendError{Fault: FaultRetry, After: d, Unsure: true, Taken: true, Err: err}
}

// Unsure marks err as one after which the request may have been accepted.
func Unsure(err error) error {
	var s *SendError
	if errors.As(err, &s) {
		c := *s
		c.Unsure = true
		return &c
	}
	return &SendError{Fault: FaultRetry, Unsure: true, Err: err}
}

// Classify returns the SendError in err's chain, or err as an unsure retry: what is
// not known to have been refused may have been accepted.
func Classify(err error) *SendError {
	var s *SendError
	if errors.As(err, &s) {
		return s
	}
	return &SendError{Fault: FaultRetry, Unsure: true, Err: err}
}
