package ingest

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// maxDepth bounds how deep JSON may be nested: far beyond what events need, and
// little enough for everything that walks data recursively.
const maxDepth = 128

// syntaxError says what is wrong with a text at one byte of it.
type syntaxError struct {
	at   int
	what string
}

func (e *syntaxError) Error() string { return e.what }

// scanner reads JSON strictly (RFC 8259) and in place. It is at pos in buf; the text
// must be valid UTF-8.
type scanner struct {
	buf []byte
	pos int
}

func (s *scanner) errorf(at int, format string, args ...any) error {
	return &syntaxError{at, fmt.Sprintf(format, args...)}
}

// unexpected reports what stands at pos where something else should.
func (s *scanner) unexpected(want string) error {
	if s.pos >= len(s.buf) {
		return s.errorf(len(s.buf), "the text ends where %s should follow", want)
	}
	r, _ := utf8.DecodeRune(s.buf[s.pos:])
	return s.errorf(s.pos, "%s where %s should follow", strconv.QuoteRune(r), want)
}

func (s *scanner) space() {
	for s.pos < len(s.buf) {
		switch s.buf[s.pos] {
		case ' ', '\n', '\t', '\r':
			s.pos++
		default:
			return
		}
	}
}

// peek skips space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.pos >= len(s.buf) {
		return 0
	}
	return s.buf[s.pos]
}

// value passes over one value of any kind and returns its bytes.
func (s *scanner) value(depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, s.errorf(s.pos, "nested deeper than %d levels", maxDepth)
	}
	var err error
	switch c, start := s.peek(), s.pos; {
	case c == '"':
		_, _, err = s.text()
		return s.buf[start:s.pos:s.pos], err
	case c == '{':
		err = s.object(func([]byte) error { _, err := s.value(depth + 1); return err })
		return s.buf[start:s.pos:s.pos], err
	case c == '[':
		err = s.array(func() error { _, err := s.value(depth + 1); return err })
		return s.buf[start:s.pos:s.pos], err
	case c == '-' || c >= '0' && c <= '9':
		err = s.number()
		return s.buf[start:s.pos:s.pos], err
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	}
	return nil, s.unexpected("a JSON value")
}

func (s *scanner) word(w string) ([]byte, error) {
	start := s.pos
	for i := range len(w) {
		if s.pos >= len(s.buf) || s.buf[s.pos] != w[i] {
			return nil, s.unexpected("the rest of " + w)
		}
		s.pos++
	}
	return s.buf[start:s.pos:s.pos], nil
}

// object walks an object; member is called with each name (quotes included), pos
// before its value, and must pass over it.
func (s *scanner) object(member func(name []byte) error) error {
	s.pos++ // the brace
	if s.peek() == '}' {
		s.pos++
		return nil
	}
	for {
		if s.peek() != '"' {
			return s.unexpected("a name in quotes")
		}
		name, _, err := s.text()
		if err != nil {
			return err
		}
		if s.peek() != ':' {
			return s.unexpected("a colon")
		}
		s.pos++
		s.space()
		if err := member(name); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.pos++
		case '}':
			s.pos++
			return nil
		default:
			return s.unexpected("a comma or }")
		}
	}
}

// array walks an array; element must pass over one value.
func (s *scanner) array(element func() error) error {
	s.pos++ // the bracket
	if s.peek() == ']' {
		s.pos++
		return nil
	}
	for {
		s.space()
		if err := element(); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.pos++
		case ']':
			s.pos++
			return nil
		default:
			return s.unexpected("a comma or ]")
		}
	}
}

// text passes over a string and returns it with its quotes, and whether it holds
// escapes.
func (s *scanner) text() (raw []byte, escaped bool, err error) {
	start, buf := s.pos, s.buf
	for i := start + 1; i < len(buf); i++ {
		switch c := buf[i]; {
		case c == '"':
			s.pos = i + 1
			return buf[start:s.pos:s.pos], escaped, nil
		case c == '\\':
			escaped = true
			n, err := s.escape(i)
			if err != nil {
				return nil, false, err
			}
			i += n - 1
		case c == '\n':
			return nil, false, s.errorf(i, `raw newline inside a string; write it as \n`)
		case c < 0x20:
			return nil, false, s.errorf(i, `raw control character 0x%02x inside a string; write it as \u%04x`, c, c)
		}
	}
	return nil, false, s.errorf(len(buf), "the text ends inside a string")
}

// escape checks the escape at i and returns its length.
func (s *scanner) escape(i int) (int, error) {
	if i+1 >= len(s.buf) {
		return 0, s.errorf(len(s.buf), "the text ends inside a string")
	}
	switch s.buf[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, nil
	case 'u':
		for j := i + 2; j < i+6; j++ {
			if j >= len(s.buf) {
				return 0, s.errorf(len(s.buf), "the text ends inside a string")
			}
			if c := s.buf[j]; (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return 0, s.errorf(j, `\u needs four hexadecimal digits`)
			}
		}
		return 6, nil
	}
	r, _ := utf8.DecodeRune(s.buf[i+1:])
	return 0, s.errorf(i, `\ before %s is not an escape; write a backslash as \\`, strconv.QuoteRune(r))
}

// number passes over a number and checks that it fits a 64-bit float, as everything
// that looks into data later makes one of it.
func (s *scanner) number() error {
	start := s.pos
	if s.buf[s.pos] == '-' {
		s.pos++
	}
	intStart := s.pos
	if s.digits() == 0 {
		return s.unexpected("a digit")
	}
	if s.buf[intStart] == '0' && s.pos > intStart+1 {
		return s.errorf(intStart, "a number must not begin with 0")
	}
	if s.pos < len(s.buf) && s.buf[s.pos] == '.' {
		s.pos++
		if s.digits() == 0 {
			return s.unexpected("a digit")
		}
	}
	exponent := false
	if s.pos < len(s.buf) && (s.buf[s.pos] == 'e' || s.buf[s.pos] == 'E') {
		exponent = true
		s.pos++
		if s.pos < len(s.buf) && (s.buf[s.pos] == '+' || s.buf[s.pos] == '-') {
			s.pos++
		}
		if s.digits() == 0 {
			return s.unexpected("a digit")
		}
	}
	// Only these can be out of range; the check is not for free.
	if exponent || s.pos-start > 300 {
		if f, err := strconv.ParseFloat(string(s.buf[start:s.pos]), 64); err != nil || math.IsInf(f, 0) {
			return s.errorf(start, "the number does not fit 64-bit floating point")
		}
	}
	return nil
}

func (s *scanner) digits() int {
	start := s.pos
	for s.pos < len(s.buf) && s.buf[s.pos] >= '0' && s.buf[s.pos] <= '9' {
		s.pos++
	}
	return s.pos - start
}

// position returns the line and the column of a byte, both from 1; columns count
// characters.
func position(text []byte, at int) (line, column int) {
	line, start := 1, 0
	for i, c := range text[:at] {
		if c == '\n' {
			line, start = line+1, i+1
		}
	}
	return line, utf8.RuneCount(text[start:at]) + 1
}
