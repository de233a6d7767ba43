package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
)

type delivery struct {
	tocsin.Delivery
	Webhook    string
	AttemptLog []tocsin.Attempt `json:"attempt_log"`
	Events     []struct{ Source, ID, Type, Title string }
	Next       string
}

func retryable(backoff time.Duration) func(tocsin.Claimed) tocsin.Outcome {
	return func(tocsin.Claimed) tocsin.Outcome {
		return tocsin.Outcome{
			State: tocsin.DeliveryReady, Backoff: backoff, Failed: true,
			Attempt: tocsin.Attempt{Outcome: "retryable", ErrorClass: "status", Error: "503 Service Unavailable", Exchanges: []tocsin.Exchange{{Method: "POST", URL: "https://example.com", Status: 503}}},
		}
	}
}

func TestADeliveryTellsWhatHappensNext(t *testing.T) {
	k := newKit(t)
	w := k.create("soc", "")
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", "["+event("one", "")+","+event("two", "")+"]")
	id := k.deliver(w.ID, retryable(time.Hour))

	var d delivery
	k.want(http.StatusOK, &d, "GET", "/v1/deliveries/"+id, "")
	if d.State != tocsin.DeliveryReady || d.Webhook != "soc" || d.Attempts != 1 || len(d.AttemptLog) != 1 || len(d.Events) != 2 || d.Events[0].ID != "one" {
		t.Errorf("got %+v", d)
	}
	if a := d.AttemptLog[0]; a.Outcome != "retryable" || len(a.Exchanges) != 1 || a.Exchanges[0].Status != 503 {
		t.Errorf("got %+v", a)
	}
	if !strings.Contains(d.Next, "Attempt 2 follows at ") || !strings.Contains(d.Next, "after 1 failure in a row") {
		t.Errorf("got %q", d.Next)
	}
	var page struct {
		Items []struct {
			delivery
			LastError string     `json:"last_error"`
			DueAt     *time.Time `json:"due_at"`
		}
	}
	k.want(http.StatusOK, &page, "GET", "/v1/deliveries", "")
	if got := page.Items[0]; got.Webhook != "soc" || got.LastError != "503 Service Unavailable" || got.DueAt == nil || !got.DueAt.After(time.Now()) || got.Next != d.Next {
		t.Errorf("the list says %+v", got)
	}
	for path, want := range map[string]int{
		"/v1/deliveries": 1, "/v1/deliveries?webhook=soc&state=ready": 1, "/v1/deliveries?state=dead": 0, "/v1/webhooks/soc/deliveries": 1,
		"/v1/webhooks/" + w.ID + "/deliveries?since=2001-01-01T00:00:00Z": 1, "/v1/webhooks/soc/deliveries?until=2001-01-01T00:00:00Z": 0,
	} {
		k.want(http.StatusOK, &page, "GET", path, "")
		if len(page.Items) != want {
			t.Errorf("%s: got %d deliveries, want %d", path, len(page.Items), want)
		}
	}
	k.want(http.StatusOK, nil, "POST", "/v1/webhooks/soc/pause", "")
	k.want(http.StatusOK, &d, "GET", "/v1/deliveries/"+id, "")
	if !strings.Contains(d.Next, "paused") {
		t.Errorf("got %q", d.Next)
	}
	k.want(http.StatusNoContent, nil, "DELETE", "/v1/webhooks/soc", "")
	k.want(http.StatusOK, &d, "GET", "/v1/deliveries/"+id, "")
	if !strings.Contains(d.Next, "deleted") {
		t.Errorf("got %q", d.Next)
	}
	page.Items = nil
	k.want(http.StatusOK, &page, "GET", "/v1/deliveries", "")
	if got := page.Items[0]; got.Webhook != "soc" || got.DueAt != nil || got.Next != d.Next {
		t.Errorf("after the webhook is deleted the list says %+v", got)
	}
}

