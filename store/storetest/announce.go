package storetest

import (
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var announceCases = []testCase{
	{"failing since the first failure in a row", failingSince},
	{"resuming clears since when", failingSinceResumed},
	{"Announce is kept until it is changed", announce},
	{"resuming takes announcements back to failing", announceResumed},
}

// since returns since when the webhook fails, as Activities and Begin both have it.
func (k *kit) since(w tocsin.Webhook) *time.Time {
	k.t.Helper()
	since := k.activity(w.ID).FailingSince
	k.same("failing since, of the lease", k.begin(w.ID).FailingSince, since)
	return since
}

func failingSince(k *kit) {
	none := (*time.Time)(nil)
	w := k.webhook("a")
	k.owe(0, 2, w.ID)
	l := k.begin(w.ID)
	ids := k.plan(l.Fence, 1, 1)
	fail := func(id string, state tocsin.DeliveryState, failed, rejected bool) {
		k.t.Helper()
		f := k.begin(w.ID).Fence
		k.record(f, k.claim(f, id), state, func(o *tocsin.Outcome) { o.Failed, o.Rejected = failed, rejected })
	}
	k.same("before", k.since(w), none)
	fail(ids[0], tocsin.DeliveryReady, false, true)
	k.same("after a rejection", k.since(w), none)
	fail(ids[0], tocsin.DeliveryReady, true, false)
	first := k.since(w)
	if first == nil || first.Before(l.Now) {
		k.t.Fatalf("failing since %v, begun at %v", first, l.Now)
	}
	fail(ids[0], tocsin.DeliveryReady, true, false)
	fail(ids[0], tocsin.DeliveryReady, false, true)
	k.same("after more", k.since(w), first)
	fail(ids[0], tocsin.DeliveryDelivered, false, false)
	k.same("after a success", k.since(w), none)
	fail(ids[1], tocsin.DeliveryReady, true, false)
	if again := k.since(w); again == nil || !again.After(*first) {
		k.t.Fatalf("failing again since %v, first %v", again, first)
	}
}

func failingSinceResumed(k *kit) {
	w, f, c := k.claimed(1)
	k.record(f, c, tocsin.DeliveryReady, func(o *tocsin.Outcome) { o.Failed, o.WebhookState = true, tocsin.StateFailing })
	first := k.since(w)
	_, err := k.s.SetState(k.ctx, w.ID, tocsin.StatePaused, "")
	k.ok(err)
	k.same("while it is paused", k.since(w), first)
	_, err = k.s.SetState(k.ctx, w.ID, tocsin.StateActive, "")
	k.ok(err)
	k.same("after resuming", k.since(w), (*time.Time)(nil))
}

func announce(k *kit) {
	w, old, c := k.claimed(1)
	k.record(old, c, tocsin.DeliveryReady, func(o *tocsin.Outcome) { o.Failed = true })
	f := k.begin(w.ID).Fence
	for _, level := range []int{1, 50, 100, 0, 70} {
		k.ok(k.s.Announce(k.ctx, f, level))
		k.same("announced", k.activity(w.ID).Announced, level)
	}
	k.is(k.s.Announce(k.ctx, old, 90), tocsin.ErrFenced)
	_, err := k.s.SetState(k.ctx, w.ID, tocsin.StatePaused, "")
	k.ok(err)
	_, err = k.s.SetState(k.ctx, w.ID, tocsin.StateActive, "")
	k.ok(err)
	l := k.begin(w.ID)
	k.record(l.Fence, k.claim(l.Fence, c.Delivery.ID), tocsin.DeliveryDelivered, nil)
	k.same("announced, after resuming and a success", k.begin(w.ID).Announced, 1)
	all, err := k.s.Activities(k.ctx)
	k.ok(err)
	k.same("announced, of all", all[w.ID].Announced, 1)
}

// announceResumed: disable_after counts anew, and its steps are announced anew; that it
// is failing is not.
func announceResumed(k *kit) {
	w := k.webhook("a")
	for before, want := range map[int]int{0: 0, 1: 1, 50: 1, 100: 1} {
		for _, held := range []tocsin.State{tocsin.StatePaused, tocsin.StateDisabled} {
			k.ok(k.s.Announce(k.ctx, k.begin(w.ID).Fence, before))
			k.setState(w, held)
			k.same("announced while it holds", k.activity(w.ID).Announced, before)
			k.setState(w, tocsin.StateActive)
			k.same("announced after resuming", k.activity(w.ID).Announced, want)
		}
	}
}
