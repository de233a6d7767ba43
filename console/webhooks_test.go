package console_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/api"
)

// controls is what a browser would send of the form with this id.
func (p page) controls(id string) url.Values {
	p.t.Helper()
	doc, err := html.Parse(strings.NewReader(p.text))
	must(p.t, err)
	form := url.Values{}
	var walk func(n *html.Node, inside bool)
	walk = func(n *html.Node, inside bool) {
		at := map[string]string{}
		for _, a := range n.Attr {
			at[a.Key] = a.Val
		}
		inside = inside || at["id"] == id
		if name := at["name"]; inside && name != "" {
			control(n, at, name, form)
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c, inside)
		}
	}
	walk(doc, false)
	if len(form) == 0 {
		p.t.Fatalf("no form %q in %s", id, p.text)
	}
	return form
}

func control(n *html.Node, at map[string]string, name string, form url.Values) {
	_, checked := at["checked"]
	switch {
	case n.Data == "input" && (at["type"] == "checkbox" || at["type"] == "radio") && !checked:
	case n.Data == "input":
		form.Add(name, at["value"])
	case n.Data == "textarea" && n.FirstChild != nil:
		form.Add(name, n.FirstChild.Data)
	case n.Data == "select":
		value := ""
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			for _, a := range c.Attr {
				if a.Key == "selected" {
					for _, b := range c.Attr {
						if b.Key == "value" {
							value = b.Val
						}
					}
				}
			}
		}
		form.Add(name, value)
	}
}

// fill sends a form, with some of its values changed.
func (k *kit) fill(status int, path string, form url.Values, pairs ...string) page {
	k.t.Helper()
	sent := url.Values{}
	for name, values := range form {
		sent[name] = values
	}
	for i := 0; i < len(pairs); i += 2 {
		sent.Set(pairs[i], pairs[i+1])
	}
	p := k.do("POST", path, sent, "Sec-Fetch-Site", "same-origin")
	if p.StatusCode != status {
		k.t.Fatalf("POST %s: got %d %s, want %d", path, p.StatusCode, p.text, status)
	}
	return p
}

// stored asks the API for a webhook.
func (k *kit) stored(name string) (w tocsin.Webhook) {
	k.t.Helper()
	must(k.t, json.Unmarshal([]byte(k.ask(http.StatusOK, "GET", "/v1/webhooks/"+url.PathEscape(name), "")), &w))
	return w
}

func (k *kit) event(id, kind string) {
	k.t.Helper()
	k.ask(http.StatusAccepted, "POST", "/v1/events", fmt.Sprintf(`{"id": %q, "source": "/s", "type": %q, "severity": "high", "title": "Trial <i>%s</i>"}`, id, kind, id))
}

func TestTheListOfWebhooks(t *testing.T) {
	k := newKit(t)
	k.get(http.StatusOK, "/console/webhooks").has("No webhooks yet", "/console/webhooks/new")
	k.create("calm", "")
	k.create("paused <b>", `, "labels": {"team": "Blue"}`)
	k.ask(http.StatusOK, "POST", "/v1/webhooks/paused%20%3Cb%3E/pause", "")

	p := k.get(http.StatusOK, "/console/webhooks").has("2 webhooks", "paused &lt;b&gt;", "Create a webhook").lacks("paused <b>")
	if strings.Index(p.text, ">calm<") < strings.Index(p.text, ">paused &lt;b&gt;<") {
		t.Error("trouble does not come first")
	}
	k.get(http.StatusOK, "/console/webhooks?state=paused").has("1 webhook of 2", "paused &lt;b&gt;").lacks(">calm<")
	k.get(http.StatusOK, "/console/webhooks?q=BLUE").has("paused &lt;b&gt;").lacks(">calm<")
	k.get(http.StatusOK, "/console/webhooks?channel=slack").has("No webhook is like that")
	k.get(http.StatusOK, "/console/webhooks?part=list", "HX-Request", "true").has("calm").lacks("<html")

	k.signIn(k.newKey("reader", api.ScopeRead))
	k.get(http.StatusOK, "/console/webhooks").has("calm").lacks("Create a webhook")
	k.get(http.StatusForbidden, "/console/webhooks/new")
	k.post(http.StatusForbidden, "/console/webhooks/new", "name", "x", "channel", "webhook")
}

