package splunk_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/cloudevents/sdk-go/v2/event"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
	"github.com/tocsin-alerts/tocsin/integrations/splunk"
)

// token is the secret.
const token = "5c9fa7b2-canary-4f6e-9c6f-2b1e7d0a8c11"

func newChannel(c *post.Client, log *slog.Logger) tocsin.Channel { return splunk.New(c, log) }

func config(url, more string) string {
	return fmt.Sprintf(`{"url":%q,"token":%q,"index":"security","source":"tocsin","sourcetype":"tocsin","host":"alerts-1","fields":{"environment":"production"}%s}`, url, token, more)
}

func yes(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, `{"text":"Success","code":0}`) // a sender that is gone is the test's to notice
}

func TestConformance(t *testing.T) {
	integrationtest.Run(t, integrationtest.Spec{
		New: newChannel, Config: func(url string) string { return config(url, `,"format":"tocsin","gzip":true,"ack":false`) },
		Secrets: []string{token}, Accept: yes, BodyDecides: true,
	})
}

// TestConformanceAck holds the channel to the same with acknowledgments, and the other
// format.
func TestConformanceAck(t *testing.T) {
	integrationtest.Run(t, integrationtest.Spec{
		New: newChannel, Config: func(url string) string { return config(url, `,"format":"ocsf","gzip":true,"ack":true`) },
		Secrets: []string{token}, BodyDecides: true, Golden: "golden-ocsf",
		Accept: func(w http.ResponseWriter, _ *http.Request) { // to records and questions alike
			_, _ = io.WriteString(w, `{"text":"Success","code":0,"ackId":0,"acks":{"0":true}}`)
		},
	})
}

// TestConformanceCloudEvents holds it to the same with that format.
func TestConformanceCloudEvents(t *testing.T) {
	integrationtest.Run(t, integrationtest.Spec{
		New: newChannel, Config: func(url string) string { return config(url, `,"format":"cloudevents","gzip":false,"ack":false`) },
		Secrets: []string{token}, Accept: yes, BodyDecides: true, Golden: "golden-cloudevents",
	})
}

// TestFormats sends all events of the suite, hostile ones too, in each format.
func TestFormats(t *testing.T) {
	for format, want := range map[string]string{
		"tocsin": `"type":"agent.discovered"`, "ocsf": `"class_uid":2004`, "cloudevents": `"specversion":"1.0"`, "cef": `"CEF:0|`,
	} {
		h := newHEC(t)
		n := integrationtest.Notify(integrationtest.Events(t)...)
		receipt, err := send(t, h, `,"format":"`+format+`"`, n)
		if err != nil || receipt.Results != nil || receipt.Truncated != 0 || len(h.taken) != len(n.Events) {
			t.Fatalf("%s: %v, %+v, %d of %d taken", format, err, receipt.Results, len(h.taken), len(n.Events))
		}
		if got := string(h.taken[0].Event); !strings.Contains(got, want) {
			t.Errorf("%s: no %s in %.300s", format, want, got)
		}
		for i, rec := range h.taken {
			checkRecord(t, format, rec, &n.Events[i])
		}
	}
}

// checkRecord holds a record to what every one must carry, hostile text or not.
func checkRecord(t *testing.T, format string, rec taken, e *tocsin.Event) {
	t.Helper()
	seconds, _, _ := strings.Cut(rec.Time.String(), ".")
	if seconds != fmt.Sprint(e.Time.Unix()) || rec.Index != "security" || rec.Source != "tocsin" || rec.Sourcetype != "tocsin" || rec.Host != "alerts-1" {
		t.Errorf("%s %s: the envelope is %+v", format, e.ID, rec)
	}
	if uid, _ := rec.Fields["event_uid"].(string); len(uid) != 32 || rec.Fields["environment"] != "production" || rec.Fields["delivery_id"] != "dlv_01JSUITE0000000000000000" || len(rec.Fields) != 3 {
		t.Errorf("%s %s: the fields are %v", format, e.ID, rec.Fields)
	}
	if format == "cloudevents" {
		checkCloudEvent(t, rec.Event, e)
	}
	if format != "tocsin" {
		return
	}
	var got tocsin.Event
	if err := json.Unmarshal(rec.Event, &got); err != nil {
		t.Errorf("%s: %v", e.ID, err)
	}
	var data bytes.Buffer
	if err := json.Compact(&data, e.Data); err != nil {
		t.Fatal(err)
	}
	if got.Title != e.Title || got.Summary != e.Summary || got.Subject != e.Subject || string(got.Data) != data.String() {
		t.Errorf("%s: not the event that was sent: %.500s", e.ID, rec.Event)
	}
}

// checkCloudEvent holds a record to the SDK of CloudEvents.
func checkCloudEvent(t *testing.T, record []byte, e *tocsin.Event) {
	t.Helper()
	var got sdk.Event
	if err := json.Unmarshal(record, &got); err != nil {
		t.Errorf("%s: %v", e.ID, err)
	} else if err := got.Validate(); err != nil {
		t.Errorf("%s: %v", e.ID, err)
	}
	if got.ID() != e.ID || got.Type() != e.Type || !got.Time().Equal(e.Time) || len(got.Data()) == 0 != (len(e.Data) == 0) {
		t.Errorf("%s: read as %s", e.ID, got)
	}
}

func TestATestIsMarked(t *testing.T) {
	for _, format := range []string{"tocsin", "ocsf", "cloudevents", "cef"} {
		h := newHEC(t)
		n := integrationtest.Notify(integrationtest.Pick(t, "it-agent")...)
		n.Test = true
		if _, err := send(t, h, `,"format":"`+format+`"`, n); err != nil {
			t.Fatal(err)
		}
		if rec := h.taken[0]; !strings.Contains(string(rec.Event), "[TEST] ") || rec.Fields["tocsin_test"] != "true" {
			t.Errorf("%s: %s %v", format, rec.Event, rec.Fields)
		}
	}
}

// TestRecordLimit: up to 1 MB an event goes in full, beyond it without its data.
func TestRecordLimit(t *testing.T) {
	const limit = 1_000_000
	e := large(t, 1, 0)[0]
	h := newHEC(t)
	x, err := open(t, "http://127.0.0.1:1", "").Preview(t.Context(), integrationtest.Notify(e))
	if err != nil {
		t.Fatal(err)
	}
	room := limit - len(x[0].RequestBody)
	for over, want := range map[int]int{-1: 0, 0: 0, 1: 1} {
		h.taken = nil
		receipt, err := send(t, h, "", integrationtest.Notify(large(t, 1, room+over)...))
		if err != nil || receipt.Truncated != want || len(h.taken) != 1 || strings.Contains(string(h.taken[0].Event), "tocsin_truncated") != (want == 1) {
			t.Errorf("%+d: %v, %d truncated, %.100s", over, err, receipt.Truncated, h.taken)
		}
	}
	long := large(t, 1, 10)[0]
	long.Summary, long.Title = strings.Repeat("名", 600_000), strings.Repeat("題", 1000)
	receipt, err := send(t, h, "", integrationtest.Notify(long))
	if got := string(h.taken[len(h.taken)-1].Event); err != nil || receipt.Truncated != 1 || len(got) > 10_000 || !strings.Contains(got, "名…") || !strings.Contains(got, long.Link) {
		t.Errorf("a long summary: %v, %d truncated, %.200s", err, receipt.Truncated, got)
	}
}
