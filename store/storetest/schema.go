package storetest

import (
	"sync"

	"github.com/tocsin-alerts/tocsin"
)

var schemaCases = []testCase{
	{"Migrate may be repeated, by many at once", migrateAgain},
	{"a store that is away is unavailable", ping},
	{"a store says what it is", inspect},
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

func inspect(k *kit) {
	in, ok := k.s.(tocsin.Inspector)
	if !ok {
		k.t.Fatalf("%T is no tocsin.Inspector", k.s)
	}
	info, err := in.Inspect(k.ctx)
	k.ok(err)
	if info.Product == "" || info.Schema == 0 || info.Schema != info.Wanted || info.Now.IsZero() || info.Connections > info.MaxConnections {
		k.t.Errorf("got %+v", info)
	}
	from, to, err := in.MigrateWith(k.ctx, func(int, int, string) { k.t.Error("a store that is up to date was migrated") })
	k.ok(err)
	if from != info.Schema || to != info.Schema {
		k.t.Errorf("migrated from %d to %d, want %d for both", from, to, info.Schema)
	}
	k.ok(k.s.Close())
	_, err = in.Inspect(k.ctx)
	k.code(err, tocsin.CodeUnavailable)
}
