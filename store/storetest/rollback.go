package storetest

import (
	"testing"

	"github.com/tocsin-alerts/tocsin"
)

// ReplayStepsFail holds steps of replays to writing all or nothing. fail makes every
// such statement ("UPDATE ON deliveries") fail until heal is called.
func ReplayStepsFail(t *testing.T, s tocsin.Store, fail func(event string) (heal func())) {
	k := newKit(t, s)
	for from, c := range map[int]struct {
		what   tocsin.ReplayWhat
		state  tocsin.DeliveryState
		events []string
	}{
		0:   {tocsin.ReplayDead, dead, []string{"UPDATE ON deliveries", "INSERT ON ledger_deltas", "UPDATE ON replays"}},
		100: {tocsin.ReplayDelivered, delivered, []string{"UPDATE ON delivery_events", "UPDATE ON deliveries", "UPDATE ON replays"}},
		200: {tocsin.ReplayMissing, dead, []string{"INSERT ON pending", "INSERT ON ledger_deltas", "UPDATE ON replays"}},
	} {
		w, d := k.settled(string(c.what), from, c.state, c.state, delivered)
		k.owe(from+50, 2)
		r := k.replay(w, c.what)
		step := tocsin.ReplayStep{To: "1", Skipped: 1}
		if c.what.OfDeliveries() {
			step.Send = d[:2]
		} else {
			step.Owe = k.reowed(from+50, 2)
		}
		before := CheckLedger(t, s)
		for _, event := range c.events {
			heal := fail(event)
			if _, err := s.ReplayStep(k.ctx, r.ID, step); err == nil {
				t.Fatalf("%s: the step did not fail", event)
			}
			heal()
			stored, err := s.Replay(k.ctx, r.ID)
			k.ok(err)
			k.same("the replay after a failed "+event, stored, r)
			k.same("the ledger after a failed "+event, CheckLedger(t, s), before)
			open, pending := k.work(k.begin(w.ID).Fence)
			k.same("owed after a failed "+event, []int{len(open), len(pending)}, []int{0, 0})
			k.same("a delivery after a failed "+event, k.delivery(d[0]).State, c.state)
		}
		r = k.step(r, step)
		k.same("skipped once", r.Skipped, int64(1))
		k.same("the ledger after all", CheckLedger(t, s)[w.ID].Difference(), int64(0))
	}
}
