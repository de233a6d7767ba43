package storetest

import (
	"sync"

	"github.com/tocsin-alerts/tocsin"
)

var ledgerCases = []testCase{
	{"deleted webhooks are included, those with nothing are not", balanceDeleted},
	{"Fold by many at once", foldRace},
	{"any order of steps balances", anyOrder},
}

func balanceDeleted(k *kit) {
	b, a := k.webhook("b"), k.webhook("a")
	k.webhook("nothing")
	k.owe(0, 2, a.ID, b.ID)
	_, err := k.s.SetState(k.ctx, b.ID, tocsin.StateDeleted, "")
	k.ok(err)
	all, err := k.s.Balances(k.ctx)
	k.ok(err)
	k.same("balances", all, []tocsin.Balance{
		{WebhookID: a.ID, Webhook: "a", Accepted: 2, Pending: 2}, {WebhookID: b.ID, Webhook: "b", Accepted: 2, Pending: 2},
	})
	k.balance(b, tocsin.Balance{Accepted: 2, Pending: 2})
}

func foldRace(k *kit) {
	w := k.webhook("a")
	revision, _, err := k.s.ListWebhooks(k.ctx)
	k.ok(err)
	var wg sync.WaitGroup
	for c := range 3 {
		wg.Go(func() {
			for i := range 10 {
				if _, err := k.s.Append(k.ctx, revision, []tocsin.NewEvent{Owe(Event(c*10+i), w.ID)}); err != nil {
					k.t.Errorf("appending: %v", err)
				}
				if err := k.s.Fold(k.ctx); err != nil {
					k.t.Errorf("folding: %v", err)
				}
			}
		})
	}
	wg.Wait()
	k.balance(w, tocsin.Balance{Accepted: 30, Pending: 30})
}
