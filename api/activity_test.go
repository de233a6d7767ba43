package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
)

// series is an activity as the API answers it.
type series struct {
	Window, Step string
	Now          time.Time
	Total        map[string]int64
	Spans        []map[string]any
}

func accepts(tocsin.Claimed) tocsin.Outcome {
	return tocsin.Outcome{State: tocsin.DeliveryDelivered, Attempt: tocsin.Attempt{Outcome: "delivered"}}
}

func TestActivity(t *testing.T) {
	k := newKit(t)
	good, bad := k.create("good", ""), k.create("bad", "")
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", event("one", ""))
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", event("one", ""))
	k.deliver(good.ID, accepts)
	k.deliver(bad.ID, retryable(time.Hour))
	counts := func(accepted, delivered, attempts, failed int64) map[string]int64 {
		return map[string]int64{"accepted": accepted, "delivered": delivered, "dead": 0, "suppressed": 0, "attempts": attempts, "failed_attempts": failed}
	}
	all := counts(2, 1, 2, 1)
	all["events"] = 1
	for _, c := range []struct {
		query, window, step string
		spans               int
		total               map[string]int64
	}{
		{"", "1h", "1m", 60, all},
		{"?window=1h", "1h", "1m", 60, all},
		{"?window=24h", "24h", "15m", 96, all},
		{"?webhook=good", "1h", "1m", 60, counts(1, 1, 1, 0)},
		{"?window=24h&webhook=" + bad.ID, "24h", "15m", 96, counts(1, 0, 1, 1)},
	} {
		var got series
		k.want(http.StatusOK, &got, "GET", "/v1/activity"+c.query, "")
		if got.Window != c.window || got.Step != c.step || len(got.Spans) != c.spans || got.Now.IsZero() {
			t.Errorf("%s: got window %q, step %q, %d spans, now %v", c.query, got.Window, got.Step, len(got.Spans), got.Now)
		}
		if diff := cmp.Diff(c.total, got.Total); diff != "" {
			t.Errorf("%s: total (-want +got):\n%s", c.query, diff)
		}
	}
	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "GET", "/v1/activity?webhook=nobody", "")
}

