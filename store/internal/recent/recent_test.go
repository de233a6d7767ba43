package recent

import (
	"encoding/json"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
)

func event(seq int64) tocsin.Event {
	return tocsin.Event{Seq: seq, ID: "evt", Labels: map[string]string{"collection": "payments"}, Raw: json.RawMessage(`{}`)}
}

func TestAnEventIsKeptFromTheSecondTimeOn(t *testing.T) {
	var r Events
	for n, want := range []bool{false, false, true, true} {
		if got := r.Get([]int64{7}) != nil; got != want {
			t.Fatalf("after %d readings kept is %v", n, got)
		}
		r.Add([]tocsin.Event{event(7)})
	}
	if got, want := r.Get([]int64{7}), []tocsin.Event{event(7)}; !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
}

func TestAllOrNone(t *testing.T) {
	var r Events
	for range 2 {
		r.Add([]tocsin.Event{event(1), event(2)})
	}
	if got, want := r.Get([]int64{2, 1}), []tocsin.Event{event(2), event(1)}; !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
	for _, seqs := range [][]int64{nil, {}, {3}, {1, 2, 3}, {1 + places}} {
		if got := r.Get(seqs); got != nil {
			t.Errorf("Get(%v) = %v", seqs, got)
		}
	}
}

func TestNewerEventsTakeTheirPlaces(t *testing.T) {
	var r Events
	add := func(seq int64) {
		r.Add([]tocsin.Event{event(seq)})
		r.Add([]tocsin.Event{event(seq)})
	}
	add(1)
	add(1 + places)
	add(1) // of a webhook that lags behind
	if r.Get([]int64{1}) != nil || r.Get([]int64{1 + places}) == nil {
		t.Error("an older event took a newer one's place")
	}
}

func TestLargeEventsAreNotKept(t *testing.T) {
	var r Events
	for _, n := range []int{most, most + 1} {
		e := event(int64(n))
		e.Raw = make(json.RawMessage, n)
		for range 3 {
			r.Add([]tocsin.Event{e})
		}
		if got, want := r.Get([]int64{e.Seq}) != nil, n <= most; got != want {
			t.Errorf("%d bytes: kept is %v", n, got)
		}
	}
}

func TestWhatIsKeptIsNotTheCallersSlice(t *testing.T) {
	var r Events
	events := []tocsin.Event{event(1)}
	r.Add(events)
	r.Add(events)
	events[0].ID = "another"
	r.Get([]int64{1})[0].ID = "a third"
	if got := r.Get([]int64{1})[0].ID; got != "evt" {
		t.Error(got)
	}
}

func TestConcurrentUse(t *testing.T) {
	var r Events
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for seq := int64(1); seq < 3*places; seq += 100 {
				r.Add([]tocsin.Event{event(seq)})
				if got := r.Get([]int64{seq}); got != nil && got[0].Seq != seq {
					t.Errorf("asked for %d, got %d", seq, got[0].Seq)
				}
			}
		})
	}
	wg.Wait()
}

func TestNext(t *testing.T) {
	left := []tocsin.Event{event(3), event(1), event(2)}
	for _, seq := range []int64{3, 2} {
		if e, err := Next(&left, seq); err != nil || e.Seq != seq {
			t.Errorf("Next(%d) = %d, %v", seq, e.Seq, err)
		}
	}
	if _, err := Next(&left, 1); err == nil {
		t.Error("an event that was passed over is found")
	}
}
