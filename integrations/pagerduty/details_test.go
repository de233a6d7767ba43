package pagerduty_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// maxBody is the most that may be sent, in bytes.
const maxBody = 512_000

// heavy is an event whose data has these texts.
func heavy(t *testing.T, texts map[string]string) tocsin.Event {
	t.Helper()
	e := integrationtest.Pick(t, "it-agent")[0]
	var err error
	if e.Data, err = json.Marshal(texts); err != nil {
		t.Fatal(err)
	}
	return e
}

// bytesOf is how large the request for an event is, its key included.
func bytesOf(t *testing.T, e tocsin.Event) int {
	t.Helper()
	x, err := open(t, `{"routing_key":"`+routingKey+`"}`).Preview(t.Context(), integrationtest.Notify(e))
	if err != nil {
		t.Fatal(err)
	}
	return x[0].RequestBytes
}

// TestSizeAtTheLimit lets an event grow byte by byte: whole up to exactly 512,000 bytes,
// shorter from the next one on.
func TestSizeAtTheLimit(t *testing.T) {
	for _, r := range []string{"x", `"`, "é", "名", "🧨"} {
		texts := map[string]string{"short": "stays", "number": "1"}
		for i := range 9 {
			texts[fmt.Sprintf("long%d", i)] = strings.Repeat("y", 56_000)
		}
		room := maxBody - bytesOf(t, heavy(t, texts))
		if room < 100 || room > 50_000 {
			t.Fatalf("the test's texts leave room for %d bytes: choose others", room)
		}
		width := len(r)
		if r == `"` {
			width = 2
		}
		for over := -1; over <= 1; over++ {
			grow := room + over - len(`"grows":"",`)
			texts["grows"] = strings.Repeat(r, grow/width) + strings.Repeat("z", grow%width)
			n, body := bytesOf(t, heavy(t, texts)), bodies(t, integrationtest.Notify(heavy(t, texts)))[0]
			data := read(t, body).Payload.CustomDetails["Data"].(map[string]any)
			if want := maxBody + over; over <= 0 && n != want {
				t.Errorf("%s%+d: %d bytes, want %d, whole", r, over, n, want)
			}
			if over > 0 && (n > maxBody || n < maxBody-100 || !strings.Contains(body, "y…")) {
				t.Errorf("%s%+d: %d bytes, want just under the limit", r, over, n)
			}
			if data["short"] != "stays" || data["grows"] != texts["grows"] || !utf8.ValidString(body) {
				t.Errorf("%s%+d: a text that is not among the longest was changed", r, over)
			}
		}
	}
}

// TestHeavyEvents: the largest events that are taken in fit, and keep everything but the
// ends of their longest texts.
func TestHeavyEvents(t *testing.T) {
	numbers := make([]string, 0, 30_000)
	for i := range 30_000 {
		numbers = append(numbers, fmt.Sprint(i))
	}
	deep := strings.Repeat(`{"k":`, 5000) + "1" + strings.Repeat("}", 5000)
	for name, data := range map[string]string{
		"quotes":        `{"evidence":"` + strings.Repeat(`\"`, 120_000) + `","location":"here"}`,
		"separators":    `{"evidence":"` + strings.Repeat("\u2028", 80_000) + `","location":"here"}`,
		"many quotes":   `{"a":[` + strings.TrimSuffix(strings.Repeat(`"`+strings.Repeat(`\"`, 1000)+`",`, 120), ",") + `],"location":"here"}`,
		"numbers":       `{"location":"here","list":[` + strings.Join(numbers, ",") + `]}`,
		"a long key":    `{"location":"here","` + strings.Repeat(`\"`, 120_000) + `":1}`,
		"deep":          `{"location":"here","deep":` + deep + `}`,
		"big numbers":   `{"location":"here","n":1e400,"m":123456789012345678901234567890}`,
		"not an object": `["here"]`,
	} {
		e := integrationtest.Pick(t, "it-agent")[0]
		e.Data = json.RawMessage(data)
		receipt, err := open(t, config(newVendor(t).URL)).Send(t.Context(), integrationtest.Notify(e))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body := bodies(t, integrationtest.Notify(e))[0]
		details := read(t, body).Payload.CustomDetails
		if len(body) > maxBody || details["Severity"] != "medium" || !strings.Contains(body, "here") {
			t.Errorf("%s: %d bytes, %d details", name, len(body), len(details))
		}
		if long := strings.Contains(body, "…"); long != (receipt.Truncated == 1) {
			t.Errorf("%s: truncated %d, and shortened %v", name, receipt.Truncated, long)
		}
	}
}

// TestDataThatCannotBeShortened, of keys or of tiny texts, is left to the link, and the rest
// is there.
func TestDataThatCannotBeShortened(t *testing.T) {
	var keys strings.Builder
	for i := range 30_000 {
		fmt.Fprintf(&keys, `"%s%d":%d,`, strings.Repeat(`\"`, 8), i, i)
	}
	for name, data := range map[string]string{
		"keys":       "{" + strings.TrimSuffix(keys.String(), ",") + "}",
		"tiny texts": "[" + strings.TrimSuffix(strings.Repeat(`"ab",`, 130_000), ",") + "]",
	} {
		e := integrationtest.Pick(t, "it-agent")[0]
		e.Data = json.RawMessage(data)
		body := bodies(t, integrationtest.Notify(e))[0]
		details := read(t, body).Payload.CustomDetails
		if len(body) > maxBody || details["Data"] != "left out: too large for PagerDuty; see the delivery" || details["Type"] != "agent.discovered" ||
			details["Delivery"] != "https://tocsin.example.com/v1/deliveries/dlv_01JSUITE0000000000000000" {
			t.Errorf("%s: %d bytes, data %.80v, type %v", name, len(body), details["Data"], details["Type"])
		}
	}
}

// TestNothingHostileWorks: texts of attackers reverse nothing and end up in no other field.
func TestNothingHostileWorks(t *testing.T) {
	e := integrationtest.Pick(t, "it-hostile")[0]
	e.Title = "a\r\nb\u202ec\u0000" + `","severity":"info`
	e.Data = json.RawMessage(`{"k\u202e\u0007":"v\u202e\u0000","k":"first","nested":[{"\u2066x":"\u200fy"}]}`)
	for _, n := range []tocsin.Notification{integrationtest.Notify(e), integrationtest.Notify(integrationtest.Shared(t, "evt-hostile")...), integrationtest.Notify(integrationtest.Pick(t, "it-hostile")...)} {
		for _, body := range bodies(t, n) {
			p := read(t, body).Payload
			if p.Severity != "critical" || strings.ContainsAny(p.Summary+p.Source+p.Component+p.Group+p.Class, "\r\n") {
				t.Errorf("severity %q, summary %q", p.Severity, p.Summary)
			}
			if strings.ContainsAny(body, "\u202e\u2066\u200f") || strings.Contains(body, `\u0000`) || strings.Contains(body, `\u0007`) {
				t.Errorf("a control character is in %s", body)
			}
		}
	}
	data := read(t, bodies(t, integrationtest.Notify(e))[0]).Payload.CustomDetails["Data"].(map[string]any)
	if data["k"] != "first" || data["k′"] != "v" {
		t.Errorf("keys that look the same: %v", data)
	}
}
