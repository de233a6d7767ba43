package pagerduty

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/PagerDuty/go-pagerduty"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

// The limits of an event, in characters: https://developer.pagerduty.com/docs/send-alert-event
// The last is ours: for the other texts none is given.
const (
	maxDedupKey = 255
	maxSummary  = 1024
	maxText     = 1024
)

// maxBody is the whole request: "Events API payloads are limited to 512 KB". It is taken
// as 512,000 bytes, the smaller of what that can mean.
// https://developer.pagerduty.com/docs/events-api-v2-overview#size-limits
const maxBody = 512_000

// acknowledged is the type of our own event that says that a person looks after an
// incident.
const acknowledged = "incident.acknowledged"

// severities are PagerDuty's words for ours:
// https://developer.pagerduty.com/docs/send-alert-event#parameters
var severities = map[tocsin.Severity]string{
	tocsin.SeverityCritical: "critical", tocsin.SeverityHigh: "error", tocsin.SeverityMedium: "warning",
}

func severity(e *tocsin.Event) string {
	if word := severities[e.Severity]; word != "" {
		return word
	}
	return "info"
}

// action is what becomes of the alert:
// https://developer.pagerduty.com/docs/send-alert-event#event-action-behavior
func action(e *tocsin.Event) string {
	switch {
	case e.Status == tocsin.Resolved:
		return "resolve"
	case e.Type == acknowledged:
		return "acknowledge"
	}
	return "trigger"
}

// dedupKey is the event's own, or where that is too long or not what JSON would keep as it
// is, what stands for it.
func dedupKey(e *tocsin.Event) string {
	key := alert.DedupKey(e)
	if alert.Runes(key) <= maxDedupKey && utf8.ValidString(key) && !strings.ContainsFunc(key, unicode.IsControl) {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// render encodes one event. cut says that it lost something.
func (s *sender) render(n tocsin.Notification, e *tocsin.Event) (path string, body []byte, cut bool, err error) {
	note := func(text string, shortened bool) string { cut = cut || shortened; return text }
	line := func(text string, limit int) string {
		return note(alert.Cut(alert.Clean(text, true), limit, alert.Runes))
	}
	d, err := newDetails(n, e, s.channel.guide, note)
	if err != nil {
		return "", nil, false, err
	}
	summary := line(alert.Prefix(n, e)+alert.Name(e), maxSummary)
	source := or(line(e.Source, maxText), "tocsin") // required, so never empty
	encode := func() ([]byte, error) {
		return encodeJSON(pagerduty.V2Event{
			RoutingKey: s.config.key, Action: action(e), DedupKey: dedupKey(e),
			Client: s.config.client, ClientURL: n.PublicURL, Links: alertLinks(n, e),
			Payload: &pagerduty.V2Payload{
				Summary: summary, Source: source, Severity: severity(e), Timestamp: timestamp(e),
				Component: line(or(s.config.component, e.Subject), maxText), Group: line(or(s.config.group, e.Collection()), maxText),
				Class: line(or(s.config.class, e.Type), maxText), Details: d.tree,
			},
		})
	}
	path = enqueuePath
	if s.config.changes && s.channel.guide.Category(e.Type) == "discovery" {
		path = changePath
		encode = func() ([]byte, error) {
			return encodeJSON(pagerduty.ChangeEvent{RoutingKey: s.config.key, Links: links(n, e), Payload: pagerduty.ChangeEventPayload{
				Summary: summary, Source: source, Timestamp: timestamp(e), CustomDetails: d.tree,
			}})
		}
	}
	body, shortened, err := d.fit(encode)
	return path, body, cut || shortened, err
}

func or(text, otherwise string) string {
	if text != "" {
		return text
	}
	return otherwise
}

// timestamp is in ISO 8601; "" lets PagerDuty take the time of receipt.
func timestamp(e *tocsin.Event) string {
	if e.Time.IsZero() {
		return ""
	}
	return e.Time.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// links lead to what the event is about and to the delivery.
// https://developer.pagerduty.com/docs/send-alert-event#the-links-property
func links(n tocsin.Notification, e *tocsin.Event) []pagerduty.ChangeEventLink {
	var out []pagerduty.ChangeEventLink
	if link := alert.Link(e); link != "" {
		out = append(out, pagerduty.ChangeEventLink{Href: link, Text: "Open"})
	}
	if link := alert.DeliveryLink(n); link != "" {
		out = append(out, pagerduty.ChangeEventLink{Href: link, Text: "Delivery in Tocsin"})
	}
	return out
}

// alertLinks are the same in the type that alerts have.
func alertLinks(n tocsin.Notification, e *tocsin.Event) []any {
	var out []any
	for _, link := range links(n, e) {
		out = append(out, link)
	}
	return out
}

// encodeJSON encodes without the escapes for HTML, which take six bytes for one.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
