package activities_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
)

// The end of a mute is announced once, to the webhooks it is for and to those that name
// the type, and the mute itself does not suppress that.
func TestTheEndOfAMuteIsAnnouncedOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		muted := newWebhook(t, s, func(w *tocsin.Webhook) { w.Name = "muted" })
		named := newWebhook(t, s, func(w *tocsin.Webhook) { w.Name, w.Events = "named", []tocsin.Selector{{Type: "mute.ending"}} })
		newWebhook(t, s, func(w *tocsin.Webhook) { w.Name = "other" })
		a := newActivities(s, newReceiver())
		a.Submit, a.Conductor = ingestInto(t, s), &conductor{}
		m, err := s.CreateMute(t.Context(), tocsin.Mute{
			ID: tocsin.NewID(tocsin.PrefixMute), WebhookIDs: []string{muted.ID, "wh_gone"}, Until: time.Now().Add(time.Hour), Author: "dana", Reason: "load test",
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.Sweep(t.Context()); err != nil || got.Mutes != 0 {
			t.Errorf("announced %+v (%v) with more than a tenth of the time left", got, err)
		}
		short, err := s.CreateMute(t.Context(), tocsin.Mute{
			ID: tocsin.NewID(tocsin.PrefixMute), WebhookIDs: m.WebhookIDs, From: time.Now().Add(-100 * time.Hour), Until: time.Now().Add(30 * time.Minute), Author: "dana", Reason: "load test",
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []int{1, 0} {
			if got, err := a.Sweep(t.Context()); err != nil || got.Mutes != want {
				t.Errorf("round %d announced %+v (%v), want %d", i, got, err, want)
			}
		}
		e, err := s.Event(t.Context(), "/tocsin", "mute.ending/"+short.ID)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(e.Data), `"webhooks":["muted"]`) || !strings.Contains(e.Summary, "dana: load test") || e.Severity != tocsin.SeverityInfo {
			t.Errorf("event is %s %s %s", e.Summary, e.Severity, e.Data)
		}
		traces, err := s.Traces(t.Context(), e.Seq)
		if err != nil {
			t.Fatal(err)
		}
		var owed []string
		for _, tr := range traces {
			if tr.Bucket == "pending" {
				owed = append(owed, tr.WebhookID)
			}
		}
		slices.Sort(owed)
		want := []string{muted.ID, named.ID}
		slices.Sort(want)
		if diff := cmp.Diff(want, owed); diff != "" {
			t.Errorf("owed to (-want +got):\n%s", diff)
		}
	})
}

// A replay that should have moved by now was forgotten; one that keeps its rate was not.
func TestSweepWakesForgottenReplays(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		c := newRerun(t, s, nil)
		forgotten, paused := c.create(tocsin.ReplayDead, 0), c.create(tocsin.ReplayDead, 0)
		c.create(tocsin.ReplayDead, 0.001)
		if _, err := s.SetReplayState(t.Context(), paused, tocsin.ReplayPaused, ""); err != nil {
			t.Fatal(err)
		}
		c.step(c.create(tocsin.ReplayDead, 0)) // is done
		if got, err := c.acts.Sweep(t.Context()); err != nil || got.Replays != 0 || len(c.conductor.replays) != 0 {
			t.Errorf("woke %v: %+v (%v), though all were created just now", c.conductor.replays, got, err)
		}
		c.acts.Grace = time.Nanosecond
		if got, err := c.acts.Sweep(t.Context()); err != nil || got.Replays != 1 || !slices.Equal(c.conductor.replays, []string{forgotten}) {
			t.Errorf("woke %v: %+v (%v), want %s", c.conductor.replays, got, err, forgotten)
		}
	})
}

// lame is a store of which one part of a sweep fails.
type lame struct {
	tocsin.Store
	part string
}

var errLame = errors.New("lame")

func (s lame) fails(part string) error {
	if part == s.part {
		return errLame
	}
	return nil
}

func (s lame) Fold(context.Context) error { return s.fails("fold") }

func (s lame) Overdue(context.Context, time.Duration, int) ([]string, error) {
	return []string{"wh_1", "wh_2"}, s.fails("overdue")
}

func (s lame) ListReplays(context.Context, tocsin.Page) ([]tocsin.Replay, string, error) {
	return []tocsin.Replay{{ID: "replay_1", State: tocsin.ReplayRunning}}, "", s.fails("replays")
}

func (s lame) MutesEnding(context.Context, time.Duration, int) ([]tocsin.Mute, error) {
	return []tocsin.Mute{{ID: "mute_1"}}, s.fails("mutes")
}

func (s lame) MuteNoticed(context.Context, string) error { return nil }

// Whatever part of a sweep fails, the others are done, and the error says what failed.
func TestSweepGoesOnWhenAPartFails(t *testing.T) {
	t.Parallel()
	s := stores["sqlite"](t)
	all := activities.SweepResult{Rung: 2, Replays: 1, Mutes: 1}
	for part, want := range map[string]activities.SweepResult{
		"": all, "fold": all, "overdue": {Replays: 1, Mutes: 1}, "replays": {Rung: 2, Mutes: 1}, "mutes": {Rung: 2, Replays: 1},
	} {
		a := newActivities(lame{s, part}, newReceiver())
		a.Conductor = &conductor{}
		got, err := a.Sweep(t.Context())
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("without %q (-want +got):\n%s", part, diff)
		}
		if (err != nil) != (part != "") || part != "" && !errors.Is(err, errLame) {
			t.Errorf("without %q: error %v", part, err)
		}
	}
}
