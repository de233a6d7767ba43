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
