package jira

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

const threatType = "threat.detected"

// more are keys of data that a ticket shows besides those of alert.Facts: whoever works on
// it has time to read.
var more = []struct{ key, label string }{
	{"host", "Host"}, {"path", "Path"}, {"ip", "IP address"}, {"country", "Country"}, {"category", "Category"}, {"subCategory", "Sub-category"},
	{"filterId", "Filter"}, {"eventType", "Event type"}, {"successfulExploit", "Successful exploit"}, {"contextSource", "Context"}, {"sessionId", "Session"},
	{"owaspCategories", "OWASP"}, {"component", "Component"}, {"what", "What changed"}, {"before", "Before"}, {"after", "After"},
	{"finding", "Finding"}, {"environment", "Environment"}, {"test_id", "Test"}, {"affected", "Affected"}, {"cwe", "CWE"}, {"llm_provider", "LLM provider"},
	{"model", "Model"}, {"capabilities", "Capabilities"}, {"shadow", "Shadow"}, {"permissions", "Permissions"}, {"resources", "Resources"}, {"metric", "Metric"},
	{"deviation", "Deviation"}, {"window", "Window"}, {"reasons", "Reasons"}, {"parameter", "Parameter"}, {"sensitive", "Sensitive"},
	{"countPendingTests", "Pending tests"}, {"critical", "Critical"}, {"high", "High"}, {"medium", "Medium"}, {"low", "Low"}, {"new_issues", "New issues"},
}

// details are what a ticket reads of an event's data beyond alert.Facts.
type details struct {
	values     map[string]json.RawMessage
	host       string
	method     string
	path       string
	references []string
	samples    []sample
}

type sample struct {
	orig string
	at   time.Time // zero: not known
}

// detailsOf reads the data. What has another shape than expected is left out.
func detailsOf(e *tocsin.Event) details {
	d := details{}
	_ = json.Unmarshal(e.Data, &d.values) // what is no object has no details
	d.method = strings.ToUpper(text(d.values["method"]))
	d.host, d.path = endpoint(text(d.values["host"]), text(d.values["path"]), text(d.values["url"]))
	for _, key := range []string{"references", "reference"} {
		d.references = append(d.references, texts(d.values[key])...)
	}
	var samples []struct {
		Orig json.RawMessage `json:"orig"`
		TS   json.Number     `json:"ts"`
	}
	_ = json.Unmarshal(d.values["maliciousPayloadsResponses"], &samples)
	for _, s := range samples {
		d.samples = append(d.samples, sample{text(s.Orig), seconds(s.TS)})
	}
	return d
}

// endpoint tells host and path, from keys of their own or from an URL.
func endpoint(host, path, address string) (string, string) {
	u, err := url.Parse(address)
	if address == "" || err != nil {
		return host, path
	}
	if u.Host != "" && host == "" {
		host = u.Host
	}
	if path == "" {
		path = u.Path
	}
	return host, path
}

// text is a JSON value for people: a string as it is, lists joined, others as JSON.
func text(raw json.RawMessage) string {
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return strings.Join(list, ", ")
	}
	return string(raw)
}

// texts is a list of strings, or one.
func texts(raw json.RawMessage) []string {
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return list
	}
	if s := text(raw); s != "" {
		return []string{s}
	}
	return nil
}

// seconds reads a Unix time; zero for none that makes sense.
func seconds(n json.Number) time.Time {
	s, err := n.Int64()
	if err != nil || s <= 0 || s > 1<<36 {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}

// factsOf are alert.Facts and the rest that a ticket shows.
func factsOf(e *tocsin.Event, d details) []alert.Fact {
	facts := alert.Facts(e)
	add := func(label, value string) {
		if value != "" && !slices.ContainsFunc(facts, func(f alert.Fact) bool { return f.Label == label }) {
			facts = append(facts, alert.Fact{Label: label, Value: value})
		}
	}
	add("Host", d.host)
	if d.method != "" && d.path != "" {
		add("Endpoint", d.method+" "+d.path)
	}
	for _, m := range more {
		add(m.label, text(d.values[m.key]))
	}
	return facts
}

// timeFormat is how times are written, in UTC.
const timeFormat = "2006-01-02 15:04:05 UTC"

// timeline says what happened when, oldest first.
func timeline(e *tocsin.Event, d details) []string {
	type moment struct {
		at   time.Time
		what string
	}
	var moments []moment
	add := func(at time.Time, what string) {
		if !at.IsZero() {
			moments = append(moments, moment{at.UTC(), what})
		}
	}
	for _, m := range []struct{ key, what string }{{"first_seen", "first seen"}, {"last_seen", "last seen"}, {"opened_at", "incident opened"}} {
		at, _ := time.Parse(time.RFC3339, text(d.values[m.key])) // no time, no moment
		add(at, m.what)
	}
	first, last := span(d.samples)
	add(first, "first sample")
	if !last.Equal(first) {
		add(last, "last sample")
	}
	what := "fired"
	if e.Status == tocsin.Resolved {
		what = "resolved"
	}
	add(e.Time, what)
	add(e.ReceivedAt, "received")
	slices.SortStableFunc(moments, func(a, b moment) int { return a.at.Compare(b.at) })
	var lines []string
	for _, m := range moments {
		lines = append(lines, m.at.Format(timeFormat)+"  "+m.what)
	}
	return lines
}

// span is when the first and the last sample were taken.
func span(samples []sample) (first, last time.Time) {
	for _, s := range samples {
		if s.at.IsZero() {
			continue
		}
		if first.IsZero() || s.at.Before(first) {
			first = s.at
		}
		if s.at.After(last) {
			last = s.at
		}
	}
	return first, last
}

// guidanceOf is what the catalog knows about a threat. Events of other types have what they
// carry themselves, and no generic words.
func guidanceOf(guide *catalog.Catalog, e *tocsin.Event, d details) catalog.Guidance {
	g := guide.Guidance(e)
	if e.Type == threatType {
		return g
	}
	if len(d.values["overview"]) == 0 {
		g.Overview = catalog.Overview{}
	}
	if len(d.values["remediation"]) == 0 {
		g.Remediation = catalog.Remediation{}
	}
	return g
}
