package storetest

import (
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var overdueCases = []testCase{
	{"a version that is not applied", overdueVersion},
	{"owed and nobody heard of", overdueOwed},
	{"owed and asleep", overdueAsleep},
	{"an open delivery alone is owed", overdueOpen},
	{"backoff is waited for", overdueBackoff},
	{"the next tick is waited for", overdueTick},
	{"a webhook that holds is left alone", overdueHolding},
	{"a deleted webhook that still owes", overdueDeleted},
	{"at most limit", overdueLimit},
	{"those that owe come first", overdueFirst},
	{"a sign of life counts", overdueLife},
}

// overdue reports whether Overdue names the webhook.
func (k *kit) overdue(grace time.Duration, id string) bool {
	k.t.Helper()
	all, err := k.s.Overdue(k.ctx, grace, 100)
	k.ok(err)
	return slices.Contains(all, id)
}

// becomesOverdue waits until more than no grace has passed.
func (k *kit) becomesOverdue(id string) {
	k.t.Helper()
	k.eventually("overdue", func() bool { return k.overdue(0, id) })
	k.same("overdue within an hour's grace", k.overdue(time.Hour, id), false)
}

// staysQuiet waits until a webhook beside it, touched later, is overdue, and checks
// that this one is not.
func (k *kit) staysQuiet(id string) {
	k.t.Helper()
	canary := k.webhook(tocsin.NewID("canary"))
	k.becomesOverdue(canary.ID)
	k.same("overdue", k.overdue(0, id), false)
	k.begin(canary.ID)
}

func overdueVersion(k *kit) {
	w := k.webhook("a")
	k.becomesOverdue(w.ID)
	k.begin(w.ID)
	k.staysQuiet(w.ID)
	_, err := k.s.SetState(k.ctx, w.ID, tocsin.StatePaused, "")
	k.ok(err)
	k.becomesOverdue(w.ID)
	k.begin(w.ID)
	k.staysQuiet(w.ID)
}

func overdueOwed(k *kit) {
	w := k.webhook("a")
	k.begin(w.ID)
	k.owe(1, 1, w.ID)
	k.becomesOverdue(w.ID)
}

func overdueAsleep(k *kit) {
	w := k.webhook("a")
	k.same("owed", k.rest(k.begin(w.ID).Fence), false)
	k.staysQuiet(w.ID)
	k.owe(1, 1, w.ID)
	k.becomesOverdue(w.ID)
}

func overdueOpen(k *kit) {
	w := k.webhook("a")
	f := k.begin(w.ID).Fence
	k.owe(1, 1, w.ID)
	id := k.plan(f, 1)[0]
	k.becomesOverdue(w.ID)
	c := k.claim(f, id)
	k.becomesOverdue(w.ID)
	k.record(f, c, tocsin.DeliveryDelivered, nil)
	k.staysQuiet(w.ID)
}

func overdueBackoff(k *kit) {
	w := k.webhook("a")
	f := k.begin(w.ID).Fence
	k.owe(1, 1, w.ID)
	id := k.plan(f, 1)[0]
	k.record(f, k.claim(f, id), tocsin.DeliveryReady, func(o *tocsin.Outcome) { o.Backoff = time.Hour })
	k.staysQuiet(w.ID)
	k.ok(k.s.RunNow(k.ctx, w.ID))
	k.becomesOverdue(w.ID)
	k.record(f, k.claim(f, id), tocsin.DeliveryReady, func(o *tocsin.Outcome) { o.Backoff = time.Millisecond })
	k.becomesOverdue(w.ID)
}

func overdueTick(k *kit) {
	w := k.webhook("a")
	l := k.begin(w.ID)
	k.owe(1, 1, w.ID)
	k.ok(k.s.Park(k.ctx, l.Fence, l.Now.Add(time.Hour)))
	k.staysQuiet(w.ID)
	k.ok(k.s.Park(k.ctx, l.Fence, l.Now.Add(-time.Hour)))
	k.becomesOverdue(w.ID)
}

func overdueHolding(k *kit) {
	for i, state := range []tocsin.State{tocsin.StatePaused, tocsin.StateDisabled} {
		w := k.webhook(string(state))
		k.owe(i, 1, w.ID)
		_, err := k.s.SetState(k.ctx, w.ID, state, "")
		k.ok(err)
		k.begin(w.ID)
		k.staysQuiet(w.ID)
	}
}

func overdueDeleted(k *kit) {
	w := k.webhook("a")
	k.owe(1, 3, w.ID)
	k.plan(k.begin(w.ID).Fence, 1)
	_, err := k.s.SetState(k.ctx, w.ID, tocsin.StateDeleted, "")
	k.ok(err)
	f := k.begin(w.ID).Fence
	k.eventually("overdue", func() bool { return k.overdue(0, w.ID) })
	for settled := 1; settled > 0; {
		settled, err = k.s.Discard(k.ctx, f, time.Time{}, "webhook deleted", 2)
		k.ok(err)
	}
	k.staysQuiet(w.ID)
}

func overdueLimit(k *kit) {
	for _, name := range []string{"a", "b", "c"} {
		k.webhook(name)
	}
	k.eventually("all overdue", func() bool {
		all, err := k.s.Overdue(k.ctx, 0, 10)
		k.ok(err)
		return len(all) == 3
	})
	two, err := k.s.Overdue(k.ctx, 0, 2)
	k.ok(err)
	k.same("named", len(two), 2)
}

// overdueFirst: webhooks that were never looked at, and owe nothing, do not stand before one
// whose ring was lost.
func overdueFirst(k *kit) {
	for _, name := range []string{"a", "b", "c"} {
		k.webhook(name)
	}
	owes := k.webhook("last")
	k.begin(owes.ID)
	k.owe(1, 1, owes.ID)
	k.eventually("all overdue", func() bool {
		all, err := k.s.Overdue(k.ctx, 0, 10)
		k.ok(err)
		return len(all) == 4
	})
	first, err := k.s.Overdue(k.ctx, 0, 1)
	k.ok(err)
	k.same("first", first, []string{owes.ID})
}

// overdueLife checks that Plan and Claim are heard: a webhook silent for longer than
// the grace is overdue, and not so right after them.
func overdueLife(k *kit) {
	const grace = 300 * time.Millisecond
	w := k.webhook("a")
	f := k.begin(w.ID).Fence
	k.owe(1, 4, w.ID)
	var id string
	for name, sign := range map[string]func(){
		"Plan":  func() { id = k.plan(f, 1)[0] },
		"Begin": func() { f = k.begin(w.ID).Fence },
	} {
		k.quietAfter(name, grace, w.ID, sign)
	}
	k.quietAfter("Claim", grace, w.ID, func() { k.claim(f, id) })
	k.quietAfter("Discard", grace, w.ID, func() {
		_, err := k.s.Discard(k.ctx, f, time.Time{}, "discarded", 1)
		k.ok(err)
	})
}

// quietAfter waits for silence, gives the sign and looks again. On a machine too slow
// to look within the grace it tries once more.
func (k *kit) quietAfter(name string, grace time.Duration, id string, sign func()) {
	k.t.Helper()
	for range 5 {
		k.eventually("overdue before "+name, func() bool { return k.overdue(grace, id) })
		begun := time.Now()
		sign()
		quiet := !k.overdue(grace, id)
		if time.Since(begun) < grace {
			k.same("quiet after "+name, quiet, true)
			return
		}
	}
	k.t.Fatalf("this machine takes longer than %v for %s", grace, name)
}
