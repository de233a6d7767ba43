package sqlite_test

import (
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// TestSeriesByTime: what moved is in the span in which it did, folded or not, and no longer
// there than it is kept.
func TestSeriesByTime(t *testing.T) {
	begin := time.Date(2026, 1, 1, 9, 7, 30, 0, time.UTC)
	now := begin
	db := open(t, sqlite.Memory, sqlite.Options{Now: func() time.Time { return now }})
	w := storetest.MustCreate(t, db, "a")
	storetest.MustOwe(t, db, 0, 1, w.ID)
	if err := db.Fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	now = begin.Add(10 * time.Minute)
	storetest.MustOwe(t, db, 1, 2, w.ID)
	// accepted are the spans in which something was, by how long before now they began.
	accepted := func(window time.Duration) map[time.Duration]int64 {
		t.Helper()
		s, err := db.Series(t.Context(), w.ID, window)
		if err != nil {
			t.Fatal(err)
		}
		out := map[time.Duration]int64{}
		for _, span := range s.Spans {
			if span.Accepted != 0 {
				out[now.Sub(span.Start)] = span.Accepted
			}
		}
		return out
	}
	is := func(what string, got map[time.Duration]int64, want map[time.Duration]int64) {
		t.Helper()
		if len(got) != len(want) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
		for at, n := range want {
			if got[at] != n {
				t.Errorf("%s: got %v, want %v", what, got, want)
			}
		}
	}
	const half = 30 * time.Second
	is("in the hour", accepted(time.Hour), map[time.Duration]int64{10*time.Minute + half: 1, half: 2})
	is("in the day", accepted(24*time.Hour), map[time.Duration]int64{2*time.Minute + half: 2, 17*time.Minute + half: 1})
	if err := db.Fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	now = begin.Add(time.Hour)
	is("an hour later", accepted(time.Hour), map[time.Duration]int64{50*time.Minute + half: 2})
	for _, c := range []struct {
		after     time.Duration
		hour, day int // how many spans are left, seen from then
	}{{2 * time.Hour, 2, 2}, {4 * time.Hour, 0, 2}, {80 * time.Hour, 0, 0}} {
		now = begin.Add(c.after)
		if _, more, err := db.Prune(t.Context(), tocsin.Retention{}, 1); err != nil || more && c.after < 4*time.Hour {
			t.Fatalf("pruning: more %v, %v", more, err)
		}
		if _, more, err := db.Prune(t.Context(), tocsin.Retention{}, 100); err != nil || more {
			t.Fatalf("pruning: more %v, %v", more, err)
		}
		now = begin.Add(10 * time.Minute)
		if hour, day := accepted(time.Hour), accepted(24*time.Hour); len(hour) != c.hour || len(day) != c.day {
			t.Errorf("pruned after %v: got %v and %v, want %d and %d spans", c.after, hour, day, c.hour, c.day)
		}
	}
}
