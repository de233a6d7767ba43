package ingest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
)

// fuzzKinds are the forms of a body; events of the second need not be one JSON text.
var fuzzKinds = []string{"application/json", "application/x-ndjson", "application/cloudevents+json", "application/cloudevents-batch+json"}

// seeds are bodies of every form.
func seeds(f *testing.F) []string {
	all := []string{
		one, two, ce, payload, "[" + two + "]", "[" + one + "," + ce + "]", `{"events":[` + two + `]}`, one + "\n" + two, "\xEF\xBB\xBF" + two, "[" + ce + "]",
		`{"id":"a\nb","time":"x"}`, `[1e5,-0.0,"\ud800",null]`, `{"a":{"b":[[]]}}`, `{"maliciousEvents":[{"filterId":"XSS","timestamp":-1}]}`,
		strings.Replace(two, "{", `{"time":"0001-01-01T00:00:00+23:59","title":"\ud800\u0000\u202e",`, 1),
	}
	for _, name := range []string{"events.ndjson", "threat_payload.json", "threat_payload.published.txt"} {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, string(text))
		if name == "events.ndjson" {
			all = append(all, strings.Split(strings.TrimSpace(string(text)), "\n")...)
		}
	}
	return all
}

// The scanner takes exactly what encoding/json takes, but for what it says it is
// stricter about; and what was read can be read again.
func FuzzDecode(f *testing.F) {
	for _, seed := range seeds(f) {
		if len(seed) > 10_000 {
			f.Add(1, []byte(seed)) // large ones make the search slow
			continue
		}
		for kind := range fuzzKinds {
			if len(seed) < 1000 || kind == 0 {
				f.Add(kind, []byte(seed))
			}
		}
	}
	check := submitting(f)
	f.Fuzz(func(t *testing.T, kind int, body []byte) {
		contentType := fuzzKinds[uint(kind)%uint(len(fuzzKinds))]
		before := string(body)
		events, err := ingest.Decode(contentType, body)
		if string(body) != before {
			t.Fatal("the body was changed")
		}
		if err != nil {
			e := coded(t, err)
			if e.Code == tocsin.CodeMalformed && contentType == fuzzKinds[0] && json.Valid(body) && !stricter(e.Message) {
				t.Fatalf("valid JSON refused: %v", err)
			}
			return
		}
		if contentType != fuzzKinds[1] && !json.Valid([]byte(strings.TrimPrefix(string(body), "\xEF\xBB\xBF"))) {
			t.Fatalf("accepted what is not JSON: %q", body)
		}
		check(t, events)
	})
}

// The headers are written as HTTP has them, one on each line.
func FuzzDecodeBinary(f *testing.F) {
	head := "Ce-Specversion: 1.0\r\nCe-Id: b-1\r\nCe-Source: /s\r\nCe-Type: custom.x\r\n"
	for _, more := range []string{
		"", "Ce-Time: 2026-03-02T08:30:00Z\r\nCe-Title: Caf%C3%A9%20%22open%22\r\nCe-Team: red\r\n", "Content-Type: text/xml\r\n", "Ce-Data: 1\r\n",
		"Ce-Dedupkey: k\r\nCe-Severity: high\r\nCe-Status: resolved\r\nCe-Link: https://x.example/\r\n", "Ce-Title: %zz\r\n", "ce-: x\r\nCe-Dedup_key: 1\r\n", "Ce-Labels: {}\r\n", "Ce-Time: 0000-01-01T00:00:00Z\r\n",
	} {
		for _, body := range []string{"", `{"n": 1}`, " null ", `{"a":`, "[\"\\ud800\"]", "1 2"} {
			f.Add(head+more, []byte(body))
		}
	}
	check := submitting(f)
	f.Fuzz(func(t *testing.T, head string, body []byte) {
		mime, err := textproto.NewReader(bufio.NewReader(strings.NewReader(head + "\r\n"))).ReadMIMEHeader()
		if err != nil || !ingest.IsBinary(http.Header(mime)) {
			t.Skip("the server refuses such headers, or it is another form")
		}
		before := string(body)
		events, err := ingest.DecodeBinary(http.Header(mime), body)
		if string(body) != before {
			t.Fatal("the body was changed")
		}
		if err != nil {
			coded(t, err)
			return
		}
		if len(events) != 1 {
			t.Fatalf("%d events", len(events))
		}
		check(t, events)
	})
}

func coded(t *testing.T, err error) *tocsin.Error {
	t.Helper()
	var e *tocsin.Error
	if !errors.As(err, &e) || e.Code == tocsin.CodeInternal || e.Message == "" {
		t.Fatalf("error without a code: %v", err)
	}
	return e
}

// sameEvent compares what a producer said, whatever the bytes.
var sameEvent = cmp.Options{cmpopts.IgnoreFields(tocsin.Event{}, "Raw", "ReceivedAt"), cmpopts.EquateEmpty()}

