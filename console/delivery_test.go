package console_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
)

// hook finds a webhook's id by its name.
func (k *kit) hook(name string) string {
	k.t.Helper()
	var w tocsin.Webhook
	must(k.t, json.Unmarshal([]byte(k.ask(http.StatusOK, "GET", "/v1/webhooks/"+name, "")), &w))
	return w.ID
}

// submit reports an event of type custom.trial; more is further members of it.
func (k *kit) submit(id, more string) {
	k.t.Helper()
	k.ask(http.StatusAccepted, "POST", "/v1/events", fmt.Sprintf(`{"id": %q, "source": "/s", "type": "custom.trial", "title": "Trial %s" %s}`, id, id, more))
}

// plan freezes what a webhook is owed into a delivery.
func (k *kit) plan(webhookID string) string {
	k.t.Helper()
	lease, err := k.store.Begin(k.t.Context(), webhookID)
	must(k.t, err)
	_, pending, err := k.store.Owed(k.t.Context(), lease.Fence, lease.Now.AddDate(0, 0, 1), 100)
	must(k.t, err)
	id := tocsin.NewID(tocsin.PrefixDelivery)
	_, err = k.store.Advance(k.t.Context(), lease.Fence, tocsin.Step{Plan: []tocsin.NewDelivery{{ID: id, Events: pending}}})
	must(k.t, err)
	return id
}

// try makes an attempt of a delivery that ends as o says.
func (k *kit) try(webhookID, deliveryID string, o tocsin.Outcome) {
	k.t.Helper()
	lease, err := k.store.Begin(k.t.Context(), webhookID)
	must(k.t, err)
	claimed, err := k.store.Advance(k.t.Context(), lease.Fence, tocsin.Step{Claim: deliveryID})
	must(k.t, err)
	end := claimed.At.Add(80 * time.Millisecond)
	o.DeliveryID, o.Attempt.Number, o.Attempt.StartedAt, o.Attempt.FinishedAt = deliveryID, claimed.Attempt, claimed.At, &end
	_, err = k.store.Advance(k.t.Context(), lease.Fence, tocsin.Step{Record: &o})
	must(k.t, err)
}

func TestADeliveryShowsEveryExchange(t *testing.T) {
	k := newKit(t)
	k.create("soc", `, "events": ["custom.trial"], "frequency": "instant"`)
	hook := k.hook("soc")
	k.submit("1", `, "severity": "high"`)
	id := k.plan(hook)
	k.get(http.StatusOK, "/console/deliveries/"+id).has("sent as soon as it is its turn", "No attempt is on record", `/console/events/%2Fs/1`, "Trial 1", "data-live")

	k.try(hook, id, tocsin.Outcome{State: tocsin.DeliveryReady, Backoff: time.Hour, Failed: true, Attempt: tocsin.Attempt{
		Outcome: "retryable", ErrorClass: "status", Error: "503 Service Unavailable", RetryAfter: tocsin.Duration(90 * time.Second),
		LeftOut: 7,
		Exchanges: []tocsin.Exchange{{
			Method: "POST", URL: "https://soc.example.com/in", RequestBytes: 70_000, RequestHeaders: map[string]string{"X-One": "<b>"},
			RequestBody: `{"a":"` + strings.Repeat("x", 65_000), Status: 503, ResponseHeaders: map[string]string{"Retry-After": "90"},
			ResponseBody: `{"error":"<script>alert(1)</script>"}`, RemoteAddr: "192.0.2.1:443",
			Timings: tocsin.Timings{DNS: 2, Connect: 5, TLS: 25, FirstByte: 60, Total: 61},
		}},
	}})
	page := k.get(http.StatusOK, "/console/deliveries/"+id)
	page.has("POST https://soc.example.com/in", "503 Service Unavailable", "look-up <b", "TLS <b class=\"num\">20 ms", "wait <b class=\"num\">35 ms", "asked to wait for <b>1m30s</b>", "192.0.2.1:443",
		"Only the first", "of 68.4 KiB are kept", "7 requests between", "It is tried again.", "after 1 failure in a row", `&#34;error&#34;: &#34;&lt;script&gt;`, "byte for byte", "&lt;b&gt;", `tabindex="0"`)
	page.lacks("<script>alert", "Redeliver")
	k.get(http.StatusOK, "/console/deliveries").has(id, "503 Service Unavailable")
}

func TestADeliveryIsSentAgain(t *testing.T) {
	k := newKit(t)
	k.create("soc", `, "events": ["custom.trial"], "frequency": "instant"`)
	hook := k.hook("soc")
	k.submit("1", "")
	id := k.plan(hook)
	k.try(hook, id, tocsin.Outcome{State: tocsin.DeliveryDead, Reason: "422: no such <i>", Rejected: true, Attempt: tocsin.Attempt{Outcome: "permanent", ErrorClass: "status", Error: "422"}})
	k.get(http.StatusOK, "/console/deliveries/"+id).has("Dead (422: no such &lt;i&gt;)", "Redeliver", "a single one is dead").lacks("data-live", "<i>")

	k.signIn(k.newKey("reader", api.ScopeRead))
	k.get(http.StatusOK, "/console/deliveries/"+id).lacks("Redeliver")
	k.post(http.StatusForbidden, "/console/deliveries/"+id+"/redeliver")

	k.signIn(k.rootKey)
	k.post(http.StatusSeeOther, "/console/deliveries/"+id+"/redeliver").location("/console/deliveries/" + id)
	k.get(http.StatusOK, "/console/deliveries/"+id).has("goes out again", "Attempt 2 follows").lacks("Redeliver<")
	k.post(http.StatusConflict, "/console/deliveries/"+id+"/redeliver").has("owed already")
	k.get(http.StatusNotFound, "/console/deliveries/dlv_none").has("no delivery has the id")
}

