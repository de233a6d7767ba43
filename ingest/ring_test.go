package ingest_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/tocsin-alerts/tocsin/ingest"
)

func TestRingsThoseThatWereAsleep(t *testing.T) {
	s := newStore(hook("all"), hook("type", events("agent.discovered")), hook("awake"))
	s.awake["wh_awake"] = true
	in, c := start(t, s)
	if _, err := in.Submit(t.Context(), custom("a", 3)); err != nil {
		t.Fatal(err)
	}
	in.Close()
	if len(s.rung) != 1 || !slices.Equal(s.rung[0], []string{"wh_all", "wh_awake"}) {
		t.Errorf("the store was rung for %v", s.rung)
	}
	if !slices.Equal(c.rung, []string{"wh_all"}) {
		t.Errorf("signalled %v", c.rung)
	}
}

func TestDuplicatesRingNobody(t *testing.T) {
	s := newStore(hook("all"))
	in, _ := start(t, s)
	for range 2 {
		if _, err := in.Submit(t.Context(), custom("a", 1)); err != nil {
			t.Fatal(err)
		}
	}
	in.Close()
	if len(s.rung) != 1 {
		t.Errorf("the store was rung for %v", s.rung)
	}
}

// A doorbell that hangs delays no answer, and what comes meanwhile is one more ring.
func TestSlowRingDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newStore(hook("all")), newGate()
		s.ringing = func() error { return g.pass(nil) }
		in, c := start(t, s)
		for i := range 20 {
			if _, err := in.Submit(t.Context(), custom(fmt.Sprintf("r%d-", i), 1)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		g.release()
		in.Close()
		if len(s.rung) != 2 || len(c.rung) != 1 {
			t.Errorf("the store was rung %d times, want 2; signalled %v", len(s.rung), c.rung)
		}
	})
}

func TestFailingRingsFailNothing(t *testing.T) {
	s := newStore(hook("all"))
	s.ringing = func() error { return errors.New("the store is away") }
	in, c := start(t, s)
	if _, err := in.Submit(t.Context(), custom("a", 1)); err != nil {
		t.Error(err)
	}
	in.Close()
	if len(c.rung) != 0 {
		t.Errorf("signalled %v that were not marked", c.rung)
	}

	s = newStore(hook("all"))
	in, c = start(t, s)
	c.fail = errors.New("Temporal is away")
	if _, err := in.Submit(t.Context(), custom("a", 1)); err != nil {
		t.Error(err)
	}
	in.Close()
}

// A process that dies between commit and ring has stored everything, and rung nobody.
func TestBetweenCommitAndRing(t *testing.T) {
	s := newStore(hook("all"))
	in, _ := start(t, s)
	var stored, rung int
	ingest.SetAfterCommit(in, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		stored, rung = len(s.events), len(s.rung)
	})
	if _, err := in.Submit(t.Context(), custom("a", 2)); err != nil {
		t.Fatal(err)
	}
	if stored != 2 || rung != 0 {
		t.Errorf("%d events stored and %d rings at the hook, want 2 and 0", stored, rung)
	}
}
