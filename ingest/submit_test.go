package ingest_test

import (
	"context"
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

func TestSubmitFillsInWhatIsMissing(t *testing.T) {
	s := newStore(hook("all"))
	in, _ := start(t, s)
	e := example(t, "data.sensitive")
	given := e
	e.Severity, e.Status, e.Time, e.DedupKey = tocsin.SeverityNone, "", time.Time{}, ""
	result, err := in.Submit(t.Context(), []tocsin.Event{e})
	if err != nil || result != (ingest.Result{Accepted: 1}) {
		t.Fatalf("%+v, %v", result, err)
	}
	got := s.stored(t, e.ID).Event
	want := given
	want.Severity, want.Status, want.Time, want.DedupKey = tocsin.SeverityHigh, tocsin.Firing, now, tocsin.DefaultDedupKey(&e)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if e.Severity != tocsin.SeverityNone || e.DedupKey != "" {
		t.Error("the caller's event was changed")
	}
}

func TestSubmitMakesBytesOfEventsThatHaveNone(t *testing.T) {
	s := newStore()
	in, _ := start(t, s)
	e := tocsin.Event{ID: "1", Source: "/tocsin", Type: "webhook.failing", Labels: map[string]string{"a": "b"}, Data: json.RawMessage(` {"webhook": "on-call"} `)}
	if _, err := in.Submit(t.Context(), []tocsin.Event{e}); err != nil {
		t.Fatal(err)
	}
	raw := s.stored(t, "1").Event.Raw
	want := `{"id":"1","source":"/tocsin","type":"webhook.failing","labels":{"a":"b"},"data": {"webhook": "on-call"} }`
	if string(raw) != want {
		t.Errorf("raw %s, want %s", raw, want)
	}
}

func TestEveryTypeGoesThrough(t *testing.T) {
	s := newStore(hook("all"))
	in, _ := start(t, s)
	var body []byte
	types := 0
	for _, a := range catalog.Default().Types() {
		if a.Category == catalog.CategoryPipeline {
			continue // Tocsin's own: see TestPipelineTypesAreReserved
		}
		types++
		var line strings.Builder
		for _, part := range strings.Split(string(a.Example), "\n") {
			line.WriteString(strings.TrimSpace(part))
		}
		body = append(append(body, line.String()...), '\n')
	}
	hostile := `{"id":"hostile-1","source":"/s","type":"finding.critical","subject":"agent/'; DROP TABLE alerts; --","title":"<!here> <img src=x onerror=alert(1)>","summary":"To: y@example.org\r\nX-Bad: 1 \u202e {{.Secret}}",` +
		`"data":{"finding":"text of an attacker","environment":"production","evidence":"\u0000 ${jndi:ldap://192.0.2.1/a} \ud800","affected":["agent/a\nb"]}}`
	body = append(body, hostile...)
	result, err := in.Receive(t.Context(), http.Header{"Content-Type": {"application/x-ndjson"}}, body)
	if err != nil || result.Accepted != types+1 {
		t.Fatalf("%+v, %v", result, err)
	}
	if got := s.stored(t, "hostile-1").Event; string(got.Raw) != hostile {
		t.Errorf("raw %s", got.Raw)
	}
}

func TestSubmitRefuses(t *testing.T) {
	tests := []struct {
		name string
		edit func(*tocsin.Event)
		want []string
	}{
		{"nothing", func(e *tocsin.Event) { *e = tocsin.Event{} }, []string{"id: is required: text of 1 to 255 bytes", "source: is required: text of 1 to 255 bytes", "type: is required: text of 1 to 255 bytes"}},
		{"long id", func(e *tocsin.Event) { e.ID = strings.Repeat("x", 256) }, []string{`id: "` + strings.Repeat("x", 80) + `…" has 256 bytes; at most 255 are allowed`}},
		{"control in id", func(e *tocsin.Event) { e.ID = "a\nb" }, []string{`id: "a\nb" contains the control character U+000A`}},
		{"NUL in source", func(e *tocsin.Event) { e.Source = "a\x00" }, []string{`source: "a\x00" contains the control character U+0000`}},
		{"NUL in summary", func(e *tocsin.Event) { e.Summary = "a\x00" }, []string{`summary: "a\x00" contains the control character U+0000`}},
		{"DEL in subject", func(e *tocsin.Event) { e.Subject = "a\x7f" }, []string{`subject: "a\x7f" contains the control character U+007F`}},
		{"not UTF-8", func(e *tocsin.Event) { e.Title = "a\xff" }, []string{`title: "a\xff" is not UTF-8`}},
		{"long subject", func(e *tocsin.Event) { e.Subject = strings.Repeat("é", 1025) }, []string{`subject: "` + strings.Repeat("é", 40) + `…" has 2050 bytes; at most 2048 are allowed`}},
		{"long title", func(e *tocsin.Event) { e.Title = strings.Repeat("x", 4097) }, []string{`title: "` + strings.Repeat("x", 80) + `…" has 4097 bytes; at most 4096 are allowed`}},
		{"long summary", func(e *tocsin.Event) { e.Summary = strings.Repeat("x", 32769) }, []string{`summary: "` + strings.Repeat("x", 80) + `…" has 32769 bytes; at most 32768 are allowed`}},
		{"long dedup key", func(e *tocsin.Event) { e.DedupKey = strings.Repeat("x", 256) }, []string{`dedup_key: "` + strings.Repeat("x", 80) + `…" has 256 bytes; at most 255 are allowed`}},
		{"http link", func(e *tocsin.Event) { e.Link = "http://x.example" }, []string{`link: "http://x.example" is not a link; allowed: https://host/…`}},
		{"script link", func(e *tocsin.Event) { e.Link = "javascript:alert(1)" }, []string{`link: "javascript:alert(1)" is not a link; allowed: https://host/…`}},
		{"user in link", func(e *tocsin.Event) { e.Link = "https://u:p@x.example" }, []string{`link: must not contain a user name or password`}},
		{"far ahead", func(e *tocsin.Event) { e.Time = now.Add(5*time.Minute + time.Second) }, []string{`time: 2026-03-02T09:05:01Z is more than 5 minutes ahead of now, 2026-03-02T09:00:00Z`}},
		{"severity", func(e *tocsin.Event) { e.Severity = 9 }, []string{`severity: 9 is not a severity; allowed: info, low, medium, high, critical`}},
		{"status", func(e *tocsin.Event) { e.Status = "open" }, []string{`status: "open" is not a status; allowed: firing, resolved`}},
		{"nameless label", func(e *tocsin.Event) { e.Labels = map[string]string{"": "x"} }, []string{`labels: has a label without a name`}},
		{"long label name", func(e *tocsin.Event) { e.Labels = map[string]string{strings.Repeat("n", 129): "x"} }, []string{`labels: the name "` + strings.Repeat("n", 80) + `…" has 129 bytes; at most 128 are allowed`}},
		{"long label", func(e *tocsin.Event) { e.Labels = map[string]string{"a": strings.Repeat("x", 1025)} }, []string{`labels.a: "` + strings.Repeat("x", 80) + `…" has 1025 bytes; at most 1024 are allowed`}},
		{"many labels", func(e *tocsin.Event) {
			e.Labels = map[string]string{}
			for i := range 65 {
				e.Labels[fmt.Sprint(i)] = ""
			}
		}, []string{`labels: has 65 labels; at most 64 are allowed`}},
		{"unknown type", func(e *tocsin.Event) { e.Type = "agent.discoverd" }, []string{`type: "agent.discoverd" is not an alert type; did you mean "agent.discovered"? GET /v1/alert-types lists them; types of your own begin with "custom."`}},
		{"data", func(e *tocsin.Event) { e.Data = []byte(`{"component":"x","data_types":[],"location":3}`) }, []string{`data.data_types: has 0 elements; at least 1 are needed`, `data.location: 3 is a number; allowed: string`}},
		{"no JSON", func(e *tocsin.Event) { e.Raw, e.Data = nil, []byte(`{`) }, []string{`data: is not JSON`}},
		{"large", func(e *tocsin.Event) { e.Raw, e.Data = nil, []byte(`"`+strings.Repeat("x", 256<<10)+`"`) }, []string{`: the event has 262550 bytes; at most 262144 are accepted`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStore(hook("all"))
			in, _ := start(t, s)
			e := example(t, "data.sensitive")
			tt.edit(&e)
			_, err := in.Submit(t.Context(), []tocsin.Event{custom("ok-", 1)[0], e})
			var invalid *tocsin.Error
			if !errors.As(err, &invalid) {
				t.Fatalf("got %v", err)
			}
			var got []string
			for _, f := range invalid.Fields {
				if *f.Index != 1 {
					t.Errorf("index %d", *f.Index)
				}
				got = append(got, f.Field+": "+f.Message)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if len(s.events) != 0 {
				t.Error("something was stored")
			}
		})
	}
}

func TestLimitsAreInclusive(t *testing.T) {
	in, _ := start(t, newStore())
	e := custom("x", 1)[0]
	e.ID, e.Source, e.DedupKey = strings.Repeat("i", 255), strings.Repeat("s", 255), strings.Repeat("k", 255)
	e.Time, e.Title, e.Summary = now.Add(5*time.Minute), strings.Repeat("t", 4096), "tabs\tand\r\nlines"
	if _, err := in.Submit(t.Context(), []tocsin.Event{e}); err != nil {
		t.Error(err)
	}
	if _, err := in.Submit(t.Context(), make([]tocsin.Event, ingest.MaxEvents+1)); tocsin.CodeOf(err) != tocsin.CodeTooLarge {
		t.Errorf("too many events: %v", err)
	}
	if result, err := in.Submit(t.Context(), nil); err != nil || result != (ingest.Result{}) {
		t.Errorf("no events: %+v, %v", result, err)
	}
}

func TestReceiveReportsEverythingAtOnce(t *testing.T) {
	s := newStore()
	in, _ := start(t, s)
	body := `[{"id":"1","source":"/s","type":"custom.x"},
	{"id":2,"source":"/s","type":"custom.x","severity":"urgent"},
	{"id":"3","source":"","type":"agent.discoverd","time":"2026-03-02T10:00:00Z"}, 7]`
	_, err := in.Receive(t.Context(), http.Header{}, []byte(body))
	want := `3 of 4 events are invalid and nothing was stored: event 1: id: 2 is a number; allowed: text; event 1: severity: "urgent" is not a severity; allowed: info, low, medium, high, critical; ` +
		`event 2: source: is required: text of 1 to 255 bytes; event 2: time: 2026-03-02T10:00:00Z is more than 5 minutes ahead of now, 2026-03-02T09:00:00Z; ` +
		`event 2: type: "agent.discoverd" is not an alert type; did you mean "agent.discovered"? GET /v1/alert-types lists them; types of your own begin with "custom."; event 3: 7 is a number; an event is a JSON object`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if len(s.events) != 0 {
		t.Error("something was stored")
	}
	header := http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"b"}, "Ce-Source": {"/s"}, "Ce-Type": {"custom.x"}}
	if result, err := in.Receive(t.Context(), header, []byte(`{}`)); err != nil || result.Accepted != 1 {
		t.Errorf("binary: %+v, %v", result, err)
	}
}

