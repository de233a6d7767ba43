package ingest_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
)

// clock is a time that tests move.
type clock struct{ at atomic.Pointer[time.Time] }

func newClock() *clock {
	c := &clock{}
	c.at.Store(&now)
	return c
}

func (c *clock) now() time.Time { return *c.at.Load() }

func (c *clock) move(d time.Duration) {
	t := c.now().Add(d)
	c.at.Store(&t)
}

// startAt is start with a clock that moves.
func startAt(t *testing.T, s *store, c *clock) *ingest.Ingest {
	t.Helper()
	in, err := ingest.New(ingest.Config{Store: s, Conductor: &conductor{}, Channels: []tocsin.Channel{keyed{}}, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	return in
}

// mute returns one of everything, in force.
func mute(name string, edit ...func(*tocsin.Mute)) tocsin.Mute {
	m := tocsin.Mute{ID: "mute_" + name, From: now, CreatedAt: now, Until: now.Add(time.Hour), Author: "dana", Reason: "load test"}
	for _, f := range edit {
		f(&m)
	}
	return m
}

func of(ids ...string) func(*tocsin.Mute) { return func(m *tocsin.Mute) { m.WebhookIDs = ids } }
func about(names ...string) func(*tocsin.Mute) {
	return func(m *tocsin.Mute) {
		var w tocsin.Webhook
		events(names...)(&w)
		m.Events = w.Events
	}
}
func in(names ...string) func(*tocsin.Mute) { return func(m *tocsin.Mute) { m.Collections = names } }
func only(expr string) func(*tocsin.Mute)   { return func(m *tocsin.Mute) { m.Filter = expr } }
func incident(key string) func(*tocsin.Mute) {
	return func(m *tocsin.Mute) { m.DedupKey = key }
}
func during(from, until time.Duration) func(*tocsin.Mute) {
	return func(m *tocsin.Mute) { m.From, m.Until = now.Add(from), now.Add(until) }
}

// Each mute alone, and the events it suppresses of: agent, sensitive, threat, plain,
// failing (see matching).
func TestMuting(t *testing.T) {
	tests := []struct {
		mute tocsin.Mute
		want string
	}{
		{mute("all"), "agent sensitive threat plain"},
		{mute("webhook", of("wh_other", "wh_all")), "agent sensitive threat plain"},
		{mute("other", of("wh_other")), ""},
		{mute("type", about("agent.discovered")), "agent"},
		{mute("category", about("discovery", "custom")), "agent sensitive plain"},
		{mute("custom-type", about("custom.test")), "plain"},
		{mute("pipeline", about("pipeline")), "failing"},
		{mute("narrowed", about("discovery@payments", "threat@1702")), "threat"},
		{mute("collections", in("hr-assistants")), "agent sensitive"},
		{mute("key", incident("incident-agent")), "agent"},
		{mute("key-and-type", incident("incident-agent"), about("threat")), ""},
		{mute("key-of-pipeline", incident("incident-failing")), ""},
		{mute("key-of-pipeline-named", incident("incident-failing"), about("webhook.failing")), "failing"},
		{mute("filter", only(`level >= 4`)), "sensitive threat"},
		{mute("filter-missing-key", only(`data.shadow`)), "agent"},
		{mute("filter-broken", only(`nonsense ==`)), ""},
		{mute("over", during(-2*time.Hour, 0)), ""},
		{mute("to-come", during(time.Nanosecond, time.Hour)), ""},
		{mute("just-begun", during(0, 1)), "agent sensitive threat plain"},
		// Made by a store whose clock is ahead of ours: its author was told that it is in force.
		{mute("ahead", func(m *tocsin.Mute) { m.From = now.Add(time.Second); m.CreatedAt = m.From }), "agent sensitive threat plain"},
	}
	for _, tt := range tests {
		t.Run(tt.mute.ID, func(t *testing.T) {
			s := newStore(hook("all", events("discovery", "threat", "custom", "pipeline")))
			s.mutes = []tocsin.Mute{tt.mute}
			in, _ := start(t, s)
			var got []string
			for _, name := range []string{"agent", "sensitive", "threat", "plain", "failing"} {
				e := matchingEvents(t)[name]
				e.DedupKey = "incident-" + name
				if _, err := in.Submit(t.Context(), []tocsin.Event{e}); err != nil {
					t.Fatal(err)
				}
				owed := s.stored(t, e.ID).Owed
				if len(owed) != 1 {
					t.Fatalf("%s: owed %+v", name, owed)
				}
				if owed[0].Suppressed == "muted "+tt.mute.ID {
					got = append(got, name)
				}
				verdicts, err := in.Verdicts(t.Context(), e)
				if err != nil {
					t.Fatal(err)
				}
				if v := verdicts[0]; !v.Matched || (v.Mute == tt.mute.ID) != (owed[0].Suppressed != "") {
					t.Errorf("%s: verdict %+v, owed %+v", name, v, owed)
				}
			}
			if g := strings.Join(got, " "); g != tt.want {
				t.Errorf("got %q, want %q", g, tt.want)
			}
		})
	}
}

// A mute begins and ends on time although nobody tells ingest, and without reading the
// configuration again.
func TestMutesBeginAndEndOnTime(t *testing.T) {
	c := newClock()
	s := newStore(hook("all"))
	s.mutes = []tocsin.Mute{mute("later", during(time.Hour, 2*time.Hour))}
	in := startAt(t, s, c)
	for i, want := range []string{"", "muted mute_later", ""} {
		if _, err := in.Submit(t.Context(), custom(fmt.Sprint("e", i, "-"), 1)); err != nil {
			t.Fatal(err)
		}
		if owed := s.stored(t, fmt.Sprint("e", i, "-0")).Owed; owed[0].Suppressed != want {
			t.Errorf("after %d hours: %+v, want %q", i, owed, want)
		}
		c.move(time.Hour)
	}
	if s.lists != 1 {
		t.Errorf("the configuration was read %d times", s.lists)
	}
}

// A mute made through another process holds for the next event, and one that was ended
// no more.
func TestMutesOfOtherProcesses(t *testing.T) {
	s := newStore(hook("all"))
	in, _ := start(t, s)
	submit := func(id string) tocsin.Obligation {
		t.Helper()
		if _, err := in.Submit(t.Context(), custom(id, 1)); err != nil {
			t.Fatal(err)
		}
		return s.stored(t, id+"0").Owed[0]
	}
	if o := submit("a"); o.Suppressed != "" {
		t.Errorf("before: %+v", o)
	}
	s.mutes = []tocsin.Mute{mute("b"), mute("c")}
	s.configure(s.webhooks...)
	if o := submit("b"); o.Suppressed != "muted mute_b" {
		t.Errorf("muted: %+v", o)
	}
	s.mutes = nil
	s.configure(s.webhooks...)
	if o := submit("d"); o.Suppressed != "" {
		t.Errorf("after: %+v", o)
	}
}

func TestASuppressedEventRingsNobody(t *testing.T) {
	s := newStore(hook("quiet"), hook("loud"))
	s.mutes = []tocsin.Mute{mute("quiet", of("wh_quiet"))}
	in, _ := start(t, s)
	if _, err := in.Submit(t.Context(), custom("a", 1)); err != nil {
		t.Fatal(err)
	}
	in.Close()
	if diff := cmp.Diff([][]string{{"wh_loud"}}, s.rung); diff != "" {
		t.Error(diff)
	}
}

// repeat_after is the store's to decide; a muted event does not take part.
func TestRepeatAfterIsPassedOn(t *testing.T) {
	hourly := func(w *tocsin.Webhook) { w.RepeatAfter = tocsin.Duration(time.Hour) }
	s := newStore(hook("a", hourly), hook("b"), hook("c", hourly))
	s.mutes = []tocsin.Mute{mute("c", of("wh_c"))}
	in, _ := start(t, s)
	if _, err := in.Submit(t.Context(), custom("e", 1)); err != nil {
		t.Fatal(err)
	}
	want := []tocsin.Obligation{
		{WebhookID: "wh_a", RepeatAfter: time.Hour}, {WebhookID: "wh_b"}, {WebhookID: "wh_c", Suppressed: "muted mute_c"},
	}
	if diff := cmp.Diff(want, s.stored(t, "e0").Owed); diff != "" {
		t.Error(diff)
	}
	verdicts, err := in.Verdicts(t.Context(), s.stored(t, "e0").Event)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"repeat_after 1h: it is suppressed as a repeat when an event with the same dedup key and status was owed less than that before",
		"",
		"now it would be suppressed: mute mute_c by dana is in force until 2026-03-02T10:00:00Z (load test); repeat_after 1h: it is suppressed as a repeat when an event with the same dedup key and status was owed less than that before",
	} {
		if verdicts[i].Note != want {
			t.Errorf("%s: note %q, want %q", verdicts[i].Webhook, verdicts[i].Note, want)
		}
	}
}

// Of several mutes the one with the lowest id is named, whether it is of an incident or not.
func TestTheFirstOfSeveralMutesIsNamed(t *testing.T) {
	for _, mutes := range [][]tocsin.Mute{
		{mute("1", incident("k")), mute("2"), mute("3", in("x"))},
		{mute("1"), mute("2", incident("k"))},
		{mute("1", in("x")), mute("2")},
	} {
		s := newStore(hook("all"))
		s.mutes = mutes
		in, _ := start(t, s)
		e := custom("e", 1)
		e[0].DedupKey, e[0].Labels = "k", map[string]string{"collection": "x"}
		if _, err := in.Submit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if o := s.stored(t, "e0").Owed[0]; o.Suppressed != "muted mute_1" {
			t.Errorf("%+v: owed %+v", mutes, o)
		}
	}
}
