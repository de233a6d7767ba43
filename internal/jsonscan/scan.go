// Package jsonscan reads JSON strictly and in place: nothing is decoded that nobody asks
// for. Package ingest reads events with it, package catalog the data of events.
package jsonscan

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// MaxDepth bounds how deep JSON may be nested: far beyond what events need, and
// little enough for everything that walks data recursively.
const MaxDepth = 128

// SyntaxError says what is wrong with a text at one byte of it.
type SyntaxError struct {
	At   int
	What string
}

func (e *SyntaxError) Error() string { return e.What }

// Scanner reads JSON strictly (RFC 8259) and in place. It is at Pos in Buf.
type Scanner struct {
	// Buf must be valid UTF-8 where texts are taken out of it.
	Buf []byte
	Pos int
	// Text is Buf as a string, or "". With it, texts are parts of it and not copied.
	Text string

	name int // where the name of the last member begins
}

// Errorf returns a *SyntaxError about the byte at.
func (s *Scanner) Errorf(at int, format string, args ...any) error {
	return &SyntaxError{at, fmt.Sprintf(format, args...)}
}

// Unexpected reports what stands at Pos where something else should.
func (s *Scanner) Unexpected(want string) error {
	if s.Pos >= len(s.Buf) {
		return s.Errorf(len(s.Buf), "the text ends where %s should follow", want)
	}
	r, _ := utf8.DecodeRune(s.Buf[s.Pos:])
	return s.Errorf(s.Pos, "%s where %s should follow", strconv.QuoteRune(r), want)
}

// Space skips space.
func (s *Scanner) Space() {
	for s.Pos < len(s.Buf) {
		switch s.Buf[s.Pos] {
		case ' ', '\n', '\t', '\r':
			s.Pos++
		default:
			return
		}
	}
}

// Peek skips space and returns the next byte, 0 at the end.
func (s *Scanner) Peek() byte {
	s.Space()
	if s.Pos >= len(s.Buf) {
		return 0
	}
	return s.Buf[s.Pos]
}

// Value passes over one value of any kind and returns its bytes.
func (s *Scanner) Value(depth int) ([]byte, error) {
	if depth > MaxDepth {
		return nil, s.Errorf(s.Pos, "nested deeper than %d levels", MaxDepth)
	}
	var err error
	switch c, start := s.Peek(), s.Pos; {
	case c == '"':
		_, _, err = s.Scan()
		return s.Buf[start:s.Pos:s.Pos], err
	case c == '{':
		err = s.skipObject(depth)
		return s.Buf[start:s.Pos:s.Pos], err
	case c == '[':
		err = s.skipArray(depth)
		return s.Buf[start:s.Pos:s.Pos], err
	case c == '-' || c >= '0' && c <= '9':
		err = s.number()
		return s.Buf[start:s.Pos:s.Pos], err
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	}
	return nil, s.Unexpected("a JSON value")
}

func (s *Scanner) word(w string) ([]byte, error) {
	start := s.Pos
	for i := range len(w) {
		if s.Pos >= len(s.Buf) || s.Buf[s.Pos] != w[i] {
			return nil, s.Unexpected("the rest of " + w)
		}
		s.Pos++
	}
	return s.Buf[start:s.Pos:s.Pos], nil
}

// begin passes over the bracket that opens an object or array, and reports whether it is
// closed at once.
func (s *Scanner) begin(end byte) (empty bool) {
	s.Pos++
	if s.Peek() != end {
		return false
	}
	s.Pos++
	return true
}

// more passes over the comma or the bracket after a member or element.
func (s *Scanner) more(end byte, want string) (bool, error) {
	switch s.Peek() {
	case ',':
		s.Pos++
		return true, nil
	case end:
		s.Pos++
		return false, nil
	}
	return false, s.Unexpected(want)
}

