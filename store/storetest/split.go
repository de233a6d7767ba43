package storetest

import (
	"slices"

	"github.com/tocsin-alerts/tocsin"
)

var splitCases = []testCase{
	{"children take their parent's place", splitPlace},
	{"children, dead and delivered in one outcome", splitMixed},
	{"down to the single event", splitDown},
	{"delivered with children", deliveredWithChildren},
	{"a split that never committed leaves no child", splitFenced},
	{"accepted in part, of what was delivered before", splitAgain},
}

// halves returns children of the given places, with fresh ids.
func halves(places ...[]int) []tocsin.Child {
	var out []tocsin.Child
	for _, p := range places {
		out = append(out, tocsin.Child{ID: tocsin.NewID(tocsin.PrefixDelivery), Places: p})
	}
	return out
}

func splitPlace(k *kit) {
	w := k.webhook("a")
	k.owe(0, 10, w.ID)
	f := k.begin(w.ID).Fence
	planned := k.plan(f, 1, 4, 1)
	children := halves([]int{0, 1}, []int{2, 3})
	k.record(f, k.claim(f, planned[1]), tocsin.DeliverySplit, func(o *tocsin.Outcome) { o.Children, o.Reason = children, "413" })
	later := k.plan(f, 1)[0]
	open, _ := k.work(f)
	k.same("open", openIDs(open), []string{planned[0], children[0].ID, children[1].ID, planned[2], later})
	k.same("first child", open[1].Delivery, tocsin.Delivery{ID: children[0].ID, WebhookID: w.ID, State: tocsin.DeliveryReady,
		Parent: planned[1], Count: 2, CreatedAt: open[1].CreatedAt})
	k.same("its dedup keys", open[1].DedupKeys, []string{Event(1).DedupKey, Event(2).DedupKey})
	parent, attempts, events, err := k.s.Delivery(k.ctx, planned[1])
	k.ok(err)
	k.same("parent", []any{parent.State, parent.Reason, parent.Count, len(attempts)}, []any{tocsin.DeliverySplit, "413", 4, 1})
	k.same("events of the parent", ids(events), numbered(1, 4))
	c := k.claim(f, children[1].ID)
	k.same("events of the second child", ids(c.Events), numbered(3, 2))
	k.same("number of its attempt", c.Attempt, 1)
	k.balance(w, tocsin.Balance{Accepted: 10, Pending: 3, InFlight: 7})
	_, err = k.tryClaim(f, planned[1])
	k.is(err, tocsin.ErrNotFound)
}

func splitMixed(k *kit) {
	w, f, c := k.claimed(6)
	children := halves([]int{4}, []int{0, 5})
	k.record(f, c, tocsin.DeliverySplit, func(o *tocsin.Outcome) {
		o.Children, o.Dead = children, map[int]string{2: "no such field"}
	})
	k.balance(w, tocsin.Balance{Accepted: 6, Delivered: 2, Dead: 1, InFlight: 3})
	parent := c.Delivery.ID
	k.same("traces", k.buckets(w, 6), []tocsin.Trace{
		{Bucket: "in_flight", DeliveryID: children[1].ID}, {Bucket: "delivered", DeliveryID: parent},
		{Bucket: "dead", Reason: "no such field", DeliveryID: parent}, {Bucket: "delivered", DeliveryID: parent},
		{Bucket: "in_flight", DeliveryID: children[0].ID}, {Bucket: "in_flight", DeliveryID: children[1].ID},
	})
	if k.activity(w.ID).LastDelivery == nil {
		k.t.Fatal("a split with delivered events is no delivery")
	}
	c = k.claim(f, children[1].ID)
	k.same("events of a child", ids(c.Events), []string{Event(0).ID, Event(5).ID})
	k.record(f, c, tocsin.DeliveryDelivered, nil)
	k.record(f, k.claim(f, children[0].ID), tocsin.DeliveryDead, nil)
	k.balance(w, tocsin.Balance{Accepted: 6, Delivered: 4, Dead: 2})
}

// splitAgain sends a delivered delivery again, which fails and is then accepted in part:
// no bucket moves, and yet the receiver takes something.
func splitAgain(k *kit) {
	w, f, c := k.claimed(2)
	k.record(f, c, tocsin.DeliveryDelivered, nil)
	_, err := k.s.Redeliver(k.ctx, c.Delivery.ID)
	k.ok(err)
	k.record(f, k.claim(f, c.Delivery.ID), tocsin.DeliveryReady, func(o *tocsin.Outcome) { o.Failed = true })
	k.same("failures", k.activity(w.ID).Failures, 1)
	k.record(f, k.claim(f, c.Delivery.ID), tocsin.DeliverySplit, func(o *tocsin.Outcome) { o.Children = halves([]int{1}) })
	k.same("failures after the split", k.activity(w.ID).Failures, 0)
	k.balance(w, tocsin.Balance{Accepted: 2, Delivered: 2})
}

// splitDown halves a batch until the one event at fault is alone; the order of the
// open deliveries is that of the events at every step.
func splitDown(k *kit) {
	w, f, c := k.claimed(16)
	const fault = 11
	for len(c.Events) > 1 {
		mid := len(c.Events) / 2
		var places []int
		for i := range c.Events {
			places = append(places, i)
		}
		k.record(f, c, tocsin.DeliverySplit, func(o *tocsin.Outcome) { o.Children = halves(places[:mid], places[mid:]) })
		open, _ := k.work(f)
		var order []string
		next := ""
		for _, o := range open {
			_, _, events, err := k.s.Delivery(k.ctx, o.ID)
			k.ok(err)
			order = append(order, ids(events)...)
			if slices.Contains(ids(events), Event(fault).ID) {
				next = o.ID
			}
		}
		k.same("events in the order of open deliveries", order, numbered(0, 16))
		c = k.claim(f, next)
	}
	k.record(f, c, tocsin.DeliveryDead, nil)
	open, _ := k.work(f)
	for _, o := range open {
		k.record(f, k.claim(f, o.ID), tocsin.DeliveryDelivered, nil)
	}
	k.balance(w, tocsin.Balance{Accepted: 16, Delivered: 15, Dead: 1})
}

func deliveredWithChildren(k *kit) {
	w, f, c := k.claimed(3)
	again := halves([]int{1})
	k.record(f, c, tocsin.DeliveryDelivered, func(o *tocsin.Outcome) { o.Children = again })
	k.same("state", k.delivery(c.Delivery.ID).State, tocsin.DeliveryDelivered)
	k.balance(w, tocsin.Balance{Accepted: 3, Delivered: 2, InFlight: 1})
	k.record(f, k.claim(f, again[0].ID), tocsin.DeliveryDelivered, nil)
	k.balance(w, tocsin.Balance{Accepted: 3, Delivered: 3})
}

func splitFenced(k *kit) {
	w, old, c := k.claimed(2)
	f := k.begin(w.ID).Fence
	children := halves([]int{0}, []int{1})
	k.is(k.tryRecord(old, outcome(c, tocsin.DeliverySplit, func(o *tocsin.Outcome) { o.Children = children })), tocsin.ErrFenced)
	_, _, _, err := k.s.Delivery(k.ctx, children[0].ID)
	k.is(err, tocsin.ErrNotFound)
	open, _ := k.work(f)
	k.same("open", openIDs(open), []string{c.Delivery.ID})
}
