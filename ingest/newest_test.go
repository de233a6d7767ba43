package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
)

// slow is a store whose configuration takes a while to read.
type slow struct {
	*store
	fail error
}

func (s *slow) Configuration(ctx context.Context, known tocsin.Configuration) (tocsin.Configuration, error) {
	conf, err := s.store.Configuration(ctx, known)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		err = ctx.Err()
	}
	return conf, errors.Join(err, s.fail)
}

func (s *slow) EventBySeq(context.Context, int64) (tocsin.Event, error) {
	return severe("1", tocsin.SeverityHigh, tocsin.Firing), nil
}

// Incidents that are due together share what is read, and none of them goes by what was
// read before it asked.
func TestStepsThatAreDueTogetherShareTheConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{store: newStore(hook("pager", events("none")))}
		in, err := ingest.New(ingest.Config{Store: s, Conductor: &conductor{}, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		var wait sync.WaitGroup
		ask := func(want string) {
			wait.Go(func() {
				owed, _, err := in.Escalation(t.Context(), tocsin.Incident{Seq: 1}, "wh_pager")
				if err != nil || owed.WebhookID != "wh_pager" || want != "" && owed.Suppressed != want {
					t.Errorf("got %+v, %v", owed, err)
				}
			})
		}
		ask("")
		synctest.Wait() // it reads
		s.mu.Lock()
		s.mutes, s.revision = []tocsin.Mute{{ID: "mute_1", Until: now.Add(time.Hour)}}, 2
		s.mu.Unlock()
		for range 1000 {
			ask("muted mute_1")
		}
		wait.Wait()
		if s.lists != 2 {
			t.Errorf("the configuration was read %d times, want twice", s.lists)
		}
	})
}

// A read that failed is nobody else's answer, and who does not wait any longer reads
// nothing.
func TestSharedReadThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{store: newStore(hook("pager", events("none"))), fail: errors.New("the store is away")}
		in, err := ingest.New(ingest.Config{Store: s, Conductor: &conductor{}})
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		short, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		var wait sync.WaitGroup
		for range 5 {
			wait.Go(func() {
				if _, _, err := in.Escalation(short, tocsin.Incident{Seq: 1}, "wh_pager"); err == nil {
					t.Error("no error")
				}
			})
		}
		wait.Wait()
		if s.lists != 2 {
			t.Errorf("the configuration was read %d times, want twice", s.lists)
		}
	})
}

// stormy is a store in which every submission changes thousands of incidents.
type stormy struct{ *store }

func (s stormy) Append(ctx context.Context, revision int64, batch []tocsin.NewEvent) (tocsin.AppendResult, error) {
	result, err := s.store.Append(ctx, revision, batch)
	for n := range 10_000 {
		result.Incidents = append(result.Incidents, fmt.Sprint(n))
	}
	return result, err
}

// patient is a conductor that takes nearly as long as it may.
type patient struct{ conductor }

func (p *patient) Incidents(ctx context.Context, keys ...string) error {
	select {
	case <-time.After(9 * time.Second):
		return p.conductor.Incidents(ctx, keys...)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A process that is to stop does not tell of incidents for many minutes.
func TestClosingTellsNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &patient{}
		in, err := ingest.New(ingest.Config{Store: stormy{newStore(hook("all"))}, Conductor: c})
		if err != nil {
			t.Fatal(err)
		}
		header := http.Header{"Content-Type": {"application/json"}}
		if _, err := in.Receive(t.Context(), header, []byte(`{"id":"a","source":"/test","type":"custom.x"}`)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		in.Close()
		if took := time.Since(began); took > 10*time.Second || len(c.told) != 200 || !slices.Equal(c.rung, []string{"wh_all"}) {
			t.Errorf("it took %s, told %d incidents and rang %v", took, len(c.told), c.rung)
		}
	})
}
