package storetest

import (
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var discardCases = []testCase{
	{"pending first, then open deliveries, then nothing", discardAll},
	{"an attempt under way of a discarded delivery", discardSending},
	{"of one webhook only", discardOne},
}

func discardAll(k *kit) {
	w := k.webhook("a")
	k.owe(0, 9, w.ID)
	f := k.begin(w.ID).Fence
	planned := k.plan(f, 2, 2)
	n, err := k.s.Discard(k.ctx, f, time.Time{}, "webhook deleted", 3)
	k.ok(err)
	k.same("settled", n, 3)
	open, pending := k.work(f)
	k.same("pending", len(pending), 2)
	k.same("open while events are pending", openIDs(open), planned)
	k.balance(w, tocsin.Balance{Accepted: 9, Pending: 2, InFlight: 4, Suppressed: 3})
	total := n
	for calls := 0; n > 0; calls++ {
		if n, err = k.s.Discard(k.ctx, f, time.Time{}, "webhook deleted", 3); calls > 9 {
			k.t.Fatal("Discard never ends")
		}
		k.ok(err)
		total += n
	}
	k.same("settled in all", total, 9)
	k.balance(w, tocsin.Balance{Accepted: 9, Suppressed: 9})
	k.same("owed", k.rest(f), false)
	d := k.delivery(planned[0])
	k.same("state", d.State, tocsin.DeliveryCancelled)
	k.same("reason", d.Reason, "webhook deleted")
	if d.FinishedAt == nil {
		k.t.Fatal("a cancelled delivery is not finished")
	}
	for i, got := range k.buckets(w, 9) {
		want := tocsin.Trace{Bucket: "suppressed", Reason: "webhook deleted"}
		if i < 4 {
			want.DeliveryID = planned[i/2]
		}
		k.same("trace", got, want)
	}
}

func discardSending(k *kit) {
	w, f, c := k.claimed(2)
	n, err := k.s.Discard(k.ctx, f, time.Time{}, "discarded", 100)
	k.ok(err)
	k.same("settled", n, 2)
	k.record(f, c, tocsin.DeliveryDelivered, nil) // too late to count
	k.same("state", k.delivery(c.Delivery.ID).State, tocsin.DeliveryCancelled)
	_, attempts, _, err := k.s.Delivery(k.ctx, c.Delivery.ID)
	k.ok(err)
	k.same("outcome of the attempt", attempts[0].Outcome, "delivered")
	k.balance(w, tocsin.Balance{Accepted: 2, Suppressed: 2})
}

func discardOne(k *kit) {
	a, b := k.webhook("a"), k.webhook("b")
	k.owe(0, 3, a.ID, b.ID)
	n, err := k.s.Discard(k.ctx, k.begin(a.ID).Fence, time.Time{}, "discarded", 100)
	k.ok(err)
	k.same("settled", n, 3)
	k.balance(a, tocsin.Balance{Accepted: 3, Suppressed: 3})
	k.balance(b, tocsin.Balance{Accepted: 3, Pending: 3})
}
