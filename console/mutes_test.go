package console_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
)

func (k *kit) muteIDs() (ids []string) {
	k.t.Helper()
	var page struct{ Items []tocsin.Mute }
	must(k.t, json.Unmarshal([]byte(k.ask(http.StatusOK, "GET", "/v1/mutes?ended=true", "")), &page))
	for _, m := range page.Items {
		ids = append(ids, m.ID)
	}
	return ids
}

func TestAMuteIsMadeAndEnded(t *testing.T) {
	k := newKit(t)
	k.get(http.StatusOK, "/console/mutes").has("Nothing is muted", "New mute")
	k.create("soc <1>", "")
	k.get(http.StatusOK, "/console/mutes/new?dedup_key=abc&about=Agent+%3Ci%3E").has(`value="abc"`, "of Agent &lt;i&gt;", "soc &lt;1&gt;", "All of threat", "threat.detected", `<option value="1h" selected>`).lacks("<i>")

	k.post(http.StatusSeeOther, "/console/mutes/new", "dedup_key", "abc", "webhooks", "soc <1>", "events", "threat", "others", "custom.a, custom.b", "collections", "1\n2", "filter", "level > 2", "for", "2h", "reason", "load <test>").location("/console/mutes")
	k.get(http.StatusOK, "/console/mutes").has("Muted until", "load &lt;test&gt;", "active", "soc &lt;1&gt;", "threat, custom.a, custom.b", "1, 2", "level &gt; 2", "End now", "root").lacks("load <test>")
	id := k.muteIDs()[0]
	k.get(http.StatusOK, "/console/mutes/"+id).has("load &lt;test&gt;", "End now", "what=suppressed", "for 1 h 59 min more")

	k.signIn(k.newKey("reader", api.ScopeRead))
	k.get(http.StatusOK, "/console/mutes").lacks("New mute", "End now")
	k.get(http.StatusOK, "/console/mutes/"+id).lacks("End now")
	k.get(http.StatusForbidden, "/console/mutes/new")
	k.post(http.StatusForbidden, "/console/mutes/"+id+"/end")
	k.post(http.StatusForbidden, "/console/mutes/new", "reason", "x")
	k.signIn(k.rootKey)

	k.post(http.StatusSeeOther, "/console/mutes/"+id+"/end").location("/console/mutes")
	k.get(http.StatusOK, "/console/mutes").has("Nothing is muted", "The mute is over")
	k.get(http.StatusOK, "/console/mutes?ended=true").has("ended", "load &lt;test&gt;").lacks("End now")
	k.get(http.StatusNotFound, "/console/mutes/mute_none")
}

func TestAMuteThatIsToCome(t *testing.T) {
	k := newKit(t)
	k.post(http.StatusSeeOther, "/console/mutes/new", "events", "threat", "for", "", "from", "2090-01-01T10:00", "until", "2090-01-01T12:00:30", "reason", "works")
	k.get(http.StatusOK, "/console/mutes").has("upcoming", "2090-01-01 10:00:00 UTC", "2090-01-01 12:00:30 UTC")
}

func TestAMuteThatIsRefusedKeepsWhatWasTyped(t *testing.T) {
	k := newKit(t)
	k.create("soc", "")
	k.post(http.StatusUnprocessableEntity, "/console/mutes/new", "for", "1h", "about", "it").has("at least one of", "is required: 1 to", "of it")
	k.post(http.StatusUnprocessableEntity, "/console/mutes/new", "webhooks", "soc", "events", "threat", "others", "custom.ok\nthreatt", "for", "", "until", "", "filter", "level >", "reason", "why <i>").
		has(`value="soc" checked`, `value="threat" checked`, "custom.ok\nthreatt</textarea>", "level &gt;</textarea>", `value="why &lt;i&gt;"`, "is required: an RFC 3339 time", `href="#f-filter"`, `aria-invalid="true"`).lacks("<i>")
}
