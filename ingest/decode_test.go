package ingest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/ingest"
)

const (
	one = `{"id":"a-1","source":"/s","type":"custom.x","subject":"agent/a","severity":"high","status":"resolved","time":"2026-03-02T08:30:00.5+01:00",` +
		`"dedup_key":"k","title":"T\u00e9","summary":"line 1\nline 2","link":"https://x.example/1","labels":{"collection":"c","a\tb":""},"data":{ "n": 1.0, "big":12345678901234567890 }}`
	two = `{"id":"a-2","source":"/s","type":"custom.x"}`
	ce  = `{"specversion":"1.0","id":"a-1","source":"/s","type":"custom.x","severity":"low","dedupkey":"k","team":"red","attempt":3,"beta":true,"traceparent":"00-1-2-03","datacontenttype":"application/json; charset=utf-8","data":[1]}`
)

func ids(events []tocsin.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, e.ID)
	}
	return strings.Join(all, " ")
}

func TestDecodeForms(t *testing.T) {
	tests := []struct{ name, contentType, body, want string }{
		{"one", "application/json", one, "a-1"},
		{"no content type", "", one, "a-1"},
		{"charset", "Application/JSON; charset=UTF-8", one, "a-1"},
		{"array", "application/json", " [" + one + ",\n" + two + "] ", "a-1 a-2"},
		{"empty array", "application/json", "[]", ""},
		{"events", "application/json", `{"events":[` + one + `,` + two + `]}`, "a-1 a-2"},
		{"byte order mark", "application/json", "\xEF\xBB\xBF" + two, "a-2"},
		{"lines", "application/x-ndjson", one + "\n\n" + two + "\r\n", "a-1 a-2"},
		{"lines without a final newline", "application/x-ndjson", one + "\n" + two, "a-1 a-2"},
		{"cloud event in a line", "application/x-ndjson", ce + "\n" + two, "a-1 a-2"},
		{"cloud event", "application/cloudevents+json", ce, "a-1"},
		{"cloud event as JSON", "application/json", ce, "a-1"},
		{"cloud batch", "application/cloudevents-batch+json; charset=utf-8", "[" + ce + "]", "a-1"},
		{"empty cloud batch", "application/cloudevents-batch+json", "[]", ""},
		{"mixed array", "application/json", "[" + ce + "," + two + "]", "a-1 a-2"},
		{"null fields", "application/json", `{"id":"a-3","source":"/s","type":"custom.x","subject":null,"severity":null,"status":null,"time":null,"labels":null,"data":null}`, "a-3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ingest.Decode(tt.contentType, []byte(tt.body))
			if err != nil || ids(got) != tt.want {
				t.Errorf("got %q, %v, want %q", ids(got), err, tt.want)
			}
		})
	}
}

