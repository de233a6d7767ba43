package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/tocsin-alerts/tocsin/internal/jsonscan"
)

// shape is the part of a schema that can be checked in one pass over the bytes of data,
// without decoding them. It answers yes or "I don't know": what it accepts is valid, and
// everything else is for the library to judge, which also finds the words for what is
// wrong. Nearly all data is valid, and checked at a twentieth of the cost.
type shape struct {
	kinds      kinds // 0 for any
	enum       []string
	minItems   int
	minimum    *float64
	filled     bool // minLength 1
	dateTime   bool
	items      *shape
	properties map[string]property // by their names in quotes
	required   uint64
	oneOf      []uint64 // each asks for one of several properties
}

// property is one of an object's; nil for a shape is for a required one that is not described.
type property struct {
	bit   uint64 // in shape.required
	shape *shape
}

// kinds is a set of the kinds of JSON values.
type kinds uint8

const (
	kindNull kinds = 1 << iota
	kindBoolean
	kindInteger
	kindNumber
	kindString
	kindArray
	kindObject
)

var kindNames = map[string]kinds{
	"null": kindNull, "boolean": kindBoolean, "integer": kindInteger, "number": kindNumber, "string": kindString, "array": kindArray, "object": kindObject,
}

// schemaText is what shapes know of schemas.
type schemaText struct {
	Schema      string                     `json:"$schema"`
	Title       string                     `json:"title"`
	Description string                     `json:"description"`
	Type        json.RawMessage            `json:"type"`
	Enum        []string                   `json:"enum"`
	Required    []string                   `json:"required"`
	Properties  map[string]json.RawMessage `json:"properties"`
	Items       json.RawMessage            `json:"items"`
	MinItems    int                        `json:"minItems"`
	MinLength   int                        `json:"minLength"`
	Minimum     *float64                   `json:"minimum"`
	Format      string                     `json:"format"`
	AnyOf       []struct {
		Required []string `json:"required"`
	} `json:"anyOf"`
}

// newShape makes a shape of a schema. A schema with a keyword that shapes do not know is
// an error, and is the library's alone.
func newShape(schema json.RawMessage) (*shape, error) {
	var t schemaText
	dec := json.NewDecoder(bytes.NewReader(schema))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&t); err != nil {
		return nil, fmt.Errorf("reading schema: %w", err)
	}
	sh := &shape{minItems: t.MinItems, minimum: t.Minimum, filled: t.MinLength == 1, dateTime: t.Format == "date-time"}
	if t.MinLength > 1 || t.Format != "" && !sh.dateTime || len(t.Enum) > 0 && len(t.Type) > 0 {
		return nil, fmt.Errorf("minLength %d, format %q and enum beside type are not known", t.MinLength, t.Format)
	}
	for _, word := range t.Enum {
		sh.enum = append(sh.enum, strconv.Quote(word))
	}
	if err := sh.readKinds(t.Type); err != nil {
		return nil, err
	}
	if len(t.Items) > 0 {
		var err error
		if sh.items, err = newShape(t.Items); err != nil {
			return nil, err
		}
	}
	return sh, sh.readProperties(&t)
}

func (sh *shape) readKinds(text json.RawMessage) error {
	var names []string
	switch {
	case len(text) == 0:
		return nil
	case text[0] == '"':
		text = slices.Concat([]byte("["), text, []byte("]"))
	}
	if err := json.Unmarshal(text, &names); err != nil {
		return err
	}
	for _, name := range names {
		if kindNames[name] == 0 {
			return fmt.Errorf("type %q is not known", name)
		}
		sh.kinds |= kindNames[name]
	}
	return nil
}

func (sh *shape) readProperties(t *schemaText) error {
	sh.properties = map[string]property{}
	for name, schema := range t.Properties {
		inner, err := newShape(schema)
		if err != nil {
			return err
		}
		sh.properties[strconv.Quote(name)] = property{shape: inner}
	}
	bits := 0
	bit := func(name string) uint64 {
		p := sh.properties[strconv.Quote(name)]
		if p.bit == 0 {
			p.bit = 1 << bits
			bits++
			sh.properties[strconv.Quote(name)] = p
		}
		return p.bit
	}
	for _, name := range t.Required {
		sh.required |= bit(name)
	}
	for _, alternative := range t.AnyOf {
		var all uint64
		for _, name := range alternative.Required {
			all |= bit(name)
		}
		sh.oneOf = append(sh.oneOf, all)
	}
	if bits > 64 {
		return fmt.Errorf("%d required properties; at most 64 are known", bits)
	}
	return nil
}

