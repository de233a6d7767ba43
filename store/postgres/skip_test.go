package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// backlog is a webhook whose pending events are planned in windows of 10.
type backlog struct {
	*testing.T
	url   string
	db    *postgres.DB
	fence tocsin.Fence
}

func newBacklog(t *testing.T) backlog {
	url := pgtest.URL(t)
	db := open(t, url)
	lease, err := db.Begin(t.Context(), storetest.MustCreate(t, db, "a").ID)
	if err != nil {
		t.Fatal(err)
	}
	return backlog{t, url, db, lease.Fence}
}

// look plans a window and returns its numbers.
func (b backlog) look() (seqs []int64) {
	b.Helper()
	_, pending, err := b.db.Owed(b.Context(), b.fence, time.Time{}, 10)
	if err != nil {
		b.Fatal(err)
	}
	if len(pending) == 0 {
		return nil
	}
	step := tocsin.Step{Plan: []tocsin.NewDelivery{{ID: tocsin.NewID(tocsin.PrefixDelivery), Events: pending}}}
	if _, err := b.db.Advance(b.Context(), b.fence, step); err != nil {
		b.Fatal(err)
	}
	for _, p := range pending {
		seqs = append(seqs, p.Seq)
	}
	if !slices.IsSorted(seqs) {
		b.Errorf("a window is %v", seqs)
	}
	return seqs
}

// owed is the SQL by which numbers become pending.
func (b backlog) owed(from, to int) string {
	return fmt.Sprintf(`INSERT INTO pending (webhook_id, seq, dedup_key, batch_key, bytes, owed_at)
		SELECT '%s', n, 'k', '', 1, clock_timestamp() FROM generate_series(%d, %d) AS n`, b.fence.WebhookID, from, to)
}

// TestLateNumbersComeFirst: a transaction took its numbers before others, which are drained
// already, and commits after them, at each of some moments. The next window begins with its
// events, so that nothing of their incident overtakes them for longer than it must. Its id is
// older than that of the others, or newer: what was given last is no one's who has ended.
func TestLateNumbersComeFirst(t *testing.T) {
	for looks := range 6 {
		for _, newer := range []bool{false, true} {
			t.Run(fmt.Sprintf("after %d windows, newer %t", looks, newer), func(t *testing.T) {
				b := newBacklog(t)
				late, others := b.begin(), b.begin()
				ids := []pgx.Tx{late, others}
				if newer {
					slices.Reverse(ids)
				}
				for _, tx := range ids {
					b.exec(tx, `SELECT pg_current_xact_id()`)
				}
				b.exec(others, b.owed(101, 170))
				b.commit(others)
				for range looks {
					b.look()
				}
				b.exec(late, b.owed(50, 51))
				b.commit(late)
				if got := b.look(); !slices.Equal(got[:2], []int64{50, 51}) {
					t.Errorf("the next window is %v", got)
				}
			})
		}
	}
}

// begin opens a transaction on a connection of its own.
func (b backlog) begin() pgx.Tx {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), b.url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close(context.Background()) })
	tx, err := conn.Begin(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return tx
}

func (b backlog) exec(tx pgx.Tx, sql string) {
	b.Helper()
	if _, err := tx.Exec(b.Context(), sql); err != nil {
		b.Fatal(err)
	}
}

func (b backlog) commit(tx pgx.Tx) {
	b.Helper()
	if err := tx.Commit(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// TestBacklogIsNotReadFromItsBeginning: what lies where nothing can come to lie any more is
// not looked for while the backlog lasts, and found when it ends. That is a row which nobody
// writes, but for a store that was restored.
func TestBacklogIsNotReadFromItsBeginning(t *testing.T) {
	b := newBacklog(t)
	exec(t, b.url, b.owed(101, 165))
	for range 3 {
		b.look()
	}
	exec(t, b.url, b.owed(1, 1))
	if got := b.look(); got[0] == 1 {
		t.Errorf("the next window is %v: it was looked for from the beginning", got)
	}
	var rest []int64
	for more := b.look(); len(more) > 0; more = b.look() {
		rest = append(rest, more...)
	}
	if !slices.Contains(rest, 1) || len(rest) != 26 {
		t.Errorf("the rest is %v", rest)
	}
}