func TestDecodeReadsEveryField(t *testing.T) {
	body := []byte("  " + one + "\n")
	got, err := ingest.Decode("application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	want := []tocsin.Event{{
		ID: "a-1", Source: "/s", Type: "custom.x", Subject: "agent/a", Severity: tocsin.SeverityHigh, Status: tocsin.Resolved,
		Time: time.Date(2026, 3, 2, 7, 30, 0, 500_000_000, time.UTC), DedupKey: "k", Title: "Té", Summary: "line 1\nline 2",
		Link: "https://x.example/1", Labels: map[string]string{"collection": "c", "a\tb": ""},
		Data: json.RawMessage(`{ "n": 1.0, "big":12345678901234567890 }`), Raw: json.RawMessage(one),
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// Raw and Data are the body's bytes, and cannot grow into what follows them.
	if &got[0].Raw[0] != &body[2] || cap(got[0].Raw) != len(got[0].Raw) || cap(got[0].Data) != len(got[0].Data) {
		t.Error("the bytes were copied, or reach beyond their end")
	}
}

func TestDecodeReadsCloudEvents(t *testing.T) {
	got, err := ingest.Decode("application/cloudevents+json", []byte(ce))
	if err != nil {
		t.Fatal(err)
	}
	want := []tocsin.Event{{
		ID: "a-1", Source: "/s", Type: "custom.x", Severity: tocsin.SeverityLow, DedupKey: "k",
		Labels: map[string]string{"team": "red", "attempt": "3", "beta": "true"}, Data: json.RawMessage(`[1]`), Raw: json.RawMessage(ce),
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeBinary(t *testing.T) {
	header := http.Header{
		"Ce-Specversion": {"1.0"}, "Ce-Id": {"b-1"}, "Ce-Source": {"/s"}, "Ce-Type": {"custom.x"}, "Ce-Time": {"2026-03-02T08:30:00Z"},
		"Ce-Title": {"Caf%C3%A9%20%22open%22"}, "Ce-Team": {"red"}, "Content-Type": {"application/json"}, "X-Other": {"ignored"},
	}
	if !ingest.IsBinary(header) || ingest.IsBinary(http.Header{"Content-Type": {"application/json"}}) {
		t.Error("IsBinary does not look at ce-specversion")
	}
	got, err := ingest.DecodeBinary(header, []byte(` {"n": 1} `))
	if err != nil {
		t.Fatal(err)
	}
	e := got[0]
	if e.ID != "b-1" || e.Title != `Café "open"` || e.Labels["team"] != "red" || string(e.Data) != `{"n": 1}` || !e.Time.Equal(time.Date(2026, 3, 2, 8, 30, 0, 0, time.UTC)) {
		t.Errorf("got %+v", e)
	}
	again, err := ingest.Decode("application/json", e.Raw)
	if err != nil {
		t.Fatalf("raw %s: %v", e.Raw, err)
	}
	if diff := cmp.Diff(got, again); diff != "" {
		t.Errorf("raw does not say the same: %s", diff)
	}
	for name, tt := range map[string]struct{ header, value, body, want string }{
		"body":        {"Ce-Id", "x", `{"n":`, "line 1, column 6: the text ends where a JSON value should follow"},
		"version":     {"Ce-Specversion", "0.3", "", `specversion: "0.3" is not supported; allowed: "1.0"`},
		"encoding":    {"Ce-Title", "%zz", "", `title: "%zz" is not percent-encoded UTF-8`},
		"data":        {"Ce-Data", "1", "", `data: has no place in a header`},
		"name":        {"Ce-Dedup_key", "1", "", `dedup_key: unknown attribute; did you mean "dedupkey"?`},
		"contenttype": {"Content-Type", "text/xml", "<a/>", `Content-Type "text/xml" is not supported for the data of a CloudEvent; allowed: application/json`},
	} {
		h := header.Clone()
		h.Set(tt.header, tt.value)
		if strings.Contains(tt.header, "_") {
			h = header.Clone()
			h[tt.header] = []string{tt.value}
		}
		if _, err := ingest.DecodeBinary(h, []byte(tt.body)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// payload is a threat payload in the published shape.
const payload = `{
  "maliciousEvents": [
    {"actor": "198.51.100.7", "apiCollectionId": 12, "country": "SE", "eventType": "SINGLE", "filterId": "XSS", "ip": "198.51.100.7",
     "method": "POST", "subCategory": "XSS", "timestamp": 1740990600, "type": "Rule-Based", "url": "v1\/notes\n", "maliciousPayloadsResponses": [{"orig": "{}", "ts": 1740990599}], "severity": "CRITICAL"},
    {"actor": "198.51.100.8", "overview": {"description": "own"}}, {}
  ],
  "overview": {"description": "Script in a note.", "details": "d", "impact": "i"},
  "remediation": {"title": "# Encode", "steps": [{"title": "a", "text": "Use a template engine\n    ` + "```" + `"}]}
}`

func TestDecodeThreatPayload(t *testing.T) {
	got, err := ingest.Decode("application/json", []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 {
		t.Fatalf("%d events", len(got))
	}
	e := got[0]
	if e.Type != "threat.detected" || !strings.HasPrefix(e.ID, "threat-") || e.Severity != tocsin.SeverityCritical || e.Time.Unix() != 1740990600 || e.Title != "XSS from 198.51.100.7" || e.Subject != "v1/notes " {
		t.Errorf("got %+v", e)
	}
	if errs := catalog.Default().Validate(&e); errs != nil {
		t.Error(errs)
	}
	if g := catalog.Default().Guidance(&e); g.Overview.Description != "Script in a note." || g.Remediation.Title != "# Encode" {
		t.Errorf("guidance %+v", g)
	}
	if g := catalog.Default().Guidance(&got[1]); g.Overview.Description != "own" {
		t.Errorf("an element's own guidance: %+v", g)
	}
	for i := range got {
		if !json.Valid(got[i].Data) || !json.Valid(got[i].Raw) {
			t.Errorf("event %d: data %s, raw %s", i, got[i].Data, got[i].Raw)
		}
	}
	again, err := ingest.Decode("application/json", []byte(strings.ReplaceAll(payload, "  ", " ")))
	if err != nil || ids(again) != ids(got) || got[0].ID == got[1].ID {
		t.Errorf("ids %q and %q, %v", ids(got), ids(again), err)
	}
}

func TestRawNewlineIsNamedByLineAndColumn(t *testing.T) {
	broken := strings.Replace(payload, `engine\n`, "engine\n", 1)
	line := strings.Count(broken[:strings.Index(broken, "engine\n")], "\n") + 1
	column := len(`  "remediation": {"title": "# Encode", "steps": [{"title": "a", "text": "Use a template engine`) + 1
	want := fmt.Sprintf(`the body is not valid JSON: line %d, column %d: raw newline inside a string; write it as \n`, line, column)
	_, err := ingest.Decode("application/json", []byte(broken))
	if tocsin.CodeOf(err) != tocsin.CodeMalformed || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	event := func(field string) string { return `{"id":"1","source":"/s","type":"custom.x",` + field + `}` }
	const json, lines, cloud, batch = "application/json", "application/x-ndjson", "application/cloudevents+json", "application/cloudevents-batch+json"
	tests := []struct {
		contentType, body string
		code              tocsin.Code
		want              string
	}{
		{"text/xml", two, tocsin.CodeUnsupported, `Content-Type "text/xml" is not supported; allowed: application/json, application/x-ndjson, application/cloudevents+json, application/cloudevents-batch+json`},
		{"application/json; charset=latin1", two, tocsin.CodeUnsupported, `charset "latin1" is not supported; allowed: utf-8`},
		{json, "", tocsin.CodeMalformed, "the body is empty; send an event as JSON"},
		{lines, " \n\n", tocsin.CodeMalformed, "the body is empty; send an event as JSON"},
		{json, `"x"`, tocsin.CodeMalformed, `the body is text; send an event (a JSON object), an array of events, or {"events": […]}`},
		{json, two + two, tocsin.CodeMalformed, "line 1, column 45: a second value after the end of the first; send an array, or one event on each line as application/x-ndjson"},
		{json, two + "]", tocsin.CodeMalformed, "line 1, column 45: ']' where the end of the text should follow"},
		{json, `{"id":"1",}`, tocsin.CodeMalformed, "line 1, column 11: '}' where a name in quotes should follow"},
		{json, "{\n  'id': 1}", tocsin.CodeMalformed, `line 2, column 3: '\'' where a name in quotes should follow`},
		{json, `{"id" "1"}`, tocsin.CodeMalformed, `line 1, column 7: '"' where a colon should follow`},
		{json, `{"é":"1" "b":2}`, tocsin.CodeMalformed, `line 1, column 10: '"' where a comma or } should follow`},
		{json, `[1 2]`, tocsin.CodeMalformed, `line 1, column 4: '2' where a comma or ] should follow`},
		{json, `{"id":"1`, tocsin.CodeMalformed, `line 1, column 9: the text ends inside a string`},
		{json, `{"id":"a\x"}`, tocsin.CodeMalformed, `line 1, column 9: \ before 'x' is not an escape; write a backslash as \\`},
		{json, `{"id":"\u12g4"}`, tocsin.CodeMalformed, `line 1, column 12: \u needs four hexadecimal digits`},
		{json, "{\"id\":\"a\tb\"}", tocsin.CodeMalformed, `line 1, column 9: raw control character 0x09 inside a string; write it as \u0009`},
		{json, `{"id":01}`, tocsin.CodeMalformed, `line 1, column 7: a number must not begin with 0`},
		{json, `{"id":-}`, tocsin.CodeMalformed, `line 1, column 8: '}' where a digit should follow`},
		{json, `{"id":1.}`, tocsin.CodeMalformed, `where a digit should follow`},
		{json, `{"id":nul}`, tocsin.CodeMalformed, `line 1, column 10: '}' where the rest of null should follow`},
		{json, event(`"data":{"n":1e999}`), tocsin.CodeMalformed, `the number does not fit 64-bit floating point`},
		{json, event(`"data":` + strings.Repeat("[", 200) + strings.Repeat("]", 200)), tocsin.CodeMalformed, `nested deeper than 128 levels`},
		{json, "{\"id\":\"\xff\"}", tocsin.CodeMalformed, "line 1, column 8: a byte that is not UTF-8"},
		{lines, two + "\n{\"id\":\"2\n\"}", tocsin.CodeMalformed, "line 2, column 9: the text ends inside a string"},
		{lines, two + two, tocsin.CodeMalformed, "line 1, column 45: '{' where the end of the line should follow"},
		{lines, two + "\n7", tocsin.CodeInvalid, "1 of 2 events are invalid and nothing was stored: event 1: 7 is a number; an event is a JSON object"},
		{batch, ce, tocsin.CodeMalformed, "the body of application/cloudevents-batch+json must be an array of CloudEvents"},
		{json, `[` + two + `,7,"` + strings.Repeat("é", 90) + `",null]`, tocsin.CodeInvalid, "3 of 4 events are invalid and nothing was stored: event 1: 7 is a number; an event is a JSON object; event 2: \"" + strings.Repeat("é", 39) + "… is text; an event is a JSON object; event 3: null is null; an event is a JSON object"},
		{json, `{"events":[],"count":0}`, tocsin.CodeInvalid, `count: unknown field beside "events"; allowed: events alone, or one event`},
		{json, `{"events":7}`, tocsin.CodeInvalid, `events: unknown field`},
		{json, `{"events":[],"events":[]}`, tocsin.CodeMalformed, `"events" appears twice`},
		{json, event(`"severty":"high"`), tocsin.CodeInvalid, `1 of 1 events are invalid and nothing was stored: event 0: severty: unknown field; did you mean "severity"?`},
		{json, event(`"ID":"2"`), tocsin.CodeInvalid, `event 0: ID: unknown field; did you mean "id"?`},
		{json, event(`"framework":"x"`), tocsin.CodeInvalid, `event 0: framework: unknown field; allowed: id, source, type, subject, severity, status, time, dedup_key, title, summary, link, labels, data; what is particular to the type goes into data`},
		{json, event(`"id":"2"`), tocsin.CodeInvalid, `event 0: id: appears twice`},
		{json, event(`"severity":"urgent"`), tocsin.CodeInvalid, `event 0: severity: "urgent" is not a severity; allowed: info, low, medium, high, critical`},
		{json, event(`"severity":5`), tocsin.CodeInvalid, `event 0: severity: 5 is a number; allowed: text`},
		{json, event(`"status":"open"`), tocsin.CodeInvalid, `event 0: status: "open" is not a status; allowed: firing, resolved`},
		{json, event(`"time":"2026-03-02 08:30"`), tocsin.CodeInvalid, `event 0: time: "2026-03-02 08:30" is not RFC 3339; write for example 2026-01-31T08:30:00Z`},
		{json, event(`"time":1740990600`), tocsin.CodeInvalid, `event 0: time: 1740990600 is a number; write RFC 3339, for example 2026-01-31T08:30:00Z`},
		{json, event(`"time":"2026-02-30T00:00:00Z"`), tocsin.CodeInvalid, `event 0: time: "2026-02-30T00:00:00Z" is not RFC 3339`},
		{json, event(`"labels":["a"]`), tocsin.CodeInvalid, `event 0: labels: ["a"] is an array; allowed: an object of texts`},
		{json, event(`"labels":{"a":5,"b":"x","b":"y"}`), tocsin.CodeInvalid, `event 0: labels.a: 5 is a number; allowed: text; event 0: labels.b: appears twice`},
		{json, event(`"title":{"a":1}`), tocsin.CodeInvalid, `event 0: title: {"a":1} is an object; allowed: text`},
		{cloud, strings.Replace(ce, `"specversion":"1.0",`, "", 1), tocsin.CodeInvalid, `event 0: specversion: is required; allowed: "1.0"`},
		{cloud, strings.Replace(ce, `"1.0"`, "1.0", 1), tocsin.CodeInvalid, `event 0: specversion: 1.0 is a number; allowed: text`},
		{cloud, strings.Replace(ce, `"data":[1]`, `"data_base64":"AA=="`, 1), tocsin.CodeInvalid, `event 0: data_base64: binary data is not supported; send JSON in data`},
		{cloud, strings.Replace(ce, `application/json; charset=utf-8`, `text/plain`, 1), tocsin.CodeInvalid, `event 0: datacontenttype: "text/plain" is not supported; allowed: application/json`},
		{cloud, strings.Replace(ce, `dedupkey`, `dedup_key`, 1), tocsin.CodeInvalid, `event 0: dedup_key: unknown attribute; did you mean "dedupkey"? names of CloudEvents attributes have lower-case letters and digits only`},
		{cloud, strings.Replace(ce, `"attempt":3`, `"attempt":[3]`, 1), tocsin.CodeInvalid, `event 0: attempt: [3] is an array; an extension attribute is text, a number, true or false`},
		{cloud, strings.Replace(ce, `"team"`, `"id"`, 1), tocsin.CodeInvalid, `event 0: id: appears twice`},
		{json, `{"maliciousEvents":{}}`, tocsin.CodeInvalid, `maliciousEvents: is an object; allowed: an array of objects`},
		{json, `{"maliciousEvents":[],"host":1}`, tocsin.CodeInvalid, `host: unknown field of a threat payload; allowed: maliciousEvents, overview, remediation`},
		{json, `{"maliciousEvents":[{},3]}`, tocsin.CodeInvalid, `event 1: 3 is a number; an element of maliciousEvents is a JSON object`},
		{json, event(`"data":"` + strings.Repeat("x", tocsin.MaxEventBytes) + `"`), tocsin.CodeTooLarge, `event 0: the event has 262196 bytes; at most 262144 are accepted`},
		{json, strings.Repeat(" ", ingest.MaxBodyBytes+1), tocsin.CodeTooLarge, "the body has more than 10485760 bytes"},
		{json, "[" + strings.Repeat("{},", ingest.MaxEvents) + "{}]", tocsin.CodeTooLarge, "more than 10000 events"},
	}
	for _, tt := range tests {
		_, err := ingest.Decode(tt.contentType, []byte(tt.body))
		if err == nil || tocsin.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60s\n got %.300v\nwant %s: %s", tt.body, err, tt.code, tt.want)
		}
	}
}

func TestErrorsAreCountedAndCut(t *testing.T) {
	_, err := ingest.Decode("application/json", []byte("["+strings.Repeat(`{"a":1,"b":2},`, 99)+"{}]"))
	var e *tocsin.Error
	if !errors.As(err, &e) || len(e.Fields) != 100 || *e.Fields[99].Index != 49 {
		t.Fatalf("got %.200v", err)
	}
	if want := "events are invalid and nothing was stored; the first 100 errors of 198"; e.Message != want {
		t.Errorf("got %q, want %q", e.Message, want)
	}
}
