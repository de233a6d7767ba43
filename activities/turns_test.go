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

// A run that is asked for while an attempt is under way, which began before the receiver was
// mended and fails after it: its backoff is older than the request, and does not hold it up.
func TestRunNowOutlivesTheFailureUnderWay(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*tocsin.Webhook){"instant": nil, "periodic": everyDay} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, s tocsin.Store) {
				r := newReceiver()
				a := newActivities(s, r)
				w := newWebhook(t, s, change)
				ask := func() {
					t.Helper()
					if err := s.RunNow(t.Context(), w.ID); err != nil {
						t.Error(err)
					}
				}
				sends := func(want int, why string) {
					t.Helper()
					before := len(r.notifications())
					deliver(t, a, w)
					if got := len(r.notifications()) - before; got != want {
						t.Fatalf("sent %d times, want %d: %s", got, want, why)
					}
				}
				submit(t, s, w, "1")
				ask()
				r.answer = func(n tocsin.Notification) (tocsin.Receipt, error) {
					ask()
					return fails(n)
				}
				sends(1, "it was asked for")
				r.answer = fails
				sends(1, "it was asked for meanwhile")
				sends(0, "one request is for one run")
				ask()
				sends(1, "it was asked for again")
				sends(0, "that was it")
				r.answer = func(n tocsin.Notification) (tocsin.Receipt, error) {
					ask()
					return fails(n)
				}
				ask()
				sends(1, "it was asked for")
				r.answer = nil
				sends(1, "the receiver is mended")
				if all, err := s.Activities(t.Context(), w.ID); err != nil || all[w.ID].DueAt != nil {
					t.Errorf("a backoff is left: %+v (%v)", all[w.ID], err)
				}
				if b := balance(t, s, w); b.Delivered != 1 {
					t.Errorf("ledger %+v, want it delivered", b)
				}
			})
		})
	}
}