// accepts reports whether a text is surely valid JSON of this shape.
func (sh *shape) accepts(data []byte) bool {
	s := jsonscan.Scanner{Buf: data}
	return sh.value(&s, 0) && s.Peek() == 0 && s.Pos == len(data)
}

// value passes over one value, as long as it accepts it.
func (sh *shape) value(s *jsonscan.Scanner, depth int) bool {
	c := s.Peek()
	switch {
	case sh == nil:
		_, err := s.Value(depth)
		return err == nil
	case sh.enum != nil:
		raw, err := s.Value(depth)
		return err == nil && slices.Contains(sh.enum, string(raw))
	case c == '{':
		return sh.may(kindObject) && depth <= jsonscan.MaxDepth && sh.object(s, depth)
	case c == '[':
		return sh.may(kindArray) && depth <= jsonscan.MaxDepth && sh.array(s, depth)
	}
	raw, err := s.Value(depth)
	if err != nil {
		return false
	}
	switch c {
	case '"':
		return sh.may(kindString) && sh.text(raw)
	case 't', 'f':
		return sh.may(kindBoolean)
	case 'n':
		return sh.may(kindNull)
	}
	return sh.number(raw)
}

func (sh *shape) may(k kinds) bool { return sh.kinds == 0 || sh.kinds&k != 0 }

func (sh *shape) text(raw []byte) bool {
	if sh.dateTime {
		return isDateTime(raw[1 : len(raw)-1])
	}
	return !sh.filled || len(raw) > len(`""`)
}

// digits is what a date and time looks like up to its fraction, with 0 for any digit.
const digits = "0000-00-00T00:00:00"

// isDateTime accepts RFC 3339 by its letter, which package time does not insist on: it
// takes hours of one digit. The library takes a little more, such as leap seconds.
func isDateTime(text []byte) bool {
	if len(text) <= len(digits) || !alike(text[:len(digits)], digits) {
		return false
	}
	zone := text[len(digits):]
	if zone[0] == '.' {
		rest := bytes.TrimLeft(zone[1:], "0123456789")
		if len(rest) == len(zone)-1 {
			return false
		}
		zone = rest
	}
	if string(zone) != "Z" && (len(zone) == 0 || zone[0] != '+' && zone[0] != '-' || !alike(zone[1:], "00:00") || string(zone[1:3]) > "23" || string(zone[4:]) > "59") {
		return false
	}
	var at time.Time
	return at.UnmarshalText(text) == nil // that there are so many days in the month
}

// alike reports whether a text has digits where a pattern has 0, and otherwise the same.
func alike(text []byte, pattern string) bool {
	if len(text) != len(pattern) {
		return false
	}
	for i, c := range text {
		if pattern[i] == '0' && (c < '0' || c > '9') || pattern[i] != '0' && c != pattern[i] {
			return false
		}
	}
	return true
}

// number accepts as an integer only what is written as one: 1.0 is left to the library.
func (sh *shape) number(raw []byte) bool {
	if !sh.may(kindNumber) && (!sh.may(kindInteger) || bytes.ContainsAny(raw, ".eE")) {
		return false
	}
	if sh.minimum == nil {
		return true
	}
	n, err := strconv.ParseFloat(string(raw), 64)
	return err == nil && n >= *sh.minimum
}

func (sh *shape) array(s *jsonscan.Scanner, depth int) bool {
	n := 0
	err := s.Array(func() error {
		n++
		if !sh.items.value(s, depth+1) {
			return errUnsure
		}
		return nil
	})
	return err == nil && n >= sh.minItems
}

func (sh *shape) object(s *jsonscan.Scanner, depth int) bool {
	var seen uint64
	err := s.Object(func(name []byte) error {
		if bytes.IndexByte(name, '\\') >= 0 {
			return errUnsure // it may be one of ours
		}
		p := sh.properties[string(name)]
		seen |= p.bit
		if !p.shape.value(s, depth+1) {
			return errUnsure
		}
		return nil
	})
	if err != nil || seen&sh.required != sh.required {
		return false
	}
	return len(sh.oneOf) == 0 || slices.ContainsFunc(sh.oneOf, func(all uint64) bool { return seen&all == all })
}

// errUnsure ends a walk.
var errUnsure = &jsonscan.SyntaxError{What: "left to the library"}
