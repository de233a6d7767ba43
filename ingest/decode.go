package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/internal/jsonscan"
)

// The limits of one request.
const (
	// MaxBodyBytes is the largest body: 10 MiB.
	MaxBodyBytes = 10 << 20
	// MaxEvents is how many events one request may bring.
	MaxEvents = 10_000
	// usualEvent is what an event is guessed to have at least when room is made for all of
	// a body; smaller ones make the room grow.
	usualEvent = 1 << 10
	// maxReported bounds how many errors an answer lists.
	maxReported = 100
)

// The content types that Decode reads; the first is what no content type means.
var contentTypes = []string{
	"application/json", "application/x-ndjson", "application/cloudevents+json", "application/cloudevents-batch+json",
	"application/ndjson", "application/jsonl", "text/json",
}

// Decode reads the events of a request's body by its Content-Type:
//
//   - application/json, or none: one event, an array of events, {"events": […]}, a
//     CloudEvent (it has specversion), or a threat payload (it has maliciousEvents,
//     each of which becomes a threat.detected event);
//   - application/x-ndjson: one event on each line, empty lines left out;
//   - application/cloudevents+json and application/cloudevents-batch+json.
//
// The events keep parts of body, which must not change afterwards. Their form is
// checked here (types of fields, unknown and repeated fields, words, times); limits,
// required fields and the catalog are [Ingest.Submit]'s. Errors are *tocsin.Error:
// CodeMalformed with line and column for what is not JSON, CodeInvalid listing every
// wrong field, CodeTooLarge over a limit, CodeUnsupported for another content type.
func Decode(contentType string, body []byte) ([]tocsin.Event, error) {
	d, err := decode(contentType, body)
	if err != nil {
		return nil, err
	}
	if err := d.problems.err(len(d.events)); err != nil {
		return nil, err
	}
	return d.events, nil
}

// decoder gathers events and what is wrong with their fields.
type decoder struct {
	body     []byte
	events   []tocsin.Event
	problems problems
}

// decode returns an error when the body cannot be read at all; what is wrong with
// fields is in the decoder's problems.
func decode(contentType string, body []byte) (*decoder, error) {
	if len(body) > MaxBodyBytes {
		return nil, tocsin.Errorf(tocsin.CodeTooLarge, "the body has more than %d bytes, the most that is accepted; send it in parts", MaxBodyBytes)
	}
	media, err := mediaType(contentType)
	if err != nil {
		return nil, err
	}
	d := &decoder{body: body, events: make([]tocsin.Event, 0, min(len(body)/usualEvent+1, MaxEvents))}
	s := &jsonscan.Scanner{Buf: body}
	if bytes.HasPrefix(body, []byte("\xEF\xBB\xBF")) {
		s.Pos = 3 // the byte order mark that some editors and shells put first
	}
	if !utf8.Valid(body) {
		return nil, malformed(body, invalidUTF8(body), "a byte that is not UTF-8")
	}
	// One copy in place of one for each text: the events keep the body as it is.
	s.Text = string(body)
	if s.Peek() == 0 && s.Pos == len(body) {
		return nil, tocsin.Errorf(tocsin.CodeMalformed, "the body is empty; send an event as JSON")
	}
	switch media {
	case "application/x-ndjson", "application/ndjson", "application/jsonl":
		err = d.lines(s)
	case "application/cloudevents+json":
		err = d.whole(s, func() error { return d.element(s, (*decoder).cloudEvent) })
	case "application/cloudevents-batch+json":
		if s.Peek() != '[' {
			return nil, tocsin.Errorf(tocsin.CodeMalformed, "the body of %s must be an array of CloudEvents", media)
		}
		err = d.whole(s, func() error {
			return s.Array(func() error { return d.element(s, (*decoder).cloudEvent) })
		})
	default:
		err = d.whole(s, func() error { return d.top(s) })
	}
	var syntax *jsonscan.SyntaxError
	if errors.As(err, &syntax) {
		return nil, malformed(body, syntax.At, syntax.What)
	}
	return d, err
}

func malformed(body []byte, at int, what string) error {
	line, column := jsonscan.Position(body, at)
	return tocsin.Errorf(tocsin.CodeMalformed, "the body is not valid JSON: line %d, column %d: %s", line, column, what)
}

func invalidUTF8(text []byte) int {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(text)
}