func TestReceiveRefusesABodyWithoutEvents(t *testing.T) {
	in, _ := start(t, newStore())
	for _, form := range []struct{ contentType, body string }{
		{"application/json", "[]"}, {"", ` {"events": [ ]} `}, {"application/json", `{"maliciousEvents":[]}`}, {"application/cloudevents-batch+json", "[]"},
	} {
		_, err := in.Receive(t.Context(), http.Header{"Content-Type": {form.contentType}}, []byte(form.body))
		if tocsin.CodeOf(err) != tocsin.CodeInvalid || !strings.Contains(err.Error(), "no events") {
			t.Errorf("%s: got %v", form.body, err)
		}
	}
}

// Producers may not speak for Tocsin; Tocsin itself may.
func TestPipelineTypesAreReserved(t *testing.T) {
	s := newStore()
	in, _ := start(t, s)
	own := 0
	for _, a := range catalog.Default().Types() {
		if a.Category != catalog.CategoryPipeline {
			continue
		}
		own++
		_, err := in.Receive(t.Context(), http.Header{}, []byte(`{"id":"1","source":"/s","type":"`+a.Type+`","data":{}}`))
		var invalid *tocsin.Error
		if !errors.As(err, &invalid) || invalid.Code != tocsin.CodeInvalid || len(invalid.Fields) != 1 || invalid.Fields[0].Field != "type" || !strings.Contains(invalid.Fields[0].Message, "reserved") {
			t.Errorf("%s: Receive: %v", a.Type, err)
		}
		e := example(t, a.Type)
		forged := e
		forged.Source = "/test"
		result, rejected, err := in.SubmitEach(t.Context(), []tocsin.Event{forged, custom(a.Type, 1)[0]})
		if err != nil || result.Accepted != 1 || len(rejected) != 1 || *rejected[0].Index != 0 || rejected[0].Field != "type" {
			t.Errorf("%s: SubmitEach: %+v, %v, %v", a.Type, result, rejected, err)
		}
		if len(s.events) != own*2-1 {
			t.Errorf("%s: %d events are stored", a.Type, len(s.events))
		}
		if result, err := in.Submit(t.Context(), []tocsin.Event{e}); err != nil || result.Accepted != 1 {
			t.Errorf("%s: Submit: %+v, %v", a.Type, result, err)
		}
	}
	if own != 6 {
		t.Errorf("%d types of category pipeline, want 6", own)
	}
}