// submitting returns a check of events that Decode accepted: their bytes say the same
// again, and Submit takes them or says why not, with their bytes and with its own. The
// first few stand for all.
func submitting(f *testing.F) func(*testing.T, []tocsin.Event) {
	last := &recording{store: newStore()}
	in, err := ingest.New(ingest.Config{Store: last, Conductor: &conductor{}, Now: func() time.Time { return now }})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(in.Close)
	return func(t *testing.T, events []tocsin.Event) {
		for _, e := range events[:min(len(events), 4)] {
			if !json.Valid(e.Raw) || len(e.Data) > 0 && !json.Valid(e.Data) {
				t.Fatalf("raw %q, data %q", e.Raw, e.Data)
			}
			again, err := ingest.Decode("application/json", e.Raw)
			if err != nil || len(again) != 1 {
				t.Fatalf("raw %q does not decode: %v", e.Raw, err)
			}
			if diff := cmp.Diff(e, again[0], sameEvent); diff != "" {
				t.Fatalf("raw %q says otherwise: %s", e.Raw, diff)
			}
			if _, err := in.Submit(t.Context(), []tocsin.Event{e}); err != nil {
				coded(t, err)
				continue
			}
			own := e
			own.Raw = nil
			if _, err := in.Submit(t.Context(), []tocsin.Event{own}); err != nil {
				if tocsin.CodeOf(err) != tocsin.CodeTooLarge && !strings.Contains(err.Error(), "bytes; at most") {
					t.Fatalf("accepted with its bytes %q, and not without: %v", e.Raw, err)
				}
				continue
			}
			stored := last.batch[0].Event
			again, err = ingest.Decode("application/json", stored.Raw)
			if err != nil || len(again) != 1 {
				t.Fatalf("own bytes %q do not decode: %v", stored.Raw, err)
			}
			if diff := cmp.Diff(e, again[0], sameEvent); diff != "" {
				t.Fatalf("own bytes %q say otherwise than %q: %s", stored.Raw, e.Raw, diff)
			}
		}
	}
}

// recording is a store that accepts everything and keeps the last batch.
type recording struct {
	*store
	batch []tocsin.NewEvent
}

func (r *recording) Append(_ context.Context, _ int64, batch []tocsin.NewEvent) (tocsin.AppendResult, error) {
	r.batch = batch
	return tocsin.AppendResult{Events: slices.Repeat([]tocsin.Appended{tocsin.AppendedNew}, len(batch))}, nil
}

// The quick way to a threat's dedup key is the same key.
func FuzzDedupKey(f *testing.F) {
	for _, data := range []string{
		"", "null", "[]", "{", `{}`, `{"filterId":"XSS","actor":"a","method":"GET","url":"/"}`, `{"filterId":"\u0041","actor":null,"x":[{"url":1}],"url":"é"}`,
		`{"FILTERID":"XSS","filterId":"SQL"}`, `{"URL":"/a","url":"/b"}`, `{"\u0075rl":"/"}`, `{"url":7,"actor":"a"}`, `{"url":"a"} x`, "{\"url\":\"\xff\"}", `{"url":"a","url":"b"}`,
		`{"method":"\ud800"}`, "{\"ſurl\":\"a\"}",
	} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e := tocsin.Event{Type: "threat.detected", Source: "/s", Subject: "x", Data: data}
		if got, want := ingest.DedupKey(&e), tocsin.DefaultDedupKey(&e); got != want {
			t.Fatalf("%q: got %s, want %s", data, got, want)
		}
	})
}

// stricter tells what is refused on purpose although it is JSON.
func stricter(message string) bool {
	if !strings.HasPrefix(message, "the body is not valid JSON") {
		return true // no event, or no object
	}
	return slices.ContainsFunc([]string{"not UTF-8", "64-bit", "nested", "appears twice"}, func(reason string) bool {
		return strings.Contains(message, reason)
	})
}

// A filter compiles or says where it does not; it answers within its bound, and
// the same each time.
func FuzzCompileFilter(f *testing.F) {
	var datas []string
	for _, line := range seeds(f) {
		events, err := ingest.Decode("application/json", []byte(line))
		if err == nil && len(events) > 0 && len(events[0].Data) > 0 {
			datas = append(datas, string(events[0].Data))
		}
	}
	for i, expr := range []string{
		`severity == "high"`, `data.a[0].b > 1.5`, `labels["x"] in ["y"]`, `time > timestamp("2026-01-01T00:00:00Z")`, `((`, "a\nb", `data.all(x, x.matches("a+"))`, `"\u00e9" == title`,
		`data.shadow`, `has(data.region) && data.?region.orValue("") == "eu"`, `data.all(a, data.all(b, data.all(c, a == b && b == c)))`, `summary.split("")[0] == title.lowerAscii()`, `1 / (level - level) == 1`, `type(data) == map`,
		`data == {"a": [1, 2.0, null, b"x"]}`, `time - duration("1h") < timestamp(0)`, `title.matches("(a*)*b")`, `[1,2,3].map(x, x * level).exists_one(x, x > 2)`, `int(data.big) > 9223372036854775807 - 1`, `uint(level) + 1u > 2u`, `dyn(1) == "1"`, `collection == "" || category == "custom"`,
	} {
		f.Add(expr, []byte(datas[i%len(datas)]))
		f.Add(expr, []byte(`{"a":[{"b":2}],"n":1}`))
	}
	f.Fuzz(func(t *testing.T, expr string, data []byte) {
		c, err := ingest.CompileFilter(expr)
		if err != nil {
			if e := coded(t, err); e.Code != tocsin.CodeInvalid || len(e.Fields) == 0 || e.Fields[0].Field != "filter" {
				t.Fatalf("%q: %v", expr, err)
			}
			return
		}
		if !json.Valid(data) {
			data = nil
		}
		e := tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Title: "T", Summary: string(bytes.Repeat([]byte("a"), 1000)), Labels: map[string]string{"a": "b"}, Time: now, Data: data}
		ok, err := c.Match(&e, "custom")
		if ok && err != nil {
			t.Fatalf("%q says yes and %v", expr, err)
		}
		if again, _ := c.Match(&e, "custom"); again != ok {
			t.Fatalf("%q says %v, then %v", expr, ok, again)
		}
		if cost, err := c.Cost(&e, "custom"); err == nil && cost > ingest.FilterCost {
			t.Fatalf("%q cost %d of %d", expr, cost, ingest.FilterCost)
		}
	})
}
