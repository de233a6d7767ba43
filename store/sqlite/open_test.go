package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
	"github.com/tocsin-alerts/tocsin/store/storetest"
)

func TestSettings(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "tocsin.db"), sqlite.Options{})
	want := map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000"}
	got := map[string]string{}
	for pragma := range want {
		value, err := db.Setting(t.Context(), pragma)
		if err != nil {
			t.Fatal(err)
		}
		got[pragma] = value
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestSecondOpenIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tocsin.db")
	db := open(t, path, sqlite.Options{})
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, way := range []string{path, link} {
		_, err := sqlite.Open(t.Context(), way, sqlite.Options{})
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "another process") {
			t.Errorf("opening %s twice: got %v, want an error that names %s", way, err, path)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path, sqlite.Options{})
}

func TestOpenWhereItCannotBe(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "no", "folder", "tocsin.db"), text} {
		_, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if tocsin.CodeOf(err) != tocsin.CodeUnavailable || !strings.Contains(err.Error(), path) {
			t.Errorf("opening %s: got %v (%s), want unavailable with the path", path, err, tocsin.CodeOf(err))
		}
	}
}

func TestFileIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tocsin.db")
	db := open(t, path, sqlite.Options{})
	storetest.MustOwe(t, db, 0, 1)
	for _, name := range []string{path, path + "-wal"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", filepath.Base(name), info.Mode())
		}
	}
}

func TestMigrations(t *testing.T) {
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "tocsin.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "migrate") {
		t.Errorf("Ping before Migrate: got %v, want an error that says what to do", err)
	}
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("Ping after Migrate: %v", err)
	}
	if err := db.SetVersion(t.Context(), 4711); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	known := fmt.Sprintf("version %d ", len(files))
	for name, err := range map[string]error{"Migrate": db.Migrate(t.Context()), "Ping": db.Ping(t.Context())} {
		if err == nil || !strings.Contains(err.Error(), "version 4711") || !strings.Contains(err.Error(), known) {
			t.Errorf("%s of a newer schema: got %v, want both versions named", name, err)
		}
	}
}

func TestMemoryStoresAreApart(t *testing.T) {
	a, b := open(t, sqlite.Memory, sqlite.Options{}), open(t, sqlite.Memory, sqlite.Options{})
	storetest.MustCreate(t, a, "a")
	if _, err := b.WebhookByName(t.Context(), "a"); !errors.Is(err, tocsin.ErrNotFound) {
		t.Errorf("the other store: got %v, want %v", err, tocsin.ErrNotFound)
	}
}

// TestClock has every time come from Options.Now.
func TestClock(t *testing.T) {
	now := time.Date(2031, 5, 6, 7, 8, 9, 123456789, time.FixedZone("CET", 3600))
	db := open(t, sqlite.Memory, sqlite.Options{Now: func() time.Time { return now }})
	want := now.UTC().Truncate(time.Microsecond)
	w := storetest.MustCreate(t, db, "a")
	if !w.CreatedAt.Equal(want) || w.CreatedAt.Location() != time.UTC {
		t.Errorf("created at %v, want %v", w.CreatedAt, want)
	}
	lease, err := db.Begin(t.Context(), w.ID)
	if err != nil || !lease.Now.Equal(want) {
		t.Errorf("lease says %v (%v), want %v", lease.Now, err, want)
	}
	storetest.MustOwe(t, db, 0, 1, w.ID)
	overdue := func() int {
		ids, err := db.Overdue(t.Context(), 30*time.Second, 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(ids)
	}
	now = now.Add(30 * time.Second)
	if n := overdue(); n != 0 {
		t.Errorf("overdue after the grace: %d, want 0", n)
	}
	now = now.Add(time.Microsecond)
	if n := overdue(); n != 1 {
		t.Errorf("overdue when more than the grace has passed: %d, want 1", n)
	}
	if _, _, err := db.Owed(t.Context(), lease.Fence, time.Time{}, 10); err != nil {
		t.Fatal(err)
	}
	if n := overdue(); n != 0 {
		t.Errorf("overdue after looking at work: %d, want 0", n)
	}
}
