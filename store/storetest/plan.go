package storetest

import (
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var planCases = []testCase{
	{"pending events come by number with what planning needs", pendingEvents},
	{"Plan freezes the rows named, in their order", planOrder},
	{"a range is not a set", notARange},
	{"all or nothing when a row is gone", planGone},
	{"Owed lists open deliveries in the order of planning", owedOrder},
	{"at most limit of each", owedLimit},
	{"webhooks do not see each other's work", owedApart},
	{"what is owed anew comes before a backlog", owedAnew},
}

func pendingEvents(k *kit) {
	w := k.webhook("a")
	e := Owe(Event(1))
	e.Owed = []tocsin.Obligation{{WebhookID: w.ID, BatchKey: "filter-9"}}
	MustAppend(k.t, k.s, e, Owe(Event(2), w.ID))
	_, pending := k.work(k.begin(w.ID).Fence)
	k.same("pending", len(pending), 2)
	first, err := k.s.Event(k.ctx, "storetest", Event(1).ID)
	k.ok(err)
	k.same("first", pending[0], tocsin.PendingEvent{
		Seq: first.Seq, Generation: pending[0].Generation, DedupKey: first.DedupKey, BatchKey: "filter-9",
		Bytes: len(first.Raw), OwedAt: first.ReceivedAt,
	})
	k.same("batch key of the second", pending[1].BatchKey, "")
	if pending[1].Seq <= pending[0].Seq {
		k.t.Fatalf("not ordered: %+v", pending)
	}
}

func planOrder(k *kit) {
	w := k.webhook("a")
	k.owe(0, 8, w.ID)
	f := k.begin(w.ID).Fence
	_, pending := k.work(f)
	picked := []tocsin.PendingEvent{pending[5], pending[1], pending[6]} // any order, as named
	id := tocsin.NewID(tocsin.PrefixDelivery)
	k.ok(k.tryPlan(f, []tocsin.NewDelivery{{ID: id, Events: picked}}))
	open, rest := k.work(f)
	k.same("rest", rest, []tocsin.PendingEvent{pending[0], pending[2], pending[3], pending[4], pending[7]})
	want := tocsin.OpenDelivery{
		Delivery:  tocsin.Delivery{ID: id, WebhookID: w.ID, State: tocsin.DeliveryReady, Count: 3, CreatedAt: open[0].CreatedAt},
		DedupKeys: []string{Event(5).DedupKey, Event(1).DedupKey, Event(6).DedupKey},
	}
	k.same("open", open, []tocsin.OpenDelivery{want})
	d, attempts, events, err := k.s.Delivery(k.ctx, id)
	k.ok(err)
	k.same("delivery", d, want.Delivery)
	k.same("attempts", len(attempts), 0)
	k.same("events", ids(events), []string{Event(5).ID, Event(1).ID, Event(6).ID})
	k.balance(w, tocsin.Balance{Accepted: 8, Pending: 5, InFlight: 3})
	k.ok(k.tryPlan(f, nil))
}

// notARange plans the outer of a window whose middle became visible later.
func notARange(k *kit) {
	w := k.webhook("a")
	k.owe(0, 6, w.ID)
	f := k.begin(w.ID).Fence
	_, pending := k.work(f)
	outer := []tocsin.PendingEvent{pending[0], pending[5]}
	k.ok(k.tryPlan(f, []tocsin.NewDelivery{{ID: tocsin.NewID(tocsin.PrefixDelivery), Events: outer}}))
	_, rest := k.work(f)
	k.same("those between", rest, pending[1:5])
}

func planGone(k *kit) {
	a, b := k.webhook("a"), k.webhook("b")
	k.owe(0, 5, a.ID)
	k.owe(5, 1, b.ID)
	f := k.begin(a.ID).Fence
	_, pending := k.work(f)
	_, others := k.work(k.begin(b.ID).Fence)
	wrong := pending[3]
	wrong.Generation += 7
	k.plan(f, 1) // takes pending[0]
	for name, gone := range map[string]tocsin.PendingEvent{
		"planned already": pending[0], "another webhook's": others[0], "another generation": wrong, "named twice": pending[1],
	} {
		k.t.Log(name)
		err := k.tryPlan(f, []tocsin.NewDelivery{
			{ID: tocsin.NewID(tocsin.PrefixDelivery), Events: pending[1:3]},
			{ID: tocsin.NewID(tocsin.PrefixDelivery), Events: []tocsin.PendingEvent{pending[4], gone}},
		})
		k.is(err, tocsin.ErrFenced)
		open, rest := k.work(f)
		k.same("open", len(open), 1)
		k.same("pending", rest, pending[1:])
	}
	k.balance(a, tocsin.Balance{Accepted: 5, Pending: 4, InFlight: 1})
}

func owedOrder(k *kit) {
	w := k.webhook("a")
	k.owe(0, 9, w.ID)
	f := k.begin(w.ID).Fence
	first := k.plan(f, 1, 2, 1)
	second := k.plan(f, 2, 1)
	open, pending := k.work(f)
	k.same("open", openIDs(open), slices.Concat(first, second))
	k.same("pending", len(pending), 2)
	k.claim(f, first[1]) // sending keeps its place
	open, _ = k.work(f)
	k.same("open while sending", openIDs(open), slices.Concat(first, second))
	k.same("state", open[1].State, tocsin.DeliverySending)
}

func owedLimit(k *kit) {
	w := k.webhook("a")
	k.owe(0, 9, w.ID)
	f := k.begin(w.ID).Fence
	planned := k.plan(f, 1, 2, 1)
	open, pending, err := k.s.Owed(k.ctx, f, time.Time{}, 2)
	k.ok(err)
	k.same("open", openIDs(open), planned[:2])
	k.same("pending", len(pending), 2)
	_, all := k.work(f)
	k.same("window", pending, all[:2])
}

func owedApart(k *kit) {
	a, b := k.webhook("a"), k.webhook("b")
	k.owe(0, 3, a.ID, b.ID)
	fa, fb := k.begin(a.ID).Fence, k.begin(b.ID).Fence
	id := k.plan(fa, 2)[0]
	open, pending := k.work(fb)
	k.same("open of b", len(open), 0)
	k.same("pending of b", len(pending), 3)
	_, err := k.tryClaim(fb, id)
	k.is(err, tocsin.ErrNotFound)
	k.balance(b, tocsin.Balance{Accepted: 3, Pending: 3})
}

// owedAnew drains a backlog in full windows while old events are owed again, by a replay
// and by an escalation: the next window begins with them, and the end is complete.
func owedAnew(k *kit) {
	const window = 10
	w := k.webhook("a")
	k.append(firing(1000, "x", w.ID, after(soon, w.ID)))
	k.owe(0, 8*window, w.ID)
	f := k.begin(w.ID).Fence
	drain := func() (seqs []int64) {
		k.t.Helper()
		_, pending, err := k.s.Owed(k.ctx, f, time.Time{}, window)
		k.ok(err)
		for _, p := range pending {
			seqs = append(seqs, p.Seq)
		}
		if len(pending) > 0 {
			k.ok(k.tryPlan(f, []tocsin.NewDelivery{{ID: tocsin.NewID(tocsin.PrefixDelivery), Events: pending}}))
		}
		return seqs
	}
	for range 4 {
		k.same("a full window", len(drain()), window)
	}
	first := k.incident("x")
	k.escalate(first, first.Steps[0], "")
	k.same("after an escalation, first", drain()[0], first.Seq)
	k.same("a full window", len(drain()), window)
	// Owed, not planned any more, and settled: only what is not owed is owed again.
	open, _, err := k.s.Owed(k.ctx, f, time.Time{}, window)
	k.ok(err)
	for _, o := range open[:2] {
		k.record(f, k.claim(f, o.ID), tocsin.DeliveryDelivered, nil)
	}
	again := k.reowed(1, 2)
	k.step(k.replay(w, tocsin.ReplayAll), tocsin.ReplayStep{Owe: again, Done: true})
	k.same("after a replay, first", drain()[:2], []int64{again[0].Seq, again[1].Seq})
	total := 0
	for n := len(drain()); n > 0; n = len(drain()) {
		total += n
	}
	k.same("the rest", total, 8*window+1+1+2-7*window)
}
