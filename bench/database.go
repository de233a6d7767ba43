package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"
)

// diskState is what the store takes on disk, and how much was ever written to its
// write-ahead log (PostgreSQL only).
type diskState struct{ data, log int64 }

// readDisk asks PostgreSQL, or adds up the files of SQLite.
func (r *rig) readDisk(ctx context.Context) (d diskState, err error) {
	if r.databaseURL == "" {
		d.data, err = filesBytes(filepath.Join(r.dataDir, "tocsin-dev"))
		return d, err
	}
	err = r.query(ctx, `SELECT pg_database_size(current_database()), pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint`, nil, &d.data, &d.log)
	return d, err
}

// filesBytes adds up the store's files in a folder, with the log that is not folded in.
func filesBytes(dir string) (sum int64, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "tocsin.db*"))
	if err != nil {
		return 0, err
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			if os.IsNotExist(err) {
				continue // a log that was just folded in
			}
			return 0, fmt.Errorf("measuring the store: %w", err)
		}
		sum += info.Size()
	}
	return sum, nil
}

// connect opens a connection of our own to the rig's database.
func (r *rig) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, r.databaseURL)
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	return conn, nil
}

// query asks the rig's database for one row, on a connection of its own.
func (r *rig) query(ctx context.Context, sql string, args []any, into ...any) error {
	conn, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, sql, args...).Scan(into...); err != nil {
		return fmt.Errorf("asking the database: %w", err)
	}
	return nil
}
