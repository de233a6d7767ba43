package format

import (
	"math"
	"strconv"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

// leefDelimiter stands between attributes, and the header names it. Receivers on the way
// rewrite tabs (rsyslog makes #011 of them), so it is a caret.
// https://www.ibm.com/docs/en/dsm?topic=overview-leef-event-components
const leefDelimiter = "^"

// leefText takes out what LEEF cannot hold, since it knows no escapes: the delimiter and
// the pipe of the header become characters that look like them, line breaks and tabs
// spaces. IBM's advice is to have none of them in values.
// https://www.ibm.com/docs/en/dsm?topic=overview-best-practices-guidelines-leef-events
var leefText = strings.NewReplacer("^", "ˆ", "|", "¦", "\n", " ", "\t", " ")

// leefSeverity is LEEF's scale: 1 is the lowest, 10 the highest.
// https://www.ibm.com/docs/en/dsm?topic=overview-predefined-leef-event-attributes
var leefSeverity = map[tocsin.Severity]string{
	tocsin.SeverityInfo: "1", tocsin.SeverityLow: "3", tocsin.SeverityMedium: "5", tocsin.SeverityHigh: "8", tocsin.SeverityCritical: "10",
}

// LEEF is the event as one line of LEEF 2.0. version is Tocsin's own.
func LEEF(e *tocsin.Event, version string) string {
	text, _ := LEEFWithin(e, version, math.MaxInt)
	return text
}

// LEEFWithin is LEEF in at most limit bytes, with what does not fit left out as in
// [CEFWithin]. A limit of 512 holds for any event.
func LEEFWithin(e *tocsin.Event, version string, limit int) (string, bool) {
	// "The EventID field cannot exceed 255 characters."
	class, classCut := oneText(e.Type, min(255, limit/4))
	version, _ = oneText(version, 31)
	p := leefPairs(e)
	s := syntax{
		head: func(string) string {
			fields := []string{"LEEF:2.0", vendorName, productName, leefText.Replace(version), leefText.Replace(class), leefDelimiter}
			return strings.Join(fields, "|") + "|"
		},
		body: leefAttributes, escape: leefText.Replace,
	}
	text, cut := s.write("", p.list, limit)
	return text, cut || p.cut || classCut
}

// leefAttributes writes key=value pairs. A key stands once, and = in a value is no
// trouble: the first one of an attribute ends its key.
func leefAttributes(list []pair) string {
	parts := make([]string, len(list))
	for i, p := range list {
		parts[i] = p.key + "=" + leefText.Replace(p.value)
	}
	return strings.Join(parts, leefDelimiter)
}

// leefPairs are the predefined attributes that an event has something for, and below
// keys of our own.
func leefPairs(e *tocsin.Event) pairs {
	d, p := dataOf(e), pairs{}
	addr, name := who(d)
	p.add("externalId", externalID(e, 64), 64, "")
	// 13 digits are milliseconds and need no devTimeFormat; earlier times have fewer.
	if ms := strconv.FormatInt(e.Time.UnixMilli(), 10); len(ms) == 13 && e.Time.Year() > 1970 {
		p.add("devTime", ms, 0, "")
	}
	p.add("sev", leefSeverity[e.Severity], 0, "")
	p.add("cat", catalogue.Category(e.Type), 0, "")
	p.add("title", line(titleOf(e)), 512, "")
	p.add("status", statusOf(e), 0, "")
	if addr.IsValid() {
		p.add("src", addr.String(), 0, "")
	}
	p.add("dedupKey", alert.DedupKey(e), 255, "")
	p.add("eventSource", e.Source, 255, "")
	p.add("usrName", name, 255, "") // at most 255
	p.add("httpMethod", d.text("method"), 255, "")
	p.add("url", d.text("url"), 2048, "")
	p.add("subject", e.Subject, 2048, "")
	p.add("link", alert.Link(e), 2048, "")
	p.add("collection", e.Collection(), 255, "")
	p.add("msg", e.Summary, 1023, "")
	p.add("data", compact(e), 4000, "")
	return p
}
