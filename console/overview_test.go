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
		has("broken &lt;b&gt;", "1 event could not be delivered", "/console/dead-letters?webhook="+hook.ID, "/console/deliveries/"+dead, "1 thing to look at").
		lacks("broken <b>")
	k.get(http.StatusOK, "/console/?part=now", "HX-Request", "true").has("Where every event is").lacks("<html", "<nav")
}
