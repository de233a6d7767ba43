package email

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	gomail "github.com/wneessen/go-mail"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

// maxSubject is the longest subject in characters: what mail programs show, and with room
// below the 998 bytes of a line: https://www.rfc-editor.org/rfc/rfc5322#section-2.1.1
const maxSubject = 200

// message puts headers and both bodies together as they go over the wire.
func message(c config, n tocsin.Notification, text, html string) ([]byte, error) {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithEncoding(gomail.EncodingQP))
	m.FromMailAddress(c.from)
	m.ToMailAddress(c.to...)
	if len(c.cc) > 0 {
		m.CcMailAddress(c.cc...)
	}
	if c.replyTo != nil {
		m.ReplyToMailAddress(c.replyTo)
	}
	m.SetGenHeader(gomail.HeaderSubject, encodedWords(subject(c, n)))
	m.SetDateWithValue(n.At.UTC())
	headers(m, c, n)
	m.SetBodyString(gomail.TypeTextPlain, text)
	m.AddAlternativeString(gomail.TypeTextHTML, html)
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// headers sets those that say who we are: a machine, about which delivery.
func headers(m *gomail.Msg, c config, n tocsin.Notification) {
	// The boundary holds "=_", which quoted-printable never writes, so no text can forge a
	// part: https://www.rfc-editor.org/rfc/rfc2045#section-6.7
	boundary := "=_" + digest("boundary", n.DeliveryID)
	m.SetBoundary(boundary)
	// go-mail writes a boundary without the quotes that "=" needs.
	m.SetGenHeader(gomail.HeaderContentType, `multipart/alternative; boundary="`+boundary+`"`)
	m.SetMessageIDWithValue(id(c, "delivery", n.DeliveryID))
	if key, ok := thread(n); ok {
		// A root that was never sent: mail programs put all that refer to it together, and
		// none has to know which came first.
		root := "<" + id(c, "incident", n.WebhookID, key) + ">"
		m.SetGenHeader(gomail.HeaderInReplyTo, root)
		m.SetGenHeader(gomail.HeaderReferences, root)
	}
	// No answers from machines: https://www.rfc-editor.org/rfc/rfc3834#section-5 and
	// https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-oxcmail/ced68690-498a-4567-9d14-5c01f974d8b1
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetGenHeader(gomail.HeaderXAutoResponseSuppress, "All")
	if len(n.Events) > 1 {
		m.SetGenHeader(gomail.HeaderPrecedence, "bulk")
	}
	if urgent(n) {
		m.SetImportance(gomail.ImportanceHigh)
	}
	// For people's filters. There is no List-Id: mail programs file mailing lists away, and
	// these are alerts.
	m.SetGenHeader("X-Tocsin-Delivery", n.DeliveryID)
	if n.WebhookID != "" { // a trial may have none
		m.SetGenHeader("X-Tocsin-Webhook", n.WebhookID)
	}
}

// subject is one line about the delivery.
func subject(c config, n tocsin.Notification) string {
	text := alert.Subject(n)
	if c.prefix != "" {
		text = c.prefix + " " + text
	}
	// Some programs decode twice.
	text, _ = alert.Cut(strings.ReplaceAll(text, "=?", "= ?"), maxSubject, alert.Runes)
	return text
}

// maxWord is the longest encoded word that still stands on the line of its "Subject:". A
// longer first one goes to the next line, and some programs show the space before it.
const maxWord = 62

// encodedWords writes text in words of https://www.rfc-editor.org/rfc/rfc2047#section-4.2,
// all of it, so that nothing in it can pass for such a word. The standard library's
// encoder leaves alone what is ASCII, and its words are too long for a first line.
func encodedWords(text string) string {
	const open, end = "=?UTF-8?q?", "?="
	var b strings.Builder
	length := maxWord // of the word so far; full at the start
	for _, r := range text {
		code := ""
		for _, c := range []byte(string(r)) {
			if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' {
				code += string(c)
			} else {
				code += fmt.Sprintf("=%02X", c)
			}
		}
		if r == ' ' {
			code = "_"
		}
		if length+len(code)+len(end) > maxWord {
			if b.Len() > 0 {
				b.WriteString(end + " ")
			}
			b.WriteString(open)
			length = len(open)
		}
		b.WriteString(code)
		length += len(code)
	}
	return b.String() + end
}

// urgent reports whether a critical alert is firing.
func urgent(n tocsin.Notification) bool {
	for i := range n.Events {
		if n.Events[i].Severity == tocsin.SeverityCritical && n.Events[i].Status != tocsin.Resolved {
			return !n.Test
		}
	}
	return false
}

// thread is the dedup key that all events share, if they do. A batch about several is a
// digest and stands alone.
func thread(n tocsin.Notification) (string, bool) {
	key := alert.DedupKey(&n.Events[0])
	for i := range n.Events {
		if alert.DedupKey(&n.Events[i]) != key {
			return "", false
		}
	}
	return key, !n.Test
}

// id is a Message-ID, without brackets, that is always the same for the same parts.
func id(c config, parts ...string) string {
	return fmt.Sprintf("tocsin.%s@%s", digest(parts...), domainOf(c.from))
}

// digest is 128 bits of a hash of parts, in hex.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}
