package ingest

import (
	"bytes"
	"unicode/utf8"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/internal/jsonscan"
)

// threatParts are the members of a threat's data that are part of its dedup key, in order.
var threatParts = [...]string{`"filterId"`, `"actor"`, `"method"`, `"url"`}

// dedupKey is [tocsin.DefaultDedupKey] without decoding what a threat has besides these
// members. Data that is not as published is left to it.
func dedupKey(e *tocsin.Event) string {
	if e.Type != "threat.detected" {
		return tocsin.DefaultDedupKey(e)
	}
	var texts [len(threatParts)]string
	s := jsonscan.Scanner{Buf: e.Data}
	if s.Peek() != '{' || !utf8.Valid(e.Data) {
		return tocsin.DefaultDedupKey(e)
	}
	err := s.Object(func(name []byte) error { return threatPart(&s, name, &texts) })
	if err != nil || s.Peek() != 0 || s.Pos < len(s.Buf) {
		return tocsin.DefaultDedupKey(e)
	}
	return tocsin.DedupKeyOf(e.Type, e.Source, e.Subject, texts[0], texts[1], texts[2], texts[3])
}

// threatPart reads one member. What encoding/json would read otherwise is an error: a name
// in other letters or with escapes, a value that is not text.
func threatPart(s *jsonscan.Scanner, name []byte, texts *[len(threatParts)]string) (err error) {
	for i, part := range threatParts {
		switch {
		case string(name) == part && s.Peek() == '"':
			texts[i], err = s.ReadText()
			return err
		case len(name) == len(part) && bytes.EqualFold(name, []byte(part)), bytes.IndexByte(name, '\\') >= 0:
			return s.Unexpected("a published name with a text")
		}
	}
	_, err = s.Value(1)
	return err
}
