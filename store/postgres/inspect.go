package postgres

import (
	"context"
	"fmt"

	"github.com/tocsin-alerts/tocsin"
)

var _ tocsin.Inspector = (*DB)(nil)

// inspection leaves out the connections that are kept for superusers; a database or a
// role may have fewer of its own (-1 is no limit).
const inspection = `SELECT current_setting('server_version'), clock_timestamp(),
	(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
	current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
	(SELECT datconnlimit FROM pg_database WHERE datname = current_database()),
	(SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user)`

// Inspect implements tocsin.Inspector.
func (db *DB) Inspect(ctx context.Context) (tocsin.StoreInfo, error) {
	var info tocsin.StoreInfo
	wanted, err := migrations()
	if err != nil {
		return info, fmt.Errorf("reading migrations: %w", err)
	}
	info.Wanted = len(wanted)
	var version string
	var ofDatabase, ofRole int
	err = db.pool.QueryRow(ctx, inspection).Scan(&version, &info.Now, &info.Connections, &info.MaxConnections, &ofDatabase, &ofRole)
	if err != nil {
		return info, wrap("inspecting store", err)
	}
	info.Product = "PostgreSQL " + version
	for _, limit := range []int{ofDatabase, ofRole} {
		if limit >= 0 {
			info.MaxConnections = min(info.MaxConnections, limit)
		}
	}
	info.Schema, err = db.schema(ctx)
	return info, wrap("inspecting store", err)
}

// schema is the version of the schema; 0 for none.
func (db *DB) schema(ctx context.Context) (version int, err error) {
	err = db.pool.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM schema_version`).Scan(&version)
	if isState(err, "42P01") { // no such table
		return 0, nil
	}
	return version, err
}
