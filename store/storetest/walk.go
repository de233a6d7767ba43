package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// anyOrder takes random steps with three webhooks and checks the ledger after each.
// At the end everything that is still owed is delivered, and each obligation must be
// in exactly one bucket.
func anyOrder(k *kit) {
	for seed := range uint64(3) {
		k.t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := &walk{kit: &kit{t: t, s: k.s, ctx: k.ctx}, r: rand.New(rand.NewPCG(seed, 1)), from: int(seed) * 1e5, accepted: map[string]int64{}}
			w.next = w.from
			for i := range 3 {
				w.hooks = append(w.hooks, w.webhook(fmt.Sprintf("s%d-%d", seed, i)))
			}
			steps := []func(tocsin.Webhook){w.add, w.add, w.freeze, w.freeze, w.send, w.send, w.send, w.send, w.onward, w.onward, w.again, w.pause, w.drop, w.change,
				w.repeated, w.told, w.replayed, w.replayed, w.escalated, w.escalated, w.attended}
			if w.prunes = seed == 2; w.prunes {
				steps = append(steps, w.prune, w.prune)
			}
			for range 100 {
				steps[w.r.IntN(len(steps))](w.hooks[w.r.IntN(len(w.hooks))])
				w.check()
			}
			w.finish()
		})
	}
}

// walk is one random walk. It counts only what was accepted; where that went is for
// the ledger to know.
type walk struct {
	*kit
	r          *rand.Rand
	hooks      []tocsin.Webhook
	from, next int // numbers of its events
	accepted   map[string]int64
	deliveries []string // all that ever were
	prunes     bool     // obligations that are settled may be gone
}

func (w *walk) check() {
	w.t.Helper()
	balances := CheckLedger(w.t, w.s)
	for _, h := range w.hooks {
		w.same("accepted by "+h.Name, balances[h.ID].Accepted, w.accepted[h.ID])
		w.agrees(h.Name, w.series(h.ID, time.Hour).Total, balances[h.ID])
	}
}

// add appends a few events, some known, some for all webhooks, some suppressed.
func (w *walk) add(hook tocsin.Webhook) {
	var batch []tocsin.NewEvent
	for range 1 + w.r.IntN(8) {
		n := w.next
		if w.next > w.from && w.r.IntN(5) == 0 {
			n = w.from + w.r.IntN(w.next-w.from)
		} else {
			w.next++
		}
		e := Owe(Event(n), hook.ID)
		if w.r.IntN(3) == 0 {
			e = Owe(Event(n), w.hooks[0].ID, w.hooks[1].ID, w.hooks[2].ID)
		}
		if w.r.IntN(6) == 0 {
			e.Owed[0].Suppressed = "repeat"
		}
		batch = append(batch, e)
	}
	for i, answer := range MustAppend(w.t, w.s, batch...) {
		for _, o := range batch[i].Owed {
			if answer == tocsin.AppendedNew {
				w.accepted[o.WebhookID]++
			}
		}
	}
}

// freeze plans some of the pending events in random batches, not all in order.
func (w *walk) freeze(hook tocsin.Webhook) {
	f := w.begin(hook.ID).Fence
	_, pending := w.work(f)
	pending = shuffled(w.r, pending)
	var batches []tocsin.NewDelivery
	for len(pending) > 2 && len(batches) < 3 {
		n := 1 + w.r.IntN(min(5, len(pending)))
		id := tocsin.NewID(tocsin.PrefixDelivery)
		batches, pending = append(batches, tocsin.NewDelivery{ID: id, Events: pending[:n]}), pending[n:]
		w.deliveries = append(w.deliveries, id)
	}
	w.ok(w.tryPlan(f, batches))
}

// send claims one open delivery and ends the attempt in a random way.
func (w *walk) send(hook tocsin.Webhook) {
	f := w.begin(hook.ID).Fence
	open, _ := w.work(f)
	if len(open) == 0 {
		return
	}
	c, err := w.tryClaim(f, open[w.r.IntN(len(open))].ID)
	if errors.Is(err, tocsin.ErrVersion) {
		return // paused
	}
	w.ok(err)
	if w.r.IntN(8) == 0 {
		return // the process dies here
	}
	states := []tocsin.DeliveryState{tocsin.DeliveryDelivered, tocsin.DeliveryDelivered, tocsin.DeliveryDead, tocsin.DeliverySplit, tocsin.DeliveryReady}
	state := states[w.r.IntN(len(states))]
	o := outcome(c, state, func(o *tocsin.Outcome) {
		if state == tocsin.DeliveryDelivered || state == tocsin.DeliverySplit {
			w.scatter(o, len(c.Events), state == tocsin.DeliverySplit)
		}
	})
	w.ok(w.tryRecord(f, o))
	if w.r.IntN(3) == 0 {
		w.ok(w.tryRecord(f, o))
	}
}

// onward sends one delivery after the other, recording each with the claim of the next and
// now and then with a plan.
func (w *walk) onward(hook tocsin.Webhook) {
	f := w.begin(hook.ID).Fence
	var step tocsin.Step
	for range 1 + w.r.IntN(4) {
		open, pending := w.work(f)
		step.Plan, step.Claim = nil, ""
		if len(open) > 0 && w.r.IntN(4) > 0 {
			step.Claim = open[w.r.IntN(len(open))].ID // the one that is recorded, perhaps
		}
		if len(pending) > 0 && w.r.IntN(2) == 0 {
			id := tocsin.NewID(tocsin.PrefixDelivery)
			step.Plan = []tocsin.NewDelivery{{ID: id, Events: pending[:1+w.r.IntN(len(pending))]}}
			step.Claim, w.deliveries = id, append(w.deliveries, id)
		}
		c, err := w.s.Advance(w.ctx, f, step)
		if !errors.Is(err, tocsin.ErrVersion) && !errors.Is(err, tocsin.ErrNotFound) {
			w.ok(err)
		}
		w.check()
		if step.Record = nil; c.Attempt > 0 {
			o := outcome(c, tocsin.DeliveryDelivered, nil)
			step.Record = &o
		}
	}
}

