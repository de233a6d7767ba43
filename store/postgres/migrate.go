package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrationLock is an arbitrary number that only Tocsin's migrations lock ("tocsin").
const migrationLock = 0x746f6373696e

const (
	// migrationPoll is how often a call looks whether another has finished.
	migrationPoll = 100 * time.Millisecond
	// migrationTries is how often a migration begins that others kept from its locks.
	migrationTries = 20
)

// migration is one numbered file; its version is its place in the list, from 1.
type migration struct{ name, sql string }

// alone is the first line of a migration whose statements run each on their own: those of
// indexes that are built beside others' work, outside of a transaction, and others that can be
// repeated.
const alone = "-- no transaction\n"

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

// Migrate brings the schema up to date, each migration in a transaction of its own,
// while a lock makes concurrent calls wait for each other. Others go on working: what
// needs a table for itself does not wait for it long, and big indexes are built beside
// them. A schema newer than this program is an *Error with CodeConflict that names both
// versions.
func (db *DB) Migrate(ctx context.Context) error {
	_, _, err := db.MigrateWith(ctx, func(int, int, string) {})
	return err
}

// MigrateWith implements tocsin.Inspector.
func (db *DB) MigrateWith(ctx context.Context, progress func(done, total int, next string)) (from, to int, err error) {
	all, err := migrations()
	if err != nil {
		return 0, 0, fmt.Errorf("reading migrations: %w", err)
	}
	pooled, err := db.pool.Acquire(ctx)
	if err != nil {
		return 0, 0, wrap("migrating store", err)
	}
	// The session ends with the call, and its lock and settings with it.
	m := &migrating{conn: pooled.Hijack(), all: all, lockTimeout: db.migrationLockTimeout, progress: progress}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_ = m.conn.Close(ctx) // it is done with either way
	}()
	err = m.run(ctx)
	return m.from, m.to, wrap("migrating store", err)
}

// migrating is one call of Migrate, on a session of its own.
type migrating struct {
	conn        *pgx.Conn
	all         []migration
	lockTimeout time.Duration
	progress    func(done, total int, next string)
	from, to    int // versions
}

func (m *migrating) run(ctx context.Context) error {
	if err := m.lock(ctx); err != nil {
		return err
	}
	var have int
	for _, sql := range []string{
		`SET lock_timeout = 0`, `SET statement_timeout = 0`, // of the role or the database: an index takes its time
		`CREATE TABLE IF NOT EXISTS schema_version (
			version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())`,
	} {
		if _, err := m.conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if err := m.conn.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM schema_version`).Scan(&have); err != nil {
		return err
	}
	if have > len(m.all) {
		return tocsin.Errorf(tocsin.CodeConflict, "the store's schema has version %d, newer than this program's %d: use a newer program", have, len(m.all))
	}
	m.from, m.to = have, have
	for i, next := range m.all[have:] {
		m.progress(i, len(m.all)-have, next.name)
		if have == 0 { // nobody uses it yet: what others need not wait for takes longer
			next.sql = strings.NewReplacer(alone, "", " CONCURRENTLY", "").Replace(next.sql)
		}
		if err := m.apply(ctx, have+i+1, next); err != nil {
			return fmt.Errorf("applying %s: %w", next.name, err)
		}
		m.to++
	}
	return nil
}

// lock waits for other calls by asking again and again: who waits for a lock in a
// statement has a snapshot, which an index that is built beside others' work waits for.
func (m *migrating) lock(ctx context.Context) error {
	for {
		var ours bool
		if err := m.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, int64(migrationLock)).Scan(&ours); err != nil || ours {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(migrationPoll):
		return nil
	}
}

const applied = `INSERT INTO schema_version (version, name) VALUES ($1, $2)`

func (m *migrating) apply(ctx context.Context, version int, next migration) error {
	if strings.HasPrefix(next.sql, alone) {
		for _, statement := range statements(next.sql) {
			if err := m.statement(ctx, statement); err != nil {
				return err
			}
		}
		_, err := m.conn.Exec(ctx, applied, version, next.name)
		return err
	}
	return m.transact(ctx, next.sql, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, applied, version, next.name)
		return err
	})
}

// transact runs statements and then what else belongs to them in one transaction, again where
// others keep it from its locks. Who waits to have a table for itself makes all wait that come
// later, so each try gives up soon.
func (m *migrating) transact(ctx context.Context, sql string, then func(pgx.Tx) error) error {
	for try := 1; ; try++ {
		err := pgx.BeginFunc(ctx, m.conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SELECT set_config('lock_timeout', $1, true)`, fmt.Sprintf("%dms", m.lockTimeout.Milliseconds())); err != nil {
				return err
			}
			// Without arguments the simple protocol is used, which takes many statements.
			if _, err := tx.Conn().PgConn().Exec(ctx, sql).ReadAll(); err != nil {
				return err
			}
			return then(tx)
		})
		if try == migrationTries || !isState(err, "55P03", "40P01") { // others have what it needs
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// statements splits a migration: each ends with a line, and comments are lines.
func statements(sql string) (all []string) {
	var lines []string
	for line := range strings.Lines(sql) {
		if !strings.HasPrefix(line, "--") {
			lines = append(lines, line)
		}
	}
	for _, s := range strings.Split(strings.Join(lines, ""), ";\n") {
		if s = strings.TrimSpace(s); s != "" {
			all = append(all, s)
		}
	}
	return all
}

var (
	newIndex = regexp.MustCompile(`^CREATE (?:UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS (\w+) ON `)
	// repeatable are other statements that do nothing the second time.
	repeatable = regexp.MustCompile(`^(CREATE TABLE IF NOT EXISTS |ALTER TABLE \w+\s+(ADD COLUMN IF NOT EXISTS|ALTER COLUMN \w+ SET DEFAULT) )`)
)

// statement runs one that stands alone.
func (m *migrating) statement(ctx context.Context, statement string) error {
	if name := newIndex.FindStringSubmatch(statement); name != nil {
		return m.index(ctx, name[1], statement)
	}
	if !repeatable.MatchString(statement) {
		return fmt.Errorf("not a statement that can be repeated: %s", statement)
	}
	return m.transact(ctx, statement, func(pgx.Tx) error { return nil })
}

// index builds an index, unless it is there. One that was cut off is there and of no use:
// it goes first.
func (m *migrating) index(ctx context.Context, name, statement string) error {
	var broken bool
	err := m.conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass($1) AND NOT indisvalid)`, name).Scan(&broken)
	if err != nil {
		return err
	}
	if broken {
		if _, err := m.conn.Exec(ctx, `DROP INDEX CONCURRENTLY IF EXISTS `+name); err != nil {
			return err
		}
	}
	_, err = m.conn.PgConn().Exec(ctx, statement).ReadAll()
	return err
}