// memberName passes over a name and its colon.
func (s *Scanner) memberName() ([]byte, error) {
	if s.Peek() != '"' {
		return nil, s.Unexpected("a name in quotes")
	}
	at := s.Pos
	name, _, err := s.Scan()
	if err != nil {
		return nil, err
	}
	if s.Peek() != ':' {
		return nil, s.Unexpected("a colon")
	}
	s.Pos++
	s.Space()
	s.name = at
	return name, nil
}

const (
	afterMember  = "a comma or }"
	afterElement = "a comma or ]"
)

// Object walks an object; member is called with each name (quotes included), Pos
// before its value, and must pass over it.
func (s *Scanner) Object(member func(name []byte) error) error {
	more := !s.begin('}')
	for more {
		name, err := s.memberName()
		if err != nil {
			return err
		}
		if err := member(name); err != nil {
			return err
		}
		if more, err = s.more('}', afterMember); err != nil {
			return err
		}
	}
	return nil
}

// Array walks an array; element must pass over one value.
func (s *Scanner) Array(element func() error) (err error) {
	more := !s.begin(']')
	for more {
		s.Space()
		if err := element(); err != nil {
			return err
		}
		if more, err = s.more(']', afterElement); err != nil {
			return err
		}
	}
	return nil
}

// skipObject is Object for those who want nothing of it.
func (s *Scanner) skipObject(depth int) error {
	more := !s.begin('}')
	for more {
		if _, err := s.memberName(); err != nil {
			return err
		}
		_, err := s.Value(depth + 1)
		if err != nil {
			return err
		}
		if more, err = s.more('}', afterMember); err != nil {
			return err
		}
	}
	return nil
}

// skipArray is Array for those who want nothing of it.
func (s *Scanner) skipArray(depth int) error {
	more := !s.begin(']')
	for more {
		s.Space()
		_, err := s.Value(depth + 1)
		if err != nil {
			return err
		}
		if more, err = s.more(']', afterElement); err != nil {
			return err
		}
	}
	return nil
}

// Name is the text of the name that member was called with, until the next one is read.
func (s *Scanner) Name(raw []byte) string {
	return s.unquote(raw, s.name, bytes.IndexByte(raw, '\\') >= 0)
}

// ReadText passes over a string and returns what it says.
func (s *Scanner) ReadText() (string, error) {
	at := s.Pos
	raw, escaped, err := s.Scan()
	if err != nil {
		return "", err
	}
	return s.unquote(raw, at, escaped), nil
}

// unquote makes text of the string at a byte of Buf.
func (s *Scanner) unquote(raw []byte, at int, escaped bool) string {
	if s.Text == "" || escaped {
		return Unquote(raw, escaped)
	}
	return s.Text[at+1 : at+len(raw)-1]
}

// Unquote makes text of a string that was scanned.
func Unquote(raw []byte, escaped bool) string {
	if !escaped {
		return string(raw[1 : len(raw)-1])
	}
	var text string
	// The scanner has accepted it, and it accepts nothing that this refuses.
	_ = json.Unmarshal(raw, &text)
	return text
}

// Scan passes over a string and returns it with its quotes, and whether it holds
// escapes.
func (s *Scanner) Scan() (raw []byte, escaped bool, err error) {
	start, buf := s.Pos, s.Buf
	for i := plain(buf, start+1); i < len(buf); i = plain(buf, i) {
		switch c := buf[i]; c {
		case '"':
			s.Pos = i + 1
			return buf[start:s.Pos:s.Pos], escaped, nil
		case '\\':
			escaped = true
			n, err := s.escape(i)
			if err != nil {
				return nil, false, err
			}
			i += n
		case '\n':
			return nil, false, s.Errorf(i, `raw newline inside a string; write it as \n`)
		default:
			return nil, false, s.Errorf(i, `raw control character 0x%02x inside a string; write it as \u%04x`, c, c)
		}
	}
	return nil, false, s.Errorf(len(buf), "the text ends inside a string")
}

