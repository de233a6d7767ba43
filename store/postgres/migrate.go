package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrationLock is an arbitrary number that only Tocsin's migrations lock ("tocsin").
const migrationLock = 0x746f6373696e

// migration is one numbered file; its version is its place in the list, from 1.
type migration struct{ name, sql string }

// migrations returns all migrations in order. A gap in the numbers is an error.
func migrations() ([]migration, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	var all []migration
	for i, name := range names {
		if !strings.HasPrefix(path.Base(name), fmt.Sprintf("%04d_", i+1)) {
			return nil, fmt.Errorf("migration %s should have number %04d", name, i+1)
		}
		sql, err := migrationFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, migration{path.Base(name), string(sql)})
	}
	return all, nil
}

// Migrate brings the schema up to date, all in one transaction, under an advisory lock
// that makes concurrent calls wait for each other. A schema newer than this program is
// an *Error with CodeConflict that names both versions.
func (db *DB) Migrate(ctx context.Context) error {
	all, err := migrations()
	if err != nil {
		return fmt.Errorf("reading migrations: %w", err)
	}
	err = pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error { return migrate(ctx, tx, all) })
	return wrap("migrating store", err)
}

func migrate(ctx context.Context, tx pgx.Tx, all []migration) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS schema_version (
		version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())`)
	if err != nil {
		return err
	}
	var have int
	if err := tx.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM schema_version`).Scan(&have); err != nil {
		return err
	}
	if have > len(all) {
		return tocsin.Errorf(tocsin.CodeConflict, "the store's schema has version %d, newer than this program's %d: use a newer program", have, len(all))
	}
	for i, m := range all[have:] {
		// Without arguments the simple protocol is used, which takes many statements.
		if _, err := tx.Conn().PgConn().Exec(ctx, m.sql).ReadAll(); err != nil {
			return fmt.Errorf("applying %s: %w", m.name, err)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO schema_version (version, name) VALUES ($1, $2)`, have+i+1, m.name); err != nil {
			return err
		}
	}
	return nil
}
