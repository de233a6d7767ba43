package storetest

import (
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// Upgraded holds a store that was made by the first version of the schema, and has just
// been migrated, to what it kept: wh_a owes the event "old", with the fence number 7 and
// three failures in a row; for wh_b it is dead in dlv_b. since is a time before all that.
func Upgraded(t *testing.T, s tocsin.Store, since time.Time) {
	k := newKit(t, s)
	a, err := s.Webhook(k.ctx, "wh_a")
	k.ok(err)
	b, err := s.Webhook(k.ctx, "wh_b")
	k.ok(err)
	k.balance(a, tocsin.Balance{Accepted: 1, Pending: 1})
	k.balance(b, tocsin.Balance{Accepted: 1, Dead: 1})
	l := k.begin("wh_a")
	k.same("fence and failures", []int64{l.Number, int64(l.Failures), int64(l.Announced)}, []int64{8, 3, 0})
	if l.FailingSince == nil || l.FailingSince.Before(since) {
		t.Fatalf("failing since %v: disable_after counts from the upgrade", l.FailingSince)
	}
	k.same("failing since, of one that does not", k.activity("wh_b").FailingSince, (*time.Time)(nil))
	k.record(l.Fence, k.claim(l.Fence, k.plan(l.Fence, 1)[0]), delivered, nil)
	k.same("failing since, after a success", k.activity("wh_a").FailingSince, (*time.Time)(nil))

	again := k.replay(b, tocsin.ReplayDead)
	c, err := s.ReplayCandidates(k.ctx, again.ReplaySelection, "", 10)
	k.ok(err)
	k.same("dead", len(c.Deliveries), 1)
	k.step(again, tocsin.ReplayStep{Send: []string{c.Deliveries[0].ID}, Done: true})
	k.balance(b, tocsin.Balance{Accepted: 1, InFlight: 1})
	k.same("what the vendor calls it", string(k.claim(k.begin("wh_b").Fence, "dlv_b").Refs["incident"]), `"ts"`)
	keys, err := s.ListKeys(k.ctx)
	k.ok(err)
	k.same("keys", len(keys), 1)
	MustOwe(t, s, 0, 3, "wh_a")
	k.balance(a, tocsin.Balance{Accepted: 4, Delivered: 1, Pending: 3})

	k.same("incidents", k.unattended(0, 10), []string{})
	k.append(firing(3, "incident", "wh_a", after(soon, "wh_b")), firing(4, "next", "wh_a", after(0, "wh_b")))
	i, _, err := s.Attend(k.ctx, tocsin.IncidentKey("incident"))
	k.ok(err)
	k.escalate(i, i.Steps[0], "")
	k.append(resolving(5, "incident", "wh_b"))
	k.balance(a, tocsin.Balance{Accepted: 6, Delivered: 1, Pending: 5})
	k.balance(b, tocsin.Balance{Accepted: 4, InFlight: 1, Pending: 3})
}

// StaleFailingSince holds a store to this: since when a webhook fails counts from the
// first failure after a success, also when stale has put an old moment there, with no
// failure, as programs do that do not know of it.
func StaleFailingSince(t *testing.T, s tocsin.Store, stale func(webhookID string)) {
	k := newKit(t, s)
	w, f, c := k.claimed(1)
	stale(w.ID)
	failed := func(o *tocsin.Outcome) { o.Failed = true }
	k.record(f, c, tocsin.DeliveryReady, failed)
	first := k.since(w)
	if first == nil || first.Before(c.At) {
		t.Fatalf("failing since %v, first failed after %v", first, c.At)
	}
	f = k.begin(w.ID).Fence
	k.record(f, k.claim(f, c.Delivery.ID), tocsin.DeliveryReady, failed)
	k.same("failing since, after the second", k.since(w), first)
}
