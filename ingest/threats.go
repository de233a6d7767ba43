package ingest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/internal/jsonscan"
)

// threatSource is the source of events made of a posted threat payload, which names none.
const threatSource = "/threat-detection"

// lastSecond ends the year 9999, beyond which there are no times in JSON.
const lastSecond = 253402300799

// element is what is read of one of a payload's maliciousEvents; the whole of it is
// the event's data.
type element struct {
	Actor       string          `json:"actor"`
	FilterID    string          `json:"filterId"`
	URL         string          `json:"url"`
	Severity    string          `json:"severity"`
	Timestamp   int64           `json:"timestamp"` // seconds
	Overview    json.RawMessage `json:"overview"`
	Remediation json.RawMessage `json:"remediation"`
}

// threatPayload reads the published threat payload: each of its maliciousEvents
// becomes a threat.detected event that carries the payload's guidance. The id is a
// hash of the element, so that posting it again is a duplicate.
func (d *decoder) threatPayload(s *jsonscan.Scanner) error {
	var elements [][]byte
	var guidance []byte
	err := s.Object(func(name []byte) error {
		switch string(name) {
		case `"maliciousEvents"`:
			if s.Peek() != '[' {
				raw, err := s.Value(1)
				if err != nil {
					return err
				}
				return tocsin.Invalid("maliciousEvents", "is %s; allowed: an array of objects", kindOf(raw))
			}
			return s.Array(func() error {
				raw, err := s.Value(2)
				elements = append(elements, raw)
				return err
			})
		case `"overview"`, `"remediation"`:
			raw, err := s.Value(1)
			guidance = append(append(append(append(guidance, ','), name...), ':'), raw...)
			return err
		}
		return tocsin.Invalid(shorten([]byte(s.Name(name))), "unknown field of a threat payload; allowed: maliciousEvents, overview, remediation")
	})
	if err != nil {
		return err
	}
	if len(elements) > MaxEvents {
		return tocsin.Errorf(tocsin.CodeTooLarge, "more than %d events, the most that one request may bring; send them in parts", MaxEvents)
	}
	for _, raw := range elements {
		if err := d.threat(raw, guidance); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) threat(raw, guidance []byte) error {
	e := d.begin()
	if raw[0] != '{' {
		d.problem("", "%s is %s; an element of maliciousEvents is a JSON object", shorten(raw), kindOf(raw))
		return nil
	}
	var t element
	// Keys of the wrong type are left out here; the schema names them afterwards.
	_ = json.Unmarshal(raw, &t)
	var text bytes.Buffer
	if err := json.Compact(&text, raw); err != nil {
		return err
	}
	hash := sha256.Sum256(text.Bytes())
	*e = tocsin.Event{
		ID: "threat-" + hex.EncodeToString(hash[:16]), Source: threatSource, Type: "threat.detected",
		Subject: clean(t.URL, maxSubject), Title: clean(cmp.Or(t.FilterID, "Threat")+" from "+cmp.Or(t.Actor, "an unknown actor"), maxTitle),
	}
	if severity, err := tocsin.ParseSeverity(strings.ToLower(t.Severity)); err == nil {
		e.Severity = severity
	}
	switch {
	case t.Timestamp > lastSecond:
		d.problem("data.timestamp", "%d is too large; allowed: the seconds since 1970-01-01T00:00:00Z, not milliseconds", t.Timestamp)
	case t.Timestamp > 0:
		e.Time = time.Unix(t.Timestamp, 0).UTC()
	}
	e.Data = raw
	if t.Overview == nil && t.Remediation == nil && len(guidance) > 0 {
		e.Data = withMembers(raw, guidance)
	}
	whole, err := encode(e)
	if err != nil {
		return err
	}
	d.end(e, whole)
	return nil
}

// withMembers adds ,"name":value… to an object.
func withMembers(object, members []byte) []byte {
	head := bytes.TrimRight(object[:len(object)-1], " \t\r\n")
	if len(head) == 1 { // {}
		members = members[1:]
	}
	return append(append(append(make([]byte, 0, len(head)+len(members)+1), head...), members...), '}')
}

// clean makes text that an attacker wrote fit a field that has a limit and no control
// characters.
func clean(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// encode writes an event as one JSON object with its data as it is, and makes its
// data part of it.
func encode(e *tocsin.Event) ([]byte, error) {
	type plain tocsin.Event
	head := struct {
		plain
		Time time.Time `json:"time,omitzero"`
		Data *string   `json:"data,omitempty"` // left out; it follows
	}{plain: plain(*e), Time: e.Time}
	raw, err := json.Marshal(head)
	if err != nil || len(e.Data) == 0 {
		return raw, err
	}
	raw = withMembers(raw, append([]byte(`,"data":`), e.Data...))
	end := len(raw) - 1
	e.Data = raw[end-len(e.Data) : end : end]
	return raw, nil
}
