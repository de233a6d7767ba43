package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
)

// gate holds Append calls up until they are let through.
type gate struct {
	mu   sync.Mutex
	open bool
	some sync.Cond
}

func newGate() *gate {
	g := &gate{}
	g.some.L = &g.mu
	return g
}

func (g *gate) pass([]tocsin.NewEvent) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for !g.open {
		g.some.Wait()
	}
	return nil
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = true
	g.some.Broadcast()
}

// answers are what concurrent callers of Submit got, by name.
type answers struct {
	mu      sync.Mutex
	results map[string]ingest.Result
	errs    map[string]error
	wait    sync.WaitGroup
}

func (a *answers) submit(ctx context.Context, in *ingest.Ingest, name string, events []tocsin.Event) {
	a.wait.Go(func() {
		result, err := in.Submit(ctx, events)
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.results == nil {
			a.results, a.errs = map[string]ingest.Result{}, map[string]error{}
		}
		a.results[name], a.errs[name] = result, err
	})
}

func sizes(s *store) []int {
	var all []int
	for _, batch := range s.appends {
		all = append(all, len(batch))
	}
	slices.Sort(all)
	return all
}

func TestRequestsOfOneMomentShareACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newStore(hook("all")), newGate()
		in, _ := start(t, s)
		if _, err := in.Submit(t.Context(), custom("known-", 1)); err != nil {
			t.Fatal(err)
		}
		s.before = g.pass
		var a answers
		// A commit is under way; what comes meanwhile waits.
		a.submit(t.Context(), in, "first", custom("first-", 1))
		synctest.Wait()
		a.submit(t.Context(), in, "second", custom("second-", 2))
		synctest.Wait()
		for i := range 50 {
			events := append(custom(fmt.Sprintf("r%d-", i), 3), custom("known-", 1)...) // one duplicate each
			a.submit(t.Context(), in, fmt.Sprint(i), events)
		}
		synctest.Wait()
		g.release()
		a.wait.Wait()
		if diff := cmp.Diff([]int{1, 1, 202}, sizes(s)); diff != "" {
			t.Errorf("events in each commit: %s", diff)
		}
		for i := range 50 {
			name := fmt.Sprint(i)
			if got, want := a.results[name], (ingest.Result{Accepted: 3, Duplicates: 1}); got != want || a.errs[name] != nil {
				t.Errorf("request %s: %+v, %v", name, got, a.errs[name])
			}
		}
		in.Close()
	})
}

func TestGroupsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newStore(), newGate()
		s.before = g.pass
		in, _ := start(t, s)
		var a answers
		for i := range 2 {
			a.submit(t.Context(), in, fmt.Sprint("busy", i), custom(fmt.Sprintf("busy%d-", i), 1))
			synctest.Wait()
		}
		for i := range 4 {
			a.submit(t.Context(), in, fmt.Sprint(i), custom(fmt.Sprintf("r%d-", i), 3000))
			synctest.Wait()
		}
		g.release()
		a.wait.Wait()
		for _, n := range sizes(s) {
			if n > 5000 {
				t.Errorf("a commit of %d events", n)
			}
		}
		if len(s.events) != 2+4*3000 {
			t.Errorf("%d events are stored", len(s.events))
		}
		in.Close()
	})
}

// One request's poison fails that request alone.
func TestPoisonFailsOnlyItsOwnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newStore(), newGate()
		poison := errors.New("the database has no such character")
		s.before = func(batch []tocsin.NewEvent) error {
			_ = g.pass(batch)
			if slices.ContainsFunc(batch, func(n tocsin.NewEvent) bool { return n.Event.ID == "poison-0" }) {
				return poison
			}
			return nil
		}
		in, _ := start(t, s)
		var a answers
		for i := range 2 {
			a.submit(t.Context(), in, fmt.Sprint("busy", i), custom(fmt.Sprintf("busy%d-", i), 1))
			synctest.Wait()
		}
		a.submit(t.Context(), in, "before", custom("before-", 2))
		a.submit(t.Context(), in, "poison", custom("poison-", 2))
		a.submit(t.Context(), in, "after", custom("after-", 2))
		synctest.Wait()
		g.release()
		a.wait.Wait()
		if !errors.Is(a.errs["poison"], poison) || tocsin.CodeOf(a.errs["poison"]) != tocsin.CodeInternal {
			t.Errorf("poison: %v", a.errs["poison"])
		}
		for _, name := range []string{"before", "after"} {
			if a.errs[name] != nil || a.results[name].Accepted != 2 {
				t.Errorf("%s: %+v, %v", name, a.results[name], a.errs[name])
			}
		}
		if len(s.events) != 6 {
			t.Errorf("%d events are stored", len(s.events))
		}
		in.Close()
	})
}

