package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// atOnce is a retention after which everything that can go goes.
var atOnce = tocsin.Retention{History: time.Nanosecond, Keys: time.Nanosecond, Audit: time.Nanosecond, Refs: time.Nanosecond}

// connect returns a connection beside the store.
func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// gate stops statements of one kind when they begin, after their snapshot was taken.
type gate struct {
	t    *testing.T
	conn *pgx.Conn
	see  *pgx.Conn
}

// closeGate stops every statement that does what ("DELETE", "INSERT") to a table, before
// or after it touches a row.
func closeGate(t *testing.T, url, when, what, table string) *gate {
	t.Helper()
	exec(t, url, `CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NULL; END $$`)
	exec(t, url, `CREATE TRIGGER gate `+when+` `+what+` ON `+table+` FOR EACH STATEMENT EXECUTE FUNCTION gate()`)
	g := &gate{t: t, conn: connect(t, url), see: connect(t, url)}
	g.run(g.conn, `SELECT pg_advisory_lock(4711)`)
	return g
}

func (g *gate) run(c *pgx.Conn, sql string) {
	g.t.Helper()
	if _, err := c.Exec(g.t.Context(), sql); err != nil {
		g.t.Fatalf("%s: %v", sql, err)
	}
}

// waiting waits until something stands at the gate, or for a row that a lock is on.
func (g *gate) waiting(count int) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	for n := 0; n < count; {
		if err := g.see.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n); err != nil {
			g.t.Fatalf("%d of %d are waiting: %v", n, count, err)
		}
	}
}

func (g *gate) open() { g.run(g.conn, `SELECT pg_advisory_unlock(4711)`) }

// later runs f beside the test and returns a function that waits for its error.
func later(f func() error) func() error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return func() error { return <-done }
}

func prune(db *postgres.DB) func() error {
	return later(func() error {
		_, _, err := db.Prune(context.Background(), atOnce, 100)
		return err
	})
}

// TestPruneAndReplay stops Prune between finding that nothing refers to an event and
// removing it, while somebody owes the event again, locked as a replay does. Whoever comes
// first, an event that is owed is there.
func TestPruneAndReplay(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	w := storetest.MustCreate(t, db, "a")
	storetest.MustOwe(t, db, 0, 1)
	g := closeGate(t, url, "BEFORE", "DELETE", "events")
	pruned := prune(db)
	g.waiting(1)

	conn := connect(t, url)
	owed := make(chan bool, 1)
	replayed := later(func() error {
		tx, err := conn.Begin(t.Context())
		if err != nil {
			return err
		}
		defer tx.Rollback(context.WithoutCancel(t.Context()))
		tag, err := tx.Exec(t.Context(), `INSERT INTO pending (webhook_id, seq, generation, dedup_key, batch_key, bytes, owed_at)
			SELECT $1, seq, 1, dedup_key, '', 1, clock_timestamp() FROM events WHERE id = 'evt-000000' FOR KEY SHARE`, w.ID)
		if err != nil {
			return err
		}
		owed <- tag.RowsAffected() > 0
		return tx.Commit(t.Context())
	})
	// Either the replay waits for Prune, or it has got what it wanted.
	committed := make(chan error, 1)
	go func() { committed <- replayed() }()
	var err error
	for waits := 0; waits < 2 && err == nil && len(committed) == 0; {
		err = g.see.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waits)
	}
	if err != nil {
		t.Fatal(err)
	}
	g.open()
	if err := pruned(); err != nil {
		t.Fatalf("pruning: %v", err)
	}
	if err := <-committed; err != nil {
		t.Fatalf("replaying: %v", err)
	}
	_, err = db.Event(t.Context(), "storetest", storetest.Event(0).ID)
	if there, owes := err == nil, <-owed; owes && !there {
		t.Error("an event that is owed was pruned")
	} else if !owes && there {
		t.Error("the event is there, and yet nothing could be owed")
	}
}

// TestPruneLooksAgain owes an event again after Prune found that nothing refers to it, and
// before it has locked it.
func TestPruneLooksAgain(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	w := storetest.MustCreate(t, db, "a")
	storetest.MustOwe(t, db, 0, 2)
	g := &gate{t: t, conn: connect(t, url), see: connect(t, url)}
	g.run(g.conn, `BEGIN; LOCK TABLE events IN EXCLUSIVE MODE`) // lets others read, and not lock
	pruned := prune(db)
	g.waiting(1)
	g.run(g.conn, `INSERT INTO pending (webhook_id, seq, generation, dedup_key, batch_key, bytes, owed_at)
		SELECT '`+w.ID+`', seq, 1, dedup_key, '', 1, clock_timestamp() FROM events WHERE id = 'evt-000000' FOR KEY SHARE; COMMIT`)
	if err := pruned(); err != nil {
		t.Fatal(err)
	}
	for n, want := range []error{nil, tocsin.ErrNotFound} {
		if _, err := db.Event(t.Context(), "storetest", storetest.Event(n).ID); !errors.Is(err, want) {
			t.Errorf("event %d: got error %v, want %v", n, err, want)
		}
	}
}

