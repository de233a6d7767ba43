package format

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"unicode"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

// vendorName and productName stand in the headers of CEF and LEEF. No other product may
// have the same two, and changing them loses receivers' mappings.
const vendorName, productName = "Tocsin", "Tocsin"

// catalogue tells the category of a type.
var catalogue = catalog.Default()

// UID names an event for ever in 32 hexadecimal digits: a hash of source and id, which
// together are unique, for fields too short for both.
func UID(e *tocsin.Event) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s%d:%s", len(e.Source), e.Source, len(e.ID), e.ID)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// pair is one key of a CEF extension or one LEEF attribute.
type pair struct {
	key, value string
	// label is what a custom key stands for, "" for keys with a meaning of their own.
	label string
}

// pairs is a list in order of importance. A value is plain text, not yet escaped.
type pairs struct {
	list []pair
	cut  bool // something was shortened
}

// add appends a key unless its value is empty. most is how many bytes of it the receiver
// keeps; 0: no limit is known. Where a vendor gives a length without a unit it is taken as
// bytes, to be on the safe side.
func (p *pairs) add(key, value string, most int, label string) {
	value, cut := oneText(value, most)
	if value != "" {
		p.list = append(p.list, pair{key, value, label})
	}
	p.cut = p.cut || cut
}

// oneText makes value plain and at most so many bytes long; 0: as long as it is.
func oneText(value string, most int) (string, bool) {
	value = plain(value)
	if most == 0 {
		return value, false
	}
	return alert.Cut(value, most, alert.Bytes)
}

// plain drops what has no place in a line of text: control characters and the marks that
// reverse the display. Line breaks become \n, other white space a space. Spaces at the
// ends go, as CEF's parsers drop them.
func plain(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\r\n", "\n")
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\r', r == '\u0085', r == '\u2028', r == '\u2029':
			return '\n'
		case r == '\t', r == '\v', r == '\f':
			return ' '
		case unicode.IsControl(r), r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069', r == '\u200e', r == '\u200f', r == '\ufeff':
			return -1
		}
		return r
	}, text)
	return strings.TrimSpace(text)
}

// line is plain text on one line.
func line(text string) string { return strings.ReplaceAll(plain(text), "\n", " ") }

// syntax is how a format writes its parts.
type syntax struct {
	// head writes the header; only name may be shortened.
	head func(name string) string
	// body writes pairs.
	body func(list []pair) string
	// escape is how a value's text comes out, rune by rune.
	escape func(text string) string
}

// leastText is how many bytes of a shortened text are worth having.
const leastText = 48

// write renders header and pairs in at most limit bytes. What does not fit goes in this
// order: the least important keys as a whole, but msg is shortened first; last of all the
// name is shortened. The first pair always stays. It reports whether something was left out.
func (s syntax) write(name string, list []pair, limit int) (string, bool) {
	text := s.head(name) + s.body(list)
	cut := false
	for len(text) > limit && len(list) > 1 {
		cut = true
		last := list[len(list)-1]
		list = list[: len(list)-1 : len(list)-1]
		if last.key == "msg" {
			size := func(t string) int { return len(s.escape(t)) }
			room := size(last.value) - (len(text) - limit)
			if room >= leastText {
				last.value, _ = alert.Cut(last.value, room, size)
				list = append(list, last)
				return s.head(name) + s.body(list), true
			}
		}
		text = s.head(name) + s.body(list)
	}
	if over := len(text) - limit; over > 0 {
		size := func(t string) int { return len(s.head(t)) - len(s.head("")) }
		name, _ = alert.Cut(name, max(0, size(name)-over), size)
		text, cut = s.head(name)+s.body(list), true
	}
	return text, cut
}

// externalID is the id where it fits into so many bytes, else UID.
func externalID(e *tocsin.Event, most int) string {
	if id := line(e.ID); id == e.ID && len(id) <= most {
		return id
	}
	return UID(e)
}

// who is the actor of an event: an address, or else a name.
func who(d data) (addr netip.Addr, name string) {
	actor := d.text("actor")
	for _, text := range []string{d.text("ip"), actor} {
		if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
			addr = a.Unmap()
			break
		}
	}
	if _, err := netip.ParseAddr(actor); err != nil {
		name = actor
	}
	return addr, name
}

// compact is the event's data on one line, or "".
func compact(e *tocsin.Event) string {
	var b bytes.Buffer
	if len(e.Data) == 0 || json.Compact(&b, e.Data) != nil {
		return ""
	}
	return b.String()
}

// statusOf is "firing" or "resolved".
func statusOf(e *tocsin.Event) string {
	if e.Status == "" {
		return string(tocsin.Firing)
	}
	return string(e.Status)
}
