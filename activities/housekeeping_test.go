package activities_test

import (
	"context"
	"errors"
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
