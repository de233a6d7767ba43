package sqlite

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migration is one file: "0001_init.sql" is version 1.
type migration struct {
	version int
	name    string
	text    string
}

// loadMigrations returns the files in order; their numbers have no gaps.
func loadMigrations() ([]migration, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	var all []migration
	for i, name := range names {
		number, _, _ := strings.Cut(strings.TrimPrefix(name, "migrations/"), "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("%s: want number %d", name, i+1)
		}
		text, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, migration{version, path.Base(name), string(text)})
	}
	return all, nil
}

// Migrate implements tocsin.Store: each version that is missing, in a transaction of its
// own.
func (db *DB) Migrate(ctx context.Context) error {
	_, _, err := db.MigrateWith(ctx, nothing)
	return err
}

// MigrateWith implements tocsin.Inspector.
func (db *DB) MigrateWith(ctx context.Context, progress func(done, total int, next string)) (from, to int, err error) {
	all, err := loadMigrations()
	if err != nil {
		return 0, 0, fmt.Errorf("reading migrations: %w", err)
	}
	from = -1
	for done := false; !done && err == nil; {
		err = db.write(ctx, "migrating store "+db.path, func(t *tx) (err error) {
			stored, err := t.migrate(all, db.path, func(stored int) {
				if from < 0 {
					from = stored
				}
				progress(stored-from, len(all)-from, all[stored].name)
			})
			if err != nil {
				return err
			}
			if from < 0 {
				from = stored
			}
			to, done = min(stored+1, len(all)), stored >= len(all)
			return nil
		})
	}
	from = max(from, 0)
	if err == nil && from < len(all) {
		db.logger.InfoContext(ctx, "store migrated", "path", db.path, "from", from, "to", len(all))
	}
	return from, to, err
}

// migrate applies the next version that is missing, if any, and returns the one stored
// before. It tells of that before it begins.
func (t *tx) migrate(all []migration, path string, begin func(stored int)) (stored int, err error) {
	if err := t.script(`CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT`); err != nil {
		return 0, err
	}
	if stored, err = version(t); err != nil {
		return 0, err
	}
	if err := notNewer(stored, len(all), path); err != nil || stored == len(all) {
		return stored, err
	}
	begin(stored)
	next := all[stored]
	if err := t.script(next.text); err != nil {
		return stored, fmt.Errorf("version %d: %w", next.version, err)
	}
	_, err = t.exec(`INSERT INTO schema_version VALUES (?, ?)`, next.version, micros(t.now))
	return stored, err
}

func version(t *tx) (int, error) {
	var v int
	err := t.get(`SELECT coalesce(max(version), 0) FROM schema_version`, nil, &v)
	return v, err
}

func notNewer(stored, known int, path string) error {
	if stored > known {
		return tocsin.Errorf(tocsin.CodeUnavailable, "store %s has schema version %d, newer than version %d of this program", path, stored, known)
	}
	return nil
}

// checkVersion returns an error unless the schema is this program's.
func checkVersion(t *tx, path string) error {
	all, err := loadMigrations()
	if err != nil {
		return err
	}
	var tables, stored int
	if err := t.get(`SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'`, nil, &tables); err != nil {
		return err
	}
	if tables > 0 {
		if stored, err = version(t); err != nil {
			return err
		}
	}
	if stored < len(all) {
		return tocsin.Errorf(tocsin.CodeUnavailable, "store %s has schema version %d, this program needs %d: run tocsin migrate", path, stored, len(all))
	}
	return notNewer(stored, len(all), path)
}