// scatter gives each place a fate: delivered, dead, or one of two children.
func (w *walk) scatter(o *tocsin.Outcome, n int, split bool) {
	o.Dead = map[int]string{}
	var places [2][]int
	for i := range n {
		switch fate := w.r.IntN(5); {
		case fate == 0:
			o.Dead[i] = "bad"
		case fate < 3 && split:
			places[fate-1] = append(places[fate-1], i)
		}
	}
	for _, p := range places {
		if len(p) > 0 {
			children := halves(p)
			o.Children = append(o.Children, children...)
			w.deliveries = append(w.deliveries, children[0].ID)
		}
	}
}

// again redelivers any delivery that may be.
func (w *walk) again(tocsin.Webhook) {
	if len(w.deliveries) == 0 {
		return
	}
	_, err := w.s.Redeliver(w.ctx, w.deliveries[w.r.IntN(len(w.deliveries))])
	if err != nil && !(w.prunes && errors.Is(err, tocsin.ErrNotFound)) {
		w.code(err, tocsin.CodeConflict)
	}
}

// pause pauses or resumes.
func (w *walk) pause(hook tocsin.Webhook) {
	to := []tocsin.State{tocsin.StatePaused, tocsin.StateActive}[w.r.IntN(2)]
	_, err := w.s.SetState(w.ctx, hook.ID, to, "")
	w.ok(err)
}

// change stores another configuration while a Deliver is under way.
func (w *walk) change(hook tocsin.Webhook) {
	f := w.begin(hook.ID).Fence
	stored, err := w.s.Webhook(w.ctx, hook.ID)
	w.ok(err)
	_, err = w.s.UpdateWebhook(w.ctx, stored)
	w.ok(err)
	if open, _ := w.work(f); len(open) > 0 {
		_, err = w.tryClaim(f, open[0].ID)
		w.is(err, tocsin.ErrVersion)
	}
}

func (w *walk) drop(hook tocsin.Webhook) {
	_, err := w.s.Discard(w.ctx, w.begin(hook.ID).Fence, time.Time{}, "discarded", 1+w.r.IntN(6))
	w.ok(err)
}

// finish delivers everything that is owed, and then looks for every obligation.
func (w *walk) finish() {
	places := map[string]int64{}
	for _, h := range w.hooks {
		_, err := w.s.SetState(w.ctx, h.ID, tocsin.StateActive, "")
		w.ok(err)
		f := w.begin(h.ID).Fence
		for _, pending := w.work(f); len(pending) > 0; _, pending = w.work(f) {
			w.plan(f, min(20, len(pending)))
		}
		w.deliverOpen(f)
		w.same("owed", w.rest(f), false)
		w.revive(h, f)
	}
	// Replays reach the events of other walks, too.
	for _, id := range w.events(tocsin.EventQuery{Page: tocsin.Page{Limit: 1000}}) {
		e, err := w.s.Event(w.ctx, "storetest", id)
		w.ok(err)
		traces, err := w.s.Traces(w.ctx, e.Seq)
		w.ok(err)
		for _, tr := range traces {
			places[tr.WebhookID]++
			if tr.Bucket == "pending" || tr.Bucket == "in_flight" {
				w.t.Fatalf("event %s is still %s: %+v", id, tr.Bucket, tr)
			}
		}
	}
	for _, h := range w.hooks {
		if !w.prunes {
			w.same("obligations of "+h.Name, places[h.ID], w.accepted[h.ID])
		}
		got := CheckLedger(w.t, w.s)[h.ID]
		w.same("still owed by "+h.Name, got.Pending+got.InFlight, int64(0))
	}
}

func (w *walk) deliverOpen(f tocsin.Fence) {
	for open, _ := w.work(f); len(open) > 0; open, _ = w.work(f) {
		for _, o := range open {
			w.record(f, w.claim(f, o.ID), tocsin.DeliveryDelivered, nil)
		}
	}
}

// revive replays what is dead: every dead event is within its reach, unless it was pruned.
func (w *walk) revive(hook tocsin.Webhook, f tocsin.Fence) {
	r := w.replay(hook, tocsin.ReplayDead)
	dead := w.candidates(r.ReplaySelection, 5)
	w.step(r, tocsin.ReplayStep{Send: dead, Done: true})
	w.check()
	w.deliverOpen(f)
	w.check()
	if !w.prunes {
		w.same("dead after a replay", CheckLedger(w.t, w.s)[hook.ID].Dead, int64(0))
	}
	w.same("left for a replay", w.candidates(w.replay(hook, tocsin.ReplayDead).ReplaySelection, 5), []string{})
}

// prune removes some of what is settled, or all of it.
func (w *walk) prune(tocsin.Webhook) {
	if w.r.IntN(3) == 0 {
		w.kit.prune(everythingOld, 1000)
		return
	}
	_, _, err := w.s.Prune(w.ctx, everythingOld, 1+w.r.IntN(5))
	w.ok(err)
}
