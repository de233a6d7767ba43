package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-alerts/tocsin"
)

const keyColumns = `id, name, scopes, created_at, expires_at, last_used,
	CASE WHEN old_expires_at > clock_timestamp() THEN old_expires_at END AS old_expires_at`

func keyTargets(k *tocsin.Key) []any {
	return []any{&k.ID, &k.Name, &k.Scopes, &k.CreatedAt, &k.ExpiresAt, &k.LastUsed, &k.OldExpiresAt}
}

func scanKey(row pgx.CollectableRow) (k tocsin.Key, err error) {
	err = row.Scan(keyTargets(&k)...)
	return k, err
}

// key runs a statement that returns one key.
func (db *DB) key(ctx context.Context, doing, sql string, args ...any) (tocsin.Key, error) {
	rows, _ := db.pool.Query(ctx, sql, args...) // CollectExactlyOneRow returns its error
	k, err := pgx.CollectExactlyOneRow(rows, scanKey)
	return k, wrap(doing, notFound(err))
}

// keysLock is an arbitrary number that only what gives keys a hash locks ("keys"): no
// constraint could say that a hash is in one of two columns.
const keysLock = 0x6b657973

// free finds out whether a hash works for a key with another id, or did before its last
// rotation.
func (t *tx) free(ctx context.Context, id string, hash []byte) error {
	var taken bool
	t.queue(`SELECT pg_advisory_xact_lock($1)`, int64(keysLock))
	t.one(nil, `SELECT EXISTS (SELECT FROM api_keys WHERE hash = $2 AND id <> $1 OR old_hash = $2)`, []any{id, hash}, &taken)
	if err := t.flush(ctx); err != nil || !taken {
		return err
	}
	return tocsin.Errorf(tocsin.CodeConflict, "this key is there already, or was")
}

// CreateKey implements [tocsin.Keys]. Repeated with the same id and hash, as after a
// commit whose answer was lost, it returns what is stored.
func (db *DB) CreateKey(ctx context.Context, k tocsin.Key, hash []byte) (stored tocsin.Key, err error) {
	var found bool
	err = db.transact(ctx, "creating key", func(t *tx) error {
		if err := t.free(ctx, k.ID, hash); err != nil {
			return err
		}
		t.one(&found, `WITH k AS (
				INSERT INTO api_keys (id, name, hash, scopes, created_at, expires_at)
				VALUES ($1, $2, $3, $4, clock_timestamp(), $5) ON CONFLICT (id) DO NOTHING RETURNING *)
			SELECT `+keyColumns+` FROM k UNION ALL SELECT `+keyColumns+` FROM api_keys WHERE id = $1 AND hash = $3`,
			[]any{k.ID, k.Name, hash, append([]string{}, k.Scopes...), k.ExpiresAt}, keyTargets(&stored)...)
		return nil
	})
	if isTaken(err, "api_keys_name") || err == nil && !found { // no row: another key's id
		err = tocsin.ErrNameTaken
	}
	if err != nil {
		return tocsin.Key{}, err
	}
	return stored, nil
}

// RotateKey implements [tocsin.Keys].
func (db *DB) RotateKey(ctx context.Context, idOrName string, hash []byte, overlap time.Duration, expires *time.Time) (stored tocsin.Key, err error) {
	err = db.transact(ctx, "rotating key", func(t *tx) error {
		var id string
		var found bool
		t.one(&found, `SELECT id FROM api_keys WHERE id = $1 OR name = $1 ORDER BY id = $1 DESC LIMIT 1`, []any{idOrName}, &id)
		if err := t.flush(ctx); err != nil {
			return err
		}
		if !found {
			return tocsin.ErrNotFound
		}
		if err := t.free(ctx, id, hash); err != nil {
			return err
		}
		if err := t.rotatable(ctx, id, hash, overlap); err != nil {
			return err
		}
		t.queue(`UPDATE api_keys SET hash = $2, old_hash = hash, old_expires_at = clock_timestamp() + $3::interval,
			expires_at = coalesce($4, expires_at) WHERE id = $1 AND hash <> $2`, id, hash, overlap, expires)
		t.one(&found, `SELECT `+keyColumns+` FROM api_keys WHERE id = $1`, []any{id}, keyTargets(&stored)...)
		if err := t.flush(ctx); err != nil {
			return err
		}
		if !found { // deleted meanwhile
			return tocsin.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return tocsin.Key{}, err
	}
	return stored, nil
}

// rotatable refuses a rotation that would end a text before its time, which somebody
// still works by. It comes after free, which keeps other rotations out.
func (t *tx) rotatable(ctx context.Context, id string, hash []byte, overlap time.Duration) error {
	var until *time.Time
	t.one(nil, `SELECT old_expires_at FROM api_keys WHERE id = $1 AND hash <> $2 AND old_expires_at > clock_timestamp()`, []any{id, hash}, &until)
	if err := t.flush(ctx); err != nil || until == nil || overlap <= 0 {
		return err
	}
	return tocsin.Errorf(tocsin.CodeConflict, "the key from before the last rotation works until %s: rotate after that, or without overlap to end it now",
		until.UTC().Format(time.RFC3339))
}

// works is for a key whose text, or whose text from before, has hash $1.
const works = `(hash = $1 OR old_hash = $1 AND old_expires_at > clock_timestamp()) AND (expires_at IS NULL OR expires_at > clock_timestamp())`

// KeyByHash implements [tocsin.Keys]. It writes only when the minute has changed.
func (db *DB) KeyByHash(ctx context.Context, hash []byte) (tocsin.Key, error) {
	return db.key(ctx, "looking for key", `WITH used AS (
			UPDATE api_keys SET last_used = date_trunc('minute', clock_timestamp())
			WHERE `+works+` AND (last_used IS NULL OR last_used < date_trunc('minute', clock_timestamp()))
			RETURNING *)
		SELECT `+keyColumns+` FROM used
		UNION ALL SELECT `+keyColumns+` FROM api_keys WHERE `+works+` AND NOT EXISTS (SELECT FROM used)`, hash)
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
