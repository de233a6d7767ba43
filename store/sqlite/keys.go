package sqlite

import (
	"context"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

const keyColumns = `id, name, scopes, created_at, expires_at, last_used`

func scanKey(r row) (k tocsin.Key, err error) {
	err = r.Scan(&k.ID, &k.Name, inJSON{&k.Scopes}, at{&k.CreatedAt}, atMaybe{&k.ExpiresAt}, atMaybe{&k.LastUsed})
	return k, err
}

// CreateKey implements tocsin.Keys. The same key under two names is a conflict, too.
func (db *DB) CreateKey(ctx context.Context, k tocsin.Key, hash []byte) (tocsin.Key, error) {
	if k.ID == "" {
		k.ID = tocsin.NewID(tocsin.PrefixKey)
	}
	err := db.write(ctx, "creating key", func(t *tx) error {
		var names, hashes int
		if err := t.get(`SELECT count(*) FILTER (WHERE name = ?1), count(*) FILTER (WHERE hash = ?2) FROM api_keys`, []any{k.Name, hash}, &names, &hashes); err != nil {
			return err
		}
		if names > 0 {
			return tocsin.ErrNameTaken
		}
		if hashes > 0 {
			return tocsin.Errorf(tocsin.CodeConflict, "this key is there already, under another name")
		}
		scopes, err := asJSON(k.Scopes)
		if err != nil {
			return err
		}
		k, err = one(t, scanKey, `INSERT INTO api_keys (id, name, hash, scopes, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?) RETURNING `+keyColumns,
			k.ID, k.Name, hash, scopes, micros(t.now), maybe(k.ExpiresAt))
		return err
	})
	if err != nil {
		return tocsin.Key{}, err
	}
	return k, nil
}

// KeyByHash implements tocsin.Keys.
func (db *DB) KeyByHash(ctx context.Context, hash []byte) (k tocsin.Key, err error) {
	var now time.Time
	err = db.read(ctx, "looking up key", func(t *tx) error {
		now = t.now
		k, err = one(t, scanKey, `SELECT `+keyColumns+` FROM api_keys WHERE hash = ? AND (expires_at IS NULL OR expires_at > ?)`, hash, micros(t.now))
		return err
	})
	minute := now.Truncate(time.Minute)
	if err != nil || (k.LastUsed != nil && !k.LastUsed.Before(minute)) {
		return k, err
	}
	k.LastUsed = &minute
	err = db.write(ctx, "noting use of key", func(t *tx) error {
		_, err := t.exec(`UPDATE api_keys SET last_used = ? WHERE id = ?`, micros(minute), k.ID)
		return err
	})
	return k, err
}

// ListKeys implements tocsin.Keys, by name.
func (db *DB) ListKeys(ctx context.Context) (all []tocsin.Key, err error) {
	err = db.read(ctx, "listing keys", func(t *tx) error {
		all, err = list(t, scanKey, `SELECT `+keyColumns+` FROM api_keys ORDER BY name`)
		return err
	})
	return all, err
}

// DeleteKey implements tocsin.Keys.
func (db *DB) DeleteKey(ctx context.Context, idOrName string) error {
	return db.write(ctx, "deleting key", func(t *tx) error {
		n, err := t.exec(`DELETE FROM api_keys WHERE id = ?1 OR (name = ?1 AND NOT EXISTS (SELECT 1 FROM api_keys WHERE id = ?1))`, idOrName)
		if err == nil && n == 0 {
			err = tocsin.ErrNotFound
		}
		return err
	})
}