func mediaType(contentType string) (string, error) {
	if contentType == "" {
		return contentTypes[0], nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || !slices.Contains(contentTypes, media) {
		return "", tocsin.Errorf(tocsin.CodeUnsupported, "Content-Type %s is not supported; allowed: %s", catalog.Quote(contentType), strings.Join(contentTypes[:4], ", "))
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return "", tocsin.Errorf(tocsin.CodeUnsupported, "charset %s is not supported; allowed: utf-8", catalog.Quote(charset))
	}
	return media, nil
}

// whole reads one value that must be all of the body.
func (d *decoder) whole(s *jsonscan.Scanner, read func() error) error {
	s.Space()
	if err := read(); err != nil {
		return err
	}
	if s.Peek() != 0 || s.Pos < len(s.Buf) {
		if c := s.Buf[s.Pos]; c == '{' {
			return s.Errorf(s.Pos, "a second value after the end of the first; send an array, or one event on each line as application/x-ndjson")
		}
		return s.Unexpected("the end of the text")
	}
	return nil
}

// lines reads one event from each line.
func (d *decoder) lines(s *jsonscan.Scanner) error {
	for start := s.Pos; start < len(d.body); {
		end := len(d.body)
		if i := bytes.IndexByte(d.body[start:], '\n'); i >= 0 {
			end = start + i
		}
		// The scanner ends with the line, so that a broken one cannot swallow the next.
		line := &jsonscan.Scanner{Buf: d.body[:end], Pos: start, Text: s.Text}
		if line.Peek() != 0 || line.Pos < end {
			if err := d.element(line, (*decoder).nativeEvent); err != nil {
				return err
			}
			if line.Peek() != 0 || line.Pos < end {
				return line.Unexpected("the end of the line")
			}
		}
		start = end + 1
	}
	return nil
}

// element reads one event; what is no object is reported and passed over.
func (d *decoder) element(s *jsonscan.Scanner, read func(*decoder, *jsonscan.Scanner) error) error {
	if len(d.events) == MaxEvents {
		return tocsin.Errorf(tocsin.CodeTooLarge, "more than %d events, the most that one request may bring; send them in parts", MaxEvents)
	}
	if s.Peek() == '{' {
		return read(d, s)
	}
	raw, err := s.Value(0)
	if err != nil {
		return err
	}
	d.events = append(d.events, tocsin.Event{})
	d.problem("", "%s is %s; an event is a JSON object", shorten(raw), kindOf(raw))
	return nil
}

// top reads the forms of application/json.
func (d *decoder) top(s *jsonscan.Scanner) error {
	switch s.Peek() {
	case '[':
		return s.Array(func() error { return d.element(s, (*decoder).nativeEvent) })
	case '{':
		return d.oneOrWrapped(s)
	}
	raw, err := s.Value(0)
	if err != nil {
		return err
	}
	return tocsin.Errorf(tocsin.CodeMalformed, "the body is %s; send an event (a JSON object), an array of events, or {\"events\": […]}", kindOf(raw))
}

// oneOrWrapped reads what most often is one event without a fault. Everything else is read
// again, for what it is: a wrapper's key would be a fault.
func (d *decoder) oneOrWrapped(s *jsonscan.Scanner) error {
	start := s.Pos
	if err := d.nativeEvent(s); err == nil && d.problems.total == 0 {
		return nil
	}
	d.events, d.problems, s.Pos = d.events[:0], problems{}, start
	return d.topObject(s)
}

// topObject tells one event from a wrapper by the wrapper's own key, wherever it is.
func (d *decoder) topObject(s *jsonscan.Scanner) error {
	start := s.Pos
	var others []string
	var events, threats bool
	err := s.Object(func(name []byte) error {
		switch string(name) {
		case `"events"`:
			if events {
				return s.Errorf(s.Pos, `"events" appears twice`)
			}
			if s.Peek() == '[' {
				events = true
				return s.Array(func() error { return d.element(s, (*decoder).nativeEvent) })
			}
		case `"maliciousEvents"`:
			threats = true
		}
		others = append(others, s.Name(name))
		_, err := s.Value(1)
		return err
	})
	switch {
	case err != nil:
		return err
	case events && len(others) > 0:
		return tocsin.Invalid(shorten([]byte(others[0])), "unknown field beside \"events\"; allowed: events alone, or one event")
	case events:
		return nil
	}
	s.Pos = start
	if threats {
		return d.threatPayload(s)
	}
	return d.nativeEvent(s)
}

// problem notes what is wrong with a field of the event read last.
func (d *decoder) problem(field, format string, args ...any) {
	d.problems.add(len(d.events)-1, field, fmt.Sprintf(format, args...))
}

// kindOf names a JSON value's kind for people.
func kindOf(raw []byte) string {
	switch raw[0] {
	case '"':
		return "text"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "a number"
}

// shorten cuts a JSON value for an error message.
func shorten(raw []byte) string {
	const most = 80
	if len(raw) <= most {
		return string(raw)
	}
	n := most
	for n > 0 && !utf8.RuneStart(raw[n]) {
		n--
	}
	return string(raw[:n]) + "…"
}
