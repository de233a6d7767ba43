package console_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
)

func TestEventsAreSearched(t *testing.T) {
	k := newKit(t)
	k.get(http.StatusOK, "/console/events").has("No events yet", "/console/alert-types")
	k.submit("quiet", `, "severity": "low", "subject": "agent-1"`)
	k.submit("loud", `, "severity": "critical", "summary": "<b>bad</b>"`)

	k.get(http.StatusOK, "/console/events").has("Trial quiet", "Trial loud", "agent-1", "/console/events/%2Fs/loud").lacks("Clear")
	k.get(http.StatusOK, "/console/events?min_severity=high").has("Trial loud", "Clear").lacks("Trial quiet")
	k.get(http.StatusOK, "/console/events?q=QUIET").has("Trial quiet").lacks("Trial loud")
	k.get(http.StatusOK, "/console/events?subject=agent-1&source=/s&type=custom.trial&within=24h").has("Trial quiet", `<details class="more" open>`).lacks("Trial loud")
	k.get(http.StatusOK, "/console/events?until=2020-01-01T00:00:00Z").has("No event fits", `value="2020-01-01T00:00:00"`)
	k.get(http.StatusUnprocessableEntity, "/console/events?min_severity=loud").has("is not a severity")
	k.get(http.StatusOK, "/console/events?part=list", "HX-Request", "true").has("Trial loud").lacks("<form", "<html")
}

func TestAnEventSaysWhy(t *testing.T) {
	k := newKit(t)
	k.create("all", `, "frequency": "instant"`)
	k.create("grave", `, "min_severity": "critical"`)
	k.create("other", `, "events": ["threat"]`)
	k.create("quiet", `, "events": ["custom.trial"]`)
	k.ask(http.StatusCreated, "POST", "/v1/mutes", `{"webhooks": ["quiet"], "for": "1h", "reason": "works"}`)
	k.submit("a/b", `, "severity": "low", "subject": "<script>x</script>", "summary": "two\nlines", "labels": {"team": "blue"}, "data": {"n": 1.50}, "link": "https://example.com/x"`)
	k.create("late", "")

	page := k.get(http.StatusOK, "/console/events/%2Fs/a%2Fb")
	page.has("Trial a/b", "It is not severe enough", "low is below critical", "Its type is not selected", "It came before the webhook was there",
		"Muted", "suppressed", "in force until", "&lt;script&gt;", "two\nlines", "Label team", `&#34;n&#34;: 1.50`, `href="https://example.com/x"`, "data-live", "Mute this", "/console/mutes/new?about=", "Send it there now", "what=missing", "what=suppressed").
		lacks("<script>x", "no reason")
	id := k.deliver(k.hook("all"), "delivered", tocsin.DeliveryDelivered)
	k.get(http.StatusOK, "/console/events/%2Fs/a%2Fb").has("/console/deliveries/"+id, "Delivered.")
	k.get(http.StatusNotFound, "/console/events/%2Fs/none").has("no event of source")

	k.signIn(k.newKey("reader", api.ScopeRead))
	k.get(http.StatusOK, "/console/events/%2Fs/a%2Fb").has("It is not severe enough").lacks("Mute this", "Send it")
}

// open makes an incident of an escalated event, and returns its id.
func (k *kit) open(more string) string {
	k.t.Helper()
	k.create("boss", "")
	k.create("soc", `, "events": ["custom.trial"], "escalate": [{"to": "boss", "after": "15m", "unless": "acknowledged"}]`)
	k.submit("1", `, "severity": "high" `+more)
	var page struct{ Items []tocsin.Incident }
	must(k.t, json.Unmarshal([]byte(k.ask(http.StatusOK, "GET", "/v1/incidents", "")), &page))
	if len(page.Items) != 1 {
		k.t.Fatalf("got %d incidents, want 1", len(page.Items))
	}
	return page.Items[0].ID
}

func TestAnIncidentIsAcknowledgedAndResolved(t *testing.T) {
	k := newKit(t)
	k.get(http.StatusOK, "/console/incidents").has("No open incident", "escalate")
	id := k.open(`, "subject": "<u>"`)
	here := "/console/incidents/" + id
	k.get(http.StatusOK, "/console/incidents").has(here, "Trial 1", "boss is told", "unless acknowledged", "high")
	k.get(http.StatusOK, here).has("will be told after 15m", "unless somebody acknowledges", "/console/events/%2Fs/1", "Acknowledge", "Mute this", "&lt;u&gt;").lacks("<u>")
	k.get(http.StatusOK, "/console/events/%2Fs/1").has(here, "belongs to an incident")

	k.signIn(k.newKey("reader", api.ScopeRead))
	k.get(http.StatusOK, here).lacks("<textarea", "Mute this")
	k.post(http.StatusForbidden, here+"/acknowledge", "note", "x")
	k.signIn(k.rootKey)

	long := strings.Repeat("n", 5000)
	k.post(http.StatusUnprocessableEntity, here+"/acknowledge", "note", long).has(long, `aria-invalid="true"`, "4096").lacks("data-live")
	k.post(http.StatusSeeOther, here+"/acknowledge", "note", "on <it>").location(here)
	k.get(http.StatusOK, here).has("acknowledged", "By root.", "on &lt;it&gt;", "was not told (acknowledged)", "Resolve").lacks(">Acknowledge<")
	k.post(http.StatusSeeOther, here+"/resolve")
	k.get(http.StatusOK, here).has("Firing again opens a new incident").lacks("<textarea")

	k.get(http.StatusOK, "/console/incidents").has("No open incident")
	k.get(http.StatusOK, "/console/incidents?state=all").has(here, "it is over")
	k.get(http.StatusOK, "/console/incidents?state=resolved&within=1h").has(here)
	k.get(http.StatusOK, "/console/incidents?state=all&min_severity=info&dedup_key=+").has(here, "Clear")
	k.get(http.StatusOK, "/console/incidents?state=all&min_severity=critical").lacks(here).has("No incident fits")
	k.get(http.StatusOK, "/console/incidents?state=all&dedup_key=another").lacks(here)
	k.get(http.StatusOK, "/console/incidents?state=+").lacks("is not a state")
	k.get(http.StatusUnprocessableEntity, "/console/incidents?state=lost").has("is not a state of incidents")
	k.get(http.StatusNotFound, "/console/incidents/inc_none")

	k.submit("2", `, "severity": "high", "subject": "<u>"`)
	var page struct{ Items []tocsin.Incident }
	must(t, json.Unmarshal([]byte(k.ask(http.StatusOK, "GET", "/v1/incidents?state=open", "")), &page))
	again := "/console/incidents/" + page.Items[0].ID
	k.post(http.StatusSeeOther, again+"/resolve")
	k.post(http.StatusConflict, again+"/acknowledge").has("resolved already, by root")
}