// plain returns the place of the next quote, backslash or control character; len(buf) for
// none. It looks at eight bytes at once.
func plain(buf []byte, i int) int {
	for ; i+8 <= len(buf); i += 8 {
		if hits := special(binary.LittleEndian.Uint64(buf[i:])); hits != 0 {
			return i + bits.TrailingZeros64(hits)/8
		}
	}
	for i < len(buf) && buf[i] >= 0x20 && buf[i] != '"' && buf[i] != '\\' {
		i++
	}
	return i
}

// special returns the highest bits of those of eight bytes that are a quote, a backslash or
// a control character: x-1 has it set where x is 0, x-0x20 where x is below 0x20, unless x
// had it before. A borrow may add bits above the lowest hit, and never below.
func special(b uint64) uint64 {
	const each, high = 0x0101010101010101, 0x8080808080808080
	quote, slash := b^(each*'"'), b^(each*'\\')
	return ((quote-each)&^quote | (slash-each)&^slash | (b-each*0x20)&^b) & high
}

// escape checks the escape at i and returns its length.
func (s *Scanner) escape(i int) (int, error) {
	if i+1 >= len(s.Buf) {
		return 0, s.Errorf(len(s.Buf), "the text ends inside a string")
	}
	switch s.Buf[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, nil
	case 'u':
		for j := i + 2; j < i+6; j++ {
			if j >= len(s.Buf) {
				return 0, s.Errorf(len(s.Buf), "the text ends inside a string")
			}
			if c := s.Buf[j]; (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return 0, s.Errorf(j, `\u needs four hexadecimal digits`)
			}
		}
		return 6, nil
	}
	r, _ := utf8.DecodeRune(s.Buf[i+1:])
	return 0, s.Errorf(i, `\ before %s is not an escape; write a backslash as \\`, strconv.QuoteRune(r))
}

// number passes over a number and checks that it fits a 64-bit float, as everything
// that looks into data later makes one of it.
func (s *Scanner) number() error {
	start := s.Pos
	if s.Buf[s.Pos] == '-' {
		s.Pos++
	}
	intStart := s.Pos
	if s.digits() == 0 {
		return s.Unexpected("a digit")
	}
	if s.Buf[intStart] == '0' && s.Pos > intStart+1 {
		return s.Errorf(intStart, "a number must not begin with 0")
	}
	if s.Pos < len(s.Buf) && s.Buf[s.Pos] == '.' {
		s.Pos++
		if s.digits() == 0 {
			return s.Unexpected("a digit")
		}
	}
	exponent := false
	if s.Pos < len(s.Buf) && (s.Buf[s.Pos] == 'e' || s.Buf[s.Pos] == 'E') {
		exponent = true
		s.Pos++
		if s.Pos < len(s.Buf) && (s.Buf[s.Pos] == '+' || s.Buf[s.Pos] == '-') {
			s.Pos++
		}
		if s.digits() == 0 {
			return s.Unexpected("a digit")
		}
	}
	// Only these can be out of range; the check is not for free.
	if exponent || s.Pos-start > 300 {
		if f, err := strconv.ParseFloat(string(s.Buf[start:s.Pos]), 64); err != nil || math.IsInf(f, 0) {
			return s.Errorf(start, "the number does not fit 64-bit floating point")
		}
	}
	return nil
}

func (s *Scanner) digits() int {
	start := s.Pos
	for s.Pos < len(s.Buf) && s.Buf[s.Pos] >= '0' && s.Buf[s.Pos] <= '9' {
		s.Pos++
	}
	return s.Pos - start
}

// Position returns the line and the column of a byte, both from 1; columns count
// characters.
func Position(text []byte, at int) (line, column int) {
	line, start := 1, 0
	for i, c := range text[:at] {
		if c == '\n' {
			line, start = line+1, i+1
		}
	}
	return line, utf8.RuneCount(text[start:at]) + 1
}
