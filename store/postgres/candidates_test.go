package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// manyRows is a store in use: a hundred thousand events a second apart, a fifth of them
// pending, some suppressed, the others delivered in deliveries of five.
const manyRows = `
WITH n AS MATERIALIZED (SELECT n, timestamptz '2026-01-01Z' + n * interval '1 second' AS at FROM generate_series(1, 100000) AS n),
e AS (
	INSERT INTO events SELECT n, 'storetest', 'many-' || n, 'custom.' || n % 3, '', 1, 'firing', at, 0, 'incident-' || n % 7, '', '', '', NULL, '{}', NULL, NULL, NULL, at, NULL FROM n
), p AS (
	INSERT INTO pending SELECT $1, n, 0, 'incident-' || n % 7, '', 2, at FROM n WHERE n % 5 = 0
), s AS (
	INSERT INTO suppressed SELECT $1, n, 0, 'discarded', at FROM n WHERE n % 20 = 1
), d AS (
	INSERT INTO deliveries (id, webhook_id, state, number, count, due, in_flight, created_at)
	SELECT 'dlv_' || n, $1, CASE WHEN n % 1000 = 2 THEN 'dead' ELSE 'delivered' END, n, 4, 0, 0, at FROM n WHERE n % 5 = 2
)
INSERT INTO delivery_events SELECT 'dlv_' || (n / 5 * 5 + 2), n % 5, n, 0, 'incident-' || n % 7 FROM n WHERE n % 5 > 0 AND n % 20 <> 1`

// TestReplayReadsItsWindow reads pages in the middle of many rows, often enough for the
// server to plan once for all. None may read a table from its beginning: pages would
// take longer and longer.
func TestReplayReadsItsWindow(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	w := storetest.MustCreate(t, db, "a")
	exec(t, url, manyRows, w.ID)
	exec(t, url, `ANALYZE`)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, url)
	// A connection tells what it read when it ends at the latest: making the indexes read
	// whole tables.
	alone(t, conn)
	if _, err := conn.Exec(t.Context(), `SELECT pg_stat_reset()`); err != nil {
		t.Fatal(err)
	}
	since := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	reader := open(t, url)
	const pages, window = 8, 5000
	kinds := map[tocsin.ReplayWhat]int{tocsin.ReplayDead: 10, tocsin.ReplaySuppressed: 10, tocsin.ReplayMissing: 0, tocsin.ReplayAll: 10}
	for what, want := range kinds {
		for _, types := range [][]string{nil, {"custom.0", "custom.1", "custom.2"}} {
			s := tocsin.ReplaySelection{WebhookID: w.ID, What: what, Types: types, Since: since, Until: since.Add(24 * time.Hour)}
			cursor, found := "", 0
			for range pages {
				c, err := reader.ReplayCandidates(t.Context(), s, cursor, 10)
				if err != nil {
					t.Fatal(err)
				}
				found, cursor = found+len(c.Deliveries)+len(c.Events), c.Next
			}
			if found < want {
				t.Errorf("%s: found %d on %d pages, want %d at least", what, found, pages, want)
			}
		}
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	alone(t, conn)
	const reads = `SELECT coalesce(sum(seq_scan), 0), coalesce(sum(idx_tup_fetch), 0), coalesce(string_agg(relname, ' ') FILTER (WHERE seq_scan > 0), 'none') FROM pg_stat_user_tables
		WHERE relname IN ('events', 'pending', 'suppressed', 'deliveries', 'delivery_events')`
	var scans, fetched int64
	var scanned string
	if err := conn.QueryRow(t.Context(), reads).Scan(&scans, &fetched, &scanned); err != nil {
		t.Fatal(err)
	}
	// The window twice, and for each of its events the webhook's rows: about five.
	if limit := int64(len(kinds) * 2 * pages * window * 10); scans > 0 || fetched == 0 || fetched > limit {
		t.Errorf("%d scans of whole tables (%s), %d rows fetched by indexes; want none, and 1 to %d", scans, scanned, fetched, limit)
	}
}

// alone waits until every other connection to the database has ended.
func alone(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for others := 1; others > 0; {
		if err := conn.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`).Scan(&others); err != nil {
			t.Fatalf("waiting for %d others: %v", others, err)
		}
	}
}
