package elasticsearch_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	sdk "github.com/cloudevents/sdk-go/v2/event"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

func send(t *testing.T, s tocsin.Sender, events ...tocsin.Event) (tocsin.Receipt, error) {
	t.Helper()
	return s.Send(t.Context(), integrationtest.Notify(events...))
}

// numbered are events with ids of their own.
func numbered(n int) []tocsin.Event {
	out := make([]tocsin.Event, n)
	for i := range out {
		out[i] = tocsin.Event{ID: fmt.Sprint("e", i), Source: "/s", Type: "custom.x", Title: fmt.Sprint("number ", i), Time: time.Unix(1_700_000_000, 0)}
	}
	return out
}

func TestEveryEventIsADocument(t *testing.T) {
	for _, format := range []string{"tocsin", "ocsf", "cloudevents"} {
		for _, zip := range []bool{true, false} {
			f := newFake(t)
			f.streams["tocsin-alerts"] = true
			events := integrationtest.Events(t)
			receipt, err := send(t, open(t, f.URL, map[string]any{"format": format, "gzip": zip}), events...)
			if err != nil || receipt.Results != nil || f.stored("tocsin-alerts") != len(events) {
				t.Fatalf("%s, gzip %v: %v, %d of %d documents", format, zip, err, f.stored("tocsin-alerts"), len(events))
			}
			for _, doc := range f.docs["tocsin-alerts"] {
				if doc["@timestamp"] == nil || (doc["id"] == nil) == (doc["class_uid"] == nil) || (format == "ocsf") != (doc["class_uid"] != nil) || (format == "cloudevents") != (doc["specversion"] != nil) {
					t.Errorf("%s: %v", format, doc)
				}
			}
			if !strings.Contains(receipt.Exchanges[0].RequestBody, `{"create":{"_id":"`) {
				t.Errorf("gzip %v: the record does not show the body: %.100q", zip, receipt.Exchanges[0].RequestBody)
			}
		}
	}
}

// TestDocumentsAreCloudEvents beside @timestamp, which no attribute can be called: none of
// an event's labels takes its place, nor that of another attribute.
func TestDocumentsAreCloudEvents(t *testing.T) {
	events := integrationtest.Events(t)
	forged := numbered(1)[0]
	forged.Labels = map[string]string{"@timestamp": "1999-01-01T00:00:00Z", "_id": "x", "time": "no", "specversion": "9", "id": "y", "data": "no", "team": "sec"}
	events = append(events, forged)
	f := newFake(t)
	f.streams["tocsin-alerts"] = true
	if _, err := send(t, open(t, f.URL, map[string]any{"format": "cloudevents"}), events...); err != nil {
		t.Fatal(err)
	}
	read := map[string]sdk.Event{}
	for _, doc := range f.docs["tocsin-alerts"] {
		at, err := time.Parse(time.RFC3339Nano, doc["@timestamp"].(string))
		if err != nil {
			t.Error(err)
		}
		delete(doc, "@timestamp")
		var e sdk.Event
		if err := json.Unmarshal([]byte(configOf(t, doc)), &e); err != nil {
			t.Fatal(err)
		}
		if err := e.Validate(); err != nil || !e.Time().Equal(at) {
			t.Errorf("%v, @timestamp %s of %s", err, at, e)
		}
		read[e.Source()+" "+e.ID()] = e
	}
	if len(read) != len(events) {
		t.Errorf("%d of %d events", len(read), len(events))
	}
	if got := read["/s e0"]; got.Extensions()["team"] != "sec" || got.SpecVersion() != "1.0" || len(got.Data()) != 0 {
		t.Errorf("labels that look like attributes: %s", got)
	}
}

// TestASecondTimeIsNoSecondDocument: another attempt, another delivery and another webhook
// use the same id, and 409 is a yes.
func TestASecondTimeIsNoSecondDocument(t *testing.T) {
	f := newFake(t)
	events := integrationtest.Events(t)
	for _, format := range []string{"tocsin", "tocsin", "ocsf", "cloudevents"} {
		n := integrationtest.Notify(events...)
		n.DeliveryID, n.Uncertain = "dlv_"+format, true
		if receipt, err := open(t, f.URL, map[string]any{"format": format}).Send(t.Context(), n); err != nil || receipt.Results != nil {
			t.Errorf("%v, %v", receipt.Results, err)
		}
	}
	if got := f.stored("tocsin-alerts"); got != len(events) {
		t.Errorf("%d documents, want %d", got, len(events))
	}
	other := events[0]
	other.Source += "x"
	if _, err := send(t, open(t, f.URL, nil), other); err != nil || f.stored("tocsin-alerts") != len(events)+1 {
		t.Errorf("the same id of another source: %v, %d documents", err, f.stored("tocsin-alerts"))
	}
}

