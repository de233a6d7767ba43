package sqlite_test

import (
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin/store/sqlite"
)

func TestMigrateWithTellsOfEachMigrationBefore(t *testing.T) {
	db, err := sqlite.Open(t.Context(), sqlite.Memory, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	info, err := db.Inspect(t.Context())
	if err != nil || info.Schema != 0 || info.Wanted == 0 {
		t.Fatalf("of a store that is not migrated: got %+v, %v", info, err)
	}
	var told []string
	from, to, err := db.MigrateWith(t.Context(), func(done, total int, next string) {
		if done != len(told) || total != info.Wanted {
			t.Errorf("told %d of %d, want %d of %d", done, total, len(told), info.Wanted)
		}
		told = append(told, next)
	})
	if err != nil || from != 0 || to != info.Wanted {
		t.Errorf("from %d to %d, want 0 to %d: %v", from, to, info.Wanted, err)
	}
	if len(told) != info.Wanted || !strings.HasPrefix(told[0], "0001_") {
		t.Errorf("told %q", told)
	}
}
