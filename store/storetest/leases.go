package storetest

import (
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tocsin-alerts/tocsin"
)

var leaseCases = []testCase{
	{"Begin counts fences up", begin},
	{"Begin returns deleted webhooks", beginDeleted},
	{"a stale fence may do nothing", staleFence},
	{"a stale fence may record a delivery", staleDelivered},
	{"a run has one cutoff", runs},
	{"what is owed after the cutoff waits", cutoff},
	{"RunNow asks for a run", runNow},
	{"Park stores the next tick", park},
}

func begin(k *kit) {
	w := k.webhook("a")
	first, second := k.begin(w.ID), k.begin(w.ID)
	if second.Number != first.Number+1 || first.Number < 1 {
		k.t.Fatalf("got fences %d and %d", first.Number, second.Number)
	}
	k.same("lease", second, tocsin.Lease{
		Fence: tocsin.Fence{WebhookID: w.ID, Number: second.Number, Version: 1}, Webhook: second.Webhook, Now: second.Now,
	})
	k.sameWebhook("webhook", second.Webhook, w)
	if second.Now.Before(w.CreatedAt) {
		k.t.Fatalf("now is %v, before the creation at %v", second.Now, w.CreatedAt)
	}
	_, err := k.s.Begin(k.ctx, "wh_unknown")
	k.is(err, tocsin.ErrNotFound)
	other := k.webhook("b")
	k.begin(other.ID)
	k.rest(second.Fence) // another webhook's Begin leaves this fence alone
}

func beginDeleted(k *kit) {
	w := k.webhook("a")
	_, err := k.s.SetState(k.ctx, w.ID, tocsin.StateDeleted, "")
	k.ok(err)
	l := k.begin(w.ID)
	k.same("state", l.Webhook.State, tocsin.StateDeleted)
	k.same("version", l.Version, int64(2))
}

// staleFence tries every method with a fence that is no longer the webhook's.
func staleFence(k *kit) {
	w := k.webhook("a")
	k.owe(1, 3, w.ID)
	old := k.begin(w.ID).Fence
	ready, open := k.plan(old, 1)[0], k.plan(old, 1)[0]
	c := k.claim(old, open)
	_, pending := k.work(old)
	now := k.begin(w.ID).Fence
	before := k.picture(w, now)
	for name, call := range map[string]func() error{
		"BeginRun": func() error { _, err := k.s.BeginRun(k.ctx, old); return err },
		"EndRun":   func() error { return k.s.EndRun(k.ctx, old) },
		"Rest":     func() error { _, err := k.s.Rest(k.ctx, old); return err },
		"Park":     func() error { return k.s.Park(k.ctx, old, Epoch) },
		"Owed":     func() error { _, _, err := k.s.Owed(k.ctx, old, time.Time{}, 10); return err },
		"Plan": func() error {
			return k.tryPlan(old, []tocsin.NewDelivery{{ID: tocsin.NewID(tocsin.PrefixDelivery), Events: pending}})
		},
		"Claim":        func() error { _, err := k.tryClaim(old, ready); return err },
		"Record ready": func() error { return k.tryRecord(old, outcome(c, tocsin.DeliveryReady, nil)) },
		"Record dead":  func() error { return k.tryRecord(old, outcome(c, tocsin.DeliveryDead, nil)) },
		"Record split": func() error { return k.tryRecord(old, outcome(c, tocsin.DeliverySplit, nil)) },
		"Discard":      func() error { _, err := k.s.Discard(k.ctx, old, time.Time{}, "discarded", 10); return err },
	} {
		k.t.Log(name)
		k.is(call(), tocsin.ErrFenced)
		if diff := cmp.Diff(before, k.picture(w, now), cmpopts.EquateEmpty()); diff != "" {
			k.t.Fatalf("%s by a stale fence changed (-before +after):\n%s", name, diff)
		}
	}
}

// picture is all that a fenced call could change.
type picture struct {
	Open     []tocsin.OpenDelivery
	Pending  []tocsin.PendingEvent
	Activity tocsin.Activity
	Balance  tocsin.Balance
	Asleep   []string
}

func (k *kit) picture(w tocsin.Webhook, f tocsin.Fence) picture {
	k.t.Helper()
	var p picture
	p.Open, p.Pending = k.work(f)
	p.Activity, p.Balance, p.Asleep = k.activity(w.ID), CheckLedger(k.t, k.s)[w.ID], k.ring(w.ID)
	return p
}

