package storetest

import (
	"sync"

	"github.com/tocsin-alerts/tocsin"
)

var schemaCases = []testCase{
	{"Migrate may be repeated, by many at once", migrateAgain},
	{"a store that is away is unavailable", ping},
}

func migrateAgain(k *kit) {
	w := k.webhook("a")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := k.s.Migrate(k.ctx); err != nil {
				k.t.Errorf("migrating again: %v", err)
			}
		})
	}
	wg.Wait()
	_, err := k.s.Webhook(k.ctx, w.ID)
	k.ok(err)
}

func ping(k *kit) {
	k.ok(k.s.Ping(k.ctx))
	k.ok(k.s.Close())
	k.code(k.s.Ping(k.ctx), tocsin.CodeUnavailable)
	_, err := k.s.Append(k.ctx, 0, []tocsin.NewEvent{Owe(Event(0))})
	k.code(err, tocsin.CodeUnavailable)
}
