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

// pruner is a store that has so many rounds of old things.
type pruner struct {
	tocsin.Store
	rounds int
	with   []tocsin.Retention
}

func (s *pruner) Prune(_ context.Context, r tocsin.Retention, limit int) (tocsin.Pruned, bool, error) {
	s.with = append(s.with, r)
	s.rounds--
	return tocsin.Pruned{Events: int64(limit), Keys: 1}, s.rounds > 0, nil
}

func TestPruneGoesOnUntilNothingIsLeft(t *testing.T) {
	t.Parallel()
	s := &pruner{rounds: 3}
	keep := tocsin.Retention{History: time.Hour, Keys: 2 * time.Hour}
	a := &activities.Activities{Store: s, Retention: keep}
	got, err := a.Prune(t.Context())
	if want := (activities.PruneResult{Pruned: tocsin.Pruned{Events: 3000, Keys: 3}}); err != nil || got != want {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
	if diff := cmp.Diff([]tocsin.Retention{keep, keep, keep}, s.with); diff != "" {
		t.Errorf("retention (-want +got):\n%s", diff)
	}
}

// The end of a mute is announced once, to the webhooks it is for and to those that name
// the type, and the mute itself does not suppress that.
func TestTheEndOfAMuteIsAnnouncedOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		muted := newWebhook(t, s, func(w *tocsin.Webhook) { w.Name = "muted" })
		named := newWebhook(t, s, func(w *tocsin.Webhook) { w.Name, w.Events = "named", []tocsin.Selector{{Type: "mute.ending"}} })
		newWebhook(t, s, func(w *tocsin.Webhook) { w.Name = "other" })
		a := newActivities(s, newReceiver())
		a.Submit = ingestInto(t, s)
		m, err := s.CreateMute(t.Context(), tocsin.Mute{
			ID: tocsin.NewID(tocsin.PrefixMute), WebhookIDs: []string{muted.ID, "wh_gone"}, Until: time.Now().Add(time.Hour), Author: "dana", Reason: "load test",
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.AnnounceMutes(t.Context()); err != nil || got.Announced != 0 {
			t.Errorf("announced %+v (%v) with more than a tenth of the time left", got, err)
		}
		short, err := s.CreateMute(t.Context(), tocsin.Mute{
			ID: tocsin.NewID(tocsin.PrefixMute), WebhookIDs: m.WebhookIDs, From: time.Now().Add(-100 * time.Hour), Until: time.Now().Add(30 * time.Minute), Author: "dana", Reason: "load test",
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []int{1, 0} {
			if got, err := a.AnnounceMutes(t.Context()); err != nil || got.Announced != want {
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

func TestStartReplaysWakesThoseThatRun(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		c := newRerun(t, s, nil)
		running, paused := c.create(tocsin.ReplayAll, 1), c.create(tocsin.ReplayDead, 0)
		if _, err := s.SetReplayState(t.Context(), paused, tocsin.ReplayPaused, ""); err != nil {
			t.Fatal(err)
		}
		c.step(c.create(tocsin.ReplayDead, 0)) // is done
		got, err := c.acts.StartReplays(t.Context())
		if err != nil || got.Running != 1 || !slices.Equal(c.conductor.replays, []string{running}) {
			t.Errorf("woke %v: %+v (%v), want %s", c.conductor.replays, got, err, running)
		}
	})
}

func TestRotateKeysAsksWhoHasThem(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	a := &activities.Activities{}
	if err := a.RotateKeys(t.Context()); err != nil {
		t.Errorf("without keys: %v", err)
	}
	a.RotateSigningKey = func(context.Context) error { return boom }
	if err := a.RotateKeys(t.Context()); !errors.Is(err, boom) {
		t.Errorf("got %v, want %v", err, boom)
	}
}
