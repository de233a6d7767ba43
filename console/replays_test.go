package console_test

import (
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin/api"
)

var countedField = regexp.MustCompile(`name="counted" value="([^"]+)"`)

func TestAReplayIsCountedBeforeItStarts(t *testing.T) {
	k := newKit(t)
	k.get(http.StatusOK, "/console/replays").has("No replays yet", "New replay")
	k.create("soc", `, "events": ["custom.trial"], "frequency": "instant"`)
	k.dead(k.hook("soc"), "1", "a")
	const form = "/console/replays/new"
	k.get(http.StatusOK, form+"?webhook=soc&what=dead&types=custom.trial&since=2026-01-02T03:04:05.678Z").
		has(`value="soc"`, `<option value="dead" selected>`, "custom.trial</textarea>", `value="2026-01-02T03:04:05.678"`).lacks("Start the replay")

	fields := []string{"webhook", "soc", "what", "dead", "max_per_second", "5"}
	counted := k.post(http.StatusOK, form, append(fields, "do", "count")...).has("1 event in 1 delivery", "Start the replay", "Nothing was sent yet")
	found := countedField.FindStringSubmatch(counted.text)
	if found == nil {
		t.Fatal("what was counted is not in the form")
	}
	sum := html.UnescapeString(found[1])
	k.post(http.StatusOK, form, "webhook", "soc", "what", "missing", "do", "start", "counted", sum).has("changed since it was counted", "nothing to replay").lacks("Start the replay")
	k.post(http.StatusOK, form, append(fields, "do", "start")...).has("Start the replay")

	page := k.post(http.StatusSeeOther, form, append(fields, "do", "start", "counted", sum)...)
	here := page.Header.Get("Location")
	if !strings.HasPrefix(here, "/console/replays/replay_") {
		t.Fatalf("got Location %q", here)
	}
	k.get(http.StatusOK, here).has("<progress", `max="1" value="0"`, "0 of 1 event, 0 %", "Dead: what could not be delivered", "5 events a second", "root", "data-live", "Pause")
	k.get(http.StatusOK, "/console/replays").has(here, "running")

	k.post(http.StatusSeeOther, here+"/pause").location(here)
	k.get(http.StatusOK, here).has("paused", "stops after the step")
	k.post(http.StatusSeeOther, here+"/resume")
	k.post(http.StatusSeeOther, here+"/cancel")
	k.get(http.StatusOK, here).has("cancelled", "cancelled by a user").lacks("data-live", "Pause")
	k.post(http.StatusConflict, here+"/resume")
	k.get(http.StatusNotFound, "/console/replays/replay_none")
}

func TestAReplayThatIsRefusedKeepsWhatWasTyped(t *testing.T) {
	k := newKit(t)
	k.create("soc", "")
	k.post(http.StatusUnprocessableEntity, "/console/replays/new", "webhook", "scc", "what", "dead", "types", "custom.x\nnope", "since", "2099-01-01T00:00", "max_per_second", "many", "do", "count").
		has("did you mean", `value="scc"`, "nope</textarea>", "is not an alert type", `value="2099-01-01T00:00"`, "want a number", `value="many"`, `aria-invalid="true"`, `href="#f-types"`).lacks("Start the replay")
	k.signIn(k.newKey("reader", api.ScopeRead))
	k.get(http.StatusOK, "/console/replays").lacks("New replay")
	k.get(http.StatusForbidden, "/console/replays/new")
	k.post(http.StatusForbidden, "/console/replays/new", "webhook", "soc", "what", "all", "do", "start")
}
