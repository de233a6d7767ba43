package ingest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// TestTimesAreBounded: a time that some channel cannot write down never gets in, in no
// form of input, and one at the bound does.
func TestTimesAreBounded(t *testing.T) {
	native := func(at string) (http.Header, string) {
		return http.Header{"Content-Type": {"application/json"}}, `{"id":"1","source":"/s","type":"custom.x","time":"` + at + `"}`
	}
	structured := func(at string) (http.Header, string) {
		return http.Header{"Content-Type": {"application/cloudevents+json"}}, `{"specversion":"1.0","id":"1","source":"/s","type":"custom.x","time":"` + at + `"}`
	}
	batch := func(at string) (http.Header, string) {
		_, body := structured(at)
		return http.Header{"Content-Type": {"application/cloudevents-batch+json"}}, "[" + body + "]"
	}
	binary := func(at string) (http.Header, string) {
		return http.Header{"Content-Type": {"application/json"}, "Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Source": {"/s"}, "Ce-Type": {"custom.x"}, "Ce-Time": {at}}, "{}"
	}
	for name, request := range map[string]func(string) (http.Header, string){"native": native, "structured": structured, "batch": batch, "binary": binary} {
		for at, want := range map[string]string{
			// In UTC it is the year -1, which JSON cannot hold.
			"0000-01-01T00:00:00+02:00":      "time: 0000-01-01T00:00:00+02:00 is too early; allowed: 1970-01-01T00:00:00Z or later, or none for the time of receipt",
			"0000-12-31T23:59:59Z":           "time: 0000-12-31T23:59:59Z is too early",
			"0001-01-01T00:00:01Z":           "time: 0001-01-01T00:00:01Z is too early",
			"1969-12-31T23:59:59.999999999Z": "time: 1969-12-31T23:59:59.999999999Z is too early",
			"1970-01-01T00:59:59+01:00":      "time: 1970-01-01T00:59:59+01:00 is too early",
			"1970-01-01T00:00:00Z":           "",
			"1969-12-31T23:00:00-01:00":      "",
			"9999-12-31T23:59:59-12:00":      "ahead of now", // in UTC it is the year 10000
		} {
			s := newStore()
			in, _ := start(t, s)
			header, body := request(at)
			_, err := in.Receive(t.Context(), header, []byte(body))
			if want == "" {
				if err != nil {
					t.Errorf("%s %s: %v", name, at, err)
				}
				continue
			}
			if tocsin.CodeOf(err) != tocsin.CodeInvalid || !strings.Contains(err.Error(), want) || len(s.appends) > 0 {
				t.Errorf("%s %s: got %v, want %s", name, at, err, want)
			}
		}
	}
}

// TestTimesOfThreatsAreBounded: theirs are seconds; 0 is none given.
func TestTimesOfThreatsAreBounded(t *testing.T) {
	for at, want := range map[string]string{
		"253402300799": "time: 9999-12-31T23:59:59Z is more than 5 minutes ahead of now", "1772442301": "time: 2026-03-02T09:05:01Z is more than",
		"-62167219201": "data.timestamp: -62167219201 is too small", "-1": "data.timestamp: -1 is too small",
		"253402300800": "data.timestamp: 253402300800 is too large", "1772442300000": "data.timestamp: 1772442300000 is too large; allowed: the seconds since",
		"9223372036854775807": "data.timestamp: 9223372036854775807 is too large", "1772442300": "", "1": "", "0": "",
	} {
		s := newStore()
		in, _ := start(t, s)
		body := `{"maliciousEvents":[{"actor":"192.0.2.1","filterId":"f","url":"/u","method":"GET","apiCollectionId":1,"country":"NL","eventType":"SINGLE",` +
			`"ip":"192.0.2.1","maliciousPayloadsResponses":[],"subCategory":"XSS","type":"Rule-Based","severity":"HIGH","timestamp":` + at + `}]}`
		_, err := in.Receive(t.Context(), http.Header{"Content-Type": {"application/json"}}, []byte(body))
		if want == "" && err != nil || want != "" && (tocsin.CodeOf(err) != tocsin.CodeInvalid || !strings.Contains(err.Error(), want) || len(s.appends) > 0) {
			t.Errorf("%s: got %v, want %s", at, err, want)
		}
	}
}

// TestTimesOfEventsMadeInGo are bounded in the same way.
func TestTimesOfEventsMadeInGo(t *testing.T) {
	for _, at := range []time.Time{time.Unix(-1, 0), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(-1<<62, 0)} {
		in, _ := start(t, newStore())
		_, err := in.Submit(t.Context(), []tocsin.Event{{ID: "1", Source: "/s", Type: "custom.x", Time: at}})
		if tocsin.CodeOf(err) != tocsin.CodeInvalid || !strings.Contains(err.Error(), "time: ") {
			t.Errorf("%s: %v", at, err)
		}
	}
}
