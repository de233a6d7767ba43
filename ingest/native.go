package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/internal/jsonscan"
)

// nativeFields are the fields of an event in Tocsin's own form; their places are the
// bits of nativeEvent's seen.
var nativeFields = []string{"id", "source", "type", "subject", "severity", "status", "time", "dedup_key", "title", "summary", "link", "labels", "data"}

// begin adds an event to be filled in.
func (d *decoder) begin() *tocsin.Event {
	d.events = append(d.events, tocsin.Event{})
	return &d.events[len(d.events)-1]
}

// end gives the event its bytes.
func (d *decoder) end(e *tocsin.Event, raw []byte) {
	e.Raw = raw
	if len(raw) > tocsin.MaxEventBytes {
		d.problems.tooLarge = true
		d.problem("", "the event has %d bytes; at most %d are accepted", len(raw), tocsin.MaxEventBytes)
	}
}

// errCloud says that what was begun to be read is a CloudEvent.
var errCloud = errors.New("a CloudEvent")

// nativeEvent reads an event in Tocsin's own form; one with specversion is read as a
// CloudEvent instead.
func (d *decoder) nativeEvent(s *jsonscan.Scanner) error {
	start, e := s.Pos, d.begin()
	var seen uint32
	mark := d.problems
	err := s.Object(func(name []byte) error {
		field := s.Name(name)
		known, err := d.nativeField(s, e, field)
		if err != nil {
			return err
		}
		if known < 0 {
			if field == "specversion" {
				return errCloud
			}
			d.problem(field, "%s", unknownField(field, nativeFields))
			_, err := s.Value(1)
			return err
		}
		if seen&(1<<known) != 0 {
			d.problem(field, "appears twice")
		}
		seen |= 1 << known
		return nil
	})
	if err == errCloud {
		d.events, d.problems, s.Pos = d.events[:len(d.events)-1], mark, start
		return d.cloudEvent(s)
	}
	if err != nil {
		return err
	}
	d.end(e, s.Buf[start:s.Pos:s.Pos])
	return nil
}

// nativeField reads the value of one field and returns its place in nativeFields; -1,
// and nothing read, when there is no such field.
func (d *decoder) nativeField(s *jsonscan.Scanner, e *tocsin.Event, field string) (place int, err error) {
	switch field {
	case "id":
		return 0, d.text(s, field, &e.ID)
	case "source":
		return 1, d.text(s, field, &e.Source)
	case "type":
		return 2, d.text(s, field, &e.Type)
	case "subject":
		return 3, d.text(s, field, &e.Subject)
	case "severity":
		return 4, d.severity(s, field, &e.Severity)
	case "status":
		return 5, d.status(s, field, &e.Status)
	case "time":
		return 6, d.time(s, field, &e.Time)
	case "dedup_key":
		return 7, d.text(s, field, &e.DedupKey)
	case "title":
		return 8, d.text(s, field, &e.Title)
	case "summary":
		return 9, d.text(s, field, &e.Summary)
	case "link":
		return 10, d.text(s, field, &e.Link)
	case "labels":
		return 11, d.labels(s, &e.Labels)
	case "data":
		return 12, d.data(s, &e.Data)
	}
	return -1, nil
}

func unknownField(field string, known []string) string {
	if near := catalog.Suggest(field, known); near != "" {
		return fmt.Sprintf("unknown field; did you mean %q?", near)
	}
	return fmt.Sprintf("unknown field; allowed: %s; what is particular to the type goes into data", strings.Join(known, ", "))
}

// text reads a string; null is as if the field were not there.
func (d *decoder) text(s *jsonscan.Scanner, field string, to *string) error {
	if s.Peek() == '"' {
		text, err := s.ReadText()
		if err == nil {
			*to = text
		}
		return err
	}
	return d.noText(s, field)
}

// noText passes over a value that should be text; null is as if the field were not there.
func (d *decoder) noText(s *jsonscan.Scanner, field string) error {
	raw, err := s.Value(1)
	if err == nil && raw[0] != 'n' {
		d.problem(field, "%s is %s; allowed: text", shorten(raw), kindOf(raw))
	}
	return err
}

func (d *decoder) severity(s *jsonscan.Scanner, field string, to *tocsin.Severity) error {
	var word string
	if err := d.text(s, field, &word); err != nil {
		return err
	}
	severity, err := tocsin.ParseSeverity(word)
	if err != nil {
		d.problem(field, "%s is not a severity; allowed: %s", catalog.Quote(word), strings.Join(tocsin.Severities(), ", "))
	}
	*to = severity
	return nil
}

func (d *decoder) status(s *jsonscan.Scanner, field string, to *tocsin.Status) error {
	var word string
	if err := d.text(s, field, &word); err != nil {
		return err
	}
	switch *to = tocsin.Status(word); *to {
	case "", tocsin.Firing, tocsin.Resolved:
	default:
		d.problem(field, "%s is not a status; allowed: %s, %s", catalog.Quote(word), tocsin.Firing, tocsin.Resolved)
		*to = ""
	}
	return nil
}

func (d *decoder) time(s *jsonscan.Scanner, field string, to *time.Time) error {
	if c := s.Peek(); c == '-' || c >= '0' && c <= '9' {
		raw, err := s.Value(1)
		if err == nil {
			d.problem(field, "%s is a number; write RFC 3339, for example 2026-01-31T08:30:00Z", shorten(raw))
		}
		return err
	}
	var text string
	if err := d.text(s, field, &text); err != nil || text == "" {
		return err
	}
	// Unlike time.Parse this takes RFC 3339 by its letter.
	if err := to.UnmarshalText([]byte(text)); err != nil {
		d.problem(field, "%s is not RFC 3339; write for example 2026-01-31T08:30:00Z", catalog.Quote(text))
		*to = time.Time{}
	}
	return nil
}

func (d *decoder) labels(s *jsonscan.Scanner, to *map[string]string) error {
	if s.Peek() != '{' {
		raw, err := s.Value(1)
		if err == nil && raw[0] != 'n' {
			d.problem("labels", "%s is %s; allowed: an object of texts", shorten(raw), kindOf(raw))
		}
		return err
	}
	labels := make(map[string]string, 4)
	*to = labels
	return s.Object(func(name []byte) error {
		key := s.Name(name)
		if _, twice := labels[key]; twice {
			d.problem("labels."+key, "appears twice")
		}
		if s.Peek() == '"' {
			value, err := s.ReadText()
			labels[key] = value
			return err
		}
		raw, err := s.Value(2)
		if err == nil {
			d.problem("labels."+key, "%s is %s; allowed: text", shorten(raw), kindOf(raw))
		}
		return err
	})
}

// data keeps the bytes; null is as if there were none.
func (d *decoder) data(s *jsonscan.Scanner, to *json.RawMessage) error {
	raw, err := s.Value(1)
	if err == nil && raw[0] != 'n' {
		*to = raw
	}
	return err
}
