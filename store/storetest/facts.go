package storetest

import (
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tocsin-alerts/tocsin"
)

var factCases = []testCase{
	{"Backlog of a store that owes nothing", backlogOfNothing},
	{"Backlog says who owes most, and since when", backlogOf},
	{"Series agrees with the ledger, folded or not", seriesOf},
	{"Series of nothing, and of a window that is none", seriesOfNothing},
	{"Series counts each event once", seriesEvents},
	{"WebhookFacts of several at once", factsOf},
	{"WebhookFacts looks at the latest attempts", factsRecent},
	{"a delivery says why it failed last", deliverySays},
	{"FindWebhooks by each field", findWebhooks},
	{"FindWebhooks, page by page", findPages},
	{"WebhookFacts counts events that were rejected", factsRejected},
	{"Rejected, newest first, no more than are kept", rejected},
}

func (k *kit) backlog(limit int) ([]tocsin.Backlog, tocsin.BacklogTotal) {
	k.t.Helper()
	top, total, err := k.s.Backlog(k.ctx, limit)
	k.ok(err)
	return top, total
}

// isEqual compares a part of what was found.
func (k *kit) isEqual(what string, got, want any, ignore ...cmp.Option) {
	k.t.Helper()
	if diff := cmp.Diff(want, got, append(ignore, cmpopts.EquateEmpty())...); diff != "" {
		k.t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// folded runs what holds before Fold and after it.
func (k *kit) folded(check func()) {
	k.t.Helper()
	check()
	k.ok(k.s.Fold(k.ctx))
	check()
}

func backlogOfNothing(k *kit) {
	top, total := k.backlog(10)
	k.same("of an empty store", len(top), 0)
	k.same("total of an empty store", total, tocsin.BacklogTotal{Webhooks: map[tocsin.State]int{}})
	w := k.webhook("a")
	k.owe(0, 1, w.ID)
	f := k.begin(w.ID).Fence
	k.record(f, k.claim(f, k.plan(f, 1)[0]), delivered, nil)
	top, total = k.backlog(10)
	k.same("of one that has delivered", len(top), 0)
	k.same("its total", total, tocsin.BacklogTotal{
		Balance: tocsin.Balance{Accepted: 1, Delivered: 1}, Webhooks: map[tocsin.State]int{tocsin.StateActive: 1},
	})
}

func backlogOf(k *kit) {
	little, much, quiet := k.webhook("little"), k.webhook("much"), k.webhook("quiet")
	_, err := k.s.SetState(k.ctx, quiet.ID, tocsin.StatePaused, "")
	k.ok(err)
	before := k.now()
	k.laterThan(before)
	k.owe(0, 2, little.ID, much.ID)
	between := k.now()
	k.laterThan(between)
	k.owe(2, 3, much.ID)
	f := k.begin(little.ID).Fence
	k.plan(f, 2)
	k.folded(func() {
		top, total := k.backlog(10)
		k.isEqual("who owes", top, []tocsin.Backlog{
			{WebhookID: much.ID, Name: "much", Channel: "webhook", State: tocsin.StateActive, Pending: 5},
			{WebhookID: little.ID, Name: "little", Channel: "webhook", State: tocsin.StateActive, InFlight: 2},
		}, cmpopts.IgnoreFields(tocsin.Backlog{}, "OldestAt"))
		k.within("the oldest of much", top[0].OldestAt, before, between)
		k.within("the oldest of little, which is in a delivery", top[1].OldestAt, between, k.now().Add(time.Second))
		k.within("the oldest of all", total.OldestAt, before, between)
		total.OldestAt = nil
		k.same("total", total, tocsin.BacklogTotal{
			Balance: tocsin.Balance{Accepted: 7, Pending: 5, InFlight: 2}, Owing: 2,
			Webhooks: map[tocsin.State]int{tocsin.StateActive: 3, tocsin.StatePaused: 1}, // one is the clock
		})
		top, total = k.backlog(1)
		k.same("the first alone", []string{top[0].Name}, []string{"much"})
		k.same("owing, whatever the limit", total.Owing, 2)
		if top, _ = k.backlog(0); len(top) > 0 {
			k.t.Fatalf("got %d for limit 0", len(top))
		}
	})
}

// within checks that a moment lies between two.
func (k *kit) within(what string, got *time.Time, from, to time.Time) {
	k.t.Helper()
	if got == nil || got.Before(from) || got.After(to) {
		k.t.Fatalf("%s: got %v, want a moment between %v and %v", what, got, from, to)
	}
}
