package ingest_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// to is one entry of escalate: "name 30m high acknowledged", all but the name optional.
func to(text string) func(*tocsin.Webhook) {
	return func(w *tocsin.Webhook) {
		words := strings.Fields(text)
		e := tocsin.Escalation{To: words[0]}
		for _, word := range words[1:] {
			if d, err := tocsin.ParseDuration(word); err == nil {
				e.After = d
			} else if s, err := tocsin.ParseSeverity(word); err == nil {
				e.MinSeverity = s
			} else {
				e.Unless = word
			}
		}
		w.Escalate = append(w.Escalate, e)
	}
}

// severe is an event that may open an incident.
func severe(id string, severity tocsin.Severity, status tocsin.Status) tocsin.Event {
	return tocsin.Event{ID: id, Source: "/test", Type: "custom.test", Severity: severity, Status: status, DedupKey: "incident-1"}
}

// brings shows what the obligations of an event bring about.
func brings(n tocsin.NewEvent) []string {
	var all []string
	for _, o := range n.Owed {
		for _, e := range o.Escalate {
			text := fmt.Sprintf("%s → %s %s", o.WebhookID, e.WebhookID, tocsin.Duration(e.After))
			if e.Unless != "" {
				text += " unless " + e.Unless
			}
			if e.Suppressed != "" {
				text += " (" + e.Suppressed + ")"
			}
			all = append(all, text)
		}
		if o.Suppressed != "" {
			all = append(all, o.WebhookID+" ("+o.Suppressed+")")
		}
	}
	return all
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// The example of the issue: who is paged depends on the severity alone, whatever the
// webhooks it leads to select.
func TestEventsBringTheEscalationsTheyReach(t *testing.T) {
	s := newStore(
		hook("soc", events("custom"), to("pager critical"), to("jira high"), to("lead 30m acknowledged")),
		hook("pager", events("none"), minimum(tocsin.SeverityCritical)),
		hook("jira", events("threat")),
		hook("lead", filter("false")),
	)
	in, _ := start(t, s)
	for severity, want := range map[tocsin.Severity][]string{
		tocsin.SeverityCritical: {"wh_soc → wh_pager 0s", "wh_soc → wh_jira 0s", "wh_soc → wh_lead 30m unless acknowledged"},
		tocsin.SeverityHigh:     {"wh_soc → wh_jira 0s", "wh_soc → wh_lead 30m unless acknowledged"},
		tocsin.SeverityMedium:   {"wh_soc → wh_lead 30m unless acknowledged"},
	} {
		id := severity.String()
		if _, err := in.Submit(t.Context(), []tocsin.Event{severe(id, severity, tocsin.Firing)}); err != nil {
			t.Fatal(err)
		}
		n := s.stored(t, id)
		same(t, id, brings(n), want...)
		if n.Reach != nil || len(n.Owed) != 1 {
			t.Errorf("%s: owed %+v, reach %+v", id, n.Owed, n.Reach)
		}
	}
}

// A chain adds its times up, keeps the highest min_severity, and hands its condition on.
// Of two ways to the same place at the same time the one without a condition is gone.
func TestChainsAreFlattened(t *testing.T) {
	s := newStore(
		hook("a", events("custom"), to("b 5m acknowledged"), to("c 15m")),
		hook("b", events("none"), to("c 10m high"), to("d 1h"), to("gone 1m")),
		hook("c", events("none"), to("d 50m low")),
		hook("d", events("none")),
	)
	in, _ := start(t, s)
	if _, err := in.Submit(t.Context(), []tocsin.Event{severe("high", tocsin.SeverityHigh, ""), severe("low", tocsin.SeverityLow, "")}); err != nil {
		t.Fatal(err)
	}
	same(t, "high", brings(s.stored(t, "high")),
		"wh_a → wh_b 5m unless acknowledged", "wh_a → wh_c 15m", "wh_a → wh_d 1h5m")
	same(t, "low", brings(s.stored(t, "low")),
		"wh_a → wh_b 5m unless acknowledged", "wh_a → wh_c 15m", "wh_a → wh_d 1h5m")
}

func TestConditionsAndSeveritiesOfAChain(t *testing.T) {
	s := newStore(
		hook("a", events("custom"), to("b 5m acknowledged")),
		hook("b", events("none"), to("c 10m high")),
		hook("c", events("none"), to("d 10m low")),
		hook("d", events("none")),
	)
	in, _ := start(t, s)
	if _, err := in.Submit(t.Context(), []tocsin.Event{severe("high", tocsin.SeverityHigh, ""), severe("low", tocsin.SeverityLow, "")}); err != nil {
		t.Fatal(err)
	}
	same(t, "high", brings(s.stored(t, "high")), "wh_a → wh_b 5m unless acknowledged", "wh_a → wh_c 15m unless acknowledged", "wh_a → wh_d 25m unless acknowledged")
	same(t, "low", brings(s.stored(t, "low")), "wh_a → wh_b 5m unless acknowledged")
}

// Two changes at the same moment may make a circle, and a tree of chains may be far too
// large; neither may keep events from being taken in.
func TestCirclesAndForestsEnd(t *testing.T) {
	all := []tocsin.Webhook{hook("a", events("custom"), to("b 1m")), hook("b", events("none"), to("a 1m"))}
	for level := range 8 {
		for n := range 5 {
			w := hook(fmt.Sprint("t", level, n), events("none"))
			for next := range 5 {
				w.Escalate = append(w.Escalate, tocsin.Escalation{To: fmt.Sprint("t", level+1, next), After: tocsin.Duration(n+5*next+1) * tocsin.Duration(time.Minute)})
			}
			all = append(all, w)
		}
	}
	all[2].Events = nil
	s := newStore(all...)
	in, _ := start(t, s)
	if _, err := in.Submit(t.Context(), []tocsin.Event{severe("e", tocsin.SeverityHigh, "")}); err != nil {
		t.Fatal(err)
	}
	got := brings(s.stored(t, "e"))
	if got[0] != "wh_a → wh_b 1m" || len(got) != 101 {
		t.Errorf("%d escalations, the first %s; want 101", len(got), got[0])
	}
}

// What is suppressed for a webhook is not escalated from it; mutes of the webhook it leads
// to hold there, and its repeat_after and batch key do.
func TestEscalationsAreOwedAsTheirWebhooksAre(t *testing.T) {
	pager := hook("pager", events("none"), channel("keyed"))
	pager.RepeatAfter = tocsin.Duration(time.Hour)
	s := newStore(hook("soc", events("custom"), to("pager"), to("lead")), hook("muted", events("custom"), to("pager 1m")), pager, hook("lead", events("none")))
	s.mutes = []tocsin.Mute{
		{ID: "mute_1", WebhookIDs: []string{"wh_muted"}, Until: now.Add(time.Hour)},
		{ID: "mute_2", WebhookIDs: []string{"wh_lead"}, Until: now.Add(time.Hour)},
	}
	in, _ := start(t, s)
	if _, err := in.Submit(t.Context(), []tocsin.Event{severe("e", tocsin.SeverityHigh, "")}); err != nil {
		t.Fatal(err)
	}
	n := s.stored(t, "e")
	same(t, "steps", brings(n), "wh_soc → wh_pager 0s", "wh_soc → wh_lead 0s (muted mute_2)", "wh_muted (muted mute_1)")
	for _, o := range n.Owed {
		if len(o.Escalate) > 0 && (o.Escalate[0].RepeatAfter != time.Hour || o.Escalate[0].BatchKey != "of custom.test") {
			t.Errorf("the pager is owed %+v", o.Escalate[0])
		}
	}
}

func channel(name string) func(*tocsin.Webhook) { return func(w *tocsin.Webhook) { w.Channel = name } }

// A resolved event may concern everybody who is, or was, escalated to; it escalates nothing
// itself, and costs nothing where nobody could be.
func TestResolvedEventsReachTargets(t *testing.T) {
	s := newStore(hook("soc", events("custom"), to("pager")), hook("pager", events("threat")), hook("once", events("none")), hook("other", events("threat")))
	in, _ := start(t, s)
	submit := func(id string) tocsin.NewEvent {
		t.Helper()
		if _, err := in.Submit(t.Context(), []tocsin.Event{severe(id, tocsin.SeverityInfo, tocsin.Resolved)}); err != nil {
			t.Fatal(err)
		}
		return s.stored(t, id)
	}
	n := submit("resolved")
	var reach []string
	for _, o := range n.Reach {
		reach = append(reach, o.WebhookID)
	}
	same(t, "reach", reach, "wh_pager", "wh_once")
	same(t, "steps", brings(n))

	s.configure(hook("soc", events("custom")), hook("once", events("none")))
	if n := submit("later"); len(n.Reach) != 1 || n.Reach[0].WebhookID != "wh_once" {
		t.Errorf("%+v may have been reached, want wh_once alone", n.Reach)
	}
	s.configure(hook("soc", events("custom")), hook("other", events("threat")))
	if n := submit("last"); n.Reach != nil {
		t.Errorf("nobody escalates, and %+v may have been reached", n.Reach)
	}
}

// What is announced about a webhook is not escalated to that webhook.
func TestAnnouncementsAreEscalatedToOthersAlone(t *testing.T) {
	s := newStore(hook("ops", events("pipeline"), to("pager"), to("lead")), hook("pager", events("none")), hook("lead", events("none")))
	in, _ := start(t, s)
	e := tocsin.Event{ID: "1", Source: "/tocsin", Type: "webhook.failing", DedupKey: "webhook/wh_pager", Data: json.RawMessage(`{"webhook":"pager","webhook_id":"wh_pager"}`)}
	if _, err := in.Announce(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	same(t, "steps", brings(s.stored(t, "1")), "wh_ops → wh_lead 0s")
}

// What is said about an incident, although it fires, opens none.
func TestAcknowledgementsAreNotEscalated(t *testing.T) {
	s := newStore(hook("ops", events("pipeline"), to("lead")), hook("lead", events("none")))
	in, _ := start(t, s)
	for _, kind := range []string{tocsin.TypeIncidentAcknowledged, tocsin.TypeIncidentResolved} {
		e := example(t, kind)
		if _, err := in.Announce(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		n := s.stored(t, e.ID)
		same(t, kind, brings(n))
		if len(n.Owed) != 1 || len(n.Reach) != 1 {
			t.Errorf("%s: owed %+v, reach %+v", kind, n.Owed, n.Reach)
		}
	}
}

// Verdicts say from where a webhook gets an event, and when.
func TestVerdictsSayWhoEscalates(t *testing.T) {
	s := newStore(
		hook("soc", events("custom"), to("pager high"), to("lead 30m acknowledged")),
		hook("ops", events("custom"), to("lead 1h")),
		hook("pager", events("none")), hook("lead", events("none")),
	)
	in, _ := start(t, s)
	judge := func(e tocsin.Event) (all []string) {
		t.Helper()
		verdicts, err := in.Verdicts(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range verdicts {
			all = append(all, fmt.Sprintf("%s %t %s: %s %v", v.Webhook, v.Matched, v.Clause, v.Note, v.EscalatedFrom))
		}
		return all
	}
	same(t, "low", judge(severe("1", tocsin.SeverityLow, "")),
		"soc true :  []", "ops true :  []", "pager false events:  []",
		"lead true : escalated from soc (after 30m, unless acknowledged); escalated from ops (after 1h) [soc ops]")
	same(t, "high", judge(severe("1", tocsin.SeverityHigh, ""))[2:3], "pager true : escalated from soc (after 0s) [soc]")
	same(t, "resolved", judge(severe("1", tocsin.SeverityHigh, tocsin.Resolved))[2:3],
		"pager false events: it is owed the event if the incident of its dedup key had been escalated to it []")
}
