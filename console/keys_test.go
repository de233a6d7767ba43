package console_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
)

// key finds a key's id by its name.
func (k *kit) key(name string) string {
	k.t.Helper()
	var page struct{ Items []tocsin.Key }
	must(k.t, json.Unmarshal([]byte(k.ask(http.StatusOK, "GET", "/v1/keys", "")), &page))
	for _, key := range page.Items {
		if key.Name == name {
			return key.ID
		}
	}
	k.t.Fatalf("no key %q", name)
	return ""
}

var keyText = regexp.MustCompile(`tk_[A-Za-z0-9_-]{43}`)

func TestAKeyIsMadeAndItsTextShownOnce(t *testing.T) {
	k := newKit(t)
	k.get(http.StatusOK, "/console/keys").has("root", "your key", "New key").lacks("expired")
	k.get(http.StatusOK, "/console/keys/new").has("report events", `value="90d"`)
	made := k.post(http.StatusOK, "/console/keys", "name", "scanner <b>", "scopes", "ingest", "expires", "2d").has("shown", "scanner &lt;b&gt;").lacks("scanner <b>")
	text := keyText.FindString(made.text)
	if text == "" {
		t.Fatalf("no text of the key in\n%s", made.text)
	}
	k.get(http.StatusOK, "/console/keys").has("scanner &lt;b&gt;", "soon", "in 47 h").lacks(text, text[:10])
	k.get(http.StatusOK, "/console/keys/"+k.key("scanner <b>")).has("ingest", "actor=key+scanner%20%3cb%3e").lacks(text)

	reader := k.newKey("reader", api.ScopeRead)
	k.signIn(reader)
	k.get(http.StatusForbidden, "/console/keys")
	k.get(http.StatusForbidden, "/console/keys/new")
	k.get(http.StatusOK, "/console/").lacks("/console/keys", "/console/audit")
	k.post(http.StatusForbidden, "/console/keys", "name", "x", "scopes", "admin")
}

func TestAKeyThatIsRefusedKeepsWhatWasTyped(t *testing.T) {
	k := newKit(t)
	k.post(http.StatusUnprocessableEntity, "/console/keys", "name", "scanner", "expires", "3d").has(`value="scanner"`, `value="3d"`, "want at least one of", `id="h-scopes"`)
	k.post(http.StatusUnprocessableEntity, "/console/keys", "name", "scanner", "scopes", "read", "expires", "tomorrow").has("tomorrow", "neither a duration nor", `value="read" checked`)
	k.post(http.StatusConflict, "/console/keys", "name", "root", "scopes", "read").has(`value="root"`, `id="h-name"`, "aria-invalid")
}

func TestAKeyIsRotatedWithAnOverlap(t *testing.T) {
	k := newKit(t)
	old := k.newKey("scanner", api.ScopeRead)
	at := "/console/keys/" + k.key("scanner")
	k.get(http.StatusOK, at).has("Rotate this key", `value="24h"`).lacks("you are signed in with")
	k.post(http.StatusUnprocessableEntity, at+"/rotate", "overlap", "90d").has("90d", `details class="sure after" open`)
	made := k.post(http.StatusOK, at+"/rotate", "overlap", "1h", "expires", "")
	text := keyText.FindString(made.has("goes on working until").text)
	if text == "" || text == old {
		t.Fatalf("got %q as the new text", text)
	}
	k.get(http.StatusSeeOther, at+"/rotate").location(at)
	k.get(http.StatusOK, at).has("Text before the last rotation").lacks(text)
	for _, works := range []string{old, text} {
		k.signIn(works)
		k.get(http.StatusOK, "/console/")
	}
}

func TestOnesOwnKeyIsMarkedAndWarnedAbout(t *testing.T) {
	k := newKit(t)
	own := "/console/keys/" + k.key("root")
	k.get(http.StatusOK, own).has("You signed in with it", "You will be signed out")

	// Its old text is over at once, and the browser goes on all the same.
	k.post(http.StatusOK, own+"/rotate", "overlap", "0s").has("This browser goes on with the new one", "works no more")
	k.get(http.StatusOK, "/console/keys").has("your key")

	k.post(http.StatusSeeOther, own+"/delete").location("/console/sign-in?over=1")
	k.get(http.StatusSeeOther, "/console/keys")
}

func TestADeletedKeyIsGone(t *testing.T) {
	k := newKit(t)
	k.newKey("scanner", api.ScopeRead)
	at := "/console/keys/" + k.key("scanner")
	k.post(http.StatusSeeOther, at+"/delete").location("/console/keys")
	k.get(http.StatusOK, "/console/keys").has("The key scanner is deleted").lacks(at)
	k.get(http.StatusNotFound, at).has("There is no such key")
	k.post(http.StatusNotFound, at+"/delete")
	k.get(http.StatusOK, "/console/audit?action=key.delete").has("key.delete", "what it was: ", "scanner").lacks(`href="` + at + `"`)
}

