package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"

	"github.com/tocsin-alerts/tocsin"
)

// problem is a problem document (RFC 9457).
type problem struct {
	Type   string              `json:"type"`
	Title  string              `json:"title"`
	Status int                 `json:"status"`
	Detail string              `json:"detail,omitempty"`
	Code   tocsin.Code         `json:"code"`
	Errors []tocsin.FieldError `json:"errors,omitempty"`
	// RequestID finds an internal error in the log.
	RequestID string `json:"request_id,omitempty"`
}

// kinds are the status and title of each code.
var kinds = map[tocsin.Code]struct {
	status int
	title  string
}{
	tocsin.CodeInvalid:      {http.StatusUnprocessableEntity, "The input is not valid"},
	tocsin.CodeMalformed:    {http.StatusBadRequest, "The input cannot be read"},
	tocsin.CodeTooLarge:     {http.StatusRequestEntityTooLarge, "The input is too large"},
	tocsin.CodeUnsupported:  {http.StatusUnsupportedMediaType, "The content type is not supported"},
	tocsin.CodeUnauthorized: {http.StatusUnauthorized, "A valid API key is required"},
	tocsin.CodeForbidden:    {http.StatusForbidden, "This is not allowed"},
	tocsin.CodeNotFound:     {http.StatusNotFound, "There is no such thing"},
	tocsin.CodeConflict:     {http.StatusConflict, "The present state does not allow this"},
	tocsin.CodePrecondition: {http.StatusPreconditionFailed, "It was changed meanwhile"},
	tocsin.CodeUnavailable:  {http.StatusServiceUnavailable, "The store is not available"},
	tocsin.CodeInternal:     {http.StatusInternalServerError, "Something went wrong here"},
}

// Codes that only HTTP has.
const (
	codeMethod tocsin.Code = "method_not_allowed"
	codeTries  tocsin.Code = "too_many_tries"
)

// statusClosed is what a request counts as whose client went away; it is never seen.
const statusClosed = 499

// problem answers with an error. Errors without a code are logged and not shown: they
// may hold what is none of the caller's business.
func (s *server) problem(rec *recorder, r *http.Request, err error) {
	if rec.status != 0 {
		s.Logger.Warn("answering", "method", r.Method, "path", r.URL.Path, "error", err)
		return
	}
	var method methodNotAllowed
	if errors.As(err, &method) {
		writeProblem(rec, problem{
			Type: problemType(codeMethod), Title: "The method is not allowed", Status: http.StatusMethodNotAllowed,
			Detail: method.Error(), Code: codeMethod,
		})
		return
	}
	var tries tooManyTries
	if errors.As(err, &tries) {
		rec.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(tries.after.Seconds())))))
		writeProblem(rec, problem{
			Type: problemType(codeTries), Title: "Too many tries without a valid API key", Status: http.StatusTooManyRequests,
			Detail: tries.Error(), Code: codeTries,
		})
		return
	}
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		rec.status = statusClosed
		return
	}
	if errors.Is(err, context.DeadlineExceeded) && tocsin.CodeOf(err) == tocsin.CodeInternal {
		err = fmt.Errorf("%w: %w", errPatience, err)
	}
	var e *tocsin.Error
	kind, known := kinds[tocsin.CodeOf(err)]
	if !errors.As(err, &e) || !known || e.Code == tocsin.CodeInternal {
		id := tocsin.NewID("req")
		s.Logger.Error("handling request", "request_id", id, "method", r.Method, "path", r.URL.Path, "error", err)
		writeProblem(rec, internalProblem(id))
		return
	}
	switch e.Code {
	case tocsin.CodeUnauthorized:
		rec.Header().Set("WWW-Authenticate", `Bearer realm="tocsin"`)
	case tocsin.CodeUnavailable:
		rec.Header().Set("Retry-After", "2")
		s.Logger.Warn("handling request: store unavailable", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	writeProblem(rec, problem{
		Type: problemType(e.Code), Title: kind.title, Status: kind.status, Detail: detail(e), Code: e.Code, Errors: e.Fields,
	})
}

// detail is an error's text for its caller: the fields are listed apart, and what is
// wrong with the store stays in the log.
func detail(e *tocsin.Error) string {
	switch {
	case e.Code == tocsin.CodeUnavailable:
		return "the store is unavailable; try again"
	case len(e.Fields) != 1:
		return e.Message
	}
	field := e.Fields[0]
	switch {
	case e.Code == tocsin.CodeConflict: // the message says already what it is about
		return e.Message + ": " + field.Message
	case e.Message == "" || e.Message == "invalid": // as tocsin.Invalid has it; the title says that
		return field.Message
	}
	return e.Error()
}

func internalProblem(id string) problem {
	kind := kinds[tocsin.CodeInternal]
	return problem{
		Type: problemType(tocsin.CodeInternal), Title: kind.title, Status: kind.status,
		Detail: "the log says more about request " + id, Code: tocsin.CodeInternal, RequestID: id,
	}
}

func problemType(code tocsin.Code) string { return "urn:tocsin:problem:" + string(code) }

func writeProblem(w http.ResponseWriter, p problem) {
	// A problem holds texts and numbers only, which always encode.
	_ = write(w, p.Status, "application/problem+json", p)
}

// answer writes a JSON answer. On an error nothing was written.
func answer(w http.ResponseWriter, status int, v any) error {
	return write(w, status, "application/json", v)
}

// write encodes before it commits itself to a status. That the client has gone away
// meanwhile is nobody's concern.
func write(w http.ResponseWriter, status int, contentType string, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("encoding answer: %w", err)
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
	return nil
}