func TestALongListIsDivided(t *testing.T) {
	k := newKit(t)
	for i := range 101 {
		k.create(fmt.Sprintf("hook-%03d", i), "")
	}
	k.get(http.StatusOK, "/console/webhooks").has("101 webhooks", "hook-099", "from=100", "Further").lacks("hook-100")
	k.get(http.StatusOK, "/console/webhooks?from=100").has("hook-100", "Before").lacks("hook-099")
}

func TestAWebhookIsCreatedByTheForm(t *testing.T) {
	k := newKit(t)
	form := k.get(http.StatusOK, "/console/webhooks/new").has("Run every", "New Agent Components", `name="config.url"`).controls("form")

	refused := k.fill(http.StatusUnprocessableEntity, "/console/webhooks/new", form, "name", "soc", "config.url", "no url <i>", "run_every", "!other", "run_every!other", "7 parsecs").
		has(`href="#f-config.url"`, "no url &lt;i&gt;", "7 parsecs", "aria-invalid").lacks("no url <i>")
	p := k.fill(http.StatusOK, "/console/webhooks/new", refused.controls("form"), "config.url", k.sink.URL+"/hook", "run_every", "30m",
		"config.headers.0!key", "X-Token", "config.headers.0", "s3cret", "batch_size", "!other", "batch_size!other", "33",
		"events!mode", "some", "events", "agent.discovered", "events!agent.discovered", "hr, sales", "events.0!key", "custom.mine",
		"filter", `severity == "high"`, "labels.0!key", "team", "labels.0", "blue")
	secret := regexp.MustCompile(`whsec_[A-Za-z0-9+/=&;#]{20,}`).FindString(p.has("Shown this once", "standardwebhooks").text)
	if secret == "" {
		t.Fatalf("no secret in %s", p.text)
	}
	w := k.stored("soc")
	if w.RunEvery.String() != "30m" || w.BatchSize != 33 || w.Filter != `severity == "high"` || w.Labels["team"] != "blue" {
		t.Errorf("got %+v", w.Settings)
	}
	if diff := cmp.Diff([]tocsin.Selector{{Type: "agent.discovered", Collections: []string{"hr", "sales"}}, {Type: "custom.mine"}}, w.Events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, path := range []string{"", "/edit"} {
		k.get(http.StatusOK, "/console/webhooks/"+w.ID+path).has("X-Token").lacks("s3cret", secret)
	}
}

func TestNothingChosenIsNotEverything(t *testing.T) {
	k := newKit(t)
	form := k.get(http.StatusOK, "/console/webhooks/new").controls("form")
	k.fill(http.StatusUnprocessableEntity, "/console/webhooks/new", form, "name", "soc", "config.url", k.sink.URL, "events!mode", "some").has("choose at least one", `value="soc"`)
}

func TestTheFormWorksWithoutScripts(t *testing.T) {
	k := newKit(t)
	form := k.get(http.StatusOK, "/console/webhooks/new?channel=webhook").controls("form")
	form = k.fill(http.StatusOK, "/console/webhooks/new", form, "do", "add:config.headers", "name", "kept", "config.headers.0!key", "a", "config.headers.0", "one").controls("form")
	if form.Get("name") != "kept" || form.Get("config.headers.0!key") != "a" || form.Get("config.headers.0") != "one" || !form.Has("config.headers.1!key") {
		t.Errorf("after adding a row: %v", form)
	}
	form = k.fill(http.StatusOK, "/console/webhooks/new", form, "do", "remove:config.headers.0", "config.headers.1!key", "b", "config.headers.1", "two").controls("form")
	if form.Get("config.headers.0!key") != "b" || form.Get("config.headers.0") != "two" {
		t.Errorf("after removing one: %v", form)
	}
	form = k.fill(http.StatusOK, "/console/webhooks/new", form, "do", "add:escalate").controls("form")
	if !form.Has("escalate.0.to") {
		t.Errorf("no escalation in %v", form)
	}
	slack := k.fill(http.StatusOK, "/console/webhooks/new", form, "do", "channel", "channel", "slack").has("Bot token", "Incoming webhook URL, or Bot token and Channel id").controls("form")
	if slack.Get("name") != "kept" || slack.Has("config.headers.0!key") {
		t.Errorf("after choosing another channel: %v", slack)
	}
	k.fill(http.StatusOK, "/console/webhooks/new", form, "do", "match").has("there are no events yet")
}

func TestSettingsAreTriedBesideTheForm(t *testing.T) {
	k := newKit(t)
	k.event("1", "custom.trial")
	k.event("2", "custom.other")
	form := k.get(http.StatusOK, "/console/webhooks/new").controls("form")
	try := func(part string, pairs ...string) page {
		t.Helper()
		return k.fill(http.StatusOK, "/console/webhooks/new?part="+part, form, pairs...).lacks("<html", "<i>")
	}
	try("match", "filter", `type == "custom.trial"`).has("matches 1 of the last 2 events", "Trial &lt;i&gt;1&lt;/i&gt;", "filter")
	try("match", "filter", `type = `).has("To be filled in or mended first", "#f-filter")
	try("preview", "name", "n").has("#f-config.url", "required")
	try("preview", "name", "n", "config.url", k.sink.URL+"/hook", "config.headers.0!key", "X-Token", "config.headers.0", "s3cret").
		has("POST", "/hook", "2 events", "[redacted]").lacks("s3cret")
	try("test", "name", "n", "config.url", k.sink.URL+"/hook").has("The test arrived", "200 OK")
	try("test", "name", "n", "config.url", "http://127.0.0.1:1/").has("failed", "connect").lacks("The test arrived")
	try("check", "name", "n", "config.url", k.sink.URL).has("no call that proves")
	if got := k.ask(http.StatusOK, "GET", "/v1/webhooks", ""); !strings.Contains(got, `"items":[]`) {
		t.Errorf("trying stored something: %s", got)
	}
}

func TestAFilterThatNothingCanMatchIsDoubted(t *testing.T) {
	k := newKit(t)
	k.create("soc", "")
	edit := "/console/webhooks/" + k.stored("soc").ID + "/edit"
	form := k.get(http.StatusOK, edit).controls("form")
	k.fill(http.StatusOK, edit+"?part=match", form, "filter", `severity == "hihg"`).has("severity is never", "did you mean")
	k.fill(http.StatusOK, edit+"?part=match", form, "filter", `severity == "high"`).lacks("is never")
	// A blank is no filter.
	k.fill(http.StatusSeeOther, edit, form, "filter", " ")
	if got := k.stored("soc").Filter; got != "" {
		t.Errorf("got filter %q", got)
	}
}

func TestFormsNameTheWebhookOfALink(t *testing.T) {
	k := newKit(t)
	k.create("soc", "")
	id := k.stored("soc").ID
	for _, page := range []string{"deliveries?webhook=", "replays/new?webhook="} {
		k.get(http.StatusOK, "/console/"+page+id).has(`name="webhook"`, `value="soc"`).lacks(`value="` + id)
		k.get(http.StatusOK, "/console/"+page+"+soc+").has(`value="soc"`)
	}
	k.get(http.StatusOK, "/console/replays/new?webhook=wh_gone").has(`value="wh_gone"`)
}

func TestAnEditSendsWhatChanged(t *testing.T) {
	k := newKit(t)
	k.create("soc", `, "events": ["threat", {"type": "agent.discovered", "collections": ["a,b"]}], "escalate": [], "labels": {"team": "blue"}`)
	w := k.stored("soc")
	edit := "/console/webhooks/" + w.ID + "/edit"
	form := k.get(http.StatusOK, edit).controls("form")
	k.fill(http.StatusSeeOther, edit, form).location("/console/webhooks/" + w.ID)
	if got := k.stored("soc"); got.Version != w.Version {
		t.Errorf("saving what nobody changed made version %d of %d", got.Version, w.Version)
	}
	k.fill(http.StatusSeeOther, edit, form, "batch_size", "50", "active", "").location("/console/webhooks/" + w.ID)
	got := k.stored("soc")
	if got.BatchSize != 50 || got.State != tocsin.StatePaused {
		t.Errorf("got %d, %s", got.BatchSize, got.State)
	}
	if diff := cmp.Diff(w.Events, got.Events); diff != "" {
		t.Errorf("events (-before +after):\n%s", diff)
	}
	k.get(http.StatusOK, "/console/webhooks/"+w.ID).has("It is paused", "Who changed what", "<del>20</del>", "<ins>50</ins>", "webhook.pause")
}

func TestAChangeBySomebodyElseIsShownAndNothingIsLost(t *testing.T) {
	k := newKit(t)
	k.create("soc", "")
	w := k.stored("soc")
	edit := "/console/webhooks/" + w.ID + "/edit"
	form := k.get(http.StatusOK, edit).controls("form")
	k.ask(http.StatusOK, "PATCH", "/v1/webhooks/soc", `{"batch_size": 77, "filter": "level > 3"}`)

	p := k.fill(http.StatusPreconditionFailed, edit, form, "filter", "level > 1", "run_every", "6h").
		has("was changed meanwhile", "What somebody else changed", "key root", "batch_size", "level &gt; 3", "/console/audit?object="+w.ID)
	again := p.controls("form")
	if again.Get("filter") != "level > 1" || again.Get("run_every") != "6h" || again.Get("batch_size!other") != "77" {
		t.Errorf("got %v", again)
	}
	k.fill(http.StatusSeeOther, edit, again)
	if got := k.stored("soc"); got.BatchSize != 77 || got.Filter != "level > 1" || got.RunEvery.String() != "6h" {
		t.Errorf("got %+v", got.Settings)
	}
	// A pause is no change of what the form shows.
	k.ask(http.StatusOK, "POST", "/v1/webhooks/soc/pause", "")
	k.fill(http.StatusSeeOther, edit, k.get(http.StatusOK, edit).controls("form"), "filter", "")
	if got := k.stored("soc").Filter; got != "" {
		t.Errorf("got filter %q", got)
	}
}

// Somebody else may be faster by no more than the time between looking and storing.
func TestAChangeInTheVeryMomentOfSavingIsNotLost(t *testing.T) {
	k := newKit(t)
	k.create("soc", "")
	edit := "/console/webhooks/" + k.stored("soc").ID + "/edit"
	form := k.get(http.StatusOK, edit).controls("form")
	others := []string{`{"filter": "level > 3"}`}
	k.before = func(r *http.Request) {
		if r.Method == http.MethodPatch && len(others) > 0 {
			body := others[0]
			others = others[1:]
			k.ask(http.StatusOK, "PATCH", "/v1/webhooks/soc", body)
		}
	}
	p := k.fill(http.StatusPreconditionFailed, edit, form, "filter", "level > 1").has("was changed meanwhile", "level &gt; 3")
	if got := k.stored("soc").Filter; got != "level > 3" {
		t.Errorf("got filter %q: the form was saved over it", got)
	}
	k.fill(http.StatusSeeOther, edit, p.controls("form"))
	if got := k.stored("soc").Filter; got != "level > 1" {
		t.Errorf("got filter %q after saving again", got)
	}
}

func TestAPauseWhileTheFormIsOpenStays(t *testing.T) {
	k := newKit(t)
	k.create("soc", "")
	edit := "/console/webhooks/" + k.stored("soc").ID + "/edit"
	form := k.get(http.StatusOK, edit).controls("form")
	paused := false
	k.before = func(r *http.Request) { // in the very moment of saving
		if r.Method == http.MethodPatch && !paused {
			paused = true
			k.ask(http.StatusOK, "POST", "/v1/webhooks/soc/pause", "")
		}
	}
	k.fill(http.StatusSeeOther, edit, form, "batch_size", "50")
	if got := k.stored("soc"); got.BatchSize != 50 || got.State != tocsin.StatePaused {
		t.Errorf("got batch_size %d, %s", got.BatchSize, got.State)
	}
	// Who ticks it sees that it is paused, and means it.
	form = k.get(http.StatusOK, edit).controls("form")
	k.fill(http.StatusSeeOther, edit, form, "active", "1")
	if got := k.stored("soc").State; got != tocsin.StateActive {
		t.Errorf("got %s", got)
	}
}

func TestASecretTakenOutOfTheFormIsMadeAnew(t *testing.T) {
	k := newKit(t)
	k.create("soc", "")
	edit := "/console/webhooks/" + k.stored("soc").ID + "/edit"
	form := k.get(http.StatusOK, edit).controls("form")
	form = k.fill(http.StatusOK, edit, form, "do", "remove:config.signing_secret.0").controls("form")
	k.fill(http.StatusOK, edit, form).has("Shown this once", "1 setting changed", "whsec_")
}

func TestAFormOfAnUnknownChannelSaysSo(t *testing.T) {
	k := newKit(t)
	form := k.get(http.StatusOK, "/console/webhooks/new?channel=<b>pigeon").lacks("<b>pigeon").controls("form")
	k.fill(http.StatusUnprocessableEntity, "/console/webhooks/new", form, "name", "x", "channel", "pigeon").has("is not a channel")
}

func TestEscalationsAreRows(t *testing.T) {
	k := newKit(t)
	k.create("first", "")
	k.create("soc", `, "escalate": [{"to": "first", "after": "15m", "unless": "acknowledged", "min_severity": "high"}], "fallback": "first"`)
	w := k.stored("soc")
	edit := "/console/webhooks/" + w.ID + "/edit"
	form := k.get(http.StatusOK, edit).controls("form")
	if form.Get("escalate.0.to") != "first" || form.Get("escalate.0.unless") != "acknowledged" || form.Get("fallback") != "first" {
		t.Errorf("got %v", form)
	}
	k.fill(http.StatusUnprocessableEntity, edit, form, "escalate.0.after", "soon").has("<code>escalate[0]", "soon")
	k.fill(http.StatusSeeOther, edit, form, "escalate.0.after", "20m", "escalate.0.unless", "")
	if diff := cmp.Diff(`[{first 20m high }]`, fmt.Sprint(escalations(k.stored("soc").Escalate))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func escalations(all []tocsin.Escalation) (out []string) {
	for _, e := range all {
		out = append(out, fmt.Sprintf("{%s %s %s %s}", e.To, e.After, e.MinSeverity, e.Unless))
	}
	return out
}

func TestAWebhooksPage(t *testing.T) {
	k := newKit(t)
	var lastStatus = http.StatusOK
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(lastStatus)
		_, _ = io.WriteString(w, "<script>alert(1)</script>")
	}))
	t.Cleanup(receiver.Close)
	k.ask(http.StatusCreated, "POST", "/v1/webhooks", fmt.Sprintf(`{"name": "a/b <i>", "channel": "webhook", "events": ["custom.trial"], "config": {"url": %q, "headers": {"X-Token": "s3cret"}}}`, receiver.URL))
	w := k.stored("a/b <i>")
	here := "/console/webhooks/" + w.ID
	k.get(http.StatusOK, here).has("a/b &lt;i&gt;", "It has delivered nothing yet", "stored, not shown", "It adds up", "Rotate the secret").lacks("s3cret", "a/b <i>")
	k.event("1", "custom.trial")
	dead := k.deliver(w.ID, "permanent", tocsin.DeliveryDead)
	k.get(http.StatusOK, here).has(dead, "/console/dead-letters?webhook=a%2fb%20%3ci%3e", "1 event, 1 attempt", "Last 24 hours", "1 attempt</dt>", "p95")
	k.get(http.StatusOK, here+"?part=charts", "HX-Request", "true").has("Last hour", "failed attempts").lacks("<html")
	k.get(http.StatusOK, here+"?part=now", "HX-Request", "true").has(dead).lacks("<html", "Configuration")

	k.post(http.StatusOK, here, "do", "test").has("The test arrived", "&lt;script&gt;").lacks("<script>alert")
	lastStatus = http.StatusInternalServerError
	k.post(http.StatusOK, here, "do", "test").has("500 Internal Server Error").lacks("The test arrived")
	k.post(http.StatusUnprocessableEntity, here, "do", "check").has("no call that proves")
	k.post(http.StatusSeeOther, here, "do", "pause").location(here)
	k.get(http.StatusOK, here).has("Nothing, while it is paused", ">Resume<")
	k.post(http.StatusSeeOther, here, "do", "resume").location(here)
	k.post(http.StatusSeeOther, here, "do", "run").location(here)
	k.post(http.StatusOK, here, "do", "rotate", "overlap", "1h").has("whsec_", "The old secret signs beside it until")
	k.post(http.StatusConflict, here, "do", "rotate", "overlap", "24h").has("the old one still signs until")
	k.post(http.StatusNotFound, here, "do", "explode")

	k.post(http.StatusUnprocessableEntity, here, "do", "delete", "name", "other").has("Nothing was deleted")
	k.post(http.StatusSeeOther, here, "do", "delete", "name", "a/b <i>").location("/console/webhooks")
	k.get(http.StatusSeeOther, here).location("/console/deliveries?webhook=" + w.ID)
	k.get(http.StatusOK, "/console/deliveries?webhook="+w.ID).has("This webhook is deleted", dead)
	k.get(http.StatusNotFound, "/console/webhooks/wh_nobody")
}