// TestWebhookFacts: a list says of each what a person looks for first.
func TestWebhookFacts(t *testing.T) {
	k := newKit(t)
	good, bad := k.create("good", `, "labels": {"team": "blue"}`), k.create("bad", "")
	k.create("quiet", `, "events": ["none"]`)
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", event("one", ""))
	k.deliver(good.ID, accepts)
	k.deliver(bad.ID, retryable(time.Hour))
	k.want(http.StatusOK, nil, "POST", "/v1/webhooks/bad/pause", "")
	type facts struct {
		Oldest  *time.Time `json:"oldest_owed_at"`
		Tried   int        `json:"attempts"`
		Failed  int        `json:"failed_attempts"`
		Success *float64   `json:"success_rate"`
		P50     *int64     `json:"p50_ms"`
		P95     *int64     `json:"p95_ms"`
	}
	var page struct {
		Items []struct {
			Name         string
			State        string
			LastDelivery *time.Time `json:"last_delivery"`
			Facts        facts
		}
	}
	k.want(http.StatusOK, &page, "GET", "/v1/webhooks", "")
	if len(page.Items) != 3 {
		t.Fatalf("got %d webhooks, want 3", len(page.Items))
	}
	b, g, q := page.Items[0], page.Items[1], page.Items[2]
	if b.Facts.Oldest == nil || b.Facts.Tried != 1 || b.Facts.Failed != 1 || *b.Facts.Success != 0 || b.Facts.P50 == nil || b.LastDelivery != nil {
		t.Errorf("the one that fails: got %+v", b)
	}
	if g.Facts.Oldest != nil || g.Facts.Tried != 1 || g.Facts.Failed != 0 || *g.Facts.Success != 1 || g.Facts.P95 == nil || g.LastDelivery == nil {
		t.Errorf("the one that delivers: got %+v", g)
	}
	if q.Facts != (facts{}) {
		t.Errorf("the one with nothing to do: got %+v", q.Facts)
	}
	for query, want := range map[string][]string{
		"state=paused": {"bad"}, "state=active": {"good", "quiet"}, "channel=webhook&q=BLUE": {"good"}, "q=oo": {"good"}, "q=uie": {"quiet"}, "state=failing": nil,
	} {
		k.want(http.StatusOK, &page, "GET", "/v1/webhooks?"+query, "")
		var got []string
		for _, w := range page.Items {
			got = append(got, w.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

// TestDeliveriesAsATimeline: a webhook's deliveries say when each began, what it failed with
// and when it goes on.
func TestDeliveriesAsATimeline(t *testing.T) {
	k := newKit(t)
	w := k.create("w", "")
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", event("one", ""))
	k.deliver(w.ID, accepts)
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", `{"id": "two", "source": "/s", "type": "custom.other"}`)
	k.deliver(w.ID, retryable(time.Hour))
	list := func(query string) (out []map[string]any) {
		var page struct{ Items []map[string]any }
		k.want(http.StatusOK, &page, "GET", "/v1/webhooks/w/deliveries"+query, "")
		return page.Items
	}
	all := list("")
	if len(all) != 2 {
		t.Fatalf("got %d deliveries, want 2", len(all))
	}
	for i, want := range [][]string{
		{"count", "attempts", "created_at", "first_attempt_at", "error_class", "last_error", "due_at"},
		{"count", "attempts", "created_at", "first_attempt_at", "finished_at"},
	} {
		for _, field := range want {
			if all[i][field] == nil {
				t.Errorf("delivery %d has no %s: %v", i, field, all[i])
			}
		}
	}
	for query, want := range map[string]any{"?type=custom.other": all[0]["id"], "?type=custom.trial": all[1]["id"], "?type=custom.trial&state=delivered": all[1]["id"]} {
		if got := list(query); len(got) != 1 || got[0]["id"] != want {
			t.Errorf("%s: got %v, want %v", query, got, want)
		}
	}
	if got := list("?type=custom.other&state=delivered"); len(got) != 0 {
		t.Errorf("got %v, want none", got)
	}
}

func TestRejections(t *testing.T) {
	k := newKit(t)
	w := k.create("w", "")
	place := 3
	must(t, k.store.Reject(t.Context(), w.ID, "run/1", []tocsin.Rejection{
		{FieldError: tocsin.FieldError{Field: "events", Message: "not JSON"}},
		{FieldError: tocsin.FieldError{Index: &place, Field: "type", Message: "unknown"}, Source: "/s", ID: "e", Type: "agent.found"},
	}))
	var page struct {
		Items []tocsin.Rejection
		Next  string
	}
	k.want(http.StatusOK, &page, "GET", "/v1/webhooks/w/rejections?limit=1", "")
	if len(page.Items) != 1 || page.Items[0].ID != "e" || *page.Items[0].Index != 3 || page.Next == "" {
		t.Fatalf("got %+v", page)
	}
	k.want(http.StatusOK, &page, "GET", "/v1/webhooks/"+w.ID+"/rejections?cursor="+page.Next, "")
	if len(page.Items) != 1 || page.Items[0].Message != "not JSON" {
		t.Errorf("got %+v", page)
	}
	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "GET", "/v1/webhooks/nobody/rejections", "")
}

// TestHistoryOfAWebhook: each change of one webhook, with what it was before.
func TestHistoryOfAWebhook(t *testing.T) {
	k := newKit(t)
	w := k.create("w", "")
	k.create("other", "")
	k.want(http.StatusOK, nil, "PATCH", "/v1/webhooks/w", `{"name": "v", "batch_size": 7}`)
	k.want(http.StatusOK, nil, "POST", "/v1/webhooks/v/pause", "")
	for query, want := range map[string][]string{
		"object=" + w.ID: {"webhook.pause", "webhook.change", "webhook.create"}, "object=" + w.ID + "&action=webhook.change": {"webhook.change"},
		"name=v": {"webhook.pause"}, "name=w": {"webhook.change", "webhook.create"}, "action=webhook.create&name=other": {"webhook.create"}, "name=nobody": nil,
	} {
		var page struct{ Items []tocsin.AuditEntry }
		k.want(http.StatusOK, &page, "GET", "/v1/audit?"+query, "")
		var got []string
		for _, e := range page.Items {
			got = append(got, e.Action)
			if e.Action == "webhook.change" && (e.Before == nil || e.After == nil) {
				t.Errorf("%s: a change without before or after: %+v", query, e)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}
