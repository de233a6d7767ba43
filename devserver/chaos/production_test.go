package chaos_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/devserver/devtest"
	"github.com/tocsin-alerts/tocsin/store/postgres"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
)

// production is the real thing, each part a process: PostgreSQL, a Temporal server on a
// file, two serves and two workers.
type production struct {
	t               *testing.T
	postgres        *pgtest.Cluster
	temporal        *process
	serves, workers []*process
	store           *postgres.DB
	key             string
}

func newProduction(t *testing.T) *production {
	t.Helper()
	p := &production{t: t, postgres: pgtest.Start(t, pgtest.Options{})}
	programs := devtest.Plain(t)
	var addr string
	p.temporal, addr = newTemporal(t, filepath.Join(t.TempDir(), "temporal.db"))
	p.temporal.start()
	env := []string{
		"TOCSIN_DATABASE_URL=" + p.postgres.Database(t), "TOCSIN_SECRET_KEY=" + tocsin.GenerateKey("test"),
		"TOCSIN_EGRESS_ALLOW=127.0.0.0/8", "TEMPORAL_ADDRESS=" + addr,
	}
	p.key = setUp(t, programs.Tocsin, env)
	for range 2 {
		p.serves = append(p.serves, newServe(t, programs.Tocsin, env))
		p.workers = append(p.workers, newWorker(t, programs.Worker, env))
	}
	for _, each := range append(p.serves, p.workers...) {
		each.launch()
	}
	for _, each := range append(p.serves, p.workers...) {
		each.await()
	}
	p.store = openStore(t, env)
	return p
}

// setUp migrates the store and returns a key for its API.
func setUp(t *testing.T, program string, env []string) string {
	t.Helper()
	mustRun(t, program, env, "migrate")
	var made struct{ Key string }
	out := mustRun(t, program, env, "keys", "create", "chaos", "--scopes", "admin", "-o", "json")
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.Key == "" {
		t.Fatalf("creating a key answers %s: %v", out, err)
	}
	return made.Key
}

// mustRun runs a command that has to succeed and returns what it printed.
func mustRun(t *testing.T, program string, env []string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(program), strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

func openStore(t *testing.T, env []string) *postgres.DB {
	t.Helper()
	url := strings.TrimPrefix(env[0], "TOCSIN_DATABASE_URL=")
	store, err := postgres.Open(t.Context(), url, postgres.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// apis are the clients of both serves.
func (p *production) apis() []devtest.Client {
	var all []devtest.Client
	for _, s := range p.serves {
		all = append(all, devtest.NewClient(p.t, s.url, p.key))
	}
	return all
}

// recount compares the ledger's counters with its rows, as `tocsin ledger --verify` does.
func (p *production) recount() error {
	return recount(p.t, p.store)
}

func recount(t *testing.T, store tocsin.Ledger) error {
	counted, recounted, err := store.Recount(t.Context())
	if err != nil {
		return err
	}
	if diff := cmp.Diff(counted, recounted); diff != "" {
		return fmt.Errorf("the ledger's counters (-) differ from its rows (+):\n%s", diff)
	}
	for _, b := range counted {
		if d := b.Difference(); d != 0 {
			return fmt.Errorf("the ledger of %s is off by %d: %+v", b.Webhook, d, b)
		}
	}
	return nil
}

// What follows hurts production; what it returns makes it whole again.

func (p *production) killWorker() (restart func()) { return killSome(p.workers) }

func (p *production) killServe() (restart func()) { return killSome(p.serves) }

func (p *production) killTemporal() (restart func()) { return killSome([]*process{p.temporal}) }

func (p *production) killPostgres() (restart func()) {
	if err := p.postgres.StopImmediate(); err != nil {
		p.t.Fatal(err)
	}
	return func() {
		if err := p.postgres.Restart(); err != nil {
			p.t.Fatal(err)
		}
	}
}

// freezeWorker stops a worker where it is until the other one has done its work, and
// then lets it go on with what it believes to be its own.
func (p *production) freezeWorker(u *under) (thaw func()) {
	one := p.workers[rand.IntN(len(p.workers))]
	one.Freeze()
	return func() {
		acked := u.tally.ackedEvents()
		devtest.Until(p.t, "the other worker to take over", func() error {
			if n := u.tally.undelivered(acked); n > 0 {
				return fmt.Errorf("%d events are undelivered", n)
			}
			return nil
		})
		one.Thaw()
	}
}
