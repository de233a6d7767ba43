package storetest

import "github.com/tocsin-alerts/tocsin"

var poolCases = []testCase{
	{"what is asked for is counted", poolsCount},
	{"who must wait is counted", poolsWait},
}

// pools returns those of the store, by name, once they are found to make sense.
func (k *kit) pools() map[string]tocsin.PoolStats {
	k.t.Helper()
	pooled, ok := k.s.(tocsin.Pooled)
	if !ok {
		k.t.Fatal("the store does not tell how its connections are used")
	}
	out := map[string]tocsin.PoolStats{}
	for _, p := range pooled.Pools() {
		if _, twice := out[p.Name]; twice || p.Name == "" || p.Max < 1 || p.Acquired < 0 || p.Idle < 0 || p.Acquired+p.Idle > p.Max || p.Waits > p.Acquires {
			k.t.Fatalf("a pool is %+v", p)
		}
		out[p.Name] = p
	}
	return out
}

// total is how often a connection was asked for, and waited for.
func total(pools map[string]tocsin.PoolStats) (acquires, waits int64) {
	for _, p := range pools {
		acquires, waits = acquires+p.Acquires, waits+p.Waits
	}
	return acquires, waits
}

func poolsCount(k *kit) {
	before, _ := total(k.pools())
	w := k.webhook("a")
	_, err := k.s.Webhook(k.ctx, w.ID)
	k.ok(err)
	if after, _ := total(k.pools()); after < before+2 {
		k.t.Fatalf("a write and a read asked for %d connections, want 2 or more", after-before)
	}
}

// poolsWait has more at once than there can be connections.
func poolsWait(k *kit) {
	w := k.webhook("a")
	_, before := total(k.pools())
	k.eventually("somebody waits", func() bool {
		done := make(chan error)
		const many = 64
		for range many {
			go func() {
				_, err := k.s.SetState(k.ctx, w.ID, tocsin.StateActive, "")
				done <- err
			}()
		}
		for range many {
			k.ok(<-done)
		}
		_, after := total(k.pools())
		return after > before
	})
}
