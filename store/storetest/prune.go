package storetest

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
)

var pruneCases = []testCase{
	{"Prune removes what is finished, and the ledger stays", pruneFinished},
	{"Prune leaves what is young, and what is kept for ever", pruneYoung},
	{"Prune passes what is still owed", pruneOwed},
	{"Prune gets past what is owed in many rounds", pruneRounds},
	{"Prune goes by its limit", pruneLimit},
	{"a delivery that is redelivered is not finished", pruneRedelivered},
	{"keys outlive their events, and never the other way round", pruneKeys},
	{"Prune removes old audit entries, replays and mutes", pruneAudit},
	{"Prune removes old references", pruneRefs},
	{"Prune beside everything else", pruneRace},
}

// atOnce is a retention after which everything that can go goes.
const atOnce = time.Nanosecond

var everythingOld = tocsin.Retention{History: atOnce, Keys: atOnce, Audit: atOnce, Refs: atOnce}

// now is the store's clock.
func (k *kit) now() time.Time {
	k.t.Helper()
	w, err := k.s.WebhookByName(k.ctx, "clock")
	if err != nil {
		k.is(err, tocsin.ErrNotFound)
		w = k.webhook("clock")
	}
	return k.begin(w.ID).Now
}

// laterThan waits until the store's clock is past a moment, and what it is rounded to.
func (k *kit) laterThan(t time.Time) {
	k.t.Helper()
	k.eventually("time passes", func() bool { return k.now().Sub(t) > 10*time.Microsecond })
}

// prune calls Prune until nothing is left, and checks that Prunable had said how much
// that would be. It returns the sum and how many calls it took.
func (k *kit) prune(r tocsin.Retention, limit int) (sum tocsin.Pruned, calls int) {
	k.t.Helper()
	k.laterThan(k.now())
	want, err := k.s.Prunable(k.ctx, r)
	k.ok(err)
	for more := true; more; calls++ {
		if calls > 500 {
			k.t.Fatalf("Prune has no end; so far %+v", sum)
		}
		var p tocsin.Pruned
		p, more, err = k.s.Prune(k.ctx, r, limit)
		k.ok(err)
		sum = sum.Add(p)
	}
	k.same("pruned, compared with Prunable", sum, want)
	return sum, calls
}

// gone checks that neither these deliveries nor events are there.
func (k *kit) gone(deliveries []string, events ...int) {
	k.t.Helper()
	for _, id := range deliveries {
		_, _, _, err := k.s.Delivery(k.ctx, id)
		k.is(err, tocsin.ErrNotFound)
	}
	for _, n := range events {
		_, err := k.s.Event(k.ctx, "storetest", Event(n).ID)
		k.is(err, tocsin.ErrNotFound)
	}
}

func pruneFinished(k *kit) {
	w, other := k.webhook("a"), k.webhook("b")
	k.owe(0, 14, w.ID)
	muted := Owe(Event(14), other.ID)
	muted.Owed[0].Suppressed = tocsin.MutedBy("mute_1")
	MustAppend(k.t, k.s, muted, Owe(Event(15)))
	f := k.begin(w.ID).Fence
	d := k.plan(f, 2, 2, 2, 4, 1, 1) // two stay pending
	k.record(f, k.claim(f, d[0]), tocsin.DeliveryReady, nil)
	k.record(f, k.claim(f, d[0]), tocsin.DeliveryDelivered, nil)
	k.record(f, k.claim(f, d[1]), tocsin.DeliveryDelivered, func(o *tocsin.Outcome) { o.Dead = map[int]string{1: "bad"} })
	k.record(f, k.claim(f, d[2]), tocsin.DeliveryDead, nil)
	children := halves([]int{2}, []int{3})
	k.record(f, k.claim(f, d[3]), tocsin.DeliverySplit, func(o *tocsin.Outcome) {
		o.Dead, o.Children = map[int]string{1: "bad"}, children
	})
	k.record(f, k.claim(f, children[0].ID), tocsin.DeliveryDelivered, nil)
	k.claim(f, d[4]) // sending, d[5] is ready
	before, beforeOther := CheckLedger(k.t, k.s)[w.ID], CheckLedger(k.t, k.s)[other.ID]
	k.same("balance before", before, tocsin.Balance{
		WebhookID: w.ID, Webhook: "a", Accepted: 14, Delivered: 5, Dead: 4, Pending: 2, InFlight: 3,
	})

	got, _ := k.prune(tocsin.Retention{History: atOnce}, 1000)
	k.same("pruned", got, tocsin.Pruned{Deliveries: 5, Attempts: 6, Suppressed: 1, Events: 11})
	k.gone([]string{d[0], d[1], d[2], d[3], children[0].ID}, 0, 1, 2, 3, 4, 5, 6, 7, 8, 14, 15)
	k.balance(w, before)
	k.balance(other, beforeOther)

	// What was open is there with its events and attempts, and can be finished.
	_, attempts, events, err := k.s.Delivery(k.ctx, d[4])
	k.ok(err)
	k.same("attempts of an open delivery", len(attempts), 1)
	k.same("events of an open delivery", ids(events), numbered(10, 1))
	open, pending := k.work(f)
	k.same("open", openIDs(open), []string{children[1].ID, d[4], d[5]})
	k.same("pending", len(pending), 2)
	for _, o := range open {
		k.record(f, k.claim(f, o.ID), tocsin.DeliveryDelivered, nil)
	}
	_, err = k.s.Discard(k.ctx, f, time.Time{}, tocsin.ReasonDiscarded, 10)
	k.ok(err)
	got, _ = k.prune(everythingOld, 1000)
	k.same("pruned in the end", got, tocsin.Pruned{Deliveries: 3, Attempts: 4, Suppressed: 2, Events: 5, Keys: 16})
	k.balance(w, tocsin.Balance{Accepted: 14, Delivered: 8, Dead: 4, Suppressed: 2})
}

