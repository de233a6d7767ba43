package chaos_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/tocsin-alerts/tocsin/devserver/devtest"
)

// Processes are killed with kill -9 at random moments while events come in and go out.
// Whatever was acknowledged arrives everywhere it must, twice only under the same
// webhook-id and in order, and the ledger is exact.
func TestKill9(t *testing.T) {
	if *rounds == 0 {
		t.Skip("make chaos runs this")
	}
	var mu sync.Mutex
	results := map[string]result{}
	t.Run("of", func(t *testing.T) {
		for _, k := range kinds() {
			t.Run(k.name, func(t *testing.T) {
				t.Parallel()
				r := k.prepare(t).rounds(max(1, *rounds/k.slow))
				mu.Lock()
				defer mu.Unlock()
				results[k.name] = r
			})
		}
	})
	text := tabulate(results)
	t.Logf("kill -9 under load:\n%s", text)
	if *table != "" && !t.Failed() {
		if err := keepTable(*table, text); err != nil {
			t.Error(err)
		}
	}
}

// kind is what is killed.
type kind struct {
	name    string // of the subtest
	title   string // in the table
	slow    int    // divides the number of rounds
	prepare func(*testing.T) *under
}

func kinds() []kind {
	inProduction := func(hurt func(*production, *under) func()) func(*testing.T) *under {
		return func(t *testing.T) *under {
			p := newProduction(t)
			u := newUnder(t, specs(), crowd, p.apis()...)
			u.kill, u.recount = func() func() { return hurt(p, u) }, p.recount
			return u
		}
	}
	return []kind{
		{"dev", "`tocsin-dev`, all of it", 1, prepareDev},
		{"worker", "`tocsin-worker`, one of two, or both", 1, inProduction(func(p *production, _ *under) func() { return p.killWorker() })},
		{"frozen", "`tocsin-worker`, frozen and thawed", 2, inProduction((*production).freezeWorker)},
		{"temporal", "Temporal server", 1, inProduction(func(p *production, _ *under) func() { return p.killTemporal() })},
		{"postgres", "PostgreSQL, immediate shutdown", 1, inProduction(func(p *production, _ *under) func() { return p.killPostgres() })},
		{"serve", "`tocsin serve`, one of two, or both", 1, inProduction(func(p *production, _ *under) func() { return p.killServe() })},
	}
}

// prepareDev is a tocsin-dev, all in one process. Its rows can be counted only while it
// is down, since it shares its store with nobody: that is done between every kill and the
// next start, amid what was under way.
func prepareDev(t *testing.T) *under {
	d := devtest.StartDev(t, devtest.DevOptions{})
	u := newUnder(t, specs(), crowd, d.Client)
	u.recount = func() error { return nil }
	store := []string{"TOCSIN_DATABASE_URL=sqlite:" + filepath.Join(d.DataDir, "tocsin.db")}
	kills := 0
	u.kill = func() func() {
		d.Kill9()
		kills++
		return func() {
			if kills%2 == 0 { // every other time the start itself recovers the file
				mustRun(t, devtest.Plain(t).Tocsin, store, "ledger", "--verify")
			}
			d.Restart()
		}
	}
	return u
}
