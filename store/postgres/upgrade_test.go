package postgres_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/postgres"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// released are the migrations that stores out there were made by, and their SHA-256:
// they are never edited, a later one changes what they made.
var released = map[string]string{
	"migrations/0001_schema.sql": "c0d2d4aabfb8811fe6be867fa98ca27c6df5a77718d9d3ad9d919e4ff1faee7e",
}

func TestReleasedMigrations(t *testing.T) {
	for name, want := range released {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s was edited: add a migration instead", name)
		}
	}
}

// before are rows as the first version left them: a webhook that fails, one that does
// not, an event pending for one and dead for the other.
const before = `
CREATE TABLE schema_version (version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp());
INSERT INTO schema_version (version, name) VALUES (1, '0001_schema.sql');
INSERT INTO webhooks (id, name, state, state_since, version, settings, config, created_at, updated_at)
	SELECT 'wh_' || n, n, 'active', now(), 1, jsonb_build_object('name', n, 'channel', 'webhook'), '{}', now(), now() FROM (VALUES ('a'), ('b')) AS v (n);
INSERT INTO leases (webhook_id, fence, seen_at, failures) VALUES ('wh_a', 7, now(), 3), ('wh_b', 1, now(), 0);
INSERT INTO event_keys VALUES ('storetest', 'old', nextval('event_seq'), 'x', now());
INSERT INTO events SELECT seq, source, id, 'custom.old', '', 1, 'firing', now(), 0, 'incident', '', '', '', NULL, '{}', NULL, NULL, NULL, now() FROM event_keys;
INSERT INTO pending SELECT 'wh_a', seq, 0, 'incident', '', 2, now() FROM event_keys;
INSERT INTO deliveries (id, webhook_id, state, count, due, in_flight, created_at, finished_at) VALUES ('dlv_b', 'wh_b', 'dead', 1, 0, 0, now(), now());
INSERT INTO delivery_events SELECT 'dlv_b', 0, seq, 0, 'incident' FROM event_keys;
INSERT INTO refs VALUES ('wh_b', 'incident', '"ts"', now());
INSERT INTO api_keys VALUES ('key_1', 'ci', 'hash', '{ingest}', now());
INSERT INTO ledger_deltas (webhook_id, accepted, pending) VALUES ('wh_a', 1, 1);
INSERT INTO ledger_deltas (webhook_id, accepted, dead) VALUES ('wh_b', 1, 1);`

// beside is how a program of the first version appends an event that is muted for wh_b.
const beside = `
BEGIN;
INSERT INTO event_keys VALUES ('storetest', 'beside', nextval('event_seq'), 'x', now());
INSERT INTO events SELECT seq, source, id, 'custom.old', '', 1, 'firing', now(), 0, 'incident', '', '', '', NULL, '{}', NULL, NULL, NULL, now() FROM event_keys WHERE id = 'beside';
INSERT INTO suppressed SELECT 'wh_b', seq, 0, 'muted', now() FROM event_keys WHERE id = 'beside';
INSERT INTO ledger_deltas (webhook_id, accepted, suppressed) VALUES ('wh_b', 1, 1);
COMMIT;`

// firstVersion makes a store of the first version, with what it held.
func firstVersion(t *testing.T, url string) {
	t.Helper()
	first, err := os.ReadFile("migrations/0001_schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := connect(t, url).PgConn().Exec(t.Context(), string(first)+before).ReadAll(); err != nil {
		t.Fatal(err)
	}
}

// TestUpgrade: a store of the first version goes on where it was, whoever migrates it.
func TestUpgrade(t *testing.T) {
	url := pgtest.URL(t)
	firstVersion(t, url)
	old := unmigrated(t, url)
	if err := old.Ping(t.Context()); tocsin.CodeOf(err) != tocsin.CodeUnavailable {
		t.Fatalf("before it is migrated: got %v, want code %q", err, tocsin.CodeUnavailable)
	}
	another := later(func() error { return old.Migrate(context.Background()) })
	db := open(t, url)
	if err := another(); err != nil {
		t.Fatalf("migrating at the same time: %v", err)
	}
	migrated(t, url)
	storetest.Upgraded(t, db, time.Now().Add(-time.Minute))
}