func TestTheAuditLogShowsWhatChanged(t *testing.T) {
	k := newKit(t)
	k.get(http.StatusOK, "/console/audit").has("No entries yet")
	k.create("soc <i>", `, "batch_size": 5`)
	hook := k.hook(url.PathEscape("soc <i>"))
	k.ask(http.StatusOK, "PATCH", "/v1/webhooks/"+hook, `{"batch_size": 7, "labels": {"team": "<script>"}}`)

	page := k.get(http.StatusOK, "/console/audit?object="+hook)
	page.has("webhook.change", "2 fields changed", "<code>batch_size</code>", "<code>5</code>", "<code>7</code>", "labels.team", "&lt;script&gt;", "key root", "soc &lt;i&gt;", `href="/console/webhooks/`+hook).lacks("<script>", "soc <i>")
	if strings.Index(page.text, "?action=webhook.change") > strings.Index(page.text, "?action=webhook.create") {
		t.Error("the older entry comes first")
	}
	k.get(http.StatusOK, "/console/audit?action=webhook.change&within=1h").has("batch_size").lacks("created with")
	k.get(http.StatusOK, "/console/audit?action=webhook.create").has("created with ")
	// A trial is given settings, and creates nothing.
	k.ask(http.StatusOK, "POST", "/v1/trials/test", `{"settings": {"name": "soc", "channel": "webhook", "frequency": "instant", "config": {"url": "https://example.com/"}}}`)
	k.get(http.StatusOK, "/console/audit?action=trial.test").has("settings: ", " fields").lacks("created with")
	k.get(http.StatusOK, "/console/audit?actor=key+nobody").has("No entry fits", `value="key nobody"`)
	k.get(http.StatusUnprocessableEntity, "/console/audit?since=yesterday").has("yesterday", `id="h-since"`)
}

func TestTheAuditLogHasPages(t *testing.T) {
	k := newKit(t)
	k.create("soc", "")
	for range 51 {
		k.ask(http.StatusOK, "POST", "/v1/webhooks/soc/pause", "")
		k.ask(http.StatusOK, "POST", "/v1/webhooks/soc/resume", "")
	}
	older := regexp.MustCompile(`href="([^"]*cursor=[^"]*)"`).FindStringSubmatch(k.get(http.StatusOK, "/console/audit?action=webhook.pause").text)
	if older == nil {
		t.Fatal("no link to older entries")
	}
	k.get(http.StatusOK, strings.ReplaceAll(older[1], "&amp;", "&")).has("?action=webhook.pause", "Newest").lacks("?action=webhook.resume")
}

func TestTheLedgerSaysWhereEverythingIs(t *testing.T) {
	k := newKit(t)
	k.get(http.StatusOK, "/console/ledger").has("It adds up: 0 accepted")
	k.create("soc <i>", `, "events": ["custom.trial"], "frequency": "instant"`)
	k.create("other", `, "events": ["custom.trial"]`)
	hook := k.hook(url.PathEscape("soc <i>"))
	k.get(http.StatusOK, "/console/ledger?webhook="+hook).has("It adds up: 0 accepted")
	k.submit("1", "")
	k.deliver(hook, "permanent", tocsin.DeliveryDead)
	k.submit("2", "")
	k.get(http.StatusOK, "/console/ledger").has("It adds up: 4 accepted", "soc &lt;i&gt;: 2 accepted; 0 delivered, 1 pending, 0 in flight, 1 dead, 0 suppressed", "tocsin ledger --verify", "Webhook by webhook", ">other<").lacks("soc <i>", "nowhere")
	k.get(http.StatusOK, "/console/ledger?webhook="+hook).has("soc &lt;i&gt;", "It adds up: 2 accepted").lacks(">other<")
	k.get(http.StatusNotFound, "/console/ledger?webhook=nobody")
	k.get(http.StatusOK, "/console/ledger?part=sums", "HX-Request", "true").has("It adds up").lacks("<html")
}

func TestALedgerThatDoesNotAddUpIsSaid(t *testing.T) {
	k := newKit(t)
	k.create("soc", `, "events": ["custom.trial"]`)
	k.submit("1", "")
	k.store.skew(3)
	k.get(http.StatusOK, "/console/ledger").has("3 events were accepted and are nowhere", "tocsin ledger --verify", "fault in Tocsin").lacks("It adds up")
	k.store.skew(-1)
	k.get(http.StatusOK, "/console/ledger").has("1 event is counted that nobody accepted, or is counted twice")
}
