package postgres

import (
	"context"
	"fmt"

	"github.com/tocsin-alerts/tocsin"
)

var _ tocsin.Inspector = (*DB)(nil)

// inspection counts clients on the server, in the database and of the role, with what
// each admits (-1 is no limit). Who may not see others' sessions sees no type of theirs,
// but that they have a user.
const inspection = `SELECT current_setting('server_version'), clock_timestamp(),
	count(*), current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
	count(*) FILTER (WHERE datname = current_database()), (SELECT datconnlimit FROM pg_database WHERE datname = current_database()),
	count(*) FILTER (WHERE usename = current_user), (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user)
	FROM pg_stat_activity WHERE backend_type = 'client backend' OR backend_type IS NULL AND usesysid IS NOT NULL`

// Inspect implements tocsin.Inspector. Of several limits it tells the one that is nearest.
func (db *DB) Inspect(ctx context.Context) (tocsin.StoreInfo, error) {
	var info tocsin.StoreInfo
	wanted, err := migrations()
	if err != nil {
		return info, fmt.Errorf("reading migrations: %w", err)
	}
	info.Wanted = len(wanted)
	var version string
	var used, limit [3]int
	err = db.pool.QueryRow(ctx, inspection).Scan(&version, &info.Now, &used[0], &limit[0], &used[1], &limit[1], &used[2], &limit[2])
	if err != nil {
		return info, wrap("inspecting store", err)
	}
	info.Product = "PostgreSQL " + version
	info.Connections, info.MaxConnections = used[0], limit[0]
	for i := range used {
		if limit[i] >= 0 && limit[i]-used[i] < info.MaxConnections-info.Connections {
			info.Connections, info.MaxConnections = used[i], limit[i]
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