func TestALivePartIsOnlySentWhenItChanged(t *testing.T) {
	k := newKit(t)
	k.create("soc", `, "events": ["custom.trial"], "frequency": "instant"`)
	hook := k.hook("soc")
	k.submit("1", "")
	id := k.plan(hook)
	k.get(http.StatusNoContent, "/console/deliveries/"+id+"?part=attempts&seen=ready-0-0", "HX-Request", "true")
	k.get(http.StatusOK, "/console/deliveries/"+id+"?part=state", "HX-Request", "true").has("data-live", "sent as soon as").lacks("No attempt is on record", "<html")
	k.try(hook, id, tocsin.Outcome{State: tocsin.DeliveryDelivered, Attempt: tocsin.Attempt{Outcome: "delivered"}})
	k.get(http.StatusOK, "/console/deliveries/"+id+"?part=attempts&seen=ready-0-0", "HX-Request", "true").has("delivered").lacks("<html", "hx-get")
}

func TestASplitLeadsToItsHalvesAndBack(t *testing.T) {
	k := newKit(t)
	k.create("soc", `, "events": ["custom.trial"], "frequency": "instant"`)
	hook := k.hook("soc")
	k.submit("1", "")
	k.submit("2", "")
	id := k.plan(hook)
	left, right := tocsin.NewID(tocsin.PrefixDelivery), tocsin.NewID(tocsin.PrefixDelivery)
	k.try(hook, id, tocsin.Outcome{State: tocsin.DeliverySplit, Reason: "rejected: 400", Attempt: tocsin.Attempt{Outcome: "permanent"}, Children: []tocsin.Child{{ID: left, Places: []int{0}}, {ID: right, Places: []int{1}}}})
	k.get(http.StatusOK, "/console/deliveries/"+id).has("/console/deliveries/"+left, "/console/deliveries/"+right, "Split into").lacks("Redeliver")
	k.get(http.StatusOK, "/console/deliveries/"+left).has("Half of", "/console/deliveries/"+id)
}

func TestDeliveriesAreSearched(t *testing.T) {
	k := newKit(t)
	k.get(http.StatusOK, "/console/deliveries").has("No deliveries yet")
	k.create("soc", `, "events": ["custom.trial"], "frequency": "instant"`)
	k.create("pager", `, "events": ["custom.trial"], "frequency": "instant"`)
	k.submit("1", "")
	dead, sent := k.deliver(k.hook("soc"), "permanent", tocsin.DeliveryDead), k.deliver(k.hook("pager"), "delivered", tocsin.DeliveryDelivered)

	k.get(http.StatusOK, "/console/deliveries").has(dead, sent)
	k.get(http.StatusOK, "/console/deliveries?state=dead").has(dead, "Clear").lacks(sent)
	k.get(http.StatusOK, "/console/deliveries?webhook=pager&within=1h").has(sent, `<option value="1h" selected>`).lacks(dead)
	k.get(http.StatusOK, "/console/deliveries?until=2020-01-01T00:00").has("No delivery fits", `value="2020-01-01T00:00"`)
	k.get(http.StatusOK, "/console/deliveries?type=custom.trial").has(sent, dead, `value="custom.trial"`, `<details class="more" open>`)
	k.get(http.StatusOK, "/console/deliveries?type=custom.other").has("No delivery fits").lacks(sent)
	k.get(http.StatusUnprocessableEntity, "/console/deliveries?webhook=nobody").has("no webhook has the id or name", `aria-invalid="true"`, `value="nobody"`)
	k.get(http.StatusUnprocessableEntity, "/console/deliveries?since=yesterday").has("is not an RFC 3339 time", `value="yesterday"`)
	k.get(http.StatusUnprocessableEntity, "/console/deliveries?state=lost").has("lost", "delivered")
}

func TestListsLeadToOlderThings(t *testing.T) {
	k := newKit(t)
	k.create("soc", `, "events": ["custom.trial"], "frequency": "instant"`)
	hook := k.hook("soc")
	for i := range 60 {
		k.submit(fmt.Sprint("n", i), "")
		k.deliver(hook, "delivered", tocsin.DeliveryDelivered)
	}
	for _, list := range []string{"deliveries", "events"} {
		first := k.get(http.StatusOK, "/console/"+list).has("Older")
		_, after, _ := strings.Cut(first.text, `<a class="button" href="/console/`+list+`?cursor=`)
		href, _, ok := strings.Cut(after, `"`)
		if !ok {
			t.Fatalf("%s: no link to older ones", list)
		}
		k.get(http.StatusOK, "/console/"+list+"?cursor="+strings.ReplaceAll(href, "&amp;", "&")).has("Newer", "Newest").lacks("Older <")
	}
}