func TestWhoMayReadSeesNoButtonsOfAWebhook(t *testing.T) {
	k := newKit(t)
	k.create("soc", "")
	w := k.stored("soc")
	k.signIn(k.newKey("reader", api.ScopeRead))
	k.get(http.StatusOK, "/console/webhooks/"+w.ID).has("Configuration").lacks("Pause", "Delete", "Rotate", "Who changed what", "/edit")
	k.post(http.StatusForbidden, "/console/webhooks/"+w.ID, "do", "pause")
	k.get(http.StatusForbidden, "/console/webhooks/"+w.ID+"/edit")
	k.post(http.StatusForbidden, "/console/webhooks/"+w.ID+"/edit", "name", "x")
}

func TestTheCatalogAndItsExamples(t *testing.T) {
	k := newKit(t)
	k.get(http.StatusOK, "/console/alert-types").has("New Agent Components", "<code>llm_provider</code>", "list of string", "curl "+k.url+"/v1/events", "tocsin events send -", "Send this example")
	p := k.post(http.StatusSeeOther, "/console/alert-types/agent.discovered")
	path := p.Header.Get("Location")
	if !strings.HasPrefix(path, "/console/events/%2Fcollections%2Fhr-assistants/console-") {
		t.Fatalf("got Location %q", path)
	}
	k.ask(http.StatusOK, "GET", "/v1/events/"+strings.TrimPrefix(path, "/console/events/"), "")
	if again := k.post(http.StatusSeeOther, "/console/alert-types/agent.discovered").Header.Get("Location"); again == path {
		t.Error("the second example is the first")
	}
	k.post(http.StatusNotFound, "/console/alert-types/no.such")
	k.post(http.StatusUnprocessableEntity, "/console/alert-types/webhook.failing")

	k.signIn(k.newKey("reader", api.ScopeRead))
	k.get(http.StatusOK, "/console/alert-types").has("New Agent Components").lacks("Send this example")
	k.post(http.StatusForbidden, "/console/alert-types/agent.discovered")
}
