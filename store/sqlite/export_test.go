package sqlite

import (
	"context"
	"fmt"
)

// LimitPages makes the disk full once the file has grown by n pages, as far as the
// store can tell.
func (db *DB) LimitPages(ctx context.Context, n int) error {
	return db.writer.do(ctx, func(t *tx) error {
		var pages int
		if err := t.get(`PRAGMA page_count`, nil, &pages); err != nil {
			return err
		}
		return t.script(fmt.Sprintf(`PRAGMA max_page_count = %d`, pages+n))
	})
}

// SetVersion pretends that another program migrated the store.
func (db *DB) SetVersion(ctx context.Context, version int) error {
	return db.writer.do(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO schema_version VALUES (?, 0)`, version)
		return err
	})
}

// Setting reads a pragma of the connection that writes.
func (db *DB) Setting(ctx context.Context, pragma string) (value string, err error) {
	err = db.writer.do(ctx, func(t *tx) error { return t.get(`PRAGMA `+pragma, nil, &value) })
	return value, err
}

// FailOn makes every removal of a row from a table fail.
func (db *DB) FailOn(ctx context.Context, table string) error {
	return db.writer.do(ctx, func(t *tx) error {
		return t.script(`CREATE TRIGGER fail BEFORE DELETE ON ` + table + ` BEGIN SELECT raise(ABORT, 'made to fail'); END`)
	})
}

// FailAt makes every "INSERT ON table" or "UPDATE ON table" fail, until the function
// that it returns is called.
func (db *DB) FailAt(ctx context.Context, event string) (heal func() error, err error) {
	run := func(text string) error { return db.writer.do(ctx, func(t *tx) error { return t.script(text) }) }
	err = run(`CREATE TRIGGER fail_at BEFORE ` + event + ` BEGIN SELECT raise(ABORT, 'made to fail'); END`)
	return func() error { return run(`DROP TRIGGER fail_at`) }, err
}