func pruneYoung(k *kit) {
	w := k.webhook("a")
	k.owe(0, 3, w.ID)
	f := k.begin(w.ID).Fence
	d := k.plan(f, 2)
	k.record(f, k.claim(f, d[0]), tocsin.DeliveryDelivered, func(o *tocsin.Outcome) {
		o.Refs = map[string]json.RawMessage{"k": json.RawMessage(`1`)}
	})
	_, err := k.s.Discard(k.ctx, f, time.Time{}, tocsin.ReasonDiscarded, 10)
	k.ok(err)
	k.audit(tocsin.AuditEntry{Actor: "key a", Action: "webhook.create", Outcome: tocsin.AuditDone})
	for _, r := range []tocsin.Retention{{}, {History: time.Hour, Keys: time.Hour, Audit: time.Hour, Refs: time.Hour}, {Keys: atOnce}} {
		got, _ := k.prune(r, 10)
		k.same(fmt.Sprintf("pruned by %+v", r), got, tocsin.Pruned{})
	}
	k.delivery(d[0])
}

// pruneOwed has many events that are owed before the few that are not: those must be
// got past, and the calls must end.
func pruneOwed(k *kit) {
	w := k.webhook("a")
	k.owe(0, 40, w.ID)
	k.owe(40, 5)
	got, calls := k.prune(tocsin.Retention{History: atOnce, Keys: atOnce}, 2)
	k.same("pruned", got, tocsin.Pruned{Events: 5, Keys: 5})
	if calls > 30 {
		k.t.Fatalf("45 events took %d calls of 2", calls)
	}
	k.gone(nil, 40, 41, 42, 43, 44)
	f := k.begin(w.ID).Fence
	c := k.claim(f, k.plan(f, 40)[0])
	k.same("events of a delivery after pruning", ids(c.Events), numbered(0, 40))
	k.record(f, c, tocsin.DeliveryDelivered, nil)
	got, _ = k.prune(tocsin.Retention{History: atOnce, Keys: atOnce}, 7)
	k.same("pruned when they are delivered", got, tocsin.Pruned{Deliveries: 1, Attempts: 1, Events: 40, Keys: 40})
	k.balance(w, tocsin.Balance{Accepted: 40, Delivered: 40})
}

// pruneRounds stops calling before nothing is left, as who works in rounds does, and
// something finished comes up in each: what is behind much that is owed goes all the same.
func pruneRounds(k *kit) {
	const held = 60
	w := k.webhook("a")
	k.owe(0, held, w.ID)
	k.owe(held, 1)
	f := k.begin(w.ID).Fence
	for round := range 20 {
		k.owe(100+2*round, 2, w.ID)
		_, pending := k.work(f)
		for _, p := range pending[held:] {
			id := tocsin.NewID(tocsin.PrefixDelivery)
			k.ok(k.tryPlan(f, []tocsin.NewDelivery{{ID: id, Events: []tocsin.PendingEvent{p}}}))
			k.record(f, k.claim(f, id), tocsin.DeliveryDelivered, nil)
		}
		k.laterThan(k.now())
		for range 3 {
			_, _, err := k.s.Prune(k.ctx, tocsin.Retention{History: atOnce, Keys: atOnce}, 1)
			k.ok(err)
		}
		if _, err := k.s.Event(k.ctx, "storetest", Event(held).ID); err != nil {
			k.is(err, tocsin.ErrNotFound)
			if MustAppend(k.t, k.s, Owe(Event(held)))[0] == tocsin.AppendedNew { // its key is gone, too
				return
			}
		}
	}
	k.t.Fatal("after 20 rounds the event that nobody is owed is still there, or its key")
}

