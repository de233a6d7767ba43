package console_test

import (
	"net/http"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
)

// dead makes a dead delivery of one event of a webhook.
func (k *kit) dead(hook, event, reason string) string {
	k.t.Helper()
	k.submit(event, `, "severity": "high"`)
	id := k.plan(hook)
	k.try(hook, id, tocsin.Outcome{State: tocsin.DeliveryDead, Reason: reason, Rejected: true, Attempt: tocsin.Attempt{
		Outcome: "permanent", ErrorClass: "status", Error: reason, Exchanges: []tocsin.Exchange{{Method: "POST", URL: "https://example.com", Status: 422}},
	}})
	return id
}

func TestDeadLettersSayWhy(t *testing.T) {
	k := newKit(t)
	k.get(http.StatusOK, "/console/dead-letters").has("No receiver has refused an event for good").lacks("<form method=\"get\"")
	k.create("soc", `, "events": ["custom.trial"], "frequency": "instant"`)
	hook := k.hook("soc")
	id := k.dead(hook, "1", "no such <field>")

	k.get(http.StatusOK, "/console/dead-letters").has(id, "Trial 1", "/console/events/%2Fs/1", "<b>422</b> no such &lt;field&gt;", "said no", "Redeliver all", "/console/replays/new?webhook=soc&amp;what=dead").lacks("<field>")
	k.get(http.StatusOK, "/console/dead-letters?webhook="+hook).has(id, "Clear")
	k.get(http.StatusOK, "/console/dead-letters?until=2020-01-01T00:00").has("No dead delivery fits").lacks(id)
	k.get(http.StatusUnprocessableEntity, "/console/dead-letters?webhook=nobody").has("no webhook has the id or name", `aria-invalid="true"`)

	k.signIn(k.newKey("reader", api.ScopeRead))
	k.get(http.StatusOK, "/console/dead-letters").has(id).lacks("Redeliver", `type="checkbox"`)
	k.post(http.StatusForbidden, "/console/dead-letters/redeliver", "id", id, "sure", "1")
}

func TestDeadLettersOfADeliveryThatArrived(t *testing.T) {
	k := newKit(t)
	k.create("soc", `, "events": ["custom.trial"], "frequency": "instant"`)
	hook := k.hook("soc")
	k.submit("1", "")
	k.submit("2", "")
	id := k.plan(hook)
	k.try(hook, id, tocsin.Outcome{State: tocsin.DeliveryDelivered, Dead: map[int]string{1: "no such field"}, Attempt: tocsin.Attempt{Outcome: "partial"}})

	k.get(http.StatusOK, "/console/dead-letters").has(id, "but for some of its 2 events", "some events were refused on their own")
	k.get(http.StatusOK, "/console/deliveries?with_dead=true").has(id, "Clear")
	k.get(http.StatusOK, "/console/deliveries?state=dead").lacks(id)
	k.post(http.StatusOK, "/console/dead-letters/redeliver", "id", id, "sure", "1")
	k.get(http.StatusOK, "/console/deliveries?with_dead=true").lacks(id)
}

func TestTickedDeadLettersAreSentAgain(t *testing.T) {
	k := newKit(t)
	k.create("soc", `, "events": ["custom.trial"], "frequency": "instant"`)
	hook := k.hook("soc")
	one, two := k.dead(hook, "1", "a"), k.dead(hook, "2", "b")
	const back = "/console/dead-letters?webhook=soc"
	k.post(http.StatusSeeOther, "/console/dead-letters/redeliver", "back", back).location(back)
	k.post(http.StatusSeeOther, "/console/dead-letters/redeliver", "back", "https://evil.example/console/").location("/console/dead-letters")

	k.post(http.StatusOK, "/console/dead-letters/redeliver", "id", one, "id", two, "back", back).has("Redeliver 2 deliveries?", one, two, back)
	k.get(http.StatusOK, "/console/deliveries/"+one).has("Dead (a)")
	k.post(http.StatusOK, "/console/dead-letters/redeliver", "id", one, "id", two, "id", "dlv_none", "sure", "1").
		has("2 of 3 deliveries go out again", "/console/deliveries/"+one, "no delivery has the id")
	k.get(http.StatusOK, "/console/deliveries/"+one).has("Attempt 2 follows")
	k.get(http.StatusOK, "/console/dead-letters").has("No receiver has refused")
}
