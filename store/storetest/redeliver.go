package storetest

import (
	"fmt"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var redeliverCases = []testCase{
	{"a dead delivery is owed again", redeliverDead},
	{"a delivered one moves no bucket", redeliverDelivered},
	{"only the dead of a mixed one", redeliverMixed},
	{"only the dead of a split one, which ends in any way", redeliverSplit},
	{"a cancelled one", redeliverCancelled},
	{"what may not be delivered again", redeliverRefused},
	{"a delivered one that fails this time stays delivered", redeliverFails},
}

func (k *kit) redeliver(id string) tocsin.Delivery {
	k.t.Helper()
	d, err := k.s.Redeliver(k.ctx, id)
	k.ok(err)
	k.same("id", d.ID, id)
	k.same("state", d.State, tocsin.DeliveryReady)
	k.same("reason", d.Reason, "")
	k.same("finished", d.FinishedAt, (*time.Time)(nil))
	k.same("first attempt", d.FirstAttempt, (*time.Time)(nil))
	return d
}

func redeliverDead(k *kit) {
	w, f, c := k.claimed(3)
	id := c.Delivery.ID
	k.record(f, c, tocsin.DeliveryDead, func(o *tocsin.Outcome) { o.Reason = "400" })
	d := k.redeliver(id)
	k.same("stored", k.delivery(id), d)
	k.balance(w, tocsin.Balance{Accepted: 3, InFlight: 3})
	c = k.claim(f, id)
	k.same("attempt", c.Attempt, 2)
	k.same("events", ids(c.Events), numbered(0, 3))
	k.record(f, c, tocsin.DeliveryDelivered, nil)
	k.balance(w, tocsin.Balance{Accepted: 3, Delivered: 3})
	delivered := tocsin.Trace{Bucket: "delivered", DeliveryID: id}
	k.same("traces", k.buckets(w, 3), []tocsin.Trace{delivered, delivered, delivered})
}

func redeliverDelivered(k *kit) {
	w, f, c := k.claimed(3)
	id := c.Delivery.ID
	k.record(f, c, tocsin.DeliveryDelivered, nil)
	k.redeliver(id)
	want := tocsin.Balance{Accepted: 3, Delivered: 3}
	k.balance(w, want)
	open, _ := k.work(f)
	k.same("open", openIDs(open), []string{id})
	k.same("its incidents", len(open[0].DedupKeys), 3)
	c = k.claim(f, id)
	k.same("events", ids(c.Events), numbered(0, 3))
	k.balance(w, want)
	k.record(f, c, tocsin.DeliveryReady, nil)
	k.balance(w, want)
	k.record(f, k.claim(f, id), tocsin.DeliveryDelivered, nil)
	k.balance(w, want)
	k.same("owed", k.rest(f), false)
}

func redeliverMixed(k *kit) {
	w, f, c := k.claimed(4)
	id := c.Delivery.ID
	k.record(f, c, tocsin.DeliveryDelivered, func(o *tocsin.Outcome) { o.Dead = map[int]string{1: "bad", 3: "bad"} })
	k.redeliver(id)
	k.balance(w, tocsin.Balance{Accepted: 4, Delivered: 2, InFlight: 2})
	open, _ := k.work(f)
	k.same("its incidents", open[0].DedupKeys, []string{Event(1).DedupKey, Event(3).DedupKey})
	c = k.claim(f, id)
	k.same("events", ids(c.Events), []string{Event(1).ID, Event(3).ID})
	// Places are those of the events that were claimed.
	k.record(f, c, tocsin.DeliveryDelivered, func(o *tocsin.Outcome) { o.Dead = map[int]string{1: "still bad"} })
	k.balance(w, tocsin.Balance{Accepted: 4, Delivered: 3, Dead: 1})
	k.same("trace of the last", k.buckets(w, 4)[3], tocsin.Trace{Bucket: "dead", Reason: "still bad", DeliveryID: id})
	_, attempts, events, err := k.s.Delivery(k.ctx, id)
	k.ok(err)
	k.same("attempts", len(attempts), 2)
	k.same("all its events", ids(events), numbered(0, 4))
	k.redeliver(id)
	k.same("events", ids(k.claim(f, id).Events), []string{Event(3).ID})
}

// redeliverSplit: of six events the first was delivered, two are in a child, and the last
// three dead. Those alone go out again, and the child's stay with the child.
func redeliverSplit(k *kit) {
	cases := []struct {
		state  tocsin.DeliveryState
		adjust func(*tocsin.Outcome)
		want   tocsin.Balance // without the child's
	}{
		{tocsin.DeliveryDelivered, nil, tocsin.Balance{Delivered: 4}},
		{tocsin.DeliveryDelivered, func(o *tocsin.Outcome) { o.Dead = map[int]string{1: "bad"} }, tocsin.Balance{Delivered: 3, Dead: 1}},
		{tocsin.DeliveryDead, nil, tocsin.Balance{Delivered: 1, Dead: 3}},
		{tocsin.DeliveryReady, nil, tocsin.Balance{Delivered: 1, InFlight: 3}},
		{tocsin.DeliverySplit, func(o *tocsin.Outcome) {
			o.Dead, o.Children = map[int]string{0: "bad"}, halves([]int{2})
		}, tocsin.Balance{Delivered: 2, Dead: 1, InFlight: 1}},
		{tocsin.DeliveryCancelled, nil, tocsin.Balance{Delivered: 1, Suppressed: 3}},
	}
	for i, c := range cases {
		w := k.webhook(fmt.Sprint("w", i))
		k.owe(10*i, 6, w.ID)
		f := k.begin(w.ID).Fence
		id, child := k.plan(f, 6)[0], halves([]int{1, 2})
		k.record(f, k.claim(f, id), tocsin.DeliverySplit, func(o *tocsin.Outcome) {
			o.Children, o.Dead = child, map[int]string{3: "bad", 4: "bad", 5: "bad"}
		})
		k.balance(w, tocsin.Balance{Accepted: 6, Delivered: 1, InFlight: 2, Dead: 3})
		k.redeliver(id)
		k.balance(w, tocsin.Balance{Accepted: 6, Delivered: 1, InFlight: 5})
		again := k.claim(f, id)
		k.same("events sent again", ids(again.Events), numbered(10*i+3, 3))
		want := c.want.Add(tocsin.Balance{Accepted: 6, Delivered: 2})
		k.record(f, k.claim(f, child[0].ID), tocsin.DeliveryDelivered, nil)
		if c.state == tocsin.DeliveryCancelled {
			_, err := k.s.Discard(k.ctx, f, time.Time{}, tocsin.ReasonDiscarded, 10)
			k.ok(err)
		} else {
			k.record(f, again, c.state, c.adjust)
		}
		k.same("state", k.delivery(id).State, c.state)
		k.balance(w, want)
		if want.Dead == 0 && want.Suppressed == 0 {
			continue
		}
		open := want.InFlight
		k.redeliver(id)
		c := k.claim(f, id)
		k.same("events of its own that were not delivered", int64(len(c.Events)), want.Dead+want.Suppressed)
		k.record(f, c, tocsin.DeliveryDelivered, nil)
		k.balance(w, tocsin.Balance{Accepted: 6, Delivered: 6 - open, InFlight: open})
	}
}

func redeliverCancelled(k *kit) {
	w, f, c := k.claimed(2)
	id := c.Delivery.ID
	_, err := k.s.Discard(k.ctx, f, time.Time{}, "discarded", 10)
	k.ok(err)
	k.redeliver(id)
	k.balance(w, tocsin.Balance{Accepted: 2, InFlight: 2})
	k.record(f, k.claim(f, id), tocsin.DeliveryDelivered, nil)
	k.balance(w, tocsin.Balance{Accepted: 2, Delivered: 2})
}

func redeliverRefused(k *kit) {
	w := k.webhook("a")
	k.owe(0, 5, w.ID)
	f := k.begin(w.ID).Fence
	planned := k.plan(f, 1, 1, 2, 1)
	sending, dead := k.claim(f, planned[1]), k.claim(f, planned[3])
	k.record(f, k.claim(f, planned[2]), tocsin.DeliverySplit, func(o *tocsin.Outcome) { o.Children = halves([]int{0}, []int{1}) })
	for _, id := range []string{planned[0], sending.Delivery.ID, planned[2]} {
		_, err := k.s.Redeliver(k.ctx, id)
		k.code(err, tocsin.CodeConflict)
	}
	_, err := k.s.Redeliver(k.ctx, "dlv_unknown")
	k.is(err, tocsin.ErrNotFound)
	k.record(f, dead, tocsin.DeliveryDead, nil)
	_, err = k.s.SetState(k.ctx, w.ID, tocsin.StateDeleted, "")
	k.ok(err)
	_, err = k.s.Redeliver(k.ctx, planned[3])
	k.code(err, tocsin.CodeConflict)
	k.balance(w, tocsin.Balance{Accepted: 5, InFlight: 4, Dead: 1})
}

func redeliverFails(k *kit) {
	w, f, c := k.claimed(2)
	id := c.Delivery.ID
	want := tocsin.Balance{Accepted: 2, Delivered: 2}
	k.record(f, c, tocsin.DeliveryDelivered, nil)
	k.redeliver(id)
	children := halves([]int{0}, []int{1})
	k.record(f, k.claim(f, id), tocsin.DeliverySplit, func(o *tocsin.Outcome) { o.Children = children })
	k.balance(w, want)
	k.record(f, k.claim(f, children[0].ID), tocsin.DeliveryDead, nil)
	k.balance(w, want)
	n, err := k.s.Discard(k.ctx, f, time.Time{}, "discarded", 10)
	k.ok(err)
	k.same("settled", n, 1) // owed, though it moves no bucket
	k.balance(w, want)
	k.same("owed", k.rest(f), false)
	k.redeliver(children[0].ID)
	k.same("events", ids(k.claim(f, children[0].ID).Events), numbered(0, 1))
	k.balance(w, want)
}