func pruneLimit(k *kit) {
	w := k.webhook("a")
	k.owe(0, 9, w.ID)
	f := k.begin(w.ID).Fence
	for _, id := range k.plan(f, 1, 1, 1, 1, 1, 1) {
		k.record(f, k.claim(f, id), tocsin.DeliveryDelivered, nil)
	}
	_, err := k.s.Discard(k.ctx, f, time.Time{}, tocsin.ReasonDiscarded, 10)
	k.ok(err)
	for range 6 {
		k.audit(tocsin.AuditEntry{Actor: "key a", Action: "webhook.create", Outcome: tocsin.AuditDone})
	}
	k.laterThan(k.now())
	first, more, err := k.s.Prune(k.ctx, everythingOld, 2)
	k.ok(err)
	if !more || max(first.Deliveries, first.Attempts, first.Suppressed, first.Events, first.Keys, first.Audit) > 2 {
		k.t.Fatalf("by a limit of 2: pruned %+v, more is left: %v", first, more)
	}
	CheckLedger(k.t, k.s)
	rest, _ := k.prune(everythingOld, 2)
	k.same("pruned", first.Add(rest), tocsin.Pruned{Deliveries: 6, Attempts: 6, Suppressed: 3, Events: 9, Keys: 9, Audit: 6})
	k.balance(w, tocsin.Balance{Accepted: 9, Delivered: 6, Suppressed: 3})
}

func pruneRedelivered(k *kit) {
	w := k.webhook("a")
	k.owe(0, 4, w.ID)
	f := k.begin(w.ID).Fence
	d := k.plan(f, 2, 2)
	for i, state := range []tocsin.DeliveryState{tocsin.DeliveryDelivered, tocsin.DeliveryDead} {
		k.record(f, k.claim(f, d[i]), state, nil)
		_, err := k.s.Redeliver(k.ctx, d[i])
		k.ok(err)
	}
	got, _ := k.prune(everythingOld, 10)
	k.same("pruned", got, tocsin.Pruned{})
	k.balance(w, tocsin.Balance{Accepted: 4, Delivered: 2, InFlight: 2})
	c := k.claim(f, d[0])
	k.same("events sent again", ids(c.Events), numbered(0, 2))
	k.record(f, c, tocsin.DeliveryDelivered, nil)
	k.prune(everythingOld, 10)
	k.gone(d[:1], 0, 1)
	_, err := k.s.Redeliver(k.ctx, d[0])
	k.is(err, tocsin.ErrNotFound)
	k.balance(w, tocsin.Balance{Accepted: 4, Delivered: 2, InFlight: 2})
}

func pruneKeys(k *kit) {
	w := k.webhook("a")
	k.owe(0, 3, w.ID)
	got, _ := k.prune(tocsin.Retention{Keys: atOnce}, 10)
	k.same("pruned while the events are there", got, tocsin.Pruned{})
	f := k.begin(w.ID).Fence
	k.record(f, k.claim(f, k.plan(f, 3)[0]), tocsin.DeliveryDelivered, nil)
	k.prune(tocsin.Retention{History: atOnce, Keys: time.Hour}, 10)
	k.gone(nil, 0, 1, 2)
	k.same("answers while the keys are there", MustAppend(k.t, k.s, Owe(Event(0), w.ID)), []tocsin.Appended{tocsin.AppendedDuplicate})
	got, _ = k.prune(tocsin.Retention{Keys: atOnce}, 10)
	k.same("pruned", got, tocsin.Pruned{Keys: 3})
	k.owe(0, 3, w.ID)
	k.balance(w, tocsin.Balance{Accepted: 6, Delivered: 3, Pending: 3})
}

func pruneAudit(k *kit) {
	w := k.webhook("a")
	for _, action := range []string{"webhook.create", "webhook.delete"} {
		k.audit(tocsin.AuditEntry{Actor: "key a", Action: action, Outcome: tocsin.AuditDone})
	}
	open := k.audit(tocsin.AuditEntry{Actor: "key a", Action: "webhook.update"})
	var replays, mutes []string
	for range 2 {
		r, err := k.s.CreateReplay(k.ctx, tocsin.Replay{ID: tocsin.NewID(tocsin.PrefixReplay), ReplaySelection: tocsin.ReplaySelection{WebhookID: w.ID, What: tocsin.ReplayDead}})
		k.ok(err)
		m, err := k.s.CreateMute(k.ctx, tocsin.Mute{ID: tocsin.NewID(tocsin.PrefixMute), DedupKey: "k", Until: k.now().Add(time.Hour), Author: "a"})
		k.ok(err)
		replays, mutes = append(replays, r.ID), append(mutes, m.ID)
	}
	_, err := k.s.SetReplayState(k.ctx, replays[0], tocsin.ReplayCancelled, "")
	k.ok(err)
	_, err = k.s.EndMute(k.ctx, mutes[0])
	k.ok(err)
	got, _ := k.prune(tocsin.Retention{History: atOnce, Audit: atOnce}, 10)
	k.same("pruned", got, tocsin.Pruned{Audit: 4})
	k.same("entries, of which one may still get its outcome", k.audited(everyEntry), []tocsin.AuditEntry{open})
	_, err = k.s.Replay(k.ctx, replays[0])
	k.is(err, tocsin.ErrNotFound)
	_, err = k.s.Mute(k.ctx, mutes[0])
	k.is(err, tocsin.ErrNotFound)
	_, err = k.s.Replay(k.ctx, replays[1]) // it still runs
	k.ok(err)
	_, err = k.s.Mute(k.ctx, mutes[1]) // it is still in force
	k.ok(err)
}