func TestRedeliver(t *testing.T) {
	k := newKit(t)
	w := k.create("soc", "")
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", event("one", ""))
	id := k.deliver(w.ID, func(tocsin.Claimed) tocsin.Outcome {
		return tocsin.Outcome{State: tocsin.DeliveryDead, Reason: "refused: 422", Attempt: tocsin.Attempt{Outcome: "permanent"}}
	})
	var d delivery
	k.want(http.StatusOK, &d, "GET", "/v1/deliveries/"+id, "")
	if !strings.Contains(d.Next, "Dead (refused: 422)") {
		t.Errorf("got %q", d.Next)
	}
	lease, err := k.store.Begin(t.Context(), w.ID)
	must(t, err)
	if owed, err := k.store.Rest(t.Context(), lease.Fence); err != nil || owed {
		t.Fatalf("got %v, %v", owed, err)
	}
	k.conductor.mu.Lock()
	k.conductor.calls = nil
	k.conductor.mu.Unlock()

	k.want(http.StatusOK, &d, "POST", "/v1/deliveries/"+id+"/redeliver", "")
	if d.ID != id || d.State != tocsin.DeliveryReady {
		t.Errorf("got %+v", d)
	}
	if !k.conductor.has("ring " + w.ID) {
		t.Error("the webhook slept and was not rung")
	}
	p := k.refused(http.StatusConflict, tocsin.CodeConflict, "POST", "/v1/deliveries/"+id+"/redeliver", "")
	if p.Detail == "" {
		t.Errorf("got %+v", p)
	}
	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "POST", "/v1/deliveries/dlv_none/redeliver", "")
	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "GET", "/v1/deliveries/dlv_none", "")
}

func TestQueriesAreChecked(t *testing.T) {
	k := newKit(t)
	for _, test := range []struct{ path, field, say string }{
		{"/v1/events?limit=0", "limit", "1 to 1000"},
		{"/v1/events?limit=1001", "limit", "1 to 1000"},
		{"/v1/events?limit=many", "limit", "1 to 1000"},
		{"/v1/events?cursor=nonsense", "cursor", ""},
		{"/v1/events?min_severity=urgent", "min_severity", "info, low"},
		{"/v1/events?since=monday", "since", "RFC 3339"},
		{"/v1/events?sorce=x", "sorce", `did you mean "source"?`},
		{"/v1/events?type=a&type=b", "type", "2 times"},
		{"/v1/deliveries?state=lost", "state", "ready, sending"},
		{"/v1/deliveries?cursor=nonsense", "cursor", ""},
		{"/v1/webhooks?limit=0", "limit", "1 to 1000"},
		{"/v1/webhooks?cursor=no%20cursor", "cursor", "is not a cursor"},
		{"/v1/webhooks?state=deleted", "state", "active, paused, failing, disabled"},
		{"/v1/webhooks?channel=pigeon", "channel", "webhook"},
		{"/v1/webhooks?text=x", "text", "unknown"},
		{"/v1/activity?window=2h", "window", "1h, 24h"},
		{"/v1/activity?step=1m", "step", "unknown"},
		{"/v1/deliveries?typ=custom.x", "typ", `did you mean "type"?`},
		{"/v1/audit?nam=x", "nam", `did you mean "name"?`},
	} {
		p := k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "GET", test.path, "")
		if got := p.says(t, test.field); !strings.Contains(got, test.say) {
			t.Errorf("%s: got %q, want it to say %q", test.path, got, test.say)
		}
	}
	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "GET", "/v1/deliveries?webhook=nobody", "")
	p := k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "GET", "/v1/events?cursor=nonsense", "")
	if p.Detail != `"nonsense" is not a cursor of this list` {
		t.Errorf("got %q", p.Detail)
	}
}

func TestDeliveredDeliveriesShowNoError(t *testing.T) {
	k := newKit(t)
	first, second := k.create("first", ""), k.create("second", "")
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", event("one", ""))
	k.deliver(first.ID, retryable(time.Hour))
	k.deliver(second.ID, func(tocsin.Claimed) tocsin.Outcome {
		return tocsin.Outcome{State: tocsin.DeliveryDelivered, Attempt: tocsin.Attempt{Outcome: "delivered"}}
	})
	var page struct{ Items []map[string]any }
	k.want(http.StatusOK, &page, "GET", "/v1/deliveries", "")
	got := map[any]bool{}
	for _, d := range page.Items {
		_, got[d["webhook"]] = d["last_error"]
	}
	if diff := cmp.Diff(map[any]bool{"first": true, "second": false}, got); diff != "" {
		t.Error(diff)
	}
}
