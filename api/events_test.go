package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
)

func TestEventsComeInAndAreFound(t *testing.T) {
	k := newKit(t)
	w := k.create("soc", "")
	var got ingest.Result
	k.want(http.StatusAccepted, &got, "POST", "/v1/events", "["+event("one", "")+","+event("two", "")+"]")
	if diff := cmp.Diff(ingest.Result{Accepted: 2}, got); diff != "" {
		t.Error(diff)
	}
	k.want(http.StatusAccepted, &got, "POST", "/v1/events", `{"events": [`+event("one", "")+","+event("two", `, "summary": "another"`)+"]}")
	if diff := cmp.Diff(ingest.Result{Duplicates: 1, Conflicts: 1}, got); diff != "" {
		t.Error(diff)
	}
	k.want(http.StatusAccepted, &got, "POST", "/v1/events", event("three", "")+"\n"+event("four", "")+"\n", "Content-Type", "application/x-ndjson")
	if got.Accepted != 2 {
		t.Errorf("NDJSON: got %+v", got)
	}

	var page struct {
		Items []struct {
			tocsin.Event
			ReceivedAt time.Time `json:"received_at"`
		}
		Next string
	}
	var ids []string
	for path := "/v1/events?limit=3"; ; path = "/v1/events?limit=3&cursor=" + page.Next {
		page.Next = ""
		k.want(http.StatusOK, &page, "GET", path, "")
		for _, e := range page.Items {
			ids = append(ids, e.ID)
			if e.ReceivedAt.IsZero() {
				t.Errorf("%s was received when?", e.ID)
			}
		}
		if page.Next == "" {
			break
		}
	}
	if len(ids) != 4 {
		t.Errorf("got %v over two pages, want 4 events", ids)
	}
	for query, want := range map[string]int{
		"?type=custom.trial": 4, "?type=threat.detected": 0, "?source=%2Fcollections%2Fsupport&subject=x": 0,
		"?q=TRIAL+t": 2, "?min_severity=critical": 0, "?since=2001-01-01T00:00:00Z": 4, "?until=2001-01-01T00:00:00Z": 0,
	} {
		k.want(http.StatusOK, &page, "GET", "/v1/events"+query, "")
		if len(page.Items) != want {
			t.Errorf("%s: got %d events, want %d", query, len(page.Items), want)
		}
	}
	var ledger struct {
		Webhooks []tocsin.Balance
		Total    struct {
			Accepted   int64
			Difference *int64
		}
	}
	k.want(http.StatusOK, &ledger, "GET", "/v1/ledger", "")
	if len(ledger.Webhooks) != 1 || ledger.Webhooks[0].WebhookID != w.ID || ledger.Webhooks[0].Pending != 4 || ledger.Total.Accepted != 4 || *ledger.Total.Difference != 0 {
		t.Errorf("got %+v", ledger)
	}
}

func TestBadEventsAreRefusedAllOrNothing(t *testing.T) {
	k := newKit(t)
	k.create("soc", "")
	ahead := time.Now().Add(6 * time.Minute).UTC().Format(time.RFC3339)
	for _, test := range []struct{ name, body, field, say string }{
		{"unknown type", `{"id":"1","source":"s","type":"agent.discoverd"}`, "type", "agent.discovered"},
		{"bad severity", `{"id":"1","source":"s","type":"custom.x","severity":"urgent"}`, "severity", "info, low, medium, high, critical"},
		{"time that is none", `{"id":"1","source":"s","type":"custom.x","time":"yesterday"}`, "time", "yesterday"},
		{"time ahead", `{"id":"1","source":"s","type":"custom.x","time":"` + ahead + `"}`, "time", "ahead"},
		{"data against the schema", `{"id":"1","source":"s","type":"agent.discovered","data":{"framework":7}}`, "data.framework", "7"},
		{"no id", `{"source":"s","type":"custom.x"}`, "id", "required"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", "/v1/events", test.body)
			if got := p.says(t, test.field); !strings.Contains(got, test.say) {
				t.Errorf("got %q, want it to say %q", got, test.say)
			}
		})
	}

	batch := make([]string, 100)
	for i := range batch {
		batch[i] = event(fmt.Sprint("batch-", i), "")
	}
	batch[41] = event("batch-41", `, "status": "maybe"`)
	p := k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", "/v1/events", "["+strings.Join(batch, ",")+"]")
	if len(p.Errors) != 1 || p.Errors[0].Index == nil || *p.Errors[0].Index != 41 || p.Errors[0].Field != "status" {
		t.Errorf("got %+v, want one error about event 41", p.Errors)
	}

	p = k.refused(http.StatusBadRequest, tocsin.CodeMalformed, "POST", "/v1/events", "{\"id\": \"1\",\n\"title\": \"raw\nnewline\"}")
	if !strings.Contains(p.Detail, "line 2, column 14") {
		t.Errorf("got %q, want the place of the newline", p.Detail)
	}
	k.refused(http.StatusUnsupportedMediaType, tocsin.CodeUnsupported, "POST", "/v1/events", "a=b", "Content-Type", "application/x-www-form-urlencoded")
	k.refused(http.StatusUnsupportedMediaType, tocsin.CodeUnsupported, "POST", "/v1/events", "xx", "Content-Encoding", "gzip")

	var page struct{ Items []tocsin.Event }
	k.want(http.StatusOK, &page, "GET", "/v1/events", "")
	if len(page.Items) != 0 {
		t.Errorf("%d events were stored", len(page.Items))
	}
}

