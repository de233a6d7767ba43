package format_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/format"
)

// cefDictionary are the keys of CEF's dictionary that may appear, with their lengths.
// https://www.microfocus.com/documentation/arcsight/arcsight-smartconnectors-25.1/cef-implementation-standard/Content/CEF/Chapter%202%20ArcSight%20Extension.htm
var cefDictionary = map[string]int{
	"rt": 13, "externalId": 40, "deviceExternalId": 255, "cat": 1023, "src": 15, "c6a1": 39, "c6a1Label": 1023, "suser": 1023,
	"requestMethod": 1023, "request": 1023, "msg": 1023,
	"cs1": 4000, "cs2": 4000, "cs3": 4000, "cs4": 4000, "cs5": 4000, "cs6": 4000,
	"cs1Label": 1023, "cs2Label": 1023, "cs3Label": 1023, "cs4Label": 1023, "cs5Label": 1023, "cs6Label": 1023,
}

// threat is an event with something for every key.
func threat() tocsin.Event {
	return tocsin.Event{
		ID: "evt-1", Source: "/threats", Type: "threat.detected", Severity: tocsin.SeverityHigh, Status: tocsin.Resolved,
		Time: time.Date(2026, 3, 2, 8, 30, 0, 123456789, time.FixedZone("", 3600)), DedupKey: "k=1|2", Subject: "endpoint/v2", Title: `a | b \ c = d`,
		Summary: "one = two\r\nthree | four \\n five\ttab ^ caret", Link: "https://c.example.com/1?a=b",
		Labels: map[string]string{"collection": "pay"},
		Data:   json.RawMessage("{\n \"actor\": \"198.51.100.20\", \"method\":\"GET\", \"url\":\"v2/payers?id=1' OR '1'='1\"\n}"),
	}
}

