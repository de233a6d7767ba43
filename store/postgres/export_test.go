package postgres

import "time"

// SetMigrationLockTimeout sets how long a migration waits for a table that others use.
func (db *DB) SetMigrationLockTimeout(d time.Duration) { db.migrationLockTimeout = d }
