package sqlite_test

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin/store/sqlite"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

// released are the migrations that stores out there were made by, and their SHA-256:
// they are never edited, a later one changes what they made.
var released = map[string]string{
	"migrations/0001_init.sql": "a1b4bc9b37fbfca08f4a6c5bd4c27477759f5a336288381e38e3fee63a40d5a1",
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
// not, an event pending for one and dead for the other. All is of one moment.
const before = `
CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT;
INSERT INTO schema_version VALUES (1, 0);
INSERT INTO webhooks SELECT 'wh_' || column1, column1, json_object('name', column1, 'channel', 'webhook'), '{}', NULL, 'active', '',
	unixepoch() * 1000000, 1, unixepoch() * 1000000, unixepoch() * 1000000 FROM (VALUES ('a'), ('b'));
INSERT INTO leases (webhook_id, fence, failures) VALUES ('wh_a', 7, 3), ('wh_b', 1, 0);
INSERT INTO event_keys VALUES ('storetest', 'old', 1, x'00', unixepoch() * 1000000);
INSERT INTO events VALUES (1, 'storetest', 'old', 'custom.old', '', 1, 'firing', 0, 'incident', '', '', '', NULL, x'7b7d', NULL, NULL, NULL, unixepoch() * 1000000);
INSERT INTO pending VALUES ('wh_a', 1, 0, 'incident', '', 2, 0);
INSERT INTO deliveries (id, webhook_id, position, state, count, created_at, finished_at) VALUES ('dlv_b', 'wh_b', '1', 'dead', 1, 0, 0);
INSERT INTO delivery_events VALUES (1, 0, 1, 0, 'dead', 0, '');
INSERT INTO refs VALUES ('wh_b', 'incident', x'22747322');
INSERT INTO api_keys VALUES ('key_1', 'ci', x'01', '["ingest"]', 0, NULL, NULL);
INSERT INTO ledger_deltas (webhook_id, accepted, delivered, pending, in_flight, dead, suppressed) VALUES ('wh_a', 1, 0, 1, 0, 0, 0), ('wh_b', 1, 0, 0, 0, 1, 0);`

// TestUpgrade: a store of the first version goes on where it was, whoever migrates it.
func TestUpgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tocsin.db")
	firstVersion(t, path)
	db := openUnmigrated(t, path)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := db.Migrate(t.Context()); err != nil {
				t.Errorf("migrating: %v", err)
			}
		})
	}
	wg.Wait()
	storetest.Upgraded(t, db, time.Now().Add(-time.Minute))
}

func firstVersion(t *testing.T, path string) {
	t.Helper()
	first, err := os.ReadFile("migrations/0001_init.sql")
	if err != nil {
		t.Fatal(err)
	}
	script(t, path, string(first)+before)
}

// script runs statements beside the store.
func script(t *testing.T, path, text string) {
	t.Helper()
	beside, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer beside.Close()
	if _, err := beside.ExecContext(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

func openUnmigrated(t *testing.T, path string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// TestMigrateIsCutOff fails the third version: the second stays, and the next call goes
// on from there.
func TestMigrateIsCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tocsin.db")
	firstVersion(t, path)
	script(t, path, `CREATE TABLE audit (in_the_way INTEGER)`)
	db := openUnmigrated(t, path)
	if err := db.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "version 3") {
		t.Fatalf("got error %v, want one about version 3", err)
	}
	script(t, path, `DROP TABLE audit; UPDATE leases SET announced = 50`) // is there since version 2
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	all, err := db.Activities(t.Context())
	if err != nil || all["wh_a"].Announced != 50 {
		t.Errorf("got %+v, %v", all, err)
	}
}

// TestStaleFailingSince: a program of the first version leaves since when behind.
func TestStaleFailingSince(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tocsin.db")
	storetest.StaleFailingSince(t, open(t, path, sqlite.Options{}), func(webhookID string) {
		script(t, path, `UPDATE leases SET failing_since = (unixepoch() - 9 * 86400) * 1000000, failures = 0 WHERE webhook_id = '`+webhookID+`'`)
	})
}
