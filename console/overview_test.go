package console_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
)

func TestAnEmptyOverviewSaysWhatToDoNext(t *testing.T) {
	k := newKit(t)
	k.get(http.StatusOK, "/console/").has("First steps", "Create a webhook", k.url+"/v1/events", "No deliveries yet", "It adds up").lacks("Needs attention")
	k.signIn(k.newKey("reader", api.ScopeRead))
	k.get(http.StatusOK, "/console/").has("First steps").lacks("Create a webhook")
}

func TestTheOverviewShowsWhatNeedsAttention(t *testing.T) {
	k := newKit(t)
	k.create("calm", "")
	k.get(http.StatusOK, "/console/").has("Nothing. Every webhook delivers").lacks("First steps")

	k.create("broken <b>", `, "events": ["custom.trial"], "frequency": "instant"`)
	k.ask(http.StatusAccepted, "POST", "/v1/events", `{"id": "1", "source": "/s", "type": "custom.trial", "severity": "high", "title": "Trial"}`)
	var hook tocsin.Webhook
	must(t, json.Unmarshal([]byte(k.ask(http.StatusOK, "GET", "/v1/webhooks/broken%20%3Cb%3E", "")), &hook))
	dead := k.deliver(hook.ID, "permanent", tocsin.DeliveryDead)

	k.get(http.StatusOK, "/console/").
		has("broken &lt;b&gt;", "1 event could not be delivered", "/console/dead-letters?webhook=broken&#43;%3Cb%3E", "/console/deliveries/"+dead, "1 thing to look at").
		lacks("broken <b>")
	index := 0
	must(t, k.store.Reject(t.Context(), hook.ID, "run/1", []tocsin.Rejection{
		{FieldError: tocsin.FieldError{Index: &index, Field: "type", Message: "is wrong"}}, {FieldError: tocsin.FieldError{Index: &index, Field: "data", Message: "is wrong"}},
	}))
	k.get(http.StatusOK, "/console/").has("1 event that came by signal", "/console/webhooks/"+hook.ID, "2 things to look at")
	k.get(http.StatusOK, "/console/?part=now", "HX-Request", "true").has("Where every event is").lacks("<html", "<nav")
}

func TestTheOverviewShowsWhatFlows(t *testing.T) {
	k := newKit(t)
	k.get(http.StatusOK, "/console/").lacks("What is flowing")
	k.create("soc", `, "events": ["custom.trial"], "frequency": "instant"`)
	hook := k.hook("soc")
	for _, id := range []string{"1", "2"} {
		k.submit(id, "")
	}
	k.try(hook, k.plan(hook), tocsin.Outcome{State: tocsin.DeliveryReady, Attempt: tocsin.Attempt{Outcome: "retryable"}})
	k.submit("3", "")
	k.try(hook, k.plan(hook), tocsin.Outcome{State: tocsin.DeliveryDelivered, Attempt: tocsin.Attempt{Outcome: "delivered"}})

	page := k.get(http.StatusOK, "/console/")
	page.has("Events now", "/s</small>", `id="hour-t"`, `id="day-trouble-t"`,
		"Events in the last hour: in all 3 events in, 3 owed to webhooks, 1 delivered", "Trouble in the last day: in all 1 failed attempts, 0 dead",
		`data-label="Success" class="num">50 %`, `data-label="Owed" class="num">2<`).
		lacks(`data-label="p95, slowest" class="num">–`)
	k.get(http.StatusOK, "/console/?part=now", "HX-Request", "true").has("What is flowing").lacks("<html")
}
