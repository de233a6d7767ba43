package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

const keyColumns = `id, name, scopes, created_at, expires_at, last_used`

func scanKey(row pgx.CollectableRow) (k tocsin.Key, err error) {
	err = row.Scan(&k.ID, &k.Name, &k.Scopes, &k.CreatedAt, &k.ExpiresAt, &k.LastUsed)
	return k, err
}

// key runs a statement that returns one key.
func (db *DB) key(ctx context.Context, doing, sql string, args ...any) (tocsin.Key, error) {
	rows, _ := db.pool.Query(ctx, sql, args...) // CollectExactlyOneRow returns its error
	k, err := pgx.CollectExactlyOneRow(rows, scanKey)
	return k, wrap(doing, notFound(err))
}

// CreateKey implements [tocsin.Keys]. Repeated with the same id and hash, as after a
// commit whose answer was lost, it returns what is stored.
func (db *DB) CreateKey(ctx context.Context, k tocsin.Key, hash []byte) (tocsin.Key, error) {
	stored, err := db.key(ctx, "creating key", `WITH k AS (
			INSERT INTO api_keys (id, name, hash, scopes, created_at, expires_at)
			VALUES ($1, $2, $3, $4, clock_timestamp(), $5) ON CONFLICT (id) DO NOTHING RETURNING `+keyColumns+`)
		SELECT `+keyColumns+` FROM k UNION ALL SELECT `+keyColumns+` FROM api_keys WHERE id = $1 AND hash = $3`,
		k.ID, k.Name, hash, append([]string{}, k.Scopes...), k.ExpiresAt)
	if isTaken(err, "api_keys_name") || tocsin.CodeOf(err) == tocsin.CodeNotFound { // no row: another key's id
		err = tocsin.ErrNameTaken
	}
	return stored, err
}

// KeyByHash implements [tocsin.Keys]. It writes only when the minute has changed.
func (db *DB) KeyByHash(ctx context.Context, hash []byte) (tocsin.Key, error) {
	return db.key(ctx, "looking for key", `WITH used AS (
			UPDATE api_keys SET last_used = date_trunc('minute', clock_timestamp())
			WHERE hash = $1 AND (expires_at IS NULL OR expires_at > clock_timestamp())
				AND (last_used IS NULL OR last_used < date_trunc('minute', clock_timestamp()))
			RETURNING `+keyColumns+`)
		SELECT `+keyColumns+` FROM used
		UNION ALL SELECT `+keyColumns+` FROM api_keys WHERE hash = $1 AND (expires_at IS NULL OR expires_at > clock_timestamp())
			AND NOT EXISTS (SELECT FROM used)`, hash)
}

// ListKeys implements [tocsin.Keys]: by name, expired ones included.
func (db *DB) ListKeys(ctx context.Context) ([]tocsin.Key, error) {
	rows, _ := db.pool.Query(ctx, `SELECT `+keyColumns+` FROM api_keys ORDER BY name`) // CollectRows returns its error
	all, err := pgx.CollectRows(rows, scanKey)
	return all, wrap("listing keys", err)
}

// DeleteKey implements [tocsin.Keys]. An id comes before a name that looks like one.
func (db *DB) DeleteKey(ctx context.Context, idOrName string) error {
	_, err := db.key(ctx, "deleting key", `DELETE FROM api_keys WHERE id = (
		SELECT id FROM api_keys WHERE id = $1 OR name = $1 ORDER BY id = $1 DESC LIMIT 1) RETURNING `+keyColumns, idOrName)
	return err
}
