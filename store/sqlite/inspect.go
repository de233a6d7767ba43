package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

var _ tocsin.Inspector = (*DB)(nil)

// Inspect implements tocsin.Inspector.
func (db *DB) Inspect(ctx context.Context) (tocsin.StoreInfo, error) {
	all, err := loadMigrations()
	if err != nil {
		return tocsin.StoreInfo{}, fmt.Errorf("reading migrations: %w", err)
	}
	info := tocsin.StoreInfo{Wanted: len(all)}
	err = db.read(ctx, "inspecting store", func(t *tx) error {
		var product string
		var tables int
		if err := t.get(`SELECT sqlite_version(), (SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version')`, nil, &product, &tables); err != nil {
			return err
		}
		info.Product, info.Now = "SQLite "+product, db.clock()
		if tables == 0 {
			return nil
		}
		info.Schema, err = version(t)
		return err
	})
	info.Now = info.Now.Truncate(time.Microsecond)
	return info, err
}

// nothing is for those who do not want to know how far a migration is.
func nothing(int, int, string) {}
