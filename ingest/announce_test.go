package ingest_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
)

// failing is an announcement about a webhook.
func failing(id, webhookID string) tocsin.Event {
	return tocsin.Event{
		ID: id, Source: "/tocsin", Type: "webhook.failing", DedupKey: "webhook/" + webhookID,
		Data: json.RawMessage(`{"webhook":"the name","webhook_id":"` + webhookID + `"}`),
	}
}

func owedTo(owed []tocsin.Obligation) string {
	var ids []string
	for _, o := range owed {
		ids = append(ids, strings.TrimPrefix(o.WebhookID, "wh_")+o.Suppressed)
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

func TestAnnounce(t *testing.T) {
	s := newStore(
		hook("all"), hook("named", events("pipeline")), hook("none", events("none")), hook("itself", events("webhook.failing")),
		hook("picky", events("threat"), filter(`false`), minimum(tocsin.SeverityCritical)), hook("broken", filter(`nonsense ==`)),
		hook("deleted", func(w *tocsin.Webhook) { w.State = tocsin.StateDeleted }),
		hook("paused", events("none"), func(w *tocsin.Webhook) { w.State = tocsin.StatePaused }),
	)
	for i, tt := range []struct {
		about string
		also  []string
		want  string
	}{
		{"wh_itself", nil, "named"},
		{"wh_itself", []string{"wh_none"}, "named none"},
		{"wh_itself", []string{"wh_named"}, "named"},
		{"wh_itself", []string{"wh_none", "wh_picky", "wh_none", "wh_broken", "wh_paused"}, "broken named none paused picky"},
		{"wh_itself", []string{"wh_itself", "wh_deleted", "wh_unknown", ""}, "named"},
		{"wh_other", nil, "itself named"},
		{"", []string{"wh_all"}, "all itself named"},
	} {
		in, _ := start(t, s)
		id := "announcement-" + string(rune('a'+i))
		for _, want := range []ingest.Result{{Accepted: 1}, {Duplicates: 1}} {
			if got, err := in.Announce(t.Context(), failing(id, tt.about), tt.also...); got != want || err != nil {
				t.Errorf("%s: %+v, %v, want %+v", tt.want, got, err, want)
			}
		}
		if got := owedTo(s.stored(t, id).Owed); got != tt.want {
			t.Errorf("about %q, also to %q: owed to %q, want %q", tt.about, tt.also, got, tt.want)
		}
	}
}

func TestAnnouncingRefuses(t *testing.T) {
	s := newStore()
	in, _ := start(t, s)
	invalid := failing("1", "wh_a")
	invalid.Data = []byte(`{}`)
	for _, tt := range []struct {
		event tocsin.Event
		want  string
	}{
		{custom("e", 1)[0], `type: "custom.test" is not announced; allowed: the types of category pipeline`},
		{invalid, `data.webhook`},
	} {
		if _, err := in.Announce(t.Context(), tt.event); tocsin.CodeOf(err) != tocsin.CodeInvalid || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
	if len(s.events) != 0 {
		t.Errorf("%d events are stored", len(s.events))
	}
}

// Who is owed an announcement anyway is not forgotten when the configuration changes
// while it is on its way.
func TestAnnounceSurvivesAnotherMatch(t *testing.T) {
	s := newStore(hook("fallback", events("none")), hook("other", events("none")))
	in, _ := start(t, s)
	if _, err := in.Submit(t.Context(), custom("warm", 1)); err != nil {
		t.Fatal(err)
	}
	s.configure(hook("fallback", events("none"), func(w *tocsin.Webhook) { w.Channel = "keyed" }), hook("named", events("pipeline")))
	if _, err := in.Announce(t.Context(), failing("a", "wh_x"), "wh_fallback", "wh_other"); err != nil {
		t.Fatal(err)
	}
	want := []tocsin.Obligation{{WebhookID: "wh_named"}, {WebhookID: "wh_fallback", BatchKey: "of webhook.failing"}}
	if diff := cmp.Diff(want, s.stored(t, "a").Owed); diff != "" {
		t.Error(diff)
	}
}

func TestAnnouncementsAreMutedToo(t *testing.T) {
	s := newStore(hook("fallback", events("none"), func(w *tocsin.Webhook) { w.RepeatAfter = 5 }), hook("named", events("pipeline")))
	s.mutes = []tocsin.Mute{mute("a"), mute("b", about("pipeline"), of("wh_fallback"))}
	in, _ := start(t, s)
	if _, err := in.Announce(t.Context(), failing("a", "wh_x"), "wh_fallback"); err != nil {
		t.Fatal(err)
	}
	want := []tocsin.Obligation{{WebhookID: "wh_named"}, {WebhookID: "wh_fallback", Suppressed: "muted mute_b"}}
	if diff := cmp.Diff(want, s.stored(t, "a").Owed); diff != "" {
		t.Error(diff)
	}
}

// What is announced of one webhook has one dedup key and one status from the first failure
// to its disabling: repeat_after would keep all but the first from people.
func TestAnnouncementsAreNoRepeats(t *testing.T) {
	hourly := func(w *tocsin.Webhook) { w.RepeatAfter = tocsin.Duration(time.Hour) }
	s := newStore(hook("fallback", events("none"), hourly), hook("named", events("pipeline", "custom.test"), hourly))
	in, _ := start(t, s)
	if _, err := in.Announce(t.Context(), failing("a", "wh_x"), "wh_fallback"); err != nil {
		t.Fatal(err)
	}
	want := []tocsin.Obligation{{WebhookID: "wh_named"}, {WebhookID: "wh_fallback"}}
	if diff := cmp.Diff(want, s.stored(t, "a").Owed); diff != "" {
		t.Error(diff)
	}
	other := custom("other", 1)
	if _, err := in.Submit(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	want = []tocsin.Obligation{{WebhookID: "wh_named", RepeatAfter: time.Hour}}
	if diff := cmp.Diff(want, s.stored(t, other[0].ID).Owed); diff != "" {
		t.Errorf("an event of another category:\n%s", diff)
	}
	verdicts, err := in.Verdicts(t.Context(), failing("a", "wh_x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		if v.RepeatAfter != 0 || strings.Contains(v.Note, "repeat") {
			t.Errorf("the verdict speaks of repeats: %+v", v)
		}
	}
}

// The verdicts tell why a fallback got an announcement that it does not select, and why
// the webhook it is about did not.
func TestVerdictsOfAnnouncements(t *testing.T) {
	s := newStore(
		hook("itself", events("pipeline"), func(w *tocsin.Webhook) { w.Fallback = "fallback" }),
		hook("fallback", events("none")), hook("named", events("pipeline")), hook("none", events("none")),
	)
	in, _ := start(t, s)
	got, err := in.Verdicts(t.Context(), failing("a", "wh_itself"))
	if err != nil {
		t.Fatal(err)
	}
	want := []ingest.Verdict{
		{WebhookID: "wh_itself", Webhook: "itself", Clause: "itself", Detail: "a webhook is not owed what is announced about itself"},
		{WebhookID: "wh_fallback", Webhook: "fallback", Matched: true, FallbackOf: "itself", Note: "it is the fallback of itself and gets what is announced about it, whatever it selects"},
		{WebhookID: "wh_named", Webhook: "named", Matched: true},
		{WebhookID: "wh_none", Webhook: "none", Clause: "events", Detail: "webhook.failing (category pipeline) does not reach it: it selects nothing itself, and is told only as another's fallback or escalation"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Matches says the same as matching on arrival, whatever the state.
func TestMatchesAgreesWithMatching(t *testing.T) {
	var all []tocsin.Webhook
	for _, m := range matching {
		all = append(all, m.webhook)
	}
	in, _ := start(t, newStore(all...))
	for _, m := range matching {
		if m.webhook.Name == "deleted" {
			continue
		}
		var got []string
		for _, name := range []string{"agent", "sensitive", "threat", "plain", "failing"} {
			e := matchingEvents(t)[name]
			_, ok, err := in.Matches(m.webhook, &e)
			if broken := m.webhook.Name == "filter-broken"; (err != nil) != broken && name != "failing" {
				t.Errorf("%s: %v", m.webhook.Name, err)
			}
			if ok {
				got = append(got, name)
			}
		}
		if g := strings.Join(got, " "); g != m.want {
			t.Errorf("%s: got %q, want %q", m.webhook.Name, g, m.want)
		}
	}
}

func TestMatchesGivesTheBatchKey(t *testing.T) {
	in, _ := start(t, newStore())
	e := failing("a", "wh_x")
	for _, tt := range []struct {
		webhook tocsin.Webhook
		key     string
		ok      bool
	}{
		{hook("x", events("pipeline")), "", false}, // about itself
		{hook("a", events("pipeline"), func(w *tocsin.Webhook) { w.Channel = "keyed" }), "of webhook.failing", true},
		{hook("b", events("pipeline"), func(w *tocsin.Webhook) { w.State = tocsin.StateDisabled }), "", true},
	} {
		key, ok, err := in.Matches(tt.webhook, &e)
		if key != tt.key || ok != tt.ok || err != nil {
			t.Errorf("%s: %q, %v, %v", tt.webhook.Name, key, ok, err)
		}
	}
}