func TestBodiesEndAtTenMebibytes(t *testing.T) {
	k := newKit(t)
	full := event("one", "") + "\n"
	full += strings.Repeat("\n", 10<<20-len(full))
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", full, "Content-Type", "application/x-ndjson")
	p := k.refused(http.StatusRequestEntityTooLarge, tocsin.CodeTooLarge, "POST", "/v1/events", full+"\n", "Content-Type", "application/x-ndjson")
	if !strings.Contains(p.Detail, "10485760") {
		t.Errorf("got %q, want the limit", p.Detail)
	}
	k.refused(http.StatusRequestEntityTooLarge, tocsin.CodeTooLarge, "POST", "/v1/webhooks", `{"name": "`+strings.Repeat("x", 1<<20)+`"}`)
}

func TestStoreAwayIs503(t *testing.T) {
	k := newKit(t)
	k.store.breaks(tocsin.Errorf(tocsin.CodeUnavailable, "opening postgres://user:word@db: connection refused"))
	for _, call := range [][2]string{{"POST", "/v1/events"}, {"GET", "/-/ready"}, {"GET", "/v1/ledger"}, {"GET", "/v1/webhooks"}} {
		body := ""
		if call[0] == "POST" {
			body = event("one", "")
		}
		r := k.do(call[0], call[1], body)
		if r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
			t.Errorf("%v: got %d, Retry-After %q", call, r.StatusCode, r.Header.Get("Retry-After"))
		}
		if strings.Contains(string(r.body), "word") {
			t.Errorf("%v: shows the store's address: %s", call, r.body)
		}
	}
	k.want(http.StatusOK, nil, "GET", "/-/healthy", "")
	k.store.err.Store(nil)
	k.want(http.StatusOK, nil, "GET", "/-/ready", "")
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", event("one", ""))
}

func TestWhy(t *testing.T) {
	k := newKit(t)
	wants := k.create("wants", "")
	k.create("misses", `, "min_severity": "critical"`)
	k.create("sees-nothing", `, "filter": "labels.team == 'red'"`)
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", event("a/b", ""))

	type trace struct {
		WebhookID string `json:"webhook_id"`
		Webhook   string
		Bucket    string
		Next      string
		Delivery  *struct {
			ID         string
			AttemptLog []tocsin.Attempt `json:"attempt_log"`
		}
	}
	var why struct {
		Event    tocsin.Event
		Verdicts []ingest.Verdict
		Traces   []trace
	}
	path := "/v1/events/%2Fcollections%2Fsupport/a%2Fb"
	k.want(http.StatusOK, &why, "GET", path+"/why", "")
	clauses := map[string]string{}
	for _, v := range why.Verdicts {
		clauses[v.Webhook] = fmt.Sprint(v.Matched, " ", v.Clause)
	}
	want := map[string]string{"wants": "true ", "misses": "false min_severity", "sees-nothing": "false filter"}
	if diff := cmp.Diff(want, clauses); diff != "" {
		t.Error(diff)
	}
	if len(why.Traces) != 1 || why.Traces[0].Bucket != "pending" || !strings.Contains(why.Traces[0].Next, "next run") || why.Traces[0].Webhook != "wants" {
		t.Errorf("got %+v", why.Traces)
	}

	id := k.deliver(wants.ID, func(tocsin.Claimed) tocsin.Outcome {
		return tocsin.Outcome{State: tocsin.DeliveryDelivered, Attempt: tocsin.Attempt{Outcome: "delivered"}}
	})
	k.want(http.StatusOK, &why, "GET", path+"/why", "")
	got := why.Traces[0]
	if got.Bucket != "delivered" || got.Delivery == nil || got.Delivery.ID != id || len(got.Delivery.AttemptLog) != 1 || !strings.HasPrefix(got.Next, "Delivered") {
		t.Errorf("got %+v", got)
	}

	var e tocsin.Event
	k.want(http.StatusOK, &e, "GET", path, "")
	if e.ID != "a/b" || e.Source != "/collections/support" {
		t.Errorf("got %+v", e)
	}
	p := k.refused(http.StatusNotFound, tocsin.CodeNotFound, "GET", "/v1/events/%2Fcollections%2Fsupport/nothing/why", "")
	if !strings.Contains(p.Detail, `"/collections/support"`) || !strings.Contains(p.Detail, `"nothing"`) {
		t.Errorf("got %q", p.Detail)
	}
	// A source with its slashes unencoded is not redirected somewhere else.
	p = k.refused(http.StatusNotFound, tocsin.CodeNotFound, "GET", "/v1/events//collections/support/a/why", "")
	if !strings.Contains(p.Detail, "%2F") {
		t.Errorf("got %q, want a hint", p.Detail)
	}
	for _, dots := range []string{"%2E%2E", "%2e"} {
		k.refused(http.StatusNotFound, tocsin.CodeNotFound, "GET", "/v1/events/"+dots+"/a", "")
	}
}