func TestCEF(t *testing.T) {
	e := threat()
	want := `CEF:0|Tocsin|Tocsin|1.0|threat.detected|a \| b \\ c = d|8|externalId=evt-1 rt=1772436600123 cs2Label=status cs2=resolved ` +
		`cs1Label=dedupKey cs1=k\=1|2 deviceExternalId=/threats cat=threat src=198.51.100.20 requestMethod=GET request=v2/payers?id\=1' OR '1'\='1 ` +
		`cs3Label=subject cs3=endpoint/v2 cs4Label=link cs4=https://c.example.com/1?a\=b cs5Label=collection cs5=pay ` +
		`msg=one \= two\nthree | four \\n five tab ^ caret ` +
		`cs6Label=data cs6={"actor":"198.51.100.20","method":"GET","url":"v2/payers?id\=1' OR '1'\='1"}`
	if diff := cmp.Diff(want, format.CEF(&e, "1.0")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLEEF(t *testing.T) {
	e := threat()
	want := `LEEF:2.0|Tocsin|Tocsin|1.0|threat.detected|^|externalId=evt-1^devTime=1772436600123^sev=8^cat=threat^title=a ¦ b \ c = d^status=resolved^` +
		`src=198.51.100.20^dedupKey=k=1¦2^eventSource=/threats^httpMethod=GET^url=v2/payers?id=1' OR '1'='1^subject=endpoint/v2^` +
		`link=https://c.example.com/1?a=b^collection=pay^msg=one = two three ¦ four \n five tab ˆ caret^` +
		`data={"actor":"198.51.100.20","method":"GET","url":"v2/payers?id=1' OR '1'='1"}`
	if diff := cmp.Diff(want, format.LEEF(&e, "1.0")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestSeverities: both scales have one value for each of ours, and none for no severity.
func TestSeverities(t *testing.T) {
	for severity, want := range map[tocsin.Severity][2]string{
		tocsin.SeverityNone: {"Unknown", ""}, tocsin.SeverityInfo: {"1", "1"}, tocsin.SeverityLow: {"3", "3"},
		tocsin.SeverityMedium: {"5", "5"}, tocsin.SeverityHigh: {"8", "8"}, tocsin.SeverityCritical: {"10", "10"},
	} {
		e := tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Severity: severity}
		header, _, err := parseCEF(format.CEF(&e, "1"))
		if err != nil || header[6] != want[0] {
			t.Errorf("CEF of %s: %q, %v", severity, header, err)
		}
		_, attributes, err := parseLEEF(format.LEEF(&e, "1"))
		if err != nil || attributes["sev"] != want[1] {
			t.Errorf("LEEF of %s: %q, %v", severity, attributes, err)
		}
	}
}

// TestActors: src of CEF takes IPv4 only, and a name is no address.
func TestActors(t *testing.T) {
	for data, want := range map[string]map[string]string{
		`{"actor":"198.51.100.20"}`:                    {"src": "198.51.100.20"},
		`{"actor":"::ffff:198.51.100.20"}`:             {"src": "198.51.100.20"},
		`{"actor":"2001:db8::1"}`:                      {"c6a1": "2001:db8::1"},
		`{"actor":"release-bot","ip":"198.51.100.21"}`: {"src": "198.51.100.21", "suser": "release-bot"},
		`{"actor":"fe80::1%src=1"}`:                    {},
		`{"actor":7}`:                                  {},
		`{"actor":"x src=192.0.2.1"}`:                  {"suser": "x src=192.0.2.1"},
	} {
		e := tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Data: json.RawMessage(data)}
		_, got, err := parseCEF(format.CEF(&e, "1"))
		maps.DeleteFunc(got, func(key, _ string) bool { return !slices.Contains([]string{"src", "c6a1", "suser"}, key) })
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", data, err, diff)
		}
	}
}

// TestDictionary: only keys of the dictionary, within their lengths, whatever the event.
func TestDictionary(t *testing.T) {
	e := threat()
	for _, long := range []*string{&e.Title, &e.Summary, &e.Subject, &e.DedupKey, &e.Source, &e.ID, &e.Type} {
		*long = strings.Repeat("é=\n", 5000)
	}
	data, err := json.Marshal(map[string]string{"actor": strings.Repeat("a", 5000), "ip": "2001:db8::1", "url": strings.Repeat("u", 5000), "method": strings.Repeat("m", 5000)})
	if err != nil {
		t.Fatal(err)
	}
	e.Data = data
	for _, e := range append(integrationtest.Events(t), e) {
		text, _ := format.CEFWithin(&e, "1", 1<<20)
		header, extension, err := parseCEF(text)
		if err != nil {
			t.Fatalf("%s: %v in %q", e.ID, err, text)
		}
		for key, value := range extension {
			if most, known := cefDictionary[key]; !known || len(value) > most {
				t.Errorf("%s=%.20q… has %d bytes; the dictionary has %v, %d", key, value, len(value), known, most)
			}
		}
		for i, most := range []int{1, 63, 63, 31, 1023, 512, 7} {
			if len(header[i]) > most || header[i] == "" {
				t.Errorf("field %d of the header has %d bytes, at most %d", i, len(header[i]), most)
			}
		}
		if _, _, err := parseLEEF(format.LEEF(&e, "1")); err != nil {
			t.Errorf("LEEF of %s: %v", e.ID, err)
		}
	}
}

// TestWithin squeezes events: every limit holds, what is left parses, identity stays, and
// the order in which keys go is that of the comment.
func TestWithin(t *testing.T) {
	hostile := threat()
	hostile.Type, hostile.ID, hostile.Source, hostile.DedupKey = strings.Repeat("|", 255), strings.Repeat("^", 255), strings.Repeat("=", 255), strings.Repeat(`\`, 255)
	hostile.Title, hostile.Summary = strings.Repeat("|", 4096), strings.Repeat("=", 32<<10)
	for _, e := range append(integrationtest.Events(t), threat(), hostile) {
		for limit := 512; limit < 12<<10; limit += 97 {
			text, cut := format.CEFWithin(&e, "1", limit)
			_, extension, err := parseCEF(text)
			if err != nil || len(text) > limit || extension["externalId"] == "" || !utf8.ValidString(text) {
				t.Fatalf("CEF of %.20s within %d: %d bytes, %v", e.ID, limit, len(text), err)
			}
			if full := format.CEF(&e, "1"); len(full) <= limit && text != full || len(full) > limit && !cut {
				t.Errorf("CEF of %.20s within %d: cut %v, and the whole has %d", e.ID, limit, cut, len(full))
			}
			if extension["cs6"] != "" && e.Summary != "" && extension["msg"] == "" {
				t.Errorf("CEF of %.20s within %d: msg went before data", e.ID, limit)
			}
			text, _ = format.LEEFWithin(&e, "1", limit)
			_, attributes, err := parseLEEF(text)
			if err != nil || len(text) > limit || attributes["externalId"] == "" {
				t.Fatalf("LEEF of %.20s within %d: %d bytes, %v", e.ID, limit, len(text), err)
			}
		}
	}
	e := threat()
	whole := len(format.CEF(&e, "1"))
	text, _ := format.CEFWithin(&e, "1", whole-1)
	if _, extension, _ := parseCEF(text); extension["cs6"] != "" || extension["cs6Label"] != "" || !strings.HasPrefix(extension["msg"], "one = two\nthree") {
		t.Errorf("one byte too long: %q", text)
	}
}

func TestUID(t *testing.T) {
	a := tocsin.Event{Source: "/a", ID: "b"}
	same := tocsin.Event{Source: "/a", ID: "b", Title: "other"}
	other := tocsin.Event{Source: "/", ID: "ab"}
	if format.UID(&a) != format.UID(&same) || format.UID(&a) == format.UID(&other) || len(format.UID(&a)) != 32 {
		t.Errorf("%s, %s, %s", format.UID(&a), format.UID(&same), format.UID(&other))
	}
}
