package activities_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
)

// A webhook whose receiver is down, and somebody who asks for a run again and again: what
// waits longest is tried every other time, and what came later takes the turns between.
func TestAFailingWebhookTriesItsOldestDeliveryAgain(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s tocsin.Store) {
		r := newReceiver()
		r.answer = fails
		a := newActivities(s, r)
		w := newWebhook(t, s, nil)
		submit(t, s, w, "oldest")
		runs := func(n int) {
			t.Helper()
			for range n {
				if err := s.RunNow(t.Context(), w.ID); err != nil {
					t.Fatal(err)
				}
				deliver(t, a, w)
			}
		}
		runs(5)
		submit(t, s, w, "later")
		runs(2)
		submit(t, s, w, "latest")
		runs(14)
		var turns string
		for _, id := range r.ids()[5:] {
			turns += " " + id
		}
		want := " later oldest later oldest latest oldest latest oldest later oldest latest oldest later oldest latest oldest"
		if diff := cmp.Diff(want, turns); diff != "" {
			t.Errorf("after five failures of the oldest these were tried (-want +got):\n%s", diff)
		}
		r.answer = nil
		runs(1)
		if b := balance(t, s, w); b.Delivered != 3 {
			t.Errorf("ledger %+v, want all delivered when the receiver is back", b)
		}
	})
}
