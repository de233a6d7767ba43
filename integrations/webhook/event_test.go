package webhook

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// FuzzEvent holds the JSON of an event to what the encoder makes of it.
func FuzzEvent(f *testing.F) {
	for _, s := range []string{"", "plain", "<a & b>", "\"quoted\" \\ back", "ü 雪\u2028\u2029", "\x00\x1f\x7f\xff", "\n\t"} {
		f.Add(s, "x", "firing", int8(3), int64(1772441100123456789), true)
		f.Add("1", s, s, int8(0), int64(0), false)
	}
	f.Fuzz(func(t *testing.T, a, b, status string, severity int8, at int64, labels bool) {
		e := tocsin.Event{
			ID: a, Source: b, Type: a + b, Subject: a, Severity: tocsin.Severity(uint8(severity) % 6), Status: tocsin.Status(status),
			Time: time.Unix(0, at).UTC(), DedupKey: b, Title: a, Summary: b, Link: a,
		}
		if labels {
			e.Labels = map[string]string{a: b, b: a, "team": status}
		}
		want, err := encode(e)
		if err != nil {
			t.Skip("no event: ", err) // a year that JSON has no form for
		}
		var got bytes.Buffer
		if err := appendEvent(&got, &e); err != nil || got.String() != string(want) {
			t.Fatalf("got  %s (%v)\nwant %s", &got, err, want)
		}
		e.Data = json.RawMessage("{ \"n\": 1.0 }")
		got.Reset()
		want = append(want[:len(want)-1:len(want)-1], `,"data":{ "n": 1.0 }}`...)
		if err := appendEvent(&got, &e); err != nil || got.String() != string(want) {
			t.Fatalf("got  %s (%v)\nwant %s", &got, err, want)
		}
	})
}
