package format

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

// maxAttribute is how long the specification wants names of attributes at most.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#naming-conventions
const maxAttribute = 20

// restLabels is the extension attribute for labels whose names no attribute may have: a
// JSON object as text.
const restLabels = "morelabels"

// taken are names of attributes with a meaning of their own, which no label may take.
var taken = []string{
	"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data",
	"severity", "status", "dedupkey", "title", "summary", "link", "labels", "traceparent", "tracestate", restLabels,
}

// attributes are a CloudEvent but for its labels and data. Extension attributes are
// siblings of the others.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
type attributes struct {
	SpecVersion string `json:"specversion"`
	ID          string `json:"id"`
	Source      string `json:"source"`
	Type        string `json:"type"`
	Subject     string `json:"subject,omitempty"`
	Time        string `json:"time,omitempty"`
	ContentType string `json:"datacontenttype,omitempty"`

	Severity string `json:"severity,omitempty"`
	Status   string `json:"status,omitempty"`
	DedupKey string `json:"dedupkey,omitempty"`
	Title    string `json:"title,omitempty"`
	Summary  string `json:"summary,omitempty"`
	Link     string `json:"link,omitempty"`
}

// CloudEvent is the event as a CloudEvent 1.0 in structured form, which Tocsin's own
// ingest reads back. severity, status, dedupkey, title, summary and link are extension
// attributes; so is each label whose name may be one, and the others are together in
// morelabels. Attributes hold no control characters and no noncharacters, and source is a
// URI-reference, so those are replaced or percent-encoded; in data every token stays as the
// producer sent it.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#type-system
func CloudEvent(e *tocsin.Event) (json.RawMessage, error) {
	a := attributes{
		SpecVersion: "1.0", ID: attribute(e.ID), Source: uriReference(e.Source), Type: attribute(e.Type), Subject: attribute(e.Subject),
		Severity: e.Severity.String(), Status: string(e.Status), DedupKey: attribute(alert.DedupKey(e)),
		Title: attribute(e.Title), Summary: attribute(e.Summary), Link: alert.Link(e),
	}
	if !e.Time.IsZero() {
		a.Time = e.Time.UTC().Format(time.RFC3339Nano)
	}
	if len(e.Data) > 0 {
		a.ContentType = "application/json"
	}
	text, err := encode(a)
	if err != nil {
		return nil, fmt.Errorf("encoding event %q: %w", e.ID, err)
	}
	labels, err := labelAttributes(e.Labels)
	if err != nil {
		return nil, fmt.Errorf("encoding the labels of event %q: %w", e.ID, err)
	}
	if len(labels) > len("{}") {
		text = append(append(text[:len(text)-1], ','), labels[1:]...)
	}
	return with(text, "data", e.Data, e)
}

// labelAttributes is an object of the extension attributes that stand for labels.
func labelAttributes(labels map[string]string) ([]byte, error) {
	out, rest := map[string]string{}, map[string]string{}
	for name, value := range labels {
		if isAttribute(name) && !slices.Contains(taken, name) {
			out[name] = attribute(value)
		} else {
			rest[name] = value
		}
	}
	if len(rest) > 0 {
		text, err := encode(rest)
		if err != nil {
			return nil, err
		}
		out[restLabels] = attribute(string(text))
	}
	return encode(out)
}

func isAttribute(name string) bool {
	return name != "" && len(name) <= maxAttribute && !strings.ContainsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
}

// attribute makes text a String of the specification.
func attribute(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r):
			return ' '
		case r >= 0xFDD0 && r <= 0xFDEF, r&0xFFFE == 0xFFFE: // noncharacters
			return utf8.RuneError
		}
		return r
	}, text)
}

// What RFC 3986 lets stand in a URI-reference. Brackets have no place but around an IPv6
// host.
const (
	unreserved = "-._~"
	reserved   = ":/?#@!$&'()*+,;="
	brackets   = "[]"
)

// uriReference percent-encodes what has no place in a URI-reference; a source that is one
// already stays as it is.
func uriReference(text string) string {
	allowed := unreserved + reserved
	if u, err := url.Parse(text); err == nil && strings.HasPrefix(u.Host, "[") {
		allowed += brackets
	}
	out := percentEncode(text, allowed)
	if _, err := url.Parse(out); err != nil {
		return percentEncode(text, unreserved) // reserved characters out of their place: "1:2"
	}
	return out
}

// percentEncode encodes every byte but letters, digits, those allowed, and what is encoded.
func percentEncode(text, allowed string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte(allowed, c) >= 0, c == '%' && encoded(text[i:]):
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// encoded reports whether text begins with a percent-encoded byte.
func encoded(text string) bool {
	hex := func(c byte) bool {
		return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
	}
	return len(text) >= 3 && hex(text[1]) && hex(text[2])
}
