package syslog

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

// nothing is the NILVALUE of https://www.rfc-editor.org/rfc/rfc5424#section-6
const nothing = "-"

// severities of https://www.rfc-editor.org/rfc/rfc5424#section-6.2.1. Emergency and alert
// are for systems that are unusable, and debug is for developers.
var severities = map[tocsin.Severity]int{
	tocsin.SeverityCritical: 2, tocsin.SeverityHigh: 3, tocsin.SeverityMedium: 4, tocsin.SeverityLow: 5, tocsin.SeverityInfo: 6,
	tocsin.SeverityNone: 5,
}

// notice is the most that a resolved alert has: what is over pages nobody.
const notice = 5

// priority is the number in front of a message.
func priority(facility int, e *tocsin.Event) int {
	severity := severities[e.Severity]
	if e.Status == tocsin.Resolved {
		severity = max(severity, notice)
	}
	return facility*8 + severity
}

// timestamp is when the event happened, to the microsecond, which is the most there may be.
// https://www.rfc-editor.org/rfc/rfc5424#section-6.2.3
func timestamp(t time.Time) string {
	if t = t.UTC(); t.IsZero() || t.Year() < 0 || t.Year() > 9999 {
		return nothing
	}
	return t.Format("2006-01-02T15:04:05.000000Z")
}

// printable keeps of text what a header may hold, at most so many characters: ASCII from !
// to ~. Anything else becomes a question mark, and an empty text is nothing.
func printable(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r < '!' || r > '~' {
			return '?'
		}
		return r
	}, text)
	if text == "" {
		return nothing
	}
	return text[:min(len(text), most)]
}

// header is everything in front of the structured data. MSGID is the alert type.
func (c *config) header(e *tocsin.Event, hostname string) string {
	return fmt.Sprintf("<%d>1 %s %s %s %s %s ", priority(c.facility, e), timestamp(e.Time), printable(hostname, min(255, c.maxBytes/16)), c.appName, nothing, printable(e.Type, 32))
}

// param is one parameter of structured data.
type param struct{ name, value string }

// valueEscaper escapes the three characters that end a value or an element:
// https://www.rfc-editor.org/rfc/rfc5424#section-6.3.3
var valueEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`)

// element is the structured data: what names the event, so that receivers can find it and
// drop a second copy, whatever the format of the message. The dedup key is at most so many
// bytes long; 0: as long as it is.
func (c *config) element(params []param, most int) string {
	var b strings.Builder
	b.WriteString("[tocsin@" + strconv.Itoa(c.enterprise))
	for _, p := range params {
		value := clean(p.value)
		if p.name == "dedup_key" && most > 0 {
			value, _ = alert.Cut(value, most, alert.Bytes)
		}
		if value != "" {
			b.WriteString(" " + p.name + `="` + valueEscaper.Replace(value) + `"`)
		}
	}
	b.WriteByte(']')
	return b.String()
}

// clean makes text valid UTF-8 without control characters, which receivers may rewrite or
// end a line at (https://www.rfc-editor.org/rfc/rfc5424#section-8.2).
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, string(utf8.RuneError)))
}

// bom says that a message is UTF-8: https://www.rfc-editor.org/rfc/rfc5424#section-6.4. It
// is left out unless asked for, since parsers of JSON, CEF and LEEF stumble over it; what
// has none is bytes of any kind to the RFC.
const bom = "\xEF\xBB\xBF"

// frame makes of a message what goes over the wire.
func (c *config) frame(message string) []byte {
	switch {
	case c.transport == overUDP:
		return []byte(message)
	case c.framing == newline:
		// No part of a message holds a line break, so none is ever replaced here.
		// https://www.rfc-editor.org/rfc/rfc6587#section-3.4.2
		return []byte(strings.ReplaceAll(message, "\n", " ") + "\n")
	}
	// https://www.rfc-editor.org/rfc/rfc6587#section-3.4.1
	return []byte(strconv.Itoa(len(message)) + " " + message)
}
