package postgres_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

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

// TestUpgrade: a store of the first version goes on where it was.
func TestUpgrade(t *testing.T) {
	url := pgtest.URL(t)
	first, err := os.ReadFile("migrations/0001_schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.PgConn().Exec(t.Context(), string(first)+before).ReadAll(); err != nil {
		t.Fatal(err)
	}
	old, err := postgres.Open(t.Context(), url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := old.Ping(t.Context()); tocsin.CodeOf(err) != tocsin.CodeUnavailable {
		t.Fatalf("before it is migrated: got %v, want code %q", err, tocsin.CodeUnavailable)
	}
	storetest.Upgraded(t, open(t, url), time.Now().Add(-time.Minute))
}
