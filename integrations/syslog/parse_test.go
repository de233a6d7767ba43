package syslog_test

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// message is an RFC 5424 message as a strict reader sees it.
type message struct {
	priority                                int
	timestamp, host, app, procID, messageID string
	sdID                                    string
	params                                  map[string]string
	body                                    string
	bom                                     bool
}

// headerSyntax is the ABNF of https://www.rfc-editor.org/rfc/rfc5424#section-6 up to the
// structured data.
var headerSyntax = regexp.MustCompile(`^<(0|[1-9][0-9]{0,2})>1 (-|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})) ` +
	`([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) `)

// parseMessage reads one message and takes no liberties.
func parseMessage(text string) (message, error) {
	m := message{params: map[string]string{}}
	h := headerSyntax.FindStringSubmatch(text)
	if h == nil {
		return m, fmt.Errorf("the header is none of RFC 5424: %.120q", text)
	}
	m.priority, _ = strconv.Atoi(h[1])
	if m.priority > 191 {
		return m, fmt.Errorf("priority %d", m.priority)
	}
	m.timestamp, m.host, m.app, m.procID, m.messageID = h[2], h[3], h[4], h[5], h[6]
	if _, err := time.Parse(time.RFC3339Nano, m.timestamp); err != nil && m.timestamp != "-" {
		return m, err
	}
	rest, err := m.structuredData(text[len(h[0]):])
	if err != nil {
		return m, err
	}
	m.body, m.bom = strings.CutPrefix(rest, "\xEF\xBB\xBF")
	if !utf8.ValidString(m.body) {
		return m, errors.New("the message is not UTF-8")
	}
	return m, nil
}

// structuredData reads one element, which is what we send, and the space after it.
func (m *message) structuredData(text string) (rest string, err error) {
	at := 0
	next := func(end string) (string, error) {
		from := at
		for at < len(text) && strings.IndexByte(end, text[at]) < 0 {
			if text[at] < '!' || text[at] > '~' || strings.IndexByte("=]\" ", text[at]) >= 0 {
				return "", fmt.Errorf("a name holds %q", text[at])
			}
			at++
		}
		if n := at - from; n < 1 || n > 32 || at == len(text) {
			return "", fmt.Errorf("a name of %d characters at %d", n, from)
		}
		return text[from:at], nil
	}
	if !strings.HasPrefix(text, "[") {
		return "", errors.New("no structured data")
	}
	at++
	if m.sdID, err = next(" ]"); err != nil {
		return "", err
	}
	for text[at] == ' ' {
		at++
		name, err := next("=")
		if err != nil {
			return "", err
		}
		at++
		value, n, err := quoted(text[at:])
		if err != nil {
			return "", err
		}
		if _, twice := m.params[name]; twice {
			return "", fmt.Errorf("%s stands twice", name)
		}
		m.params[name] = value
		if at += n; at == len(text) {
			return "", errors.New("the structured data has no end")
		}
	}
	if !strings.HasPrefix(text[at:], "] ") {
		return "", fmt.Errorf("after the structured data: %.20q", text[at:])
	}
	return text[at+2:], nil
}

// quoted reads a PARAM-VALUE with its quotes, and says how long it was.
func quoted(text string) (value string, n int, err error) {
	if text == "" || text[0] != '"' {
		return "", 0, errors.New("a value without quotes")
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return b.String(), i + 1, nil
		case c == ']':
			return "", 0, errors.New("] without an escape")
		case c == '\\':
			if i++; i == len(text) || strings.IndexByte(`"\]`, text[i]) < 0 {
				return "", 0, errors.New("an escape of something that needs none")
			}
			b.WriteByte(text[i])
		case c < ' ':
			return "", 0, fmt.Errorf("control character %#x", c)
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, errors.New("a value has no end")
}

// frames takes a stream apart by counting octets; what is left of it must be nothing.
func frames(stream string) (out []string, err error) {
	for stream != "" {
		count, rest, ok := strings.Cut(stream, " ")
		n, err := strconv.Atoi(count)
		if !ok || err != nil || count[0] == '0' || n > len(rest) {
			return out, fmt.Errorf("a frame begins with %.20q", stream)
		}
		out, stream = append(out, rest[:n]), rest[n:]
	}
	return out, nil
}

// lines takes a stream apart at line feeds.
func lines(stream string) (out []string, err error) {
	if stream != "" && !strings.HasSuffix(stream, "\n") {
		return nil, errors.New("the last line has no end")
	}
	for line := range strings.Lines(stream) {
		out = append(out, strings.TrimSuffix(line, "\n"))
	}
	return out, nil
}