func staleDelivered(k *kit) {
	w := k.webhook("a")
	k.owe(1, 2, w.ID)
	old := k.begin(w.ID).Fence
	id := k.plan(old, 2)[0]
	first := k.claim(old, id)
	now := k.begin(w.ID).Fence
	second := k.claim(now, id)
	k.record(old, first, tocsin.DeliveryDelivered, nil)
	k.same("state", k.delivery(id).State, tocsin.DeliveryDelivered)
	k.balance(w, tocsin.Balance{Accepted: 2, Delivered: 2})
	// The other, later one finds it done; whatever it says changes its attempt alone.
	k.record(now, second, tocsin.DeliveryDead, func(o *tocsin.Outcome) { o.Reason = "late" })
	k.same("state", k.delivery(id).State, tocsin.DeliveryDelivered)
	k.balance(w, tocsin.Balance{Accepted: 2, Delivered: 2})
}

func runs(k *kit) {
	w := k.webhook("a")
	l := k.begin(w.ID)
	k.same("cutoff between runs", l.RunCutoff, (*time.Time)(nil))
	cutoff, err := k.s.BeginRun(k.ctx, l.Fence)
	k.ok(err)
	if cutoff.Before(l.Now) {
		k.t.Fatalf("cutoff %v is before the lease's now %v", cutoff, l.Now)
	}
	again, err := k.s.BeginRun(k.ctx, l.Fence)
	k.ok(err)
	k.same("cutoff of the same run", again, cutoff)
	l = k.begin(w.ID)
	k.same("cutoff after a crash", l.RunCutoff, &cutoff)
	k.ok(k.s.EndRun(k.ctx, l.Fence))
	k.ok(k.s.EndRun(k.ctx, l.Fence))
	k.same("cutoff after the run", k.begin(w.ID).RunCutoff, (*time.Time)(nil))
}

func cutoff(k *kit) {
	w := k.webhook("a")
	f := k.begin(w.ID).Fence
	k.owe(1, 3, w.ID)
	cutoff, err := k.s.BeginRun(k.ctx, f)
	k.ok(err)
	k.eventually("the clock has moved on", func() bool { return k.begin(w.ID).Now.After(cutoff) })
	f = k.begin(w.ID).Fence
	k.owe(4, 2, w.ID)
	_, pending, err := k.s.Owed(k.ctx, f, cutoff, 100)
	k.ok(err)
	k.same("pending up to the cutoff", len(pending), 3)
	for _, p := range pending {
		if p.OwedAt.After(cutoff) {
			k.t.Fatalf("owed at %v, after the cutoff %v", p.OwedAt, cutoff)
		}
	}
	_, pending = k.work(f)
	k.same("pending", len(pending), 5)
}

func runNow(k *kit) {
	w := k.webhook("a")
	k.owe(1, 1, w.ID)
	l := k.begin(w.ID)
	k.same("asked", l.RunNow, false)
	id := k.plan(l.Fence, 1)[0]
	k.record(l.Fence, k.claim(l.Fence, id), tocsin.DeliveryReady, func(o *tocsin.Outcome) { o.Backoff = time.Hour })
	k.ok(k.s.Park(k.ctx, l.Fence, l.Now.Add(time.Hour)))
	k.ok(k.s.RunNow(k.ctx, w.ID))
	l = k.begin(w.ID)
	k.same("asked", l.RunNow, true)
	k.same("activity", l.Activity, tocsin.Activity{LastError: l.LastError})
	k.same("version", l.Version, int64(1))
	_, err := k.s.BeginRun(k.ctx, l.Fence)
	k.ok(err)
	k.same("asked since the run began", k.begin(w.ID).RunNow, false)
	k.ok(k.s.RunNow(k.ctx, w.ID))
	k.ok(k.s.EndRun(k.ctx, k.begin(w.ID).Fence))
	l = k.begin(w.ID)
	k.same("asked since that run began", l.RunNow, true)
	// An attempt that was under way fails after the request: the run does not wait for it.
	late := func() bool {
		k.record(l.Fence, k.claim(l.Fence, id), tocsin.DeliveryReady, func(o *tocsin.Outcome) { o.Backoff = time.Hour })
		_, err := k.s.BeginRun(k.ctx, l.Fence)
		k.ok(err)
		return k.activity(w.ID).DueAt != nil
	}
	k.same("backoff once the run began", late(), false)
	k.same("backoff of its own", late(), true)
	k.ok(k.s.EndRun(k.ctx, l.Fence))
	k.same("backoff of a run nobody asked for", late(), true)
	k.is(k.s.RunNow(k.ctx, "wh_unknown"), tocsin.ErrNotFound)
}

func park(k *kit) {
	w := k.webhook("a")
	l := k.begin(w.ID)
	next := l.Now.Add(time.Hour)
	k.ok(k.s.Park(k.ctx, l.Fence, next))
	k.same("activity", k.activity(w.ID), tocsin.Activity{NextRun: &next})
	k.same("asleep", k.ring(w.ID), []string(nil))
	_, err := k.s.BeginRun(k.ctx, l.Fence)
	k.ok(err)
	k.same("next tick once the run began", k.activity(w.ID).NextRun, (*time.Time)(nil))
}
