package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// Statements are planned when little waits, and used on when much does. A window still costs
// what is in it, whether it is delivered or discarded. Rows that were read are counted by
// PostgreSQL.
func TestWindowsReadNoMoreThanTheyTake(t *testing.T) {
	tests := map[string]func(backlog){
		"delivered": func(b backlog) {
			if len(b.look()) == 0 {
				b.Fatal("nothing is owed")
			}
		},
		"discarded": func(b backlog) {
			if n, err := b.db.Discard(b.Context(), b.fence, time.Time{}, tocsin.ReasonDiscarded, 10); err != nil || n == 0 {
				b.Fatalf("discarded %d, %v", n, err)
			}
		},
	}
	for name, take := range tests {
		t.Run(name, func(t *testing.T) {
			url := pgtest.URL(t)
			open(t, url)
			db, err := postgres.Open(t.Context(), url, postgres.Options{MaxConns: 1}) // its one session keeps its plans
			if err != nil {
				t.Fatal(err)
			}
			lease, err := db.Begin(t.Context(), storetest.MustCreate(t, db, "a").ID)
			if err != nil {
				t.Fatal(err)
			}
			b := backlog{t, url, db, lease.Fence}
			exec(t, url, `ALTER TABLE pending SET (autovacuum_enabled = off)`)
			exec(t, url, b.owed(1, 60))
			for range 6 {
				take(b)
			}
			exec(t, url, b.owed(1001, 21_000))
			for range 10 {
				take(b)
			}
			if err := db.Close(); err != nil { // a session that ends has counted
				t.Fatal(err)
			}
			if got := rowsRead(t, url); got > 1000 {
				t.Errorf("%d rows of pending were read to take 160", got)
			}
		})
	}
}

// rowsRead is how many rows of pending, live and dead, were read by index or without.
func rowsRead(t *testing.T, url string) (n int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	err = conn.QueryRow(t.Context(), `SELECT seq_tup_read + coalesce((SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'pending'), 0)::bigint
		FROM pg_stat_user_tables WHERE relname = 'pending'`).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
