package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/devserver/devtest"
)

// furnished is a tocsin-dev with something of everything in it: the demo's webhooks and
// events, webhooks in every state, dead letters, incidents, mutes, replays, keys, and
// events whose texts are long, hostile, or from right to left.
type furnished struct {
	*devtest.DevProcess
	t *testing.T
	// webhooks are the ids by name.
	webhooks map[string]string
}

func furnish(t *testing.T) *furnished {
	t.Helper()
	f := &furnished{DevProcess: devtest.StartDev(t, devtest.DevOptions{Args: []string{"-demo"}}), t: t, webhooks: map[string]string{}}
	f.MustPrint("Demo: sent")
	broken, rejecting, gone := devtest.NewReceiver(t), devtest.NewReceiver(t), devtest.NewReceiver(t)
	broken.Fail(http.StatusUnauthorized) // which is the webhook's fault at once
	rejecting.Fail(http.StatusBadRequest)
	gone.Fail(http.StatusGone)
	f.webhook("on-call", broken.URL("on-call"), "custom.broken")
	f.webhook("legacy-siem", rejecting.URL("siem"), "custom.rejected")
	f.webhook("strange-texts", rejecting.URL("strange"), "custom.strange")
	f.webhook("former-tool", gone.URL("former"), "custom.gone")
	f.webhook("weekend", gone.URL("weekend"), "custom.weekend")
	f.webhook("a-name-that-goes-on-and-on-and-on-as-names-of-webhooks-do-where-people-name-things-by-team-and-environment", broken.URL("long"), "custom.quiet")
	f.Must(http.MethodPost, "/v1/webhooks/weekend/pause", nil, nil)
	f.mute(map[string]any{"events": []string{"custom.noise"}, "for": "2h", "reason": "The load test of <b>tonight</b>"})
	f.mute(map[string]any{"webhooks": []string{"weekend"}, "filter": `severity == "low" && labels.environment == "staging"`, "for": "30m", "reason": "Staging is being moved"})
	var over tocsin.Mute
	f.Must(http.MethodPost, "/v1/mutes", map[string]any{"events": []string{"custom.quiet"}, "for": "1h", "reason": "Over already"}, &over)
	f.Must(http.MethodDelete, "/v1/mutes/"+over.ID, nil, nil)
	for _, key := range []map[string]any{{"name": "producer", "scopes": []string{"ingest"}}, {"name": "grafana", "scopes": []string{"read"}, "expires": "90d"}} {
		f.Must(http.MethodPost, "/v1/keys", key, nil)
	}
	f.send()
	f.await()
	f.replay()
	f.names()
	return f
}

func (f *furnished) webhook(name, address, event string) {
	f.t.Helper()
	f.MustCreate(map[string]any{"name": name, "channel": "webhook", "frequency": "instant", "events": []string{event}, "config": map[string]any{"url": address}})
}

func (f *furnished) mute(settings map[string]any) {
	f.t.Helper()
	f.Must(http.MethodPost, "/v1/mutes", settings, nil)
}

// hostile are texts that break pages that are not careful.
var hostile = []string{
	`<script>alert("title")</script><img src=x onerror=alert(1)>`,
	strings.Repeat("unbroken", 40),
	"تم اكتشاف تهديد في نظام الوكلاء " + "مع الكثير من النص من اليمين إلى اليسار",
	"An agent with a very long title, as they are when a model writes them: " + strings.Repeat("it says the same once more, ", 12),
}

// plain are titles by type, as they are.
var plain = map[string][]string{
	"custom.broken":   {"The planner called a tool that it may not call", "A new MCP server answers in staging"},
	"custom.rejected": {"A prompt asked for credentials", "Token usage doubled within an hour", "An agent changed its own configuration"},
	"custom.gone":     {"The nightly evaluation was skipped", "The retriever answers slowly"},
	"custom.weekend":  {"A scan of the agents is due", "Two agents share a key"},
	"custom.noise":    {"The load test has begun", "The load test is over"},
}

func (f *furnished) send() {
	f.t.Helper()
	var events []map[string]any
	for n, text := range hostile {
		e := devtest.Events("custom.strange", 1)[0]
		e["severity"] = "low"
		e["id"], e["title"], e["subject"], e["summary"] = fmt.Sprintf("hostile-%d/%s", n, string([]rune(text)[:8])), text, text, text
		e["labels"] = map[string]string{"text": text}
		e["data"] = map[string]any{"text": text, "deep": map[string]any{"deeper": []any{map[string]any{"deepest": text}}}}
		events = append(events, e)
	}
	for kind, titles := range plain {
		for n, e := range devtest.Events(kind, len(titles)) {
			e["severity"], e["title"], e["source"] = "medium", titles[n], "/agents"
			events = append(events, e)
		}
	}
	f.MustSend(events...)
}

// await waits until every webhook is as it is going to be.
func (f *furnished) await() {
	f.t.Helper()
	for name, want := range map[string]tocsin.State{"on-call": tocsin.StateFailing, "former-tool": tocsin.StateDisabled, "weekend": tocsin.StatePaused} {
		devtest.Until(f.t, name+" to be "+string(want), func() error {
			var w tocsin.Webhook
			f.Must(http.MethodGet, "/v1/webhooks/"+name, nil, &w)
			if w.State != want {
				return fmt.Errorf("it is %s", w.State)
			}
			return nil
		})
	}
	devtest.Until(f.t, "dead letters", func() error {
		all, err := f.Balances()
		if err != nil {
			return err
		}
		for _, name := range []string{"legacy-siem", "strange-texts"} {
			if b := all[name]; b.Dead == 0 || b.Pending+b.InFlight > 0 {
				return fmt.Errorf("the ledger says %+v", b)
			}
		}
		return nil
	})
	devtest.Until(f.t, "incidents", func() error {
		if f.first("/v1/incidents") == "" {
			return errNotYet
		}
		return nil
	})
}

func (f *furnished) replay() {
	f.t.Helper()
	f.Must(http.MethodPost, "/v1/replays", map[string]any{"webhook": "demo-instant", "what": "delivered"}, nil)
	devtest.Until(f.t, "the replay", func() error {
		var r tocsin.Replay
		f.Must(http.MethodGet, "/v1/replays/"+f.first("/v1/replays"), nil, &r)
		if r.FinishedAt == nil {
			return fmt.Errorf("it is %s", r.State)
		}
		return nil
	})
}

func (f *furnished) names() {
	f.t.Helper()
	var page struct{ Items []tocsin.Webhook }
	f.Must(http.MethodGet, "/v1/webhooks?limit=1000", nil, &page)
	for _, w := range page.Items {
		f.webhooks[w.Name] = w.ID
	}
}

// first is the id of the first of a list, "" where there is none.
func (f *furnished) first(path string) string {
	f.t.Helper()
	var page struct {
		Items []struct {
			ID string `json:"id"`
		}
	}
	f.Must(http.MethodGet, path, nil, &page)
	if len(page.Items) == 0 {
		return ""
	}
	return page.Items[0].ID
}

// event is the address of the first event of a list, below /console/.
func (f *furnished) event(query string) string {
	f.t.Helper()
	var page struct{ Items []tocsin.Event }
	f.Must(http.MethodGet, "/v1/events?"+query, nil, &page)
	if len(page.Items) == 0 {
		f.t.Fatalf("no events of %s", query)
	}
	return "events/" + url.PathEscape(page.Items[0].Source) + "/" + url.PathEscape(page.Items[0].ID)
}