func TestIndexByTheTimeOfTheEvent(t *testing.T) {
	f := newFake(t)
	// In Sydney it is the first of March already; indices go by UTC.
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.FixedZone("AEDT", 11*3600))
	events := numbered(3)
	events[0].Time, events[1].Time = at, at.Add(24*time.Hour)
	events[2].Time, events[2].ReceivedAt = time.Time{}, at.Add(-60*24*time.Hour)
	for date, want := range map[string][]string{
		"daily": {"a-2026.02.28", "a-2026.03.01", "a-2025.12.30"}, "monthly": {"a-2026.02", "a-2026.03", "a-2025.12"}, "none": {"a"},
	} {
		if _, err := send(t, open(t, f.URL, map[string]any{"index": "a", "index_date": date}), events...); err != nil {
			t.Fatal(err)
		}
		for _, index := range want {
			if f.stored(index) == 0 {
				t.Errorf("%s: nothing in %s", date, index)
			}
			for _, doc := range f.docs[index] {
				if text := fmt.Sprint(doc["@timestamp"]); !strings.HasSuffix(text, "Z") {
					t.Errorf("%s: @timestamp %s", index, text)
				}
			}
		}
	}
}

// TestForgedTimesOpenNoIndices: producers say when it happened, and an index for every day
// that somebody makes up soon takes all shards of a cluster.
func TestForgedTimesOpenNoIndices(t *testing.T) {
	const day = 24 * time.Hour
	received := time.Date(2026, 3, 10, 8, 0, 0, 0, time.UTC)
	for late, want := range map[time.Duration]string{
		0: "a-2026.03.10", -5 * time.Minute: "a-2026.03.10", day: "a-2026.03.09", 7 * day: "a-2026.03.03", 7*day + time.Second: "a-2026.03.10", 3650 * day: "a-2026.03.10",
		-day: "a-2026.03.10",
	} {
		e := numbered(1)[0]
		e.Time, e.ReceivedAt = received.Add(-late), received
		f := newFake(t)
		if _, err := send(t, open(t, f.URL, map[string]any{"index": "a", "index_date": "daily"}), e); err != nil {
			t.Fatal(err)
		}
		if f.stored(want) != 1 {
			t.Errorf("%s late: not in %s but in %v", late, want, f.docs)
			continue
		}
		for _, doc := range f.docs[want] {
			if at, err := time.Parse(time.RFC3339, doc["@timestamp"].(string)); err != nil || !at.Equal(e.Time) {
				t.Errorf("%s late: @timestamp %v", late, doc["@timestamp"])
			}
		}
	}
}

func TestWhereRequestsGo(t *testing.T) {
	for _, row := range []struct {
		config map[string]any
		want   string
	}{
		{nil, "/tocsin-alerts/_bulk?"}, {map[string]any{"index": "logs-a.b-default"}, "/logs-a.b-default/_bulk?"},
		{map[string]any{"index_date": "daily"}, "/_bulk?"}, {map[string]any{"index": "é%2f"}, "/%C3%A9%252f/_bulk?"},
		{map[string]any{"pipeline": "p&q=1"}, "&pipeline=p%26q%3D1"},
	} {
		f := newFake(t)
		if _, err := send(t, open(t, f.URL, row.config), numbered(1)...); err != nil {
			t.Errorf("%v: %v", row.config, err)
		}
		if got := f.requests[0]; !strings.Contains(got, row.want) || !strings.Contains(got, "filter_path=errors") {
			t.Errorf("%v: %s, want %s", row.config, got, row.want)
		}
	}
}

