package ingest_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tocsin-alerts/tocsin"
)

// matching are webhooks and the events they want, of: agent (hr-assistants, medium),
// sensitive (hr-assistants, data 1701), threat (label 1702), plain (custom.test,
// info), failing (the pipeline's own).
var matching = []struct {
	webhook tocsin.Webhook
	want    string
}{
	{hook("all"), "agent sensitive threat plain"},
	{hook("type", events("agent.discovered")), "agent"},
	{hook("category", events("discovery")), "agent sensitive"},
	{hook("both", events("discovery", "agent.discovered", "threat")), "agent sensitive threat"},
	{hook("pipeline", events("pipeline")), "failing"},
	{hook("pipeline-type", events("webhook.failing", "threat")), "threat failing"},
	{hook("recovered", events("webhook.recovered")), ""},
	{hook("none", events("none")), ""},
	{hook("custom", events("custom")), "plain"},
	{hook("custom-type", events("custom.test")), "plain"},
	{hook("custom-other", events("custom.other")), ""},
	{hook("high", minimum(tocsin.SeverityHigh)), "sensitive threat"},
	{hook("medium", minimum(tocsin.SeverityMedium)), "agent sensitive threat"},
	{hook("critical", minimum(tocsin.SeverityCritical)), ""},
	{hook("of-hr", collections("hr-assistants")), "agent sensitive"},
	{hook("of-two", collections("hr-assistants", "1702")), "agent sensitive threat"},
	{hook("narrowed", events("discovery@payments", "threat@1702,1")), "threat"},
	{hook("narrowed-open", events("discovery@payments", "agent.discovered")), "agent"},
	{hook("disjoint", events("threat@1702"), collections("1")), ""},
	{hook("narrowed-twice", events("threat@1702,1"), collections("1702")), "threat"},
	{hook("filter", filter(`data.shadow || level >= 4`)), "agent sensitive threat"},
	{hook("filter-missing-key", filter(`data.shadow`)), "agent"},
	{hook("filter-broken", filter(`nonsense ==`)), ""},
	{hook("paused", func(w *tocsin.Webhook) { w.State = tocsin.StatePaused }), "agent sensitive threat plain"},
	{hook("failing", func(w *tocsin.Webhook) { w.State = tocsin.StateFailing }), "agent sensitive threat plain"},
	{hook("disabled", func(w *tocsin.Webhook) { w.State = tocsin.StateDisabled }), "agent sensitive threat plain"},
	{hook("deleted", func(w *tocsin.Webhook) { w.State = tocsin.StateDeleted }), ""},
}

func matchingEvents(t *testing.T) map[string]tocsin.Event {
	agent, sensitive, threat, failing := example(t, "agent.discovered"), example(t, "data.sensitive"), example(t, "threat.detected"), example(t, "webhook.failing")
	return map[string]tocsin.Event{"agent": agent, "sensitive": sensitive, "threat": threat, "plain": custom("plain", 1)[0], "failing": failing}
}

// The matcher and the verdicts agree, for every webhook and event.
func TestMatching(t *testing.T) {
	var webhooks []tocsin.Webhook
	for _, m := range matching {
		webhooks = append(webhooks, m.webhook)
	}
	s := newStore(webhooks...)
	in, _ := start(t, s)
	got := map[string][]string{}
	for _, name := range []string{"agent", "sensitive", "threat", "plain", "failing"} {
		e := matchingEvents(t)[name]
		if _, err := in.Submit(t.Context(), []tocsin.Event{e}); err != nil {
			t.Fatal(err)
		}
		var owed, matched []string
		for _, o := range s.stored(t, e.ID).Owed {
			owed = append(owed, o.WebhookID)
			got[o.WebhookID] = append(got[o.WebhookID], name)
		}
		verdicts, err := in.Verdicts(t.Context(), e)
		if err != nil || len(verdicts) != len(webhooks) {
			t.Fatalf("%d verdicts, %v", len(verdicts), err)
		}
		for _, v := range verdicts {
			if v.Matched != (v.Clause == "") || v.Matched != (v.Detail == "") {
				t.Errorf("%s: %+v", name, v)
			}
			// ListWebhooks leaves deleted ones out; this fake does not.
			if v.Matched && v.Webhook != "deleted" {
				matched = append(matched, v.WebhookID)
			}
		}
		slices.Sort(owed)
		slices.Sort(matched)
		if diff := cmp.Diff(owed, matched); diff != "" {
			t.Errorf("%s: what is owed and the verdicts differ: %s", name, diff)
		}
	}
	for _, m := range matching {
		if g := strings.Join(got[m.webhook.ID], " "); g != m.want {
			t.Errorf("%s: got %q, want %q", m.webhook.Name, g, m.want)
		}
	}
}

func TestBatchKeyIsTheChannels(t *testing.T) {
	s := newStore(hook("keyed", func(w *tocsin.Webhook) { w.Channel = "keyed" }), hook("unknown"))
	in, _ := start(t, s)
	if _, err := in.Submit(t.Context(), custom("a", 1)); err != nil {
		t.Fatal(err)
	}
	want := []tocsin.Obligation{{WebhookID: "wh_keyed", BatchKey: "of custom.test"}, {WebhookID: "wh_unknown"}}
	if diff := cmp.Diff(want, s.stored(t, "a0").Owed); diff != "" {
		t.Error(diff)
	}
}

func TestVerdictsSayWhy(t *testing.T) {
	later := func(w *tocsin.Webhook) { w.CreatedAt = now.Add(time.Minute) }
	tests := []struct {
		webhook        tocsin.Webhook
		clause, detail string
	}{
		{hook("a"), "", ""},
		{hook("b", later), "created", "the event was received at 2026-03-02T09:00:00Z, the webhook created at 2026-03-02T09:01:00Z"},
		{hook("c", events("security", "threat.detected")), "events", "agent.discovered (category discovery) is not among security, threat.detected"},
		{hook("d", events("none")), "events", "agent.discovered (category discovery) does not reach it: it selects nothing itself"},
		{hook("e", events("discovery@payments,2")), "events", `collection "hr-assistants" is not among those that agent.discovered is narrowed to: payments, 2`},
		{hook("f", minimum(tocsin.SeverityHigh)), "min_severity", "medium is below high"},
		{hook("g", collections("payments")), "collections", `collection "hr-assistants" is not among payments`},
		{hook("h", filter(`level > 3`)), "filter", "level > 3 is false"},
		{hook("i", filter(`data.region == "eu"`)), "filter", "evaluating the filter: no such key: region"},
		{hook("j", filter(`level >`)), "filter", "line 1, column 8"},
	}
	s := newStore()
	for _, tt := range tests {
		s.webhooks = append(s.webhooks, tt.webhook)
	}
	in, _ := start(t, s)
	e := example(t, "agent.discovered")
	e.ReceivedAt = now
	got, err := in.Verdicts(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	for i, tt := range tests {
		v := got[i]
		if v.WebhookID != tt.webhook.ID || v.Webhook != tt.webhook.Name || v.Clause != tt.clause || !strings.Contains(v.Detail, tt.detail) {
			t.Errorf("got %+v, want %s: %s", v, tt.clause, tt.detail)
		}
	}
}