func pruneRefs(k *kit) {
	w := k.webhook("a")
	k.owe(0, 2, w.ID)
	f := k.begin(w.ID).Fence
	d := k.plan(f, 1, 1)
	k.record(f, k.claim(f, d[0]), tocsin.DeliveryReady, func(o *tocsin.Outcome) {
		o.Refs = map[string]json.RawMessage{Event(0).DedupKey: json.RawMessage(`"JIRA-1"`), "another": json.RawMessage(`2`)}
	})
	k.prune(tocsin.Retention{Refs: time.Hour}, 10)
	k.same("references", string(k.claim(f, d[0]).Refs[Event(0).DedupKey]), `"JIRA-1"`)
	got, _ := k.prune(tocsin.Retention{Refs: atOnce}, 1)
	k.same("pruned", got, tocsin.Pruned{Refs: 2})
	k.same("references after pruning", len(k.claim(f, d[0]).Refs), 0)
}

// pruneRace appends, delivers, redelivers and prunes at once.
func pruneRace(k *kit) {
	const rounds, size = 25, 4
	w := k.webhook("a")
	k.laterThan(k.now()) // makes the clock's webhook
	f := k.begin(w.ID).Fence
	revision, _, err := k.s.ListWebhooks(k.ctx)
	k.ok(err)
	fail := func(doing string, err error) {
		if err != nil {
			k.t.Errorf("%s: %v", doing, err)
		}
	}
	done := make(chan struct{})
	var work, pruners sync.WaitGroup
	for range 2 {
		pruners.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				_, _, err := k.s.Prune(k.ctx, everythingOld, 3)
				fail("pruning", err)
			}
		})
	}
	work.Go(func() {
		for n := range rounds {
			var batch []tocsin.NewEvent
			for i := range size {
				batch = append(batch, Owe(Event(n*size+i), w.ID))
			}
			_, err := k.s.Append(k.ctx, revision, batch)
			fail("appending", err)
		}
	})
	work.Go(func() { k.deliverAll(f, rounds*size, fail) })
	work.Wait()
	close(done)
	pruners.Wait()
	// A pass that went round often enough beside the others ends all the same, and leaves
	// what came free since to the next.
	for more := true; more; {
		_, more, err = k.s.Prune(k.ctx, everythingOld, 100)
		k.ok(err)
	}
	k.prune(everythingOld, 100)
	k.balance(w, tocsin.Balance{Accepted: rounds * size, Delivered: rounds * size})
	left, _, err := k.s.Events(k.ctx, tocsin.EventQuery{Page: tocsin.Page{Limit: 10}})
	k.ok(err)
	k.same("events", ids(left), []string{})
}

// deliverAll delivers until so many events were, and redelivers what is still there now
// and then.
func (k *kit) deliverAll(f tocsin.Fence, events int, fail func(string, error)) {
	for delivered := 0; delivered < events && !k.t.Failed(); {
		_, pending, err := k.s.Owed(k.ctx, f, time.Time{}, 3)
		fail("reading what is owed", err)
		if len(pending) == 0 {
			continue
		}
		id := tocsin.NewID(tocsin.PrefixDelivery)
		fail("planning", k.tryPlan(f, []tocsin.NewDelivery{{ID: id, Events: pending}}))
		for again := true; again; {
			c, err := k.tryClaim(f, id)
			fail("claiming", err)
			if diff := cmp.Diff(c.Delivery.Count, len(c.Events)); diff != "" {
				k.t.Errorf("events of an open delivery (-want +got):\n%s", diff)
			}
			fail("recording", k.tryRecord(f, outcome(c, tocsin.DeliveryDelivered, nil)))
			again = false
			if delivered%4 == 0 && c.Attempt < 3 {
				_, err := k.s.Redeliver(k.ctx, id)
				again = err == nil // it may be pruned already
			}
		}
		delivered += len(pending)
	}
}
