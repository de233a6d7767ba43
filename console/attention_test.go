package console

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

func hookOf(name string, adjust func(*hookView)) hookView {
	h := hookView{Facts: &hookFacts{}}
	h.ID, h.Name, h.Channel, h.State, h.Frequency = "wh_"+name, name, "webhook", tocsin.StateActive, tocsin.Instant
	adjust(&h)
	return h
}

func TestTheMostUrgentComesFirst(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	before := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	hooks := []hookView{
		hookOf("paused", func(h *hookView) { h.State, h.Balance.Pending = tocsin.StatePaused, 1 }),
		hookOf("calm", func(h *hookView) { h.Balance.Pending, h.Facts.OldestOwedAt = 1, before(4*time.Minute) }),
		hookOf("dead", func(h *hookView) { h.Balance.Dead = 2 }),
		hookOf("late", func(h *hookView) { h.Balance.Pending, h.Facts.OldestOwedAt = 7, before(time.Hour) }),
		hookOf("failing", func(h *hookView) {
			h.State, h.Facts.OldestOwedAt, h.FailingSince = tocsin.StateFailing, before(time.Hour), before(time.Hour)
		}),
		hookOf("disabled", func(h *hookView) { h.State = tocsin.StateDisabled }),
		hookOf("waits for its run", func(h *hookView) {
			h.Frequency, h.RunEvery, h.Facts.OldestOwedAt = tocsin.Periodic, tocsin.Duration(time.Hour), before(time.Hour)
		}),
		hookOf("backs off", func(h *hookView) {
			due := now.Add(time.Minute)
			h.Facts.OldestOwedAt, h.DueAt = before(time.Hour), &due
		}),
		hookOf("stumbles", func(h *hookView) { h.Balance.Pending, h.Failures = 1, 2 }),
	}
	wrong := balance{Difference: 2}
	var got []string
	for _, c := range concerns(hooks, wrong, []tocsin.Incident{{ID: "inc_1", Title: "open"}}, now) {
		got = append(got, c.Title)
	}
	want := "The ledger does not add up, disabled, failing, late, stumbles, dead, open, paused"
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
}

func TestManyConcernsAreCounted(t *testing.T) {
	var hooks []hookView
	for i := range 40 {
		hooks = append(hooks, hookOf(fmt.Sprint(i), func(h *hookView) { h.Balance.Dead = 1 }))
	}
	got := concerns(hooks, balance{}, nil, time.Now())
	if last := got[len(got)-1]; len(got) != maxConcerns+1 || last.Title != "And 28 more things" {
		t.Errorf("got %d, the last is %q", len(got), last.Title)
	}
}

func TestRatesAndSharesAreNotFlattered(t *testing.T) {
	for _, c := range []struct {
		attempts, failed int64
		want             string
	}{{0, 0, ""}, {1, 0, "100 %"}, {100_000, 1, "99.9 %"}, {3, 1, "66.6 %"}, {5, 5, "0 %"}} {
		if got := successOf(c.attempts, c.failed); got != c.want {
			t.Errorf("%d of %d failed: got %q, want %q", c.failed, c.attempts, got, c.want)
		}
	}
	now := time.Date(2026, 5, 1, 12, 0, 30, 0, time.UTC)
	a := activity{Now: now}
	for i, events := range []int64{999, 600, 300} {
		a.Spans = append(a.Spans, struct {
			Start time.Time `json:"start"`
			movement
		}{now.Truncate(time.Minute).Add(time.Duration(i-2) * time.Minute), movement{Events: events, Delivered: -5}})
	}
	if got := a.EventsNow() + " " + a.DeliveredNow(); got != "10 0" {
		t.Errorf("got %q a second", got)
	}
	if got := (activity{}).EventsNow(); got != "0" {
		t.Errorf("got %q of nothing", got)
	}
}

func TestEachPartOfABarCanBeSeen(t *testing.T) {
	s := stack{Title: "x", balance: balance{Balance: tocsin.Balance{Accepted: 1_000_003, Delivered: 1_000_000, Pending: 1, InFlight: 1, Dead: 1}}}
	if got := strings.Count(string(s.Bar()), `<rect class="share `); got != 4 {
		t.Errorf("got %d parts in %s", got, s.Bar())
	}
	var sum float64
	for i, w := range barWidths(s.shares()) {
		sum += w
		if visible := w >= barWide/100; visible != (s.shares()[i].Count > 0) {
			t.Errorf("%s: %v wide", s.shares()[i].Name, w)
		}
	}
	if sum < barWide-1 || sum > barWide+1 {
		t.Errorf("the parts are %v wide together", sum)
	}
	if widths := barWidths(stack{}.shares()); widths[0] != 0 {
		t.Errorf("nothing is %v wide", widths)
	}
}