func TestCredentials(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte("key-id:key-secret"))
	for _, row := range []struct {
		config map[string]any
		want   string
	}{
		{map[string]any{"api_key": "key-id:key-secret"}, "ApiKey " + encoded},
		{map[string]any{"api_key": encoded}, "ApiKey " + encoded},
		{map[string]any{"username": "u", "password": "pässword"}, "Basic " + base64.StdEncoding.EncodeToString([]byte("u:pässword"))},
	} {
		f := newFake(t)
		f.auth = row.want
		receipt, err := send(t, open(t, f.URL, row.config), numbered(1)...)
		if err != nil {
			t.Errorf("%v: %v", row.config, err)
		}
		for _, secret := range []string{encoded, "key-secret", "pässword"} {
			if strings.Contains(fmt.Sprintf("%+v %+v", receipt, err), secret) {
				t.Errorf("%v: the record shows %s", row.config, secret)
			}
		}
	}
	f := newFake(t)
	f.auth = "ApiKey other"
	if _, err := send(t, open(t, f.URL, map[string]any{"api_key": encoded}), numbered(1)...); tocsin.Classify(err).Fault != tocsin.FaultWebhook {
		t.Errorf("a wrong key: %v, want the webhook's fault", err)
	}
}

func TestLargeDeliveriesAreDivided(t *testing.T) {
	f := newFake(t)
	f.maxBody = 8 << 20
	events := numbered(100)
	for i := range events {
		events[i].Data = json.RawMessage(`{"x":"` + strings.Repeat("y", 200<<10) + `"}`)
	}
	receipt, err := send(t, open(t, f.URL, nil), events...)
	if err != nil || f.stored("tocsin-alerts") != 100 || len(receipt.Exchanges) != len(f.bodies) || len(f.bodies) != 3 {
		t.Errorf("%v, %d documents by %d requests of %d bytes", err, f.stored("tocsin-alerts"), len(receipt.Exchanges), f.bodies)
	}
	f = newFake(t)
	if _, err := send(t, open(t, f.URL, nil), numbered(2500)...); err != nil || len(f.bodies) != 3 || f.stored("tocsin-alerts") != 2500 {
		t.Errorf("%v, %d documents by %d requests", err, f.stored("tocsin-alerts"), len(f.bodies))
	}
}

// TestTooLargeForTheCluster: the halves of the delivery may fit.
func TestTooLargeForTheCluster(t *testing.T) {
	f := newFake(t)
	f.maxBody = 1000
	events := numbered(10)
	if _, err := send(t, open(t, f.URL, nil), events...); tocsin.Classify(err).Fault != tocsin.FaultEvent {
		t.Errorf("got %v, want the events' fault", err)
	}
	if _, err := send(t, open(t, f.URL, nil), events[:2]...); err != nil {
		t.Errorf("two of them: %v", err)
	}
}

func TestATestIsMarked(t *testing.T) {
	for _, format := range []string{"tocsin", "ocsf", "cloudevents"} {
		n := integrationtest.Notify(numbered(1)...)
		n.Test = true
		x, err := open(t, "http://127.0.0.1:1", map[string]any{"format": format}).Preview(t.Context(), n)
		if err != nil || !strings.Contains(x[0].RequestBody, `"title":"[TEST] number 0"`) {
			t.Errorf("%s: %v, %v", format, err, x)
		}
	}
}

// TestLinesAreNotForged: an event may hold what looks like an action.
func TestLinesAreNotForged(t *testing.T) {
	f := newFake(t)
	forged := "\n{\"delete\":{\"_index\":\"tocsin-alerts\",\"_id\":\"1\"}}\n"
	e := numbered(1)[0]
	e.ID, e.Title, e.Labels = "x\""+forged, forged, map[string]string{forged: forged}
	e.Data = json.RawMessage("{\"a\":1,\n\n\"b\":\"\\n{}\",\r\n\"@timestamp\":\"no\"}")
	for _, format := range []string{"tocsin", "ocsf", "cloudevents"} {
		e.Subject = format
		e.ID += format
		if _, err := send(t, open(t, f.URL, map[string]any{"format": format}), e); err != nil {
			t.Errorf("%s: %v", format, err)
		}
	}
	if n := f.stored("tocsin-alerts"); n != 3 {
		t.Errorf("%d documents, want 3", n)
	}
}

func TestNoTimeLeftForAnotherRequest(t *testing.T) {
	f := newFake(t)
	s := open(t, f.URL, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 4900*time.Millisecond) // less than what another request wants
	defer cancel()
	receipt, err := s.Send(ctx, integrationtest.Notify(numbered(1500)...))
	if err != nil || len(receipt.Results) != 1500 || receipt.Results[999].Err != nil || f.stored("tocsin-alerts") != 1000 {
		t.Fatalf("%v, %d results, %d documents", err, len(receipt.Results), f.stored("tocsin-alerts"))
	}
	if got := tocsin.Classify(receipt.Results[1000].Err); got.Fault != tocsin.FaultRetry || got.Unsure {
		t.Errorf("the rest: %+v", got)
	}
}