// A commit that takes its time delays no large group, and after a moment nobody: what holds
// it up may be its own connection.
func TestAnotherCommitBeginsBesideOne(t *testing.T) {
	for name, begin := range map[string]func(ctx context.Context, a *answers, in *ingest.Ingest){
		"large": func(ctx context.Context, a *answers, in *ingest.Ingest) {
			a.submit(ctx, in, "second", custom("second-", 500))
		},
		"late": func(ctx context.Context, a *answers, in *ingest.Ingest) {
			time.Sleep(time.Second)
			a.submit(ctx, in, "second", custom("second-", 1))
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, g := newStore(), newGate()
			var calls atomic.Int64
			s.before = func(batch []tocsin.NewEvent) error {
				calls.Add(1)
				return g.pass(batch)
			}
			in, _ := start(t, s)
			var a answers
			a.submit(t.Context(), in, "first", custom("first-", 1))
			synctest.Wait()
			a.submit(t.Context(), in, "small", custom("small-", 1))
			synctest.Wait()
			if n := calls.Load(); n != 1 {
				t.Errorf("%s: %d commits with little to do", name, n)
			}
			begin(t.Context(), &a, in)
			synctest.Wait()
			if n := calls.Load(); n != 2 {
				t.Errorf("%s: %d commits, want 2", name, n)
			}
			g.release()
			a.wait.Wait()
			in.Close()
		})
	}
}

// A store that is away is everybody's problem at once, and is asked once.
func TestUnavailableIsNotTriedForEachRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newStore(), newGate()
		var calls int
		s.before = func(batch []tocsin.NewEvent) error {
			_ = g.pass(batch)
			s.mu.Lock()
			defer s.mu.Unlock()
			calls++
			return tocsin.Errorf(tocsin.CodeUnavailable, "writing: %w", net.ErrClosed)
		}
		in, _ := start(t, s)
		var a answers
		for i := range 12 {
			a.submit(t.Context(), in, fmt.Sprint(i), custom(fmt.Sprintf("r%d-", i), 1))
			synctest.Wait()
		}
		g.release()
		a.wait.Wait()
		for name, err := range a.errs {
			if tocsin.CodeOf(err) != tocsin.CodeUnavailable || !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if calls != 2 {
			t.Errorf("the store was asked %d times, want 2", calls)
		}
		in.Close()
	})
}

func TestOneCallerLeavingLeavesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newStore(), newGate()
		s.before = g.pass
		in, _ := start(t, s)
		under, leaveUnder := context.WithCancel(t.Context())
		waiting, leaveWaiting := context.WithCancel(t.Context())
		var a answers
		a.submit(under, in, "under way", custom("under-", 1))
		synctest.Wait()
		a.submit(t.Context(), in, "busy", custom("busy-", 1))
		synctest.Wait()
		a.submit(waiting, in, "waiting", custom("waiting-", 1))
		a.submit(t.Context(), in, "stays", custom("stays-", 1))
		synctest.Wait()
		leaveUnder()
		leaveWaiting()
		synctest.Wait()
		if !errors.Is(a.errs["under way"], context.Canceled) || !errors.Is(a.errs["waiting"], context.Canceled) {
			t.Errorf("those that left: %v", a.errs)
		}
		g.release()
		a.wait.Wait()
		if a.errs["stays"] != nil || a.results["stays"].Accepted != 1 {
			t.Errorf("the one that stayed: %+v, %v", a.results["stays"], a.errs["stays"])
		}
		in.Close()
		// What was under way is committed; what still waited is not.
		if _, ok := s.events["/test\x00under-0"]; !ok {
			t.Error("a commit under way was cancelled")
		}
		if _, ok := s.events["/test\x00waiting-0"]; ok {
			t.Error("a request whose caller had left was committed")
		}
	})
}

func TestCloseCommitsWhatWasSubmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newStore(hook("all")), newGate()
		s.before = g.pass
		in, c := start(t, s)
		var a answers
		for i := range 5 {
			a.submit(t.Context(), in, fmt.Sprint(i), custom(fmt.Sprintf("r%d-", i), 1))
			synctest.Wait()
		}
		var closed sync.WaitGroup
		closed.Go(in.Close)
		synctest.Wait()
		if _, err := in.Submit(t.Context(), custom("late-", 1)); tocsin.CodeOf(err) != tocsin.CodeUnavailable {
			t.Errorf("after Close: %v", err)
		}
		g.release()
		closed.Wait()
		a.wait.Wait()
		if len(s.events) != 5 || !slices.Equal(c.rung, []string{"wh_all"}) {
			t.Errorf("%d events are stored, rung %v, errors %v", len(s.events), c.rung, a.errs)
		}
	})
}

// An answered change holds for every event submitted later, to whichever process.
func TestStaleConfigurationIsMatchedAgain(t *testing.T) {
	s := newStore(hook("old"))
	in, _ := start(t, s)
	submit := func(id string) []tocsin.Obligation {
		t.Helper()
		if _, err := in.Submit(t.Context(), custom(id, 1)); err != nil {
			t.Fatal(err)
		}
		return s.stored(t, id+"0").Owed
	}
	if got := submit("a"); len(got) != 1 || got[0].WebhookID != "wh_old" {
		t.Errorf("before: %v", got)
	}
	s.configure(hook("new"))
	if got := submit("b"); len(got) != 1 || got[0].WebhookID != "wh_new" {
		t.Errorf("after: %v", got)
	}
	lists := s.lists
	submit("c")
	if s.lists != lists {
		t.Error("the configuration is read without need")
	}
}

func TestConfigurationThatKeepsChanging(t *testing.T) {
	s := newStore()
	var tries int
	s.before = func([]tocsin.NewEvent) error { tries++; s.configure(); return nil }
	in, _ := start(t, s)
	if _, err := in.Submit(t.Context(), custom("a", 1)); tocsin.CodeOf(err) != tocsin.CodeUnavailable {
		t.Errorf("got %v after %d tries", err, tries)
	}
	if len(s.events) != 0 {
		t.Error("something was stored")
	}
}
