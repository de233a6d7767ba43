package series_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/internal/series"
)

var noon = time.Date(2026, 11, 20, 12, 7, 30, 0, time.UTC)

func TestFrame(t *testing.T) {
	for window, want := range map[time.Duration]struct {
		n           int
		first, last string
	}{
		time.Hour:      {60, "2026-11-20T11:08:00Z", "2026-11-20T12:07:00Z"},
		24 * time.Hour: {96, "2026-11-19T12:15:00Z", "2026-11-20T12:00:00Z"},
	} {
		s, err := series.Frame(noon.In(time.FixedZone("elsewhere", 5*3600)), window)
		if err != nil {
			t.Fatal(err)
		}
		first, last := s.Spans[0].Start.Format(time.RFC3339), s.Spans[len(s.Spans)-1].Start.Format(time.RFC3339)
		if len(s.Spans) != want.n || first != want.first || last != want.last {
			t.Errorf("%v: got %d spans from %s to %s, want %+v", window, len(s.Spans), first, last, want)
		}
	}
	for _, window := range []time.Duration{0, -time.Hour, time.Minute, 48 * time.Hour} {
		if _, err := series.Frame(noon, window); tocsin.CodeOf(err) != tocsin.CodeInvalid {
			t.Errorf("%v: got %v, want code %q", window, err, tocsin.CodeInvalid)
		}
	}
}

func TestFill(t *testing.T) {
	s, err := series.Frame(noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	one := tocsin.Movement{Accepted: 1}
	for _, at := range []time.Duration{-2 * time.Hour, -59 * time.Minute, 0, time.Minute} {
		series.Fill(&s, noon.Truncate(time.Minute).Add(at), one)
	}
	got := map[int]int64{}
	for i, span := range s.Spans {
		if span.Accepted > 0 {
			got[i] = span.Accepted
		}
	}
	if diff := cmp.Diff(map[int]int64{0: 1, 59: 2}, got); diff != "" || s.Total.Accepted != 3 {
		t.Errorf("total %d; by span (-want +got):\n%s", s.Total.Accepted, diff)
	}
}

func TestRecent(t *testing.T) {
	minute := int32(noon.Unix() / 60)
	var a series.Attempts
	add := func(minute, took int32) { a = a.Then(series.Attempts{Minutes: []int32{minute}, Took: []int32{took}}) }
	if got := a.Recent(noon); got != (tocsin.Recent{}) {
		t.Errorf("of none: got %+v", got)
	}
	add(minute-24*60-1, 90_000)
	add(minute-24*60, 7)
	if got, want := a.Recent(noon), (tocsin.Recent{Attempts: 1, P50: 7 * time.Millisecond, P95: 7 * time.Millisecond}); got != want {
		t.Errorf("of one: got %+v, want %+v", got, want)
	}
	for ms := range int32(tocsin.RecentAttempts) {
		if ms%2 == 0 {
			ms = -1 - ms
		}
		add(minute, ms)
	}
	want := tocsin.Recent{Attempts: 200, Failed: 100, P50: 99 * time.Millisecond, P95: 189 * time.Millisecond}
	if got := a.Recent(noon); got != want {
		t.Errorf("of many: got %+v, want %+v", got, want)
	}
}
