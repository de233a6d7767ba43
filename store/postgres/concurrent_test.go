package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// TestAppendFromManyProcesses appends overlapping batches through several pools, as
// several processes would: each event is accepted once, and none is lost.
func TestAppendFromManyProcesses(t *testing.T) {
	const pools, callers, rounds, size, keys = 3, 2, 12, 30, 400
	url := pgtest.URL(t)
	first := open(t, url)
	a, b := storetest.MustCreate(t, first, "a"), storetest.MustCreate(t, first, "b")
	revision, _, err := first.ListWebhooks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	accepted, asked := map[string]int{}, map[string]bool{}
	var wg sync.WaitGroup
	for p := range pools {
		db := open(t, url)
		for c := range callers {
			r := rand.New(rand.NewPCG(uint64(p), uint64(c)))
			wg.Go(func() {
				for range rounds {
					var batch []tocsin.NewEvent
					for range size { // the same key may be in a batch twice
						batch = append(batch, storetest.Owe(storetest.Event(r.IntN(keys)), a.ID, b.ID))
					}
					answers, err := db.Append(t.Context(), revision, batch)
					if err != nil {
						t.Errorf("appending: %v", err)
						return
					}
					mu.Lock()
					for i, answer := range answers.Events {
						asked[batch[i].Event.ID] = true
						if answer == tocsin.AppendedNew {
							accepted[batch[i].Event.ID]++
						}
					}
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	for id := range asked {
		if accepted[id] != 1 {
			t.Errorf("%s was accepted %d times, want once", id, accepted[id])
		}
		if _, err := first.Event(t.Context(), "storetest", id); err != nil {
			t.Errorf("reading %s: %v", id, err)
		}
	}
	n := int64(len(asked))
	got := storetest.CheckLedger(t, first)
	for _, w := range []tocsin.Webhook{a, b} {
		want := tocsin.Balance{WebhookID: w.ID, Webhook: w.Name, Accepted: n, Pending: n}
		if diff := cmp.Diff(want, got[w.ID]); diff != "" {
			t.Errorf("balance (-want +got):\n%s", diff)
		}
	}
}

// TestNumbersFollowTheBatch: an incident's events are delivered in the order in which
// they were submitted, whatever the order of their keys.
func TestNumbersFollowTheBatch(t *testing.T) {
	db := open(t, pgtest.URL(t))
	w := storetest.MustCreate(t, db, "a")
	var batch []tocsin.NewEvent
	var want, got []string
	for i := range 20 {
		e := storetest.Event(i)
		e.ID = fmt.Sprintf("%02d", 97*i%100) // not in order
		batch, want = append(batch, storetest.Owe(e, w.ID)), append(want, e.ID)
	}
	storetest.MustAppend(t, db, batch...)
	l, err := db.Begin(t.Context(), w.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, pending, err := db.Owed(t.Context(), l.Fence, time.Time{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	events, _, err := db.Events(t.Context(), tocsin.EventQuery{Page: tocsin.Page{Limit: 100}})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[int64]string{}
	for _, e := range events {
		ids[e.Seq] = e.ID
	}
	for _, p := range pending {
		got = append(got, ids[p.Seq])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order of pending events (-want +got):\n%s", diff)
	}
}

// TestMigrateByManyProcesses migrates one empty database from many handles at once.
func TestMigrateByManyProcesses(t *testing.T) {
	url := pgtest.URL(t)
	var wg sync.WaitGroup
	for range 6 {
		db, err := postgres.Open(t.Context(), url, postgres.Options{})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer db.Close()
			if err := db.Migrate(t.Context()); err != nil {
				t.Errorf("migrating: %v", err)
			}
			if err := db.Ping(t.Context()); err != nil {
				t.Errorf("pinging: %v", err)
			}
		})
	}
	wg.Wait()
}

func TestPingBeforeMigrate(t *testing.T) {
	db, err := postgres.Open(t.Context(), pgtest.URL(t), postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(t.Context()); tocsin.CodeOf(err) != tocsin.CodeUnavailable {
		t.Errorf("got error %v, want code %q", err, tocsin.CodeUnavailable)
	}
}

// TestNewerSchema: an older program keeps its hands off.
func TestNewerSchema(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	exec(t, url, `INSERT INTO schema_version (version, name) VALUES (9999, '9999_from_the_future.sql')`)
	err := db.Migrate(t.Context())
	if tocsin.CodeOf(err) != tocsin.CodeConflict {
		t.Fatalf("got error %v, want code %q", err, tocsin.CodeConflict)
	}
	known, globErr := filepath.Glob("migrations/*.sql")
	if globErr != nil {
		t.Fatal(globErr)
	}
	want := fmt.Sprintf("the store's schema has version 9999, newer than this program's %d: use a newer program", len(known))
	if err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

// exec runs one statement beside the store.
func exec(t testing.TB, url, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}