func TestOneInvalidEventInAHundred(t *testing.T) {
	s := newStore()
	in, _ := start(t, s)
	all := custom("n", 100)
	all[73].Type = "custom"
	_, err := in.Submit(t.Context(), all)
	var invalid *tocsin.Error
	if !errors.As(err, &invalid) || len(invalid.Fields) != 1 || *invalid.Fields[0].Index != 73 || invalid.Message != "1 of 100 events are invalid and nothing was stored" {
		t.Fatalf("got %v", err)
	}
	if len(s.events) != 0 {
		t.Error("something was stored")
	}
	result, rejected, err := in.SubmitEach(t.Context(), all)
	if err != nil || result.Accepted != 99 || len(rejected) != 1 || *rejected[0].Index != 73 || rejected[0].Field != "type" {
		t.Errorf("SubmitEach: %+v, %v, %v", result, rejected, err)
	}
}

func TestDuplicatesAndConflicts(t *testing.T) {
	s := newStore()
	in, _ := start(t, s)
	submit := func(contentType, body string) ingest.Result {
		t.Helper()
		events, err := ingest.Decode(contentType, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		result, err := in.Submit(t.Context(), events)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	steps := []struct {
		name, contentType, body string
		want                    ingest.Result
	}{
		{"first", "", `{"id":"1","source":"/s","type":"custom.x","labels":{"a":"1","b":"2"},"dedup_key":"k","data":{"n":1}}`, ingest.Result{Accepted: 1}},
		{"again, other order and spacing", "", `[{ "type":"custom.x","source":"/s","id":"1","labels":{"b":"2","a":"1"},"data":{"n":1},"dedup_key":"k" }]`, ingest.Result{Duplicates: 1}},
		{"again, as a CloudEvent", "application/cloudevents+json", `{"specversion":"1.0","id":"1","source":"/s","type":"custom.x","a":"1","b":2,"dedupkey":"k","data":{"n":1}}`, ingest.Result{Duplicates: 1}},
		{"other data", "", `{"id":"1","source":"/s","type":"custom.x","labels":{"a":"1","b":"2"},"dedup_key":"k","data":{"n":2}}`, ingest.Result{Conflicts: 1}},
		{"a time", "", `{"id":"1","source":"/s","type":"custom.x","labels":{"a":"1","b":"2"},"dedup_key":"k","data":{"n":1},"time":"2026-01-01T00:00:00Z"}`, ingest.Result{Conflicts: 1}},
		{"other source", "", `{"id":"1","source":"/t","type":"custom.x"}`, ingest.Result{Accepted: 1}},
		{"within a request", "", `[{"id":"2","source":"/t","type":"custom.x"},{"id":"2","source":"/t","type":"custom.x"},{"id":"2","source":"/t","type":"custom.y"}]`, ingest.Result{Accepted: 1, Duplicates: 1, Conflicts: 1}},
	}
	for _, step := range steps {
		if got := submit(step.contentType, step.body); got != step.want {
			t.Errorf("%s: %+v, want %+v", step.name, got, step.want)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := ingest.New(ingest.Config{Store: newStore()}); err == nil {
		t.Error("no conductor, and no error")
	}
}

func TestCancelledBeforeItBegins(t *testing.T) {
	s := newStore()
	in, _ := start(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := in.Submit(ctx, custom("a", 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