// TestPruneSkipsWhatIsLocked: Prune does not wait for a replay, nor for a delivery that
// somebody holds.
func TestPruneSkipsWhatIsLocked(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	w := storetest.MustCreate(t, db, "a")
	storetest.MustOwe(t, db, 0, 1, w.ID)
	finish(t, db, w.ID)
	storetest.MustOwe(t, db, 1, 1)
	conn := connect(t, url)
	if _, err := conn.Exec(t.Context(), `BEGIN; SELECT FROM events FOR KEY SHARE; SELECT FROM deliveries FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, want := range []tocsin.Pruned{{}, {Deliveries: 1, Attempts: 1, Events: 2, Keys: 2}} {
		got, _, err := db.Prune(ctx, atOnce, 100)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pruned (-want +got):\n%s", diff)
		}
		if _, err := conn.Exec(t.Context(), `ROLLBACK`); err != nil {
			t.Fatal(err)
		}
	}
}

// finish delivers what the webhook is owed.
func finish(t *testing.T, db *postgres.DB, webhookID string) {
	t.Helper()
	c := claimNext(t, db, webhookID)
	if _, err := db.Advance(t.Context(), c.fence, tocsin.Step{Record: &tocsin.Outcome{
		DeliveryID: c.Delivery.ID, State: tocsin.DeliveryDelivered, Attempt: tocsin.Attempt{Number: c.Attempt},
	}}); err != nil {
		t.Fatal(err)
	}
}

// TestAppendDoesNotWaitForPrune stops Prune in each of its transactions, with all locks
// had and rows removed: ingest goes on, and what it is asked is right.
func TestAppendDoesNotWaitForPrune(t *testing.T) {
	for _, table := range []string{"deliveries", "suppressed", "events", "event_keys", "refs", "audit"} {
		t.Run(table, func(t *testing.T) {
			url := pgtest.URL(t)
			db := open(t, url)
			w := storetest.MustCreate(t, db, "a")
			storetest.MustOwe(t, db, 0, 2, w.ID)
			finish(t, db, w.ID)
			muted := storetest.Owe(storetest.Event(2), w.ID)
			muted.Owed[0].Suppressed = tocsin.ReasonMuted
			storetest.MustAppend(t, db, muted)
			storetest.MustOwe(t, db, 3, 1, w.ID)
			exec(t, url, `INSERT INTO refs VALUES ($1, 'k', '1', '2020-01-01')`, w.ID)
			if _, err := db.BeginAudit(t.Context(), tocsin.AuditEntry{Actor: "a", Action: "b.c"}); err != nil {
				t.Fatal(err)
			}
			g := closeGate(t, url, "AFTER", "DELETE", table)
			pruned := prune(db)
			g.waiting(1)
			known, fresh := storetest.Owe(storetest.Event(3), w.ID), storetest.Owe(storetest.Event(4), w.ID)
			fresh.Owed[0].RepeatAfter = time.Hour
			also := storetest.Owe(storetest.Event(5), w.ID)
			also.Owed[0].Suppressed = tocsin.ReasonMuted
			want := []tocsin.Appended{tocsin.AppendedDuplicate, tocsin.AppendedNew, tocsin.AppendedNew}
			if diff := cmp.Diff(want, appendSoon(t, db, known, fresh, also)); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
			g.open()
			if err := pruned(); err != nil {
				t.Fatalf("pruning: %v", err)
			}
			storetest.CheckLedger(t, db)
		})
	}
}

// appendSoon fails the test when Append is kept waiting.
func appendSoon(t *testing.T, db *postgres.DB, batch ...tocsin.NewEvent) []tocsin.Appended {
	t.Helper()
	revision, _, err := db.ListWebhooks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	answers, err := db.Append(ctx, revision, batch)
	if err != nil {
		t.Fatalf("appending: %v", err)
	}
	return answers.Events
}

// TestAppendAndPrunedKey removes a key between Append's finding it in the way and its
// reading whose it is: Append begins anew, and accepts the event.
func TestAppendAndPrunedKey(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	w := storetest.MustCreate(t, db, "a")
	storetest.MustOwe(t, db, 0, 1)
	exec(t, url, `DELETE FROM events`)
	revision, _, err := db.ListWebhooks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g := closeGate(t, url, "AFTER", "INSERT", "event_keys")
	var answers tocsin.AppendResult
	appended := later(func() (err error) {
		answers, err = db.Append(t.Context(), revision, []tocsin.NewEvent{storetest.Owe(storetest.Event(0), w.ID)})
		return err
	})
	g.waiting(1)
	if got, _, err := db.Prune(t.Context(), atOnce, 100); err != nil || got.Keys != 1 {
		t.Fatalf("pruning: got %+v, %v", got, err)
	}
	g.open()
	if err := appended(); err != nil {
		t.Fatalf("appending: %v", err)
	}
	if diff := cmp.Diff([]tocsin.Appended{tocsin.AppendedNew}, answers.Events); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	want := tocsin.Balance{WebhookID: w.ID, Webhook: "a", Accepted: 1, Pending: 1}
	if diff := cmp.Diff(want, storetest.CheckLedger(t, db)[w.ID]); diff != "" {
		t.Errorf("balance (-want +got):\n%s", diff)
	}
}

// TestPruneByAge: what is older goes, what is younger stays, row by row; remembered
// repeats go after 30 days.
func TestPruneByAge(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	w := storetest.MustCreate(t, db, "a")
	for i := range 2 {
		n := storetest.Owe(storetest.Event(i), w.ID)
		n.Owed[0].RepeatAfter = time.Hour
		storetest.MustAppend(t, db, n)
		finish(t, db, w.ID)
		muted := storetest.Owe(storetest.Event(i+10), w.ID)
		muted.Owed[0].Suppressed = tocsin.ReasonMuted
		storetest.MustAppend(t, db, muted)
		if _, err := db.BeginAudit(t.Context(), tocsin.AuditEntry{Actor: "a", Action: "b.c"}); err != nil {
			t.Fatal(err)
		}
		exec(t, url, `INSERT INTO refs VALUES ($1, $2, '1', clock_timestamp())`, w.ID, string(rune('a'+i)))
		if i > 0 {
			continue
		}
		for table, column := range map[string]string{
			"events": "received_at", "event_keys": "received_at", "deliveries": "finished_at", "suppressed": "at",
			"audit": "at", "refs": "updated_at", "repeats": "at",
		} {
			exec(t, url, `UPDATE `+table+` SET `+column+` = `+column+` - interval '40 days'`)
		}
	}
	month := 30 * 24 * time.Hour
	r := tocsin.Retention{History: month, Keys: month, Audit: month, Refs: month}
	want := tocsin.Pruned{Deliveries: 1, Attempts: 1, Suppressed: 1, Events: 2, Keys: 2, Audit: 1, Refs: 2}
	if got, err := db.Prunable(t.Context(), r); err != nil || got != want {
		t.Errorf("prunable: got %+v, %v; want %+v", got, err, want)
	}
	if got, more, err := db.Prune(t.Context(), r, 100); err != nil || more || got != want {
		t.Errorf("pruned: got %+v, more %v, %v; want %+v", got, more, err, want)
	}
	storetest.CheckLedger(t, db)
}

// TestPruneRollback fails each transaction of Prune that counts in its last statement:
// nothing is left half removed, and what is for another's sake is tried again.
func TestPruneRollback(t *testing.T) {
	for name, c := range map[string]struct {
		state string
		times int
		want  tocsin.Code // "" for success in the end
	}{
		"a deadlock, twice":     {"40P01", 2, ""},
		"deadlocks without end": {"40P01", 9, tocsin.CodeUnavailable},
		"disk full":             {"53100", 1, tocsin.CodeUnavailable},
		"a bug":                 {"42883", 1, tocsin.CodeInternal},
	} {
		t.Run(name, func(t *testing.T) {
			url := pgtest.URL(t)
			db := open(t, url)
			w := storetest.MustCreate(t, db, "a")
			storetest.MustOwe(t, db, 0, 2, w.ID)
			finish(t, db, w.ID)
			muted := storetest.Owe(storetest.Event(2), w.ID)
			muted.Owed[0].Suppressed = tocsin.ReasonMuted
			storetest.MustAppend(t, db, muted)
			before := storetest.CheckLedger(t, db)[w.ID]
			failInserts(t, url, "ledger_baseline", c.state, c.times)
			got, _, err := db.Prune(t.Context(), atOnce, 100)
			if code := tocsin.CodeOf(err); code != c.want {
				t.Fatalf("got error %v with code %q, want code %q", err, code, c.want)
			}
			want := tocsin.Pruned{}
			if c.want == "" {
				want = tocsin.Pruned{Deliveries: 1, Attempts: 1, Suppressed: 1, Events: 3, Keys: 3}
			} else if d, attempts, events, err := db.Delivery(t.Context(), onlyDelivery(t, db)); err != nil || len(attempts) != 1 || len(events) != 2 {
				t.Errorf("after a rollback: got %+v, %d attempts, %d events, %v", d, len(attempts), len(events), err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pruned (-want +got):\n%s", diff)
			}
			if after := storetest.CheckLedger(t, db)[w.ID]; after != before {
				t.Errorf("balance: got %+v, want %+v", after, before)
			}
		})
	}
}

// onlyDelivery returns the id of the one there is.
func onlyDelivery(t *testing.T, db *postgres.DB) string {
	t.Helper()
	all, _, err := db.Deliveries(t.Context(), tocsin.DeliveryQuery{Page: tocsin.Page{Limit: 2}})
	if err != nil || len(all) != 1 {
		t.Fatalf("got %d deliveries, %v", len(all), err)
	}
	return all[0].ID
}
