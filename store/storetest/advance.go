package storetest

import (
	"encoding/json"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var advanceCases = []testCase{
	{"one step records, plans and claims", advanceAll},
	{"what is recorded and planned stands where nothing may be claimed", advanceRefused},
	{"what is recorded stands where nothing can be planned", advanceGone},
	{"a stale fence records a success, and does no more", advanceStale},
	{"what cannot be recorded undoes the step", advanceUnknown},
	{"a step taken again records once", advanceAgain},
	{"what an outcome says of the webhook holds for the claim after it", advanceOutcomes},
	{"no step is a look at the fence", advanceNothing},
	{"knowing the numbers of its events changes nothing of what is claimed", advanceKnown},
}

// planned makes the first n pending events a batch that is not planned yet.
func (k *kit) planned(f tocsin.Fence, n int) []tocsin.NewDelivery {
	k.t.Helper()
	_, pending := k.work(f)
	return []tocsin.NewDelivery{{ID: tocsin.NewID(tocsin.PrefixDelivery), Events: pending[:n]}}
}

// underWay prepares a webhook with a delivery of two events claimed and three more events
// pending, and a step that ends the one and goes on with the others.
func (k *kit) underWay() (tocsin.Webhook, tocsin.Fence, tocsin.Claimed, tocsin.Step) {
	k.t.Helper()
	w, f, c := k.claimed(2)
	k.owe(2, 3, w.ID)
	o, next := outcome(c, tocsin.DeliveryDelivered, nil), k.planned(f, 3)
	return w, f, c, tocsin.Step{Record: &o, Plan: next, Claim: next[0].ID}
}

// stands checks that the first delivery was recorded, and what became of the three events.
func (k *kit) stands(w tocsin.Webhook, c tocsin.Claimed, pending, inFlight int64) {
	k.t.Helper()
	k.same("state", k.delivery(c.Delivery.ID).State, tocsin.DeliveryDelivered)
	k.balance(w, tocsin.Balance{Accepted: 5, Delivered: 2, Pending: pending, InFlight: inFlight})
}

func advanceAll(k *kit) {
	w, f, c, step := k.underWay()
	next, err := k.s.Advance(k.ctx, f, step)
	k.ok(err)
	k.stands(w, c, 0, 3)
	k.same("claimed", next.Delivery, k.delivery(step.Claim))
	k.same("attempt", next.Attempt, 1)
	k.same("uncertain", next.Uncertain, false)
	k.same("events", ids(next.Events), numbered(2, 3))
	first := k.delivery(c.Delivery.ID)
	k.same("last delivery", k.activity(w.ID), tocsin.Activity{LastDelivery: first.FinishedAt})
	if next.At.Before(*first.FinishedAt) {
		k.t.Fatalf("claimed at %v, before the other ended at %v", next.At, first.FinishedAt)
	}
	k.record(f, next, tocsin.DeliveryDelivered, nil)
	k.balance(w, tocsin.Balance{Accepted: 5, Delivered: 5})
}

func advanceRefused(k *kit) {
	w, f, c, step := k.underWay()
	_, err := k.s.SetState(k.ctx, w.ID, tocsin.StatePaused, "")
	k.ok(err)
	none, err := k.s.Advance(k.ctx, f, step)
	k.is(err, tocsin.ErrVersion)
	k.same("claimed", none, tocsin.Claimed{})
	k.stands(w, c, 0, 3)
	k.same("attempts", k.delivery(step.Claim).Attempts, 0)

	_, err = k.s.SetState(k.ctx, w.ID, tocsin.StateActive, "")
	k.ok(err)
	f = k.begin(w.ID).Fence
	last := k.claim(f, step.Claim)
	o := outcome(last, tocsin.DeliveryDelivered, nil)
	_, err = k.s.Advance(k.ctx, f, tocsin.Step{Record: &o, Claim: c.Delivery.ID}) // which is closed
	k.is(err, tocsin.ErrNotFound)
	k.balance(w, tocsin.Balance{Accepted: 5, Delivered: 5})
}

func advanceGone(k *kit) {
	w, f, c, step := k.underWay()
	step.Plan[0].Events = append(step.Plan[0].Events, step.Plan[0].Events[0]) // named twice
	_, err := k.s.Advance(k.ctx, f, step)
	k.is(err, tocsin.ErrFenced)
	k.stands(w, c, 3, 0)
	open, _ := k.work(f)
	k.same("open", len(open), 0)
}

func advanceStale(k *kit) {
	w, f, c, step := k.underWay()
	now := k.begin(w.ID).Fence
	step.Record.State = tocsin.DeliveryReady
	_, err := k.s.Advance(k.ctx, f, step)
	k.is(err, tocsin.ErrFenced)
	k.same("state", k.delivery(c.Delivery.ID).State, tocsin.DeliverySending)
	k.balance(w, tocsin.Balance{Accepted: 5, Pending: 3, InFlight: 2})

	step.Record.State = tocsin.DeliveryDelivered
	_, err = k.s.Advance(k.ctx, f, step)
	k.is(err, tocsin.ErrFenced)
	k.stands(w, c, 3, 0)
	id := k.plan(now, 3)[0]
	step.Plan, step.Claim = nil, id
	_, err = k.s.Advance(k.ctx, f, step)
	k.is(err, tocsin.ErrFenced)
	k.same("attempts", k.delivery(id).Attempts, 0)
}

func advanceUnknown(k *kit) {
	w, f, _, step := k.underWay()
	step.Record.DeliveryID = "dlv_unknown"
	for _, adjust := range []func(){func() {}, func() { step.Record.Dead = map[int]string{0: "bad"} }, func() { step.Plan, step.Claim = nil, k.plan(f, 3)[0] }} {
		adjust()
		before := CheckLedger(k.t, k.s)[w.ID]
		_, err := k.s.Advance(k.ctx, f, step)
		k.is(err, tocsin.ErrNotFound)
		k.balance(w, before)
	}
	k.same("attempts", k.delivery(step.Claim).Attempts, 0)
}

// advanceAgain repeats steps, as after commits whose answers were lost.
func advanceAgain(k *kit) {
	w, f, c, step := k.underWay()
	_, err := k.s.Advance(k.ctx, f, step)
	k.ok(err)
	recorded := k.activity(w.ID)
	_, err = k.s.Advance(k.ctx, f, step)
	k.is(err, tocsin.ErrFenced) // planned already
	step.Plan = nil
	again, err := k.s.Advance(k.ctx, f, step)
	k.ok(err)
	k.same("attempt", again.Attempt, 2)
	k.same("uncertain", again.Uncertain, true)
	k.stands(w, c, 0, 3)
	k.same("activity", k.activity(w.ID), recorded)
}

func advanceOutcomes(k *kit) {
	w, f, c, step := k.underWay()
	o := outcome(c, tocsin.DeliveryReady, func(o *tocsin.Outcome) {
		o.Failed, o.Backoff, o.Refs = true, time.Hour, map[string]json.RawMessage{Event(2).DedupKey: json.RawMessage(`"PROJ-2"`)}
	})
	step.Record = &o
	next, err := k.s.Advance(k.ctx, f, step)
	k.ok(err)
	k.same("refs", next.Refs, o.Refs)
	k.same("failures", k.activity(w.ID).Failures, 1)
	k.same("state", k.delivery(c.Delivery.ID).State, tocsin.DeliveryReady)
	k.balance(w, tocsin.Balance{Accepted: 5, InFlight: 5})

	children := halves([]int{0, 1}, []int{2})
	o = outcome(next, tocsin.DeliverySplit, func(o *tocsin.Outcome) { o.Children = children })
	child, err := k.s.Advance(k.ctx, f, tocsin.Step{Record: &o, Claim: children[0].ID})
	k.ok(err)
	k.same("events of the child", len(child.Events), len(children[0].Places))

	o = outcome(child, tocsin.DeliveryReady, func(o *tocsin.Outcome) { o.WebhookState, o.WebhookReason = tocsin.StateDisabled, "410 Gone" })
	_, err = k.s.Advance(k.ctx, f, tocsin.Step{Record: &o, Claim: children[1].ID})
	k.is(err, tocsin.ErrVersion)
	got, err := k.s.Webhook(k.ctx, w.ID)
	k.ok(err)
	k.same("state of the webhook", got.State, tocsin.StateDisabled)
}

func advanceNothing(k *kit) {
	w := k.webhook("a")
	f := k.begin(w.ID).Fence
	_, err := k.s.Advance(k.ctx, f, tocsin.Step{})
	k.ok(err)
	k.begin(w.ID)
	_, err = k.s.Advance(k.ctx, f, tocsin.Step{})
	k.is(err, tocsin.ErrFenced)
}

// advanceKnown lets webhooks claim the same events, of which a store may keep those that it
// was asked for before, and asks for some of them again.
func advanceKnown(k *kit) {
	var all []string
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		all = append(all, k.webhook(name).ID)
	}
	k.owe(0, 3, all...)
	var want tocsin.Claimed
	for i, id := range all {
		f := k.begin(id).Fence
		next := k.planned(f, 3)
		var seqs []int64
		for _, e := range next[0].Events {
			seqs = append(seqs, e.Seq)
		}
		step := tocsin.Step{Plan: next, Claim: next[0].ID, ClaimSeqs: seqs}
		if i == 0 {
			step.ClaimSeqs = nil
		}
		c, err := k.s.Advance(k.ctx, f, step)
		k.ok(err)
		if i == 0 {
			want = c
		}
		k.same("events", c.Events, want.Events)
		k.same("generations", c.Generations, want.Generations)

		k.record(f, c, tocsin.DeliveryDelivered, func(o *tocsin.Outcome) { o.Dead = map[int]string{1: "no such field"} })
		_, err = k.s.Redeliver(k.ctx, c.Delivery.ID)
		k.ok(err)
		again, err := k.s.Advance(k.ctx, f, tocsin.Step{Claim: c.Delivery.ID, ClaimSeqs: seqs})
		k.ok(err)
		k.same("events of the second attempt", again.Events, want.Events[1:2])
		k.same("generations of the second attempt", len(again.Generations), 1)
	}
}