// unmigrated opens a store as it is.
func unmigrated(t *testing.T, url string) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// migrated checks that every index that was to be built is there, and whole.
func migrated(t *testing.T, url string) {
	t.Helper()
	want := []string{"audit_action", "audit_name", "audit_object", "deliveries_finished", "delivery_events_dead", "event_keys_received", "events_type_received", "refs_updated", "rejections_at", "rejections_webhook", "suppressed_at", "suppressed_seq"}
	var got, broken []string
	if err := connect(t, url).QueryRow(t.Context(), `SELECT coalesce(array_agg(relname::text ORDER BY relname::text COLLATE "C") FILTER (WHERE relname = ANY($1)), '{}'),
		coalesce(array_agg(relname::text) FILTER (WHERE NOT indisvalid), '{}') FROM pg_index JOIN pg_class ON oid = indexrelid`, want).Scan(&got, &broken); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(broken) > 0 {
		t.Errorf("broken indexes: %v; indexes (-want +got):\n%s", broken, diff)
	}
}

// TestMigrateIsCutOff holds up the building of an index. Meanwhile events are appended;
// then the call is cut off, and the next one makes up for it.
func TestMigrateIsCutOff(t *testing.T) {
	url := pgtest.URL(t)
	firstVersion(t, url)
	db := unmigrated(t, url)
	g := &gate{t: t, conn: connect(t, url), see: connect(t, url)}
	g.run(g.conn, `BEGIN; INSERT INTO suppressed VALUES ('wh_b', 4711, 0, 'never committed', now())`)
	ctx, cut := context.WithCancel(t.Context())
	defer cut()
	migrating := later(func() error { return db.Migrate(ctx) })
	g.waiting(1)
	soon, late := context.WithTimeout(t.Context(), time.Minute)
	defer late()
	if _, err := connect(t, url).PgConn().Exec(soon, beside).ReadAll(); err != nil {
		t.Fatalf("a program of the first version, meanwhile: %v", err)
	}
	cut()
	if err := migrating(); err == nil {
		t.Fatal("a call that was cut off has succeeded")
	}
	var version int
	var broken bool
	if err := g.see.QueryRow(t.Context(), `SELECT max(version), EXISTS (SELECT FROM pg_index WHERE NOT indisvalid) FROM schema_version`).Scan(&version, &broken); err != nil {
		t.Fatal(err)
	}
	if version != 3 || !broken {
		t.Errorf("after it was cut off: version %d, an index is left half: %v; want version 3 and one", version, broken)
	}
	g.run(g.conn, `ROLLBACK`)
	next := open(t, url)
	migrated(t, url)
	if err := next.Ping(t.Context()); err != nil {
		t.Errorf("pinging: %v", err)
	}
	balances, err := next.Balances(t.Context())
	if err != nil || len(balances) != 2 || balances[1].Suppressed != 1 {
		t.Errorf("got balances %+v, %v", balances, err)
	}
	storetest.CheckLedger(t, next)
}

// TestMigrateGivesWay: who uses a table that a migration wants for itself keeps others
// from it for no longer than the migration waits.
func TestMigrateGivesWay(t *testing.T) {
	url := pgtest.URL(t)
	firstVersion(t, url)
	db := unmigrated(t, url)
	db.SetMigrationLockTimeout(500 * time.Millisecond)
	g := &gate{t: t, conn: connect(t, url), see: connect(t, url)}
	g.run(g.conn, `BEGIN; SELECT FROM leases`)
	migrating := later(func() error { return db.Migrate(t.Context()) })
	g.waiting(1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := connect(t, url).Exec(ctx, `SELECT FROM leases`); err != nil {
		t.Fatalf("another who reads: %v", err)
	}
	g.run(g.conn, `ROLLBACK`)
	if err := migrating(); err != nil {
		t.Fatal(err)
	}
	migrated(t, url)
}

// TestMigrateGivesUp: a table that is never free is an error that says so.
func TestMigrateGivesUp(t *testing.T) {
	url := pgtest.URL(t)
	firstVersion(t, url)
	db := unmigrated(t, url)
	db.SetMigrationLockTimeout(time.Millisecond)
	g := &gate{t: t, conn: connect(t, url), see: connect(t, url)}
	g.run(g.conn, `BEGIN; SELECT FROM leases`)
	if err := db.Migrate(t.Context()); tocsin.CodeOf(err) != tocsin.CodeUnavailable || !strings.Contains(err.Error(), "0002_reliability.sql") {
		t.Fatalf("got %v, want code %q and the migration's name", err, tocsin.CodeUnavailable)
	}
	g.run(g.conn, `ROLLBACK`)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	migrated(t, url)
}

// TestStaleFailingSince: a program of the first version leaves since when behind.
func TestStaleFailingSince(t *testing.T) {
	url := pgtest.URL(t)
	storetest.StaleFailingSince(t, open(t, url), func(webhookID string) {
		exec(t, url, `UPDATE leases SET failing_since = now() - interval '9 days', failures = 0 WHERE webhook_id = $1`, webhookID)
	})
}
