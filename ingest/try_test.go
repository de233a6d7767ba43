package ingest_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// A webhook that is not stored gets the verdicts that it would get if it were, but for the
// time it was created.
func TestTryAgreesWithVerdicts(t *testing.T) {
	late := func(w *tocsin.Webhook) { w.CreatedAt = now.Add(time.Hour) }
	for _, w := range []tocsin.Webhook{
		hook("a"), hook("b", events("threat")), hook("c", minimum(tocsin.SeverityCritical)), hook("d", collections("payments")),
		hook("e", filter(`data.region == "eu"`)), hook("f", filter(`level > 3`)),
		hook("g", func(w *tocsin.Webhook) { w.RepeatAfter = tocsin.Duration(time.Hour) }),
	} {
		s := newStore(w)
		s.mutes = []tocsin.Mute{mute("m", about("operational"))}
		in, _ := start(t, s)
		for name, e := range matchingEvents(t) {
			e.ReceivedAt = now
			want, err := in.Verdicts(t.Context(), e)
			if err != nil {
				t.Fatal(err)
			}
			tried := w
			late(&tried)
			got, err := in.Try(t.Context(), tried, []tocsin.Event{e, e})
			if err != nil || len(got) != 2 {
				t.Fatalf("%d verdicts, %v", len(got), err)
			}
			for _, v := range got {
				if v.Matched != want[0].Matched || v.Clause != want[0].Clause || v.Detail != want[0].Detail || v.Note != want[0].Note || v.FilterFailed != want[0].FilterFailed {
					t.Errorf("%s of %s: got %+v, want %+v", name, w.Name, v, want[0])
				}
			}
		}
	}
}

func TestTrySaysThatAFilterCouldNotBeEvaluated(t *testing.T) {
	in, _ := start(t, newStore())
	e := example(t, "agent.discovered")
	for expr, failed := range map[string]bool{`data.region == "eu"`: true, `level > 5`: false} {
		got, err := in.Try(t.Context(), hook("new", filter(expr)), []tocsin.Event{e})
		if err != nil || got[0].Matched || got[0].Clause != "filter" || got[0].FilterFailed != failed {
			t.Errorf("%s: got %+v, %v", expr, got, err)
		}
	}
}

// What leads to a webhook leads to the one that is tried in its place.
func TestTryKnowsWhoLeadsToTheWebhook(t *testing.T) {
	s := newStore(
		hook("soc", events("custom"), to("lead 30m acknowledged")), hook("other", events("custom")),
		hook("ops", func(w *tocsin.Webhook) { w.Fallback = "lead" }), hook("lead", events("threat")),
	)
	in, _ := start(t, s)
	lead := hook("lead", events("none"))
	got, err := in.Try(t.Context(), lead, custom("e", 1))
	if err != nil || !got[0].Matched || len(got[0].EscalatedFrom) != 1 || got[0].EscalatedFrom[0] != "soc" {
		t.Errorf("escalated: got %+v, %v", got, err)
	}
	failing := matchingEvents(t)["failing"]
	failing.Data = json.RawMessage(`{"webhook": "ops", "webhook_id": "wh_ops"}`)
	got, err = in.Try(t.Context(), lead, []tocsin.Event{failing})
	if err != nil || !got[0].Matched || got[0].FallbackOf != "ops" {
		t.Errorf("announced: got %+v, %v", got, err)
	}
	// Under another name nobody leads to it any more.
	lead.Name = "boss"
	got, err = in.Try(t.Context(), lead, append(custom("e", 1), failing))
	if err != nil || got[0].Matched || got[1].Matched || !strings.Contains(got[0].Detail, "selects nothing itself") {
		t.Errorf("renamed: got %+v, %v", got, err)
	}
}
