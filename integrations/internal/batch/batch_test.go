package batch_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/batch"
)

func TestPack(t *testing.T) {
	for _, row := range []struct {
		name           string
		sizes          []int
		bytes, count   int
		frame, between int
		want           string
	}{
		{"nothing", nil, 10, 0, 2, 1, "[]"},
		{"all in one", []int{3, 3}, 9, 0, 2, 1, "[{0 2}]"},
		{"one byte over", []int{3, 4}, 9, 0, 2, 1, "[{0 1} {1 2}]"},
		{"one byte less", []int{3, 2}, 9, 0, 2, 1, "[{0 2}]"},
		{"by number", []int{1, 1, 1, 1, 1}, 100, 2, 2, 1, "[{0 2} {2 4} {4 5}]"},
		{"too large alone", []int{1, 50, 1}, 10, 0, 2, 1, "[{0 1} {1 2} {2 3}]"},
	} {
		if got := fmt.Sprint(batch.Pack(row.sizes, row.bytes, row.count, row.frame, row.between)); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
}

var (
	busy    = tocsin.RetryAfter(errors.New("busy"), 7*time.Second)
	lost    = tocsin.Unsure(errors.New("lost"))
	denied  = tocsin.Refused(errors.New("denied"))
	gone    = tocsin.Gone(errors.New("gone"))
	illegal = tocsin.Permanent(errors.New("illegal"))
)

// fates says what became of each event.
func fates(results []tocsin.Result, err error) string {
	out := ""
	for _, r := range results {
		if r.Err == nil {
			out += "ok "
		} else {
			out += string(tocsin.Classify(r.Err).Fault) + " "
		}
	}
	if err != nil {
		s := tocsin.Classify(err)
		out += fmt.Sprintf("/ %s %s %v", s.Fault, s.After, s.Unsure)
	}
	return out
}

// TestSend has three requests of two, one and two records, and their outcomes.
func TestSend(t *testing.T) {
	spans := []batch.Span{{From: 0, To: 2}, {From: 2, To: 3}, {From: 3, To: 5}}
	for _, row := range []struct {
		name    string
		answers [3]error
		want    string
		asked   int
	}{
		{"all", [3]error{}, "", 3},
		{"busy at once", [3]error{busy}, "/ retry 7s false", 1},
		{"lost at once", [3]error{lost}, "/ retry 0s true", 1},
		{"busy later", [3]error{nil, busy}, "ok ok retry retry retry ", 2},
		{"denied later", [3]error{nil, nil, denied}, "ok ok ok webhook webhook ", 3},
		{"gone at once", [3]error{gone}, "/ gone 0s false", 1},
		{"a whole batch refused at once", [3]error{illegal}, "/ event 0s false", 1},
		{"one refused", [3]error{nil, illegal}, "ok ok event ok ok ", 3},
		{"a whole batch refused later", [3]error{nil, nil, illegal}, "ok ok ok retry retry ", 3},
		{"one refused, then busy", [3]error{nil, illegal, busy}, "ok ok event retry retry ", 3},
	} {
		asked := 0
		results, err := batch.Send(t.Context(), 5, spans, func(context.Context, batch.Span) ([]tocsin.Result, error) {
			asked++
			return nil, row.answers[asked-1]
		})
		if got := fates(results, err); got != row.want || asked != row.asked {
			t.Errorf("%s: got %q after %d requests, want %q after %d", row.name, got, asked, row.want, row.asked)
		}
	}
}

// TestSendWithResults: a vendor that tells records apart.
func TestSendWithResults(t *testing.T) {
	spans := []batch.Span{{From: 0, To: 3}, {From: 3, To: 4}}
	for want, own := range map[string][]tocsin.Result{
		"ok event ok ok ":          {{}, {Err: illegal}, {}},
		"ok event retry retry ":    {{}, {Err: illegal}, {Err: busy}},
		"event event event ok ":    {{Err: illegal}, {Err: illegal}, {Err: illegal}},
		"/ retry 7s true":          {{Err: busy}, {Err: lost}, {Err: busy}},
		"/ webhook 7s true":        {{Err: busy}, {Err: lost}, {Err: denied}},
		"event retry retry retry ": {{Err: illegal}, {Err: busy}, {Err: busy}},
	} {
		results, err := batch.Send(t.Context(), 4, spans, func(_ context.Context, s batch.Span) ([]tocsin.Result, error) {
			if s.From > 0 {
				return nil, nil
			}
			return own, nil
		})
		if got := fates(results, err); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestTakenOnlyWhenAllAre: one that failed makes the whole a failure.
func TestTakenOnlyWhenAllAre(t *testing.T) {
	taken := tocsin.Taken(errors.New("asking again"), time.Second)
	for _, row := range []struct {
		results []tocsin.Result
		want    bool
	}{
		{[]tocsin.Result{{Err: taken}}, true}, {[]tocsin.Result{{Err: taken}, {Err: taken}}, true},
		{[]tocsin.Result{{Err: taken}, {Err: busy}}, false}, {[]tocsin.Result{{Err: busy}, {Err: taken}}, false}, {[]tocsin.Result{{Err: taken}, {Err: denied}}, false},
	} {
		results, err := batch.Settle(row.results)
		if results != nil || err == nil || tocsin.Classify(err).Taken != row.want {
			t.Errorf("%v: %v, %+v, want taken %v", row.results, results, err, row.want)
		}
	}
}

// TestOneEvent: its error is the delivery's, by which the pipeline counts rejections.
func TestOneEvent(t *testing.T) {
	results, err := batch.Send(t.Context(), 1, []batch.Span{{From: 0, To: 1}}, func(context.Context, batch.Span) ([]tocsin.Result, error) { return nil, illegal })
	if got := fates(results, err); got != "/ event 0s false" {
		t.Errorf("got %q", got)
	}
}

// TestAllDead names every event and says why.
func TestAllDead(t *testing.T) {
	spans := []batch.Span{{From: 0, To: 1}, {From: 1, To: 2}}
	results, err := batch.Send(t.Context(), 2, spans, func(context.Context, batch.Span) ([]tocsin.Result, error) { return nil, illegal })
	if got := fates(results, err); got != "event event / event 0s false" {
		t.Errorf("got %q", got)
	}
}

// TestTooLittleTime: no further request is begun that could not end.
func TestTooLittleTime(t *testing.T) {
	spans := []batch.Span{{From: 0, To: 1}, {From: 1, To: 2}}
	for left, want := range map[time.Duration]string{time.Hour: "", 4 * time.Second: "ok retry "} {
		ctx, cancel := context.WithTimeout(t.Context(), left)
		results, err := batch.Send(ctx, 2, spans, func(context.Context, batch.Span) ([]tocsin.Result, error) { return nil, nil })
		cancel()
		if got := fates(results, err); got != want {
			t.Errorf("with %s: got %q, want %q", left, got, want)
		}
	}
}

func TestFit(t *testing.T) {
	render := func(e *tocsin.Event) ([]byte, error) { return json.Marshal(e) }
	e := tocsin.Event{
		ID: "1", Source: "/s", Type: "custom.x", Title: "t", Summary: strings.Repeat("名", 5000), Link: "https://example.com/1",
		Labels: map[string]string{"a": "b"}, Data: json.RawMessage(`{"pad":"` + strings.Repeat("x", 30_000) + `"}`),
	}
	before := e
	full, err := render(&e)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		limit     int
		cut       bool
		has, lack string
	}{
		{len(full) + 1, false, "xxx", "truncated"},
		{len(full), false, "xxx", "truncated"},
		{len(full) - 1, true, `"tocsin_truncated":true`, "xxx"},
		{16_000, true, `"labels"`, "xxx"},
		{14_000, true, "名…", `"labels"`},
	} {
		got, cut, err := batch.Fit(&e, row.limit, render)
		text := string(got)
		if err != nil || cut != row.cut || len(got) > row.limit || !strings.Contains(text, row.has) || strings.Contains(text, row.lack) || !strings.Contains(text, e.Link) {
			t.Errorf("%d: %v, cut %v, %d bytes: %.200s", row.limit, err, cut, len(got), text)
		}
	}
	if _, _, err := batch.Fit(&e, 100, render); err == nil {
		t.Error("100 bytes are enough for anything?")
	}
	if diff := cmp.Diff(before, e); diff != "" {
		t.Errorf("the event was changed: %s", diff)
	}
}

func TestGzip(t *testing.T) {
	body := []byte(strings.Repeat("abc", 1000))
	packed := batch.Gzip(body)
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(z)
	if err != nil || !bytes.Equal(got, body) || len(packed) > 200 || !bytes.Equal(packed, batch.Gzip(body)) {
		t.Errorf("%v, %d bytes back from %d", err, len(got), len(packed))
	}
}

func TestRender(t *testing.T) {
	n := tocsin.Notification{Events: []tocsin.Event{
		{ID: "1", Type: "custom.x"}, {ID: "2", Type: "custom.x", Data: json.RawMessage(`"` + strings.Repeat("x", 2000) + `"`)}, {ID: "3", Type: "custom.x"},
	}}
	own := func(e *tocsin.Event) ([]byte, bool, error) {
		text, err := json.Marshal(e)
		return text, e.ID == "3", err
	}
	out, err := batch.Render("x", n, 1000, own)
	if err != nil || len(out.Records) != 3 || out.Truncated != 2 {
		t.Fatalf("%v, %d records, %d truncated; want 3 and 2", err, len(out.Records), out.Truncated)
	}
	var some []tocsin.Event
	if err := json.Unmarshal(out.Array(batch.Span{From: 1, To: 3}), &some); err != nil || len(some) != 2 || some[1].ID != "3" {
		t.Errorf("the array has %d events, %v", len(some), err)
	}
	if got := bytes.Count(out.Lines(batch.Span{From: 0, To: 3}), []byte("\n")); got != 2 {
		t.Errorf("%d line breaks between 3 records", got)
	}
	if got := string(out.Array(batch.Span{})); got != "[]" {
		t.Errorf("of nothing: %s", got)
	}
	for _, bad := range []tocsin.Notification{{}, n} {
		if _, err := batch.Render("x", bad, 10, own); tocsin.Classify(err).Fault != tocsin.FaultEvent || !strings.HasPrefix(err.Error(), "rendering for x: ") {
			t.Errorf("%d events into 10 bytes: %v", len(bad.Events), err)
		}
	}
}
